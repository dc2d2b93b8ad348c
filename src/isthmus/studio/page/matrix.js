/** Matrix products: weights packed once for the kernel, and `Gemm`. */

import { numberOf } from "./elementwise.js";
import { COLUMNS, PANELS, ROWS } from "./kernel.js";

/** @import { Kernel } from "./kernel.js" */
/** @import { Operator, Space } from "./space.js" */
/** @import { Tensor } from "./tensor.js" */

/**
 * Weights as `multiply` reads them: panels of rows, all rows of a panel for each term together.
 *
 * @typedef {Object} Packed
 * @property {number} weights address
 * @property {number} bias
 * @property {number} offsets of each term's row in the input
 * @property {number} depth terms
 * @property {number} rows
 */

/**
 * @param {Kernel} kernel
 * @param {number} rows
 * @param {ArrayLike<number>} offsets bytes from the input's start to each term's row
 * @param {(row: number, term: number) => number} weight
 * @param {(row: number) => number} bias
 * @returns {Packed}
 */
export function pack(kernel, rows, offsets, weight, bias) {
  const depth = offsets.length;
  const packed = new Float32Array(Math.ceil(rows / ROWS) * ROWS * depth);
  const biases = new Float32Array(Math.ceil(rows / ROWS) * ROWS);
  for (let row = 0; row < rows; row++) {
    const start = Math.floor(row / ROWS) * ROWS * depth + (row % ROWS);
    for (let term = 0; term < depth; term++) {
      packed[start + term * ROWS] = weight(row, term);
    }
    biases[row] = bias(row);
  }
  const [weights, start] = [kernel.keep(packed), kernel.keep(biases)];
  return { weights, bias: start, offsets: kernel.keepOffsets(offsets), depth, rows };
}

/**
 * Multiply packed weights by strips of an input.
 *
 * @param {Kernel} kernel
 * @param {Packed} packed
 * @param {number} input address
 * @param {number} output address
 * @param {number} pitch bytes between output rows
 * @param {{count: number, width: number, inputStep: number, outputStep: number}} strips
 *   how many, the columns of each (at least eight), and bytes from one to the next
 */
export function multiplyStrips(kernel, packed, input, output, pitch, strips) {
  const { weights, bias, offsets, depth, rows } = packed;
  const { multiply } = kernel.call;
  const { count, width, inputStep, outputStep } = strips;
  for (let row = 0; row < rows; row += ROWS) {
    const panel = weights + row * depth * 4;
    const to = output + row * pitch;
    const wanted = Math.min(ROWS, rows - row);
    for (let strip = 0; strip < count; strip++) {
      const from = input + strip * inputStep;
      const at = to + strip * outputStep;
      multiply(panel, offsets, from, at, bias + row * 4, depth, width, pitch, wanted);
    }
  }
}

/**
 * A matrix in panels of columns, for one row of numbers or many.
 *
 * @typedef {Object} Panels
 * @property {number} matrix address
 * @property {number} bias
 * @property {number} none a bias of zeros
 * @property {number} offsets
 * @property {number} depth
 * @property {number} columns
 * @property {number} count of panels
 */

/**
 * @param {Kernel} kernel
 * @param {Tensor} matrix
 * @param {boolean} isTransposed whether it is (columns, depth)
 * @param {number} scale
 * @param {(column: number) => number} bias
 * @returns {Panels}
 */
function packColumns(kernel, matrix, isTransposed, scale, bias) {
  const [depth, columns] = isTransposed ? [...matrix.shape].reverse() : matrix.shape;
  const count = Math.ceil(columns / COLUMNS / PANELS) * PANELS;
  const address = kernel.reserve(count * COLUMNS * depth * 4);
  const packed = kernel.floats(address, count * COLUMNS * depth);
  const [along, down] = isTransposed ? [depth, 1] : [1, columns];
  const { data } = matrix;
  for (let column = 0; column < columns; column++) {
    let to = Math.floor(column / COLUMNS) * COLUMNS * depth + (column % COLUMNS);
    let from = column * along;
    for (let term = 0; term < depth; term++, to += COLUMNS, from += down) {
      packed[to] = data[from] * scale;
    }
  }
  const biases = new Float32Array(count * COLUMNS).map((_, i) => (i < columns ? bias(i) : 0));
  const offsets = Int32Array.from({ length: depth }, (_, term) => term * COLUMNS * 4);
  return {
    matrix: address,
    bias: kernel.keep(biases),
    none: kernel.keep(new Float32Array(ROWS)),
    offsets: kernel.keepOffsets(offsets),
    depth,
    columns,
    count,
  };
}

/** @type {Operator} */
function gemm(node, [a, b, c], space) {
  const isPlain = b.isConstant && !numberOf(node, "transA", 0);
  if (!isPlain || (c && (!c.isConstant || c.shape.length > 1))) {
    throw new Error("The page multiplies by constant matrices only.");
  }
  const [alpha, beta] = [numberOf(node, "alpha", 1), numberOf(node, "beta", 1)];
  const bias = (/** @type {number} */ i) => (c ? beta * c.data[c.size === 1 ? 0 : i] : 0);
  const isTransposed = numberOf(node, "transB", 0) === 1;
  const panels = space.once(node, () => packColumns(space.kernel, b, isTransposed, alpha, bias));
  const y = space.tensor([a.shape[0], panels.columns]);
  space.inMemory(a);
  const compute = a.shape[0] < ROWS ? byRow : byBlock;
  return { outputs: [y], run: compute(a, y, panels, space) };
}

/**
 * @param {Tensor} a
 * @param {Tensor} y
 * @param {Panels} panels
 * @param {Space} space
 */
function byRow(a, y, panels, space) {
  const { matrix, bias, depth, columns, count } = panels;
  const { combine } = space.kernel.call;
  return () => {
    for (let row = 0; row < a.shape[0]; row++) {
      // What a row writes beyond its end is overwritten by the next one.
      const [from, to] = [a.address + row * depth * 4, y.address + row * columns * 4];
      combine(matrix, from, to, bias, depth, count);
    }
  };
}

/**
 * Six rows at a time, so that the matrix is read once for all of them.
 *
 * @param {Tensor} a
 * @param {Tensor} y
 * @param {Panels} panels
 * @param {Space} space
 */
function byBlock(a, y, panels, space) {
  const { matrix, bias, none, offsets, depth, columns, count } = panels;
  const { kernel } = space;
  const packed = space.tensor([ROWS * depth]);
  const block = space.tensor([ROWS, count * COLUMNS]);
  const pitch = count * COLUMNS * 4;
  return () => {
    const biases = kernel.floats(bias, columns);
    for (let row = 0; row < a.shape[0]; row += ROWS) {
      const rows = Math.min(ROWS, a.shape[0] - row);
      for (let i = 0; i < rows; i++) {
        for (let term = 0; term < depth; term++) {
          packed.data[term * ROWS + i] = a.data[(row + i) * depth + term];
        }
      }
      for (let panel = 0; panel < count; panel++) {
        const from = matrix + panel * COLUMNS * depth * 4;
        const to = block.address + panel * COLUMNS * 4;
        kernel.call.multiply(
          packed.address, offsets, from, to, none, depth, COLUMNS, pitch, rows);
      }
      for (let i = 0; i < rows; i++) {
        for (let column = 0; column < columns; column++) {
          y.data[(row + i) * columns + column] =
            block.data[i * count * COLUMNS + column] + biases[column];
        }
      }
    }
  };
}

/** @type {Record<string, Operator>} */
export const MATRIX = { Gemm: gemm };
