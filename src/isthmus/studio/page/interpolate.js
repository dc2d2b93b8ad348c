/** The way between codes, as isthmus.latent.interpolation computes it. */

/** Of the sine of an angle; below, two codes are parallel and define no plane to rotate in. */
const MIN_SINE = 1e-6;

/** @typedef {ArrayLike<number>} Code */

/** @typedef {(a: Code, b: Code, share: number) => number[]} PathFunction */

/** @type {Record<string, PathFunction>} */
export const PATHS = { linear, spherical };

/**
 * Interpolate between two codes in even steps; the first is exactly a, the last b.
 *
 * @param {Float32Array} a
 * @param {Float32Array} b
 * @param {number} steps at least 2, with both ends
 * @param {string} path a key of `PATHS`
 * @returns {Float32Array} code after code
 */
export function interpolate(a, b, steps, path) {
  const codes = new Float32Array(steps * a.length);
  for (let i = 0; i < steps; i++) {
    codes.set(PATHS[path](a, b, i / (steps - 1)), i * a.length);
  }
  codes.set(a, 0); // exactly: `spherical` rounds
  codes.set(b, (steps - 1) * a.length);
  return codes;
}

/** @type {PathFunction} */
function linear(a, b, share) {
  return Array.from(a, (value, i) => (1 - share) * value + share * b[i]);
}

/**
 * Rotate from a to b in even steps, and change the length in even steps.
 *
 * K. Shoemake: Animating rotation with quaternion curves, SIGGRAPH 1985.
 *
 * @type {PathFunction}
 */
function spherical(a, b, share) {
  const [from, to] = [norm(a), norm(b)];
  if (Math.min(from, to) === 0) {
    return linear(a, b, share);
  }
  const cosine = Array.from(a).reduce((sum, value, i) => sum + (value / from) * (b[i] / to), 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine))); // rounding may leave [-1, 1]
  if (Math.sin(angle) < MIN_SINE) {
    return linear(a, b, share);
  }
  const length = ((1 - share) * from + share * to) / Math.sin(angle);
  const [first, second] = [Math.sin((1 - share) * angle) / from, Math.sin(share * angle) / to];
  return Array.from(a, (value, i) => length * (first * value + second * b[i]));
}

/** @param {ArrayLike<number>} code */
function norm(code) {
  return Math.sqrt(Array.from(code).reduce((sum, value) => sum + value * value, 0));
}

/**
 * Return places on a drawn line, evenly spaced along its length, with both ends.
 *
 * @param {[number, number][]} points at least one
 * @param {number} steps at least 2
 * @returns {[number, number][]}
 */
export function alongLine(points, steps) {
  const lengths = [0];
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    lengths.push(lengths[i - 1] + Math.hypot(b[0] - a[0], b[1] - a[1]));
  }
  const total = lengths[lengths.length - 1];
  const step = total / (steps - 1);
  return Array.from({ length: steps }, (_, i) => onLine(points, lengths, step * i));
}

/**
 * @param {[number, number][]} points
 * @param {number[]} lengths from the start to each point
 * @param {number} wanted length from the start
 * @returns {[number, number]}
 */
function onLine(points, lengths, wanted) {
  const after = lengths.findIndex((length) => length >= wanted);
  if (after <= 0) {
    return after < 0 ? points[points.length - 1] : points[0];
  }
  const [a, b] = [points[after - 1], points[after]];
  const share = (wanted - lengths[after - 1]) / (lengths[after] - lengths[after - 1] || 1);
  return [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])];
}
