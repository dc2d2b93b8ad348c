/** Which samples are selected, and which are hidden. */

/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */
/** @import { Area, Point } from "./area.js" */

import { markInside, readArea, writeArea } from "./area.js";
import { coloringColumn } from "./colors.js";

export class Selection {
  /**
   * @param {Store} store
   * @param {State} state
   */
  constructor(store, state) {
    this.store = store;
    this.state = state;
    /** @type {{key: string, mask: Promise<Uint8Array | null>} | null} */
    this.last = null;
  }

  /**
   * Return the rows that `select` in the state means, without hidden ones; all visible rows if
   * nothing is selected.
   *
   * @returns {Promise<Int32Array>}
   */
  async rows() {
    const [mask, visible] = await Promise.all([this.mask(), this.visible()]);
    const { count } = this.store.manifest;
    const rows = new Int32Array(count);
    let found = 0;
    for (let row = 0; row < count; row++) {
      if ((!mask || mask[row]) && (!visible || visible[row])) {
        rows[found++] = row;
      }
    }
    return rows.slice(0, found);
  }

  /**
   * Return for each row whether it can be seen, or null if nothing is hidden.
   *
   * @returns {Promise<Uint8Array | null>}
   */
  async visible() {
    const hidden = this.hidden();
    const name = coloringColumn(this.store, this.state);
    if (!hidden.size || this.store.entry(name).kind !== "category") {
      return null;
    }
    const column = await this.store.column(name);
    const none = column.kind === "category" ? column.names.length : 0;
    const isHidden = Uint8Array.from({ length: none + 1 }, (_, i) => (hidden.has(i) ? 1 : 0));
    const values = column.values;
    const visible = new Uint8Array(values.length);
    for (let row = 0; row < values.length; row++) {
      visible[row] = 1 - isHidden[Math.min(values[row], none)];
    }
    return visible;
  }

  /**
   * Return for each row whether it is selected, also if it is hidden, or null if nothing is.
   *
   * @returns {Promise<Uint8Array | null>}
   */
  mask() {
    const text = this.state.get("select");
    const key = `${this.store.manifest.fingerprint} ${this.state.get("map")} ${text}`;
    if (this.last?.key !== key) {
      this.last = { key, mask: this.makeMask(text) };
    }
    return this.last.mask;
  }

  /**
   * @param {string} text
   * @returns {Promise<Uint8Array | null>}
   */
  async makeMask(text) {
    const area = readArea(text);
    if (area) {
      return this.maskOfArea(area);
    }
    const [kind, value = ""] = text.split(":");
    const numbers = value.split(",").map(Number);
    if (kind === "cell" && this.store.hasColumn("predicted")) {
      return this.maskOfCell(numbers[0], numbers[1], numbers[2] ?? -1);
    }
    return kind === "rows" && value ? this.maskOfRows(numbers) : null;
  }

  /** @param {Area} area */
  async maskOfArea({ method, corners }) {
    const { store } = this;
    const entry = store.map(method || this.state.get("map")) ?? store.manifest.maps[0];
    return entry ? markInside(await store.positions(entry), corners) : null;
  }

  /**
   * @param {number} truth
   * @param {number} prediction
   * @param {number} split that the cell counts, or -1 for all
   */
  async maskOfCell(truth, prediction, split) {
    const names = ["class", "predicted", ...(split < 0 ? [] : ["split"])];
    const columns = await Promise.all(names.map((name) => this.store.column(name)));
    const wanted = [truth, prediction, split];
    return Uint8Array.from({ length: this.store.manifest.count }, (_, row) =>
      Number(columns.every(({ values }, i) => values[row] === wanted[i])),
    );
  }

  /** @param {number[]} rows */
  maskOfRows(rows) {
    const mask = new Uint8Array(this.store.manifest.count);
    for (const row of rows) {
      mask[row] = 1; // a row that there is not changes nothing
    }
    return mask;
  }

  /** @returns {Area | null} the selected area, if it was drawn on the map that is shown */
  area() {
    const area = readArea(this.state.get("select"));
    const shown = this.state.get("map") || this.store.manifest.maps[0]?.method;
    return area && (area.method === "" || area.method === shown) ? area : null;
  }

  /**
   * Select what lies in an area of the map that is shown.
   *
   * @param {Point[]} corners
   */
  selectArea(corners) {
    const shown = this.state.get("map") || this.store.manifest.maps[0].method;
    this.state.set({ select: writeArea(shown, corners) });
  }

  clear() {
    this.state.set({ select: "" });
  }

  /** @returns {boolean} */
  isEmpty() {
    return this.state.get("select") === "";
  }

  // -- hidden categories -------------------------------------------------------------------------

  /** @returns {Set<number>} the hidden categories of the column that colors the map */
  hidden() {
    return readHidden(this.state.get("hidden"));
  }

  /** @param {Iterable<number>} categories */
  hide(categories) {
    this.state.set({ hidden: writeHidden([...categories]) });
  }

  /**
   * Call a listener when the selection or what is hidden changes.
   *
   * @param {() => void} listener
   */
  on(listener) {
    this.state.on(["select", "hidden", "color", "map"], listener);
    this.store.on("manifest", listener);
  }
}

/**
 * Return the numbers of a text such as "0,3-5".
 *
 * @param {string} text
 * @returns {Set<number>}
 */
function readHidden(text) {
  const numbers = new Set();
  for (const part of text.split(",").filter(Boolean)) {
    const [first, last = first] = part.split("-").map(Number);
    for (let i = first; i <= Math.min(last, 65535); i++) {
      numbers.add(i);
    }
  }
  return numbers;
}

/**
 * Return numbers as text; of several in a row only the first and the last, because "only this one"
 * of thousands of categories must fit into a link.
 *
 * @param {number[]} numbers
 */
function writeHidden(numbers) {
  /** @type {number[][]} */
  const ranges = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    const last = ranges[ranges.length - 1];
    if (last && number === last[1] + 1) {
      last[1] = number;
    } else {
      ranges.push([number, number]);
    }
  }
  return ranges.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}
