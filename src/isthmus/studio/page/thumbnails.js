/** Thumbnails in place of points: which samples have room, and their pictures. */

/** @import { Store } from "./store.js" */

import { drawingContext, makeCanvas } from "./dom.js";

/** Pictures that are kept, in one canvas. */
const KEPT = 1024;
const KEPT_ACROSS = 32;

/** Larger thumbnails are kept at this size. */
const MOST_PIXELS = 64;

/** Sheets that are fetched at the same time. */
const AT_ONCE = 4;

/** Pixels between two thumbnails. */
const GAP = 4;

/** @typedef {[number, number]} Pixel */

export class Thumbnails {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {number[]} rows that are shown */
    this.shown = [];
    /** @type {Map<number, number>} where a row's picture is kept, the one used last at the end */
    this.slots = new Map();
    /** @type {CanvasRenderingContext2D | null} */
    this.atlas = null;
    /** @type {[number, number]} */
    this.cell = [0, 0];
    store.on("manifest", () => this.forget());
  }

  forget() {
    [this.shown, this.atlas] = [[], null];
    this.slots.clear();
  }

  /**
   * Choose samples whose pictures do not touch. Those that were shown stay while there is room for
   * them, so that nothing flickers while the map is moved; the others follow in a fixed order, in
   * which samples of one sheet come together.
   *
   * @param {Int32Array} rows that could be shown
   * @param {(row: number) => Pixel} locate
   * @param {Pixel} sides of a picture, in CSS pixels
   */
  choose(rows, locate, [width, height]) {
    const [across, down] = [width + GAP, height + GAP];
    /** @type {Map<string, Pixel[]>} */
    const taken = new Map();
    const before = new Set(this.shown);
    const order = this.order(rows);
    const wanted = [
      ...order.filter((row) => before.has(row)),
      ...order.filter((row) => !before.has(row)),
    ];
    this.shown = wanted.filter((row) => {
      const place = locate(row);
      const [column, line] = [Math.floor(place[0] / across), Math.floor(place[1] / down)];
      if (isTaken(taken, column, line, place, across, down)) {
        return false;
      }
      const key = `${column},${line}`;
      taken.set(key, [...(taken.get(key) ?? []), place]);
      return true;
    });
    return this.shown;
  }

  /** @param {Int32Array} rows */
  order(rows) {
    const { per_sheet: count } = this.store.manifest.thumbs;
    const key = (/** @type {number} */ row) =>
      scramble(Math.floor(row / count)) * 65536 + scramble(row);
    const keys = new Map(Array.from(rows, (row) => [row, key(row)]));
    return Array.from(rows).sort(
      (a, b) => /** @type {number} */ (keys.get(a)) - /** @type {number} */ (keys.get(b)),
    );
  }

  /**
   * @param {number} row
   * @returns {boolean} whether its picture is here
   */
  has(row) {
    return this.slots.has(row);
  }

  /**
   * Draw a sample's picture, if it is here.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {number} row
   * @param {[number, number, number, number]} box
   * @returns {boolean}
   */
  draw(context, row, box) {
    const slot = this.slots.get(row);
    if (slot === undefined || !this.atlas) {
      return false;
    }
    this.slots.delete(row);
    this.slots.set(row, slot);
    context.drawImage(this.atlas.canvas, ...this.place(slot), ...this.cell, ...box);
    return true;
  }

  /**
   * Fetch the pictures that are shown and not here, sheet by sheet.
   *
   * @returns {void}
   */
  fetch() {
    const sheets = new Set();
    for (const row of this.shown) {
      if (!this.slots.has(row)) {
        sheets.add(this.store.cell(row)[0]);
        if (sheets.size <= AT_ONCE) {
          this.keep(row);
        }
      }
    }
  }

  /**
   * Copy a picture from its sheet; if that is not here, it is fetched, and "sheet" is told.
   *
   * @param {number} row
   */
  keep(row) {
    if (!this.store.sheet(this.store.sheetOf(row))) {
      return;
    }
    const atlas = this.atlas ?? this.makeAtlas();
    const slot = this.freeSlot();
    if (this.slots.size >= KEPT) {
      this.slots.delete(/** @type {number} */ (this.slots.keys().next().value));
    }
    this.slots.set(row, slot);
    const [left, top] = this.place(slot);
    atlas.clearRect(left, top, ...this.cell);
    this.store.drawThumbnail(atlas, row, [left, top, ...this.cell]);
  }

  /** @returns {number} a slot without a picture, or that of the picture used longest ago */
  freeSlot() {
    return this.slots.size < KEPT
      ? this.slots.size
      : /** @type {number} */ (this.slots.values().next().value);
  }

  makeAtlas() {
    const { width, height } = this.store.manifest.thumbs;
    const shrink = Math.min(1, MOST_PIXELS / Math.max(width, height));
    this.cell = [Math.round(width * shrink), Math.round(height * shrink)];
    const down = KEPT / KEPT_ACROSS;
    const canvas = makeCanvas(KEPT_ACROSS * this.cell[0], down * this.cell[1]);
    this.atlas = drawingContext(canvas);
    this.atlas.imageSmoothingQuality = "high";
    return this.atlas;
  }

  /**
   * @param {number} slot
   * @returns {Pixel}
   */
  place(slot) {
    const across = slot % KEPT_ACROSS;
    return [across * this.cell[0], ((slot - across) / KEPT_ACROSS) * this.cell[1]];
  }
}

/**
 * @param {Map<string, Pixel[]>} taken places, by column and line
 * @param {number} column
 * @param {number} line
 * @param {Pixel} place
 * @param {number} across
 * @param {number} down
 */
function isTaken(taken, column, line, [x, y], across, down) {
  for (let i = column - 1; i <= column + 1; i++) {
    for (let j = line - 1; j <= line + 1; j++) {
      const near = taken.get(`${i},${j}`) ?? [];
      if (near.some((other) => Math.abs(other[0] - x) < across && Math.abs(other[1] - y) < down)) {
        return true;
      }
    }
  }
  return false;
}

/**
 * Return a number below 65,536 that looks like chance.
 *
 * @param {number} value
 */
function scramble(value) {
  return Math.imul(value + 1, 0x9e3779b1) >>> 16;
}
