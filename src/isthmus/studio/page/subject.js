/** What the decoder shows: a sample, a place on the map, or a code that sliders made. */

/** @import { Hover } from "./types.js" */
/** @import { State } from "./state.js" */

/**
 * @typedef {{kind: "sample", row: number} | {kind: "place", x: number, y: number} |
 *   {kind: "code", code: Float32Array} | {kind: "nothing"}} Subject
 */

/**
 * Return what is under the pointer, or otherwise what the state holds on to.
 *
 * @param {State} state
 * @param {Hover | null} hover
 * @param {number} size numbers a code
 * @returns {Subject}
 */
export function findSubject(state, hover, size) {
  if (hover) {
    const { x, y, row } = hover;
    return row < 0 ? { kind: "place", x, y } : { kind: "sample", row };
  }
  return chosenSubject(state, size);
}

/**
 * Return what the state holds on to.
 *
 * @param {State} state
 * @param {number} size numbers a code
 * @returns {Subject}
 */
export function chosenSubject(state, size) {
  const code = state.numbers("code");
  if (code.length === size) {
    return { kind: "code", code: Float32Array.from(code) };
  }
  return startSubject(state);
}

/**
 * Return what sliders start from: what the state holds on to, without a code.
 *
 * @param {State} state
 * @returns {Subject}
 */
export function startSubject(state) {
  const place = state.numbers("place");
  if (place.length === 2) {
    return { kind: "place", x: place[0], y: place[1] };
  }
  const [row] = state.numbers("sample");
  return row === undefined ? { kind: "nothing" } : { kind: "sample", row };
}
