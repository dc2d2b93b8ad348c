/** The map: points, pan and zoom, hover, selection and marks. */

/** @import { Coloring } from "./colors.js" */
/** @import { Pixel } from "./gestures.js" */
/** @import { Box } from "./points.js" */
/** @import { Drawn, Frame } from "./raster.js" */
/** @import { Selection } from "./selection.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */
/** @import { Hover, Marks } from "./types.js" */

import { rectangleOf, simplify } from "./area.js";
import {
  coloringColumn,
  currentTheme,
  levelColors,
  makeColoring,
  rareColor,
  toPalette,
  toPixel,
} from "./colors.js";
import { byId, formatNumber, make, onceAFrame } from "./dom.js";
import { Gestures } from "./gestures.js";
import { listenToKeys } from "./keys.js";
import { Plot } from "./plot.js";
import { Scene } from "./scene.js";
import { View } from "./view.js";

/** @typedef {"hover" | "leave" | "click" | "path" | "view" | "colors"} MapEvent */

/** Pixels from the pointer within which a point is hit. */
const REACH = 12;

/** Milliseconds that points take to move to another map. */
const MOVING = 500;

/** Milliseconds after the last change of the view until the address tells it. */
const SETTLED = 250;

/** Points in view, at most, for thumbnails to be shown: this times what there is room for. */
const CROWD = 5;

export class MapView {
  /**
   * @param {{store: Store, state: State, selection: Selection, say: (text: string) => void}} parts
   */
  constructor({ store, state, selection, say }) {
    this.store = store;
    this.state = state;
    this.selection = selection;
    this.say = say;
    /** @type {{event: MapEvent, listener: (detail: any) => void}[]} */
    this.listeners = [];
    this.positions = /** @type {Float32Array} */ (new Float32Array(0));
    /** @type {Box} */
    this.box = [-1, -1, 1, 1];
    this.view = new View(0, 0, 2);
    this.isWhole = true;
    /** What the address says of the view; null before it is read. @type {string | null} */
    this.written = null;
    /** Which points are shown, or on their way. */
    this.key = "";
    /** The method of the map that is shown. */
    this.shown = "";
    this.isLoading = true;
    this.size = { width: 1, height: 1 };
    /** @type {Coloring | null} */
    this.coloring = null;
    /** @type {string[]} color of each level */
    this.colors = [];
    /** @type {{from: View, start: number} | null} */
    this.motion = null;
    /** @type {{x: number, y: number, row: number, isKeyboard: boolean} | null} */
    this.cursor = null;
    /** @type {{tool: string, points: [number, number][]}} what is being drawn */
    this.sketch = { tool: "", points: [] };
    this.selectedCount = 0;
    /** @type {Uint8Array | null} */
    this.mask = null;
    this.settling = 0;
    this.element = byId("map");
    this.plot = new Plot((drawn, frame) => this.showFrame(drawn, frame));
    this.canvas = makeOverlayCanvas();
    this.scene = new Scene(this, this.canvas);
    this.summary = make("p", { class: "unseen", "aria-live": "polite", id: "map-summary" });
    const keys = make("p", { class: "unseen", id: "map-keys", text: KEYS });
    this.element.append(this.plot.canvas, this.canvas, keys, this.summary);
    this.requestFrame = onceAFrame(() => this.draw());
    this.requestOverlay = onceAFrame(() => this.scene.draw());
    this.askNearest = onceAFrame((/** @type {Pixel} */ at) => this.hover(at, false));
    this.listen();
    this.start();
  }

  // -- parts -------------------------------------------------------------------------------------

  listen() {
    new ResizeObserver(() => this.resize()).observe(this.element);
    new Gestures(this.canvas, {
      tool: () => this.state.get("tool"),
      pan: (right, down) => this.setView(this.view.moved(right, down, this.size)),
      zoom: (factor, at) => this.zoom(factor, at),
      hover: (at) => this.askNearest(at),
      leave: () => this.leave(),
      click: (at) => this.click(at),
      sketch: (tool, points) => this.showSketch(tool, points),
      finish: (tool, points) =>
        this.finish(
          tool,
          points.map((at) => this.placeAt(at)),
        ),
    });
    listenToKeys(this, this.canvas);
    const { state, store, selection } = this;
    state.on(["map"], () => this.loadMap());
    state.on(["color"], () => this.loadColors());
    state.on(["hidden"], () => this.applyColors());
    state.on(["view"], () => this.readView());
    state.on(["sample", "place", "thumbs"], () => this.requestFrame());
    selection.on(() => this.loadSelection());
    store.on("manifest", () => this.start());
    store.on("sheet", () => this.takeSheet());
    addEventListener("theme", () => this.applyColors());
  }

