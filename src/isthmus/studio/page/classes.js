/** Confusion matrix, classes and mistakes of a classifier; masks of a segmenter. */

/** @import { Category } from "./accuracy.js" */
/** @import { Context, Panel } from "./types.js" */

import { countConfusion, countRight, findMistakes, scoreClasses } from "./accuracy.js";
import { formatShare } from "./bars.js";
import { chosenRow, formatValue, isolate } from "./chosen.js";
import { Matrix } from "./confusion.js";
import { fillMenu, formatNumber, make } from "./dom.js";
import { Grid } from "./grid.js";
import { makeLazy } from "./lazy.js";
import { makeMasks } from "./masks.js";
import { sortRows } from "./order.js";

/**
 * @typedef {Object} Columns
 * @property {Category} truth
 * @property {Category} predicted
 * @property {ArrayLike<number> | null} confidence
 */

const SHOWN_CLASSES = 20; // of the table, until a button shows all

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeClasses(context) {
  const { task } = context.store.manifest;
  if (task === "segment") {
    return makeMasks(context);
  }
  return task === "classify" ? new Classes(context).panel : null;
}

class Classes {
  /** @param {Context} context */
  constructor(context) {
    const { state, store, say } = context;
    this.context = context;
    /** @type {Columns | null} */
    this.columns = null;
    this.index = -1; // of the chosen split
    this.split = make("select", {
      "aria-label": "Split",
      change: () => state.set({ split: this.split.value }),
    });
    this.summary = make("p", { class: "accuracy" });
    this.matrix = new Matrix((truth, prediction) => this.choose(truth, prediction));
    this.table = make("div", {});
    this.title = make("h2", {});
    this.mistakes = this.makeGrid();
    this.note = make("p", { class: "hint" });
    this.results = make("div", {}, [
      make("div", { class: "row spread" }, [this.summary, this.split]),
      this.matrix.element,
      this.title,
      this.mistakes.element,
      this.table,
    ]);
    const { panel, refresh, isOpen } = makeLazy({
      name: "classes",
      title: "Classes",
      element: make("div", { class: "classes" }, [this.note, this.results]),
      update: (isLatest) => this.update(isLatest),
      leave: () => context.map.setMarks("classes", null),
      say,
    });
    this.panel = panel;
    state.on(["split"], refresh);
    store.on("manifest", refresh);
    state.on(["select", "sample"], () => isOpen() && this.mark());
  }

  makeGrid() {
    const { state, store, map } = this.context;
    return new Grid(store, {
      label: "Mistakes, the most confident first",
      choose: (row) => state.set({ sample: String(row) }),
      hover: (row) => map.setMarks("classes", row < 0 ? null : { rows: [row] }),
      caption: (row) => this.describeMistake(row),
      enlarge: 1.3,
    });
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const { store } = this.context;
    const hasBoth = store.hasColumn("class") && store.hasColumn("predicted");
    this.results.hidden = !hasBoth;
    this.note.textContent = hasBoth
      ? ""
      : "These samples have no classes to compare predictions with.";
    if (!hasBoth) {
      return;
    }
    const names = [
      "class",
      "predicted",
      ...["split", "confidence"].filter((name) => store.hasColumn(name)),
    ];
    const columns = await Promise.all(names.map((name) => store.column(name)));
    if (isLatest()) {
      const [truth, predicted] = /** @type {Category[]} */ (columns);
      const find = (/** @type {string} */ name) => columns.find((column) => column.name === name);
      this.columns = { truth, predicted, confidence: find("confidence")?.values ?? null };
      this.show(this.listSplits(/** @type {Category | undefined} */ (find("split"))));
    }
  }

  /**
   * Fill the choice of splits, and return whether a sample is in the chosen one.
   *
   * @param {Category | undefined} split
   * @returns {(row: number) => boolean}
   */
  listSplits(split) {
    this.split.hidden = !split;
    this.index = -1;
    if (!split) {
      return () => true;
    }
    const known = split.names.filter((_, i) => split.values.includes(i));
    const usual = known.includes("test") ? "test" : "all";
    const wanted = this.context.state.get("split");
    const chosen = known.includes(wanted) || wanted === "all" ? wanted : usual;
    const own = known.map((name) => [name, name]);
    fillMenu(this.split, [["all", "all splits"], ...own], chosen);
    this.index = split.names.indexOf(this.split.value);
    return this.index < 0 ? () => true : (row) => split.values[row] === this.index;
  }

  /** @param {(row: number) => boolean} isCounted */
  show(isCounted) {
    const { truth, predicted, confidence } = /** @type {Columns} */ (this.columns);
    const confusion = countConfusion(truth, predicted, isCounted);
    const { right, count } = countRight(confusion);
    const share = count ? `${formatShare(right / count)} right` : "No samples";
    this.summary.textContent = `${share} (${formatNumber(right)} of ${formatNumber(count)})`;
    this.matrix.show(confusion);
    this.showTable(scoreClasses(confusion), SHOWN_CLASSES);
    const mistakes = findMistakes(truth, predicted, isCounted);
    this.title.textContent = `${formatNumber(mistakes.length)} mistakes, the most confident first`;
    this.mistakes.show(confidence ? sortRows(mistakes, confidence, true) : mistakes);
    this.mark();
  }

  mark() {
    const [truth = -1, prediction = -1] = readCell(this.context.state.get("select"));
    this.matrix.mark(truth, prediction);
    this.mistakes.mark(chosenRow(this.context));
  }

  /**
   * Select the samples of a cell; a second time, all samples again.
   *
   * @param {number} truth
   * @param {number} prediction
   */
  choose(truth, prediction) {
    const { state } = this.context;
    const split = this.index < 0 ? "" : `,${this.index}`;
    const select = `cell:${truth},${prediction}${split}`;
    state.set({ select: state.get("select") === select ? "" : select });
  }

  /** @param {number} row */
  describeMistake(row) {
    const { truth, predicted, confidence } = /** @type {Columns} */ (this.columns);
    const sure = confidence ? ` ${formatShare(confidence[row])}` : "";
    return `${isolate(formatValue(truth, row))} → ${isolate(formatValue(predicted, row))}${sure}`;
  }

  /**
   * @param {import("./accuracy.js").ClassScore[]} scores
   * @param {number} limit
   */
  showTable(scores, limit) {
    const head = ["class", "samples", "recall", "precision"].map((text) =>
      make("th", { scope: "col", text }),
    );
    const rows = scores.slice(0, limit).map((score) => tableRow(score));
    const table = make("table", { class: "scores" }, [
      make("caption", { text: "Classes, the lowest recall first" }),
      make("thead", {}, [make("tr", {}, head)]),
      make("tbody", {}, rows),
    ]);
    const more = make("button", {
      text: `Show all ${formatNumber(scores.length)} classes`,
      click: () => this.showTable(scores, Infinity),
    });
    this.table.replaceChildren(table, ...(scores.length > limit ? [more] : []));
  }
}

/** Return the true and the predicted class that a selection names, if it is of a cell. */
function readCell(/** @type {string} */ select) {
  return select.startsWith("cell:") ? select.slice(5).split(",").slice(0, 2).map(Number) : [];
}

/** @param {import("./accuracy.js").ClassScore} score */
function tableRow({ name, count, recall, precision }) {
  const share = (/** @type {number} */ value) =>
    Number.isFinite(value) ? formatShare(value) : "–";
  return make("tr", {}, [
    make("th", { scope: "row", text: name, title: name, dir: "auto" }),
    ...[formatNumber(count), share(recall), share(precision)].map((text) => make("td", { text })),
  ]);
}
