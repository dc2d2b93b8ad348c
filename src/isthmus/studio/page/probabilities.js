/** What a classifier thinks of a sample, as bars. */

/** @import { Context } from "./types.js" */

import { make } from "./dom.js";

/** As many classes as are shown, the most probable first. */
const SHOWN = 5;

/**
 * Return the most probable classes of a sample.
 *
 * @param {Context} context
 * @param {number} row
 * @returns {Promise<[string, number][]>}
 */
export async function probabilitiesOf({ store, engine }, row) {
  const predicted = await store.column("predicted");
  const names = predicted.kind === "category" ? predicted.names : [];
  try {
    const { sample } = await store.sample(row);
    const values = await engine.predict(sample);
    /** @type {[string, number][]} */
    const pairs = Array.from(values, (value, i) => [names[i], value]);
    return pairs.sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  } catch {
    const confidence = await store.column("confidence"); // what was stored of the prediction
    return [[names[predicted.values[row]], confidence.values[row]]];
  }
}

/**
 * @param {[string, number][]} pairs
 * @returns {HTMLElement}
 */
export function makeBars(pairs) {
  return make("ol", { class: "probabilities" }, pairs.map(([name, value]) => makeBar(name, value)));
}

/**
 * @param {string} name
 * @param {number} value
 */
function makeBar(name, value) {
  const bar = make("span", { class: "odds-bar", "aria-hidden": "true" });
  bar.style.width = `${100 * value}%`;
  const percent = value < 0.001 ? "< 0.1%" : `${(100 * value).toFixed(1)}%`;
  return make("li", {}, [
    make("span", { class: "odds-name", text: name }),
    make("span", { class: "odds-value", text: percent }),
    make("span", { class: "odds-track" }, [bar]),
  ]);
}
