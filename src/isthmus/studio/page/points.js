/** The points of a map, sorted into cells: what is near a place, or in view, is found fast. */

/** Points of an average cell. */
const PER_CELL = 4;

/** Cells along a side, at most. */
const MOST_CELLS = 600;

/** Points that are looked at to find where most of them lie. */
const SAMPLED = 4096;

/**
 * @typedef {[number, number, number, number]} Box left, bottom, right and top, in the map's units
 */

export class Points {
  /**
   * Within a cell the points are in a shuffled order, which is the same each time: drawn one over
   * another, no class lies on top because its samples come last.
   *
   * @param {Float32Array} positions (x, y) after (x, y)
   */
  constructor(positions) {
    this.count = positions.length / 2;
    this.box = findBox(positions);
    this.grid = makeGrid(positions, this.box);
    const { columns, lines } = this.grid;
    const cells = this.findCells(positions);
    /** The first point of each cell, and the end of the last. */
    this.starts = new Uint32Array(columns * lines + 1);
    for (const cell of cells) {
      this.starts[cell + 1]++;
    }
    for (let cell = 0; cell < columns * lines; cell++) {
      this.starts[cell + 1] += this.starts[cell];
    }
    /** The row of each sorted point, and its position. */
    this.rows = new Int32Array(this.count);
    this.xy = new Float32Array(2 * this.count);
    this.sort(positions, cells);
  }

  /** @param {Float32Array} positions */
  findCells(positions) {
    const { left, bottom, size, columns, lines } = this.grid;
    const cells = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) {
      const column = clamp((positions[2 * i] - left) / size, columns);
      const line = clamp((positions[2 * i + 1] - bottom) / size, lines);
      cells[i] = line * columns + column;
    }
    return cells;
  }

  /**
   * @param {Float32Array} positions
   * @param {Uint32Array} cells
   */
  sort(positions, cells) {
    const next = this.starts.slice();
    const step = coprimeStep(this.count);
    for (let i = 0, row = 0; i < this.count; i++) {
      const place = next[cells[row]]++;
      this.rows[place] = row;
      this.xy[2 * place] = positions[2 * row];
      this.xy[2 * place + 1] = positions[2 * row + 1];
      row += step;
      row -= row >= this.count ? this.count : 0;
    }
  }

  /**
   * Return ranges of sorted points, begin and end after begin and end, that hold all points of a
   * box and some around it.
   *
   * @param {Box} box
   * @returns {number[]}
   */
  ranges([x0, y0, x1, y1]) {
    const { left, bottom, size, columns, lines } = this.grid;
    const [first, last] = [clamp((x0 - left) / size, columns), clamp((x1 - left) / size, columns)];
    const [low, high] = [clamp((y0 - bottom) / size, lines), clamp((y1 - bottom) / size, lines)];
    /** @type {number[]} */
    const ranges = [];
    for (let line = low; line <= high; line++) {
      const begin = this.starts[line * columns + first];
      const end = this.starts[line * columns + last + 1];
      if (ranges[ranges.length - 1] === begin) {
        ranges[ranges.length - 1] = end;
      } else if (end > begin) {
        ranges.push(begin, end);
      }
    }
    return ranges;
  }

  /**
   * Return the row of the nearest point within a distance, or -1.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} distance
   * @param {(sorted: number) => boolean} accepts whether a point, by its place in the order, counts
   */
  nearest(x, y, distance, accepts) {
    let [best, row] = [distance * distance, -1];
    const ranges = this.ranges([x - distance, y - distance, x + distance, y + distance]);
    for (let i = 0; i < ranges.length; i += 2) {
      for (let p = ranges[i]; p < ranges[i + 1]; p++) {
        const [dx, dy] = [this.xy[2 * p] - x, this.xy[2 * p + 1] - y];
        const square = dx * dx + dy * dy;
        if (square <= best && accepts(p)) {
          [best, row] = [square, this.rows[p]];
        }
      }
    }
    return row;
  }
}

/**
 * Return the box around all points.
 *
 * @param {Float32Array} positions
 * @returns {Box}
 */
function findBox(positions) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < positions.length; i += 2) {
    const [x, y] = [positions[i], positions[i + 1]];
    x0 = x < x0 ? x : x0;
    x1 = x > x1 ? x : x1;
    y0 = y < y0 ? y : y0;
    y1 = y > y1 ? y : y1;
  }
  return x0 <= x1 ? [x0, y0, x1, y1] : [-1, -1, 1, 1];
}

/**
 * Return cells that cover where most points are; the outermost also hold what lies beyond, so that
 * a few far points do not make all cells large.
 *
 * @param {Float32Array} positions
 * @param {Box} box
 */
function makeGrid(positions, box) {
  const [left, right] = middle(positions, 0, box[0], box[2]);
  const [bottom, top] = middle(positions, 1, box[1], box[3]);
  const cells = Math.max(1, positions.length / 2 / PER_CELL);
  const [width, height] = [right - left, top - bottom];
  const size = Math.max(Math.sqrt((width * height) / cells), Math.max(width, height) / MOST_CELLS);
  const along = (/** @type {number} */ side) =>
    Math.max(1, Math.min(MOST_CELLS, Math.ceil(side / size)));
  return { left, bottom, size, columns: along(width), lines: along(height) };
}

/**
 * Return between which numbers nearly all coordinates lie.
 *
 * @param {Float32Array} positions
 * @param {number} axis
 * @param {number} low of all
 * @param {number} high of all
 */
function middle(positions, axis, low, high) {
  const step = Math.max(1, Math.floor(positions.length / 2 / SAMPLED));
  const some = [];
  for (let i = axis; i < positions.length; i += 2 * step) {
    some.push(positions[i]);
  }
  const sorted = Float32Array.from(some).sort();
  const [first, last] = [
    sorted[Math.floor(sorted.length * 0.005)],
    sorted[Math.floor(sorted.length * 0.995)],
  ];
  const margin = (last - first) * 0.1;
  const [from, to] = [Math.max(low, first - margin), Math.min(high, last + margin)];
  return to > from ? [from, to] : [low - 0.5, low + 0.5];
}

/**
 * Return the whole part of a number, from 0 to below a limit.
 *
 * @param {number} value
 * @param {number} limit
 */
function clamp(value, limit) {
  return value > 0 ? Math.min(limit - 1, Math.floor(value)) : 0; // what is not a number is first
}

/**
 * Return a step that visits each of n numbers once, far from the one before.
 *
 * @param {number} n
 */
function coprimeStep(n) {
  let step = Math.max(1, Math.floor(n * 0.618));
  while (commonDivisor(step, n) !== 1) {
    step++;
  }
  return step % Math.max(1, n);
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function commonDivisor(a, b) {
  return b ? commonDivisor(b, a % b) : a;
}
