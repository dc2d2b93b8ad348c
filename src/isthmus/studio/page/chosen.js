/** The chosen sample: which it is, and what is known of it. */

/** @import { Column, Context } from "./types.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

import { coloringColumn, currentTheme, levelColors, makeColoring, NO_CATEGORY } from "./colors.js";
import { formatNumber, make } from "./dom.js";

/**
 * Return the row of the chosen sample, or -1.
 *
 * @param {{state: State, store: Store}} context
 */
export function chosenRow({ state, store }) {
  const text = state.get("sample");
  const row = text === "" ? -1 : Number(text);
  return Number.isInteger(row) && row >= 0 && row < store.manifest.count ? row : -1;
}

/**
 * Return a sample's category, or -1 if it has none.
 *
 * @param {Column} column
 * @param {number} row
 */
export function categoryOf({ values }, row) {
  const none = values instanceof Uint8Array ? 255 : 65535;
  return values[row] === none ? -1 : values[row];
}

/**
 * Return what a column says of a sample, as people read it.
 *
 * @param {Column} column
 * @param {number} row
 */
export function formatValue(column, row) {
  if (column.kind === "number") {
    return formatNumber(column.values[row]);
  }
  const category = categoryOf(column, row);
  return category < 0 ? "none" : (column.names[category] ?? String(category));
}

/**
 * Keep a name's direction of writing to itself, within a sentence.
 *
 * @param {string} name
 */
export function isolate(name) {
  return `\u2068${name}\u2069`;
}

/**
 * The classes of the samples, and the color of each as the map has it; the last color is of samples
 * without a class.
 *
 * @typedef {{column: Column & {kind: "category"}, colors: string[]}} Classes
 */

/**
 * Return the classes, or null if there are none.
 *
 * @param {Context} context
 * @returns {Promise<Classes | null>}
 */
export async function findClasses({ store, state, selection }) {
  const column = store.hasColumn("class") ? await store.column("class") : null;
  if (column?.kind !== "category") {
    return null;
  }
  const isColoring = coloringColumn(store, state) === "class";
  const hidden = isColoring ? selection.hidden() : new Set();
  return { column, colors: levelColors(makeColoring(column), hidden, currentTheme()) };
}

/**
 * Return the color of a sample's class.
 *
 * @param {Classes | null} classes
 * @param {number} row
 */
export function classColor(classes, row) {
  const category = classes ? categoryOf(classes.column, row) : -1;
  return classes?.colors.at(category) ?? NO_CATEGORY;
}

/**
 * Return all columns.
 *
 * @param {Store} store
 * @returns {Promise<Column[]>}
 */
function allColumns(store) {
  return Promise.all(store.manifest.columns.map(({ name }) => store.column(name)));
}

/**
 * Fill an element with what is known of the chosen sample, or with a hint if there is none.
 *
 * @param {Context} context
 * @param {HTMLElement} element
 * @param {string} hint
 * @returns {number} the row, or -1
 */
export function showChosen(context, element, hint) {
  const row = chosenRow(context);
  if (row < 0) {
    element.replaceChildren(make("p", { class: "hint", text: hint }));
  } else {
    const showing = showSample(context, element, row, () => chosenRow(context) === row);
    showing.catch((error) => context.say(error.message));
  }
  return row;
}

/**
 * Fill an element with a sample's picture, name and columns.
 *
 * @param {Context} context
 * @param {HTMLElement} element
 * @param {number} row
 * @param {() => boolean} isLatest
 */
export async function showSample(context, element, row, isLatest) {
  const { store } = context;
  const [[name], columns, classes] = await Promise.all([
    store.names([row]),
    allColumns(store),
    findClasses(context),
  ]);
  if (!isLatest()) {
    return;
  }
  const picture = store.thumbnail(row, `sample ${name}`);
  picture.classList.add("large");
  picture.style.borderColor = classColor(classes, row);
  const facts = columns.flatMap((column) => fact(column, row));
  const title = make("p", { class: "name", text: name, dir: "auto", title: name });
  element.replaceChildren(picture, make("div", {}, [title, make("dl", { class: "facts" }, facts)]));
}

/**
 * @param {Column} column
 * @param {number} row
 */
function fact(column, row) {
  const value = make("dd", { text: formatValue(column, row), dir: "auto" });
  return [make("dt", { text: column.title }), value];
}
