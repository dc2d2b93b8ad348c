/** Colors of categories and numbers, which the color-blind can tell apart. */

// M. A. Petroff: Accessible color sequences for data visualization, arXiv:2107.02270, ten colors;
// the same as in the pictures of isthmus.viz.
const CATEGORIES = [
  "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
  "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
];

/** Of samples that have no category. */
export const NO_CATEGORY = "#9aa3ad";

/**
 * Return the color of a category, as #rrggbb.
 *
 * @param {number} index
 */
export function categoryColor(index) {
  return CATEGORIES[index % CATEGORIES.length];
}

/**
 * Return the three bytes of a color such as "#3f90da".
 *
 * @param {string} color
 * @returns {[number, number, number]}
 */
export function toBytes(color) {
  const value = parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
