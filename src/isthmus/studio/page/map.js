/** The map: points, pan and zoom, hover, selection and marks. */

/** @import { Marks } from "./types.js" */
/** @import { Selection } from "./selection.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

/** @typedef {"hover" | "leave" | "click" | "path" | "view"} MapEvent */

export class MapView {
  /** @param {{store: Store, state: State, selection: Selection, say: (text: string) => void}} context */
  constructor(context) {
    this.context = context;
    /** @type {{event: MapEvent, listener: (detail: any) => void}[]} */
    this.listeners = [];
  }

  /**
   * "hover" and "click" give a `Hover`, "path" the points [x, y][] that were drawn with the path
   * tool, "leave" and "view" nothing.
   *
   * @param {MapEvent} event
   * @param {(detail: any) => void} listener
   */
  on(event, listener) {
    this.listeners.push({ event, listener });
  }

  /**
   * Show a panel's marks on the map, in place of those it had; null removes them.
   *
   * @param {string} owner
   * @param {Marks | null} marks
   */
  setMarks(owner, marks) {}

  /**
   * Move the map, if needed, so that a place or a sample can be seen.
   *
   * @param {{row: number} | {x: number, y: number}} place
   */
  reveal(place) {}
}
