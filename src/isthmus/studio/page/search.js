/** Similar samples of a sample, or of a picture that is dropped on the page, pasted or chosen. */

/** @import { Classes } from "./chosen.js" */
/** @import { Context, Panel } from "./types.js" */
/** @import { Picture } from "./encode.js" */

import { chosenRow, classColor, findClasses, showSample } from "./chosen.js";
import { Decoding, hasDecoder } from "./decoding.js";
import { fillMenu, formatNumber, make } from "./dom.js";
import { listenForPictures, makeFileButton } from "./drop.js";
import { encodePicture, whyNoPictures } from "./encode.js";
import { Grid } from "./grid.js";
import { makeLazy } from "./lazy.js";
import { drawSample, makePicture } from "./picture.js";
import { findSimilar } from "./similar.js";

const COUNTS = [6, 12, 24, 48, 96];
const COUNT = 12;

/**
 * @param {Context} context
 * @returns {Panel | null} null where it has nothing to show
 */
export function makeSearch(context) {
  return new Search(context).panel;
}

class Search {
  /** @param {Context} context */
  constructor(context) {
    const { state, store, say } = context;
    this.context = context;
    this.decoding = new Decoding(context);
    /** @type {Picture | null} the last one that was dropped */
    this.picture = null;
    this.isOfPicture = false;
    /** @type {number[]} */
    this.distances = [];
    /** @type {Classes | null} */
    this.classes = null;
    this.query = make("div", { class: "chosen query" });
    this.again = make("button", { hidden: true, click: () => this.ask(true) });
    this.filter = make("select", {
      "aria-label": "Search only",
      change: () => state.set({ filter: this.filter.value }),
    });
    this.count = make("select", {
      "aria-label": "Number of neighbors",
      change: () => state.set({ k: this.count.value }),
    });
    this.note = make("p", { class: "hint", "aria-live": "polite" });
    this.grid = this.makeGrid();
    const { panel, refresh } = makeLazy({
      name: "search",
      title: "Search",
      element: this.arrange(),
      update: (isLatest) => this.update(isLatest),
      leave: () => this.clearMarks(),
      say,
    });
    this.panel = panel;
    this.refresh = refresh;
    state.on(["sample"], () => this.ask(false));
    state.on(["filter", "k", "map"], refresh);
    store.on("manifest", refresh);
    addEventListener("theme", refresh);
    listenForPictures((file) => this.take(file), say);
  }

  makeGrid() {
    const { state, store, map } = this.context;
    return new Grid(store, {
      label: "Similar samples, the most similar first",
      choose: (row) => state.set({ sample: String(row) }),
      hover: (row) => map.setMarks("hovered", row < 0 ? null : { rows: [row] }),
      color: (row) => classColor(this.classes, row),
      caption: (row, position) => `${position + 1} · ${formatDistance(this.distances[position])}`,
    });
  }

  arrange() {
    const file = makeFileButton((picture) => this.take(picture));
    const pictures = make("div", { class: "row" }, [file, this.again]);
    pictures.hidden = whyNoPictures(this.context) !== "";
    const tools = make("div", { class: "row" }, [this.count, this.filter]);
    return make("div", { class: "search" }, [
      this.query,
      pictures,
      tools,
      this.note,
      this.grid.element,
    ]);
  }

  /**
   * Search for the picture that was dropped last, or for the chosen sample.
   *
   * @param {boolean} isOfPicture
   */
  ask(isOfPicture) {
    this.isOfPicture = isOfPicture && this.picture !== null;
    this.refresh();
  }

  /** @param {File} file */
  async take(file) {
    const { state, say } = this.context;
    const reason = whyNoPictures(this.context);
    if (reason) {
      say(reason);
      return;
    }
    try {
      say(`Reading ${file.name}…`);
      this.picture = await encodePicture(this.context, file);
      say("");
      this.isOfPicture = true;
      this.refresh();
      state.set({ panel: "search" });
    } catch (error) {
      say(/** @type {Error} */ (error).message);
    }
  }

  /** @param {() => boolean} isLatest */
  async update(isLatest) {
    const { store } = this.context;
    this.classes = await findClasses(this.context);
    this.listChoices();
    this.again.hidden = this.picture === null || this.isOfPicture;
    this.again.textContent = `Back to ${this.picture?.name}`;
    const row = this.isOfPicture ? -1 : chosenRow(this.context);
    if (this.isOfPicture && this.picture) {
      await this.searchPicture(this.picture, isLatest);
    } else if (row >= 0) {
      const code = await store.codesOf([row]);
      showSample(this.context, this.query, row, isLatest);
      await this.search(code, row, isLatest);
    } else {
      this.showNothing();
    }
  }

