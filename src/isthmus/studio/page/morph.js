/** The way between two samples, or along a path on the map: a strip and a film. */

/** @import { Context, Panel, Sample } from "./types.js" */

import { toPoints } from "./area.js";
import { Decoding, hasDecoder } from "./decoding.js";
import { make, saveFile } from "./dom.js";
import { Ends } from "./ends.js";
import { Film } from "./film.js";
import { fileScale, stripAsPng, toFrames } from "./frames.js";
import { encodeGif } from "./gif.js";
import { alongLine, interpolate, PATHS } from "./interpolate.js";
import { Latest } from "./latest.js";
import { drawSample, makePicture } from "./picture.js";

/** Pictures of a film. */
const FILM_FRAMES = 41;

/** Of which every so many are marked on the map. */
const MARK_EVERY = 4;

/** Codes that are decoded at once, so that the picture under the pointer need not wait long. */
const BATCH = 8;

/** Points of a drawn path that the link keeps. */
const ROUTE_POINTS = 40;

/** Pictures of the strip: fewest, as many as at first, most. */
const STEPS = { least: 7, first: 11, most: 15 };

/** @typedef {[number, number]} Point */

/**
 * The way: its codes, in even steps.
 *
 * @typedef {Object} Way
 * @property {(steps: number) => Promise<Float32Array>} codes
 * @property {number[]} rows samples at its ends
 * @property {Point[] | null} line drawn on the map; otherwise it follows from the codes
 * @property {string} title what it is, for file names
 */

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeMorph(context) {
  if (!hasDecoder(context.store.manifest)) {
    return null;
  }
  const panel = new Morph(context);
  const { map, state, store } = context;
  state.on(["ends", "route", "path", "map"], () => panel.update());
  store.on("manifest", () => panel.update());
  addEventListener("theme", () => panel.redraw());
  map.on("click", ({ row }) => panel.take(row));
  map.on("path", (points) => panel.follow(points));
  const [show, hide] = [() => panel.open(), () => panel.close()];
  return { name: "morph", title: "Morph", element: panel.element, show, hide };
}

class Morph {
  /** @param {Context} context */
  constructor(context) {
    const { sample } = context.store.manifest;
    this.context = context;
    this.decoding = new Decoding(context);
    this.latest = new Latest();
    this.isOpen = false;
    /** @type {Way | null} */
    this.way = null;
    /** @type {Sample[]} */
    this.samples = [];
    /** @type {Point[]} places of the film's frames on the map */
    this.places = [];
    this.ends = new Ends(context);
    this.film = new Film(sample, (frame) => this.markFrame(frame));
    this.strip = make("div", { class: "morph-strip" });
    this.strip.classList.toggle("wide", sample.kind === "signal");
    this.result = make("div", { hidden: true }, [this.strip, this.film.element, this.makeSaving()]);
    const removeRoute = () => context.state.set({ route: "" });
    this.routeNote = make("div", { class: "row", hidden: true }, [
      make("p", { text: "Along the path drawn on the map" }),
      make("button", { text: "Remove path", click: removeRoute }),
    ]);
    this.paths = this.makePaths();
    const swap = () => this.ends.swap();
    this.swapButton = make("button", { text: "Swap", click: swap });
    this.element = make("div", { class: "morph" }, [
      this.routeNote,
      this.ends.element,
      make("div", { class: "row slider-start" }, [this.paths, this.makeSteps()]),
      make("div", { class: "row" }, [this.swapButton, this.makeDrawing()]),
      this.result,
    ]);
  }

  makePaths() {
    const { state } = this.context;
    const radios = Object.keys(PATHS).map((path) => {
      const input = make("input", { type: "radio", name: "path", value: path });
      input.addEventListener("change", () => state.set({ path }));
      return make("label", { class: "row small" }, [input, path]);
    });
    return make("div", { class: "row", role: "radiogroup", "aria-label": "Interpolation" }, radios);
  }

  makeSteps() {
    this.steps = make("input", {
      type: "range",
      min: String(STEPS.least),
      max: String(STEPS.most),
      value: String(STEPS.first),
      "aria-label": "Pictures in the strip",
      input: () => this.update(),
    });
    return make("label", { class: "row small" }, ["pictures", this.steps]);
  }

