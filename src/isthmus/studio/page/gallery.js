/** The selected samples as a grid of pictures. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeGallery(context) {
  return { name: "gallery", title: "Selection", element: make("div", { text: "…" }) };
}