  listChoices() {
    const { state } = this.context;
    const k = this.k();
    const counts = [...new Set([...COUNTS, k])].sort((a, b) => a - b);
    fillMenu(this.count, counts.map((count) => [String(count), `${count} nearest`]), String(k));
    const names = this.classes?.column.names ?? [];
    this.filter.hidden = names.length === 0;
    const classes = names.map((name, i) => [String(i), shorten(name)]);
    fillMenu(this.filter, [["", "all classes"], ...classes], state.get("filter"));
  }

  k() {
    const wanted = Math.round(Number(this.context.state.get("k")));
    return wanted >= 1 && wanted <= 1000 ? wanted : COUNT;
  }

  /** Return the class that is searched, or -1 for all. */
  category() {
    const [category = -1] = this.context.state.numbers("filter");
    const names = this.classes?.column.names ?? [];
    return Number.isInteger(category) && category < names.length ? category : -1;
  }

  showNothing() {
    const { sample } = this.context.store.manifest;
    const pictures = whyNoPictures(this.context) || "Or drop, paste or choose a picture.";
    const kind = sample.kind === "image" ? "sample" : "signal";
    this.note.textContent = `Click a ${kind} on the map to find similar ones. ${pictures}`;
    this.query.replaceChildren();
    this.grid.show([]);
    this.clearMarks();
  }

  /**
   * @param {Picture} picture
   * @param {() => boolean} isLatest
   */
  async searchPicture(picture, isLatest) {
    await this.search(picture.code, -1, isLatest);
    if (isLatest()) {
      await this.showPicture(picture, isLatest);
    }
  }

  /**
   * Find neighbors, and show them here and on the map.
   *
   * @param {Float32Array} code
   * @param {number} row of a sample, or -1 of a picture
   * @param {() => boolean} isLatest
   */
  async search(code, row, isLatest) {
    const { store, map, place } = this.context;
    const category = this.category();
    const { rows, distances } = await findSimilar(this.context, code, this.k(), {
      category,
      except: row,
    });
    if (!isLatest()) {
      return;
    }
    this.distances = distances;
    this.grid.show(rows);
    this.grid.mark(chosenRow(this.context));
    this.note.textContent = describeResult(rows.length, store.manifest.code_size);
    map.setMarks("search", { rows, numbered: true });
    if (row < 0) {
      const point = await place.of(code).catch(() => null); // a map may have no place for it
      if (point && isLatest()) {
        map.setMarks("search", { rows, numbered: true, points: [point] });
        map.reveal({ x: point[0], y: point[1] });
      }
    }
  }

  /**
   * Show what the model sees of a picture, and what it makes of that.
   *
   * @param {Picture} picture
   * @param {() => boolean} isLatest
   */
  async showPicture({ name, sample, code }, isLatest) {
    const { manifest } = this.context.store;
    const { sample: kind } = manifest;
    const seen = makePicture(kind, `${name}, as the model sees it`);
    drawSample(seen, sample, kind);
    const figures = [figure(seen, "what the model sees")];
    const title = make("p", { class: "name", text: name, dir: "auto" });
    const pair = make("div", { class: "row pair" }, figures);
    this.query.replaceChildren(make("div", { class: "wide" }, [title, pair]));
    if (hasDecoder(manifest)) {
      const made = makePicture(kind, `${name}, reconstructed`);
      const [decoded] = await this.decoding.all(code);
      if (isLatest()) {
        drawSample(made, decoded, kind);
        pair.append(figure(made, "reconstruction"));
      }
    }
  }

  clearMarks() {
    this.context.map.setMarks("search", null);
    this.context.map.setMarks("hovered", null);
  }
}

/**
 * @param {HTMLCanvasElement} picture
 * @param {string} caption
 */
function figure(picture, caption) {
  picture.classList.add("large");
  return make("figure", {}, [picture, make("figcaption", { text: caption })]);
}

/**
 * @param {number} count
 * @param {number} size of a code
 */
function describeResult(count, size) {
  if (count === 0) {
    return "No sample was found; choose another class.";
  }
  return `Distances are Euclidean, between codes of ${formatNumber(size)} numbers.`;
}

/** Format a distance; below what float32 can tell from none, it is 0. */
function formatDistance(/** @type {number} */ distance) {
  const digits = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
  return distance < 1e-5 ? "0" : distance.toLocaleString("en", digits);
}

/** Shorten a name for a list of choices, which is as wide as its longest. */
function shorten(/** @type {string} */ name) {
  return name.length > 40 ? `${name.slice(0, 39)}…` : name;
}
