/** Operators that treat every number alike: activations, arithmetic with broadcasting, casts. */

import { FLOAT, product, stridesOf } from "./tensor.js";

/** @import { GraphNode } from "./onnx.js" */
/** @import { Operator } from "./space.js" */
/** @import { Numbers, Tensor } from "./tensor.js" */

const SELU_ALPHA = 1.67326319217681884765625;
const SELU_GAMMA = 1.05070102214813232421875;

/**
 * @param {GraphNode} node
 * @param {string} name
 * @param {number} otherwise
 */
export function numberOf(node, name, otherwise) {
  return /** @type {number} */ (node.attributes[name] ?? otherwise);
}

/**
 * Make an operator of a function from the numbers of the input to those of the output.
 *
 * @param {(x: Numbers, y: Numbers, node: GraphNode) => void} compute
 * @returns {Operator}
 */
function each(compute) {
  return (node, [x], space) => {
    const y = space.tensor(x.shape, x.type);
    return { outputs: [y], run: () => compute(x.data, y.data, node) };
  };
}

const relu = each((x, y) => {
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    y[i] = value < 0 ? 0 : value;
  }
});

const elu = each((x, y, node) => {
  const alpha = numberOf(node, "alpha", 1);
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    y[i] = value > 0 ? value : alpha * Math.expm1(value);
  }
});

const selu = each((x, y, node) => {
  const alpha = numberOf(node, "alpha", SELU_ALPHA);
  const gamma = numberOf(node, "gamma", SELU_GAMMA);
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    y[i] = gamma * (value > 0 ? value : alpha * Math.expm1(value));
  }
});

const squareRoot = each((x, y) => {
  for (let i = 0; i < x.length; i++) {
    y[i] = Math.sqrt(x[i]);
  }
});

const reciprocal = each((x, y) => {
  for (let i = 0; i < x.length; i++) {
    y[i] = 1 / x[i];
  }
});

// Adding and taking away a number whose neighbors are one apart rounds half to even.
const STEP = 1.5 * 2 ** 52;

const round = each((x, y) => {
  for (let i = 0; i < x.length; i++) {
    y[i] = x[i] + STEP - STEP;
  }
});

/** @type {Operator} */
function clip(node, [x, low, high], space) {
  const y = space.tensor(x.shape, x.type);
  const lowest = low ? low.data[0] : -Infinity;
  const highest = high ? high.data[0] : Infinity;
  const run = () => {
    const from = x.data;
    const to = y.data;
    for (let i = 0; i < from.length; i++) {
      const value = from[i];
      to[i] = value < lowest ? lowest : value > highest ? highest : value;
    }
  };
  return { outputs: [y], run };
}

/** @type {Operator} */
function gelu(node, [x], space) {
  if ((node.attributes.approximate ?? "none") !== "none") {
    throw new Error("The page computes GELU exactly, not by its approximation.");
  }
  const y = space.tensor(x.shape);
  const { call } = space.kernel;
  space.inMemory(x);
  return { outputs: [y], run: () => call.gelu(x.address, y.address, x.size) };
}

/** @type {Operator} */
function sigmoid(node, [x], space) {
  const y = space.tensor(x.shape);
  const { call } = space.kernel;
  space.inMemory(x);
  return { outputs: [y], run: () => call.sigmoid(x.address, y.address, x.size) };
}

/** @type {Operator} */
function cast(node, [x], space) {
  const type = numberOf(node, "to", FLOAT);
  if (type === x.type) {
    return { outputs: [space.alias(x, x.shape)], run() {} };
  }
  const y = space.tensor(x.shape, type);
  const run = () => {
    const from = x.data;
    const to = y.data;
    for (let i = 0; i < from.length; i++) {
      to[i] = from[i];
    }
  };
  return { outputs: [y], run };
}

/** @typedef {(a: Numbers, p: number, da: number, b: Numbers, q: number, db: number, y: Numbers,
 *   start: number, count: number) => void} Row */

// Each loop is written out: one that called a function would cost several times as much.