  async start() {
    await Promise.all([this.loadMap(), this.loadColors(), this.loadSelection()]);
  }

  // -- data --------------------------------------------------------------------------------------

  /** Show the map that the state names; its points move from where they were. */
  async loadMap() {
    const entry = this.store.map(this.state.get("map")) ?? this.store.manifest.maps[0];
    // Places are the same while the snapshot is: parts that are still made do not move the cursor.
    const key = `${this.store.manifest.snapshot} ${entry?.file}`;
    if (!entry || key === this.key) {
      return;
    }
    [this.key, this.isLoading] = [key, true];
    const positions = await this.store
      .positions(entry)
      .catch((/** @type {Error} */ error) => this.say(error.message));
    if (key !== this.key || !positions) {
      return; // another was chosen meanwhile, or it is not to be had
    }
    const { box, moves } = await this.plot.setPoints(positions);
    if (key !== this.key) {
      return;
    }
    const from = this.view;
    [this.positions, this.box, this.isLoading] = [positions, box, false];
    this.scene.inView = null;
    if (this.shown !== entry.method) {
      this.written = null; // the address's view is of this map
    }
    this.shown = entry.method;
    this.readView();
    this.fit();
    this.motion = moves && !prefersStillness() ? { from, start: performance.now() } : null;
    this.cursor = null;
    this.requestFrame();
    this.describe();
  }

  async loadColors() {
    const name = coloringColumn(this.store, this.state);
    const column = name ? await this.store.column(name) : null;
    if (name !== coloringColumn(this.store, this.state)) {
      return;
    }
    const { count } = this.store.manifest;
    const none = { kind: /** @type {const} */ ("category"), name: "", title: "", names: [] };
    this.coloring = makeColoring(column ?? { ...none, values: new Uint8Array(count) });
    this.applyColors(true);
  }

  /** @param {boolean} [isNew] whether the column is another */
  applyColors(isNew = false) {
    if (!this.coloring) {
      return;
    }
    const hidden = this.coloring.column.kind === "category" ? this.selection.hidden() : new Set();
    this.colors = levelColors(this.coloring, hidden, currentTheme());
    if (isNew) {
      this.plot.send({ type: "levels", levels: this.coloring.levels });
    }
    const lowest =
      this.coloring.column.kind === "category" ? toPixel(rareColor(currentTheme())) : 0;
    this.plot.send({ type: "palette", palette: toPalette(this.colors, hidden), lowest });
    this.requestFrame();
    this.tell("colors", null);
  }

  async loadSelection() {
    const mask = await this.selection.mask();
    if (mask !== (await this.selection.mask())) {
      return;
    }
    this.mask = mask;
    this.plot.send({ type: "mask", mask });
    this.selectedCount = mask ? (await this.selection.rows()).length : 0;
    this.requestFrame();
    this.describe();
  }

  takeSheet() {
    const { thumbnails } = this.scene;
    if (thumbnails.shown.length) {
      thumbnails.fetch();
    }
    this.requestOverlay();
  }

  /**
   * Return the color of a sample on the map.
   *
   * @param {number} row
   */
  colorOf(row) {
    return this.colors[this.coloring?.levels[row] ?? 0];
  }

