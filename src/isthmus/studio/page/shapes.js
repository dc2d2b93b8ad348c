/** Operators that move, pick or name numbers without computing with them. */

import { numberOf } from "./elementwise.js";
import { INTEGER, Tensor, product, stridesOf } from "./tensor.js";

/** @import { GraphNode } from "./onnx.js" */
/** @import { Operator, Space, Step } from "./space.js" */

/**
 * The numbers of an input or, as older versions of an operator have them, of an attribute.
 *
 * @param {GraphNode} node
 * @param {string} name
 * @param {Tensor | undefined} input
 * @returns {number[] | null}
 */
export function listOf(node, name, input) {
  if (input && !input.isConstant) {
    throw new Error(`The page computes ${node.operator} with constant ${name} only.`);
  }
  const list = input ? [...input.data] : node.attributes[name];
  return list ? /** @type {number[]} */ (list) : null;
}

/**
 * @param {number} axis counted from the end when negative
 * @param {number} rank
 */
export function fromStart(axis, rank) {
  return axis < 0 ? axis + rank : axis;
}

/** @type {Operator} */
function reshape(node, [x, sizes], space) {
  const wanted = listOf(node, "shape", sizes) ?? [];
  const keepsZero = numberOf(node, "allowzero", 0) === 1;
  const shape = wanted.map((size, axis) => (size === 0 && !keepsZero ? x.shape[axis] : size));
  const open = shape.indexOf(-1);
  if (open >= 0) {
    shape[open] = x.size / product(shape.filter((size) => size !== -1));
  }
  return named(x, shape, space);
}

/** @type {Operator} */
function squeeze(node, [x, axes], space) {
  const list = listOf(node, "axes", axes)?.map((axis) => fromStart(axis, x.shape.length));
  const isLeft = (/** @type {number} */ size, /** @type {number} */ axis) =>
    list ? !list.includes(axis) : size !== 1;
  return named(x, x.shape.filter(isLeft), space);
}

/** @type {Operator} */
function unsqueeze(node, [x, axes], space) {
  const list = listOf(node, "axes", axes) ?? [];
  const rank = x.shape.length + list.length;
  const added = list.map((axis) => fromStart(axis, rank));
  const sizes = [...x.shape];
  const shape = Array.from({ length: rank }, (_, axis) =>
    added.includes(axis) ? 1 : /** @type {number} */ (sizes.shift()),
  );
  return named(x, shape, space);
}

/**
 * @param {Tensor} x
 * @param {number[]} shape
 * @param {Space} space
 * @returns {Step}
 */
function named(x, shape, space) {
  return { outputs: [space.alias(x, shape)], run() {} };
}

/** @type {Operator} */
function shapeOf(node, [x], space) {
  const end = numberOf(node, "end", x.shape.length);
  const part = x.shape.slice(numberOf(node, "start", 0), end);
  const y = space.tensor([part.length], INTEGER);
  return { outputs: [y], run: () => y.data.set(part) };
}

/** @type {Operator} */
function transpose(node, [x], space) {
  const axes = [...x.shape.keys()].reverse();
  const order = /** @type {number[]} */ (node.attributes.perm ?? axes);
  const strides = stridesOf(x.shape);
  const shape = order.map((axis) => x.shape[axis]);
  return picked(x, shape, order.map((axis) => strides[axis]), 0, space);
}

/** @type {Operator} */
function depthToSpace(node, [x], space) {
  const size = numberOf(node, "blocksize", 1);
  const [n, c, h, w] = x.shape;
  const channels = c / size ** 2;
  const plane = h * w;
  // Blocks are the last part of the channels in the mode CRD and the first in the mode DCR.
  const isLast = node.attributes.mode === "CRD";
  const [channel, block] = isLast ? [plane * size ** 2, plane] : [plane, plane * channels];
  const shape = [n, channels, h, size, w, size];
  const strides = [c * plane, channel, w, block * size, 1, block];
  const step = picked(x, shape, strides, 0, space);
  step.outputs[0].shape = [n, channels, h * size, w * size];
  return step;
}

