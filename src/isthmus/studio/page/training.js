/** Curves of the training, and the same samples at each kept epoch. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeTraining(context) {
  return { name: "training", title: "Training", element: make("div", { text: "…" }) };
}
