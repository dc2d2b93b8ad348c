/** Shares and counts as bars with their names. */

import { make } from "./dom.js";

/**
 * Return a list of the largest shares, as bars.
 *
 * @param {ArrayLike<number>} shares from 0 to 1
 * @param {string[]} names
 * @param {number} [limit]
 */
export function makeBars(shares, names, limit = 10) {
  const order = [...names.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, limit);
  const bars = order.map((i) => makeBar(names[i], shares[i], formatShare(shares[i])));
  return make("ul", { class: "count-list", "aria-label": "Probabilities" }, bars);
}

/**
 * @param {string} name
 * @param {number} share of the whole length
 * @param {string} text what the share stands for
 * @param {string} [color]
 */
export function makeBar(name, share, text, color = "") {
  const bar = make("span", { class: "bar" });
  bar.style.width = `${100 * share}%`;
  bar.style.background = color;
  return make("li", {}, [
    make("span", { class: "label", text: name, title: name, dir: "auto" }),
    make("span", { class: "track" }, [bar]),
    make("span", { text }),
  ]);
}

/**
 * Format a share as a percentage.
 *
 * @param {number} share
 */
export function formatShare(share) {
  return `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)}%`;
}

/**
 * Return the probabilities of logits.
 *
 * @param {Float32Array} logits
 * @returns {Float32Array}
 */
export function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
