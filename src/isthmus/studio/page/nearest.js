/** The nearest of a few points, found by looking at all of them. */

/**
 * Return the indices of the k nearest rows and their squared distances, nearest first.
 *
 * Rows that are equal count once, as in a map, which is fitted on different codes.
 *
 * @param {ArrayLike<number>} query of `size` numbers
 * @param {Float32Array} points row after row
 * @param {number} size numbers a row
 * @param {number} k
 * @returns {{rows: number[], squares: number[]}}
 */
export function nearestRows(query, points, size, k) {
  /** @type {{rows: number[], squares: number[]}} */
  const found = { rows: [], squares: [] };
  const count = points.length / size;
  let limit = Infinity;
  for (let row = 0; row < count; row++) {
    const square = squaredDistance(query, points, row * size, size, limit);
    if (square < limit && !holdsEqual(found, points, size, row, square)) {
      insert(found, row, square, k);
      limit = found.rows.length < k ? Infinity : found.squares[k - 1];
    }
  }
  return found;
}

/**
 * Return a squared distance; one above the limit may be returned before all numbers are added.
 *
 * @param {ArrayLike<number>} query
 * @param {Float32Array} points
 * @param {number} start of the row
 * @param {number} size
 * @param {number} limit
 */
function squaredDistance(query, points, start, size, limit) {
  let sum = 0;
  for (let i = 0; i < size && sum < limit; i++) {
    const difference = query[i] - points[start + i];
    sum += difference * difference;
  }
  return sum;
}

/**
 * @param {{rows: number[], squares: number[]}} found
 * @param {Float32Array} points
 * @param {number} size
 * @param {number} row
 * @param {number} square
 */
function holdsEqual({ rows, squares }, points, size, row, square) {
  return rows.some((other, at) => {
    if (squares[at] !== square) {
      return false;
    }
    const [a, b] = [row * size, other * size];
    return points.subarray(a, a + size).every((value, i) => value === points[b + i]);
  });
}

/**
 * @param {{rows: number[], squares: number[]}} found
 * @param {number} row
 * @param {number} square
 * @param {number} k
 */
function insert({ rows, squares }, row, square, k) {
  const later = squares.findIndex((other) => other > square);
  const at = later < 0 ? squares.length : later;
  rows.splice(at, 0, row);
  squares.splice(at, 0, square);
  rows.length = squares.length = Math.min(k, rows.length);
}

/**
 * @param {ArrayLike<number>} a
 * @param {ArrayLike<number>} b
 */
export function distanceBetween(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    sum += (a[i] - b[i]) ** 2;
  }
  return Math.sqrt(sum);
}
