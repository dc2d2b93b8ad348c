/** What is seen of the map: a center and a width, and the way between its places and pixels. */

/** @import { Box } from "./points.js" */

/**
 * Pixels at the edges of the map that nothing important should lie under.
 *
 * @typedef {{left: number, right: number, top: number, bottom: number}} Insets
 */

/** How far one can zoom, compared with the whole map. */
const FARTHEST = 4;
const CLOSEST = 1 / 20_000;

export class View {
  /**
   * @param {number} x center, in the map's units
   * @param {number} y
   * @param {number} width in the map's units
   */
  constructor(x, y, width) {
    this.x = x;
    this.y = y;
    this.width = width;
  }

  /**
   * Return the view that shows a box as large as possible.
   *
   * @param {Box} box
   * @param {Size} size of the screen
   * @param {Insets} insets
   */
  static of([x0, y0, x1, y1], size, { left, right, top, bottom }) {
    const free = [
      Math.max(40, size.width - left - right),
      Math.max(40, size.height - top - bottom),
    ];
    const unit = Math.max((x1 - x0) / free[0], (y1 - y0) / free[1]) || 1 / free[0];
    const x = (x0 + x1) / 2 + ((right - left) / 2) * unit;
    const y = (y0 + y1) / 2 - ((bottom - top) / 2) * unit;
    return new View(x, y, unit * size.width);
  }

  /**
   * Return the view that a text names, or null.
   *
   * @param {number[]} numbers
   */
  static read([x, y, width, ...rest]) {
    const isView = rest.length === 0 && width > 0 && Number.isFinite(x + y + width);
    return isView ? new View(x, y, width) : null;
  }

  /** Return the view as a text with no more digits than can be seen. */
  write() {
    const digits = Math.max(0, Math.ceil(3 - Math.log10(this.width)));
    const parts = [this.x, this.y].map((value) => Number(value.toFixed(Math.min(20, digits))));
    return [...parts, Number(this.width.toPrecision(5))].join(",");
  }

  /**
   * Return where a place is on the screen.
   *
   * @param {number} x
   * @param {number} y
   * @param {Size} size
   * @returns {[number, number]}
   */
  toScreen(x, y, size) {
    const scale = size.width / this.width;
    return [(x - this.x) * scale + size.width / 2, size.height / 2 - (y - this.y) * scale];
  }

  /**
   * Return which place is at a pixel of the screen.
   *
   * @param {number} right
   * @param {number} down
   * @param {Size} size
   * @returns {[number, number]}
   */
  toMap(right, down, size) {
    const unit = this.width / size.width;
    return [this.x + (right - size.width / 2) * unit, this.y - (down - size.height / 2) * unit];
  }

  /**
   * Return the view after a drag.
   *
   * @param {number} right pixels
   * @param {number} down
   * @param {Size} size
   */
  moved(right, down, size) {
    const unit = this.width / size.width;
    return new View(this.x - right * unit, this.y + down * unit, this.width);
  }

  /**
   * Return the view closer to or farther from a place, which stays where it is on the screen.
   *
   * @param {number} factor above 1: closer
   * @param {[number, number]} place
   * @param {number} whole width of the whole map
   */
  zoomed(factor, [x, y], whole) {
    const width = Math.max(whole * CLOSEST, Math.min(whole * FARTHEST, this.width / factor));
    const share = width / this.width;
    return new View(x + (this.x - x) * share, y + (this.y - y) * share, width);
  }

  /** @param {View} other */
  equals(other) {
    return this.x === other.x && this.y === other.y && this.width === other.width;
  }
}

/** @typedef {{width: number, height: number}} Size of the map on the page, in CSS pixels */
