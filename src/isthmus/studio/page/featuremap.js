/** Feature maps as pictures: one scale of colors for all maps of a layer. */

/** @import { LayerOutput } from "./engine.js" */

import { drawingContext, formatNumber } from "./dom.js";

// Blue, white and orange can be told apart by the color-blind; so can all grays.
const NEGATIVE = [11, 92, 158];
const ZERO = [255, 255, 255];
const POSITIVE = [203, 90, 4];
const SHADES = 256;

/**
 * @typedef {Object} Scale
 * @property {number} low the smallest value
 * @property {number} high the largest
 * @property {boolean} isSigned whether white is 0; otherwise black is `low` and white is `high`
 */

/**
 * Return the scale of values, which is signed where some are negative.
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
  return { low, high, isSigned: low < 0 };
}

/**
 * Say what the colors of a scale mean.
 *
 * @param {Scale} scale
 */
export function describeScale({ low, high, isSigned }) {
  if (!isSigned) {
    return `black ${formatNumber(low)}, white ${formatNumber(high)}`;
  }
  const most = Math.max(-low, high);
  return `blue ${formatNumber(-most)}, white 0, orange ${formatNumber(most)}`;
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
  return count === 1 ? layer.values : layer.values.subarray(channel * height * width, (channel + 1) * height * width);
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
  const shades = shadesOf(scale.isSigned);
  const limit = Math.max(-scale.low, scale.high);
  const [low, high] = scale.isSigned ? [-limit, limit] : [scale.low, scale.high];
  const factor = high > low ? (SHADES - 1) / (high - low) : 0;
  for (let i = 0; i < values.length; i++) {
    image.data.set(shades[Math.round((values[i] - low) * factor)] ?? ZERO, 4 * i);
    image.data[4 * i + 3] = 255;
  }
  drawingContext(canvas).putImageData(image, 0, 0);
}

/** Width of the lines that so many numbers are folded into: a square at most, 16 at least. */
function foldedWidth(/** @type {number} */ count) {
  return count <= 64 ? count : Math.max(64, Math.ceil(Math.sqrt(count)));
}

/** @type {Map<boolean, number[][]>} */
const made = new Map();

/** @param {boolean} isSigned */
function shadesOf(isSigned) {
  const shades = made.get(isSigned) ?? Array.from({ length: SHADES }, (_, i) => shade(i / (SHADES - 1), isSigned));
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
