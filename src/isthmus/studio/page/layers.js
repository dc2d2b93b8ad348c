/** What every layer of the model makes of the chosen sample. */

/** @import { LayerOutput } from "./engine.js" */
/** @import { Context, Panel } from "./types.js" */

import { readActivations, whyNoLayers } from "./activations.js";
import { makeBars, softmax } from "./bars.js";
import { chosenRow } from "./chosen.js";
import { make } from "./dom.js";
import { Enlarged } from "./enlarge.js";
import { LayerView } from "./layer.js";
import { makeLazy } from "./lazy.js";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeLayers(context) {
  const { live, networks } = context.store.manifest;
  if (!live && !networks.layers) {
    return null;
  }
  return new Layers(context).panel;
}

class Layers {
  /** @param {Context} context */
  constructor(context) {
    const { state, store, say } = context;
    this.context = context;
    /** @type {LayerView[]} */
    this.views = [];
    this.head = make("div", { class: "chosen" });
    this.note = make("p", { class: "hint", role: "status" });
    this.answer = make("div", {});
    this.list = make("div", {});
    this.enlarged = new Enlarged(state);
    this.observer = new IntersectionObserver((entries) => this.see(entries), {
      rootMargin: "200px",
    });
    const { panel, refresh } = makeLazy({
      name: "layers",
      title: "Layers",
      element: make("div", { class: "layers" }, [this.head, this.note, this.answer, this.list]),
      update: (isLatest) => this.update(isLatest),
      say,
    });
    this.panel = panel;
    state.on(["sample"], refresh);
    store.on("manifest", refresh);
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const row = chosenRow(this.context);
    const reason = whyNoLayers(this.context);
    if (reason || row < 0) {
      this.empty(reason || "Click a sample on the map to see what every layer makes of it.");
      return;
    }
    await this.showHead(row, isLatest);
    const { layers, isExact } = await this.read(row, isLatest);
    if (isLatest()) {
      this.note.textContent = isExact
        ? ""
        : "Computed from a compressed thumbnail, so values differ a little.";
      this.showAnswer(layers);
      this.show(layers);
    }
  }

  /**
   * @param {number} row
   * @param {() => boolean} isLatest
   */
  async read(row, isLatest) {
    try {
      return await readActivations(this.context, row);
    } catch (error) {
      if (isLatest()) {
        this.empty(/** @type {Error} */ (error).message);
      }
      throw error;
    }
  }

  /**
   * @param {number} row
   * @param {() => boolean} isLatest
   */
  async showHead(row, isLatest) {
    const { store } = this.context;
    const [name] = await store.names([row]);
    if (isLatest()) {
      const picture = store.thumbnail(row, `sample ${name}`);
      picture.classList.add("small-picture");
      this.head.replaceChildren(picture, make("p", { class: "name", text: name, dir: "auto" }));
      this.note.textContent = this.views.length ? "" : "The layers are being computed.";
    }
  }

  /** @param {string} text */
  empty(text) {
    this.note.textContent = text;
    for (const part of [this.head, this.answer, this.list]) {
      part.replaceChildren();
    }
    this.views = [];
    this.enlarged.show([]);
  }

  /**
   * Show the probabilities of a classifier, whose last layer has a number for each class.
   *
   * @param {LayerOutput[]} layers
   */
  showAnswer(layers) {
    const { manifest } = this.context.store;
    const names = manifest.columns.find(({ name }) => name === "predicted")?.names ?? [];
    const last = layers.at(-1);
    this.answer.replaceChildren();
    if (
      manifest.task === "classify" &&
      last &&
      last.values.length === names.length &&
      names.length > 1
    ) {
      const shares = /softmax/i.test(last.kind) ? last.values : softmax(last.values);
      this.answer.append(make("h2", { text: "Probabilities" }), makeBars(shares, names));
    }
  }

  /** @param {LayerOutput[]} layers */
  show(layers) {
    if (layers.length !== this.views.length) {
      this.observer.disconnect();
      this.views = layers.map((_, i) => new LayerView(i, (channel) => this.open(i, channel)));
      this.list.replaceChildren(...this.views.map((view) => view.element));
      this.views.forEach((view) => this.observer.observe(view.element));
    }
    layers.forEach((layer, i) => this.views[i].show(layer));
    this.enlarged.show(layers);
  }

  /**
   * @param {number} layer
   * @param {number} channel
   */
  open(layer, channel) {
    this.context.state.set({ layer: `${layer},${channel}` });
  }

  /** @param {IntersectionObserverEntry[]} entries */
  see(entries) {
    for (const { target, isIntersecting } of entries) {
      this.views.find((view) => view.element === target)?.see(isIntersecting);
    }
  }
}
