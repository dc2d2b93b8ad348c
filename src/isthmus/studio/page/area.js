/** An area of a map: a polygon that was drawn, as text, and which points lie in it. */

/** Points that are tested at a time, so that the page never waits for more than a frame. */
const SLICE = 250_000;

/** Corners that a drawn area keeps, at most. */
const MOST_CORNERS = 120;

/** Bands that the edges of an area are sorted into. */
const BANDS = 512;

/** @typedef {[number, number]} Point */

/**
 * @typedef {Object} Area
 * @property {string} method of the map that it was drawn on; empty: the one that is shown
 * @property {Point[]} corners
 */

/**
 * Return the area that a text such as "area:tsne:0,0,1,0,1,1" names, or null.
 *
 * @param {string} text
 * @returns {Area | null}
 */
export function readArea(text) {
  const [kind, ...parts] = text.split(":");
  const numbers = (parts.pop() ?? "").split(",").map(Number);
  if (
    kind !== "area" ||
    numbers.length < 6 ||
    numbers.length % 2 ||
    !numbers.every(Number.isFinite)
  ) {
    return null;
  }
  return { method: parts.join(":"), corners: toPoints(numbers) };
}

/**
 * Return an area as text, with few corners and no more digits than its size needs.
 *
 * @param {string} method
 * @param {Point[]} corners
 */
export function writeArea(method, corners) {
  return `area:${method}:${writePoints(simplify(corners))}`;
}

/**
 * @param {ArrayLike<number>} numbers
 * @returns {Point[]}
 */
export function toPoints(numbers) {
  return Array.from({ length: numbers.length >> 1 }, (_, i) => [
    numbers[2 * i],
    numbers[2 * i + 1],
  ]);
}

/**
 * Return the corners of a rectangle that was drawn from its first point to its last.
 *
 * @param {Point[]} points
 * @returns {Point[]}
 */
export function rectangleOf(points) {
  const [[x0, y0], [x1, y1]] = [points[0], points[points.length - 1]];
  return [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ];
}

/** @param {Point[]} points */
function writePoints(points) {
  const digits = Math.max(0, Math.min(20, Math.ceil(3.3 - Math.log10(sizeOf(points) || 1))));
  return points
    .flat()
    .map((value) => Number(value.toFixed(digits)))
    .join(",");
}

/** @param {Point[]} points */
function sizeOf(points) {
  const sides = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  });
  return Math.max(...sides);
}

/**
 * Leave out the points of a line that hardly change it.
 *
 * @param {Point[]} points
 * @returns {Point[]}
 */
export function simplify(points) {
  let tolerance = sizeOf(points) / 400;
  let kept = reduce(points, tolerance);
  while (kept.length > MOST_CORNERS) {
    tolerance *= 1.5;
    kept = reduce(points, tolerance);
  }
  return kept;
}

/**
 * D. H. Douglas and T. K. Peucker: Algorithms for the reduction of the number of points required to
 * represent a digitized line, 1973.
 *
 * @param {Point[]} points
 * @param {number} tolerance
 * @returns {Point[]}
 */
function reduce(points, tolerance) {
  if (points.length < 3) {
    return points;
  }
  const [first, last] = [points[0], points[points.length - 1]];
  const distances = points.map((point) => distanceToLine(point, first, last));
  const farthest = distances.indexOf(Math.max(...distances));
  if (distances[farthest] <= tolerance) {
    return [first, last];
  }
  const before = reduce(points.slice(0, farthest + 1), tolerance);
  return [...before.slice(0, -1), ...reduce(points.slice(farthest), tolerance)];
}

/**
 * @param {Point} point
 * @param {Point} from
 * @param {Point} to
 */
function distanceToLine([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const along = length ? Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length)) : 0;
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}

/**
 * Return for each point whether it lies in an area: 1 or 0.
 *
 * @param {Float32Array} positions
 * @param {Point[]} corners
 * @returns {Promise<Uint8Array>}
 */
export async function markInside(positions, corners) {
  const bands = makeBands(corners);
  const inside = new Uint8Array(positions.length / 2);
  for (let begin = 0; begin < inside.length; begin += SLICE) {
    if (begin) {
      await nextTask();
    }
    markSlice(positions, bands, inside, begin, Math.min(inside.length, begin + SLICE));
  }
  return inside;
}

/** Let the page draw and answer before more is computed. */
function nextTask() {
  return new Promise((resolve) => {
    const channel = new MessageChannel(); // a timer waits 4 ms
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(null);
  });
}

/**
 * Sort the edges of an area by height: a point meets only those of its own band.
 *
 * @typedef {{low: number, high: number, left: number, right: number, edges: Float64Array[]}} Bands
 * @param {Point[]} corners
 * @returns {Bands}
 */
function makeBands(corners) {
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  /** @type {number[][]} */
  const edges = Array.from({ length: BANDS }, () => []);
  const bandOf = (/** @type {number} */ y) => bandAt(y, low, high);
  corners.forEach(([x0, y0], i) => {
    const [x1, y1] = corners[(i + 1) % corners.length];
    for (let band = bandOf(Math.min(y0, y1)); band <= bandOf(Math.max(y0, y1)); band++) {
      edges[band].push(x0, y0, x1, y1);
    }
  });
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  return { low, high, left, right, edges: edges.map((list) => Float64Array.from(list)) };
}

/**
 * @param {number} y
 * @param {number} low
 * @param {number} high
 */
function bandAt(y, low, high) {
  return Math.min(BANDS - 1, Math.floor(((y - low) / (high - low || 1)) * BANDS));
}

/**
 * @param {Float32Array} positions
 * @param {Bands} bands
 * @param {Uint8Array} inside
 * @param {number} begin
 * @param {number} end
 */
function markSlice(positions, { low, high, left, right, edges }, inside, begin, end) {
  for (let i = begin; i < end; i++) {
    const x = positions[2 * i];
    const y = positions[2 * i + 1];
    if (x >= left && x <= right && y >= low && y <= high) {
      inside[i] = isInside(x, y, edges[bandAt(y, low, high)]);
    }
  }
}

/**
 * Return 1 if a line from a point to the right crosses an odd number of edges.
 *
 * @param {number} x
 * @param {number} y
 * @param {Float64Array} edges
 */
function isInside(x, y, edges) {
  let crossings = 0;
  for (let i = 0; i < edges.length; i += 4) {
    const y0 = edges[i + 1];
    const y1 = edges[i + 3];
    if (y0 > y !== y1 > y) {
      const crossing = ((edges[i + 2] - edges[i]) * (y - y0)) / (y1 - y0) + edges[i];
      crossings ^= x < crossing ? 1 : 0;
    }
  }
  return crossings;
}
