/** New pictures: codes from the mixture, decoded, each with the nearest training sample. */

/** @import { Context, Panel, Sample } from "./types.js" */
/** @import { Draw, Mixture } from "./mixture.js" */

import { isolate } from "./chosen.js";
import { Decoding, hasDecoder } from "./decoding.js";
import { fillMenu, formatNumber, make } from "./dom.js";
import { makeLazy } from "./lazy.js";
import { drawableClasses, drawCodes, readMixture } from "./mixture.js";
import { drawSample, makePicture } from "./picture.js";
import { findSimilar } from "./similar.js";
import { makeSlider } from "./slider.js";

const COUNTS = [12, 24, 48];
const MAX_TEMPERATURE = 1.5;
const MAX_SEED = 2 ** 31;

/** Digits of a code's numbers in the link, as of the sliders. */
const DIGITS = 5;

/** The share of real samples that are at least as near to another as what is called a copy. */
const NEAR = 0.1;

const HINT =
  "Codes are drawn from normal distributions that were fitted to the codes of the training samples, " +
  "and decoded. Below each picture is the training sample with the nearest code, of those that the " +
  "page shows: a model that has learned samples by heart draws them again.";
const PREPARING = "The distributions of the codes are still being fitted; the pictures follow.";
const MISSING = "There are no distributions of these codes to draw from.";

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeGenerate(context) {
  const { manifest } = context.store;
  const isPossible = manifest.mixture || (manifest.live && manifest.task === "reconstruct");
  return isPossible && hasDecoder(manifest) ? new Generate(context).panel : null;
}

class Generate {
  /** @param {Context} context */
  constructor(context) {
    const { state, store, say } = context;
    this.context = context;
    this.decoding = new Decoding(context);
    this.isOfTraining = false; // whether training samples are shown, of which the nearest is found
    this.category = make("select", {
      "aria-label": "Generate only",
      change: () => this.change({ category: Number(this.category.value) }),
    });
    this.count = make("select", {
      "aria-label": "How many",
      change: () => this.change({ count: Number(this.count.value) }),
    });
    this.seed = make("input", {
      type: "number",
      min: "0",
      step: "1",
      class: "short",
      "aria-label": "Seed",
      change: () => this.change({ seed: Number(this.seed.value) }),
    });
    this.temperature = makeSlider({
      name: "Temperature",
      low: 0,
      high: MAX_TEMPERATURE,
      describe: (value) => value.toFixed(2),
      move: (temperature) => this.change({ temperature }, false),
    });
    const next = () => this.change({ seed: (this.wanted().seed + 1) % MAX_SEED });
    this.tools = make("div", {}, [
      make("div", { class: "row" }, [
        this.category,
        this.count,
        make("label", { class: "row" }, ["Seed", this.seed]),
        make("button", { text: "Draw others", click: next }),
      ]),
      make("div", { class: "sliders" }, [this.temperature.element]),
    ]);
    this.note = make("p", { class: "hint", "aria-live": "polite" });
    this.list = make("ul", { class: "generated", "aria-label": "Generated samples" });
    this.list.classList.toggle("wide", store.manifest.sample.kind === "signal");
    const hint = make("p", { class: "quiet", text: HINT });
    const { panel, refresh } = makeLazy({
      name: "generate",
      title: "Generate",
      element: make("div", {}, [this.tools, this.note, this.list, hint]),
      update: (isLatest) => this.update(isLatest),
      leave: () => context.map.setMarks("generate", null),
      say,
    });
    this.panel = panel;
    state.on(["drawn", "map"], refresh);
    store.on("manifest", refresh);
    addEventListener("theme", refresh);
  }

  /**
   * What the state asks for: "seed,temperature,count,class".
   *
   * @returns {Draw}
   */
  wanted() {
    const [seed = 0, temperature = 1, count = COUNTS[0], category = -1] =
      this.context.state.numbers("drawn");
    const { mixture } = this.context.store.manifest;
    return {
      seed: Math.max(0, Math.floor(seed)) % MAX_SEED,
      temperature: Math.min(MAX_TEMPERATURE, Math.max(0, temperature)),
      count: COUNTS.includes(count) ? count : COUNTS[0],
      category: mixture?.classes.includes(category) ? category : -1,
    };
  }

