/** From a place on the map to a code, and back, as isthmus.latent.projections does it. */

/** @import { Engine } from "./engine.js" */
/** @import { MapEntry } from "./types.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

import { takeRows } from "./columns.js";
import { nearestRows } from "./nearest.js";
import { askNeighbors } from "./similar.js";

/** Steps towards the geometric median, as many as in Python. */
const MEDIAN_ITERATIONS = 30;

/** Neighbors to ask a server for, so that enough of them are fitted ones. */
const ASKED_NEIGHBORS = 64;

/**
 * What a map was fitted on.
 *
 * @typedef {Object} Fitted
 * @property {ArrayLike<number> | null} rows the samples; null for all
 * @property {Float32Array} points their places on the map
 * @property {Float32Array | null} codes null where the server keeps them
 */

/** @typedef {[number, number]} Point */

export class Place {
  /**
   * @param {Store} store
   * @param {State} state
   * @param {Engine} engine
   */
  constructor(store, state, engine) {
    this.store = store;
    this.state = state;
    this.engine = engine;
    /** @type {WeakMap<MapEntry, Promise<Fitted>>} */
    this.known = new WeakMap();
  }

  /** @returns {MapEntry} the map that is shown */
  get entry() {
    return this.store.map(this.state.get("map")) ?? this.store.manifest.maps[0];
  }

  /**
   * Return the code at a place on the current map.
   *
   * @param {number} x
   * @param {number} y
   * @returns {Promise<Float32Array>}
   */
  async codeAt(x, y) {
    const { decode } = this.entry;
    if (decode.kind === "code") {
      return new Float32Array([x, y]);
    }
    if (decode.kind === "linear") {
      const [first, second] = decode.components;
      return Float32Array.from(decode.mean, (mean, i) => mean + x * first[i] + y * second[i]);
    }
    return this.averageCode([x, y], decode.anchors, decode.spacing);
  }

  /**
   * Return where a code lies on the current map.
   *
   * @param {Float32Array} code
   * @returns {Promise<Point>}
   */
  async of(code) {
    const { decode } = this.entry;
    if (decode.kind === "code") {
      return [code[0], code[1]];
    }
    if (decode.kind === "linear") {
      const along = (/** @type {number[]} */ axis) =>
        axis.reduce((sum, part, i) => sum + part * (code[i] - decode.mean[i]), 0);
      return [along(decode.components[0]), along(decode.components[1])];
    }
    const { points, distances } = await this.anchorsOf(code, decode.anchors);
    return geometricMedian(points, distances, decode.spacing || 1);
  }

  /**
   * Return the samples whose codes are nearest to a code, and their distances.
   *
   * @param {Float32Array} code
   * @param {number} k
   * @returns {Promise<{rows: ArrayLike<number>, distances: ArrayLike<number>}>}
   */
  async nearest(code, k) {
    const isInPage = this.store.manifest.codes.in_page;
    return isInPage ? this.engine.nearest(code, k) : askNeighbors(code, k);
  }

  /**
   * Return the mean of the codes of the nearest fitted points, weighted by the inverse square of
   * their distances on the map. Points closer than the spacing of the map weigh alike, so that the
   * code does not jump from sample to sample.
   *
   * @param {Point} place
   * @param {number} count
   * @param {number} spacing
   */
  async averageCode(place, count, spacing) {
    const fitted = await this.fitted(this.entry);
    const { rows, squares } = nearestRows(place, fitted.points, 2, count);
    const codes = await this.codesAt(fitted, rows);
    const weights = squares.map((square) => 1 / Math.max(square, spacing ** 2 || 1e-12));
    return weightedMean(codes, weights);
  }

  /**
   * @param {Fitted} fitted
   * @param {number[]} indices among the fitted
   * @returns {Promise<Float32Array>}
   */
  async codesAt({ rows, codes }, indices) {
    const size = this.store.manifest.code_size;
    if (!codes) {
      return this.store.codesOf(rows ? indices.map((index) => rows[index]) : indices);
    }
    return takeRows(codes, indices, size);
  }

  /**
   * Return the points of the nearest fitted codes, and the distances of those codes.
   *
   * @param {Float32Array} code
   * @param {number} count
   * @returns {Promise<{points: Point[], distances: number[]}>}
   */
  async anchorsOf(code, count) {
    const { entry } = this;
    const { points, codes } = await this.fitted(entry);
    if (!codes) {
      return this.askForAnchors(entry, code, count);
    }
    const { rows, squares } = nearestRows(code, codes, code.length, count);
    return { points: rows.map((row) => pointAt(points, row)), distances: squares.map(Math.sqrt) };
  }

