/** Directions between the mean codes of two groups: classes, or selections that were kept. */

/** @import { Column, Context } from "./types.js" */

import { formatNumber, make } from "./dom.js";
import { Latest } from "./latest.js";
import { formatSigned, makeSlider } from "./slider.js";

/** Codes of which a selection's mean is taken, at most. */
const MAX_ROWS = 2000;

/** Up to so many classes fit a menu; more are typed. */
const MAX_MENU = 60;

/** Lengths of a direction that its slider covers, each way. */
const REACH = 2;

/**
 * @typedef {{title: string, mean: Float32Array}} Group
 */

export class Directions {
  /**
   * @param {Context} context
   * @param {(direction: Float32Array, by: number) => void} move adds part of a direction
   */
  constructor(context, move) {
    this.context = context;
    this.move = move;
    /** @type {Map<string, Group>} selections by their letter */
    this.kept = new Map();
    /** @type {string[]} */
    this.classes = [];
    /** @type {string[]} the classes, in the order of the menu */
    this.offered = [];
    this.ends = {
      from: makeChoice("From", () => this.build()),
      to: makeChoice("To", () => this.build()),
    };
    this.note = make("p", { class: "hint" });
    this.slot = make("div");
    this.moved = 0;
    this.building = new Latest();
    this.element = make("div", {}, [
      make("div", { class: "row" }, [this.ends.from.element, this.ends.to.element]),
      make("div", { class: "row" }, [this.keepButton("A"), this.keepButton("B")]),
      this.note,
      this.slot,
    ]);
  }

  /** Offer the classes, and choose the first two. */
  async fill() {
    const { store } = this.context;
    this.kept.clear(); // these are means of codes of another model
    if (store.manifest.class_codes && store.hasColumn("class")) {
      const column = await store.column("class");
      this.classes = column.kind === "category" ? column.names : [];
      this.offered = this.classes.length > MAX_MENU ? commonFirst(column) : this.classes;
    }
    this.offer();
    await this.build();
  }

  offer() {
    const kept = Array.from(this.kept.values(), (group) => group.title);
    const options = [...this.offered, ...kept];
    this.ends.from.offer(options, 0);
    this.ends.to.offer(options, 1);
    if (options.length < 2) {
      this.note.textContent = "Select samples on the map and keep them as A; select others as B.";
    }
  }

  /** Return to no part of the direction, as the code was set by something else. */
  reset() {
    this.moved = 0;
    this.slider?.set(0);
  }

  /** Make the slider between the chosen groups. */
  async build() {
    const isNewest = this.building.begin();
    const titles = [this.ends.from.value, this.ends.to.value];
    const [from, to] = await Promise.all(titles.map((title) => this.group(title)));
    if (!isNewest()) {
      return;
    }
    this.slider = undefined;
    this.moved = 0;
    if (!from || !to || from.title === to.title) {
      this.slot.replaceChildren();
      return;
    }
    const direction = to.mean.map((value, i) => value - from.mean[i]);
    this.slider = makeSlider({
      name: `${from.title} → ${to.title}`,
      low: -REACH,
      high: REACH,
      describe: (value) => formatSigned(value, 2),
      move: (value) => this.go(direction, value),
    });
    this.slider.set(0);
    this.slot.replaceChildren(this.slider.element);
  }

  /**
   * @param {Float32Array} direction
   * @param {number} value
   */
  go(direction, value) {
    const by = value - this.moved;
    this.moved = value;
    this.move(direction, by);
  }

  /**
   * @param {string} title
   * @returns {Promise<Group | null>}
   */
  async group(title) {
    const kept = this.kept.get(title.replace("selection ", ""));
    if (kept) {
      return kept;
    }
    const index = this.classes.indexOf(title);
    const codes = index < 0 ? null : await this.context.store.classCodes();
    const size = this.context.store.manifest.code_size;
    return codes && { title, mean: codes.slice(index * size, (index + 1) * size) };
  }

  /** @param {string} letter */
  keepButton(letter) {
    const text = `Keep selection as ${letter}`;
    return make("button", {
      text,
      click: () => this.keep(letter).catch((error) => this.context.say(error.message)),
    });
  }

  /**
   * Take the mean of the codes of the selected samples.
   *
   * @param {string} letter
   */
  async keep(letter) {
    const { selection, store } = this.context;
    const rows = await selection.rows();
    if (!rows.length) {
      this.note.textContent = "Nothing is selected.";
      return;
    }
    const taken = evenly(rows, MAX_ROWS);
    const title = `selection ${letter}`;
    this.kept.set(letter, { title, mean: meanCode(await store.codesOf(taken), taken.length) });
    const all = `${formatNumber(rows.length)} samples`;
    const part = taken.length < rows.length ? `, by ${formatNumber(taken.length)} of them` : "";
    this.offer();
    this.ends[letter === "A" ? "from" : "to"].choose(title);
    this.note.textContent = `Selection ${letter}: the mean of ${all}${part}.`;
    await this.build();
  }
}

/**
 * Return the names of classes, those of many samples first.
 *
 * @param {Column} column
 */
function commonFirst(column) {
  const names = column.kind === "category" ? column.names : [];
  const counts = new Uint32Array(names.length);
  column.values.forEach((value) => counts[value]++); // what has no class is counted nowhere
  const order = names.map((_, i) => i).sort((a, b) => counts[b] - counts[a]);
  return order.map((i) => names[i]);
}

/**
 * Make a menu, or a field with suggestions where there are very many.
 *
 * @param {string} title
 * @param {() => void} changed
 */
function makeChoice(title, changed) {
  const label = `${title} group`;
  const menu = make("select", { "aria-label": label, change: changed });
  const list = make("datalist", { id: `groups-${title.toLowerCase()}` });
  const field = make("input", {
    "aria-label": label,
    list: list.id,
    change: changed,
    hidden: true,
  });
  const choose = (/** @type {string} */ value) => {
    menu.value = value;
    field.value = value;
  };
  const word = make("span", { class: "quiet small", text: title, "aria-hidden": "true" });
  return {
    element: make("span", { class: "row group-choice" }, [word, menu, field, list]),
    choose,
    get value() {
      return field.hidden ? menu.value : field.value;
    },
    /**
     * @param {string[]} options
     * @param {number} first chosen if nothing is
     */
    offer(options, first) {
      const before = this.value || options[Math.min(first, options.length - 1)] || "";
      const holder = options.length > MAX_MENU ? list : menu;
      menu.hidden = holder === list;
      field.hidden = !menu.hidden;
      holder.replaceChildren(...options.map((text) => make("option", { value: text, text })));
      choose(before);
    },
  };
}

/**
 * Return at most `limit` of the rows, evenly spread.
 *
 * @param {Int32Array} rows
 * @param {number} limit
 */
function evenly(rows, limit) {
  const count = Math.min(rows.length, limit);
  return Int32Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]);
}

/**
 * @param {Float32Array} codes code after code
 * @param {number} count
 */
function meanCode(codes, count) {
  const size = codes.length / count;
  const sums = new Float64Array(size);
  codes.forEach((value, i) => (sums[i % size] += value));
  return Float32Array.from(sums, (sum) => sum / count);
}
