/** The picture that the decoder draws at the pointer, and how far to trust it. */

/** @import { Context, Hover, Sample } from "./types.js" */
/** @import { Engine } from "./engine.js" */
/** @import { Subject } from "./subject.js" */

import { makeBars } from "./bars.js";
import { Decoding, hasDecoder } from "./decoding.js";
import { byId, formatNumber, make } from "./dom.js";
import { Floating } from "./floating.js";
import { Gauge } from "./gauge.js";
import { Latest, OneAtATime, pause } from "./latest.js";
import { distanceBetween } from "./nearest.js";
import { drawSample, makePicture } from "./picture.js";
import { probabilitiesOf } from "./probabilities.js";
import { chosenSubject, findSubject } from "./subject.js";

/** Classes of a classifier, the most probable first. */
const SHOWN_CLASSES = 5;

/** Milliseconds without a newer request before the picture is encoded again for the gauge. */
const IDLE = 120;

const HINT =
  "Move over the map, or focus it and use the arrow keys: the decoder draws what lies there.";
const HINT_WITHOUT = "This model has no decoder. Point at the map to see the samples.";

/**
 * @param {Context} context
 * @param {HTMLElement} element
 */
export function makeDecoder(context, element) {
  const view = new DecoderView(context, element);
  const { map, state, store } = context;
  map.on("hover", (hover) => view.point(hover));
  map.on("leave", () => view.point(null));
  map.on("view", () => view.floating?.hide());
  state.on(["place", "code", "sample", "map"], () => view.update());
  store.on("manifest", () => view.update());
  addEventListener("theme", () => view.update()); // signals are drawn in the color of the text
  view.update();
}

class DecoderView {
  /**
   * @param {Context} context
   * @param {HTMLElement} element
   */
  constructor(context, element) {
    const { manifest } = context.store;
    this.context = context;
    this.decoding = hasDecoder(manifest) ? new Decoding(context) : null;
    this.latest = new Latest();
    this.drawing = new OneAtATime((error) => context.say(error.message));
    /** @type {Hover | null} */
    this.hover = null;
    /** What the state held when it was last looked at, to see what changed. */
    this.held = { sample: context.state.get("sample"), place: context.state.get("place") };
    this.floating = this.decoding ? new Floating(byId("map"), manifest.sample) : null;
    this.canvas = makePicture(manifest.sample, "Decoded picture");
    this.caption = make("figcaption");
    this.drawn = make("figure", { class: "drawn" }, [this.canvas, this.caption]);
    this.beside = make("figure", { class: "beside" });
    this.gauge = new Gauge();
    this.hint = make("p", { class: "hint", text: this.decoding ? HINT : HINT_WITHOUT });
    this.unpinButton = make("button", { text: "Unpin", click: () => this.unpin() });
    this.pictures = make("div", { class: "pictures" }, [this.drawn, this.beside]);
    this.pictures.classList.toggle("wide", manifest.sample.kind === "signal");
    this.gauge.head.append(this.unpinButton);
    // Without a decoder, nothing is decoded that could be trusted or not.
    const below = this.decoding ? this.gauge.element : this.unpinButton;
    element.replaceChildren(this.pictures, below, this.hint);
  }

  /** @param {Hover | null} hover */
  point(hover) {
    this.hover = hover;
    const isKept = chosenSubject(this.context).kind !== "nothing";
    if (hover || isKept) {
      this.update();
    } else {
      this.floating?.hide(); // what was seen last stays in the side, so that nothing jumps
    }
  }

  unpin() {
    this.context.state.set({ place: "", code: "", sample: "" });
  }

  /** Show what the pointer or the state asks for now. */
  update() {
    const { store, say } = this.context;
    this.letGo();
    const subject = findSubject(this.context, this.hover);
    const isNewest = this.latest.begin();
    this.unpinButton.hidden = chosenSubject(this.context).kind === "nothing";
    this.hint.hidden = subject.kind !== "nothing";
    const { fingerprint } = store.manifest;
    const fail = (/** @type {Error} */ error) => {
      if (store.manifest.fingerprint === fingerprint) {
        say(error.message); // otherwise other data has come, and is shown already
      }
    };
    this.drawing.run(async () => {
      const follow = await this.show(subject, isNewest).catch(fail);
      follow?.().catch(fail); // and the next picture need not wait for it
    });
  }

