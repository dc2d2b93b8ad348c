/**
 * How far to trust a decoded picture: how near its code is to real ones, and whether the model
 * finds the same code in the picture again.
 */

/** @import { CodeStatistics, Manifest } from "./types.js" */

import { formatNumber, make } from "./dom.js";

/** Beyond its largest real value, a meter shows up to this many times that value. */
const BEYOND = 3;

/** The part of a meter, in percent, that real samples take up. */
const REAL = 70;

/** Among real codes, this share is as near as "like real samples" asks for. */
const NEAR = 90;

/** Of the largest real drift, up to which a picture counts as between samples. */
const DRIFT_LIMIT = 2;

const PENDING = "…";

const DISTANCE = {
  name: "Distance",
  meaning: "Distance from this code to the nearest code of a sample",
};
const DRIFT = {
  name: "Drift",
  meaning: "Distance from this code to the code that the encoder finds in the decoded picture",
};

/** @typedef {"like" | "between" | "far"} Verdict */

/** @type {Record<Verdict, string>} */
const WORDS = {
  like: "Like real samples",
  between: "Between samples",
  far: "Far from all samples: the decoder invents",
};

const ORDER = /** @type {Verdict[]} */ (["like", "between", "far"]);

/**
 * Return how many percent of real values are smaller, from eleven quantiles.
 *
 * @param {number} value
 * @param {number[]} quantiles from the smallest to the largest real value
 */
function rank(value, quantiles) {
  const last = quantiles.length - 1;
  const above = quantiles.findIndex((quantile) => quantile >= value);
  if (above <= 0) {
    return above < 0 ? 100 : 0;
  }
  const [low, high] = [quantiles[above - 1], quantiles[above]];
  return (100 * (above - 1 + (value - low) / (high - low || 1))) / last;
}

/**
 * Return what the two numbers say together: the worse of both.
 *
 * @param {CodeStatistics} statistics
 * @param {number} distance to the nearest real code
 * @param {number | null} drift between the code and that of the picture; null where unknown
 * @returns {Verdict}
 */
function judge({ spacing, drift: real }, distance, drift) {
  const verdicts = [judgeDistance(distance, spacing.quantiles)];
  if (drift !== null && real) {
    verdicts.push(judgeDrift(drift, real.quantiles));
  }
  return ORDER[Math.max(...verdicts.map((verdict) => ORDER.indexOf(verdict)))];
}

/**
 * @param {number} distance
 * @param {number[]} quantiles
 * @returns {Verdict}
 */
function judgeDistance(distance, quantiles) {
  if (distance === 0 || rank(distance, quantiles) <= NEAR) {
    return "like";
  }
  return distance <= quantiles[quantiles.length - 1] ? "between" : "far";
}

/**
 * @param {number} drift
 * @param {number[]} quantiles
 * @returns {Verdict}
 */
function judgeDrift(drift, quantiles) {
  const largest = quantiles[quantiles.length - 1];
  if (drift <= largest) {
    return "like";
  }
  return drift <= DRIFT_LIMIT * largest ? "between" : "far";
}

export class Gauge {
  constructor() {
    this.verdict = make("p", { class: "verdict", "aria-live": "polite", text: PENDING });
    const limit = REAL + ((100 - REAL) * (DRIFT_LIMIT - 1)) / (BEYOND - 1);
    this.distance = new Meter(DISTANCE, (REAL * NEAR) / 100, REAL);
    this.drift = new Meter(DRIFT, REAL, limit);
    const meters = make("div", { class: "meters" }, [this.distance.element, this.drift.element]);
    /** Holds what may be next to the verdict. */
    this.head = make("div", { class: "gauge-head" }, [this.verdict]);
    const group = { class: "gauge", role: "group", "aria-label": "How far to trust it" };
    this.element = make("div", group, [this.head, meters]);
  }

  /**
   * @param {Manifest} manifest
   * @param {number} distance
   * @param {number | null | undefined} drift undefined: not yet known; null: it cannot be known
   */
  show({ code_statistics: statistics, pending }, distance, drift) {
    const verdict = judge(statistics, distance, drift ?? null);
    this.element.dataset.verdict = verdict;
    this.verdict.textContent = WORDS[verdict];
    this.distance.show(distance, statistics.spacing.quantiles);
    this.drift.show(drift, statistics.drift?.quantiles);
    if (pending.includes("drift")) {
      this.drift.wait();
    }
  }
}

class Meter {
  /**
   * @param {{name: string, meaning: string}} what
   * @param {number} like percent of the meter's length that "like real samples" takes up
   * @param {number} between where "between samples" ends
   */
  constructor({ name, meaning }, like, between) {
    this.number = make("span", { class: "meter-number" });
    this.needle = make("span", { class: "meter-needle" });
    this.words = make("span", { class: "meter-words" });
    const range = { "aria-valuemin": "0", "aria-valuemax": "100" };
    const meter = { role: "meter", class: "meter", "aria-label": meaning, ...range };
    this.bar = make("div", meter, [this.needle]);
    this.bar.style.setProperty("--like", `${like}%`);
    this.bar.style.setProperty("--between", `${between}%`);
    const label = make("span", { class: "meter-label" }, [`${name} `, this.number]);
    const parts = [label, this.bar, this.words];
    this.element = make("div", { class: "meter-box", title: meaning }, parts);
    this.clear();
  }

  /**
   * @param {number | null | undefined} value
   * @param {number[] | undefined} quantiles
   */
  show(value, quantiles) {
    this.element.hidden = !quantiles || value === null;
    if (value === undefined || value === null || !quantiles) {
      this.clear();
      return;
    }
    const percent = rank(value, quantiles);
    const words = describe(value, quantiles, percent);
    this.needle.hidden = false;
    this.needle.style.left = `${onMeter(value, quantiles, percent)}%`;
    this.number.textContent = formatNumber(value);
    this.words.textContent = words;
    this.bar.setAttribute("aria-valuenow", percent.toFixed(0));
    this.bar.setAttribute("aria-valuetext", `${formatNumber(value)}, ${words}`);
  }

  clear() {
    this.needle.hidden = true;
    this.number.textContent = "";
    this.words.textContent = PENDING;
    this.bar.setAttribute("aria-valuenow", "0");
    this.bar.setAttribute("aria-valuetext", "not known yet");
  }

  /** Say that the server still makes what this is measured by. */
  wait() {
    this.element.hidden = false;
    this.words.textContent = "is being prepared";
    this.bar.setAttribute("aria-valuetext", "is being prepared");
  }
}

/**
 * @param {number} value
 * @param {number[]} quantiles
 * @param {number} percent
 */
function describe(value, quantiles, percent) {
  const largest = quantiles[quantiles.length - 1];
  if (value <= largest) {
    return value === 0 ? "the code of a sample" : `more than ${percent.toFixed(0)}% of samples`;
  }
  const times = value / (largest || 1);
  const factor = times < 1.05 ? "" : `${formatNumber(Number(times.toPrecision(2)))} × `;
  return `${factor}the largest of samples`;
}

/**
 * Return where a value is on a meter, in percent of its length.
 *
 * @param {number} value
 * @param {number[]} quantiles
 * @param {number} percent
 */
function onMeter(value, quantiles, percent) {
  const largest = quantiles[quantiles.length - 1] || 1;
  if (value <= largest) {
    return (REAL * percent) / 100;
  }
  const share = Math.min(1, (value / largest - 1) / (BEYOND - 1));
  return REAL + (100 - REAL) * share;
}