  // -- view --------------------------------------------------------------------------------------

  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this.size = { width: Math.max(1, width), height: Math.max(1, height) };
    this.fit();
  }

  /** Follow the whole map, if it is seen, when it or the page gets another size. */
  fit() {
    if (this.isWhole) {
      this.view = this.wholeView();
    }
    this.requestFrame();
    this.tell("view", null);
  }

  /** Take the view of the address, or the whole map. */
  readView() {
    if (this.isLoading || this.state.get("view") === this.written) {
      return;
    }
    const view = View.read(this.state.numbers("view"));
    this.isWhole = view === null;
    this.view = view ?? this.view;
    this.written = this.state.get("view");
    clearTimeout(this.settling);
    this.fit();
  }

  wholeView() {
    return View.of(this.box, this.size, this.insets());
  }

  /** Return how much of the map the legend, the tools and the quality cover. */
  insets() {
    if (this.size.width < 600) {
      return { left: 16, right: 16, top: 56, bottom: 84 }; // the quality takes up to three lines
    }
    const legend = this.element.querySelector(".map-legend");
    return { left: 60, right: 30 + (legend?.clientWidth ?? 0), top: 24, bottom: 56 };
  }

  /**
   * @param {View} view
   * @param {boolean} [isWhole]
   */
  setView(view, isWhole = false) {
    this.view = view;
    this.isWhole = isWhole;
    this.requestFrame();
    this.tell("view", null);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.writeView(), SETTLED);
  }

  writeView() {
    this.written = this.isWhole ? "" : this.view.write();
    this.state.set({ view: this.written }, { isStep: false });
  }

  /**
   * @param {number} factor above 1: closer
   * @param {Pixel} [at] what stays where it is; otherwise the middle
   */
  zoom(factor, at = [this.size.width / 2, this.size.height / 2]) {
    this.setView(this.view.zoomed(factor, this.placeAt(at), this.wholeView().width));
  }

  showAll() {
    this.setView(this.wholeView(), true);
  }

  /**
   * Move the map, if needed, so that a place or a sample can be seen.
   *
   * @param {{row: number} | {x: number, y: number}} place
   */
  reveal(place) {
    const [x, y] = "row" in place ? this.positionOf(place.row) : [place.x, place.y];
    const [right, down] = this.view.toScreen(x, y, this.size);
    const margin = 40;
    const isSeen =
      right > margin &&
      right < this.size.width - margin &&
      down > margin &&
      down < this.size.height - margin;
    if (!isSeen) {
      this.setView(new View(x, y, this.view.width));
    }
  }

  /** @param {Pixel} at */
  placeAt([right, down]) {
    return this.view.toMap(right, down, this.size);
  }

  /**
   * @param {number} row
   * @returns {[number, number]}
   */
  positionOf(row) {
    return [this.positions[2 * row], this.positions[2 * row + 1]];
  }

  // -- drawing -----------------------------------------------------------------------------------

  draw() {
    const progress = this.progress();
    this.plot.draw({
      view: { ...this.view },
      ...this.size,
      ratio: devicePixelRatio,
      radius: this.radius(),
      background: toPixel(
        getComputedStyle(document.documentElement).getPropertyValue("--map").trim(),
      ),
      rows: this.scene.wantsThumbnails() ? Math.floor(CROWD * this.scene.room()) : 0,
      margin: Math.max(...this.scene.thumbnailSides()),
      from: this.motion?.from ?? null,
      progress,
    });
    if (progress < 1) {
      this.requestFrame();
    }
  }

  /** Return how far points have moved to the map that is shown. */
  progress() {
    if (!this.motion) {
      return 1;
    }
    const progress = Math.min(1, (performance.now() - this.motion.start) / MOVING);
    this.motion = progress < 1 ? this.motion : null;
    return progress;
  }

  /** Return the radius of a point: smaller if there are many, larger when zoomed in. */
  radius() {
    const zoom = this.wholeView().width / this.view.width;
    const room = Math.sqrt(
      (this.size.width * this.size.height) / Math.max(1, this.store.manifest.count),
    );
    return Math.max(0.7, Math.min(7, 0.36 * room, 4.5) * Math.min(1.8, Math.max(0.8, zoom ** 0.3)));
  }

  /**
   * @param {Drawn} drawn
   * @param {Frame} frame
   */
  showFrame({ rows }, { view }) {
    this.scene.inView = rows;
    this.scene.draw(new View(view.x, view.y, view.width));
  }

  // -- pointer -----------------------------------------------------------------------------------

  /**
   * @param {Pixel} at
   * @returns {Promise<Hover>} the place and the nearest point there
   */
  async find(at) {
    const [x, y] = this.placeAt(at);
    const picture = this.scene.thumbnailAt(at);
    const distance = (REACH * this.view.width) / this.size.width;
    const row = picture ?? (await this.plot.nearest(x, y, distance));
    return { x, y, row };
  }

  /**
   * @param {Pixel} at
   * @param {boolean} isKeyboard
   */
  async hover(at, isKeyboard) {
    const last = this.cursor;
    const [x, y] = this.placeAt(at);
    this.cursor = { x, y, row: last?.row ?? -1, isKeyboard }; // the next key counts from here
    const found = await this.find(at);
    if (!this.cursor) {
      return; // the pointer left meanwhile
    }
    const before = this.cursor.row;
    this.cursor = { ...this.cursor, row: found.row };
    this.tell("hover", found);
    if (isKeyboard || last?.isKeyboard || before !== found.row) {
      this.requestOverlay();
    }
    if (before !== found.row) {
      this.describe();
    }
  }

  leave() {
    this.cursor = null;
    this.tell("leave", null);
    this.requestOverlay();
  }

  /** @param {Pixel} at */
  async click(at) {
    const found = await this.find(at);
    this.tell("click", found);
    if (found.row >= 0) {
      this.state.set({ sample: String(found.row), place: "", code: "" });
    } else {
      const digits = Math.max(0, Math.ceil(3 - Math.log10(this.view.width)));
      this.state.set({ place: `${found.x.toFixed(digits)},${found.y.toFixed(digits)}`, code: "" });
    }
  }

  // -- drawn areas and paths ---------------------------------------------------------------------

  /**
   * @param {string} tool
   * @param {Pixel[]} points
   */
  showSketch(tool, points) {
    this.sketch = { tool, points: points.map((at) => this.placeAt(at)) };
    this.requestOverlay();
  }

  /**
   * Use what was drawn.
   *
   * @param {string} tool
   * @param {[number, number][]} points in the map's units
   */
  finish(tool, points) {
    if (tool === "path") {
      this.tell("path", simplify(points));
    } else if (points.length > (tool === "lasso" ? 2 : 1)) {
      this.selection.selectArea(tool === "rectangle" ? rectangleOf(points) : points);
    }
  }

  // -- others ------------------------------------------------------------------------------------

  /**
   * "hover" and "click" give a `Hover`, "path" the points [x, y][] that were drawn with the path
   * tool, "leave", "view" and "colors" (other colors are shown) nothing.
   *
   * @param {MapEvent} event
   * @param {(detail: any) => void} listener
   */
  on(event, listener) {
    this.listeners.push({ event, listener });
  }

  /**
   * @param {MapEvent} event
   * @param {any} detail
   */
  tell(event, detail) {
    this.listeners
      .filter((entry) => entry.event === event)
      .forEach(({ listener }) => listener(detail));
  }

  /**
   * Show a panel's marks on the map, in place of those it had; null removes them.
   *
   * @param {string} owner
   * @param {Marks | null} marks
   */
  setMarks(owner, marks) {
    if (marks) {
      this.scene.marks.set(owner, marks);
    } else {
      this.scene.marks.delete(owner);
    }
    this.requestOverlay();
  }

  /** Say to screen readers what is seen, once there are points to move a cursor over. */
  async describe() {
    if (!this.shown) {
      return;
    }
    const parts = [`${formatNumber(this.store.manifest.count)} points`];
    if (!this.selection.isEmpty()) {
      parts.push(`${formatNumber(this.selectedCount)} selected`);
    }
    const row = this.cursor?.row ?? -1;
    const text = row < 0 ? "" : `; at the cursor: ${await this.nameOf(row)}`;
    if (row === (this.cursor?.row ?? -1)) {
      this.summary.textContent = `${parts.join(", ")}${text}.`;
    }
  }

  /**
   * Return a sample's name and what its color says.
   *
   * @param {number} row
   */
  async nameOf(row) {
    const [name] = await this.store.names([row]).catch(() => [`${row}`]);
    const value = this.valueOf(row);
    return `sample ${name}${value && `, ${value}`}`;
  }

  /**
   * Return what a sample's color says, such as "class 7".
   *
   * @param {number} row
   */
  valueOf(row) {
    const column = this.coloring?.column;
    if (!column?.title) {
      return "";
    }
    const value = column.values[row];
    const text = column.kind === "number" ? formatNumber(value) : (column.names[value] ?? "none");
    return `${column.title.toLowerCase()} ${text}`;
  }
}

const KEYS =
  "Arrow keys move the cursor, with Shift farther; Enter chooses what is there; " +
  "plus and minus zoom, 0 shows the whole map; " +
  "with a drawing tool Enter adds a corner, and Enter there again ends; " +
  "Escape clears the selection.";

function makeOverlayCanvas() {
  return make("canvas", {
    class: "overlay",
    tabindex: "0",
    role: "application",
    "aria-label": "Map of the samples",
    "aria-describedby": "map-keys",
  });
}

function prefersStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
