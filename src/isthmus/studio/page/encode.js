/** The code of a picture that is not among the samples. */

/** @import { Context, Sample } from "./types.js" */

import { requirePicture } from "./drop.js";
import { ask, fromBase64 } from "./files.js";
import { preprocess } from "./preprocess.js";

/**
 * @typedef {Object} Picture
 * @property {string} name of its file
 * @property {Sample} sample what the model sees of it
 * @property {Float32Array} code
 */

/**
 * Return why pictures cannot be searched for, or nothing.
 *
 * @param {Context} context
 */
export function whyNoPictures({ store }) {
  const { sample, live, networks } = store.manifest;
  if (sample.kind !== "image") {
    return "This model takes signals, so a picture cannot be searched for.";
  }
  const canEncode = live || networks.encoder;
  return canEncode ? "" : "This page has no encoder, so only its own samples can be searched for.";
}

/**
 * Encode a picture: by the server, with the library's own preprocessing, or in the page.
 *
 * @param {Context} context
 * @param {File} file
 * @returns {Promise<Picture>}
 */
export async function encodePicture({ store, engine }, file) {
  await requirePicture(file);
  const name = file.name || "picture";
  if (store.manifest.live) {
    const answer = await (await ask("encode", { method: "POST", body: file })).json();
    const sample = new Uint8Array(fromBase64(answer.pixels));
    return { name, sample, code: Float32Array.from(answer.code) };
  }
  const sample = await preprocess(file, store.manifest);
  return { name, sample, code: await engine.encode(sample) };
}
