/**
 * A confusion matrix of any number of classes: true classes are rows, predicted ones columns.
 *
 * Only the cells that are seen are drawn, on one canvas that stays where it is while its box
 * scrolls. Arrow keys move from cell to cell, Enter chooses.
 */

import { isolate } from "./chosen.js";
import { drawingContext, formatNumber, make, onceAFrame } from "./dom.js";

const LABELS = 92; // pixels of the names, left of the rows and above the columns
const MIN_CELL = 22;
const MAX_CELL = 44;
const MAX_VIEW = 480; // pixels of the box

/**
 * @typedef {Object} Confusion
 * @property {Int32Array} counts of truths × predictions, row by row
 * @property {string[]} truths names of the true classes
 * @property {string[]} predictions
 * @property {Int32Array} same for each true class, the predicted class of that name, or -1
 */

/**
 * @typedef {Object} Cell
 * @property {number} truth
 * @property {number} prediction
 * @property {number} total samples of the true class
 * @property {number} x
 * @property {number} y
 * @property {number} side
 */

export class Matrix {
  /** @param {(truth: number, prediction: number) => void} choose */
  constructor(choose) {
    this.choose = choose;
    /** @type {Confusion} */
    this.confusion = {
      counts: new Int32Array(0),
      truths: [],
      predictions: [],
      same: new Int32Array(0),
    };
    /** @type {[number, number]} */
    this.cursor = [0, 0];
    /** @type {[number, number]} */
    this.chosen = [-1, -1];
    this.canvas = make("canvas", {});
    this.space = make("div", { class: "matrix-space" }, [this.canvas]);
    this.text = make("p", { class: "matrix-text small", "aria-live": "polite" });
    this.box = this.makeBox();
    this.element = make("div", {}, [this.box, this.text]);
    this.update = onceAFrame(() => this.draw());
    new ResizeObserver(this.update).observe(this.box);
    addEventListener("theme", this.update);
  }

  makeBox() {
    const pointer = (/** @type {Event} */ event) =>
      this.cellAt(/** @type {PointerEvent} */ (event));
    return make(
      "div",
      {
        class: "matrix",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "confusion matrix",
        "aria-label": "Confusion matrix: arrow keys move, Enter selects the samples of a cell",
        scroll: () => this.update(),
        focus: () => this.moveTo(...this.cursor),
        keydown: (event) => this.move(/** @type {KeyboardEvent} */ (event)),
        pointermove: (event) => this.read(pointer(event)),
        pointerleave: () => this.read(null),
        click: (event) => this.click(pointer(event)),
      },
      [this.space],
    );
  }

  /** @param {Confusion} confusion */
  show(confusion) {
    this.confusion = confusion;
    this.cursor = [0, 0];
    this.text.textContent = "Rows are the true classes, columns the predicted ones.";
    this.update();
  }

  /**
   * Mark the cell whose samples are selected.
   *
   * @param {number} truth
   * @param {number} prediction
   */
  mark(truth, prediction) {
    this.chosen = [truth, prediction];
    this.update();
  }

  /** Return the side of a cell, in pixels. */
  side() {
    const room = this.box.clientWidth - LABELS - 2;
    return Math.max(
      MIN_CELL,
      Math.min(MAX_CELL, Math.floor(room / this.confusion.predictions.length)),
    );
  }

  draw() {
    const { truths, predictions } = this.confusion;
    const side = this.side();
    const [width, height] = [LABELS + side * predictions.length, LABELS + side * truths.length];
    this.box.style.height = `${Math.min(height, MAX_VIEW) + 12}px`;
    this.space.style.width = `${width}px`;
    this.space.style.height = `${height}px`;
    const view = {
      width: Math.min(width, this.box.clientWidth),
      height: Math.min(height, this.box.clientHeight),
    };
    const context = this.prepare(view);
    const style = getComputedStyle(this.box);
    const seen = this.seen(view, side);
    this.drawCells(context, style, seen, side);
    this.drawLabels(context, style, seen, side, view);
  }

  /** @param {{width: number, height: number}} view */
  prepare({ width, height }) {
    const scale = devicePixelRatio;
    [this.canvas.width, this.canvas.height] = [Math.ceil(width * scale), Math.ceil(height * scale)];
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = drawingContext(this.canvas);
    context.scale(scale, scale);
    context.textBaseline = "middle";
    return context;
  }