/** @type {Record<string, Row>} */
const ROWS = {
  Add(a, p, da, b, q, db, y, start, count) {
    for (let i = 0; i < count; i++) {
      y[start + i] = a[p + i * da] + b[q + i * db];
    }
  },
  Sub(a, p, da, b, q, db, y, start, count) {
    for (let i = 0; i < count; i++) {
      y[start + i] = a[p + i * da] - b[q + i * db];
    }
  },
  Mul(a, p, da, b, q, db, y, start, count) {
    for (let i = 0; i < count; i++) {
      y[start + i] = a[p + i * da] * b[q + i * db];
    }
  },
  Div(a, p, da, b, q, db, y, start, count) {
    for (let i = 0; i < count; i++) {
      y[start + i] = a[p + i * da] / b[q + i * db];
    }
  },
  Pow(a, p, da, b, q, db, y, start, count) {
    for (let i = 0; i < count; i++) {
      y[start + i] = a[p + i * da] ** b[q + i * db];
    }
  },
};

/**
 * Make an operator of two inputs, whose shapes are broadcast.
 *
 * @param {Row} compute one row
 * @returns {Operator}
 */
function both(compute) {
  return (node, [a, b], space) => {
    const shape = broadcast(a.shape, b.shape);
    const y = space.tensor(shape, a.type);
    const axes = joinAxes(shape, spread(a, shape), spread(b, shape));
    const [count, da, db] = axes.pop() ?? [1, 0, 0];
    const rows = rowStarts(axes);
    const run = () => {
      for (let row = 0; row < rows.length; row += 2) {
        compute(a.data, rows[row], da, b.data, rows[row + 1], db, y.data, (row / 2) * count, count);
      }
    };
    return { outputs: [y], run };
  };
}

/**
 * The shape of two shapes' numbers, where an axis of one goes with any.
 *
 * @param {number[]} a
 * @param {number[]} b
 */
function broadcast(a, b) {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const one = a[axis - rank + a.length] ?? 1;
    const other = b[axis - rank + b.length] ?? 1;
    if (one !== other && one !== 1 && other !== 1) {
      throw new Error(`The shapes (${a}) and (${b}) do not go together.`);
    }
    return one === 1 ? other : one;
  });
}

/**
 * The strides of a tensor along the axes of a broadcast shape: zero where it is repeated.
 *
 * @param {Tensor} tensor
 * @param {number[]} shape
 */
function spread(tensor, shape) {
  const missing = shape.length - tensor.shape.length;
  const strides = stridesOf(tensor.shape);
  return shape.map((_, axis) =>
    axis < missing || tensor.shape[axis - missing] === 1 ? 0 : strides[axis - missing],
  );
}

/**
 * Join axes that both inputs step through evenly, so that rows are long.
 *
 * @param {number[]} shape
 * @param {number[]} a strides
 * @param {number[]} b
 * @returns {number[][]} size and both strides of each axis left
 */
function joinAxes(shape, a, b) {
  /** @type {number[][]} */
  const axes = [];
  for (let axis = 0; axis < shape.length; axis++) {
    const last = axes[axes.length - 1];
    if (shape[axis] === 1) {
      continue;
    }
    if (last && last[1] === a[axis] * shape[axis] && last[2] === b[axis] * shape[axis]) {
      axes[axes.length - 1] = [last[0] * shape[axis], a[axis], b[axis]];
    } else {
      axes.push([shape[axis], a[axis], b[axis]]);
    }
  }
  return axes;
}

/**
 * Where each row starts in both inputs.
 *
 * @param {number[][]} axes
 */
function rowStarts(axes) {
  const count = product(axes.map(([size]) => size));
  const starts = new Int32Array(2 * count);
  for (let row = 0; row < count; row++) {
    let rest = row;
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      const [size, a, b] = axes[axis];
      starts[2 * row] += (rest % size) * a;
      starts[2 * row + 1] += (rest % size) * b;
      rest = Math.floor(rest / size);
    }
  }
  return starts;
}

/** @type {Record<string, Operator>} */
export const ELEMENTWISE = {
  Relu: relu,
  Elu: elu,
  Selu: selu,
  Sqrt: squareRoot,
  Reciprocal: reciprocal,
  Round: round,
  Clip: clip,
  Gelu: gelu,
  Sigmoid: sigmoid,
  Cast: cast,
  Add: both(ROWS.Add),
  Sub: both(ROWS.Sub),
  Mul: both(ROWS.Mul),
  Div: both(ROWS.Div),
  Pow: both(ROWS.Pow),
};
