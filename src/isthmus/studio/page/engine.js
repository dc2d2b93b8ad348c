/**
 * The model in the page: decode, encode, layers and neighbors.
 *
 * Networks and codes are read when they are first needed. Two workers compute: one only decodes,
 * so that nothing else delays the picture under the pointer.
 */

import { CHANGED } from "./files.js";
import { hasRelaxed } from "./kernel.js";
import { product } from "./tensor.js";

/** @import { Manifest } from "./types.js" */

/**
 * @typedef {Object} Files
 * @property {(path: string) => Promise<ArrayBuffer>} readData
 * @property {(name: string) => Promise<ArrayBuffer>} readAsset
 * @property {(name: string) => Worker} startWorker
 */

/** @typedef {{id: number, task: string, [name: string]: any}} Request to the worker */

/** @typedef {"encoder" | "decoder" | "layers"} NetworkName */

/** @typedef {{name: string, kind: string, shape: number[], values: Float32Array}} LayerOutput */

const CODE = "code";
const RECONSTRUCTION = "reconstruction";
const PROBABILITIES = "probabilities";
const BATCH = 16; // samples at a time, so that a picture asked for meanwhile does not wait long

export class Engine {
  /**
   * @param {Manifest} manifest
   * @param {Files} files
   */
  constructor(manifest, files) {
    this.manifest = manifest;
    this.files = files;
    /** @type {Map<string, Calculator>} */
    this.workers = new Map();
    /** @type {Map<string, Promise<void>>} networks and codes that were asked for */
    this.loaded = new Map();
    /** @type {{code: Float32Array, resolve: (answer: any) => void} | null} */
    this.waiting = null;
    this.isDecoding = false;
  }

  /**
   * Use other data: networks and codes are read again.
   *
   * @param {Manifest} manifest
   */
  refresh(manifest) {
    const isSame = manifest.fingerprint === this.manifest.fingerprint;
    this.manifest = manifest;
    if (!isSame) {
      this.stop();
    }
  }

  /** Forget what was read, and end the workers; requests start others. */
  stop() {
    this.workers.forEach((worker) => worker.stop());
    this.workers.clear();
    this.loaded.clear();
  }

  /**
   * Turn codes, one after another, into samples as they are stored.
   *
   * @param {Float32Array} codes
   * @returns {Promise<Float32Array | Uint8Array>}
   */
  decode(codes) {
    return this.#run("decoder", codes, RECONSTRUCTION);
  }

  /**
   * Decode one code, unless another takes its place while it waits: no queue builds up.
   *
   * @param {Float32Array} code
   * @returns {Promise<{sample: Float32Array | Uint8Array, milliseconds: number} | null>} null if
   *   a later code took its place
   */
  async decodeLatest(code) {
    if (this.isDecoding) {
      this.waiting?.resolve(false);
      const isNext = await new Promise((resolve) => (this.waiting = { code, resolve }));
      if (!isNext) {
        return null;
      }
    }
    this.isDecoding = true;
    const start = performance.now();
    try {
      return { sample: await this.decode(code), milliseconds: performance.now() - start };
    } finally {
      const next = this.waiting;
      this.waiting = null;
      this.isDecoding = next !== null;
      next?.resolve(true);
    }
  }

