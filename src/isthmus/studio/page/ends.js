/** The two samples that a morph goes between. */

/** @import { Context } from "./types.js" */

import { chosenRow } from "./chosen.js";
import { make } from "./dom.js";

const LETTERS = ["A", "B"];

/** @typedef {[number | null, number | null]} Pair rows of the ends */

export class Ends {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** The end that the next click on a sample fills. */
    this.next = 0;
    this.slots = LETTERS.map((letter, at) => new Slot(context, letter, (row) => this.put(at, row)));
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
}

/** One end: its picture and name, and two ways to fill it. */
class Slot {
  /**
   * @param {Context} context
   * @param {string} letter
   * @param {(row: number) => void} put
   */
  constructor(context, letter, put) {
    this.context = context;
    this.letter = letter;
    this.put = put;
    this.picture = make("div", { class: "morph-end-picture" });
    this.name = make("p", { class: "morph-end-name" });
    this.field = this.makeField();
    const label = `Use chosen sample as ${letter}`;
    const use = { text: "Use chosen", "aria-label": label, click: () => this.useChosen() };
    const group = { class: "morph-end", role: "group", "aria-label": `Sample ${letter}` };
    const parts = [this.picture, this.name, make("button", use), this.field];
    this.element = make("div", group, parts);
  }

  makeField() {
    const field = make("input", {
      type: "number",
      min: "0",
      max: String(this.context.store.manifest.count - 1),
      step: "1",
      class: "short",
      placeholder: "row",
      "aria-label": `Row of sample ${this.letter}`,
      change: () => field.reportValidity() && field.value && this.put(Number(field.value)),
    });
    return field;
  }

  useChosen() {
    const row = chosenRow(this.context);
    if (row < 0) {
      this.context.say("Choose a sample on the map first.");
    } else {
      this.put(row);
    }
  }

  /** @param {number | null} row */
  show(row) {
    const { store } = this.context;
    const pictures = row === null ? [] : [store.thumbnail(row, `Sample ${this.letter}`)];
    this.picture.replaceChildren(...pictures);
    this.field.value = String(row ?? "");
    this.name.textContent = `${this.letter}: ${row === null ? "click a sample" : "…"}`;
    if (row !== null) {
      store.names([row]).then(
        ([name]) => (this.name.textContent = `${this.letter}: ${name}`),
        () => undefined, // the picture says enough
      );
    }
  }
}
