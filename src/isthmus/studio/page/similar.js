/** The samples whose codes are nearest to a code: found in the page, or by the server. */

/** @import { Context } from "./types.js" */

import { ask } from "./files.js";

/**
 * @typedef {Object} Neighbors
 * @property {number[]} rows the nearest first
 * @property {number[]} distances Euclidean, between codes
 */

/**
 * Find the nearest samples of a code.
 *
 * @param {Context} context
 * @param {Float32Array} code
 * @param {number} k
 * @param {{category?: number, except?: number}} [options] the only class that is searched, and the row
 *   of a sample that is not its own neighbor
 * @returns {Promise<Neighbors>}
 */
export async function findSimilar(context, code, k, { category = -1, except = -1 } = {}) {
  const { store, engine } = context;
  const count = Math.min(store.manifest.count, k + (except < 0 ? 0 : 1));
  const isLocal = store.manifest.codes.in_page;
  const found = isLocal
    ? await engine.nearest(code, count, await rowsOf(context, category))
    : await askNeighbors(code, count, category);
  return without(found, except, k);
}

/**
 * @param {Float32Array} code
 * @param {number} k
 * @param {number} category
 * @returns {Promise<Neighbors>}
 */
async function askNeighbors(code, k, category) {
  const filter = category < 0 ? {} : { column: "class", value: category };
  const body = JSON.stringify({ code: [...code], k, ...filter });
  const headers = { "Content-Type": "application/json" };
  return (await ask("neighbors", { method: "POST", headers, body })).json();
}

/**
 * Return the rows of a class, or null for all.
 *
 * @param {Context} context
 * @param {number} category
 * @returns {Promise<Int32Array | null>}
 */
async function rowsOf({ store }, category) {
  if (category < 0) {
    return null;
  }
  const { values } = await store.column("class");
  const rows = [];
  for (let row = 0; row < values.length; row++) {
    if (values[row] === category) {
      rows.push(row);
    }
  }
  return Int32Array.from(rows);
}

/**
 * @param {{rows: ArrayLike<number>, distances: ArrayLike<number>}} found
 * @param {number} except
 * @param {number} k
 * @returns {Neighbors}
 */
function without({ rows, distances }, except, k) {
  const kept = [...Array(rows.length).keys()].filter((i) => rows[i] !== except).slice(0, k);
  return { rows: kept.map((i) => rows[i]), distances: kept.map((i) => distances[i]) };
}
