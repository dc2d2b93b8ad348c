/** The way between two samples, or along a path, as a film. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeMorph(context) {
  return { name: "morph", title: "Morph", element: make("div", { text: "…" }) };
}
