/** One layer: its name, shape and range, and its feature maps, drawn when they come into view. */

/** @import { LayerOutput } from "./engine.js" */

import { formatNumber, make } from "./dom.js";
import { drawMap, makeLegend, mapsOf, mapValues, scaleOf } from "./featuremap.js";

const SHOWN = 32; // maps, until a button shows all

export class LayerView {
  /**
   * @param {number} index of the layer
   * @param {(channel: number) => void} enlarge
   */
  constructor(index, enlarge) {
    this.index = index;
    this.enlarge = enlarge;
    /** @type {LayerOutput | null} */
    this.layer = null;
    this.isSeen = false;
    this.isDrawn = false;
    this.limit = SHOWN;
    this.title = make("h3", {});
    this.facts = make("p", { class: "quiet small" });
    this.maps = make("div", { class: "maps" });
    this.all = make("button", { hidden: true, click: () => this.showAll() });
    this.maps.addEventListener("keydown", (event) => this.moveFocus(event));
    this.element = make("section", { class: "layer" }, [
      this.title,
      this.facts,
      this.maps,
      this.all,
    ]);
  }

  /**
   * Show another output.
   *
   * @param {LayerOutput} layer
   */
  show(layer) {
    this.layer = layer;
    this.isDrawn = false;
    this.title.replaceChildren(
      layer.name,
      make("span", { class: "quiet", text: ` ${layer.kind}` }),
    );
    this.makeMaps();
    this.draw();
  }

  /**
   * Say whether the layer is in view.
   *
   * @param {boolean} isSeen
   */
  see(isSeen) {
    this.isSeen = isSeen;
    this.draw();
  }

  showAll() {
    this.limit = Infinity;
    this.isDrawn = false;
    this.makeMaps();
    this.draw();
    /** @type {HTMLElement | undefined} */ (this.maps.children[SHOWN])?.focus();
  }

  /** Make as many buttons as there are maps; those that are there already stay. */
  makeMaps() {
    const layer = /** @type {LayerOutput} */ (this.layer);
    const { count, isDense, height, width } = mapsOf(layer);
    const shown = Math.min(count, this.limit);
    while (this.maps.children.length > shown) {
      this.maps.lastElementChild?.remove();
    }
    while (this.maps.children.length < shown) {
      this.maps.append(this.makeMap(this.maps.children.length));
    }
    [...this.maps.children].forEach((map, channel) => {
      const canvas = /** @type {HTMLCanvasElement} */ (map.firstChild);
      [canvas.width, canvas.height] = [width, height]; // so that nothing moves when it is drawn
      map.setAttribute(
        "aria-label",
        isDense ? `${layer.name}, enlarge` : `${layer.name}, map ${channel + 1} of ${count}`,
      );
    });
    this.maps.classList.toggle("dense", isDense);
    this.maps.classList.toggle("strips", !isDense && height === 1);
    this.maps.style.setProperty("--side", `${Math.max(44, Math.min(96, Math.round(width)))}px`);
    this.all.hidden = shown === count;
    this.all.textContent = `Show all ${formatNumber(count)}`;
  }

  /** @param {number} channel */
  makeMap(channel) {
    return make(
      "button",
      {
          class: "map",
        tabindex: channel ? "-1" : "0",
        click: () => this.enlarge(channel),
      },
      [make("canvas")],
    );
  }

  draw() {
    const { layer } = this;
    if (!layer || !this.isSeen || this.isDrawn) {
      return;
    }
    this.isDrawn = true;
    const scale = scaleOf(layer.values);
    const range = `${formatNumber(scale.low)} to ${formatNumber(scale.high)}`;
    this.facts.replaceChildren(`${layer.shape.join(" × ")} · from ${range} `, makeLegend(scale));
    const sides = mapsOf(layer);
    [...this.maps.children].forEach((map, channel) => {
      const canvas = /** @type {HTMLCanvasElement} */ (map.firstChild);
      drawMap(canvas, mapValues(layer, channel), sides, scale);
    });
  }

  /**
   * One map can be reached by the tab key, and the others from there by arrows.
   *
   * @param {KeyboardEvent} event
   */
  moveFocus(event) {
    const maps = /** @type {HTMLElement[]} */ ([...this.maps.children]);
    const at = maps.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const across = maps.filter((map) => map.offsetTop === maps[0].offsetTop).length;
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
    const next = maps[at + (steps[event.key] ?? 0)];
    if (event.key in steps) {
      event.preventDefault();
    }
    if (next && next !== maps[at]) {
      maps[at].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  }
}
