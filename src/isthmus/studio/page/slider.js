/** One slider: a name, a range and the value in words. */

import { make } from "./dom.js";

/** Steps from one end of a slider to the other. */
const STEPS = 200;

/**
 * @typedef {Object} Slider
 * @property {HTMLElement} element
 * @property {(value: number) => void} set moves it without telling anybody
 */

/**
 * @param {Object} options
 * @param {string} options.name
 * @param {number} options.low
 * @param {number} options.high
 * @param {(value: number) => string} options.describe
 * @param {(value: number) => void} options.move called while a person moves it
 * @returns {Slider}
 */
export function makeSlider({ name, low, high, describe, move }) {
  const step = (high - low) / STEPS || 1;
  const value = make("span", { class: "slider-value" });
  const range = make("input", {
    type: "range",
    min: String(low),
    max: String(high),
    step: String(step),
    "aria-label": name,
    input: () => {
      show(Number(range.value));
      move(Number(range.value));
    },
  });
  const show = (/** @type {number} */ number) => {
    value.textContent = describe(number);
    range.setAttribute("aria-valuetext", describe(number));
  };
  const element = make("label", { class: "slider" }, [
    make("span", { class: "slider-name", text: name }),
    range,
    value,
  ]);
  const set = (/** @type {number} */ number) => {
    range.value = String(number);
    show(number); // also where it lies beyond the ends
  };
  return { element, set };
}

/**
 * Format a number with its sign, and zero without one.
 *
 * @param {number} value
 * @param {number} digits after the point
 */
export function formatSigned(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) {
    return text;
  }
  return value < 0 ? `−${text}` : `+${text}`;
}
