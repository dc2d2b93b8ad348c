/** A small picture next to the place that it is decoded from, so that the eyes can stay there. */

/** @import { Sample, SampleKind } from "./types.js" */

import { make } from "./dom.js";
import { drawSample, makePicture } from "./picture.js";

/** Pixels between the place and the picture, and where a card about a sample is next to it. */
const GAP = 16;
const CARD_GAP = 44;

/** Pixels that stay free at the edges of the map. */
const MARGIN = 4;

export class Floating {
  /**
   * @param {HTMLElement} map
   * @param {SampleKind} kind
   */
  constructor(map, kind) {
    this.map = map;
    this.kind = kind;
    this.canvas = makePicture(kind, "");
    // The side says the same in words.
    const hidden = { class: "floating", hidden: true, "aria-hidden": "true" };
    this.element = make("div", hidden, [this.canvas]);
    this.element.classList.toggle("wide", kind.kind === "signal");
    map.append(this.element);
  }

  /**
   * Show a sample above a place, or below where there is no room for it.
   *
   * @param {Sample} sample
   * @param {[number, number]} place in pixels of the map
   * @param {boolean} hasCard whether a card about a sample is next to the place
   */
  show(sample, [x, y], hasCard) {
    this.element.hidden = false;
    drawSample(this.canvas, sample, this.kind);
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const gap = hasCard ? CARD_GAP : GAP;
    const left = Math.max(MARGIN, Math.min(this.map.clientWidth - width - MARGIN, x - width / 2));
    const top = y - gap - height < MARGIN ? y + gap : y - gap - height;
    this.element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  hide() {
    this.element.hidden = true;
  }
}
