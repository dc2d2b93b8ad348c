/** The selected samples as a grid of pictures, and what is known of the chosen one. */

/** @import { Classes } from "./chosen.js" */
/** @import { Context, Panel } from "./types.js" */

import { makeBar } from "./bars.js";
import { chosenRow, classColor, findClasses, showChosen } from "./chosen.js";
import { fillMenu, formatNumber, make, saveFile } from "./dom.js";
import { Grid } from "./grid.js";
import { makeLazy } from "./lazy.js";
import { countCategories, sortRows } from "./order.js";

const SHOWN_CLASSES = 12; // until a button shows all
const NAMES_AT_ONCE = 4096;

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeGallery(context) {
  return new Gallery(context).panel;
}

class Gallery {
  /** @param {Context} context */
  constructor(context) {
    const { state, store, selection, say } = context;
    this.context = context;
    /** @type {Int32Array} */
    this.rows = new Int32Array(0);
    /** @type {Classes | null} */
    this.classes = null;
    this.chosen = make("div", { class: "chosen" });
    this.count = make("h2", { class: "count", "aria-live": "polite" });
    this.clear = make("button", { text: "Clear", click: () => state.set({ select: "" }) });
    this.save = make("button", { text: "Save names", click: () => this.saveNames() });
    this.sort = make("select", {
      "aria-label": "Sort by",
      change: () => state.set({ sort: this.sort.value }),
    });
    this.counts = make("div", { class: "counts" });
    this.grid = new Grid(store, {
      label: "Selected samples",
      choose: (row) => state.set({ sample: String(row) }),
      hover: (row) => context.map.setMarks("gallery", row < 0 ? null : { rows: [row] }),
      color: (row) => classColor(this.classes, row),
    });
    const { panel, refresh, isOpen } = makeLazy({
      name: "gallery",
      title: "Selection",
      element: this.arrange(),
      update: (isLatest) => this.update(isLatest),
      leave: () => context.map.setMarks("gallery", null),
      say,
    });
    this.panel = panel;
    selection.on(refresh);
    state.on(["sort"], refresh);
    store.on("manifest", refresh);
    addEventListener("theme", refresh);
    state.on(["sample"], () => isOpen() && this.showChosen());
  }

  arrange() {
    const head = make("div", { class: "row spread" }, [this.count, this.clear]);
    const tools = make("div", { class: "row" }, [this.sort, this.save]);
    return make("div", { class: "gallery" }, [
      this.chosen,
      head,
      tools,
      this.grid.element,
      this.counts,
    ]);
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const { store, state, selection } = this.context;
    this.showChosen();
    const [rows, classes] = await Promise.all([selection.rows(), findClasses(this.context)]);
    const sorted = await this.sorted(rows);
    if (isLatest()) {
      [this.rows, this.classes] = [sorted, classes];
      const isAll = state.get("select") === "";
      const all =
        rows.length === store.manifest.count ? "" : ` of ${formatNumber(store.manifest.count)}`;
      this.count.textContent = `${formatNumber(rows.length)}${all} ${isAll ? "shown" : "selected"}`;
      this.clear.hidden = isAll;
      this.save.disabled = rows.length === 0;
      this.listSorts();
      this.grid.show(sorted);
      this.grid.mark(chosenRow(this.context));
      this.showCounts(SHOWN_CLASSES);
    }
  }

  /**
   * Return rows in the order that the state says: a column's name, with a minus from the largest.
   *
   * @param {Int32Array} rows
   */
  async sorted(rows) {
    const { store, state } = this.context;
    const name = state.get("sort").replace(/^-/, "");
    if (!name || !store.hasColumn(name) || store.entry(name).kind !== "number") {
      return rows;
    }
    const { values } = await store.column(name);
    return sortRows(rows, values, state.get("sort").startsWith("-"));
  }

  listSorts() {
    const { store, state } = this.context;
    const columns = store.manifest.columns.filter(({ kind }) => kind === "number");
    const options = columns.flatMap(({ name, title }) => [
      [`-${name}`, `${title}, largest first`],
      [name, `${title}, smallest first`],
    ]);
    fillMenu(this.sort, [["", "In order"], ...options], state.get("sort"));
    this.sort.hidden = columns.length === 0;
  }

  showChosen() {
    const hint = "Click a sample on the map or below to choose it.";
    this.grid.mark(showChosen(this.context, this.chosen, hint));
  }

  /**
   * Show how many samples each class has, the largest first.
   *
   * @param {number} limit
   */
  showCounts(limit) {
    if (!this.classes) {
      this.counts.replaceChildren();
      return;
    }
    const { column, colors } = this.classes;
    const counts = countCategories(this.rows, column);
    const found = [...counts.keys()].filter((i) => counts[i]).sort((a, b) => counts[b] - counts[a]);
    const most = found.length ? counts[found[0]] : 1;
    const items = found
      .slice(0, limit)
      .map((i) => makeBar(column.names[i], counts[i] / most, formatNumber(counts[i]), colors[i]));
    const rest = found.length - items.length;
    const more = make("button", {
      text: `Show ${formatNumber(rest)} more classes`,
      click: () => this.showCounts(Infinity),
    });
    const title = make("h2", { text: "Classes" });
    const list = make(
      "ul",
      { class: "count-list", tabindex: "0", "aria-label": "Samples of each class" },
      items,
    );
    this.counts.replaceChildren(title, list, ...(rest > 0 ? [more] : []));
  }

  async saveNames() {
    const { store } = this.context;
    const parts = [];
    for (let start = 0; start < this.rows.length; start += NAMES_AT_ONCE) {
      const names = await store.names(this.rows.subarray(start, start + NAMES_AT_ONCE));
      parts.push(names.join("\n"), "\n");
    }
    saveFile(new Blob(parts, { type: "text/plain" }), `${store.manifest.name}-names.txt`);
  }
}
