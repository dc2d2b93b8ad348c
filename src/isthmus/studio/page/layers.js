/** What every layer of the model makes of the chosen sample. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeLayers(context) {
  return { name: "layers", title: "Layers", element: make("div", { text: "…" }) };
}