  makeDrawing() {
    const draw = () => {
      this.context.state.set({ tool: "path" });
      this.context.say("Draw a path on the map.");
    };
    return make("button", { text: "Draw a path", click: draw });
  }

  makeSaving() {
    const attempt = (/** @type {() => Promise<void>} */ save) => () =>
      void save().catch((error) => this.context.say(error.message));
    const [gif, strip] = [attempt(() => this.saveGif()), attempt(() => this.saveStrip())];
    return make("div", { class: "row" }, [
      make("button", { text: "Save GIF", click: gif }),
      make("button", { text: "Save strip as PNG", click: strip }),
    ]);
  }

  open() {
    this.isOpen = true;
    this.update();
  }

  close() {
    this.isOpen = false;
    this.latest.begin(); // what is on its way is no longer needed
    this.film.pause();
    this.context.map.setMarks("morph", null);
    this.context.map.setMarks("film", null);
  }

  /**
   * Take a sample that was clicked as the next end.
   *
   * @param {number} row -1 where there was none
   */
  take(row) {
    if (this.isOpen && row >= 0) {
      // After the map has chosen the sample: both are one step for the back button.
      queueMicrotask(() => this.ends.put(this.ends.next, row, { isStep: false }));
    }
  }

  /**
   * Follow a path that was drawn on the map.
   *
   * @param {Point[]} points
   */
  follow(points) {
    const short = (/** @type {number} */ value) => Number(value.toPrecision(5));
    const kept = points.length > ROUTE_POINTS ? alongLine(points, ROUTE_POINTS) : points;
    if (kept.length > 1) {
      this.context.state.set({ route: kept.flat().map(short).join(","), panel: "morph" });
    }
  }

  /** Show what the state says. */
  update() {
    if (!this.isOpen) {
      return;
    }
    const { state, say } = this.context;
    const hasRoute = Boolean(state.get("route"));
    this.routeNote.hidden = !hasRoute;
    this.ends.element.hidden = this.paths.hidden = this.swapButton.hidden = hasRoute;
    for (const input of this.paths.querySelectorAll("input")) {
      input.checked = input.value === this.path;
    }
    this.ends.update();
    const isNewest = this.latest.begin();
    this.compute(isNewest).catch((error) => isNewest() && say(error.message));
  }

  get path() {
    const path = this.context.state.get("path");
    return Object.hasOwn(PATHS, path) ? path : "linear";
  }

  /** @param {() => boolean} isNewest */
  async compute(isNewest) {
    const way = await this.findWay();
    if (!isNewest()) {
      return;
    }
    this.way = way;
    this.result.hidden = !way;
    if (!way) {
      this.film.pause();
      this.markWay([], []);
      this.context.map.setMarks("film", null);
      return;
    }
    const steps = Number(this.steps?.value);
    await this.fillStrip(await way.codes(steps), isNewest);
    await this.fillFilm(await way.codes(FILM_FRAMES), isNewest);
  }

  /** @returns {Promise<Way | null>} null while an end is missing */
  async findWay() {
    const { place, state, store } = this.context;
    const route = state.numbers("route");
    if (route.length >= 4) {
      const line = toPoints(route);
      const codes = async (/** @type {number} */ steps) =>
        join(await Promise.all(alongLine(line, steps).map(([x, y]) => place.codeAt(x, y))));
      return { codes, rows: [], line, title: `path-${place.entry.method}` };
    }
    const [a, b] = this.ends.pair;
    if (a === null || b === null) {
      return null;
    }
    const both = await store.codesOf([a, b]);
    const size = both.length / 2;
    const path = this.path;
    const codes = async (/** @type {number} */ steps) =>
      interpolate(both.slice(0, size), both.slice(size), steps, path);
    const names = (await store.names([a, b])).map(fileWord);
    return { codes, rows: [a, b], line: null, title: `${names.join("-to-")}-${path}` };
  }

