/** The nearest of many codes, exactly: every distance is computed. */

/** @import { Kernel } from "./kernel.js" */

const BLOCK = 16; // codes whose distances the kernel computes together

/** @typedef {{rows: Int32Array, distances: Float32Array}} Found nearest first */

export class Neighbors {
  /**
   * @param {Kernel} kernel of its own
   * @param {Float32Array} codes row after row; copied
   * @param {number} size numbers a code
   */
  constructor(kernel, codes, size) {
    this.kernel = kernel;
    this.size = size;
    this.count = codes.length / size;
    this.blocks = Math.ceil(this.count / BLOCK);
    this.codes = kernel.reserve(this.blocks * BLOCK * size * 4);
    this.code = kernel.reserve(size * 4);
    this.squares = kernel.reserve(this.blocks * BLOCK * 4);
    this.#pack(codes);
  }

  /** @param {Float32Array} codes */
  #pack(codes) {
    const packed = this.#packed();
    for (let row = 0, from = 0; row < this.count; row++) {
      for (let i = 0, to = this.#first(row); i < this.size; i++, to += BLOCK) {
        packed[to] = codes[from++];
      }
    }
  }

  #packed() {
    return this.kernel.floats(this.codes, this.blocks * BLOCK * this.size);
  }

  /**
   * Where the first number of a code is.
   *
   * @param {number} row
   */
  #first(row) {
    return Math.floor(row / BLOCK) * BLOCK * this.size + (row % BLOCK);
  }

  /**
   * The codes of rows, one after another.
   *
   * @param {ArrayLike<number>} rows
   */
  codesOf(rows) {
    const packed = this.#packed();
    const codes = new Float32Array(rows.length * this.size);
    for (let i = 0, to = 0; i < rows.length; i++) {
      for (let k = 0, from = this.#first(rows[i]); k < this.size; k++, from += BLOCK) {
        codes[to++] = packed[from];
      }
    }
    return codes;
  }

  /**
   * @param {Float32Array} code
   * @param {number} k
   * @param {Uint8Array | null} [allowed] for each row, whether it may be found; else all may
   * @param {number} [without] a row that is left out, as that of the code itself
   * @returns {Found} fewer than k where fewer may be found; of equals the lower row
   */
  nearest(code, k, allowed = null, without = -1) {
    this.kernel.floats(this.code, this.size).set(code);
    const { distances } = this.kernel.call;
    distances(this.codes, this.code, this.squares, this.size, this.blocks);
    const best = new Best(Math.min(k, this.count));
    const squares = this.kernel.floats(this.squares, this.count);
    for (let row = 0; row < this.count; row++) {
      if (squares[row] < best.limit && row !== without && (!allowed || allowed[row])) {
        best.add(row, squares[row]);
      }
    }
    return this.#ordered(best.rows, code);
  }

  /**
   * Rows by distances in full precision.
   *
   * @param {number[]} rows
   * @param {Float32Array} code
   * @returns {Found}
   */
  #ordered(rows, code) {
    const codes = this.codesOf(rows);
    const found = rows.map((row, i) => {
      let sum = 0;
      for (let k = 0; k < this.size; k++) {
        sum += (codes[i * this.size + k] - code[k]) ** 2;
      }
      return { row, distance: Math.sqrt(sum) };
    });
    found.sort((one, other) => one.distance - other.distance || one.row - other.row);
    return {
      rows: Int32Array.from(found, ({ row }) => row),
      distances: Float32Array.from(found, ({ distance }) => distance),
    };
  }
}

/** The rows of the k smallest values so far: a heap with the largest of them on top. */
class Best {
  /** @param {number} k */
  constructor(k) {
    this.k = k;
    this.limit = k > 0 ? Infinity : -Infinity; // what a value must be below
    /** @type {number[]} */
    this.rows = [];
    /** @type {number[]} */
    this.values = [];
  }

  /**
   * @param {number} row
   * @param {number} value below the limit
   */
  add(row, value) {
    if (this.rows.length < this.k) {
      this.rows.push(row);
      this.values.push(value);
      this.#rise(this.rows.length - 1);
    } else {
      this.#put(0, row, value);
      this.#sink(0);
    }
    if (this.rows.length === this.k) {
      this.limit = this.values[0];
    }
  }

  /** @param {number} at */
  #rise(at) {
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.values[above] >= this.values[at]) {
        return;
      }
      this.#swap(at, above);
      at = above;
    }
  }

  /** @param {number} at */
  #sink(at) {
    for (;;) {
      let largest = at;
      for (const below of [2 * at + 1, 2 * at + 2]) {
        if (below < this.values.length && this.values[below] > this.values[largest]) {
          largest = below;
        }
      }
      if (largest === at) {
        return;
      }
      this.#swap(at, largest);
      at = largest;
    }
  }

  /**
   * @param {number} one
   * @param {number} other
   */
  #swap(one, other) {
    const [row, value] = [this.rows[one], this.values[one]];
    this.#put(one, this.rows[other], this.values[other]);
    this.#put(other, row, value);
  }

  /**
   * @param {number} at
   * @param {number} row
   * @param {number} value
   */
  #put(at, row, value) {
    this.rows[at] = row;
    this.values[at] = value;
  }
}
