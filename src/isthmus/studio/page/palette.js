/** Up to 256 colors for pictures of more: grays exactly, other colors by median cut. */

/** Bits of each color by which pixels are counted together. */
const BITS = 5;
const CELLS = 2 ** (3 * BITS);

/** Colors of a palette. */
const SIZE = 256;

/**
 * A box of counted colors.
 *
 * @typedef {{cells: number[], count: number, color: number, side: number}} Box
 *   The longest side is that of `color`.
 */

/**
 * @typedef {Object} Palette
 * @property {number[][]} colors up to 256, as (red, green, blue)
 * @property {(red: number, green: number, blue: number) => number} indexOf
 */

/**
 * Choose the colors for some pictures.
 *
 * @param {ImageData[]} images
 * @returns {Palette}
 */
export function choosePalette(images) {
  return exactPalette(images) ?? cutPalette(images);
}

/**
 * Return the colors themselves, if there are few enough, as of gray pictures.
 *
 * @param {ImageData[]} images
 * @returns {Palette | null}
 */
function exactPalette(images) {
  /** @type {Map<number, number>} */
  const places = new Map();
  for (const { data } of images) {
    for (let i = 0; i < data.length; i += 4) {
      const key = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
      if (!places.has(key)) {
        places.set(key, places.size);
      }
    }
    if (places.size > SIZE) {
      return null;
    }
  }
  const colors = Array.from(places.keys(), (key) => [key >> 16, (key >> 8) & 255, key & 255]);
  return {
    colors,
    indexOf: (red, green, blue) => places.get((red << 16) | (green << 8) | blue) ?? 0,
  };
}

/**
 * P. Heckbert: Color image quantization for frame buffer display, SIGGRAPH 1982: cut boxes at the
 * median of their longest side, until there are enough. The next is the one of many pixels and a
 * long side, so that rare colors are not lost.
 *
 * @param {ImageData[]} images
 * @returns {Palette}
 */
function cutPalette(images) {
  const { counts, sums } = countColors(images);
  const used = Array.from({ length: CELLS }, (_, cell) => cell).filter((cell) => counts[cell]);
  let boxes = [makeBox(used, counts)];
  while (boxes.length < SIZE) {
    const largest = boxes.reduce((best, box) => (weigh(box) > weigh(best) ? box : best));
    if (largest.cells.length < 2) {
      break;
    }
    boxes = boxes.filter((box) => box !== largest).concat(cut(largest, counts));
  }
  const colors = boxes.map((box) => meanColor(box, sums));
  const lookup = new Uint8Array(CELLS);
  for (const cell of used) {
    const mean = [0, 1, 2].map((color) => sums[3 * cell + color] / counts[cell]);
    lookup[cell] = nearestColor(colors, mean);
  }
  return { colors, indexOf: (red, green, blue) => lookup[cellOf(red, green, blue)] };
}

/** @param {ImageData[]} images */
function countColors(images) {
  const counts = new Uint32Array(CELLS);
  const sums = new Float64Array(3 * CELLS);
  for (const { data } of images) {
    for (let i = 0; i < data.length; i += 4) {
      const cell = cellOf(data[i], data[i + 1], data[i + 2]);
      counts[cell]++;
      for (let color = 0; color < 3; color++) {
        sums[3 * cell + color] += data[i + color];
      }
    }
  }
  return { counts, sums };
}

/**
 * @param {number} red
 * @param {number} green
 * @param {number} blue
 */
function cellOf(red, green, blue) {
  const shift = 8 - BITS;
  return ((red >> shift) << (2 * BITS)) | ((green >> shift) << BITS) | (blue >> shift);
}

/**
 * @param {number} cell
 * @param {number} color 0 for red, 1 for green, 2 for blue
 */
function along(cell, color) {
  return (cell >> ((2 - color) * BITS)) & (2 ** BITS - 1);
}

/**
 * @param {number[]} cells
 * @param {Uint32Array} counts
 * @returns {Box}
 */
function makeBox(cells, counts) {
  const sides = [0, 1, 2].map((color) => spread(cells, color));
  const side = Math.max(...sides);
  const count = cells.reduce((sum, cell) => sum + counts[cell], 0);
  return { cells, count, color: sides.indexOf(side), side };
}

/** @param {Box} box */
function weigh({ count, side }) {
  return count * side; // zero for a single cell, which cannot be cut
}

/**
 * @param {Box} box of at least two cells
 * @param {Uint32Array} counts
 * @returns {Box[]}
 */
function cut({ cells, count, color }, counts) {
  const sorted = [...cells].sort((a, b) => along(a, color) - along(b, color));
  let [at, sum] = [0, 0];
  while (at < sorted.length - 1 && (at === 0 || sum + counts[sorted[at]] <= count / 2)) {
    sum += counts[sorted[at++]];
  }
  return [makeBox(sorted.slice(0, at), counts), makeBox(sorted.slice(at), counts)];
}

/**
 * @param {number[]} cells
 * @param {number} color
 */
function spread(cells, color) {
  let [low, high] = [Infinity, -Infinity];
  for (const cell of cells) {
    const value = along(cell, color);
    [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  return high - low;
}

/**
 * @param {Box} box
 * @param {Float64Array} sums
 */
function meanColor({ cells, count }, sums) {
  return [0, 1, 2].map((color) =>
    Math.round(cells.reduce((sum, cell) => sum + sums[3 * cell + color], 0) / count),
  );
}

/**
 * @param {number[][]} colors
 * @param {number[]} wanted
 */
function nearestColor(colors, [red, green, blue]) {
  let [nearest, smallest] = [0, Infinity];
  colors.forEach((color, index) => {
    const square = (color[0] - red) ** 2 + (color[1] - green) ** 2 + (color[2] - blue) ** 2;
    if (square < smallest) {
      [nearest, smallest] = [index, square];
    }
  });
  return nearest;
}
