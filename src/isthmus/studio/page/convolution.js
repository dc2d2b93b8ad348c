/**
 * Convolutions, with one or two axes, and their transposes.
 *
 * A convolution that moves by one is a product of its weights and shifted views of the padded
 * input, which the kernel reads where they are. One that moves further reads columns that are
 * copied first. A transposed one that moves by s is s x s convolutions that move by one, each for
 * every s-th row and column of the output.
 */

import { numberOf } from "./elementwise.js";
import { COLUMNS } from "./kernel.js";
import { multiplyStrips, pack } from "./matrix.js";

/** @import { GraphNode } from "./onnx.js" */
/** @import { Operator, Space } from "./space.js" */
/** @import { Packed } from "./matrix.js" */
/** @import { Numbers, Tensor } from "./tensor.js" */

/**
 * @typedef {Object} Geometry
 * @property {number} samples
 * @property {number} channels of the input
 * @property {number} height
 * @property {number} width
 * @property {number[]} kernel height and width
 * @property {number[]} strides
 * @property {number[]} dilations
 * @property {number[]} pads top, left, bottom, right
 * @property {number} groups
 */

/**
 * The sizes of a convolution or a pooling; one with a single axis has a height of one.
 *
 * @param {GraphNode} node
 * @param {number[]} shape of the input
 * @param {number[]} kernel
 * @returns {Geometry}
 */
export function geometryOf(node, shape, kernel) {
  const axes = shape.length - 2;
  if (axes < 1 || axes > 2 || (node.attributes.auto_pad ?? "NOTSET") !== "NOTSET") {
    throw new Error(`The page computes ${node.operator} with one or two axes and given pads only.`);
  }
  const list = (/** @type {string} */ name, /** @type {number} */ otherwise) => {
    const given = /** @type {number[]} */ (node.attributes[name] ?? Array(axes).fill(otherwise));
    return axes === 1 ? [otherwise, ...given] : given;
  };
  const pads = /** @type {number[]} */ (node.attributes.pads ?? Array(2 * axes).fill(0));
  return {
    samples: shape[0],
    channels: shape[1],
    height: axes === 1 ? 1 : shape[2],
    width: shape[axes + 1],
    kernel: axes === 1 ? [1, ...kernel] : kernel,
    strides: list("strides", 1),
    dilations: list("dilations", 1),
    pads: axes === 1 ? [0, pads[0], 0, pads[1]] : pads,
    groups: numberOf(node, "group", 1),
  };
}

/**
 * How many places a window has along both axes.
 *
 * @param {Geometry} g
 * @param {(count: number) => number} rounded
 */
export function outputSides(g, rounded = Math.floor) {
  return [g.height, g.width].map((side, axis) => {
    const reach = g.dilations[axis] * (g.kernel[axis] - 1) + 1;
    return rounded((side + g.pads[axis] + g.pads[axis + 2] - reach) / g.strides[axis]) + 1;
  });
}

/** @type {Operator} */
function convolution(node, inputs, space) {
  const [x, weights, bias] = constantWeights(node, inputs);
  const g = geometryOf(node, x.shape, weights.shape.slice(2));
  const [height, width] = outputSides(g);
  const y = space.tensor([g.samples, weights.shape[0], ...sidesLike(x, height, width)]);
  space.inMemory(x);
  const isStepping = g.strides.some((stride) => stride > 1);
  const compute = isStepping ? byColumns : byShifts;
  return { outputs: [y], run: compute(node, x, y, weights, bias, g, [height, width], space) };
}

/**
 * @param {GraphNode} node
 * @param {Tensor[]} inputs
 */
function constantWeights(node, inputs) {
  if (!inputs.slice(1).every((input) => input.isConstant)) {
    throw new Error(`The page computes ${node.operator} with constant weights only.`);
  }
  return inputs;
}

/**
 * @param {Tensor} x
 * @param {number} height
 * @param {number} width
 */
function sidesLike(x, height, width) {
  return x.shape.length === 3 ? [width] : [height, width];
}

/**
 * @typedef {(node: GraphNode, x: Tensor, y: Tensor, weights: Tensor, bias: Tensor | undefined,
 *   g: Geometry, sides: number[], space: Space) => () => void} Method
 */

