/** The same test samples as the model of each kept epoch rebuilt or judged them. */

/** @import { Classes } from "./chosen.js" */
/** @import { Context, Manifest, Sample } from "./types.js" */

import { formatShare, makeBars } from "./bars.js";
import { categoryOf, findClasses, isolate } from "./chosen.js";
import { make } from "./dom.js";
import { Latest } from "./latest.js";
import { paintMask } from "./masks.js";
import { drawSample, makePicture } from "./picture.js";

const PACE = 600; // milliseconds that an epoch is shown when it plays

export class Epochs {
  /** @param {Context} context */
  constructor(context) {
    const { state } = context;
    this.context = context;
    /** @type {number[]} */
    this.kept = [];
    /** @type {{row: number, answer: HTMLElement}[]} */
    this.samples = [];
    /** @type {Classes | null} */
    this.classes = null;
    this.drawing = new Latest();
    this.timer = 0;
    this.key = "";
    this.title = make("h2", { text: "Epoch by epoch" });
    this.slider = make("input", {
      type: "range",
      min: "0",
      step: "1",
      "aria-label": "Epoch",
      input: () => this.pick(),
    });
    this.output = make("output", { class: "epoch-number" });
    this.play = make("button", {
      text: "Play",
      "aria-pressed": "false",
      click: () => this.toggle(),
    });
    this.list = make("div", { class: "epoch-samples" });
    const row = make("div", { class: "row epoch-row" }, [this.play, this.slider, this.output]);
    const hint = make("p", {
      class: "hint",
      text:
        this.context.store.manifest.task === "reconstruct"
          ? "The same test samples, rebuilt by the model of each epoch."
          : "The same test samples, and what the model of each epoch predicts.",
    });
    this.element = make("section", {}, [this.title, hint, row, this.list]);
    state.on(["epoch"], () => this.show());
  }

  /** Show what is kept now. */
  async update() {
    const { store } = this.context;
    const { epochs, fingerprint } = store.manifest;
    this.element.hidden = !epochs || epochs.kept.length === 0;
    if (!epochs || epochs.kept.length === 0) {
      return;
    }
    this.kept = epochs.kept;
    this.slider.max = String(this.kept.length - 1);
    const key = `${fingerprint} ${epochs.rows.join()}`;
    if (key !== this.key) {
      this.classes = await findClasses(this.context);
      await this.makeSamples(await store.numbers(epochs.inputs), epochs.rows);
      this.key = key;
    }
    await this.show();
  }

  /**
   * @param {Sample} inputs of all samples
   * @param {number[]} rows
   */
  async makeSamples(inputs, rows) {
    const { sample: kind, task } = this.context.store.manifest;
    const size = kind.shape.reduce((a, b) => a * b);
    this.samples = rows.map((row) => ({ row, answer: make("div", { class: `answer ${task}` }) }));
    const parts = this.samples.map(({ row, answer }, i) => {
      const input = makePicture(kind, "input");
      drawSample(input, inputs.slice(i * size, (i + 1) * size), kind);
      return make("div", { class: "epoch-sample" }, [this.asButton(input, row), answer]);
    });
    this.list.classList.toggle("wide", task === "classify");
    this.list.replaceChildren(...parts);
  }

  /**
   * Let a click on a sample's picture choose it, if it is one of those shown.
   *
   * @param {HTMLCanvasElement} picture
   * @param {number} row
   */
  asButton(picture, row) {
    if (row < 0) {
      return picture;
    }
    const click = () => this.context.state.set({ sample: String(row) });
    return make(
      "button",
      { class: "bare", "aria-label": "Choose this sample", click },
      [picture],
    );
  }

  /** Return the place of the epoch that the state names; of the last one if it names none. */
  place() {
    const [wanted] = this.context.state.numbers("epoch");
    const place = this.kept.indexOf(wanted);
    return place < 0 ? this.kept.length - 1 : place;
  }

  async show() {
    const { store } = this.context;
    const { epochs } = store.manifest;
    if (!epochs || !this.samples.length || this.element.hidden) {
      return;
    }
    const place = this.place();
    const epoch = this.kept[place];
    this.slider.value = String(place);
    this.slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    this.output.textContent = `epoch ${epoch}`;
    const isNewest = this.drawing.begin();
    try {
      const answers = await store.numbers(epochs.pattern.replace("{n}", String(epoch)));
      if (isNewest()) {
        this.drawAnswers(answers, store.manifest);
      }
    } catch (error) {
      this.context.say(/** @type {Error} */ (error).message);
    }
  }

  /**
   * @param {Sample} answers of all samples
   * @param {Manifest} manifest
   */
  drawAnswers(answers, manifest) {
    const size = answers.length / this.samples.length;
    this.samples.forEach(({ row, answer }, i) => {
      const own = answers.slice(i * size, (i + 1) * size);
      if (manifest.task === "classify") {
        answer.replaceChildren(this.judge(own, row, manifest));
        return;
      }
      const picture = answer.querySelector("canvas") ?? makePicture(manifest.sample, "");
      drawAnswer(picture, own, manifest);
      answer.replaceChildren(picture);
    });
  }

  /**
   * Show the probabilities of a classifier, and whether it is right.
   *
   * @param {Sample} shares
   * @param {number} row
   * @param {Manifest} manifest
   */
  judge(shares, row, { columns }) {
    const classes = this.classes;
    const known = columns.find(({ name }) => name === "predicted")?.names ?? [];
    const names = Array.from(shares, (_, i) => known[i] ?? String(i));
    const best = shares.indexOf(Math.max(...shares));
    const truth =
      row >= 0 && classes ? (classes.column.names[categoryOf(classes.column, row)] ?? null) : null;
    const isRight = truth === names[best];
    const verdict = truth === null ? "" : isRight ? " ✓ right" : ` ✗ it is ${isolate(truth)}`;
    const text = `${isolate(names[best])} ${formatShare(shares[best])}${verdict}`;
    const line = make("p", { class: truth === null ? "" : isRight ? "right" : "wrong", text });
    return make("div", {}, [line, makeBars(shares, names, 3)]);
  }

  pick() {
    this.context.state.set(
      { epoch: String(this.kept[Number(this.slider.value)]) },
      { isStep: false },
    );
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    this.play.textContent = "Pause";
    this.play.setAttribute("aria-pressed", "true");
    if (this.place() === this.kept.length - 1) {
      this.goTo(0);
    }
    this.timer = setInterval(() => this.advance(), PACE);
  }

  advance() {
    const next = this.place() + 1;
    if (next < this.kept.length) {
      this.goTo(next);
    }
    if (next >= this.kept.length - 1) {
      this.stop();
    }
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
    this.play.setAttribute("aria-pressed", "false");
  }

  /** @param {number} place */
  goTo(place) {
    this.context.state.set({ epoch: String(this.kept[place]) }, { isStep: false });
  }
}

/**
 * Draw a reconstruction, or a mask in the colors of its classes.
 *
 * @param {HTMLCanvasElement} picture
 * @param {Sample} answer
 * @param {Manifest} manifest
 */
function drawAnswer(picture, answer, { task, sample, masks }) {
  if (task === "segment") {
    picture.setAttribute("aria-label", "predicted mask");
    paintMask(picture, answer, masks?.colors ?? []);
  } else {
    picture.setAttribute("aria-label", "reconstruction");
    drawSample(picture, answer, sample);
  }
}