  /**
   * @param {Partial<Draw>} changes
   * @param {boolean} [isStep] whether the back button returns to what was before
   */
  change(changes, isStep = true) {
    const { seed, temperature, count, category } = { ...this.wanted(), ...changes };
    const drawn = [seed, Number(temperature.toFixed(3)), count, category].join(",");
    this.context.state.set({ drawn }, { isStep });
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const { manifest } = this.context.store;
    this.tools.hidden = !manifest.mixture;
    if (!manifest.mixture) {
      this.note.textContent = manifest.pending.includes("mixture") ? PREPARING : MISSING;
      this.list.replaceChildren();
      return;
    }
    const draw = this.wanted();
    this.showChoices(draw);
    const mixture = /** @type {Mixture} */ (await readMixture(this.context.store));
    const codes = drawCodes(mixture, draw);
    const samples = await this.decoding.all(codes);
    const size = manifest.code_size;
    const each = samples.map((_, i) => codes.slice(i * size, (i + 1) * size));
    const near = await this.findNearest(each);
    if (isLatest()) {
      this.show(each, samples, near);
      await this.mark(each, isLatest);
    }
  }

  /** @param {Draw} draw */
  showChoices({ seed, temperature, count, category }) {
    const { mixture } = this.context.store.manifest;
    const classes = mixture ? drawableClasses(mixture) : [];
    const names = classes.map((one) => [String(one), mixture?.names[one] ?? ""]);
    fillMenu(this.category, [["-1", "all classes"], ...names], String(category));
    this.category.hidden = classes.length === 0;
    fillMenu(this.count, COUNTS.map((one) => [String(one), `${one} samples`]), String(count));
    this.seed.value = String(seed);
    this.temperature.set(temperature);
  }

  /**
   * Find the training sample that is nearest to each code, or any sample if the page shows no
   * training samples.
   *
   * @param {Float32Array[]} codes
   * @returns {Promise<{row: number, distance: number}[]>}
   */
  async findNearest(codes) {
    const category = await this.trainingCategory();
    this.isOfTraining = category >= 0;
    const found = codes.map((code) =>
      findSimilar(this.context, code, 1, { column: "split", category }),
    );
    const near = await Promise.all(found);
    return near.map(({ rows, distances }) => ({ row: rows[0], distance: distances[0] }));
  }

  /** Return the category of training samples, or -1 if the page shows no training samples. */
  async trainingCategory() {
    const { store } = this.context;
    const column = store.hasColumn("split") ? await store.column("split") : null;
    const category = column?.kind === "category" ? column.names.indexOf("training") : -1;
    return column?.values.includes(category) ? category : -1;
  }

  /**
   * @param {Float32Array[]} codes
   * @param {Sample[]} samples
   * @param {{row: number, distance: number}[]} near
   */
  show(codes, samples, near) {
    const { quantiles } = this.context.store.manifest.code_statistics.spacing;
    const limit = quantiles[Math.round(NEAR * (quantiles.length - 1))];
    const copies = near.filter(({ distance }) => distance <= limit).length;
    const of = this.isOfTraining ? "training sample" : "sample";
    this.note.textContent =
      `${formatNumber(copies)} of ${formatNumber(near.length)} are as near to a ${of} as the ` +
      `nearest ${formatNumber(100 * NEAR)}% of the samples are to another.`;
    const items = codes.map((code, i) => this.makeItem(i, code, samples[i], near[i], limit));
    this.list.replaceChildren(...items);
  }

  /**
   * @param {number} number
   * @param {Float32Array} code
   * @param {Sample} sample
   * @param {{row: number, distance: number}} near
   * @param {number} limit
   */
  makeItem(number, code, sample, { row, distance }, limit) {
    const { store, state } = this.context;
    const text = Array.from(code, (value) => Number(value.toPrecision(DIGITS))).join(",");
    const title = `Generated ${number + 1}`;
    const picture = makePicture(store.manifest.sample, title);
    drawSample(picture, sample, store.manifest.sample);
    const made = make(
      "button",
      {
        class: "picture-button",
        "aria-label": `${title}: show it above`,
        title: "Show it above, where sliders move it",
        click: () => state.set({ code: text }),
      },
      [picture],
    );
    const kind = this.isOfTraining ? "Nearest training sample" : "Nearest sample";
    const nearest = make(
      "button",
      {
        class: "picture-button near",
        "aria-label": `${kind} of ${title.toLowerCase()}`,
        title: `${kind}, at a distance of ${formatNumber(distance)}`,
        click: () => state.set({ sample: String(row), code: "", place: "" }),
      },
      [store.thumbnail(row, kind)],
    );
    store.names([row]).then(([name]) => {
      nearest.title = `${kind}: ${isolate(name)}, at a distance of ${formatNumber(distance)}`;
    }, () => undefined);
    const caption = make("span", { text: formatNumber(distance), title: "distance of the codes" });
    return make("li", { class: distance <= limit ? "copy" : "" }, [made, nearest, caption]);
  }

  /**
   * @param {Float32Array[]} codes
   * @param {() => boolean} isLatest
   */
  async mark(codes, isLatest) {
    const { map, place } = this.context;
    const points = await Promise.all(codes.map((code) => place.of(code))).catch(() => []);
    if (isLatest()) {
      map.setMarks("generate", { points }); // a map may have no place for them
    }
  }
}
