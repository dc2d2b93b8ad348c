/**
 * From a picture to the input of the model, with the pixels that isthmus.data.preprocess makes:
 * background, crop, gray or color, and resizing by a triangle filter with antialiasing.
 */

/** @import { Manifest } from "./types.js" */

const STRIP = 2 ** 22; // pixels that are read at once

/**
 * @typedef {Object} Taps what a pixel of the result is made of
 * @property {number} start the first pixel of the source
 * @property {Float32Array} weights of that and the following ones; their sum is 1
 */

/**
 * Return a picture as the model's input (H, W, C).
 *
 * @param {Blob} file
 * @param {Manifest} manifest
 * @returns {Promise<Uint8Array>}
 */
export async function preprocess(file, { sample, preprocessing }) {
  const bitmap = await decode(file);
  try {
    const [height, width, channels] = sample.shape;
    const box = cropBox(bitmap.width, bitmap.height, preprocessing.crop);
    const rows = readRows(bitmap, box, preprocessing.background, channels, width);
    return resizeColumns(rows, box.height, height, width * channels);
  } finally {
    bitmap.close();
  }
}

/** @param {Blob} file */
async function decode(file) {
  try {
    const plain = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    return await createImageBitmap(file, /** @type {ImageBitmapOptions} */ (plain));
  } catch {
    throw new Error("The browser cannot read this file as a picture.");
  }
}

/**
 * Return the central square of a side, or of the largest side that fits; without a crop, all.
 *
 * @param {number} width
 * @param {number} height
 * @param {number | null} crop
 */
function cropBox(width, height, crop) {
  if (crop === null) {
    return { left: 0, top: 0, width, height };
  }
  const side = Math.min(crop, width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  return { left, top, width: side, height: side };
}

/**
 * Read pixels strip by strip, so that a large picture never is in memory as numbers, and resize
 * their rows.
 *
 * @param {ImageBitmap} bitmap
 * @param {{left: number, top: number, width: number, height: number}} box
 * @param {string} background
 * @param {number} channels
 * @param {number} width of the result
 * @returns {Uint8Array} (box.height, width, channels)
 */
function readRows(bitmap, box, background, channels, width) {
  const taps = triangleTaps(box.width, width);
  const rows = new Uint8Array(box.height * width * channels);
  const deep = Math.max(1, Math.min(box.height, Math.floor(STRIP / box.width)));
  const context = readableContext(box.width, deep);
  context.fillStyle = background;
  for (let y = 0; y < box.height; y += deep) {
    const count = Math.min(deep, box.height - y);
    context.fillRect(0, 0, box.width, count);
    context.drawImage(bitmap, box.left, box.top + y, box.width, count, 0, 0, box.width, count);
    const { data } = context.getImageData(0, 0, box.width, count);
    const pixels = pickChannels(data, channels);
    rows.set(resizeRows(pixels, box.width, taps, channels), y * width * channels);
  }
  return rows;
}

/**
 * Return what to draw on where pixels are read again and again, which is slow from graphics memory.
 *
 * @param {number} width
 * @param {number} height
 */
function readableContext(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new Error("This browser cannot read pictures; use a current one.");
  }
  return context;
}

/**
 * Return the channels of pixels with color and opacity; gray by the luma weights of ITU-R BT.601.
 *
 * @param {Uint8ClampedArray} data
 * @param {number} channels 1 or 3
 */
function pickChannels(data, channels) {
  const pixels = new Uint8Array((data.length / 4) * channels);
  for (let i = 0, at = 0; at < data.length; at += 4) {
    const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
    if (channels === 1) {
      pixels[i++] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
    } else {
      pixels[i++] = red;
      pixels[i++] = green;
      pixels[i++] = blue;
    }
  }
  return pixels;
}

/**
 * Return the weights by which pixels of a side become those of another, as Pillow has them: a
 * triangle as wide as two pixels of the result or of the source, whichever is larger.
 *
 * @param {number} from
 * @param {number} to
 * @returns {Taps[] | null} null where nothing changes
 */
function triangleTaps(from, to) {
  if (from === to) {
    return null;
  }
  const scale = from / to;
  const reach = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const start = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(from, Math.floor(center + reach + 0.5));
    const weights = Float32Array.from({ length: end - start }, (_, at) =>
      Math.max(0, 1 - Math.abs(start + at - center + 0.5) / reach),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * @param {Uint8Array} pixels rows of `from` pixels
 * @param {number} from
 * @param {Taps[] | null} taps
 * @param {number} channels
 */
function resizeRows(pixels, from, taps, channels) {
  if (!taps) {
    return pixels;
  }
  const height = pixels.length / (from * channels);
  const result = new Uint8Array(height * taps.length * channels);
  for (let y = 0, at = 0; y < height; y++) {
    for (const { start, weights } of taps) {
      for (let channel = 0; channel < channels; channel++) {
        result[at++] = weigh(pixels, (y * from + start) * channels + channel, channels, weights);
      }
    }
  }
  return result;
}

/**
 * @param {Uint8Array} rows `from` rows of `length` numbers
 * @param {number} from
 * @param {number} to
 * @param {number} length
 */
function resizeColumns(rows, from, to, length) {
  const taps = triangleTaps(from, to);
  if (!taps) {
    return rows;
  }
  const result = new Uint8Array(to * length);
  taps.forEach(({ start, weights }, y) => {
    for (let x = 0; x < length; x++) {
      result[y * length + x] = weigh(rows, start * length + x, length, weights);
    }
  });
  return result;
}

/**
 * Return a weighted mean of bytes, rounded.
 *
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} step
 * @param {Float32Array} weights
 */
function weigh(bytes, start, step, weights) {
  let sum = 0.5;
  for (let i = 0; i < weights.length; i++) {
    sum += bytes[start + i * step] * weights[i];
  }
  return sum;
}
