/** What every layer makes of a sample: computed in the page, or by the server. */

/** @import { LayerOutput } from "./engine.js" */
/** @import { Context } from "./types.js" */

import { ask } from "./files.js";

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
 * @returns {Promise<{layers: LayerOutput[], isExact: boolean}>} whether the sample's own pixels
 *   were used, and not those of a compressed thumbnail
 */
export async function readActivations(context, row) {
  const { networks, live } = context.store.manifest;
  if (!networks.layers) {
    return askServer(row);
  }
  try {
    const { sample, isExact } = await context.store.sample(row);
    return { layers: await context.engine.layers(sample), isExact };
  } catch (error) {
    if (live) {
      return askServer(row); // which knows all operators
    }
    throw error;
  }
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
  /** @type {LayerOutput[]} */
  const layers = titles.map((/** @type {Omit<LayerOutput, "values">} */ title) => {
    const size = title.shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(content, start, size);
    start += values.byteLength;
    return { ...title, values };
  });
  return { layers, isExact: true };
}