  /**
   * @param {Float32Array} codes
   * @param {() => boolean} isNewest
   */
  async fillStrip(codes, isNewest) {
    const samples = await this.decode(codes, isNewest);
    if (!isNewest()) {
      return;
    }
    const { sample: kind } = this.context.store.manifest;
    this.samples = samples;
    const label = (/** @type {number} */ i) => `Picture ${i + 1} of ${samples.length}`;
    const pictures = samples.map((_, i) => makePicture(kind, label(i)));
    this.strip.replaceChildren(...pictures);
    this.redraw();
  }

  /** Draw the strip; signals are drawn in the color of the text. */
  redraw() {
    const { sample: kind } = this.context.store.manifest;
    const pictures = this.strip.querySelectorAll("canvas");
    this.samples.forEach((sample, i) => drawSample(pictures[i], sample, kind));
  }

  /**
   * @param {Float32Array} codes
   * @param {() => boolean} isNewest
   */
  async fillFilm(codes, isNewest) {
    const samples = await this.decode(codes, isNewest);
    if (!isNewest()) {
      return;
    }
    this.places = [];
    this.film.setSamples(samples);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.film.play();
    }
    const places = await this.placesOf(codes, isNewest);
    if (isNewest()) {
      this.places = places;
      this.markWay(this.way?.rows ?? [], this.way?.line ?? everyFew(places));
      this.markFrame(this.film.frame);
    }
  }

  /**
   * Decode codes a few at a time, as long as they are wanted.
   *
   * @param {Float32Array} codes
   * @param {() => boolean} isNewest
   * @returns {Promise<Sample[]>}
   */
  async decode(codes, isNewest) {
    const length = BATCH * this.context.store.manifest.code_size;
    /** @type {Sample[]} */
    const samples = [];
    for (let start = 0; start < codes.length && isNewest(); start += length) {
      samples.push(...(await this.decoding.all(codes.slice(start, start + length))));
    }
    return samples;
  }

  /**
   * Return where the codes of a film lie on the map.
   *
   * @param {Float32Array} codes
   * @param {() => boolean} isNewest
   * @returns {Promise<Point[]>}
   */
  async placesOf(codes, isNewest) {
    const { place, store } = this.context;
    if (this.way?.line) {
      return alongLine(this.way.line, FILM_FRAMES);
    }
    const size = store.manifest.code_size;
    /** @type {Point[]} */
    const places = [];
    for (let start = 0; start < codes.length && isNewest(); start += size) {
      places.push(await place.of(codes.slice(start, start + size)));
    }
    return places;
  }

  /**
   * @param {number[]} rows
   * @param {Point[]} points
   */
  markWay(rows, points) {
    const isEmpty = rows.length + points.length === 0;
    this.context.map.setMarks("morph", isEmpty ? null : { rows, points, line: true });
  }

  /** @param {number} frame */
  markFrame(frame) {
    const place = this.places[frame];
    const isShown = this.isOpen && place;
    this.context.map.setMarks("film", isShown ? { points: [place], large: true } : null);
  }

  async saveGif() {
    const { sample: kind } = this.context.store.manifest;
    const there = toFrames(this.film.samples, kind);
    const back = this.film.isThereAndBack ? there.slice(1, -1).reverse() : [];
    const content = encodeGif([...there, ...back], this.film.delay, fileScale(kind));
    saveFile(new Blob([content], { type: "image/gif" }), `morph-${this.way?.title}.gif`);
  }

  async saveStrip() {
    const { sample: kind } = this.context.store.manifest;
    saveFile(await stripAsPng(this.samples, kind), `morph-${this.way?.title}.png`);
  }
}

/**
 * Return few enough of the film's places to tell the dots on the map apart, with both ends.
 *
 * @param {Point[]} places
 */
function everyFew(places) {
  return places.filter((_, i) => i % MARK_EVERY === 0);
}

/** @param {Float32Array[]} codes */
function join(codes) {
  const joined = new Float32Array(codes.length * codes[0].length);
  codes.forEach((code, i) => joined.set(code, i * code.length));
  return joined;
}

/**
 * Return a name with only what any disk takes.
 *
 * @param {string} name
 */
function fileWord(name) {
  return name.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(-40);
}
