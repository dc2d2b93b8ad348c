/**
 * A grid of samples of any number, of which only those that are seen are in the page.
 *
 * It is a list box: arrow keys move within it, Enter chooses.
 */

/** @import { Store } from "./store.js" */

import { isolate } from "./chosen.js";
import { drawingContext, make, makeCanvas, onceAFrame } from "./dom.js";

const GAP = 6;
const CAPTION = 18; // pixels of a line below a picture
const AREA = 64 * 64; // pixels of a picture on the screen, about
const MAX_HEIGHT = 8_000_000; // pixels; browsers cut off elements that are several times higher

/**
 * @typedef {Object} GridOptions
 * @property {string} label for screen readers
 * @property {(row: number) => void} choose
 * @property {(row: number) => void} hover gets -1 when no sample is under the pointer
 * @property {(row: number) => string} [color] of the frame
 * @property {(row: number, position: number) => string} [caption] below the picture
 * @property {(context: CanvasRenderingContext2D, row: number) => boolean} [draw] draws a picture
 *   and returns true, or false where it is not here yet; by default the thumbnail
 * @property {number} [enlarge] how much larger than usual the pictures are
 */

let grids = 0;

export class Grid {
  /**
   * @param {Store} store
   * @param {GridOptions} options
   */
  constructor(store, options) {
    this.store = store;
    this.options = options;
    this.id = `grid-${++grids}`;
    /** @type {ArrayLike<number>} */
    this.rows = [];
    this.chosen = -1;
    this.active = 0; // the position that the keyboard is at
    /** @type {Map<number, HTMLElement>} tiles by their position */
    this.tiles = new Map();
    this.space = make("div", { class: "grid-space", role: "presentation" });
    this.element = this.makeElement();
    this.update = onceAFrame(() => this.draw());
    new ResizeObserver(this.update).observe(this.element);
    store.on("sheet", this.update);
  }

  makeElement() {
    const listen = {
      scroll: () => this.update(),
      keydown: (/** @type {Event} */ event) => this.move(/** @type {KeyboardEvent} */ (event)),
      click: (/** @type {Event} */ event) => this.chooseAt(this.positionOf(event)),
      mouseover: (/** @type {Event} */ event) => this.hoverAt(this.positionOf(event)),
      mouseleave: () => this.hoverAt(-1),
      focus: () => this.markActive(),
    };
    const role = { role: "listbox", tabindex: "0", "aria-label": this.options.label };
    return make("div", { class: "grid", ...role, ...listen }, [this.space]);
  }

  /**
   * Show samples; where these are the same ones, the grid stays where it is.
   *
   * @param {ArrayLike<number>} rows
   */
  show(rows) {
    if (!areEqual(rows, this.rows)) {
      this.active = 0;
      this.element.scrollTop = 0;
    }
    this.rows = rows;
    this.again();
  }

  /** Draw all again, as what pictures, frames or captions are made of has changed. */
  again() {
    this.space.replaceChildren();
    this.tiles.clear();
    this.draw();
  }

  /**
   * Mark a sample as the chosen one.
   *
   * @param {number} row
   */
  mark(row) {
    this.chosen = row;
    for (const tile of this.tiles.values()) {
      tile.setAttribute("aria-selected", String(Number(tile.dataset.row) === row));
    }
  }

  /** Where everything is: columns, the size of a tile, and the part that is seen. */
  layout() {
    const { width, height } = this.store.manifest.thumbs;
    const room = Math.max(40, this.element.clientWidth - 8);
    const wanted = Math.sqrt((AREA * width) / height) * (this.options.enlarge ?? 1);
    const columns = Math.max(1, Math.round((room + GAP) / (wanted + GAP)));
    const across = (room - GAP * (columns - 1)) / columns;
    const down = (across * height) / width + 6;
    const step = down + (this.options.caption ? CAPTION : 0) + GAP;
    const total = Math.ceil(this.rows.length / columns) * step;
    return { columns, across, down, step, total };
  }

  draw() {
    const layout = this.layout();
    this.space.style.height = `${Math.min(layout.total, MAX_HEIGHT)}px`;
    const view = this.element.clientHeight;
    const top = this.top(layout.total, view);
    const first = Math.max(0, Math.floor(top / layout.step)) * layout.columns;
    const end = Math.min(this.rows.length, Math.ceil((top + view) / layout.step) * layout.columns);
    this.dropTiles(first, end);
    for (let position = first; position < end; position++) {
      const tile = this.tiles.get(position) ?? this.addTile(position, layout);
      this.place(tile, position, layout, this.element.scrollTop - top);
      this.paint(tile);
    }
    this.markActive();
  }

  /**
   * Return how far down the view is; of a very long grid the scroll bar goes faster than its tiles.
   *
   * @param {number} total
   * @param {number} view
   */
  top(total, view) {
    const { scrollTop } = this.element;
    return total <= MAX_HEIGHT ? scrollTop : (scrollTop * (total - view)) / (MAX_HEIGHT - view);
  }

  /**
   * @param {number} first
   * @param {number} end
   */
  dropTiles(first, end) {
    for (const [position, tile] of this.tiles) {
      if (position < first || position >= end) {
        tile.remove();
        this.tiles.delete(position);
      }
    }
  }

