/** One feature map, enlarged: its range, the value under the pointer, and those next to it. */

/** @import { LayerOutput } from "./engine.js" */
/** @import { State } from "./state.js" */

import { formatNumber, make } from "./dom.js";
import { drawMap, makeLegend, mapsOf, mapValues, scaleOf } from "./featuremap.js";

export class Enlarged {
  /** @param {State} state whose key `layer` is the shown map: "layer,channel" */
  constructor(state) {
    this.state = state;
    /** @type {LayerOutput[]} */
    this.layers = [];
    this.title = make("h2", {});
    this.facts = make("p", { class: "quiet" });
    this.value = make("p", { class: "value", "aria-live": "polite" });
    this.canvas = make("canvas", { class: "picture", role: "img" });
    this.element = this.makeDialog();
    document.body.append(this.element);
    state.on(["layer", "panel"], () => this.update());
  }

  makeDialog() {
    const button = (/** @type {string} */ text, /** @type {() => void} */ click) =>
      make("button", { text, click });
    const close = button("Close", () => this.element.close());
    const row = [
      button("Previous", () => this.step(0, -1)),
      button("Next", () => this.step(0, 1)),
      close,
    ];
    const parts = [
      this.title,
      this.facts,
      this.canvas,
      this.value,
      make("div", { class: "row" }, row),
    ];
    const dialog = make("dialog", { class: "enlarged", "aria-label": "Feature map" }, parts);
    dialog.addEventListener("close", () => this.state.set({ layer: "" }));
    dialog.addEventListener("keydown", (event) => this.move(event));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    this.canvas.addEventListener("pointermove", (event) => this.read(event));
    return dialog;
  }

  /**
   * Take the layers of another sample.
   *
   * @param {LayerOutput[]} layers
   */
  show(layers) {
    this.layers = layers;
    this.update();
  }

  update() {
    const [layer, channel] = this.place();
    if (layer < 0) {
      this.element.close();
      return;
    }
    this.draw(this.layers[layer], channel);
    if (!this.element.open) {
      this.element.showModal();
    }
  }

  /** Return the shown layer and channel; the layer is -1 if there is none. */
  place() {
    const [layer = -1, channel = 0] = this.state.numbers("layer");
    const isOpen = this.state.get("layer") !== "" && this.state.get("panel") === "layers";
    const known = isOpen && this.layers[layer];
    return known && channel >= 0 && channel < mapsOf(known).count ? [layer, channel] : [-1, 0];
  }

  /**
   * @param {LayerOutput} layer
   * @param {number} channel
   */
  draw(layer, channel) {
    const maps = mapsOf(layer);
    const values = mapValues(layer, channel);
    const scale = scaleOf(values);
    drawMap(this.canvas, values, maps, scale);
    this.canvas.style.setProperty("--ratio", String(maps.width / maps.height));
    const which = maps.isDense
      ? `${formatNumber(layer.values.length)} numbers`
      : `map ${channel + 1} of ${maps.count}`;
    this.title.textContent = `${layer.name}, ${which}`;
    const range = `${formatNumber(scale.low)} to ${formatNumber(scale.high)}`;
    this.facts.replaceChildren(`${layer.kind} · from ${range} `, makeLegend(scale));
    this.canvas.setAttribute("aria-label", `${this.title.textContent}, from ${range}`);
    this.value.textContent =
      maps.isDense || maps.height === 1 ? "" : `${maps.height} × ${maps.width}`;
  }

  /** @param {PointerEvent} event */
  read(event) {
    const [index, channel] = this.place();
    if (index < 0) {
      return;
    }
    const { width, height } = mapsOf(this.layers[index]);
    const x = Math.floor((event.offsetX / this.canvas.clientWidth) * width);
    const y = Math.floor((event.offsetY / this.canvas.clientHeight) * height);
    const value = mapValues(this.layers[index], channel)[y * width + x];
    if (value !== undefined) {
      this.value.textContent = `row ${y + 1}, column ${x + 1}: ${formatNumber(value)}`;
    }
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    /** @type {Record<string, [number, number]>} */
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    if (event.key in steps) {
      this.step(...steps[event.key]);
      event.preventDefault();
    }
  }

  /**
   * Go to another map of the layer, or to another layer.
   *
   * @param {number} down layers
   * @param {number} across maps
   */
  step(down, across) {
    const [layer, channel] = this.place();
    const next = Math.max(0, Math.min(this.layers.length - 1, layer + down));
    const { count } = mapsOf(this.layers[next]);
    const map = down ? Math.min(channel, count - 1) : (channel + across + count) % count;
    this.state.set({ layer: `${next},${map}` }, { isStep: false });
  }
}
