/**
 * Networks in parts, as the single file holds them: the weights that two networks share are in it
 * once, and those of large networks are in half precision. See `parts.py`.
 */

/** @typedef {["raw" | "half", string] | ["copy", string, number, number]} Part */

/**
 * Return the file whose parts these are.
 *
 * @param {Part[]} parts
 * @param {(path: string) => Promise<ArrayBuffer>} read returns another file of the data
 * @returns {Promise<ArrayBuffer>}
 */
export async function joinParts(parts, read) {
  const pieces = [];
  for (const [kind, value, start = 0, length = 0] of parts) {
    if (kind === "copy") {
      pieces.push(new Uint8Array(await read(value), start, length));
    } else {
      const bytes = bytesOf(value);
      pieces.push(kind === "raw" ? bytes : new Uint8Array(fromHalf(bytes).buffer));
    }
  }
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole.buffer;
}

/**
 * @param {string} text in base64
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function bytesOf(text) {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) {
    bytes[i] = letters.charCodeAt(i);
  }
  return bytes;
}

/**
 * Return numbers of 16 bits as those of 32 bits.
 *
 * @param {Uint8Array} bytes
 * @returns {Float32Array}
 */
function fromHalf(bytes) {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const numbers = new Float32Array(halves.length);
  const bits = new Uint32Array(numbers.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i];
    const sign = (half & 0x8000) << 16;
    const exponent = half & 0x7c00;
    if (exponent) {
      // The exponent counts from 15 there and from 127 here; weights are never infinite.
      bits[i] = sign | (((half & 0x7fff) + ((127 - 15) << 10)) << 13);
    } else {
      numbers[i] = ((half & 0x3ff) / 2 ** 24) * (sign ? -1 : 1);
    }
  }
  return numbers;
}
