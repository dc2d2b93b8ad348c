/** How often a classifier is right, counted from the columns of the samples. */

/** @import { Column } from "./types.js" */
/** @import { Confusion } from "./confusion.js" */

/** @typedef {Column & {kind: "category"}} Category */

/**
 * @typedef {Object} ClassScore
 * @property {string} name
 * @property {number} count samples of the class
 * @property {number} recall the share of them that is found; NaN without any
 * @property {number} precision the share of what was taken for the class that is; NaN without any
 */

/**
 * Count the true and predicted classes of samples; those without a true class are left out.
 *
 * @param {Category} truth
 * @param {Category} predicted
 * @param {(row: number) => boolean} isCounted
 * @returns {Confusion}
 */
export function countConfusion(truth, predicted, isCounted) {
  const [truths, predictions] = [truth.names, predicted.names];
  const counts = new Int32Array(truths.length * predictions.length);
  for (let row = 0; row < truth.values.length; row++) {
    const [own, other] = [truth.values[row], predicted.values[row]];
    if (own < truths.length && other < predictions.length && isCounted(row)) {
      counts[own * predictions.length + other]++;
    }
  }
  return { counts, truths, predictions, same: matchNames(truths, predictions) };
}

/**
 * Return for each true class which predicted class has its name, or -1.
 *
 * @param {string[]} truths
 * @param {string[]} predictions
 */
function matchNames(truths, predictions) {
  const places = new Map(predictions.map((name, i) => [name, i]));
  return Int32Array.from(truths, (name) => places.get(name) ?? -1);
}

/**
 * Return how many samples are counted, and how many of them are right.
 *
 * @param {Confusion} confusion
 */
export function countRight({ counts, predictions, same }) {
  const right = same.reduce(
    (sum, place, i) => sum + (place < 0 ? 0 : counts[i * predictions.length + place]),
    0,
  );
  return { right, count: counts.reduce((a, b) => a + b, 0) };
}

/**
 * Return the recall and precision of each class that has samples, the worst recall first.
 *
 * @param {Confusion} confusion
 * @returns {ClassScore[]}
 */
export function scoreClasses({ counts, truths, predictions, same }) {
  const width = predictions.length;
  const taken = new Float64Array(width);
  counts.forEach((count, i) => (taken[i % width] += count));
  const scores = truths.map((name, i) => {
    const count = counts.subarray(i * width, (i + 1) * width).reduce((a, b) => a + b, 0);
    const right = same[i] < 0 ? 0 : counts[i * width + same[i]];
    return { name, count, recall: right / count, precision: right / (taken[same[i]] ?? 0) };
  });
  return scores.filter(({ count }) => count > 0).sort((a, b) => a.recall - b.recall);
}

/**
 * Return the samples that are wrong.
 *
 * @param {Category} truth
 * @param {Category} predicted
 * @param {(row: number) => boolean} isCounted
 * @returns {Int32Array}
 */
export function findMistakes(truth, predicted, isCounted) {
  const same = matchNames(truth.names, predicted.names);
  const rows = [];
  for (let row = 0; row < truth.values.length; row++) {
    const own = truth.values[row];
    if (own < truth.names.length && same[own] !== predicted.values[row] && isCounted(row)) {
      rows.push(row);
    }
  }
  return Int32Array.from(rows);
}
