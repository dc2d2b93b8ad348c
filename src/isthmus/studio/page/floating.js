/** A small picture beside the place on the map that it is decoded from: the eyes can stay there. */

/** @import { Sample, SampleKind } from "./types.js" */

import { make } from "./dom.js";
import { drawSample, makePicture } from "./picture.js";

/** Between the place and the picture, in pixels. */
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
    this.element = make("div", { class: "floating", hidden: true, "aria-hidden": "true" }, [this.canvas]);
    map.append(this.element); // the side says the same in words
  }

  /**
   * Show a sample above and to the right of a place, or where there is room for it.
   *
   * @param {Sample} sample
   * @param {[number, number]} place in pixels of the map
   */
  show(sample, [x, y]) {
    this.element.hidden = false;
    drawSample(this.canvas, sample, this.kind);
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = x + GAP + width > this.map.clientWidth ? x - GAP - width : x + GAP;
    const top = y - GAP - height < 0 ? y + GAP : y - GAP - height;
    this.element.style.transform = `translate(${left}px, ${top}px)`;
  }

  hide() {
    this.element.hidden = true;
  }
}
