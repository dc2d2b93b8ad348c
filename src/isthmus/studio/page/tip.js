/** A small card next to the pointer: the sample there, its name and what its color says. */

/** @import { Context, Hover } from "./types.js" */

import { make } from "./dom.js";

/** Pixels between the pointer and the card. */
const DISTANCE = 16;

/**
 * @param {Context} context
 * @returns {HTMLElement}
 */
export function makeTip({ store, map }) {
  const picture = make("div");
  const name = make("b");
  const value = make("span", { class: "quiet" });
  const element = make("div", { class: "map-tip map-card", "aria-hidden": "true", hidden: true }, [
    picture,
    make("div", { class: "tip-words" }, [name, value]),
  ]);
  let shown = -1;
  /** @param {Hover} hover */
  const show = async ({ row, x, y }) => {
    element.hidden = row < 0;
    placeNear(element, map.view.toScreen(x, y, map.size), map.size);
    if (row !== shown && row >= 0) {
      shown = row;
      if (!store.manifest.networks.decoder) {
        // otherwise a picture is at the pointer already
        picture.replaceChildren(store.thumbnail(row, ""));
      }
      const [text, detail] = [await store.names([row]).catch(() => [`${row}`]), map.valueOf(row)];
      if (shown === row) {
        [name.textContent, value.textContent] = [text[0], detail];
        placeNear(element, map.view.toScreen(x, y, map.size), map.size);
      }
    }
  };
  map.on("hover", show);
  for (const event of /** @type {const} */ (["leave", "view"])) {
    map.on(event, () => (element.hidden = true));
  }
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {[number, number]} at
 * @param {{width: number, height: number}} size
 */
function placeNear(element, [x, y], size) {
  const { offsetWidth: width, offsetHeight: height } = element;
  const left = x + DISTANCE + width < size.width ? x + DISTANCE : x - DISTANCE - width;
  const top = y + DISTANCE + height < size.height ? y + DISTANCE : y - DISTANCE - height;
  element.style.transform = `translate(${Math.max(4, Math.round(left))}px, ${Math.round(top)}px)`;
}
