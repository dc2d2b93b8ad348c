/**
 * What is seen, as a few short texts that are also the page's address.
 *
 * So a link, a reload and the back button bring back what was seen. Who changes something calls
 * `set`; who shows it listens with `on`. Every value is text, which its owner reads and writes.
 */

/** The keys, and what they are when the link does not say. */
const DEFAULTS = {
  map: "", // the method of the map
  color: "", // the column that colors it
  hidden: "", // categories of that column that are not shown: "0,3"
  view: "", // center and width of what is seen of the map: "x,y,width"
  tool: "pan", // pan, lasso, rectangle or path
  thumbs: "", // off: points are never shown as thumbnails
  select: "", // "area:x,y,…" on the map, "cell:truth,prediction", "rows:1,2,3"
  sample: "", // the row of the chosen sample
  code: "", // a code that sliders made: "0.1,-2,…"
  place: "", // a place on the map that is decoded: "x,y"
  panel: "", // the open tab
  ends: "", // of a morph: "row,row"
  route: "", // a drawn path: "x,y,…"
  path: "linear", // linear or spherical
  drawn: "", // what is generated: "seed,temperature,count,class"
  layer: "", // the feature map that is enlarged: "layer,channel"
  epoch: "", // the epoch whose pictures are shown
  filter: "", // the category that a search is limited to
  k: "", // how many neighbors a search shows
  split: "", // the split that a confusion matrix counts: a name, or "all"
  sort: "", // the column that sorts the selection, with a minus from the largest: "-loss"
  theme: "", // light or dark; otherwise as the system has it
};

/** Milliseconds after the last of many small changes until the address tells it. */
const SETTLED = 250;

/** @typedef {keyof typeof DEFAULTS} Key */
/** @typedef {Partial<Record<Key, string>>} Changes */

export class State {
  /** Start with what the address says. */
  constructor() {
    /** @type {Record<Key, string>} */
    this.values = { ...DEFAULTS };
    /** @type {{keys: Key[], listener: () => void}[]} */
    this.listeners = [];
    /** The address of changes that are no step, until it is written. */
    this.waiting = "";
    this.timer = 0;
    Object.assign(this.values, this.fromAddress());
    for (const event of ["popstate", "hashchange"]) {
      addEventListener(event, () => this.restore());
    }
    addEventListener("pagehide", () => this.settle());
  }

  /**
   * @param {Key} key
   * @returns {string}
   */
  get(key) {
    return this.values[key];
  }

  /**
   * Return a value as numbers; those that are not finite are left out.
   *
   * @param {Key} key
   * @returns {number[]}
   */
  numbers(key) {
    const parts = this.values[key].split(",").filter((part) => part !== "");
    return parts.map(Number).filter(Number.isFinite);
  }

  /**
   * Change values and tell who listens.
   *
   * @param {Changes} changes
   * @param {{isStep?: boolean}} [options] whether the back button returns to what was before; give
   *   false for what changes continuously, such as the view
   */
  set(changes, { isStep = true } = {}) {
    const changed = this.assign(changes);
    if (changed.length) {
      this.writeAddress(isStep);
      this.tell(changed);
    }
  }

  /**
   * Call a listener whenever one of the keys changes.
   *
   * @param {Key[]} keys
   * @param {() => void} listener
   */
  on(keys, listener) {
    this.listeners.push({ keys, listener });
  }

  /**
   * @param {Changes} changes
   * @returns {Key[]} those that are different now
   */
  assign(changes) {
    const keys = /** @type {Key[]} */ (Object.keys(changes));
    const changed = keys.filter((key) => this.values[key] !== changes[key]);
    Object.assign(this.values, changes);
    return changed;
  }

  /** Take what the address says now. */
  restore() {
    this.waiting = ""; // it was of the address before
    this.tell(this.assign({ ...DEFAULTS, ...this.fromAddress() }));
  }

  /** @param {Key[]} changed */
  tell(changed) {
    for (const { keys, listener } of [...this.listeners]) {
      if (keys.some((key) => changed.includes(key))) {
        listener();
      }
    }
  }

  /** @returns {Changes} */
  fromAddress() {
    const pairs = [...new URLSearchParams(location.hash.slice(1))];
    return Object.fromEntries(pairs.filter(([key]) => Object.hasOwn(DEFAULTS, key)));
  }

  /** @param {boolean} isStep */
  writeAddress(isStep) {
    const keys = /** @type {Key[]} */ (Object.keys(DEFAULTS));
    const told = keys.filter((key) => this.values[key] !== DEFAULTS[key]);
    const pairs = told.map((key) => `${key}=${encodeValue(this.values[key])}`);
    const address = `#${pairs.join("&")}`;
    if (isStep) {
      this.settle();
      history.pushState(null, "", address);
    } else {
      // Browsers refuse to write as often as a slider moves.
      this.waiting = address;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.settle(), SETTLED);
    }
  }

  /** Write what waits into the address. */
  settle() {
    if (this.waiting) {
      history.replaceState(null, "", this.waiting);
      this.waiting = "";
    }
  }
}

/**
 * Encode what would end a value in an address, and leave commas and colons readable.
 *
 * @param {string} value
 */
function encodeValue(value) {
  return encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%3A", ":");
}
