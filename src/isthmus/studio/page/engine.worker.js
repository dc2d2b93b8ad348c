/** The part of the engine that computes, in a worker: networks and neighbors. */

import { readColumn } from "./columns.js";
import { Graph } from "./graph.js";
import { Kernel } from "./kernel.js";
import { Neighbors } from "./neighbors.js";
import { readNetwork } from "./onnx.js";

/** @import { Request } from "./engine.js" */

const BATCH = 16; // samples at a time: memory for more is not worth what it saves

/** @type {WebAssembly.Module | null} */
let module = null;
/** @type {Map<string, Graph>} */
const graphs = new Map();
/** @type {Neighbors | null} */
let neighbors = null;

function makeKernel() {
  return new Kernel(/** @type {WebAssembly.Module} */ (module));
}

/**
 * Compute an output of samples, one after another in the answer.
 *
 * @param {{network: string, numbers: Float32Array | Uint8Array, output: string}} request
 */
function run({ network, numbers, output }) {
  const graph = /** @type {Graph} */ (graphs.get(network));
  const count = graph.countOf(numbers);
  const size = numbers.length / count;
  /** @type {Float32Array | Uint8Array | null} */
  let answer = null;
  for (let start = 0; start < count; start += BATCH) {
    const part = numbers.subarray(start * size, (start + BATCH) * size);
    const [{ data }] = graph.run(part, [output]);
    if (!answer) {
      const length = (data.length / (part.length / size)) * count;
      answer = data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
    }
    answer.set(data, (answer.length / count) * start);
  }
  return answer ?? new Float32Array(0);
}

/** @type {Record<string, (request: any) => any>} */
const TASKS = {
  start(/** @type {{kernel: ArrayBuffer}} */ { kernel }) {
    module = new WebAssembly.Module(kernel);
  },
  load(/** @type {{network: string, content: ArrayBuffer}} */ { network, content }) {
    graphs.set(network, new Graph(readNetwork(new Uint8Array(content)), makeKernel()));
  },
  unknown(/** @type {{network: string, outputs: string[]}} */ { network, outputs }) {
    return graphs.get(network)?.unknown(outputs);
  },
  run,
  layers(/** @type {{network: string, numbers: Float32Array, outputs: string[]}} */ request) {
    const graph = /** @type {Graph} */ (graphs.get(request.network));
    const tensors = graph.run(request.numbers, request.outputs);
    return tensors.map(({ data }) => Float32Array.from(data));
  },
  setCodes(/** @type {{content: ArrayBuffer, size: number}} */ { content, size }) {
    const codes = /** @type {Float32Array} */ (readColumn(content));
    neighbors = new Neighbors(makeKernel(), codes, size);
  },
  codesOf(/** @type {{rows: number[]}} */ { rows }) {
    return neighbors?.codesOf(rows);
  },
  nearest(/** @type {any} */ { code, k, allowed, without }) {
    return neighbors?.nearest(code, k, allowed, without);
  },
};

/**
 * What of an answer can be handed over without a copy.
 *
 * @param {any} answer
 * @returns {Transferable[]}
 */
function buffersOf(answer) {
  const values = ArrayBuffer.isView(answer) ? [answer] : Object.values(answer ?? {});
  return values.flatMap((value) => (ArrayBuffer.isView(value) ? [value.buffer] : []));
}

self.addEventListener("message", ({ data }) => {
  const { id, task, ...request } = /** @type {Request} */ (data);
  try {
    const answer = TASKS[task](request);
    self.postMessage({ id, answer }, { transfer: buffersOf(answer) });
  } catch (error) {
    self.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
