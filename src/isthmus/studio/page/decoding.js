/** Codes to samples: by the engine in the page, or by the server if the engine cannot. */

/** @import { Engine } from "./engine.js" */
/** @import { Manifest, Sample } from "./types.js" */
/** @import { Store } from "./store.js" */

import { readColumn, writeColumn } from "./columns.js";
import { ask } from "./files.js";
import { Latest } from "./latest.js";

/**
 * Return whether codes can become samples. Classifiers and encoders have no decoder.
 *
 * @param {Manifest} manifest
 */
export function hasDecoder({ networks, live, task }) {
  return Boolean(networks.decoder) || (live && task === "reconstruct");
}

export class Decoding {
  /** @param {{store: Store, engine: Engine}} context */
  constructor({ store, engine }) {
    this.store = store;
    this.engine = engine;
    this.requests = new Latest();
    /** @type {{fingerprint: string, isByServer: Promise<boolean>} | null} */
    this.known = null;
  }

  /**
   * Decode one code, unless another takes its place while it waits.
   *
   * @param {Float32Array} code
   * @returns {Promise<Sample | null>} null if another has taken its place
   */
  async latest(code) {
    const isNewest = this.requests.begin();
    if (!(await this.isByServer())) {
      return (await this.engine.decodeLatest(code))?.sample ?? null;
    }
    const sample = isNewest() ? await this.askServer(code) : null;
    return isNewest() ? sample : null;
  }

  /**
   * Decode many codes.
   *
   * @param {Float32Array} codes code after code
   * @returns {Promise<Sample[]>}
   */
  async all(codes) {
    const isByServer = await this.isByServer();
    return this.split(await (isByServer ? this.askServer(codes) : this.engine.decode(codes)));
  }

  /** Whether the server must decode, found out once for a model. */
  isByServer() {
    const { fingerprint } = this.store.manifest;
    if (this.known?.fingerprint !== fingerprint) {
      this.known = { fingerprint, isByServer: this.findOut() };
      this.known.isByServer.catch(() => (this.known = null)); // so that a later try asks again
    }
    return this.known.isByServer;
  }

  async findOut() {
    const { networks, live } = this.store.manifest;
    const unknown = networks.decoder ? await this.engine.unknown("decoder") : ["no network"];
    if (unknown.length && !live) {
      throw new Error(
        `This page cannot compute the decoder's ${unknown.join(", ")}; ` +
          "open the run itself with isthmus studio.",
      );
    }
    return unknown.length > 0;
  }

  /**
   * @param {Float32Array} codes
   * @returns {Promise<Sample>}
   */
  async askServer(codes) {
    const body = writeColumn(codes, this.store.manifest.code_size);
    const answer = await ask("decode", { method: "POST", body });
    return /** @type {Sample} */ (readColumn(await answer.arrayBuffer()));
  }

  /**
   * @param {Sample} numbers sample after sample
   * @returns {Sample[]}
   */
  split(numbers) {
    const size = this.store.manifest.sample.shape.reduce((a, b) => a * b);
    return Array.from({ length: numbers.length / size }, (_, i) =>
      numbers.slice(i * size, (i + 1) * size),
    );
  }
}
