/** The part of the engine that computes, in a worker: networks and neighbors. */

import { readColumn } from "./columns.js";
import { Graph } from "./graph.js";
import { Kernel } from "./kernel.js";
import { Neighbors } from "./neighbors.js";
import { readNetwork } from "./onnx.js";

/** @import { Request } from "./engine.js" */

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
 * Compute outputs of samples, for all samples together.
 *
 * @param {{network: string, numbers: Float32Array | Uint8Array, outputs: string[]}} request
 */
function run({ network, numbers, outputs }) {
  const graph = /** @type {Graph} */ (graphs.get(network));
  return graph.run(numbers, outputs).map(({ data }) => data.slice());
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
