/** The canvas of the points, and the worker that draws them: the latest frame wins. */

/** @import { Box } from "./points.js" */
/** @import { Drawn, Frame } from "./raster.js" */
/** @import { Answer, Request } from "./raster.worker.js" */

import { drawingContext, make } from "./dom.js";
import { startWorker } from "./files.js";

export class Plot {
  /**
   * @param {(drawn: Drawn, frame: Frame, time: number) => void} onDrawn called when a frame is seen
   */
  constructor(onDrawn) {
    this.onDrawn = onDrawn;
    this.canvas = make("canvas", { class: "points", "aria-hidden": "true" });
    const context = this.canvas.getContext("2d", { alpha: false });
    this.context = context ?? drawingContext(this.canvas);
    this.worker = startWorker("raster.worker.js");
    this.worker.addEventListener("message", ({ data }) => this.take(data));
    this.isBusy = false;
    /** @type {Frame | null} */
    this.waiting = null;
    /** @type {ArrayBuffer | null} memory for the next frame */
    this.spare = null;
    /** @type {((answer: {box: Box, moves: boolean}) => void)[]} */
    this.placed = [];
    /** @type {Map<number, (row: number) => void>} */
    this.questions = new Map();
    this.asked = 0;
  }

  /**
   * @param {Request} request
   * @param {Transferable[]} [owned]
   */
  send(request, owned = []) {
    this.worker.postMessage(request, owned);
  }

  /**
   * Give the points of a map; returns their box, and whether it can be shown how they move there.
   *
   * @param {Float32Array} positions
   * @returns {Promise<{box: Box, moves: boolean}>}
   */
  setPoints(positions) {
    this.send({ type: "points", positions });
    return new Promise((resolve) => this.placed.push(resolve));
  }

  /**
   * Return the row of the nearest point that is shown, or -1.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} distance in the map's units
   * @returns {Promise<number>}
   */
  nearest(x, y, distance) {
    this.asked++;
    this.send({ type: "nearest", id: this.asked, x, y, distance });
    return new Promise((resolve) => this.questions.set(this.asked, resolve));
  }

  /** @param {Frame} frame */
  draw(frame) {
    if (this.isBusy) {
      this.waiting = frame;
      return;
    }
    this.isBusy = true;
    const { spare } = this;
    this.spare = null;
    this.send({ type: "draw", frame, spare }, spare ? [spare] : []);
  }

  /** @param {Answer} answer */
  take(answer) {
    if (answer.type === "drawn") {
      this.show(answer.drawn, answer.frame, answer.time);
    } else if (answer.type === "points") {
      this.placed.shift()?.(answer);
    } else {
      this.questions.get(answer.id)?.(answer.row);
      this.questions.delete(answer.id);
    }
  }

  /**
   * @param {Drawn} drawn
   * @param {Frame} frame
   * @param {number} time
   */
  show(drawn, frame, time) {
    const { pixels, width, height } = drawn;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    const memory = /** @type {ArrayBuffer} */ (pixels.buffer);
    this.context.putImageData(new ImageData(new Uint8ClampedArray(memory), width, height), 0, 0);
    this.spare = memory;
    this.isBusy = false;
    const { waiting } = this;
    this.waiting = null;
    if (waiting) {
      this.draw(waiting);
    }
    this.onDrawn(drawn, frame, time);
  }
}
