/** Similar samples of a sample, or of a picture that is dropped. */

/** @import { Context, Panel } from "./types.js" */

import { make } from "./dom.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeSearch(context) {
  return { name: "search", title: "Search", element: make("div", { text: "…" }) };
}
