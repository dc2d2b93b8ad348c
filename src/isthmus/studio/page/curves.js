/** Curves of numbers over epochs, read by pointer and by arrow keys. */

import { formatNumber, make } from "./dom.js";

const HEIGHT = 140;
const LEFT = 48;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 20;
const MAX_DOTS = 40; // of a curve; more would hide it

/**
 * @typedef {Object} Curve
 * @property {string} title
 * @property {(number | null)[]} values one for each line of the history, null where there is none
 */

/**
 * @typedef {Object} Axis from values to pixels
 * @property {(value: number) => number} place
 * @property {number[]} ticks
 */

export class Chart {
  /**
   * @param {string} title
   * @param {(index: number) => void} point called with the line under the pointer, or -1
   */
  constructor(title, point) {
    this.title = title;
    this.point = point;
    /** @type {number[]} */
    this.epochs = [];
    /** @type {Curve[]} */
    this.curves = [];
    this.best = -1;
    this.isLog = false;
    this.cursor = -1;
    this.legend = make("div", { class: "legend" });
    this.picture = svg("svg", { height: HEIGHT, role: "img", tabindex: 0 });
    const head = make("figcaption", { class: "row spread" }, [
      make("h3", { text: title }),
      this.legend,
    ]);
    this.element = make("figure", { class: "chart" }, [head, this.picture]);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  listen() {
    this.picture.addEventListener("pointermove", (event) => this.point(this.nearest(event)));
    this.picture.addEventListener("pointerleave", () => this.point(-1));
    this.picture.addEventListener("blur", () => this.point(-1));
    this.picture.addEventListener("keydown", (event) => this.move(event));
  }

  /**
   * @param {number[]} epochs of the lines, ascending
   * @param {Curve[]} curves
   * @param {{best: number, isLog: boolean}} options the index of the best line, and whether the
   *   scale is logarithmic
   */
  show(epochs, curves, { best, isLog }) {
    Object.assign(this, { epochs, curves, best, isLog });
    this.cursor = Math.min(this.cursor, epochs.length - 1);
    this.draw();
  }

  /**
   * Show the numbers of a line.
   *
   * @param {number} index or -1 for none
   */
  read(index) {
    this.cursor = index;
    this.draw();
  }

  draw() {
    const width = this.element.clientWidth;
    if (!width || !this.epochs.length) {
      return;
    }
    const across = this.acrossAxis(width);
    const up = this.upAxis();
    this.picture.setAttribute("width", String(width));
    this.picture.setAttribute("aria-label", this.describe());
    this.picture.replaceChildren(
      ...up.ticks.flatMap((tick) => gridLine(tick, up.place(tick), width)),
      ...across.ticks.map((tick) => label(String(tick), across.place(tick), HEIGHT - 4, "middle")),
      ...this.bestMark(across),
      ...this.curves.flatMap((curve, i) => this.line(curve, i, across, up)),
      ...this.cursorMark(across, up),
    );
    this.writeLegend();
  }

  /**
   * @param {number} width
   * @returns {Axis}
   */
  acrossAxis(width) {
    const [first, last] = [this.epochs[0], this.epochs[this.epochs.length - 1]];
    const [low, high] = first === last ? [first - 0.5, last + 0.5] : [first, last];
    const place = (/** @type {number} */ epoch) =>
      LEFT + ((epoch - low) / (high - low)) * (width - LEFT - RIGHT);
    const ticks = linearTicks(low, high, Math.max(2, Math.floor(width / 60)));
    return { place, ticks: ticks.filter((tick) => Number.isInteger(tick) && tick >= low) };
  }

  /** @returns {Axis} */
  upAxis() {
    const known = this.curves.flatMap(({ values }) => values.filter(isNumber));
    const isLog = this.isLog && known.some((value) => value > 0);
    const scale = isLog ? Math.log10 : (/** @type {number} */ value) => value;
    const used = isLog ? known.filter((value) => value > 0) : known;
    let [low, high] = used.length ? [Math.min(...used), Math.max(...used)] : [0, 1];
    [low, high] = low === high ? spread(low) : [low, high];
    const ticks = isLog ? logTicks(low, high) : linearTicks(low, high, 4);
    const room = HEIGHT - TOP - BOTTOM;
    const place = (/** @type {number} */ value) =>
      TOP +
      (1 -
        (scale(Math.max(value, isLog ? low : value)) - scale(low)) / (scale(high) - scale(low))) *
        room;
    return { place, ticks };
  }

  /**
   * @param {Curve} curve
   * @param {number} index
   * @param {Axis} across
   * @param {Axis} up
   */
  line({ values }, index, across, up) {
    const known = [...values.keys()].filter((i) => isNumber(values[i]));
    const points = known.map((i) => [
      across.place(this.epochs[i]),
      up.place(/** @type {number} */ (values[i])),
    ]);
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
    const dots = points.length > MAX_DOTS ? [] : points;
    return [
      svg("path", { d, class: `curve curve-${index}` }),
      ...dots.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5, class: `dot curve-${index}` })),
    ];
  }

  /** @param {Axis} across */
  bestMark({ place }) {
    if (this.best < 0) {
      return [];
    }
    const x = place(this.epochs[this.best]);
    const isLeft = x > this.element.clientWidth / 2;
    return [
      svg("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: "best" }),
      label("best", x + (isLeft ? -4 : 4), TOP + 10, isLeft ? "end" : "start"),
    ];
  }

  /**
   * @param {Axis} across
   * @param {Axis} up
   */
  cursorMark(across, up) {
    if (this.cursor < 0) {
      return [];
    }
    const x = across.place(this.epochs[this.cursor]);
    const values = this.curves.map(({ values: numbers }) => numbers[this.cursor]);
    const dots = values.map((value, i) =>
      isNumber(value)
        ? [svg("circle", { cx: x, cy: up.place(value), r: 4, class: `dot curve-${i}` })]
        : [],
    );
    return [
      svg("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor" }),
      ...dots.flat(),
    ];
  }

  /** Write the curves' names, with the values at the cursor or the last ones. */
  writeLegend() {
    const index = this.cursor < 0 ? this.epochs.length - 1 : this.cursor;
    const items = this.curves.map(({ title, values }, i) => {
      const value = values[index];
      const text = isNumber(value) ? `${title} ${formatShort(value)}` : title;
      return make("span", { class: `key curve-${i}`, text });
    });
    const epoch = make("span", {
      class: "quiet",
      text: this.cursor < 0 ? "" : `epoch ${formatNumber(this.epochs[index])}`,
    });
    this.legend.replaceChildren(epoch, ...items);
  }

  describe() {
    const last = this.epochs.length - 1;
    const index = this.cursor < 0 ? last : this.cursor;
    const values = this.curves.map(
      ({ title, values: numbers }) => `${title} ${numbers[index] ?? "unknown"}`,
    );
    return `${this.title}, epoch ${this.epochs[index]}: ${values.join(", ")}`;
  }

  /**
   * Return the line nearest to the pointer.
   *
   * @param {PointerEvent} event
   */
  nearest(event) {
    const { place } = this.acrossAxis(this.element.clientWidth);
    const away = this.epochs.map((epoch) => Math.abs(place(epoch) - event.offsetX));
    return away.indexOf(Math.min(...away));
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const last = this.epochs.length - 1;
    const from = this.cursor < 0 ? last : this.cursor;
    const start = this.cursor < 0 ? last : this.cursor - 1;
    /** @type {Record<string, number>} */
    const places = { ArrowRight: from + 1, ArrowLeft: start, Home: 0, End: last };
    if (event.key in places) {
      this.point(Math.max(0, Math.min(last, places[event.key])));
      event.preventDefault();
    }
  }
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * Format a number, a very small one with its power of ten.
 *
 * @param {number} value
 */
