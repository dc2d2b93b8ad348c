/** Masks of a segmenter over its images: true ones, predicted ones, and where they differ. */

/** @import { Context, Panel, Sample } from "./types.js" */
/** @import { Store } from "./store.js" */

import { categoryColor, toBytes } from "./colors.js";
import { chosenRow, showChosen } from "./chosen.js";
import { drawingContext, formatNumber, make, makeCanvas } from "./dom.js";
import { Grid } from "./grid.js";
import { makeLazy } from "./lazy.js";
import { sortRows } from "./order.js";

/** @typedef {"truth" | "prediction" | "difference"} Layer */

const TITLES = { truth: "Ground truth", prediction: "Prediction", difference: "Difference" };
const DIFFERENCE = [224, 30, 90, 255];
const OPACITY = "0.6";

/**
 * Draw a mask of class indices in the colors of the classes; void stays transparent.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Sample} mask
 * @param {string[]} colors
 */
export function paintMask(canvas, mask, colors) {
  const image = new ImageData(canvas.width, canvas.height);
  const count = colors.length || 255;
  const bytes = Array.from({ length: count }, (_, i) => toBytes(colors[i] ?? categoryColor(i)));
  mask.forEach((/** @type {number} */ index, /** @type {number} */ i) => {
    if (bytes[index]) {
      image.data.set([...bytes[index], 255], 4 * i);
    }
  });
  drawingContext(canvas).putImageData(image, 0, 0);
}

/**
 * @param {Context} context
 * @returns {Panel}
 */
export function makeMasks(context) {
  return new Masks(context).panel;
}

class Masks {
  /** @param {Context} context */
  constructor(context) {
    const { state, store, say } = context;
    this.context = context;
    /** @type {Layer} */
    this.layer = "prediction";
    this.chosen = make("div", { class: "chosen" });
    this.pictures = make("div", { class: "row pair" });
    this.buttons = make("div", { class: "row", role: "group", "aria-label": "Masks" });
    this.opacity = make("input", {
      type: "range",
      min: "0",
      max: "1",
      step: "0.05",
      value: OPACITY,
      "aria-label": "Opacity of the masks",
      input: () => this.redraw(),
    });
    this.legend = make("ul", { class: "mask-legend", "aria-label": "Classes of the masks" });
    this.title = make("h2", {});
    this.grid = this.makeGrid();
    const { panel, refresh, isOpen } = makeLazy({
      name: "classes",
      title: "Masks",
      element: this.arrange(),
      update: (isLatest) => this.update(isLatest),
      leave: () => context.map.setMarks("classes", null),
      say,
    });
    this.panel = panel;
    context.selection.on(refresh);
    store.on("manifest", refresh);
    store.on("sheet", () => isOpen() && this.drawPictures());
    state.on(["sample"], () => isOpen() && this.showChosen());
  }

  makeGrid() {
    const { state, store, map } = this.context;
    return new Grid(store, {
      label: "Samples with masks, the worst first",
      choose: (row) => state.set({ sample: String(row) }),
      hover: (row) => map.setMarks("classes", row < 0 ? null : { rows: [row] }),
      draw: (context, row) => drawOver(store, context, row, this.layer, Number(this.opacity.value)),
      enlarge: 1.6,
    });
  }

  arrange() {
    const slider = make("label", { class: "row small" }, ["Opacity", this.opacity]);
    const tools = make("div", { class: "row" }, [this.buttons, slider]);
    const parts = [this.chosen, this.pictures, tools, this.legend, this.title, this.grid.element];
    return make("div", { class: "masks" }, parts);
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const { store, selection } = this.context;
    const rows = await selection.rows();
    const score = ["iou", "accuracy"].find((name) => store.hasColumn(name));
    const values = score ? (await store.column(score)).values : null;
    if (isLatest()) {
      this.listLayers();
      this.writeLegend();
      const order = score ? `, the lowest ${lowerFirst(store.entry(score).title)} first` : "";
      this.title.textContent = `${formatNumber(rows.length)} samples${order}`;
      this.grid.show(values ? sortRows(rows, values, false) : rows);
      this.showChosen();
    }
  }

  /** Return which masks there are. */
  layers() {
    const { masks } = this.context.store.manifest;
    const [truth, prediction] = [Boolean(masks?.pattern), Boolean(masks?.predicted)];
    const known = { truth, prediction, difference: truth && prediction };
    return /** @type {Layer[]} */ (["truth", "prediction", "difference"]).filter(
      (layer) => known[layer],
    );
  }