/** @type {Method} */
function byShifts(node, x, y, weights, bias, g, [height, width], space) {
  const [kh, kw] = g.kernel;
  const taps = Array.from({ length: kh * kw }, (_, i) => ({
    down: Math.floor(i / kw) * g.dilations[0] - g.pads[0],
    right: (i % kw) * g.dilations[1] - g.pads[1],
    index: i,
  }));
  const [rows, channels] = [weights.shape[0] / g.groups, g.channels / g.groups];
  const { data } = weights;
  const shifted = new Shifts(x, g, taps, [height, width], space);
  const packed = space.once(node, () =>
    eachGroup(g, (group) => {
      const first = group * rows;
      return shifted.pack(
        rows,
        channels,
        (row, channel, i) => data[((first + row) * channels + channel) * kh * kw + i],
        (row) => (bias ? bias.data[first + row] : 0),
      );
    }),
  );
  shifted.prepare(rows);
  return () => {
    for (let sample = 0; sample < g.samples; sample++) {
      shifted.load(sample);
      packed.forEach((one, group) => {
        shifted.multiply(one, group * channels, y, (sample * g.groups + group) * rows);
      });
    }
  };
}

/**
 * @template T
 * @param {Geometry} g
 * @param {(group: number) => T} make
 */
function eachGroup(g, make) {
  return Array.from({ length: g.groups }, (_, group) => make(group));
}

/** @typedef {{down: number, right: number, index: number}} Tap a shift, and the weight's index */

/** Shifted views of a padded sample, and the products with them. */
class Shifts {
  /**
   * @param {Tensor} x
   * @param {Geometry} g
   * @param {Tap[]} taps
   * @param {number[]} sides of the output
   * @param {Space} space
   * @param {number[]} [strides] of the output's rows and columns in the tensor it goes to
   * @param {number[]} [firsts] row and column there
   */
  constructor(x, g, taps, [height, width], space, strides = [1, 1], firsts = [0, 0]) {
    const [down, right] = [taps.map((tap) => tap.down), taps.map((tap) => tap.right)];
    this.x = x;
    this.g = g;
    this.taps = taps;
    this.space = space;
    this.height = height;
    this.width = width;
    this.strides = strides;
    this.firsts = firsts;
    this.top = Math.max(0, -Math.min(0, ...down));
    this.left = Math.max(0, -Math.min(0, ...right));
    this.paddedHeight = Math.max(this.top + g.height, this.top + Math.max(0, ...down) + height);
    this.pitch = Math.max(this.left + g.width, this.left + Math.max(0, ...right) + width);
    this.plane = this.paddedHeight * this.pitch;
    const isPadded = this.plane !== g.height * g.width;
    this.padded = isPadded ? space.tensor([g.channels * this.plane]) : null;
    this.input = 0;
    /** @type {Tensor | null} */
    this.block = null;
    // One strip for each row, or one for all where rows are short or follow each other.
    const isWhole = this.pitch === width;
    const isFlat = isWhole || width < COLUMNS;
    const flat = Math.max(COLUMNS, (height - 1) * this.pitch + width);
    const isEven = strides.every((stride) => stride === 1);
    this.strips = isFlat
      ? { count: 1, width: flat, inputStep: 0, outputStep: 0 }
      : { count: height, width, inputStep: this.pitch * 4, outputStep: width * 4 };
    this.isDirect = isEven && (isWhole ? height * width >= COLUMNS : !isFlat);
    this.outputPitch = isFlat ? this.pitch : width; // from one row of the output to the next
    this.outputPlane = isFlat ? flat : height * width;
  }

  /**
   * @param {number} rows
   * @param {number} channels
   * @param {(row: number, channel: number, index: number) => number} weight
   * @param {(row: number) => number} bias
   */
  pack(rows, channels, weight, bias) {
    const { taps, plane, pitch, top, left } = this;
    const count = taps.length;
    const offsets = Int32Array.from({ length: channels * count }, (_, term) => {
      const tap = taps[term % count];
      const channel = Math.floor(term / count);
      return 4 * (channel * plane + (tap.down + top) * pitch + tap.right + left);
    });
    const of = (/** @type {number} */ row, /** @type {number} */ term) => {
      const { index } = taps[term % count];
      return index < 0 ? 0 : weight(row, Math.floor(term / count), index);
    };
    return pack(this.space.kernel, rows, offsets, of, bias);
  }

  /**
   * Where products are written that have to be spread over the output.
   *
   * @param {number} rows
   */
  prepare(rows) {
    this.block = this.isDirect ? null : this.space.tensor([rows * this.outputPlane]);
  }

