/** The two samples that a morph goes between. */

/** @import { Context } from "./types.js" */

import { make } from "./dom.js";

const LETTERS = ["A", "B"];

/** @typedef {[number | null, number | null]} Pair rows of the ends */

export class Ends {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** The end that the next click on a sample fills. */
    this.next = 0;
    this.slots = LETTERS.map((_, at) => this.makeSlot(at));
    this.element = make("div", { class: "morph-ends" }, this.slots.map((slot) => slot.element));
  }

  /** @returns {Pair} */
  get pair() {
    const { state, store } = this.context;
    const parts = state.get("ends").split(",");
    const read = (/** @type {string | undefined} */ part) => {
      const row = part ? Number(part) : NaN;
      return Number.isInteger(row) && row >= 0 && row < store.manifest.count ? row : null;
    };
    return [read(parts[0]), read(parts[1])];
  }

  /**
   * Put a sample at an end; the next click fills the other.
   *
   * @param {number} at 0 or 1
   * @param {number} row
   * @param {{isStep?: boolean}} [options] see `State.set`
   */
  put(at, row, options) {
    const pair = this.pair;
    pair[at] = row;
    this.next = 1 - at;
    this.write(pair, options);
  }

  swap() {
    const [a, b] = this.pair;
    this.write([b, a]);
  }

  /**
   * @param {Pair} pair
   * @param {{isStep?: boolean}} [options]
   */
  write(pair, options) {
    this.context.state.set({ ends: pair.map((row) => row ?? "").join(","), route: "" }, options);
  }

  /** Show what the state says. */
  update() {
    const pair = this.pair;
    const missing = pair.indexOf(null);
    this.next = missing < 0 ? this.next : missing;
    this.slots.forEach((slot, at) => {
      slot.show(pair[at]);
      slot.element.classList.toggle("next", at === this.next);
    });
  }

  /** @param {number} at */
  makeSlot(at) {
    const { state, store } = this.context;
    const picture = make("div", { class: "morph-end-picture" });
    const name = make("p", { class: "morph-end-name" });
    const field = make("input", {
      type: "number",
      min: "0",
      max: String(store.manifest.count - 1),
      step: "1",
      class: "short",
      placeholder: "row",
      "aria-label": `Row of sample ${LETTERS[at]}`,
      change: () => field.reportValidity() && field.value && this.put(at, Number(field.value)),
    });
    const use = () => {
      const [row] = state.numbers("sample");
      if (row === undefined) {
        this.context.say("Choose a sample on the map first.");
      } else {
        this.put(at, row);
      }
    };
    const group = { class: "morph-end", role: "group", "aria-label": `Sample ${LETTERS[at]}` };
    const element = make("div", group, [
      picture,
      name,
      make("button", {
        type: "button",
        text: "Use chosen",
        "aria-label": `Use chosen sample as ${LETTERS[at]}`,
        click: use,
      }),
      field,
    ]);
    const show = (/** @type {number | null} */ row) => {
      const label = `Sample ${LETTERS[at]}`;
      picture.replaceChildren(...(row === null ? [] : [store.thumbnail(row, label)]));
      field.value = row === null ? "" : String(row);
      name.textContent = row === null ? `${LETTERS[at]}: click a sample` : `${LETTERS[at]}: …`;
      if (row !== null) {
        store.names([row]).then(([found]) => (name.textContent = `${LETTERS[at]}: ${found}`));
      }
    };
    return { element, show };
  }
}
