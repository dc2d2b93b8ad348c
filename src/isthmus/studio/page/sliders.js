/** Sliders that move a code. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeSliders(context) {
  return { name: "sliders", title: "Sliders", element: make("div", { text: "…" }) };
}
