/** Which samples are selected, and which are hidden. */

/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

export class Selection {
  /**
   * @param {Store} store
   * @param {State} state
   */
  constructor(store, state) {
    this.store = store;
    this.state = state;
  }

  /**
   * Return the rows that `select` in the state means, without hidden ones; all visible rows if
   * nothing is selected.
   *
   * @returns {Promise<Int32Array>}
   */
  async rows() {
    return Int32Array.from({ length: this.store.manifest.count }, (_, i) => i);
  }

  /**
   * Return for each row whether it can be seen, or null if nothing is hidden.
   *
   * @returns {Promise<Uint8Array | null>}
   */
  async visible() {
    return null;
  }

  /**
   * Call a listener when the selection or what is hidden changes.
   *
   * @param {() => void} listener
   */
  on(listener) {
    this.state.on(["select", "hidden", "color", "map"], listener);
  }
}
