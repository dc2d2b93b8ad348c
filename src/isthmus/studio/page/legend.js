/** What the colors mean: categories to show and hide, or the ramp of numbers. */

/** @import { Coloring } from "./colors.js" */
/** @import { MapView } from "./map.js" */
/** @import { Selection } from "./selection.js" */
/** @import { Column, Context } from "./types.js" */

import { byFrequency, currentTheme, MOST_COLORS, rampColor } from "./colors.js";
import { drawingContext, formatNumber, make, makeCanvas } from "./dom.js";

/** Categories above which the legend begins with the most frequent and can be searched. */
const FEW = 20;

/** Categories that are listed at a time. */
const LISTED = 60;

/** Width of the page from which the legend is open at first. */
const WIDE = 760;

/**
 * @typedef {{level: number, item: HTMLLIElement, button: HTMLButtonElement, swatch: HTMLElement,
 *   count: HTMLElement}} Entry
 */

/**
 * @param {Context} context
 * @returns {HTMLElement}
 */
export function makeLegend({ map, selection }) {
  return new Legend(map, selection).element;
}

class Legend {
  /**
   * @param {MapView} map
   * @param {Selection} selection
   */
  constructor(map, selection) {
    this.map = map;
    this.selection = selection;
    this.title = make("summary");
    this.content = make("div", { class: "map-card-content" });
    const isOpen = innerWidth > WIDE;
    this.element = make("details", { class: "map-legend map-card", open: isOpen }, [
      this.title,
      this.content,
    ]);
    /** @type {Coloring | null} */
    this.coloring = null;
    /** @type {Entry[]} */
    this.entries = [];
    this.list = make("ul");
    this.more = make("p", { class: "quiet small" });
    this.all = make("button", {
      class: "show-all",
      text: "Show all",
      click: () => selection.hide([]),
    });
    map.on("colors", () => this.update());
    selection.on(() => this.countSelected());
    this.update();
  }

  /** Follow the map's colors: another column, or other colors of the same one. */
  update() {
    const { coloring } = this.map;
    this.element.hidden = !coloring?.column.title;
    if (!coloring) {
      return;
    }
    if (coloring !== this.coloring || coloring.column.kind === "number") {
      this.coloring = coloring;
      this.build(coloring);
    }
    this.show();
  }

  /** @param {Coloring} coloring */
  build({ column, counts, count }) {
    this.title.textContent = column.title;
    this.entries = [];
    if (column.kind === "number") {
      this.content.replaceChildren(makeRamp(column, counts[count - 1]));
      return;
    }
    const isLong = column.names.length > FEW;
    const search = make("input", {
      type: "search",
      placeholder: `Search ${formatNumber(column.names.length)}`,
      "aria-label": `Search in ${column.title.toLowerCase()}`,
      input: () => this.fill(search.value),
    });
    this.content.replaceChildren(...(isLong ? [search] : []), this.list, this.more, this.all);
    this.fill("");
  }

  /**
   * List the categories whose name has a text in it.
   *
   * @param {string} text
   */
  fill(text) {
    const { column, counts, count } = /** @type {Coloring} */ (this.coloring);
    const names = column.kind === "category" ? column.names : [];
    const levels = names.length > FEW ? byFrequency(counts, count - 1) : names.map((_, i) => i);
    const found = levels.filter((level) => names[level].toLowerCase().includes(text.toLowerCase()));
    if (counts[count - 1] && !text) {
      found.push(count - 1);
    }
    const listed = found.slice(0, LISTED);
    this.entries = listed.map((level) => this.makeEntry(level, names[level] ?? "none"));
    this.list.replaceChildren(...this.entries.map(({ item }) => item));
    const note =
      names.length > MOST_COLORS
        ? [`The ${MOST_COLORS} most frequent have colors; the others are gray.`]
        : [];
    if (found.length > listed.length) {
      note.push(`${formatNumber(found.length - listed.length)} more: search for them.`);
    }
    this.more.textContent = found.length ? note.join(" ") : "No name has this in it.";
    this.show();
    this.countSelected();
  }

  /**
   * @param {number} level
   * @param {string} name
   * @returns {Entry}
   */
  makeEntry(level, name) {
    const swatch = make("span", { class: "category-swatch" });
    const count = make("span", { class: "category-count" });
    const button = make(
      "button",
      { class: "category", title: name, click: () => this.toggle(level) },
      [swatch, make("span", { class: "category-name", text: name }), count],
    );
    const only = make("button", {
      class: "category-only",
      text: "only",
      "aria-label": `Show only ${name}`,
      click: () => this.showOnly(level),
    });
    return { level, item: make("li", {}, [button, only]), button, swatch, count };
  }

  /** @param {number} level */
  toggle(level) {
    const hidden = this.selection.hidden();
    if (!hidden.delete(level)) {
      hidden.add(level);
    }
    this.selection.hide(hidden);
  }

  /** @param {number} level */
  showOnly(level) {
    const { count } = /** @type {Coloring} */ (this.coloring);
    const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== level);
    this.selection.hide(others);
  }

  /** Show which categories are hidden, and their colors. */
  show() {
    const hidden = this.selection.hidden();
    for (const { level, button, swatch } of this.entries) {
      button.setAttribute("aria-pressed", String(!hidden.has(level)));
      swatch.style.background = this.map.colors[level];
    }
    this.all.hidden = hidden.size === 0;
  }

  /** Show how many samples each category has, and how many of them are selected. */
  async countSelected() {
    const mask = await this.selection.mask();
    const { levels, counts } = /** @type {Coloring} */ (
      this.coloring ?? { levels: [], counts: [] }
    );
    const selected = new Uint32Array(counts.length);
    for (let row = 0; mask && row < levels.length; row++) {
      selected[levels[row]] += mask[row];
    }
    for (const { level, button, count } of this.entries) {
      const all = formatNumber(counts[level]);
      count.title = mask ? "selected / all" : "";
      count.textContent = mask ? `${formatNumber(selected[level])} / ${all}` : all;
      const spoken = mask ? `${formatNumber(selected[level])} of ${all} selected` : all;
      button.setAttribute("aria-label", `${button.title}: ${spoken}`);
    }
  }
}

/**
 * Make the ramp of a column of numbers.
 *
 * @param {Extract<Column, {kind: "number"}>} column
 * @param {number} missing samples without a number
 */
function makeRamp({ low, high }, missing) {
  const canvas = makeCanvas(128, 1, { class: "map-ramp", "aria-hidden": "true" });
  const context = drawingContext(canvas);
  for (let i = 0; i < canvas.width; i++) {
    context.fillStyle = rampColor(i / (canvas.width - 1), currentTheme());
    context.fillRect(i, 0, 1, 1);
  }
  const ends = [`≤ ${formatNumber(low)}`, `≥ ${formatNumber(high)}`].map((text) =>
    make("span", { text }),
  );
  const note = missing
    ? [make("p", { class: "quiet small", text: `${formatNumber(missing)} without a value` })]
    : [];
  return make("div", {}, [canvas, make("div", { class: "ramp-ends small" }, ends), ...note]);
}
