/** Panels that are brought up to date while they are open, and never in the background. */

/** @import { Panel } from "./types.js" */

import { Latest } from "./latest.js";

/**
 * @typedef {Object} LazyPanel
 * @property {string} name
 * @property {string} title
 * @property {HTMLElement} element
 * @property {(isLatest: () => boolean) => Promise<void> | void} update writes what the panel shows;
 *   stops where `isLatest` says that a later update has begun
 * @property {() => void} [leave] called when another panel is opened
 * @property {(text: string) => void} say
 */

/**
 * Make a panel, and a function that says that what it shows has changed.
 *
 * @param {LazyPanel} parts
 * @returns {{panel: Panel, refresh: () => void, isOpen: () => boolean}}
 */
export function makeLazy({ name, title, element, update, leave, say }) {
  let isOpen = false;
  let isStale = true;
  const runs = new Latest();
  const run = async () => {
    isStale = false;
    const isLatest = runs.begin();
    try {
      await update(isLatest);
    } catch (error) {
      if (isLatest()) {
        say(/** @type {Error} */ (error).message);
      }
    }
  };
  const refresh = () => {
    isStale = true;
    if (isOpen) {
      run();
    }
  };
  const show = () => {
    isOpen = true;
    if (isStale) {
      run();
    }
  };
  const hide = () => {
    isOpen = false;
    isStale = true; // what it left must be made again
    runs.begin(); // and what is on its way must not appear
    leave?.();
  };
  return { panel: { name, title, element, show, hide }, refresh, isOpen: () => isOpen };
}
