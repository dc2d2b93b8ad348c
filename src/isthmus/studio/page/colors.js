/** Colors of categories and numbers, which the color-blind can tell apart. */

/** @import { Column } from "./types.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

// M. A. Petroff: Accessible color sequences for data visualization, arXiv:2107.02270, ten colors;
// the same as in the pictures of isthmus.viz. On dark paper the darkest are a little lighter, so
// that each stands out from the paper by at least 3:1; color-blind eyes tell them apart as well.
const CATEGORIES = {
  light: [
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
  ],
  dark: [
    "#4a98e0", "#ffa90e", "#c92a10", "#9fb0ae", "#9440c8",
    "#b07260", "#e76300", "#c4b87c", "#757a87", "#9fe3e6",
  ],
};

/** Categories that have a color of their own. */
export const MOST_COLORS = CATEGORIES.light.length;

/** Of samples that have no category. */
export const NO_CATEGORY = "#9aa3ad";

/** Levels of numbers; the level after the last is of numbers that are missing. */
const LEVELS = 255;

/** @typedef {"light" | "dark"} Theme */

/**
 * Return the color of a category, as #rrggbb.
 *
 * @param {number} index
 * @param {Theme} [theme]
 */
export function categoryColor(index, theme = currentTheme()) {
  return CATEGORIES[theme][index % MOST_COLORS];
}

/**
 * Return the color of categories that are too rare for one of their own.
 *
 * @param {Theme} theme
 */
export function rareColor(theme) {
  return theme === "dark" ? "#59636f" : "#b4bbc4";
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

/** @returns {Theme} */
export function currentTheme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

/**
 * Return the name of the column that colors the map; empty if there is none.
 *
 * @param {Store} store
 * @param {State} state
 */
export function coloringColumn(store, state) {
  const wanted = state.get("color");
  if (store.hasColumn(wanted)) {
    return wanted;
  }
  const { columns } = store.manifest;
  return (columns.find(({ name }) => name === "class") ?? columns[0])?.name ?? "";
}

/**
 * How a column is seen: a level of each sample, and a color of each level.
 *
 * @typedef {Object} Coloring
 * @property {Column} column
 * @property {Uint8Array | Uint16Array} levels
 * @property {number} count of levels
 * @property {Uint32Array} counts samples of each level
 */

/**
 * Return levels: of a category its index, of a number its place between low and high. The last
 * level is of samples without a value.
 *
 * @param {Column} column
 * @returns {Coloring}
 */
export function makeColoring(column) {
  const isCategory = column.kind === "category";
  const count = isCategory ? column.names.length + 1 : LEVELS + 1;
  const levels = isCategory ? column.values.slice() : toLevels(column);
  const counts = new Uint32Array(count);
  for (let i = 0; i < levels.length; i++) {
    levels[i] = levels[i] < count ? levels[i] : count - 1;
    counts[levels[i]]++;
  }
  return { column, levels, count, counts };
}

/** @param {{values: Float32Array, low: number, high: number}} column */
function toLevels({ values, low, high }) {
  const scale = LEVELS / (high - low || 1);
  return Uint8Array.from(values, (value) => {
    const level = Math.max(0, Math.min(LEVELS - 1, (value - low) * scale));
    return Number.isNaN(level) ? LEVELS : level;
  });
}

/**
 * Return the color of each level.
 *
 * @param {Coloring} coloring
 * @param {Set<number>} hidden
 * @param {Theme} theme
 * @returns {string[]}
 */
export function levelColors(coloring, hidden, theme) {
  if (coloring.column.kind === "number") {
    const ramp = Array.from({ length: LEVELS }, (_, i) => rampColor(i / (LEVELS - 1), theme));
    return [...ramp, NO_CATEGORY];
  }
  const slots = assignColors(coloring, hidden);
  const colors = Array.from(slots, (slot) =>
    slot < 0 ? rareColor(theme) : categoryColor(slot, theme),
  );
  return [...colors, NO_CATEGORY];
}

/**
 * Return which color each category has, or -1: where there are more than colors, the most frequent
 * have one; when such a category is hidden, the most frequent of the others takes its color.
 *
 * @param {Coloring} coloring
 * @param {Set<number>} hidden
 * @returns {Int16Array}
 */
function assignColors({ count, counts }, hidden) {
  const slots = new Int16Array(count - 1).fill(-1);
  if (slots.length <= MOST_COLORS) {
    return slots.map((_, i) => i);
  }
  const order = byFrequency(counts, count - 1);
  const free = order.slice(0, MOST_COLORS).map((category, slot) => {
    slots[category] = slot;
    return hidden.has(category) ? slot : -1;
  });
  const others = order.slice(MOST_COLORS).filter((i) => counts[i] && !hidden.has(i));
  free
    .filter((slot) => slot >= 0)
    .forEach((slot, i) => {
      if (i < others.length) {
        slots[others[i]] = slot;
      }
    });
  return slots;
}

/**
 * Return categories, the most frequent first.
 *
 * @param {Uint32Array} counts
 * @param {number} count
 * @returns {number[]}
 */
export function byFrequency(counts, count) {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => counts[b] - counts[a] || a - b);
}

/**
 * Return colors as pixels; 0 is of those that are hidden.
 *
 * @param {string[]} colors
 * @param {Set<number>} hidden
 * @returns {Int32Array}
 */
export function toPalette(colors, hidden) {
  return Int32Array.from(colors, (color, i) => (hidden.has(i) ? 0 : toPixel(color)));
}

/**
 * Return a color as the 32 bits of a pixel.
 *
 * @param {string} color
 */
export function toPixel(color) {
  const [red, green, blue] = toBytes(color);
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

/**
 * Return the color of a number, from 0 to 1: evenly lighter or darker, from yellow to violet, so
 * that low numbers are near the paper and high ones stand out.
 *
 * @param {number} share
 * @param {Theme} theme
 */
export function rampColor(share, theme) {
  const t = theme === "dark" ? share : 1 - share;
  const lightness = theme === "dark" ? 0.4 + 0.52 * t : 0.33 + 0.53 * t;
  return fromOklch(lightness, 0.14 - 0.04 * Math.sin(Math.PI * t), 285 - 190 * t);
}

/**
 * Return the nearest color of the screen, after B. Ottosson: A perceptual color space for image
 * processing, 2020.
 *
 * @param {number} lightness
 * @param {number} chroma
 * @param {number} hue in degrees
 */
function fromOklch(lightness, chroma, hue) {
  const angle = (hue * Math.PI) / 180;
  const [a, b] = [chroma * Math.cos(angle), chroma * Math.sin(angle)];
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return `#${linear.map(toHex).join("")}`;
}

/** @param {number} linear */
function toHex(linear) {
  const value = Math.max(0, Math.min(1, linear));
  const curved = value > 0.0031308 ? 1.055 * value ** (1 / 2.4) - 0.055 : 12.92 * value;
  return Math.round(255 * curved)
    .toString(16)
    .padStart(2, "0");
}