  /**
   * Turn samples as they are stored, one after another, into codes.
   *
   * @param {Float32Array | Uint8Array} samples
   * @returns {Promise<Float32Array>}
   */
  async encode(samples) {
    return /** @type {Float32Array} */ (await this.#run("encoder", samples, CODE));
  }

  /**
   * Probabilities of a classifier's classes, or of a segmenter's for each pixel.
   *
   * @param {Float32Array | Uint8Array} sample
   * @returns {Promise<Float32Array>}
   */
  async predict(sample) {
    return /** @type {Float32Array} */ (await this.#run("layers", sample, PROBABILITIES));
  }

  /**
   * What every layer makes of a sample.
   *
   * @param {Float32Array | Uint8Array} sample
   * @returns {Promise<LayerOutput[]>}
   */
  async layers(sample) {
    const worker = await this.#network("layers");
    const entries = this.manifest.networks.layers?.layers ?? [];
    const outputs = entries.map(({ output }) => output);
    const values = await worker.ask("run", { network: "layers", numbers: sample, outputs });
    return entries.map(({ name, kind, shape }, i) => ({ name, kind, shape, values: values[i] }));
  }

  /**
   * Names of the operators of a network that the engine cannot compute.
   *
   * @param {NetworkName} name
   * @returns {Promise<string[]>}
   */
  async unknown(name) {
    const outputs = { encoder: [CODE], decoder: [RECONSTRUCTION], layers: this.#answers() }[name];
    return (await this.#network(name)).ask("unknown", { network: name, outputs });
  }

  /** The outputs that the page asks of the whole network. */
  #answers() {
    const outputs = (this.manifest.networks.layers?.layers ?? []).map(({ output }) => output);
    const isPredicting = ["classify", "segment"].includes(this.manifest.task);
    return isPredicting ? [...outputs, PROBABILITIES] : outputs;
  }

  /**
   * The k samples with the nearest codes, by Euclidean distance.
   *
   * @param {Float32Array} code
   * @param {number} k
   * @param {Uint8Array | null} [allowed] for each sample, whether it may be found; else all may
   * @param {{without?: number}} [options] a row to leave out, as that of the code itself
   * @returns {Promise<{rows: Int32Array, distances: Float32Array}>}
   */
  async nearest(code, k, allowed = null, { without = -1 } = {}) {
    return (await this.#codes()).ask("nearest", { code, k, allowed, without });
  }

  /**
   * The codes of samples, one after another.
   *
   * @param {ArrayLike<number>} rows
   * @returns {Promise<Float32Array>}
   */
  async codesOf(rows) {
    return (await this.#codes()).ask("codesOf", { rows });
  }

  /**
   * Search these codes instead of those of the data.
   *
   * @param {ArrayBuffer} content a column
   * @returns {Promise<void>}
   */
  setCodes(content) {
    const given = this.#giveCodes(this.#worker("search"), content);
    this.loaded.set("codes", given);
    return given;
  }

  /**
   * @param {Calculator} worker
   * @param {ArrayBuffer} content
   */
  async #giveCodes(worker, content) {
    await worker.ask("setCodes", { content, size: this.manifest.code_size });
  }

  async #codes() {
    const { file, in_page: isInPage } = this.manifest.codes;
    if (!isInPage && !this.loaded.has("codes")) {
      throw new Error("The codes are too many for the page; the server searches them.");
    }
    const worker = this.#worker("search"); // before the codes: another is for other codes
    await this.#once("codes", async () =>
      this.#giveCodes(worker, await this.files.readData(file)),
    );
    return worker;
  }

  /**
   * @param {NetworkName} name
   * @param {Float32Array | Uint8Array} numbers
   * @param {string} output
   * @returns {Promise<Float32Array | Uint8Array>}
   */
  async #run(name, numbers, output) {
    const worker = await this.#network(name);
    const { code_size: codeSize, sample } = this.manifest;
    const size = BATCH * (name === "decoder" ? codeSize : product(sample.shape));
    const parts = [];
    for (let start = 0; start < numbers.length; start += size) {
      const part = numbers.slice(start, start + size);
      const [answer] = await worker.ask("run", { network: name, numbers: part, outputs: [output] });
      parts.push(answer);
    }
    return join(parts);
  }

  /**
   * The worker that holds a network.
   *
   * @param {NetworkName} name
   */
  async #network(name) {
    const entry = this.manifest.networks[name];
    if (!entry) {
      throw new Error(`The page has no ${name === "layers" ? "network" : name} of this model.`);
    }
    const worker = this.#worker(name === "decoder" ? "decode" : "search");
    await this.#once(name, async () => {
      const content = await this.files.readData(entry.file);
      await worker.ask("load", { network: name, content }, [content]);
    });
    return worker;
  }

  /**
   * Read something once; what failed is tried again.
   *
   * @param {string} name
   * @param {() => Promise<void>} load
   */
  async #once(name, load) {
    if (!this.loaded.has(name)) {
      const loading = load();
      this.loaded.set(name, loading);
      loading.catch(() => this.loaded.get(name) === loading && this.loaded.delete(name));
    }
    await this.loaded.get(name);
  }

  /** @param {"decode" | "search"} name */
  #worker(name) {
    const known = this.workers.get(name);
    if (known) {
      return known;
    }
    const worker = new Calculator(this.files);
    this.workers.set(name, worker);
    worker.started.catch(() => this.workers.delete(name)); // to start again; who asked is told
    return worker;
  }
}

/**
 * Numbers of the same type, one array after another.
 *
 * @param {(Float32Array | Uint8Array)[]} parts
 */
function join(parts) {
  if (parts.length === 1) {
    return parts[0];
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = parts[0] instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}

/** A worker, and the requests that it has not answered yet. */
class Calculator {
  /** @param {Files} files */
  constructor({ readAsset, startWorker }) {
    this.worker = startWorker("engine.worker.js");
    /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
    this.open = new Map();
    this.last = 0;
    this.isStopped = false;
    this.worker.addEventListener("message", ({ data }) => this.#receive(data));
    this.worker.addEventListener("error", () => this.#fail("The page's engine did not start."));
    const file = hasRelaxed() ? "kernel.wasm" : "kernel.plain.wasm";
    this.started = readAsset(file).then((kernel) => this.#send("start", { kernel }));
  }

  /**
   * @param {string} task
   * @param {Record<string, any>} request
   * @param {Transferable[]} [transfer] what the worker may take away
   * @returns {Promise<any>}
   */
  async ask(task, request, transfer = []) {
    await this.started;
    return this.#send(task, request, transfer);
  }

  stop() {
    this.isStopped = true;
    this.worker.terminate();
    this.#fail(CHANGED);
  }

  /**
   * @param {string} task
   * @param {Record<string, any>} request
   * @param {Transferable[]} [transfer]
   * @returns {Promise<any>}
   */
  #send(task, request, transfer = []) {
    if (this.isStopped) {
      return Promise.reject(new Error(CHANGED));
    }
    const id = ++this.last;
    this.worker.postMessage({ id, task, ...request }, transfer);
    return new Promise((resolve, reject) => this.open.set(id, { resolve, reject }));
  }

  /** @param {{id: number, answer?: any, error?: string}} message */
  #receive({ id, answer, error }) {
    const request = this.open.get(id);
    this.open.delete(id);
    if (error === undefined) {
      request?.resolve(answer);
    } else {
      request?.reject(new Error(error));
    }
  }

  /** @param {string} reason */
  #fail(reason) {
    this.open.forEach(({ reject }) => reject(new Error(reason)));
    this.open.clear();
  }
}
