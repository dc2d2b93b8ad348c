/** The compiled arithmetic of `kernel.wat` and its memory. */

/**
 * @typedef {Object} Exports
 * @property {WebAssembly.Memory} memory
 * @property {(weights: number, offsets: number, input: number, output: number, bias: number,
 *   depth: number, width: number, pitch: number, rows: number) => void} multiply
 * @property {(matrix: number, input: number, output: number, bias: number, depth: number,
 *   panels: number) => void} combine
 * @property {(input: number, output: number, count: number) => void} gelu
 * @property {(input: number, output: number, count: number) => void} sigmoid
 * @property {(codes: number, code: number, output: number, size: number, blocks: number) => void
 *   } distances
 */

/** Rows of weights that `multiply` takes at a time, and columns of a panel. */
export const ROWS = 6;
export const COLUMNS = 8;
/** Panels that `combine` takes at a time. */
export const PANELS = 4;

const PAGE = 65536;
const START = 256; // behind the coefficients
const SLACK = 256; // bytes at the end that a block may read beyond its row

/**
 * Coefficients at the start of the memory, in the order in which the kernel reads them. The error
 * function erf(x / sqrt 2) is x p(x x) / q(x x) to 1.1e-8 for |x| < 5.4, fitted by weighted least
 * squares until the largest errors were equal; the power 2^x is a polynomial to 1.9e-9 for
 * |x| < 1/2.
 */
const COEFFICIENTS = [
  [0.797884464263916, 0.06674455106258392, 0.00930170901119709],
  [0.0003286444116383791, 1.2720052836812101e-5, 4.677344378478665e-8],
  [1, 0.2503179907798767, 0.028378713876008987],
  [0.0018589843530207872, 7.240036211442202e-5, 1.2165911584816058e-6],
  [5.4, -5.4, 0.5, 1],
  [1, 0.6931471824645996, 0.24022646248340607, 0.05550329014658928],
  [0.009618519805371761, 0.0013399859890341759, 0.00015337577497120947],
  [-Math.LOG2E, -87, 87],
];

/** The smallest module that has an instruction of relaxed SIMD. */
const RELAXED = [
  [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0],
  [65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
];

/** Whether the browser multiplies and adds in one step. */
export function hasRelaxed() {
  return WebAssembly.validate(new Uint8Array(RELAXED.flat()));
}

/** One instance of the kernel: a memory that grows, and the functions that compute in it. */
export class Kernel {
  /** @param {WebAssembly.Module} module */
  constructor(module) {
    const instance = new WebAssembly.Instance(module);
    this.call = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
    this.top = START;
    this.version = 0; // changes when addresses or views of the shared memory do
    this.floats(0, COEFFICIENTS.flat().length).set(COEFFICIENTS.flat());
  }

  /**
   * Take memory for good, for weights and tables.
   *
   * @param {number} bytes
   * @returns {number} its address
   */
  reserve(bytes) {
    const address = this.top;
    this.top += Math.ceil(bytes / 64) * 64;
    this.version++;
    this.share(0);
    return address;
  }

  /**
   * Make room behind everything reserved, for what lives during one run.
   *
   * @param {number} bytes
   * @returns {number} its address, which changes when more is reserved
   */
  share(bytes) {
    const missing = this.top + bytes + SLACK - this.call.memory.buffer.byteLength;
    if (missing > 0) {
      this.call.memory.grow(Math.ceil(missing / PAGE));
      this.version++; // growing takes the memory away from older views
    }
    return this.top;
  }

  /**
   * @param {number} address
   * @param {number} count
   */
  floats(address, count) {
    return new Float32Array(this.call.memory.buffer, address, count);
  }

  /**
   * Keep numbers for good.
   *
   * @param {ArrayLike<number>} numbers
   * @returns {number} their address
   */
  keep(numbers) {
    const address = this.reserve(numbers.length * 4);
    this.floats(address, numbers.length).set(numbers);
    return address;
  }

  /**
   * Keep distances between addresses for good.
   *
   * @param {ArrayLike<number>} bytes
   * @returns {number} their address
   */
  keepOffsets(bytes) {
    const address = this.reserve(bytes.length * 4);
    new Int32Array(this.call.memory.buffer, address, bytes.length).set(bytes);
    return address;
  }
}