export function formatShort(value) {
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : formatNumber(value);
}

/**
 * Return limits around a single value.
 *
 * @param {number} value
 * @returns {[number, number]}
 */
function spread(value) {
  const room = Math.abs(value) / 2 || 0.5;
  return [value - room, value + room];
}

/**
 * Return round numbers between limits.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} count about how many
 */
function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((one) => one * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const ticks = Array.from(
    { length: Math.floor(high / step) - first + 1 },
    (_, i) => (first + i) * step,
  );
  return ticks.map((tick) => Number(tick.toPrecision(12)));
}

/**
 * Return powers of ten between limits; where there are fewer than two, also 2 and 5 times those.
 *
 * @param {number} low
 * @param {number} high
 */
function logTicks(low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    powers.push(10 ** power);
  }
  const within = (/** @type {number} */ tick) => tick >= low && tick <= high;
  const some = powers.filter(within);
  return some.length > 1
    ? some
    : powers.flatMap((power) => [power, 2 * power, 5 * power]).filter(within);
}

/**
 * @param {number} tick
 * @param {number} y
 * @param {number} width
 */
function gridLine(tick, y, width) {
  return [
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y, class: "grid-line" }),
    label(formatShort(tick), LEFT - 6, y + 4, "end"),
  ];
}

/**
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} anchor
 */
function label(text, x, y, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElementTagNameMap[T]}
 */
function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, String(value));
  }
  return element;
}
