/** What every layer makes of a sample: computed in the page, or by the server. */

/** @import { Context } from "./types.js" */

import { ask } from "./files.js";

/**
 * @typedef {Object} Activation the output of one layer
 * @property {string} name
 * @property {string} kind
 * @property {number[]} shape (C, H, W), (C, L) or (D)
 * @property {Float32Array} values
 */

/**
 * Return why there are no layers to show, or nothing.
 *
 * @param {Context} context
 */
export function whyNoLayers({ store }) {
  const { networks, live } = store.manifest;
  return networks.layers || live ? "" : "This page was exported without the layers of its model.";
}

/**
 * Compute all layers of a sample.
 *
 * @param {Context} context
 * @param {number} row
 * @returns {Promise<{layers: Activation[], isExact: boolean}>} whether the sample's own pixels were
 *   used, and not those of a compressed thumbnail
 */
export async function readActivations(context, row) {
  const { networks, live } = context.store.manifest;
  if (!networks.layers) {
    return askServer(row);
  }
  try {
    return await compute(context, row, networks.layers.layers);
  } catch (error) {
    if (live) {
      return askServer(row); // which knows all operators
    }
    throw error;
  }
}

/**
 * @param {Context} context
 * @param {number} row
 * @param {{name: string, kind: string, shape: number[]}[]} entries
 */
async function compute({ store, engine }, row, entries) {
  const { sample, isExact } = await store.sample(row);
  const outputs = await engine.layers(sample);
  const layers = entries.map((entry, i) => ({ ...entry, values: outputs[i] }));
  return { layers, isExact };
}

/**
 * Read the server's answer: the length of a JSON list, the list, and the numbers of all layers.
 *
 * @param {number} row
 */
async function askServer(row) {
  const content = await (await ask(`layers/${row}`)).arrayBuffer();
  const length = new DataView(content).getUint32(0, true);
  const titles = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, length)));
  let start = 4 + length;
  /** @type {Activation[]} */
  const layers = titles.map((/** @type {Omit<Activation, "values">} */ title) => {
    const size = title.shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(content, start, size);
    start += values.byteLength;
    return { ...title, values };
  });
  return { layers, isExact: true };
}
