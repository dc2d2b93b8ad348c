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
 * @param {{column?: string, category?: number, except?: number}} [options] the only category of a
 *   column that is searched, and the row of a sample that is not its own neighbor
 * @returns {Promise<Neighbors>}
 */
export async function findSimilar(context, code, k, { column = "class", category = -1, except = -1 } = {}) {
  if (!context.store.manifest.codes.in_page) {
    return askSimilar(code, k, category < 0 ? {} : { column, value: category }, except);
  }
  const allowed = await samplesOf(context, column, category);
  const found = await context.engine.nearest(code, k, allowed, { without: except });
  return { rows: [...found.rows], distances: [...found.distances] };
}

/**
 * @param {Float32Array} code
 * @param {number} k
 * @param {{column?: string, value?: number}} filter
 * @param {number} except
 * @returns {Promise<Neighbors>}
 */
async function askSimilar(code, k, filter, except) {
  const more = except < 0 ? 0 : 1; // the sample itself is found, too
  return without(await askNeighbors(code, k + more, filter), except, k);
}

/**
 * Ask the server for neighbors.
 *
 * @param {Float32Array} code
 * @param {number} k
 * @param {{column?: string, value?: number}} [filter] the only category that is searched
 * @returns {Promise<Neighbors>}
 */
export async function askNeighbors(code, k, filter = {}) {
  const body = JSON.stringify({ code: [...code], k, ...filter });
  const headers = { "Content-Type": "application/json" };
  return (await ask("neighbors", { method: "POST", headers, body })).json();
}

/**
 * Return for each sample whether it is of a category, or null for all of them.
 *
 * @param {Context} context
 * @param {string} name of the column
 * @param {number} category
 * @returns {Promise<Uint8Array | null>}
 */
async function samplesOf({ store }, name, category) {
  if (category < 0) {
    return null;
  }
  const { values } = await store.column(name);
  return Uint8Array.from(values, (value) => Number(value === category));
}

/**
 * Leave a row out of neighbors, or the last one.
 *
 * @param {Neighbors} found
 * @param {number} except
 * @param {number} k
 * @returns {Neighbors}
 */
function without({ rows, distances }, except, k) {
  const kept = [...rows.keys()].filter((i) => rows[i] !== except).slice(0, k);
  return { rows: kept.map((i) => rows[i]), distances: kept.map((i) => distances[i]) };
}
