/** From a place on the map to a code, and back. */

/** @import { Engine } from "./engine.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

export class Place {
  /**
   * @param {Store} store
   * @param {State} state
   * @param {Engine} engine
   */
  constructor(store, state, engine) {
    this.store = store;
    this.state = state;
    this.engine = engine;
  }

  /**
   * Return the code at a place on the current map.
   *
   * @param {number} x
   * @param {number} y
   * @returns {Promise<Float32Array>}
   */
  async codeAt(x, y) {
    return new Float32Array(this.store.manifest.code_size);
  }

  /**
   * Return where a code lies on the current map.
   *
   * @param {Float32Array} code
   * @returns {Promise<[number, number]>}
   */
  async of(code) {
    return [0, 0];
  }
}
