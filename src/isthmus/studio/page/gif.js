/**
 * Animated GIFs, as CompuServe's "Graphics Interchange Format, Version 89a" of 1990 defines them:
 * one palette for all frames, repeated without end.
 */

import { choosePalette } from "./palette.js";

/** Codes of LZW have at most this many bits. */
const MAX_BITS = 12;

/**
 * Encode frames of one size.
 *
 * @param {ImageData[]} frames those that come again are compressed once
 * @param {number} delay between frames, in hundredths of a second
 * @param {number} scale pixels of the file for each pixel, along both sides
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeGif(frames, delay, scale = 1) {
  const different = [...new Set(frames)];
  const palette = choosePalette(different);
  const bits = Math.max(2, Math.ceil(Math.log2(palette.colors.length)));
  const size = [...short(frames[0].width * scale), ...short(frames[0].height * scale)];
  const pictures = new Map(
    different.map((frame) => [frame, compress(enlarge(frame, palette.indexOf, scale), bits)]),
  );
  const bytes = [...ascii("GIF89a"), ...size, 0xf0 | (bits - 1), 0, 0];
  for (let i = 0; i < 2 ** bits; i++) {
    bytes.push(...(palette.colors[i] ?? [0, 0, 0]));
  }
  bytes.push(0x21, 0xff, 11, ...ascii("NETSCAPE2.0"), 3, 1, 0, 0, 0); // repeat without end
  for (const frame of frames) {
    bytes.push(0x21, 0xf9, 4, 0, ...short(delay), 0, 0); // how long it stays
    bytes.push(0x2c, 0, 0, 0, 0, ...size, 0, bits);
    appendBlocks(bytes, pictures.get(frame) ?? []);
  }
  bytes.push(0x3b);
  return Uint8Array.from(bytes);
}

/**
 * Return the palette's index of every pixel of an enlarged picture.
 *
 * @param {ImageData} frame
 * @param {(red: number, green: number, blue: number) => number} indexOf
 * @param {number} scale
 */
function enlarge({ data, width, height }, indexOf, scale) {
  const indices = new Uint8Array(width * height * scale * scale);
  for (let y = 0; y < height; y++) {
    const start = y * scale * width * scale;
    for (let x = 0; x < width; x++) {
      const i = 4 * (y * width + x);
      const at = start + x * scale;
      indices.fill(indexOf(data[i], data[i + 1], data[i + 2]), at, at + scale);
    }
    for (let copy = 1; copy < scale; copy++) {
      indices.copyWithin(start + copy * width * scale, start, start + width * scale);
    }
  }
  return indices;
}

/** @param {string} text */
function ascii(text) {
  return Array.from(text, (letter) => letter.charCodeAt(0));
}

/** @param {number} value */
function short(value) {
  return [value & 255, value >> 8];
}

/**
 * Append data in blocks of at most 255 bytes, each after its length.
 *
 * @param {number[]} bytes
 * @param {number[]} data
 */
function appendBlocks(bytes, data) {
  for (let start = 0; start < data.length; start += 255) {
    const block = data.slice(start, start + 255);
    bytes.push(block.length, ...block);
  }
  bytes.push(0);
}

/**
 * Compress by the LZW of GIF.
 *
 * T. Welch: A technique for high-performance data compression, IEEE Computer 17, 1984.
 *
 * @param {Uint8Array} indices of colors
 * @param {number} bits of a color
 * @returns {number[]} bytes
 */
function compress(indices, bits) {
  const clear = 2 ** bits;
  const writer = new BitWriter();
  /** @type {Map<number, number>} a known string and one more color to the code of both */
  let table = new Map();
  let [next, width] = [clear + 2, bits + 1];
  writer.write(clear, width);
  let known = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const key = (known << 8) | indices[i];
    const longer = table.get(key);
    if (longer !== undefined) {
      known = longer;
      continue;
    }
    writer.write(known, width);
    if (next < 2 ** MAX_BITS) {
      table.set(key, next);
      width += next === 2 ** width ? 1 : 0;
      next++;
    } else {
      writer.write(clear, width);
      table = new Map();
      [next, width] = [clear + 2, bits + 1];
    }
    known = indices[i];
  }
  writer.write(known, width);
  width += next === 2 ** width && width < MAX_BITS ? 1 : 0;
  writer.write(clear + 1, width); // the end
  return writer.finish();
}

/** Writes numbers of a few bits, the lowest bit first. */
class BitWriter {
  constructor() {
    /** @type {number[]} */
    this.bytes = [];
    this.waiting = 0;
    this.count = 0;
  }

  /**
   * @param {number} value
   * @param {number} bits
   */
  write(value, bits) {
    this.waiting |= value << this.count;
    this.count += bits;
    while (this.count >= 8) {
      this.bytes.push(this.waiting & 255);
      this.waiting >>>= 8;
      this.count -= 8;
    }
  }

  finish() {
    if (this.count) {
      this.bytes.push(this.waiting & 255);
    }
    return this.bytes;
  }
}
