/** What operators are given while a network is planned: tensors, memory and what they keep. */

import { ELEMENTS, FLOAT, Place, Tensor, product } from "./tensor.js";

/** @import { Kernel } from "./kernel.js" */
/** @import { GraphNode } from "./onnx.js" */

/**
 * @typedef {Object} Step a node, ready to run
 * @property {Tensor[]} outputs
 * @property {() => void} run
 */

/**
 * @callback Operator
 * @param {GraphNode} node
 * @param {Tensor[]} inputs undefined where one is left out
 * @param {Space} space
 * @returns {Step}
 */

/** The tensors of one plan, and what its nodes keep from one plan to the next. */
export class Space {
  /**
   * @param {Kernel} kernel
   * @param {Map<string, any>} kept
   */
  constructor(kernel, kept) {
    this.kernel = kernel;
    this.kept = kept;
    /** @type {Tensor[]} */
    this.tensors = [];
    this.step = -1;
  }

  /**
   * A new tensor, in the memory that the plan shares out.
   *
   * @param {number[]} shape
   * @param {number} [type]
   */
  tensor(shape, type = FLOAT) {
    // Whole vectors are written: four numbers, and 32 columns of a matrix.
    const bytes = product(shape) * ELEMENTS[type].BYTES_PER_ELEMENT + 128;
    const place = new Place(Math.ceil(bytes / 64) * 64);
    place.first = place.last = this.step;
    return this.#add(new Tensor(shape, type, place, new ELEMENTS[type](0)));
  }

  /**
   * The same numbers in another shape.
   *
   * @param {Tensor} tensor
   * @param {number[]} shape
   */
  alias(tensor, shape) {
    if (product(shape) !== tensor.size) {
      throw new Error(`Numbers of the shape (${tensor.shape}) do not fit into (${shape}).`);
    }
    return this.#add(new Tensor(shape, tensor.type, tensor.place, tensor.data));
  }

  /**
   * A tensor that moves with the plan's memory; a constant is copied to where the kernel reads.
   *
   * @param {Tensor} tensor
   */
  inMemory(tensor) {
    if (tensor.isConstant && tensor.address < 0) {
      tensor.address = this.kernel.keep(tensor.data);
    }
    return tensor;
  }

  /**
   * What a node makes once, whatever the batch: packed weights.
   *
   * @template T
   * @param {GraphNode} node
   * @param {() => T} make
   * @returns {T}
   */
  once(node, make) {
    const key = node.outputs[0];
    if (!this.kept.has(key)) {
      this.kept.set(key, make());
    }
    return this.kept.get(key);
  }

  /** @param {Tensor} tensor */
  #add(tensor) {
    this.tensors.push(tensor);
    return tensor;
  }
}