  /** Let go of a pinned place when another sample is chosen, wherever that was done. */
  letGo() {
    const { state } = this.context;
    const now = { sample: state.get("sample"), place: state.get("place") };
    const isChosenAnew = now.sample !== this.held.sample && now.place === this.held.place;
    this.held = now;
    if (isChosenAnew && now.sample && (now.place || state.get("code"))) {
      this.held.place = "";
      state.set({ place: "", code: "" }, { isStep: false });
    }
  }

  /**
   * Show the picture of a subject; return what follows when there is time.
   *
   * @param {Subject} subject
   * @param {() => boolean} isNewest
   * @returns {Promise<(() => Promise<void>) | null>}
   */
  async show(subject, isNewest) {
    const code = await this.codeOf(subject);
    if (!this.decoding) {
      return () => this.showSample(subject, code, isNewest);
    }
    const sample = await this.decoding.latest(code);
    if (!sample) {
      return null;
    }
    this.draw(sample, subject);
    return () => this.follow(sample, subject, code, isNewest);
  }

  /**
   * Return the code to show; of nothing in particular the mean of all codes.
   *
   * @param {Subject} subject
   * @returns {Promise<Float32Array>}
   */
  async codeOf(subject) {
    const { place, store } = this.context;
    switch (subject.kind) {
      case "code":
        return subject.code;
      case "place":
        return place.codeAt(subject.x, subject.y);
      case "sample":
        return store.codesOf([subject.row]);
      default:
        return Float32Array.from(store.manifest.code_statistics.mean);
    }
  }

  /**
   * Show what is next to a decoded picture, and how far to trust it.
   *
   * @param {Sample} sample
   * @param {Subject} subject
   * @param {Float32Array} code
   * @param {() => boolean} isNewest
   */
  async follow(sample, subject, code, isNewest) {
    const { manifest } = this.context.store;
    const row = subject.kind === "sample" ? subject.row : -1;
    if (row < 0 && !manifest.codes.in_page) {
      await pause(IDLE); // a server is not asked for every place that the pointer passes
    }
    const near = row >= 0 ? { row, distance: 0 } : isNewest() && (await this.nearest(code));
    if (near && isNewest()) {
      this.showBeside(near.row, row < 0 ? "Nearest sample" : "Original");
      this.gauge.show(manifest, near.distance, undefined);
      await this.showDrift(sample, code, near.distance, isNewest);
    }
  }

  /**
   * @param {Sample} sample
   * @param {Subject} subject
   */
  draw(sample, subject) {
    const { sample: kind } = this.context.store.manifest;
    drawSample(this.canvas, sample, kind);
    this.caption.replaceChildren(...describe(subject));
    if (this.hover) {
      const { view, size } = this.context.map;
      const { x, y, row } = this.hover;
      this.floating?.show(sample, view.toScreen(x, y, size), row >= 0);
    } else {
      this.floating?.hide();
    }
  }

  /**
   * @param {Float32Array} code
   * @returns {Promise<{row: number, distance: number}>}
   */
  async nearest(code) {
    const { rows, distances } = await this.context.place.nearest(code, 1);
    return { row: rows[0], distance: distances[0] };
  }

  /**
   * @param {number} row
   * @param {string} title
   */
  showBeside(row, title) {
    const key = `${title} ${row}`;
    if (this.beside.dataset.shown !== key) {
      this.beside.dataset.shown = key;
      this.beside.replaceChildren(this.makeSample(row, title), this.makeCaption(row, title));
    }
  }

