/** A film of samples: play and pause, speed, a slider, and there and back. */

/** @import { Sample, SampleKind } from "./types.js" */

import { make } from "./dom.js";
import { drawSample, makePicture } from "./picture.js";

/** Frames a second, at normal speed. */
const RATE = 20;

const SPEEDS = [0.25, 0.5, 1, 2];

export class Film {
  /**
   * @param {SampleKind} kind
   * @param {(frame: number) => void} shown called with every frame that is shown
   */
  constructor(kind, shown) {
    this.kind = kind;
    this.shown = shown;
    /** @type {Sample[]} */
    this.samples = [];
    this.frame = 0;
    this.direction = 1;
    this.isPlaying = false;
    this.last = 0;
    this.canvas = makePicture(kind, "Film");
    this.playButton = make("button", { text: "Play", click: () => this.toggle() });
    this.range = make("input", { type: "range", min: "0", step: "1", "aria-label": "Frame" });
    this.range.addEventListener("input", () => this.seek(Number(this.range.value)));
    this.speed = make("select", { "aria-label": "Speed" }, SPEEDS.map(makeSpeed));
    this.back = make("input", { type: "checkbox", checked: true });
    this.element = make("div", { class: "morph-film" }, [
      this.canvas,
      make("div", { class: "morph-controls" }, [
        make("div", { class: "row" }, [this.playButton, this.speed]),
        this.range,
        make("label", { class: "row small" }, [this.back, "There and back"]),
      ]),
    ]);
    this.element.classList.toggle("wide", kind.kind === "signal");
  }

  /** Hundredths of a second that a frame stays. */
  get delay() {
    return Math.max(2, Math.round(100 / (RATE * Number(this.speed.value))));
  }

  get isThereAndBack() {
    return this.back.checked;
  }

  /**
   * Show other samples, from the first.
   *
   * @param {Sample[]} samples
   */
  setSamples(samples) {
    this.samples = samples;
    this.range.max = String(Math.max(0, samples.length - 1));
    this.direction = 1;
    this.show(0);
  }

  /** @param {number} frame */
  seek(frame) {
    this.pause();
    this.show(frame);
  }

  /** @param {number} frame */
  show(frame) {
    this.frame = frame;
    const sample = this.samples[frame];
    if (sample) {
      drawSample(this.canvas, sample, this.kind);
      this.range.value = String(frame);
      this.range.setAttribute("aria-valuetext", `Frame ${frame + 1} of ${this.samples.length}`);
      this.shown(frame);
    }
  }

  toggle() {
    if (this.isPlaying) {
      this.pause();
    } else {
      this.play();
    }
  }

  play() {
    if (!this.isPlaying && this.samples.length > 1) {
      this.isPlaying = true;
      this.playButton.textContent = "Pause";
      this.last = performance.now();
      requestAnimationFrame((now) => this.run(now));
    }
  }

  pause() {
    this.isPlaying = false;
    this.playButton.textContent = "Play";
  }

  /** @param {number} now in milliseconds */
  run(now) {
    if (!this.isPlaying) {
      return;
    }
    if (now - this.last >= 10 * this.delay) {
      this.last = now;
      this.step();
    }
    requestAnimationFrame((later) => this.run(later));
  }

  /** Show the next frame: at the end turn around, or start again. */
  step() {
    const end = this.samples.length - 1;
    if (!this.isThereAndBack) {
      this.direction = 1;
    } else if (this.frame >= end) {
      this.direction = -1;
    } else if (this.frame <= 0) {
      this.direction = 1;
    }
    this.show((this.frame + this.direction + end + 1) % (end + 1));
  }
}

/** @param {number} speed */
function makeSpeed(speed) {
  return make("option", { value: String(speed), text: `${speed} ×`, selected: speed === 1 });
}
