/** Feature maps as pictures: one scale of colors for all maps of a layer. */

/** @import { LayerOutput } from "./engine.js" */

import { drawingContext, formatNumber, make } from "./dom.js";

// Blue, white and orange can be told apart by the color-blind; so can all grays.
const NEGATIVE = [11, 92, 158];
const ZERO = [255, 255, 255];
const POSITIVE = [203, 90, 4];
const SHADES = 256;

const SAMPLED = 4096; // values by which the brightest shade is chosen
const MOST = 0.995; // share of the values that are below the brightest shade

/**
 * @typedef {Object} Scale
 * @property {number} low the smallest value
 * @property {number} high the largest
 * @property {number} from the value of the first color: blue, or black where none is negative
 * @property {number} to that of the last one: orange, or white
 */

/**
 * Return the scale of values. White is 0 where some are negative.
 *
 * A few values are often many times larger than all others, which would all look the same. So the
 * last colors stand for the largest 0.5%, but at most for what is above a third.
 *
 * @param {Float32Array} values
 * @returns {Scale}
 */
export function scaleOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low >= 0) {
    return { low, high, from: low, to: low + brightest(values, low, high - low) };
  }
  const to = brightest(values, 0, Math.max(-low, high));
  return { low, high, from: -to, to };
}

/**
 * Return how far from zero the last color is.
 *
 * @param {Float32Array} values
 * @param {number} zero
 * @param {number} most
 */
function brightest(values, zero, most) {
  const step = Math.max(1, Math.floor(values.length / SAMPLED));
  const count = Math.ceil(values.length / step);
  const sizes = Float32Array.from({ length: count }, (_, i) =>
    Math.abs(values[i * step] - zero),
  ).sort();
  return Math.min(most, Math.max(sizes[Math.floor(MOST * (count - 1))], most / 3));
}

/**
 * Say what the colors of a scale mean.
 *
 * @param {Scale} scale
 */
function describeScale({ low, high, from, to }) {
  const last = `${formatNumber(to)}${to < high ? " or more" : ""}`;
  if (low >= 0) {
    return `black ${formatNumber(from)}, white ${last}`;
  }
  return `blue ${formatNumber(from)}${low < from ? " or less" : ""}, white 0, orange ${last}`;
}

/**
 * Make a strip of the colors of a scale, with the values of its ends.
 *
 * @param {Scale} scale
 */
export function makeLegend(scale) {
  const { low, high, from, to } = scale;
  const ends = [
    `${low < from ? "≤ " : ""}${formatNumber(from)}`,
    `${high > to ? "≥ " : ""}${formatNumber(to)}`,
  ];
  const strip = make("span", {
    class: low < 0 ? "strip signed" : "strip",
    role: "img",
    "aria-label": describeScale(scale),
  });
  return make("span", { class: "scale" }, [ends[0], strip, ends[1]]);
}

/**
 * Return how a layer's values are shown: how many maps, of which sides.
 *
 * A layer of plain numbers is one map, folded into lines; of a signal's, each channel is a strip.
 *
 * @param {LayerOutput} layer
 */
export function mapsOf({ shape }) {
  const [channels, ...sides] = shape;
  if (sides.every((side) => side === 1)) {
    const width = foldedWidth(channels);
    return { count: 1, height: Math.ceil(channels / width), width, isDense: true };
  }
  const [height, width] = sides.length === 1 ? [1, sides[0]] : sides;
  return { count: channels, height, width, isDense: false };
}

/**
 * Return the values of one map.
 *
 * @param {LayerOutput} layer
 * @param {number} channel
 */
export function mapValues(layer, channel) {
  const { count, height, width } = mapsOf(layer);
  return count === 1
    ? layer.values
    : layer.values.subarray(channel * height * width, (channel + 1) * height * width);
}

/**
 * Draw a map on a canvas, a pixel for each value.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} values
 * @param {{height: number, width: number}} sides
 * @param {Scale} scale
 */
export function drawMap(canvas, values, { height, width }, scale) {
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  const shades = shadesOf(scale.low < 0);
  const { from, to } = scale;
  const factor = to > from ? (SHADES - 1) / (to - from) : 0;
  for (let i = 0; i < values.length; i++) {
    image.data.set(shades[shadeOf((values[i] - from) * factor)], 4 * i);
    image.data[4 * i + 3] = 255;
  }
  drawingContext(canvas).putImageData(image, 0, 0);
}

/** Return the shade of a place on the scale; beyond its ends, the last one. */
function shadeOf(/** @type {number} */ place) {
  return Math.max(0, Math.min(SHADES - 1, Math.round(place))) || 0;
}

/** Width of the lines that so many numbers are folded into: a square at most, 16 at least. */
function foldedWidth(/** @type {number} */ count) {
  return count <= 64 ? count : Math.max(64, Math.ceil(Math.sqrt(count)));
}

/** @type {Map<boolean, number[][]>} */
const made = new Map();

/** @param {boolean} isSigned */
function shadesOf(isSigned) {
  const shades =
    made.get(isSigned) ??
    Array.from({ length: SHADES }, (_, i) => shade(i / (SHADES - 1), isSigned));
  made.set(isSigned, shades);
  return shades;
}

/**
 * @param {number} share from 0 to 1
 * @param {boolean} isSigned
 */
function shade(share, isSigned) {
  if (!isSigned) {
    return [255 * share, 255 * share, 255 * share];
  }
  const end = share < 0.5 ? NEGATIVE : POSITIVE;
  const amount = Math.abs(2 * share - 1);
  return ZERO.map((zero, i) => zero + amount * (end[i] - zero));
}
