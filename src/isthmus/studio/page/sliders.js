/** Sliders that move a code: its numbers, its principal axes, and directions between groups. */

/** @import { Context, Manifest, Panel } from "./types.js" */
/** @import { Slider } from "./slider.js" */

import { hasDecoder } from "./decoding.js";
import { Directions } from "./directions.js";
import { formatNumber, make, onceAFrame } from "./dom.js";
import { Latest, OneAtATime } from "./latest.js";
import { formatSigned, makeSlider } from "./slider.js";
import { startSubject } from "./subject.js";

/** Sliders for code numbers that are shown before "Show all". */
const FIRST = 12;

/** Standard deviations that a slider for an axis covers, each way. */
const DEVIATIONS = 4;

/** How far a slider for a number goes beyond real codes, as a share of their range. */
const WIDER = 0.25;

/** Digits of a code's numbers in the link. */
const DIGITS = 5;

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeSliders(context) {
  if (!hasDecoder(context.store.manifest)) {
    return null;
  }
  const panel = new Sliders(context);
  const { state, store } = context;
  state.on(["code", "place", "sample", "map"], () => panel.update());
  store.on("manifest", () => panel.refill());
  panel.fill();
  return { name: "sliders", title: "Sliders", element: panel.element };
}

class Sliders {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    this.latest = new Latest();
    this.marking = new OneAtATime((error) => context.say(error.message));
    /** @type {Float32Array} */
    this.code = new Float32Array(context.store.manifest.code_size);
    /** What this panel wrote into the state, which it need not read again. */
    this.written = "";
    /** @type {Map<number, Slider>} by the number of the code */
    this.numbers = new Map();
    /** @type {Slider[]} */
    this.axes = [];
    this.directions = new Directions(context, (direction, by) =>
      this.move(this.code.map((value, i) => value + by * direction[i])),
    );
    this.write = onceAFrame(() => this.tell());
    this.start = make("p", { class: "quiet" });
    this.resetButton = make("button", { text: "Reset", click: () => this.reset() });
    this.axesSlot = make("div", { class: "sliders" });
    this.numbersSlot = make("div", { class: "sliders" });
    this.allButton = make("button", { click: () => this.showAll() });
    this.find = makeFind((index) => this.showNumber(index));
    this.element = this.build();
  }

  build() {
    const { code_size: size } = this.context.store.manifest;
    const isShort = size <= FIRST;
    const more = make("div", { class: "row" }, isShort ? [] : [this.allButton, this.find]);
    return make("div", { class: "sliders-panel" }, [
      make("div", { class: "row slider-start" }, [this.start, this.resetButton]),
      makeGroup("Principal axes of the codes", [this.axesSlot], true),
      makeGroup("From one group to another", [this.directions.element], true),
      makeGroup("Numbers of the code", [this.numbersSlot, more], isShort),
    ]);
  }

  /** Make other sliders if the codes are others; who drags one keeps it otherwise. */
  refill() {
    if (this.ranges !== rangesOf(this.context.store.manifest)) {
      this.fill();
    }
  }

  /** Make the sliders for the codes. */
  fill() {
    const { code_statistics: statistics, code_size: size } = this.context.store.manifest;
    this.ranges = rangesOf(this.context.store.manifest);
    this.code = new Float32Array(size);
    this.axes = statistics.axes.components.map((_, axis) => this.makeAxis(axis));
    this.axesSlot.replaceChildren(...this.axes.map((slider) => slider.element));
    const spread = statistics.high.map((high, i) => high - statistics.low[i]);
    /** The numbers, those that vary most first. */
    this.order = spread.map((_, i) => i).sort((a, b) => spread[b] - spread[a]);
    this.numbers.clear();
    this.numbersSlot.replaceChildren();
    this.order.slice(0, FIRST).forEach((index) => this.addNumber(index));
    this.allButton.textContent = `Show all ${formatNumber(size)}`;
    this.directions.fill().catch((error) => this.context.say(error.message));
    this.written = "";
    this.update();
  }

  /** @param {number} axis */
  makeAxis(axis) {
    const { scale, explained } = this.context.store.manifest.code_statistics.axes;
    const share = `${(100 * explained[axis]).toFixed(0)}%`;
    return makeSlider({
      name: `Axis ${axis + 1} (${share})`,
      low: -DEVIATIONS,
      high: DEVIATIONS,
      describe: (value) => `${formatSigned(value, 1)} σ`,
      move: (value) => this.moveAxis(axis, value, scale[axis]),
    });
  }

  /**
   * @param {number} axis
   * @param {number} value in standard deviations
   * @param {number} scale
   */
  moveAxis(axis, value, scale) {
    const component = this.context.store.manifest.code_statistics.axes.components[axis];
    const by = (value - this.alongAxis(axis)) * scale;
    this.move(this.code.map((number, i) => number + by * component[i]));
  }

  /**
   * Return how far the code lies along an axis, in standard deviations.
   *
   * @param {number} axis
   */
  alongAxis(axis) {
    const { mean, axes } = this.context.store.manifest.code_statistics;
    const component = axes.components[axis];
    const length = component.reduce((sum, part, i) => sum + part * (this.code[i] - mean[i]), 0);
    return length / (axes.scale[axis] || 1);
  }

  /** @param {number} index */
  addNumber(index) {
    const { low, high } = this.context.store.manifest.code_statistics;
    const margin = WIDER * (high[index] - low[index]) || 1;
    const slider = makeSlider({
      name: `Number ${index + 1}`,
      low: low[index] - margin,
      high: high[index] + margin,
      describe: (value) => formatNumber(value),
      move: (value) => this.move(this.code.with(index, value)),
    });
    slider.set(this.code[index]);
    this.numbers.set(index, slider);
    this.numbersSlot.append(slider.element);
  }

  showAll() {
    const missing = this.order?.filter((index) => !this.numbers.has(index));
    missing?.forEach((index) => this.addNumber(index));
    this.allButton.hidden = true;
  }

  /** @param {number} index */
  showNumber(index) {
    if (index < 0 || index >= this.code.length) {
      return;
    }
    if (!this.numbers.has(index)) {
      this.addNumber(index);
    }
    const element = this.numbers.get(index)?.element;
    element?.scrollIntoView({ block: "center" });
    element?.querySelector("input")?.focus();
  }

  /**
   * Go to a code that a slider asks for.
   *
   * @param {Float32Array} code
   */
  move(code) {
    this.code = code;
    this.showValues();
    this.write();
  }

  /** Write the code into the state, where the decoder finds it. */
  tell() {
    this.written = Array.from(this.code, (value) => Number(value.toPrecision(DIGITS))).join(",");
    this.context.state.set({ code: this.written }, { isStep: false });
  }

  reset() {
    this.context.state.set({ code: "" });
  }

  /** Take the code that the state says, or what the sliders start from. */
  update() {
    const { state, say } = this.context;
    this.resetButton.disabled = !state.get("code");
    if (state.get("code") && state.get("code") === this.written) {
      this.mark();
    } else {
      const isNewest = this.latest.begin();
      this.restore(isNewest).catch((error) => isNewest() && say(error.message));
    }
  }

  /** @param {() => boolean} isNewest */
  async restore(isNewest) {
    const { state } = this.context;
    const [start, title] = await this.findStart();
    if (isNewest()) {
      const code = state.numbers("code");
      this.code = code.length === start.length ? Float32Array.from(code) : start;
      this.written = state.get("code");
      this.start.textContent = title;
      this.directions.reset();
      this.showValues();
      await this.mark();
    }
  }

  /** @returns {Promise<[Float32Array, string]>} a code, and what it is */
  async findStart() {
    const { place, store } = this.context;
    const start = startSubject(this.context);
    if (start.kind === "sample") {
      const [name] = await store.names([start.row]);
      return [await store.codesOf([start.row]), `From sample ${name}`];
    }
    if (start.kind === "place") {
      return [await place.codeAt(start.x, start.y), "From the pinned place"];
    }
    return [Float32Array.from(store.manifest.code_statistics.mean), "From the mean of all codes"];
  }

  showValues() {
    this.axes.forEach((slider, axis) => slider.set(this.alongAxis(axis)));
    this.numbers.forEach((slider, index) => slider.set(this.code[index]));
  }

  /** Show the code as a point on the map. */
  mark() {
    const { map, place, state } = this.context;
    return this.marking.run(async () => {
      const point = state.get("code") ? await place.of(this.code) : null;
      map.setMarks("sliders", point && { points: [point], large: true });
    });
  }
}

/**
 * Return all that sliders are made from, to see whether it changed.
 *
 * @param {Manifest} manifest
 */
function rangesOf({ code_statistics: { low, high, mean, axes } }) {
  return JSON.stringify([low, high, mean, axes]);
}

/**
 * @param {string} title
 * @param {Node[]} content
 * @param {boolean} open
 */
function makeGroup(title, content, open) {
  const summary = make("summary", { text: title });
  return make("details", { class: "slider-group", open }, [summary, ...content]);
}

/** @param {(index: number) => void} find */
function makeFind(find) {
  const field = make("input", {
    type: "number",
    min: "1",
    step: "1",
    class: "short",
    "aria-label": "Find a number of the code",
    placeholder: "number",
  });
  const form = make("form", { class: "row", submit: (event) => {
    event.preventDefault();
    find(Number(field.value) - 1);
  } }, [field, make("button", { type: "submit", text: "Find" })]);
  return form;
}
