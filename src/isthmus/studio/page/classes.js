/** Confusion matrix and mistakes of a classifier or segmenter. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeClasses(context) {
  return { name: "classes", title: "Classes", element: make("div", { text: "…" }) };
}
