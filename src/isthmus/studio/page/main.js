/** The page: open the data, make its parts, and let them meet in the state. */

/** @import { Context, Panel } from "./types.js" */

import { makeClasses } from "./classes.js";
import { makeControls } from "./controls.js";
import { makeDecoder } from "./decoder.js";
import { byId } from "./dom.js";
import { Engine } from "./engine.js";
import { followPreparation, followServer } from "./events.js";
import { CHANGED, readAsset, readData, startWorker } from "./files.js";
import { keepFocus } from "./focus.js";
import { makeGallery } from "./gallery.js";
import { makeGenerate } from "./generate.js";
import { makeLayers } from "./layers.js";
import { MapView } from "./map.js";
import { makeMorph } from "./morph.js";
import { Place } from "./place.js";
import { makeSearch } from "./search.js";
import { Selection } from "./selection.js";
import { makeSliders } from "./sliders.js";
import { State } from "./state.js";
import { Store } from "./store.js";
import { makeTabs } from "./tabs.js";
import { makeTitle } from "./title.js";
import { makeTraining } from "./training.js";

/** Show one sentence in the status line; that the data changed is seen, and needs none. */
function say(/** @type {string} */ text) {
  if (text !== CHANGED) {
    byId("status").textContent = text;
  }
}

// Nor is it a mistake: parts begin again when the new manifest comes.
addEventListener("unhandledrejection", (event) => {
  if (event.reason?.message === CHANGED) {
    event.preventDefault();
  }
});

/** @returns {Promise<Context>} */
async function openContext() {
  const isLive = document.documentElement.dataset.live === "true";
  const stopFollowing = isLive ? followPreparation(say) : () => {};
  const [store, state] = [await Store.open(), new State()];
  stopFollowing();
  const engine = new Engine(store.manifest, { readData, readAsset, startWorker });
  store.on("manifest", () => engine.refresh(store.manifest)); // before the parts ask it again
  const selection = new Selection(store, state);
  const place = new Place(store, state, engine);
  const map = new MapView({ store, state, selection, say });
  return { store, state, engine, selection, map, place, say };
}

async function start() {
  const context = await openContext();
  makeTitle(context);
  makeControls(context);
  makeDecoder(context, byId("decoder"));
  const panels = [
    makeGallery(context),
    makeSearch(context),
    makeSliders(context),
    makeMorph(context),
    makeGenerate(context),
    makeLayers(context),
    makeTraining(context),
    makeClasses(context),
  ];
  makeTabs(context.state, /** @type {Panel[]} */ (panels.filter(Boolean)));
  keepFocus(byId("side"));
  if (context.store.manifest.live) {
    followServer(context.store, say);
  }
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => say(error.message));