  /**
   * Return the rows and columns in view, and where the first would be without scrolling.
   *
   * @param {{width: number, height: number}} view
   * @param {number} side
   */
  seen(view, side) {
    const { truths, predictions } = this.confusion;
    const [left, top] = [this.box.scrollLeft, this.box.scrollTop];
    const range = (
      /** @type {number} */ start,
      /** @type {number} */ room,
      /** @type {number} */ count,
    ) => {
      const first = Math.floor(start / side);
      const end = Math.min(count, Math.ceil((start + room - LABELS) / side));
      return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
    };
    const rows = range(top, view.height, truths.length);
    return { rows, columns: range(left, view.width, predictions.length), left, top };
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {CSSStyleDeclaration} style
   * @param {{rows: number[], columns: number[], left: number, top: number}} seen
   * @param {number} side
   */
  drawCells(context, style, { rows, columns, left, top }, side) {
    context.textAlign = "center";
    context.font = "11px system-ui, sans-serif";
    for (const truth of rows) {
      const total = this.total(truth);
      for (const prediction of columns) {
        const [x, y] = [LABELS + prediction * side - left, LABELS + truth * side - top];
        this.drawCell(context, style, { truth, prediction, total, x, y, side });
      }
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {CSSStyleDeclaration} style
   * @param {Cell} cell
   */
  drawCell(context, style, cell) {
    const { truth, prediction, total, x, y, side } = cell;
    const count = this.count(truth, prediction);
    const share = total ? Math.sqrt(count / total) : 0;
    const isRight = this.confusion.same[truth] === prediction;
    context.fillStyle = style.getPropertyValue("--raised");
    context.fillRect(x + 1, y + 1, side - 2, side - 2);
    context.globalAlpha = share;
    context.fillStyle = style.getPropertyValue(isRight ? "--accent" : "--warn");
    context.fillRect(x + 1, y + 1, side - 2, side - 2);
    context.globalAlpha = 1;
    const text = count > 9999 ? `${Math.round(count / 1000)}k` : String(count);
    if (count && context.measureText(text).width < side - 2) {
      context.fillStyle = style.getPropertyValue(share > 0.6 ? "--on-accent" : "--ink");
      context.fillText(text, x + side / 2, y + side / 2 + 1);
    }
    this.drawFrame(context, style, cell);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {CSSStyleDeclaration} style
   * @param {Cell} cell
   */
  drawFrame(context, style, { truth, prediction, x, y, side }) {
    const isChosen = this.chosen[0] === truth && this.chosen[1] === prediction;
    const isCursor = this.cursor[0] === truth && this.cursor[1] === prediction;
    if (isChosen || (isCursor && document.activeElement === this.box)) {
      context.strokeStyle = style.getPropertyValue(isChosen ? "--ink" : "--focus");
      context.lineWidth = isChosen ? 3 : 2;
      context.strokeRect(x + 1.5, y + 1.5, side - 3, side - 3);
    }
  }

  /**
   * Draw the names over what scrolls below them.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {CSSStyleDeclaration} style
   * @param {{rows: number[], columns: number[], left: number, top: number}} seen
   * @param {number} side
   * @param {{width: number, height: number}} view
   */
  drawLabels(context, style, { rows, columns, left, top }, side, view) {
    context.fillStyle = style.getPropertyValue("--paper");
    context.fillRect(0, 0, view.width, LABELS);
    context.fillRect(0, 0, LABELS, view.height);
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = style.getPropertyValue("--ink");
    context.textAlign = "right";
    this.drawClipped(context, [0, LABELS, LABELS, view.height], () => {
      for (const truth of rows) {
        const y = LABELS + (truth + 0.5) * side - top + 1;
        context.fillText(fit(context, this.confusion.truths[truth]), LABELS - 6, y);
      }
    });
    context.textAlign = "left";
    this.drawClipped(context, [LABELS, 0, view.width, LABELS], () => {
      context.rotate(-Math.PI / 2);
      for (const prediction of columns) {
        const y = LABELS + (prediction + 0.5) * side - left + 1;
        context.fillText(fit(context, this.confusion.predictions[prediction]), 6 - LABELS, y);
      }
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {[number, number, number, number]} box outside of which nothing is drawn
   * @param {() => void} draw
   */
  drawClipped(context, box, draw) {
    context.save();
    context.beginPath();
    context.rect(...box);
    context.clip();
    draw();
    context.restore();
  }

  // -- what the cells say ------------------------------------------------------------------------

  /**
   * @param {number} truth
   * @param {number} prediction
   */
  count(truth, prediction) {
    return this.confusion.counts[truth * this.confusion.predictions.length + prediction];
  }

  /** @param {number} truth */
  total(truth) {
    const { counts, predictions } = this.confusion;
    const row = counts.subarray(truth * predictions.length, (truth + 1) * predictions.length);
    return row.reduce((a, b) => a + b, 0);
  }

  /**
   * Say what a cell holds.
   *
   * @param {[number, number] | null} cell
   */
  read(cell) {
    if (!cell) {
      return;
    }
    const [truth, prediction] = cell;
    const { truths, predictions } = this.confusion;
    const [count, total] = [this.count(truth, prediction), this.total(truth)];
    const share = total
      ? ` of ${formatNumber(total)} (${((100 * count) / total).toFixed(1)}%)`
      : "";
    const names = `${isolate(truths[truth])}, predicted ${isolate(predictions[prediction])}`;
    this.text.textContent = `${names}: ${formatNumber(count)}${share}`;
  }

  // -- pointer and keyboard ----------------------------------------------------------------------

  /**
   * Return the cell under the pointer, or null.
   *
   * @param {MouseEvent} event
   * @returns {[number, number] | null}
   */
  cellAt(event) {
    const box = this.box.getBoundingClientRect();
    const side = this.side();
    const [x, y] = [event.clientX - box.left - 1, event.clientY - box.top - 1];
    const prediction = Math.floor((x - LABELS + this.box.scrollLeft) / side);
    const truth = Math.floor((y - LABELS + this.box.scrollTop) / side);
    const { truths, predictions } = this.confusion;
    const isIn =
      x >= LABELS && y >= LABELS && truth < truths.length && prediction < predictions.length;
    return isIn ? [truth, prediction] : null;
  }

  /** @param {[number, number] | null} cell */
  click(cell) {
    if (cell) {
      this.cursor = cell;
      this.choose(...cell);
    }
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const [truth, prediction] = this.cursor;
    const { truths, predictions } = this.confusion;
    /** @type {Record<string, [number, number]>} */
    const places = {
      ArrowDown: [truth + 1, prediction],
      ArrowUp: [truth - 1, prediction],
      ArrowRight: [truth, prediction + 1],
      ArrowLeft: [truth, prediction - 1],
      Home: [truth, 0],
      End: [truth, predictions.length - 1],
    };
    if (event.key === "Enter" || event.key === " ") {
      this.choose(truth, prediction);
      event.preventDefault();
    } else if (event.key in places && truths.length) {
      const [row, column] = places[event.key];
      const within = (/** @type {number} */ value, /** @type {number} */ count) =>
        Math.max(0, Math.min(count - 1, value));
      this.moveTo(within(row, truths.length), within(column, predictions.length));
      event.preventDefault();
    }
  }

  /**
   * Put the cursor on a cell, scroll to it, and say what it holds.
   *
   * @param {number} truth
   * @param {number} prediction
   */
  moveTo(truth, prediction) {
    this.cursor = [truth, prediction];
    if (this.confusion.truths.length) {
      const side = this.side();
      this.box.scrollTop = scrolled(
        this.box.scrollTop,
        truth * side,
        side,
        this.box.clientHeight - LABELS,
      );
      this.box.scrollLeft = scrolled(
        this.box.scrollLeft,
        prediction * side,
        side,
        this.box.clientWidth - LABELS,
      );
      this.read(this.cursor);
    }
    this.update();
  }
}

/**
 * Return where to scroll to, so that a cell is in view.
 *
 * @param {number} now
 * @param {number} start of the cell
 * @param {number} side
 * @param {number} room
 */
function scrolled(now, start, side, room) {
  return Math.max(start + side - room, Math.min(start, now));
}

/**
 * Cut a name where it is longer than the labels.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {string} name
 */
function fit(context, name) {
  const room = LABELS - 12;
  let text = name.length > 40 ? name.slice(0, 40) : name;
  while (text.length > 1 && context.measureText(text === name ? text : `${text}…`).width > room) {
    text = text.slice(0, -1);
  }
  return text === name ? text : `${text}…`;
}
