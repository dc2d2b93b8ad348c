/** What the decoder shows: a sample, a place on the map, or a code that sliders made. */

/** @import { Hover } from "./types.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

import { chosenRow } from "./chosen.js";

/** @typedef {{state: State, store: Store}} Seen what is chosen, and of which data */

/**
 * @typedef {{kind: "sample", row: number} | {kind: "place", x: number, y: number} |
 *   {kind: "code", code: Float32Array} | {kind: "nothing"}} Subject
 */

/**
 * Return what is under the pointer, or otherwise what the state holds on to.
 *
 * @param {Seen} seen
 * @param {Hover | null} hover
 * @returns {Subject}
 */
export function findSubject(seen, hover) {
  if (hover) {
    const { x, y, row } = hover;
    return row < 0 ? { kind: "place", x, y } : { kind: "sample", row };
  }
  return chosenSubject(seen);
}

/**
 * Return what the state holds on to.
 *
 * @param {Seen} seen
 * @returns {Subject}
 */
export function chosenSubject(seen) {
  const code = seen.state.numbers("code");
  if (code.length === seen.store.manifest.code_size) {
    return { kind: "code", code: Float32Array.from(code) };
  }
  return startSubject(seen);
}

/**
 * Return what sliders start from: what the state holds on to, without a code.
 *
 * @param {Seen} seen
 * @returns {Subject}
 */
export function startSubject(seen) {
  const place = seen.state.numbers("place");
  if (place.length === 2) {
    return { kind: "place", x: place[0], y: place[1] };
  }
  const row = chosenRow(seen);
  return row < 0 ? { kind: "nothing" } : { kind: "sample", row };
}
