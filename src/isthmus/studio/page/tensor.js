/** Arrays of numbers with a shape, as the engine computes with them. */

/** @typedef {Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array} Numbers */

/**
 * The arrays that hold ONNX's element types. Whole numbers of 64 bits are held as floating-point
 * ones of 64 bits: they are sizes and places here, far below 2^53.
 *
 * @type {Record<number, {new (...values: any[]): Numbers, BYTES_PER_ELEMENT: number}>}
 */
export const ELEMENTS = {
  1: Float32Array,
  2: Uint8Array,
  3: Int8Array,
  6: Int32Array,
  7: Float64Array,
  9: Uint8Array,
  11: Float64Array,
};
export const FLOAT = 1;
export const INTEGER = 7;

/** A part of the kernel's memory, lent to a tensor; the plan says where it is. */
export class Place {
  /** @param {number} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.offset = 0; // from the start of the memory that the plan shares out
    this.first = -1; // steps of the plan between which the place is needed
    this.last = -1;
  }
}

export class Tensor {
  /**
   * @param {number[]} shape
   * @param {number} type of ONNX
   * @param {Place | null} place null for a constant, whose data never move
   * @param {Numbers} data
   */
  constructor(shape, type, place, data) {
    this.shape = shape;
    this.type = type;
    this.place = place;
    this.data = data;
    this.address = -1;
    this.size = product(shape);
  }

  /**
   * @param {number[]} shape
   * @param {number} type
   * @param {Numbers} data
   */
  static constant(shape, type, data) {
    return new Tensor(shape, type, null, data);
  }

  get isConstant() {
    return this.place === null;
  }
}

/**
 * The product of sizes; 1 for none.
 *
 * @param {number[]} sizes
 */
export function product(sizes) {
  return sizes.reduce((all, size) => all * size, 1);
}

/**
 * How far apart neighbors along each axis are, in numbers.
 *
 * @param {number[]} shape
 */
export function stridesOf(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = strides[axis + 1] * shape[axis + 1];
  }
  return strides;
}
