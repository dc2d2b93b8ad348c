/** The data of the page: columns, maps, codes, names and pictures, each read when first needed. */

/** @import { Column, ColumnEntry, History, Manifest, MapEntry, Sample } from "./types.js" */

import { readColumn, takeRows } from "./columns.js";
import { drawingContext, makeCanvas } from "./dom.js";
import { ask, askBy, readData, readJson } from "./files.js";
import { Latest } from "./latest.js";

/** Of the manifest; isthmus.studio.content raises it when an older page could misread that. */
const FORMAT = 1;

/** Memory for sheets of thumbnails, which are kept as pixels. */
const SHEET_BYTES = 2 ** 26;

/**
 * What the store tells about: new content, a sheet that arrived, an epoch, a job of the server,
 * and whether the run is training.
 *
 * @typedef {"manifest" | "sheet" | "history" | "job" | "training"} Topic
 */

/** @typedef {[number, number, number, number]} Box left, top, width and height, in pixels */

export class Store {
  /**
   * @param {Manifest} manifest
   */
  constructor(manifest) {
    this.manifest = manifest;
    this.refreshing = new Latest();
    /** @type {Promise<void> | null} */
    this.renewing = null;
    /** @type {Map<string, Promise<any>>} */
    this.files = new Map();
    /** The last is used last; null: on its way. @type {Map<string, ImageBitmap | null>} */
    this.sheets = new Map();
    /** @type {{topic: Topic, listener: (detail: any) => void}[]} */
    this.listeners = [];
  }

  /**
   * Open what the page was made with.
   *
   * @returns {Promise<Store>}
   */
  static async open() {
    const store = new Store(await readManifest());
    if (store.manifest.live) {
      askBy(store);
    }
    return store;
  }

  /** Read the manifest again, and forget what was of another. */
  async refresh() {
    const isNewest = this.refreshing.begin();
    const manifest = await readManifest();
    if (!isNewest()) {
      return; // a later answer has come, or will
    }
    this.files = new Map(); // what is still on its way arrives in the one before
    if (manifest.fingerprint !== this.manifest.fingerprint) {
      this.forgetSheets();
    }
    this.manifest = manifest;
    this.tell("manifest", manifest);
  }

