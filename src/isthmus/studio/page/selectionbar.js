/** How many samples are selected, and a button that clears the selection. */

/** @import { Context } from "./types.js" */

import { formatNumber, make } from "./dom.js";
import { makeButton } from "./tools.js";

/**
 * @param {Context} context
 * @returns {HTMLElement}
 */
export function makeSelectionBar({ selection }) {
  const text = make("span");
  const clear = makeButton("close", "Clear the selection (Escape)", () => selection.clear());
  const element = make("div", { class: "map-selection map-card", hidden: true }, [text, clear]);
  const update = async () => {
    const rows = selection.isEmpty() ? null : await selection.rows();
    element.hidden = rows === null || selection.isEmpty();
    text.textContent = rows ? `${formatNumber(rows.length)} selected` : "";
  };
  selection.on(update);
  update();
  return element;
}
