/** Columns of numbers: 16 bytes that say of what type and shape, then the numbers. */

const MAGIC = 0x48545349; // "ISTH", little-endian
const HEADER = 16;

/**
 * @typedef {Uint8Array | Uint16Array | Int32Array | Float32Array} Numbers
 */

/**
 * Return the numbers of a column, without copying them.
 *
 * @param {ArrayBuffer} content
 * @returns {Numbers} row by row
 */
export function readColumn(content) {
  const header = new DataView(content, 0, HEADER);
  if (header.getUint32(0, true) !== MAGIC || header.getUint8(4) !== 1) {
    throw new Error("A file of the data is damaged; load the page again.");
  }
  const length = header.getUint16(6, true) * header.getUint32(8, true);
  switch (header.getUint8(5)) {
    case 0:
      return new Uint8Array(content, HEADER, length);
    case 1:
      return new Uint16Array(content, HEADER, length);
    case 2:
      return new Int32Array(content, HEADER, length);
    default:
      return new Float32Array(content, HEADER, length);
  }
}

/**
 * Return a column of 32-bit numbers as the bytes of a file.
 *
 * @param {Float32Array} values
 * @param {number} columns numbers a row
 * @returns {ArrayBuffer}
 */
export function writeColumn(values, columns) {
  const content = new ArrayBuffer(HEADER + values.byteLength);
  const header = new DataView(content);
  header.setUint32(0, MAGIC, true);
  header.setUint8(4, 1);
  header.setUint8(5, 3);
  header.setUint16(6, columns, true);
  header.setUint32(8, values.length / columns, true);
  new Float32Array(content, HEADER).set(values);
  return content;
}

/**
 * Return some rows of a table.
 *
 * @param {Float32Array} values row after row
 * @param {ArrayLike<number>} rows
 * @param {number} size numbers a row
 */
export function takeRows(values, rows, size) {
  const taken = new Float32Array(rows.length * size);
  for (let i = 0; i < rows.length; i++) {
    taken.set(values.subarray(rows[i] * size, (rows[i] + 1) * size), i * size);
  }
  return taken;
}
