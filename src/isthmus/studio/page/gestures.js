/** What hands do on the map: drag, pinch, wheel, click, double click and draw. */

/** Pixels that a click may move. */
const STILL = 5;

/**
 * @typedef {[number, number]} Pixel
 *
 * @typedef {Object} Actions what the map does
 * @property {() => string} tool the tool in use
 * @property {(right: number, down: number) => void} pan
 * @property {(factor: number, at: Pixel) => void} zoom
 * @property {(at: Pixel) => void} hover
 * @property {() => void} leave
 * @property {(at: Pixel) => void} click
 * @property {(tool: string, points: Pixel[]) => void} sketch what is being drawn; nothing: none
 * @property {(tool: string, points: Pixel[]) => void} finish what was drawn
 */

export class Gestures {
  /**
   * @param {HTMLElement} element
   * @param {Actions} actions
   */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    /** @type {Map<number, Pixel>} fingers, or the mouse, that are down */
    this.down = new Map();
    this.moved = 0;
    /** @type {string} the tool that the drag began with */
    this.tool = "";
    /** @type {Pixel[]} */
    this.points = [];
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.release(event));
    element.addEventListener("pointercancel", (event) => this.cancel(event));
    element.addEventListener("pointerleave", () => this.down.size || actions.leave());
    element.addEventListener("dblclick", (event) => actions.zoom(2, this.at(event)));
    element.addEventListener("wheel", (event) => this.turn(event), { passive: false });
  }

  /**
   * @param {MouseEvent} event
   * @returns {Pixel}
   */
  at(event) {
    const { left, top } = this.element.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button !== 0) {
      return;
    }
    this.element.setPointerCapture(event.pointerId);
    const at = this.at(event);
    this.down.set(event.pointerId, at);
    if (this.down.size === 1) {
      this.tool = event.shiftKey ? "lasso" : this.actions.tool();
      [this.moved, this.points] = [0, [at]];
    } else {
      this.dropSketch(); // a second finger zooms
      this.moved = Infinity;
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const [at, last] = [this.at(event), this.down.get(event.pointerId)];
    if (!last) {
      this.actions.hover(at);
      return;
    }
    this.moved += Math.hypot(at[0] - last[0], at[1] - last[1]);
    if (this.down.size === 2) {
      this.pinch(event.pointerId, at);
      this.down.set(event.pointerId, at);
    } else if (this.moved > STILL) {
      this.actions.leave(); // what was under the pointer is of no interest now
      this.down.set(event.pointerId, this.drag(last, at));
    } // else the drag, once it is one, begins where the hand did
  }

  /**
   * Draw, or move the map by whole pixels of the screen, so that what was drawn can be used again.
   *
   * @param {Pixel} last
   * @param {Pixel} at
   * @returns {Pixel} how far the drag is
   */
  drag(last, at) {
    if (this.tool !== "pan") {
      this.points.push(at);
      this.actions.sketch(this.tool, this.points);
      return at;
    }
    this.element.classList.add("dragging");
    const whole = (/** @type {number} */ step) =>
      Math.round(step * devicePixelRatio) / devicePixelRatio;
    const [right, down] = [whole(at[0] - last[0]), whole(at[1] - last[1])];
    this.actions.pan(right, down);
    return [last[0] + right, last[1] + down];
  }

  /**
   * @param {number} finger
   * @param {Pixel} at
   */
  pinch(finger, at) {
    const last = /** @type {Pixel} */ (this.down.get(finger));
    const other = /** @type {Pixel} */ ([...this.down].find(([id]) => id !== finger)?.[1]);
    const before = Math.hypot(last[0] - other[0], last[1] - other[1]);
    const after = Math.hypot(at[0] - other[0], at[1] - other[1]);
    this.actions.pan((at[0] - last[0]) / 2, (at[1] - last[1]) / 2);
    const middle = /** @type {Pixel} */ ([(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    this.actions.zoom(Math.max(1, after) / Math.max(1, before), middle);
  }

  /** @param {PointerEvent} event */
  release(event) {
    if (!this.down.delete(event.pointerId) || this.down.size) {
      return;
    }
    this.element.classList.remove("dragging");
    if (this.moved <= STILL) {
      if (event.detail < 2) {
        this.actions.click(this.at(event));
      }
    } else if (this.tool !== "pan" && this.points.length > 1) {
      this.actions.finish(this.tool, this.points);
    }
    this.dropSketch();
  }

  /** @param {PointerEvent} event */
  cancel(event) {
    this.down.delete(event.pointerId);
    this.dropSketch();
  }

  dropSketch() {
    this.points = [];
    this.actions.sketch("", []);
  }

  /** @param {WheelEvent} event */
  turn(event) {
    event.preventDefault();
    const lines = [1, 16, 400][event.deltaMode];
    const speed = event.ctrlKey ? 0.01 : 0.0016; // a pinch on a touchpad comes as small steps
    const turn = Math.max(-1, Math.min(1, -event.deltaY * lines * speed));
    this.actions.zoom(Math.exp(turn), this.at(event));
  }
}
