/** The bar's controls: which map, what colors it, and the theme; and what lies over the map. */

/** @import { Context } from "./types.js" */

import { coloringColumn, currentTheme } from "./colors.js";
import { byId, fillMenu, make } from "./dom.js";
import { ask } from "./files.js";
import { makeIcon } from "./icon.js";
import { makeLegend } from "./legend.js";
import { makeQuality } from "./quality.js";
import { makeSelectionBar } from "./selectionbar.js";
import { makeTip } from "./tip.js";
import { makeTools } from "./tools.js";

/** @type {Record<string, string>} */
const TITLES = { pca: "PCA", tsne: "t-SNE", umap: "UMAP", code: "Code" };

/** @param {Context} context */
export function makeControls(context) {
  byId("controls").replaceChildren(
    makeMapChoice(context),
    makeColorChoice(context),
    makeThemeButton(context),
  );
  byId("map").append(
    makeTools(context),
    makeLegend(context),
    makeQuality(context),
    makeSelectionBar(context),
    makeTip(context),
  );
}

// -- maps ------------------------------------------------------------------------------------

/** @param {Context} context */
function makeMapChoice(context) {
  const { store, state } = context;
  const select = make("select", {
    id: "map-choice",
    change: () => chooseMap(context, select.value),
  });
  const bar = make("progress", { max: "1", hidden: true, "aria-label": "Progress of the map" });
  const update = () => {
    fillMenu(select, mapOptions(context), state.get("map"));
  };
  state.on(["map"], update);
  store.on("manifest", update);
  store.on("job", (job) => showJob(job, bar, context.say));
  update();
  return make("label", {}, ["Map ", select, bar]);
}

/**
 * @param {Context} context
 * @returns {string[][]} the value and the text of each
 */
function mapOptions({ store: { manifest } }) {
  const known = manifest.maps.map(({ method }) => method);
  const others = manifest.methods.filter((method) => !known.includes(method));
  const missing = manifest.live ? others : [];
  return [
    ...manifest.maps.map(({ method, title }) => [method, title]),
    ...missing.map((method) => [method, `${TITLES[method] ?? method} (compute)`]),
  ];
}

/**
 * Show a map, or ask the server for one that is not computed yet; it is shown when it is there.
 *
 * @param {Context} context
 * @param {string} method
 */
function chooseMap(context, method) {
  const { store, state, say } = context;
  if (store.map(method)) {
    showMap(context, method);
    return;
  }
  const title = TITLES[method] ?? method;
  say(`${title} is being computed; it is shown when it is there.`);
  wanted = method;
  ask(`maps/${method}`, { method: "POST" }).catch((error) => {
    wanted = "";
    say(error.message);
  });
  state.tell(["map"]); // the choice returns to what is shown
  if (!isWaiting) {
    isWaiting = true;
    store.on("manifest", () => {
      if (wanted && store.map(wanted)) {
        showMap(context, wanted);
        say("");
      }
    });
  }
}

/** The map that the server was asked for. */
let wanted = "";
let isWaiting = false;

/**
 * @param {Context} context
 * @param {string} method
 */
function showMap({ state, store }, method) {
  wanted = "";
  const isFirst = method === store.manifest.maps[0]?.method;
  state.set({ map: isFirst ? "" : method, view: "", place: "", route: "" });
}

/**
 * @param {{name: string, done: number, total: number, text: string, error?: string}} job
 * @param {HTMLProgressElement} bar
 * @param {(text: string) => void} say
 */
function showJob({ done, total, text, error }, bar, say) {
  if (error) {
    say(error);
  }
  bar.hidden = done >= total;
  bar.value = total ? done / total : 0;
  bar.title = text;
}

// -- colors and theme ------------------------------------------------------------------------

/** @param {Context} context */
function makeColorChoice({ store, state }) {
  const select = make("select", { id: "color-choice" });
  select.addEventListener("change", () => state.set({ color: select.value, hidden: "" }));
  const update = () => {
    const { columns } = store.manifest;
    const options = columns.map(({ name, title }) => [name, title]);
    fillMenu(select, options, coloringColumn(store, state));
    select.disabled = columns.length === 0;
  };
  state.on(["color"], update);
  store.on("manifest", update);
  update();
  return make("label", {}, ["Color ", select]);
}

/** @param {Context} context */
function makeThemeButton({ state }) {
  const button = make("button", {
    class: "icon-button",
    click: () =>
      state.set({ theme: currentTheme() === "dark" ? "light" : "dark" }, { isStep: false }),
  });
  const update = () => {
    const other = currentTheme() === "dark" ? "light" : "dark";
    button.replaceChildren(makeIcon(other));
    button.title = `Use ${other} colors`;
    button.setAttribute("aria-label", button.title);
  };
  addEventListener("theme", update);
  update();
  return button;
}