  /**
   * Pad a sample.
   *
   * @param {number} sample
   */
  load(sample) {
    const { x, g, padded, pitch } = this;
    const size = g.channels * g.height * g.width;
    if (!padded) {
      this.input = x.address + sample * size * 4;
      return;
    }
    this.input = padded.address;
    padded.data.fill(0);
    let from = sample * size;
    for (let channel = 0; channel < g.channels; channel++) {
      let to = channel * this.plane + this.top * pitch + this.left;
      for (let row = 0; row < g.height; row++, to += pitch) {
        copy(x.data, from, padded.data, to, g.width);
        from += g.width;
      }
    }
  }

  /**
   * @param {Packed} packed
   * @param {number} channel the first one of the input
   * @param {Tensor} y
   * @param {number} plane the first one of the output
   */
  multiply(packed, channel, y, plane) {
    const input = this.input + channel * this.plane * 4;
    const { kernel } = this.space;
    if (this.isDirect) {
      const pitch = this.height * this.width * 4;
      multiplyStrips(kernel, packed, input, y.address + plane * pitch, pitch, this.strips);
      return;
    }
    const block = /** @type {Tensor} */ (this.block);
    multiplyStrips(kernel, packed, input, block.address, this.outputPlane * 4, this.strips);
    this.#spread(block, packed.rows, y, plane);
  }

  /**
   * @param {Tensor} block
   * @param {number} rows
   * @param {Tensor} y
   * @param {number} plane
   */
  #spread(block, rows, y, plane) {
    const [height, width] = y.shape.length === 3 ? [1, y.shape[2]] : y.shape.slice(2);
    const [down, right] = this.strides;
    for (let row = 0; row < rows; row++) {
      let to = ((plane + row) * height + this.firsts[0]) * width + this.firsts[1];
      let from = row * this.outputPlane;
      for (let line = 0; line < this.height; line++, to += down * width, from += this.outputPitch) {
        spread(block.data, from, y.data, to, right, this.width);
      }
    }
  }
}

/**
 * @param {Numbers} from
 * @param {number} start
 * @param {Numbers} to
 * @param {number} end
 * @param {number} count
 */
function copy(from, start, to, end, count) {
  for (let i = 0; i < count; i++) {
    to[end + i] = from[start + i];
  }
}

/**
 * @param {Numbers} from
 * @param {number} start
 * @param {Numbers} to
 * @param {number} end
 * @param {number} step
 * @param {number} count
 */
function spread(from, start, to, end, step, count) {
  for (let i = 0; i < count; i++) {
    to[end + i * step] = from[start + i];
  }
}

/** @type {Method} */
function byColumns(node, x, y, weights, bias, g, sides, space) {
  const [rows, channels] = [weights.shape[0] / g.groups, g.channels / g.groups];
  const [depth, places] = [channels * g.kernel[0] * g.kernel[1], sides[0] * sides[1]];
  const pitch = Math.max(COLUMNS, places);
  const packed = space.once(node, () => {
    const offsets = Int32Array.from({ length: depth }, (_, term) => term * pitch * 4);
    return eachGroup(g, (group) => {
      const first = group * rows;
      const biasOf = (/** @type {number} */ row) => (bias ? bias.data[first + row] : 0);
      return pack(
        space.kernel, rows, offsets, (row, i) => weights.data[(first + row) * depth + i], biasOf);
    });
  });
  const columns = space.tensor([depth * pitch]);
  const block = pitch === places ? null : space.tensor([rows * pitch]);
  const strips = { count: 1, width: pitch, inputStep: 0, outputStep: 0 };
  return () => {
    for (let part = 0; part < g.samples * g.groups; part++) {
      fillColumns(x, part * channels, channels, columns, pitch, g, sides);
      const to = block ? block.address : y.address + part * rows * places * 4;
      const weightsOf = packed[part % g.groups];
      multiplyStrips(space.kernel, weightsOf, columns.address, to, pitch * 4, strips);
      for (let row = 0; block && row < rows; row++) {
        copy(block.data, row * pitch, y.data, (part * rows + row) * places, places);
      }
    }
  };
}

/**
 * Copy what each place of the window sees: a row for each channel and weight.
 *
 * @param {Tensor} x
 * @param {number} plane the first one of the input
 * @param {number} channels
 * @param {Tensor} columns
 * @param {number} pitch
 * @param {Geometry} g
 * @param {number[]} sides of the output
 */