  /**
   * Ask the server for neighbors, and use the fitted ones among them; if these are too few, all,
   * as the points of the others follow from those of the fitted.
   *
   * @param {MapEntry} entry
   * @param {Float32Array} code
   * @param {number} count
   */
  async askForAnchors(entry, code, count) {
    const [near, positions, fitted] = await Promise.all([
      this.nearest(code, ASKED_NEIGHBORS),
      this.store.positions(entry),
      this.fitted(entry),
    ]);
    const isFitted = new Set(Array.from(fitted.rows ?? near.rows));
    const order = Array.from(near.rows, (_, i) => i);
    const good = order.filter((i) => isFitted.has(near.rows[i]));
    const chosen = (good.length < count ? order : good).slice(0, count);
    return {
      points: chosen.map((i) => pointAt(positions, near.rows[i])),
      distances: chosen.map((i) => near.distances[i]),
    };
  }

  /**
   * @param {MapEntry} entry
   * @returns {Promise<Fitted>}
   */
  fitted(entry) {
    const known = this.known.get(entry) ?? this.readFitted(entry);
    this.known.set(entry, known);
    known.catch(() => this.known.delete(entry)); // so that a later try reads again
    return known;
  }

  /**
   * @param {MapEntry} entry
   * @returns {Promise<Fitted>}
   */
  async readFitted(entry) {
    const path = entry.decode.kind === "neighbors" ? entry.decode.fitted : null;
    const [positions, flags] = await Promise.all([
      this.store.positions(entry),
      path ? this.store.numbers(path) : null,
    ]);
    const rows = flags ? rowsWhere(flags) : null;
    const points = rows ? takeRows(positions, rows, 2) : positions;
    const { codes } = this.store.manifest;
    if (!codes.in_page) {
      return { rows, points, codes: null };
    }
    const own = rows ? this.store.codesOf(rows) : this.store.numbers(codes.file);
    return { rows, points, codes: await own };
  }
}

/**
 * @param {Uint8Array} flags
 * @returns {Int32Array}
 */
function rowsWhere(flags) {
  const rows = new Int32Array(flags.reduce((sum, flag) => sum + flag, 0));
  let at = 0;
  flags.forEach((flag, row) => {
    if (flag) {
      rows[at++] = row;
    }
  });
  return rows;
}

/**
 * @param {Float32Array} points
 * @param {number} index
 * @returns {Point}
 */
function pointAt(points, index) {
  return [points[2 * index], points[2 * index + 1]];
}

/**
 * @param {Float32Array} codes code after code
 * @param {number[]} weights
 * @returns {Float32Array}
 */
function weightedMean(codes, weights) {
  const size = codes.length / weights.length;
  const total = weights.reduce((a, b) => a + b);
  return Float32Array.from({ length: size }, (_, i) =>
    weights.reduce((sum, weight, j) => sum + weight * codes[j * size + i], 0) / total,
  );
}

/**
 * Return the weighted geometric median of points by Weiszfeld's iteration.
 *
 * Weights are the inverse squares of the codes' distances, relative to the nearest; a code that
 * equals a fitted one gets all its weight from that one. See `_project_near_anchors` in Python.
 *
 * @param {Point[]} points
 * @param {number[]} distances of the codes, ascending
 * @param {number} spacing below which points attract alike
 * @returns {Point}
 */
function geometricMedian(points, distances, spacing) {
  const weights = distances.map((distance) => (distance > 0 ? (distances[0] / distance) ** 2 : 1));
  let center = balance(points, weights);
  for (let i = 0; i < MEDIAN_ITERATIONS; i++) {
    const [x, y] = center;
    const pulls = points.map(
      (point, j) => weights[j] / Math.max(Math.hypot(point[0] - x, point[1] - y), spacing),
    );
    center = balance(points, pulls);
  }
  return center;
}

/**
 * @param {Point[]} points
 * @param {number[]} weights
 * @returns {Point}
 */
function balance(points, weights) {
  const total = weights.reduce((a, b) => a + b);
  const along = (/** @type {0 | 1} */ axis) =>
    points.reduce((sum, point, i) => sum + weights[i] * point[axis], 0) / total;
  return [along(0), along(1)];
}