  /**
   * @param {number} position
   * @param {{across: number, down: number}} layout
   */
  addTile(position, layout) {
    const { store, options } = this;
    const row = this.rows[position];
    const { width, height } = store.manifest.thumbs;
    const canvas = makeCanvas(width, height, { class: "thumbnail" });
    canvas.style.borderColor = options.color?.(row) ?? "";
    const caption = options.caption?.(row, position);
    const tile = make("div", { class: "tile", role: "option", id: `${this.id}-${position}` }, [
      canvas,
      ...(caption === undefined ? [] : [make("span", { text: caption, dir: "ltr" })]),
    ]);
    this.describe(tile, row, position, caption ?? "");
    this.tiles.set(position, tile);
    this.space.append(tile);
    return tile;
  }

  /**
   * @param {HTMLElement} tile
   * @param {number} row
   * @param {number} position
   * @param {string} caption
   */
  describe(tile, row, position, caption) {
    tile.dataset.row = String(row);
    tile.dataset.position = String(position);
    tile.setAttribute("aria-selected", String(row === this.chosen));
    tile.setAttribute("aria-posinset", String(position + 1));
    tile.setAttribute("aria-setsize", String(this.rows.length));
    tile.setAttribute("aria-label", caption || `sample ${row}`);
    this.store.names([row]).then(
      ([name]) => {
        tile.setAttribute("aria-label", caption ? `${isolate(name)}, ${caption}` : name);
        tile.title = tile.getAttribute("aria-label") ?? "";
      },
      () => undefined, // a name that cannot be read leaves the row's number
    );
  }

  /**
   * @param {HTMLElement} tile
   * @param {number} position
   * @param {{columns: number, across: number, down: number, step: number}} layout
   * @param {number} shift from the place in the whole grid to that in the scrolled element
   */
  place(tile, position, { columns, across, down, step }, shift) {
    const left = (position % columns) * (across + GAP) + 4;
    const top = Math.floor(position / columns) * step + shift + 2;
    tile.style.transform = `translate(${left}px, ${top}px)`;
    tile.style.width = `${across}px`;
    /** @type {HTMLElement} */ (tile.firstChild).style.height = `${down}px`;
  }

  /** @param {HTMLElement} tile */
  paint(tile) {
    if (!tile.dataset.drawn) {
      const canvas = /** @type {HTMLCanvasElement} */ (tile.firstChild);
      const { width, height } = canvas;
      const draw =
        this.options.draw ??
        ((context, row) => this.store.drawThumbnail(context, row, [0, 0, width, height]));
      tile.dataset.drawn = draw(drawingContext(canvas), Number(tile.dataset.row)) ? "true" : "";
    }
  }

  // -- pointer and keyboard --------------------------------------------------------------------

  /** @param {Event} event */
  positionOf(event) {
    const tile = /** @type {Element} */ (event.target).closest(".tile");
    return tile ? Number(/** @type {HTMLElement} */ (tile).dataset.position) : -1;
  }

  /** @param {number} position */
  hoverAt(position) {
    this.options.hover(position < 0 ? -1 : this.rows[position]);
  }

  /** @param {number} position */
  chooseAt(position) {
    if (position >= 0 && position < this.rows.length) {
      this.active = position;
      this.markActive();
      this.options.choose(this.rows[position]);
    }
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    if (event.key === "Enter" || event.key === " ") {
      this.chooseAt(this.active);
      event.preventDefault();
      return;
    }
    const wanted = this.target(event.key);
    if (wanted !== null && this.rows.length) {
      this.active = Math.max(0, Math.min(this.rows.length - 1, wanted));
      this.reveal(this.active);
      this.hoverAt(this.active);
      event.preventDefault();
    }
  }

  /**
   * Return the position that a key leads to, or null.
   *
   * @param {string} key
   * @returns {number | null}
   */
  target(key) {
    const { columns, step } = this.layout();
    const page = columns * Math.max(1, Math.floor(this.element.clientHeight / step));
    /** @type {Record<string, number>} */
    const steps = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    return key in steps ? this.active + steps[key] : null;
  }

  /**
   * Scroll to a position, if it is not seen.
   *
   * @param {number} position
   */
  reveal(position) {
    const { columns, step, total } = this.layout();
    const view = this.element.clientHeight;
    const top = Math.floor(position / columns) * step;
    const now = this.top(total, view);
    const wanted = Math.max(top + step - view, Math.min(top, now));
    if (wanted !== now) {
      const scale = total <= MAX_HEIGHT ? 1 : (MAX_HEIGHT - view) / (total - view);
      this.element.scrollTop = wanted * scale;
    }
    this.draw();
  }

  markActive() {
    this.space.querySelector(".active")?.classList.remove("active");
    const tile = this.tiles.get(this.active);
    tile?.classList.add("active");
    if (tile) {
      this.element.setAttribute("aria-activedescendant", tile.id);
    } else {
      this.element.removeAttribute("aria-activedescendant");
    }
  }
}

/**
 * @param {ArrayLike<number>} some
 * @param {ArrayLike<number>} others
 */
function areEqual(some, others) {
  let at = some.length === others.length ? 0 : Infinity;
  while (at < some.length && some[at] === others[at]) {
    at++;
  }
  return at === some.length;
}
