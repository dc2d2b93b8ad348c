/** A small picture that follows the pointer on the map, so that the eyes can stay there. */

/** @import { Sample, SampleKind } from "./types.js" */

import { make } from "./dom.js";
import { drawSample, makePicture } from "./picture.js";

/** Between the pointer and the picture, in pixels. */
const GAP = 18;

export class Floating {
  /**
   * @param {HTMLElement} map
   * @param {SampleKind} kind
   */
  constructor(map, kind) {
    this.map = map;
    this.kind = kind;
    this.canvas = makePicture(kind, "");
    this.canvas.setAttribute("aria-hidden", "true"); // the side says the same in words
    this.element = make("div", { class: "floating", hidden: true }, [this.canvas]);
    map.append(this.element);
    this.isNear = false;
    map.addEventListener("pointermove", (event) => this.move(event));
    map.addEventListener("pointerleave", () => this.hide());
    map.addEventListener("keydown", () => this.hide());
  }

  /** @param {PointerEvent} event */
  move(event) {
    const box = this.map.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = x + GAP + width > box.width ? x - GAP - width : x + GAP;
    const top = y - GAP - height < 0 ? y + GAP : y - GAP - height;
    this.element.style.transform = `translate(${left}px, ${top}px)`;
    this.isNear = true;
  }

  /** @param {Sample} sample */
  show(sample) {
    drawSample(this.canvas, sample, this.kind);
    this.element.hidden = !this.isNear;
  }

  hide() {
    this.isNear = false;
    this.element.hidden = true;
  }
}