  /**
   * Return a sample's thumbnail, which its own pixels replace where they are finer.
   *
   * @param {number} row
   * @param {string} label
   */
  makeSample(row, label) {
    const { store } = this.context;
    const thumbnail = store.thumbnail(row, label);
    if (!store.manifest.thumbs.exact) {
      store.sample(row).then(({ sample, isExact }) => {
        const canvas = makePicture(store.manifest.sample, label);
        if (isExact && thumbnail.isConnected) {
          thumbnail.replaceWith(canvas);
          drawSample(canvas, sample, store.manifest.sample);
        }
      }, () => undefined); // the thumbnail stays
    }
    return thumbnail;
  }

  /**
   * @param {number} row
   * @param {string} title
   */
  makeCaption(row, title) {
    const caption = make("figcaption", {}, [make("b", { text: title })]);
    describeRow(this.context, row).then(
      (lines) => caption.append(...lines.map((text) => make("span", { text }))),
      () => undefined,
    );
    return caption;
  }

  /**
   * Encode the picture again when the pointer rests, and show how far its code is from this one.
   *
   * @param {Sample} sample
   * @param {Float32Array} code
   * @param {number} distance
   * @param {() => boolean} isNewest
   */
  async showDrift(sample, code, distance, isNewest) {
    const { engine, store } = this.context;
    const { code_statistics: statistics, networks } = store.manifest;
    await pause(IDLE);
    if (!isNewest()) {
      return;
    }
    const isKnown = statistics.drift && networks.encoder;
    const again = isKnown ? await this.tryEncode(engine, sample) : null;
    if (isNewest()) {
      this.gauge.show(store.manifest, distance, again && distanceBetween(code, again));
    }
  }

  /**
   * @param {Engine} engine
   * @param {Sample} sample
   */
  async tryEncode(engine, sample) {
    try {
      return await engine.encode(sample);
    } catch {
      return null; // an encoder with an operator that the page does not know: no drift
    }
  }

  /**
   * Show a sample of a model without a decoder, and what a classifier thinks of it.
   *
   * @param {Subject} subject
   * @param {Float32Array} code
   * @param {() => boolean} isNewest
   */
  async showSample(subject, code, isNewest) {
    const isSample = subject.kind === "sample";
    const row = isSample ? subject.row : (await this.nearest(code)).row;
    if (!isNewest()) {
      return;
    }
    const title = isSample ? "Sample" : "Nearest sample";
    this.drawn.replaceChildren(this.makeSample(row, title), this.makeCaption(row, title));
    if (this.context.store.hasColumn("predicted")) {
      const { shares, names } = await probabilitiesOf(this.context, row);
      if (isNewest()) {
        const bars = makeBars(shares, names, SHOWN_CLASSES);
        bars.classList.add("probabilities");
        this.beside.replaceChildren(bars, this.makeWaiting());
      }
    }
  }

  /** Say that more follows, while the server makes the network. */
  makeWaiting() {
    const isWaiting = this.context.store.manifest.pending.includes("networks");
    return isWaiting ? make("p", { class: "hint", text: "The network is being prepared." }) : "";
  }
}

/**
 * @param {Subject} subject
 * @returns {HTMLElement[]}
 */
function describe(subject) {
  const lines = {
    sample: ["Reconstruction", "by the decoder"],
    code: ["Decoded", "from the sliders"],
    nothing: ["Decoded", "the mean of all codes"],
    place: ["Decoded", ""],
  }[subject.kind];
  if (subject.kind === "place") {
    lines[1] = `at ${formatNumber(subject.x)}, ${formatNumber(subject.y)}`;
  }
  return [make("b", { text: lines[0] }), make("span", { text: lines[1] })];
}

/**
 * Return a sample's name and, if it has one, its class.
 *
 * @param {Context} context
 * @param {number} row
 * @returns {Promise<string[]>}
 */
async function describeRow({ store }, row) {
  const [name] = await store.names([row]);
  if (!store.hasColumn("class")) {
    return [name];
  }
  const column = await store.column("class");
  const label = column.kind === "category" ? column.names[column.values[row]] : undefined;
  return label === undefined ? [name] : [name, `class ${label}`];
}
