/** New codes from a mixture of normal distributions, as isthmus.latent.mixture draws them. */

/** @import { MixtureEntry } from "./types.js" */
/** @import { Store } from "./store.js" */

/** Numbers of a generator that are thrown away, until a small seed has reached all its bits. */
const WARM_UP = 12;

/**
 * @typedef {Object} Mixture
 * @property {MixtureEntry} entry
 * @property {Float32Array} means code after code
 * @property {Float32Array} factors row after row
 */

/**
 * @typedef {Object} Draw what is to be drawn
 * @property {number} seed
 * @property {number} temperature factor on the standard deviations
 * @property {number} count
 * @property {number} category the only class, or -1
 */

/**
 * Read the mixture, or return null if there is none.
 *
 * @param {Store} store
 * @returns {Promise<Mixture | null>}
 */
export async function readMixture(store) {
  const entry = store.manifest.mixture;
  if (!entry) {
    return null;
  }
  const files = [entry.means, entry.factors];
  const [means, factors] = await Promise.all(files.map((file) => store.numbers(file)));
  return { entry, means, factors };
}

/**
 * Return the classes that have components of their own.
 *
 * @param {MixtureEntry} entry
 * @returns {number[]}
 */
export function drawableClasses({ classes }) {
  return [...new Set(classes)].filter((one) => one >= 0).sort((a, b) => a - b);
}

/**
 * Draw codes. Each depends on the seed and its place alone, so that more of them begin alike.
 *
 * @param {Mixture} mixture
 * @param {Draw} draw
 * @returns {Float32Array} code after code
 */
export function drawCodes({ entry, means, factors }, { seed, temperature, count, category }) {
  const size = means.length / entry.weights.length;
  const shares = entry.weights.map((weight, i) =>
    category < 0 || entry.classes[i] === category ? weight : 0,
  );
  const codes = new Float32Array(count * size);
  for (let i = 0; i < count; i++) {
    const random = makeRandom(seed, i);
    const component = pick(shares, random());
    const noise = Float32Array.from({ length: size }, () => temperature * normal(random));
    for (let j = 0; j < size; j++) {
      const offset = entry.is_diagonal
        ? factors[component * size + j] * noise[j]
        : product(factors, (component * size + j) * size, noise, j + 1);
      codes[i * size + j] = means[component * size + j] + offset;
    }
  }
  return codes;
}

/**
 * Multiply the first numbers of a row, which ends at the diagonal, with noise.
 *
 * @param {Float32Array} factors
 * @param {number} start of the row
 * @param {Float32Array} noise
 * @param {number} count
 */
function product(factors, start, noise, count) {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += factors[start + i] * noise[i];
  }
  return sum;
}

/**
 * @param {number[]} shares
 * @param {number} number from 0 to 1
 * @returns {number} the index of a share, each as often as it is large
 */
function pick(shares, number) {
  let left = number * shares.reduce((a, b) => a + b, 0);
  const found = shares.findIndex((share) => (left -= share) < 0);
  return found < 0 ? shares.findLastIndex((share) => share > 0) : found; // rounding left a rest
}

/** A number of the standard normal distribution; G. Box, M. Muller, 1958. */
function normal(/** @type {() => number} */ random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/**
 * Return a generator of numbers from 0 to 1, without 1: "sfc32" of PractRand, by C. Doty-Humphrey.
 *
 * @param {number} seed
 * @param {number} number of the code
 * @returns {() => number}
 */
function makeRandom(seed, number) {
  let [a, b, c, counter] = [seed, number, 0x9e3779b9, 1].map((one) => one | 0);
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < WARM_UP; i++) {
    next();
  }
  return next;
}
