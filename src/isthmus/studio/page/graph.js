/** Compute outputs of a network: only what they need, constants once, in memory that is reused. */

import { OPERATORS } from "./operators.js";
import { Space } from "./space.js";
import { ELEMENTS, Tensor, product } from "./tensor.js";

/** @import { Kernel } from "./kernel.js" */
/** @import { GraphNode, Network } from "./onnx.js" */
/** @import { Step } from "./space.js" */
/** @import { Place } from "./tensor.js" */

const PLANS = 4; // kept at a time: one for each number of samples

/**
 * @typedef {Object} Plan
 * @property {Tensor} input
 * @property {Tensor[]} outputs
 * @property {Step[]} steps
 * @property {Tensor[]} tensors
 * @property {number} bytes of the shared memory
 * @property {number} version of the kernel's memory that the tensors point to
 */

export class Graph {
  /**
   * @param {Network} network
   * @param {Kernel} kernel of its own
   */
  constructor(network, kernel) {
    this.network = network;
    this.kernel = kernel;
    /** @type {Map<string, Plan>} */
    this.plans = new Map();
    /** @type {Map<string, any>} */
    this.kept = new Map();
  }

  /**
   * Names of the operators that are needed and not known.
   *
   * @param {string[]} outputs
   */
  unknown(outputs) {
    const names = this.#needed(outputs).map((node) => node.operator);
    return [...new Set(names)].filter((name) => !(name in OPERATORS)).sort();
  }

  /**
   * How many samples some numbers are.
   *
   * @param {ArrayLike<number>} numbers
   */
  countOf(numbers) {
    const size = product(this.network.shape.slice(1));
    if (numbers.length % size) {
      throw new Error(`The network takes ${size} numbers a sample, not ${numbers.length} in all.`);
    }
    return numbers.length / size;
  }

  /**
   * Compute outputs of samples. What is returned is overwritten by the next run.
   *
   * @param {ArrayLike<number>} numbers of all samples
   * @param {string[]} outputs
   * @returns {Tensor[]}
   */
  run(numbers, outputs) {
    const plan = this.#plan(this.countOf(numbers), outputs);
    this.#bind(plan);
    plan.input.data.set(numbers);
    for (const step of plan.steps) {
      step.run();
    }
    return plan.outputs;
  }

  /**
   * @param {number} count
   * @param {string[]} outputs
   */
  #plan(count, outputs) {
    const key = [count, ...outputs].join("\n");
    const plan = this.plans.get(key) ?? this.#makePlan(count, outputs);
    this.plans.delete(key);
    this.plans.set(key, plan); // the last one used is the last one forgotten
    if (this.plans.size > PLANS) {
      this.plans.delete([...this.plans.keys()][0]);
    }
    return plan;
  }

  /**
   * @param {number} count
   * @param {string[]} names
   * @returns {Plan}
   */
  #makePlan(count, names) {
    const space = new Space(this.kernel, this.kept);
    const shape = this.network.shape.map((size, axis) => (axis === 0 ? count : size));
    const input = space.tensor(shape, this.network.type);
    const known = new Map([...this.network.weights, [this.network.input, input]]);
    /** @type {Step[]} */
    const steps = [];
    for (const node of this.#needed(names)) {
      space.step = steps.length;
      const step = prepare(node, known, space);
      steps.push(...(step ? [step] : []));
    }
    const outputs = names.map((name) => found(known, name));
    for (const { place } of [input, ...outputs]) {
      keepUntil(place, steps.length);
    }
    const bytes = shareOut(space.tensors);
    return { input, outputs, steps, tensors: space.tensors, bytes, version: -1 };
  }

  /** @param {Plan} plan */
  #bind(plan) {
    const start = this.kernel.share(plan.bytes);
    if (plan.version === this.kernel.version) {
      return;
    }
    const { buffer } = this.kernel.call.memory;
    for (const tensor of plan.tensors) {
      if (tensor.place) {
        tensor.address = start + tensor.place.offset;
        tensor.data = new ELEMENTS[tensor.type](buffer, tensor.address, tensor.size);
      }
    }
    plan.version = this.kernel.version;
  }

  /**
   * The nodes that outputs depend on, in the order of the file.
   *
   * @param {string[]} outputs
   */
  #needed(outputs) {
    const names = new Set(outputs);
    const nodes = [];
    for (const node of [...this.network.nodes].reverse()) {
      if (node.outputs.some((name) => names.has(name))) {
        node.inputs.forEach((name) => names.add(name));
        nodes.push(node);
      }
    }
    return nodes.reverse();
  }
}

/**
 * Make a node's step, or compute it at once where nothing in it depends on the samples.
 *
 * @param {GraphNode} node
 * @param {Map<string, Tensor>} known
 * @param {Space} space
 * @returns {Step | null}
 */
function prepare(node, known, space) {
  const operator = OPERATORS[node.operator];
  if (!operator) {
    throw new Error(`The page cannot compute the operator ${node.operator}.`);
  }
  const inputs = node.inputs.map((name) => (name ? found(known, name) : undefined));
  inputs.forEach((input) => input && keepUntil(input.place, space.step));
  const isConstant = inputs.every((input) => !input || input.isConstant);
  const first = space.tensors.length;
  const step = operator(node, /** @type {Tensor[]} */ (inputs), space);
  if (isConstant || node.operator === "Shape") {
    makeConstant(step, space.tensors.splice(first));
  }
  step.outputs.forEach((tensor, i) => known.set(node.outputs[i], tensor));
  return step.outputs.every((tensor) => tensor.isConstant) ? null : step;
}

/**
 * @param {Step} step
 * @param {Tensor[]} tensors all that it made
 */
function makeConstant(step, tensors) {
  for (const tensor of tensors) {
    tensor.data = tensor.place ? new ELEMENTS[tensor.type](tensor.size) : tensor.data;
    tensor.place = null;
  }
  step.run();
}

/**
 * @param {Map<string, Tensor>} known
 * @param {string} name
 */
function found(known, name) {
  const tensor = known.get(name);
  if (!tensor) {
    throw new Error(`The network has nothing named ${name}.`);
  }
  return tensor;
}

/**
 * @param {Place | null} place
 * @param {number} step
 */
function keepUntil(place, step) {
  if (place) {
    place.last = Math.max(place.last, step);
  }
}

/**
 * Say where in the shared memory each place is, so that none overlap that are needed together.
 *
 * @param {Tensor[]} tensors
 * @returns {number} bytes needed
 */
function shareOut(tensors) {
  const places = [...new Set(tensors.flatMap(({ place }) => (place ? [place] : [])))];
  places.sort((one, other) => other.bytes - one.bytes);
  /** @type {Place[]} */
  const placed = [];
  for (const place of places) {
    const others = placed.filter((one) => one.first <= place.last && place.first <= one.last);
    others.sort((one, other) => one.offset - other.offset);
    place.offset = 0;
    for (const one of others) {
      if (place.offset + place.bytes <= one.offset) {
        break;
      }
      place.offset = Math.max(place.offset, one.offset + one.bytes);
    }
    placed.push(place);
  }
  return placed.reduce((most, place) => Math.max(most, place.offset + place.bytes), 0);
}
