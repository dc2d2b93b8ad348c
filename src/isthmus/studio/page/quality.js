/** How far to trust the map: its quality, next to that of PCA of the raw pixels. */

/** @import { Context, MapEntry, Quality } from "./types.js" */

import { formatNumber, make } from "./dom.js";

/**
 * A number that measures a map.
 *
 * @typedef {Object} Measure
 * @property {string} title
 * @property {string} short
 * @property {string} meaning
 * @property {(quality: Quality) => number | null | undefined} value from 0 to 1
 * @property {boolean} isShare whether it is read as a percentage
 */

/** @type {Measure[]} */
const MEASURES = [
  {
    title: "Trustworthiness",
    short: "Trust",
    meaning:
      "Whether points next to each other on the map are neighbors among the codes too; 1 is best.",
    value: (quality) => quality.trustworthiness,
    isShare: false,
  },
  {
    title: "Continuity",
    short: "Continuity",
    meaning: "Whether neighbors among the codes stay next to each other on the map; 1 is best.",
    value: (quality) => quality.continuity,
    isShare: false,
  },
  {
    title: "10-NN accuracy",
    short: "10-NN",
    meaning: "How often the ten nearest points on the map vote for a point's own class.",
    value: (quality) => quality.knn_10,
    isShare: true,
  },
  {
    title: "1-NN accuracy",
    short: "1-NN",
    meaning: "How often the nearest point on the map has a point's own class.",
    value: (quality) => quality.knn_1,
    isShare: true,
  },
];

/** Measures that are seen without opening the table. */
const ALWAYS = 3;

/**
 * @param {Context} context
 * @returns {HTMLElement}
 */
export function makeQuality({ store, state }) {
  const summary = make("summary");
  const content = make("div", { class: "map-card-content" });
  const element = make(
    "details",
    { class: "map-quality map-card", "aria-label": "Quality of the map" },
    [summary, content],
  );
  const update = () => {
    const entry = store.map(state.get("map")) ?? store.manifest.maps[0];
    element.hidden = !entry;
    if (entry) {
      const { title, quality, decode } = entry;
      const isMeasured = quality !== null;
      const isPending = store.manifest.pending.includes("quality");
      const text = isPending ? "is being measured …" : "was not measured";
      const waiting = make("span", { class: "quiet", text });
      summary.replaceChildren(
        make("span", { class: "map-measure map-method", text: title }),
        ...(isMeasured ? summarize(quality, decode) : [waiting]),
      );
      content.replaceChildren(...(isMeasured ? explain(title, quality, decode) : []));
    }
  };
  state.on(["map"], update);
  store.on("manifest", update);
  update();
  return element;
}

/**
 * @param {Quality} quality
 * @param {MapEntry["decode"]} decode
 * @returns {HTMLElement[]}
 */
function summarize(quality, decode) {
  const parts = measured(quality)
    .slice(0, ALWAYS)
    .map((measure) =>
      make("span", { class: "map-measure", title: `${measure.title}: ${measure.meaning}` }, [
        `${measure.short} `,
        make("b", { text: format(measure, quality) }),
        ...compare(measure, quality),
      ]),
    );
  if (decode.kind === "linear") {
    const share = decode.explained.reduce((a, b) => a + b, 0);
    const meaning = "How much of the codes' variance the two axes hold.";
    parts.push(
      make("span", { class: "map-measure", title: meaning }, [
        "Variance ",
        make("b", { text: percent(share) }),
      ]),
    );
  }
  return parts;
}

/**
 * @param {Measure} measure
 * @param {Quality} quality
 * @returns {HTMLElement[]} the same of PCA of the raw pixels
 */
function compare(measure, { raw_pca: raw }) {
  const title = "PCA of the raw pixels, which needs no model";
  return raw && hasValue(measure, raw)
    ? [make("span", { class: "quiet", title, text: ` (${format(measure, raw)})` })]
    : [];
}

/**
 * @param {string} title
 * @param {Quality} quality
 * @param {MapEntry["decode"]} decode
 * @returns {HTMLElement[]}
 */
function explain(title, quality, decode) {
  const raw = quality.raw_pca;
  const heads = ["", title, ...(raw ? ["PCA of raw pixels"] : [])];
  const rows = measured(quality).map((measure) =>
    make("tr", {}, [
      make("th", { scope: "row" }, [
        measure.title,
        make("span", { class: "measure-meaning", text: measure.meaning }),
      ]),
      make("td", { text: format(measure, quality) }),
      ...(raw ? [make("td", { text: hasValue(measure, raw) ? format(measure, raw) : "–" })] : []),
    ]),
  );
  const head = make(
    "tr",
    {},
    heads.map((text) => make("th", { scope: "col", text })),
  );
  return [
    make("table", {}, [make("thead", {}, [head]), make("tbody", {}, rows)]),
    ...notes(decode, quality),
  ];
}

/**
 * @param {MapEntry["decode"]} decode
 * @param {Quality} quality
 */
function notes(decode, quality) {
  const texts = [
    `Measured on ${formatNumber(quality.measured)} samples with ${quality.neighbors} neighbors. ` +
      "In brackets: PCA of the raw pixels, which anybody gets without a model.",
  ];
  if (decode.kind === "linear" && decode.explained.length === 2) {
    const [first, second] = decode.explained.map(percent);
    texts.push(`The two axes hold ${first} and ${second} of the codes' variance.`);
  }
  return texts.map((text) => make("p", { class: "quiet", text }));
}

/** @param {Quality} quality */
function measured(quality) {
  return MEASURES.filter((measure) => hasValue(measure, quality));
}

/**
 * @param {Measure} measure
 * @param {Quality} quality
 */
function hasValue(measure, quality) {
  return Number.isFinite(measure.value(quality) ?? NaN);
}

/**
 * @param {Measure} measure
 * @param {Quality} quality
 */
function format(measure, quality) {
  const value = /** @type {number} */ (measure.value(quality));
  return measure.isShare ? percent(value) : value.toFixed(2);
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(0)}%`;
}