  /** Read the manifest again, once for all files that have just turned out to be of another. */
  renew() {
    this.renewing ??= this.refresh().finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  /**
   * @param {Topic} topic
   * @param {(detail: any) => void} listener
   */
  on(topic, listener) {
    this.listeners.push({ topic, listener });
  }

  /**
   * @param {Topic} topic
   * @param {any} detail
   */
  tell(topic, detail) {
    for (const entry of this.listeners) {
      if (entry.topic === topic) {
        entry.listener(detail);
      }
    }
  }

  // -- columns, maps and codes -----------------------------------------------------------------

  /**
   * @param {string} name
   * @returns {Promise<Column>}
   */
  async column(name) {
    const entry = this.entry(name);
    const values = /** @type {any} */ (await this.numbers(entry.file));
    if (entry.kind === "category") {
      return { kind: "category", name, title: entry.title, values, names: entry.names ?? [] };
    }
    const { low = 0, high = 1 } = entry;
    return { kind: "number", name, title: entry.title, values, low, high };
  }

  /**
   * @param {string} name
   * @returns {boolean}
   */
  hasColumn(name) {
    return this.manifest.columns.some((entry) => entry.name === name);
  }

  /**
   * @param {string} name
   * @returns {ColumnEntry}
   */
  entry(name) {
    const entry = this.manifest.columns.find((one) => one.name === name);
    if (!entry) {
      throw new Error(`There is no column ${name}.`);
    }
    return entry;
  }

  /**
   * @param {string} method
   * @returns {MapEntry | undefined}
   */
  map(method) {
    return this.manifest.maps.find((entry) => entry.method === method);
  }

  /**
   * Return the points of a map, (x, y) after (x, y).
   *
   * @param {MapEntry} entry
   * @returns {Promise<Float32Array>}
   */
  positions(entry) {
    return this.numbers(entry.file);
  }

  /**
   * Return the codes of samples, code after code.
   *
   * @param {ArrayLike<number>} rows
   * @returns {Promise<Float32Array>}
   */
  async codesOf(rows) {
    const { codes, code_size: size } = this.manifest;
    if (!codes.in_page) {
      const answer = await ask(`codes?rows=${Array.from(rows).join(",")}`);
      return /** @type {Float32Array} */ (readColumn(await answer.arrayBuffer()));
    }
    return takeRows(await this.numbers(codes.file), rows, size);
  }

  /**
   * Return the mean code of each class, code after code, or null where there are no classes.
   *
   * @returns {Promise<Float32Array | null>}
   */
  async classCodes() {
    const entry = this.manifest.class_codes;
    return entry ? this.numbers(entry.file) : null;
  }

  /**
   * Read the numbers of a file once.
   *
   * @param {string} path
   * @returns {Promise<any>}
   */
  numbers(path) {
    return this.once(path, async () => readColumn(await readData(path)));
  }

  /**
   * @param {ArrayLike<number>} rows
   * @returns {Promise<string[]>}
   */
  async names(rows) {
    const { pattern, per_file: count } = this.manifest.names;
    const found = Array.from(rows, async (row) => {
      const path = pattern.replace("{n}", String(Math.floor(row / count)));
      return (await this.once(path, () => readJson(path)))[row % count];
    });
    return Promise.all(found);
  }

  /** @returns {Promise<History>} */
  history() {
    return readJson(this.manifest.history ?? "history.json");
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} read
   * @returns {Promise<T>}
   */
  once(key, read) {
    const { files } = this;
    const known = files.get(key);
    if (known) {
      return known;
    }
    const reading = read();
    files.set(key, reading);
    reading.catch(() => files.delete(key)); // so that a later try reads again
    return reading;
  }

  // -- pictures --------------------------------------------------------------------------------

  /**
   * Draw a sample's thumbnail, if its sheet is here; otherwise fetch the sheet and tell "sheet".
   *
   * @param {CanvasRenderingContext2D} context
   * @param {number} row
   * @param {Box} box
   * @param {string} [pattern] of the sheets: thumbnails, or masks
   * @returns {boolean} whether it was drawn
   */
  drawThumbnail(context, row, box, pattern = this.manifest.thumbs.pattern) {
    const { width, height } = this.manifest.thumbs;
    const [, left, top] = this.cell(row);
    const sheet = this.sheet(this.sheetOf(row, pattern));
    if (sheet) {
      context.drawImage(sheet, left, top, width, height, ...box);
    }
    return Boolean(sheet);
  }

  /**
   * Make a canvas with a sample's thumbnail, drawn as soon as it is here.
   *
   * @param {number} row
   * @param {string} label for screen readers
   * @returns {HTMLCanvasElement}
   */
  thumbnail(row, label) {
    const { width, height } = this.manifest.thumbs;
    const named = { class: "thumbnail", role: "img", "aria-label": label };
    const canvas = makeCanvas(width, height, named);
    this.loadSheet(this.sheetOf(row)).then(
      () => this.drawThumbnail(drawingContext(canvas), row, [0, 0, width, height]),
      () => canvas.classList.add("missing"),
    );
    return canvas;
  }

  /**
   * Return a sample's own numbers, or, if they are not to be had, those of its thumbnail.
   *
   * @param {number} row
   * @returns {Promise<{sample: Sample, isExact: boolean}>}
   */
  async sample(row) {
    const { sample: kind, samples, signals, thumbs } = this.manifest;
    const size = kind.shape.reduce((a, b) => a * b);
    if (signals) {
      const all = await this.numbers(signals.file);
      return { sample: all.slice(row * size, (row + 1) * size), isExact: true };
    }
    if (samples && !thumbs.exact) {
      const answer = await ask(samples.pattern.replace("{i}", String(row)));
      const bitmap = await createImageBitmap(await answer.blob());
      const whole = /** @type {Box} */ ([0, 0, bitmap.width, bitmap.height]);
      return { sample: readPixels(bitmap, whole, kind.shape), isExact: true };
    }
    const [, left, top] = this.cell(row);
    const sheet = await this.loadSheet(this.sheetOf(row));
    const sample = readPixels(sheet, [left, top, thumbs.width, thumbs.height], kind.shape);
    return { sample, isExact: thumbs.exact };
  }

  /**
   * Return the sheet of a sample's thumbnail, and the left and top edge of its cell.
   *
   * @param {number} row
   */
  cell(row) {
    const { per_sheet: count, columns, width, height } = this.manifest.thumbs;
    const place = row % count;
    const across = place % columns;
    return [Math.floor(row / count), across * width, ((place - across) / columns) * height];
  }

  /**
   * Return the path of the sheet with a sample's thumbnail.
   *
   * @param {number} row
   * @param {string} [pattern] of the sheets: thumbnails, or masks
   */
  sheetOf(row, pattern = this.manifest.thumbs.pattern) {
    return pattern.replace("{n}", String(this.cell(row)[0]));
  }

  /**
   * Return a sheet that is here, or fetch it and return null.
   *
   * @param {string} path
   * @returns {ImageBitmap | null}
   */
  sheet(path) {
    const sheet = this.sheets.get(path);
    if (sheet) {
      this.sheets.delete(path); // and put at the end: used last
      this.sheets.set(path, sheet);
      return sheet;
    }
    if (sheet === undefined) {
      this.loadSheet(path).catch(() => undefined); // what is missing stays empty
    }
    return null;
  }

  /**
   * @param {string} path
   * @returns {Promise<ImageBitmap>}
   */
  async loadSheet(path) {
    const { files, sheets } = this;
    const known = sheets.get(path);
    if (known) {
      return known;
    }
    sheets.set(path, null);
    const sheet = await this.once(path, async () =>
      createImageBitmap(new Blob([await readData(path)]), { colorSpaceConversion: "none" }),
    );
    files.delete(path); // `sheets` keeps it, up to a limit
    sheets.set(path, sheet);
    this.dropSheets();
    this.tell("sheet", path);
    return sheet;
  }

  /** Drop the sheets that were used longest ago, beyond the limit. */
  dropSheets() {
    let bytes = 0;
    for (const [path, sheet] of [...this.sheets].reverse()) {
      bytes += sheet ? 4 * sheet.width * sheet.height : 0;
      if (bytes > SHEET_BYTES && sheet) {
        this.sheets.delete(path);
        sheet.close();
      }
    }
  }

  forgetSheets() {
    for (const sheet of this.sheets.values()) {
      sheet?.close();
    }
    this.sheets = new Map(); // as above
  }
}

/** @returns {Promise<Manifest>} */
async function readManifest() {
  const manifest = await readJson("manifest.json");
  if (manifest.format !== FORMAT) {
    throw new Error("These data are of another version of isthmus; export the studio again.");
  }
  return manifest;
}

/**
 * Return part of a bitmap as the numbers of a sample (H, W, C), resized to its shape.
 *
 * @param {ImageBitmap} bitmap
 * @param {Box} box
 * @param {number[]} shape
 * @returns {Uint8Array}
 */
function readPixels(bitmap, box, [height, width, channels]) {
  const context = drawingContext(makeCanvas(width, height));
  context.drawImage(bitmap, ...box, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const sample = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < channels; channel++) {
      sample[channels * i + channel] = data[4 * i + channel];
    }
  }
  return sample;
}