/** @type {Operator} */
function slice(node, [x, starts, ends, axes, steps], space) {
  const [from, to] = [listOf(node, "starts", starts) ?? [], listOf(node, "ends", ends) ?? []];
  const which = listOf(node, "axes", axes) ?? [...from.keys()];
  const by = listOf(node, "steps", steps) ?? from.map(() => 1);
  const [shape, strides] = [[...x.shape], stridesOf(x.shape)];
  let start = 0;
  which.forEach((given, i) => {
    const axis = fromStart(given, shape.length);
    const size = x.shape[axis];
    const low = by[i] > 0 ? 0 : -1;
    const clamp = (/** @type {number} */ at) =>
      Math.min(Math.max(at < 0 ? at + size : at, low), size + low);
    const [first, end] = [clamp(from[i]), clamp(to[i])];
    shape[axis] = Math.max(0, Math.ceil((end - first) / by[i]));
    start += first * strides[axis];
    strides[axis] *= by[i];
  });
  return picked(x, shape, strides, start, space);
}

/**
 * A copy of the numbers at even steps along each axis.
 *
 * @param {Tensor} x
 * @param {number[]} shape
 * @param {number[]} strides
 * @param {number} start
 * @param {Space} space
 * @returns {Step}
 */
function picked(x, shape, strides, start, space) {
  const y = space.tensor(shape, x.type);
  const [count, step] = [shape[shape.length - 1] ?? 1, strides[strides.length - 1] ?? 1];
  const starts = rowsOf(shape.slice(0, -1), strides, start);
  const run = () => {
    const [from, to] = [x.data, y.data];
    for (let row = 0, at = 0; row < starts.length; row++) {
      for (let i = 0, place = starts[row]; i < count; i++, at++, place += step) {
        to[at] = from[place];
      }
    }
  };
  return { outputs: [y], run };
}

/**
 * @param {number[]} shape
 * @param {number[]} strides
 * @param {number} start
 */
function rowsOf(shape, strides, start) {
  let starts = [start];
  shape.forEach((size, axis) => {
    const steps = Array.from({ length: size }, (_, i) => i * strides[axis]);
    starts = starts.flatMap((first) => steps.map((step) => first + step));
  });
  return Int32Array.from(starts);
}

/** @type {Operator} */
function gather(node, [x, indices], space) {
  const axis = fromStart(numberOf(node, "axis", 0), x.shape.length);
  const [before, size] = [product(x.shape.slice(0, axis)), x.shape[axis]];
  const after = product(x.shape.slice(axis + 1));
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  const y = space.tensor(shape, x.type);
  const run = () => {
    let at = 0;
    for (let outer = 0; outer < before; outer++) {
      for (let k = 0; k < indices.size; k++) {
        const index = fromStart(indices.data[k], size);
        for (let i = 0; i < after; i++, at++) {
          y.data[at] = x.data[(outer * size + index) * after + i];
        }
      }
    }
  };
  return { outputs: [y], run };
}

/** @type {Operator} */
function concat(node, inputs, space) {
  const axis = fromStart(numberOf(node, "axis", 0), inputs[0].shape.length);
  const shape = [...inputs[0].shape];
  shape[axis] = inputs.reduce((sum, x) => sum + x.shape[axis], 0);
  const y = space.tensor(shape, inputs[0].type);
  const rows = product(shape.slice(0, axis));
  const run = () => {
    for (let row = 0, at = 0; row < rows; row++) {
      for (const x of inputs) {
        const size = x.size / rows;
        y.data.set(x.data.subarray(row * size, (row + 1) * size), at);
        at += size;
      }
    }
  };
  return { outputs: [y], run };
}

/** @type {Operator} */
function range(node, [start, limit, step], space) {
  if (![start, limit, step].every((input) => input.isConstant)) {
    throw new Error("The page computes Range with constant limits only.");
  }
  const [first, end, by] = [start.data[0], limit.data[0], step.data[0]];
  const y = space.tensor([Math.max(0, Math.ceil((end - first) / by))], start.type);
  return { outputs: [y], run: () => y.data.set(y.data.map((_, i) => first + i * by)) };
}