  listLayers() {
    const layers = this.layers();
    this.layer = layers.includes(this.layer) ? this.layer : (layers[0] ?? "prediction");
    const buttons = layers.map((layer) =>
      make("button", {
          text: TITLES[layer],
        "aria-pressed": String(layer === this.layer),
        click: () => this.pick(layer),
      }),
    );
    this.buttons.replaceChildren(...buttons);
  }

  /** @param {Layer} layer */
  pick(layer) {
    this.layer = layer;
    const names = this.layers();
    [...this.buttons.children].forEach((button, i) =>
      button.setAttribute("aria-pressed", String(names[i] === layer)),
    );
    this.redraw();
  }

  redraw() {
    this.grid.again();
    this.drawPictures();
  }

  writeLegend() {
    const { masks } = this.context.store.manifest;
    const items = (masks?.names ?? []).map((name, i) => {
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = masks?.colors[i] ?? categoryColor(i);
      return make("li", { dir: "auto", title: name }, [swatch, name]);
    });
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = `rgb(${DIFFERENCE.slice(0, 3).join(" ")})`;
    this.legend.replaceChildren(...items, make("li", {}, [swatch, "different"]));
  }

  /** Show the chosen sample with each kind of masks. */
  showChosen() {
    const row = showChosen(this.context, this.chosen, "Click a sample to see its masks.");
    this.grid.mark(row);
    this.pictures.replaceChildren();
    if (row < 0) {
      return;
    }
    this.pictures.replaceChildren(...this.layers().map((layer) => this.makePicture(layer)));
    this.drawPictures();
  }

  /** @param {Layer} layer */
  makePicture(layer) {
    const { width, height } = this.context.store.manifest.thumbs;
    const text = TITLES[layer].toLowerCase();
    const named = { role: "img", "aria-label": text, "data-layer": layer };
    const canvas = makeCanvas(width, height, { class: "thumbnail large", ...named });
    return make("figure", {}, [canvas, make("figcaption", { text })]);
  }

  drawPictures() {
    const row = chosenRow(this.context);
    for (const canvas of this.pictures.querySelectorAll("canvas")) {
      const context = drawingContext(canvas);
      context.clearRect(0, 0, canvas.width, canvas.height);
      const layer = /** @type {Layer} */ (canvas.dataset.layer);
      drawOver(this.context.store, context, row, layer, Number(this.opacity.value));
    }
  }
}

/**
 * Draw a sample with masks over it.
 *
 * @param {Store} store
 * @param {CanvasRenderingContext2D} context
 * @param {number} row
 * @param {Layer} layer
 * @param {number} opacity
 * @returns {boolean} whether all of it is here already
 */
function drawOver(store, context, row, layer, opacity) {
  const { masks, thumbs } = store.manifest;
  if (!masks || row < 0) {
    return true;
  }
  const both = [masks.pattern, masks.predicted];
  const wanted = { truth: both.slice(0, 1), prediction: both.slice(1), difference: both }[layer];
  const sheets = wanted.map((pattern) => cellOf(store, row, pattern));
  const isDrawn = store.drawThumbnail(context, row, [0, 0, thumbs.width, thumbs.height]);
  const [first, second] = sheets;
  if (!isDrawn || !first || second === null) {
    return false;
  }
  context.globalAlpha = opacity;
  context.drawImage(second ? differenceOf(first, second) : first, 0, 0);
  context.globalAlpha = 1;
  return true;
}

/**
 * Return a sample's cell of a sheet of masks on a canvas, or null where it is not here yet.
 *
 * @param {Store} store
 * @param {number} row
 * @param {string} pattern
 */
function cellOf(store, row, pattern) {
  const { width, height } = store.manifest.thumbs;
  const canvas = makeCanvas(width, height);
  return store.drawThumbnail(drawingContext(canvas), row, [0, 0, width, height], pattern)
    ? canvas
    : null;
}

/**
 * Return a canvas that marks where two masks differ; what is void in the first one does not count.
 *
 * @param {HTMLCanvasElement} truth
 * @param {HTMLCanvasElement} prediction
 */
function differenceOf(truth, prediction) {
  const context = drawingContext(truth);
  const image = context.getImageData(0, 0, truth.width, truth.height);
  const other = drawingContext(prediction).getImageData(0, 0, truth.width, truth.height);
  const own = new Uint32Array(image.data.buffer);
  const theirs = new Uint32Array(other.data.buffer);
  const [mark] = new Uint32Array(new Uint8Array(DIFFERENCE).buffer);
  for (let i = 0; i < own.length; i++) {
    own[i] = own[i] === 0 || own[i] === theirs[i] ? 0 : mark;
  }
  context.putImageData(image, 0, 0);
  return truth;
}

/** A title as it stands within a sentence. */
function lowerFirst(/** @type {string} */ title) {
  return title.charAt(0).toLowerCase() + title.slice(1);
}
