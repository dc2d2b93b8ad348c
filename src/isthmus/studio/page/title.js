/** The bar's title: which run this is, what it shows, and what was left out. */

/** @import { Context, Manifest } from "./types.js" */

import { byId, formatNumber, make } from "./dom.js";

/**
 * Write the title, and write it again when there is new content.
 *
 * @param {Context} context
 */
export function makeTitle({ store, state }) {
  const update = () => writeTitle(store.manifest);
  update();
  store.on("manifest", update);
  const applyTheme = () => setTheme(state.get("theme"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
  state.on(["theme"], applyTheme);
  applyTheme();
}

/** @param {Manifest} manifest */
function writeTitle(manifest) {
  document.title = `${manifest.name} · Isthmus studio`;
  const parts = [make("h1", { text: manifest.name }), make("p", { text: describe(manifest) })];
  const notes = [manifest.note];
  if (!manifest.data_available) {
    notes.push("The run's data is gone: what was stored of it is shown.");
  }
  const note = notes.filter(Boolean).join(" ");
  byId("title").replaceChildren(...parts, ...(note ? [make("p", { text: note })] : []));
}

/** @param {Manifest} manifest */
function describe({ model, count, sample, source, split, code_size: size }) {
  const sides = sample.shape.slice(0, sample.kind === "image" ? 2 : 1).join(" × ");
  const what = sample.kind === "image" ? "images" : "signals";
  const part = split === "all" ? "" : ` (${split})`;
  const code = size === 1 ? "1 number" : `${formatNumber(size)} numbers`;
  const samples = `${formatNumber(count)} ${what} of ${sides} from ${source}${part}`;
  return `${model} · ${samples} · code of ${code}`;
}

/**
 * @param {string} theme light, dark, or nothing for the system's
 */
function setTheme(theme) {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = theme || (isDark ? "dark" : "light");
  dispatchEvent(new Event("theme"));
}