/** @type {Operator} */
function triangle(node, [x, diagonal], space) {
  const offset = diagonal ? diagonal.data[0] : 0;
  const isUpper = numberOf(node, "upper", 1) === 1;
  const [height, width] = x.shape.slice(-2);
  const y = space.tensor(x.shape, x.type);
  const run = () => {
    for (let i = 0; i < x.size; i++) {
      const over = (i % width) - (Math.floor(i / width) % height) - offset;
      y.data[i] = (isUpper ? over >= 0 : over <= 0) ? x.data[i] : 0;
    }
  };
  return { outputs: [y], run };
}

/** @type {Operator} */
function pad(node, [x, pads, value], space) {
  const widths = listOf(node, "pads", pads) ?? [];
  const mode = node.attributes.mode ?? "constant";
  const rank = x.shape.length;
  const shape = x.shape.map((size, axis) => size + widths[axis] + widths[axis + rank]);
  if (widths.every((width) => width === 0)) {
    return named(x, shape, space);
  }
  if (mode !== "constant" && mode !== "edge") {
    throw new Error(`The page does not pad in the mode ${mode}.`);
  }
  const y = space.tensor(shape, x.type);
  const sources = sourcesOf(x, shape, widths, mode === "edge");
  const outside = value ? value.data[0] : 0;
  const run = () => {
    for (let i = 0; i < sources.length; i++) {
      y.data[i] = sources[i] < 0 ? outside : x.data[sources[i]];
    }
  };
  return { outputs: [y], run };
}

/**
 * Where each number of a padded tensor comes from; -1 for none.
 *
 * @param {Tensor} x
 * @param {number[]} shape
 * @param {number[]} widths
 * @param {boolean} repeats the edge
 */
function sourcesOf(x, shape, widths, repeats) {
  const [from, to] = [stridesOf(x.shape), stridesOf(shape)];
  return Int32Array.from({ length: product(shape) }, (_, i) => {
    let source = 0;
    for (let axis = 0; axis < shape.length; axis++) {
      const at = (Math.floor(i / to[axis]) % shape[axis]) - widths[axis];
      const inside = Math.min(Math.max(at, 0), x.shape[axis] - 1);
      if (inside !== at && !repeats) {
        return -1;
      }
      source += inside * from[axis];
    }
    return source;
  });
}

/** @type {Operator} */
function resize(node, [x, , scales], space) {
  const { mode, coordinate_transformation_mode: places, nearest_mode: rounds } = node.attributes;
  const by = listOf(node, "scales", scales) ?? [];
  const isFlat = by.slice(0, -2).some((scale) => scale !== 1) || by.length !== x.shape.length;
  if (mode !== "nearest" || places !== "asymmetric" || rounds !== "floor" || isFlat) {
    throw new Error("The page resizes the last two axes to the nearest number before only.");
  }
  const y = space.tensor(x.shape.map((size, axis) => Math.floor(size * by[axis])), x.type);
  const [height, width] = x.shape.slice(-2);
  const [rows, columns] = y.shape.slice(-2).map((size, axis) =>
    Int32Array.from({ length: size }, (_, i) => Math.floor(i / by[by.length - 2 + axis])),
  );
  const run = () => {
    const [from, to] = [x.data, y.data];
    for (let plane = 0, at = 0; at < y.size; plane++) {
      for (let row = 0; row < rows.length; row++) {
        const start = (plane * height + rows[row]) * width;
        for (let column = 0; column < columns.length; column++, at++) {
          to[at] = from[start + columns[column]];
        }
      }
    }
  };
  return { outputs: [y], run };
}

/** @type {Record<string, Operator>} */
export const SHAPES = {
  Identity: (node, [x], space) => named(x, x.shape, space),
  Resize: resize,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Shape: shapeOf,
  Transpose: transpose,
  DepthToSpace: depthToSpace,
  Slice: slice,
  Gather: gather,
  Concat: concat,
  Range: range,
  Trilu: triangle,
  Pad: pad,
};
