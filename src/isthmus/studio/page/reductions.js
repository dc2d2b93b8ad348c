/** Operators that look at several numbers for each answer: pooling, means, softmax. */

import { geometryOf, outputSides } from "./convolution.js";
import { numberOf } from "./elementwise.js";
import { fromStart, listOf } from "./shapes.js";
import { INTEGER, product } from "./tensor.js";

/** @import { Operator } from "./space.js" */
/** @import { Tensor } from "./tensor.js" */

/** @type {Operator} */
function maxPool(node, [x], space) {
  const kernel = /** @type {number[]} */ (node.attributes.kernel_shape);
  const g = geometryOf(node, x.shape, kernel);
  const ceils = numberOf(node, "ceil_mode", 0) === 1;
  const [height, width] = outputSides(g, ceils ? Math.ceil : Math.floor);
  const planes = g.samples * g.channels;
  const sides = x.shape.length === 3 ? [width] : [height, width];
  const y = space.tensor([g.samples, g.channels, ...sides], x.type);
  const [kh, kw] = g.kernel;
  const run = () => {
    const [from, to] = [x.data, y.data];
    let at = 0;
    for (let plane = 0; plane < planes; plane++) {
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++, at++) {
          let most = -Infinity;
          for (let i = 0; i < kh; i++) {
            const line = row * g.strides[0] + i * g.dilations[0] - g.pads[0];
            for (let j = 0; j < kw && line >= 0 && line < g.height; j++) {
              const place = column * g.strides[1] + j * g.dilations[1] - g.pads[1];
              if (place >= 0 && place < g.width) {
                const value = from[(plane * g.height + line) * g.width + place];
                most = value > most ? value : most;
              }
            }
          }
          to[at] = most;
        }
      }
    }
  };
  return { outputs: [y], run };
}

/** @type {Operator} */
function batchNormalization(node, [x, scale, shift, mean, variance], space) {
  const epsilon = numberOf(node, "epsilon", 1e-5);
  const y = space.tensor(x.shape);
  const channels = x.shape[1];
  const plane = product(x.shape.slice(2));
  const factor = Float64Array.from({ length: channels }, (_, c) =>
    scale.data[c] / Math.sqrt(variance.data[c] + epsilon),
  );
  const run = () => {
    const [from, to] = [x.data, y.data];
    for (let start = 0, i = 0; start < x.size; start += plane) {
      const channel = (start / plane) % channels;
      const [f, m, s] = [factor[channel], mean.data[channel], shift.data[channel]];
      for (const end = start + plane; i < end; i++) {
        to[i] = (from[i] - m) * f + s;
      }
    }
  };
  return { outputs: [y], run };
}

/**
 * Sizes before, along and after an axis.
 *
 * @param {Tensor} x
 * @param {number} given
 */
function around(x, given) {
  const axis = fromStart(given, x.shape.length);
  const before = product(x.shape.slice(0, axis));
  return { axis, before, size: x.shape[axis], after: product(x.shape.slice(axis + 1)) };
}

/** @type {Operator} */
function softmax(node, [x], space) {
  const { before, size, after } = around(x, numberOf(node, "axis", -1));
  const y = space.tensor(x.shape);
  const run = () => {
    for (let outer = 0; outer < before; outer++) {
      for (let inner = 0; inner < after; inner++) {
        softmaxOf(x, y, outer * size * after + inner, size, after);
      }
    }
  };
  return { outputs: [y], run };
}

/**
 * @param {Tensor} x
 * @param {Tensor} y
 * @param {number} start
 * @param {number} size
 * @param {number} step
 */
function softmaxOf(x, y, start, size, step) {
  const [from, to] = [x.data, y.data];
  const end = start + size * step;
  let most = -Infinity;
  for (let i = start; i < end; i += step) {
    most = Math.max(most, from[i]);
  }
  let sum = 0;
  for (let i = start; i < end; i += step) {
    to[i] = Math.exp(from[i] - most);
    sum += to[i];
  }
  for (let i = start; i < end; i += step) {
    to[i] /= sum;
  }
}

/** @type {Operator} */
function argMax(node, [x], space) {
  const { axis, before, size, after } = around(x, numberOf(node, "axis", 0));
  const shape = [...x.shape];
  shape.splice(axis, 1, ...(numberOf(node, "keepdims", 1) ? [1] : []));
  const y = space.tensor(shape, INTEGER);
  const isLast = numberOf(node, "select_last_index", 0) === 1;
  const run = () => {
    for (let i = 0; i < before * after; i++) {
      const start = Math.floor(i / after) * size * after + (i % after);
      let best = 0;
      for (let k = 1; k < size; k++) {
        const difference = x.data[start + k * after] - x.data[start + best * after];
        best = difference > 0 || (isLast && difference === 0) ? k : best;
      }
      y.data[i] = best;
    }
  };
  return { outputs: [y], run };
}

/** @type {Operator} */
function reduceMean(node, [x, axes], space) {
  const rank = x.shape.length;
  const list = (listOf(node, "axes", axes) ?? [...x.shape.keys()]).map((a) => fromStart(a, rank));
  const isLast = list.every((axis) => axis >= rank - list.length);
  if (!isLast) {
    throw new Error("The page computes the mean over the last axes only.");
  }
  const [kept, joined] = [x.shape.slice(0, -list.length), x.shape.slice(-list.length)];
  const count = product(joined);
  const ones = numberOf(node, "keepdims", 1) ? joined.map(() => 1) : [];
  const y = space.tensor([...kept, ...ones]);
  const run = () => {
    for (let i = 0; i < y.data.length; i++) {
      let sum = 0;
      for (let k = i * count; k < (i + 1) * count; k++) {
        sum += x.data[k];
      }
      y.data[i] = sum / count;
    }
  };
  return { outputs: [y], run };
}

/** @type {Record<string, Operator>} */
export const REDUCTIONS = {
  MaxPool: maxPool,
  BatchNormalization: batchNormalization,
  Softmax: softmax,
  ArgMax: argMax,
  ReduceMean: reduceMean,
};