function fillColumns(x, plane, channels, columns, pitch, g, sides) {
  const [kh, kw] = g.kernel;
  for (let row = 0; row < channels * kh * kw; row++) {
    const channel = plane + Math.floor(row / (kh * kw));
    const down = (Math.floor(row / kw) % kh) * g.dilations[0] - g.pads[0];
    const right = (row % kw) * g.dilations[1] - g.pads[1];
    fillRow(x.data, channel * g.height * g.width, columns.data, row * pitch, g, down, right, sides);
  }
}

/**
 * @param {Numbers} from
 * @param {number} plane where it starts
 * @param {Numbers} to
 * @param {number} at
 * @param {Geometry} g
 * @param {number} down
 * @param {number} right
 * @param {number[]} sides
 */
function fillRow(from, plane, to, at, g, down, right, [height, width]) {
  for (let row = 0; row < height; row++) {
    const line = row * g.strides[0] + down;
    const isInside = line >= 0 && line < g.height;
    const first = plane + line * g.width;
    let column = right;
    for (let i = 0; i < width; i++, column += g.strides[1], at++) {
      to[at] = isInside && column >= 0 && column < g.width ? from[first + column] : 0;
    }
  }
}

/** @type {Operator} */
function transposed(node, inputs, space) {
  const [x, weights, bias] = constantWeights(node, inputs);
  const g = geometryOf(node, x.shape, weights.shape.slice(2));
  const added = /** @type {number[]} */ (node.attributes.output_padding ?? [0, 0]);
  const extra = x.shape.length === 3 ? [0, added[0]] : added;
  if (g.groups !== 1 || node.attributes.output_shape) {
    throw new Error("The page computes ConvTranspose with one group and given pads only.");
  }
  const sides = [g.height, g.width].map((side, axis) => {
    const reach = g.dilations[axis] * (g.kernel[axis] - 1) + 1;
    const padding = g.pads[axis] + g.pads[axis + 2];
    return (side - 1) * g.strides[axis] + reach - padding + extra[axis];
  });
  const rows = weights.shape[1];
  const y = space.tensor([g.samples, rows, ...sidesLike(x, sides[0], sides[1])]);
  space.inMemory(x);
  const phases = phasesOf(g, sides, x, space);
  phases.forEach((phase) => phase.prepare(rows));
  const packed = space.once(node, () => {
    const area = g.kernel[0] * g.kernel[1];
    return phases.map((phase) =>
      phase.pack(
        rows,
        g.channels,
        (row, channel, i) => weights.data[(channel * rows + row) * area + i],
        (row) => (bias ? bias.data[row] : 0),
      ),
    );
  });
  const run = () => {
    for (let sample = 0; sample < g.samples; sample++) {
      phases.forEach((phase, i) => {
        phase.load(sample);
        phase.multiply(packed[i], 0, y, sample * rows);
      });
    }
  };
  return { outputs: [y], run };
}

/**
 * The convolutions, moving by one, that a transposed one consists of.
 *
 * @param {Geometry} g
 * @param {number[]} sides of the output
 * @param {Tensor} x
 * @param {Space} space
 */
function phasesOf(g, sides, x, space) {
  /** @type {Shifts[]} */
  const phases = [];
  for (let a = 0; a < Math.min(g.strides[0], sides[0]); a++) {
    for (let b = 0; b < Math.min(g.strides[1], sides[1]); b++) {
      const counts = [a, b].map((first, axis) =>
        Math.ceil((sides[axis] - first) / g.strides[axis]),
      );
      phases.push(new Shifts(x, g, tapsOf(g, a, b), counts, space, g.strides, [a, b]));
    }
  }
  return phases;
}

/**
 * The weights that reach output rows a, a + s, ... and columns b, b + s, ...; a weight of zero,
 * with the index -1, if none does.
 *
 * @param {Geometry} g
 * @param {number} a
 * @param {number} b
 */
function tapsOf(g, a, b) {
  /** @type {Tap[]} */
  const taps = [];
  for (let i = 0; i < g.kernel[0]; i++) {
    for (let j = 0; j < g.kernel[1]; j++) {
      const down = (a + g.pads[0] - i * g.dilations[0]) / g.strides[0];
      const right = (b + g.pads[1] - j * g.dilations[1]) / g.strides[1];
      if (Number.isInteger(down) && Number.isInteger(right)) {
        taps.push({ down, right, index: i * g.kernel[1] + j });
      }
    }
  }
  return taps.length ? taps : [{ down: 0, right: 0, index: -1 }];
}

/** @type {Record<string, Operator>} */
export const CONVOLUTION = { Conv: convolution, ConvTranspose: transposed };
