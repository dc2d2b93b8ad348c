/** Sorting and counting of samples by their columns, fast enough for a million. */

/** @import { Column } from "./types.js" */

/**
 * Return rows sorted by a column of numbers; equal ones stay in their order.
 *
 * @param {ArrayLike<number>} rows
 * @param {ArrayLike<number>} values of all samples
 * @param {boolean} isDescending
 * @returns {Int32Array}
 */
export function sortRows(rows, values, isDescending) {
  // Value and place in one number each: a sort of plain numbers takes a fifth of the time of one
  // that calls a function to compare.
  const places = 2 ** Math.ceil(Math.log2(rows.length + 1));
  const levels = Math.min(2 ** 32, 2 ** 53 / places);
  const key = new Float32Array(1);
  const bits = new Uint32Array(key.buffer);
  const keys = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    key[0] = values[rows[i]];
    const rank = bits[0] >>> 31 ? ~bits[0] >>> 0 : (bits[0] | 0x80000000) >>> 0;
    const level = Math.floor((isDescending ? 2 ** 32 - 1 - rank : rank) / (2 ** 32 / levels));
    keys[i] = level * places + i;
  }
  return Int32Array.from(keys.sort(), (one) => rows[one % places]);
}

/**
 * Count the samples of each category; those without one are not counted.
 *
 * @param {ArrayLike<number>} rows
 * @param {Column & {kind: "category"}} column
 * @returns {Int32Array}
 */
export function countCategories(rows, { values, names }) {
  const counts = new Int32Array(names.length);
  for (let i = 0; i < rows.length; i++) {
    const category = values[rows[i]];
    if (category < names.length) {
      counts[category]++;
    }
  }
  return counts;
}
