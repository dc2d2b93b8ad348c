/** The map by keyboard: a cursor that arrow keys move, zoom, choosing, drawing. */

/** @import { MapView } from "./map.js" */

/** Pixels that an arrow key moves the cursor. */
const STEP = 8;
const FAR = 48;

/** Pixels from the map's edge at which the map moves instead of the cursor. */
const EDGE = 24;

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {MapView} map
 * @param {HTMLElement} element
 */
export function listenToKeys(map, element) {
  const keyboard = new Keyboard(map);
  element.addEventListener("keydown", (event) => {
    if (
      !event.altKey &&
      !event.ctrlKey &&
      !event.metaKey &&
      keyboard.press(event.key, event.shiftKey)
    ) {
      event.preventDefault();
    }
  });
  element.addEventListener("blur", () => map.cursor?.isKeyboard && map.leave());
}

class Keyboard {
  /** @param {MapView} map */
  constructor(map) {
    this.map = map;
    /** @type {[number, number][]} corners that were set, in the map's units */
    this.corners = [];
  }

  /**
   * @param {string} key
   * @param {boolean} isFar
   * @returns {boolean} whether the key means something
   */
  press(key, isFar) {
    const { map } = this;
    if (key in ARROWS) {
      this.move(ARROWS[key], isFar ? FAR : STEP);
    } else if (key === "Enter" || key === " ") {
      this.choose();
    } else if (key === "+" || key === "=") {
      map.zoom(1.5, this.cursor());
    } else if (key === "-") {
      map.zoom(1 / 1.5, this.cursor());
    } else if (key === "0" || key === "Home") {
      map.showAll();
    } else if (key === "Escape") {
      this.escape();
    } else {
      return false;
    }
    return true;
  }

  /** @returns {[number, number]} the cursor on the screen; at first the middle */
  cursor() {
    const { cursor, view, size } = this.map;
    return cursor ? view.toScreen(cursor.x, cursor.y, size) : [size.width / 2, size.height / 2];
  }

  /**
   * @param {[number, number]} direction
   * @param {number} step
   */
  move([right, down], step) {
    const { map } = this;
    const { width, height } = map.size;
    const [x, y] = this.cursor();
    const wanted = [x + right * step, y + down * step];
    const at = /** @type {[number, number]} */ ([
      Math.max(EDGE, Math.min(width - EDGE, wanted[0])),
      Math.max(EDGE, Math.min(height - EDGE, wanted[1])),
    ]);
    if (at[0] !== wanted[0] || at[1] !== wanted[1]) {
      map.setView(map.view.moved(at[0] - wanted[0], at[1] - wanted[1], map.size));
    }
    map.hover(at, true).then(() => this.showCorners());
  }

  choose() {
    const { map } = this;
    const tool = map.state.get("tool");
    if (tool === "pan") {
      map.click(this.cursor());
    } else {
      this.addCorner(tool, map.placeAt(this.cursor()));
    }
  }

  /**
   * @param {string} tool
   * @param {[number, number]} place
   */
  addCorner(tool, place) {
    const last = this.corners[this.corners.length - 1];
    const isEnd = last && last[0] === place[0] && last[1] === place[1];
    if (!isEnd) {
      this.corners.push(place);
    }
    if (isEnd || (tool === "rectangle" && this.corners.length === 2)) {
      this.map.finish(tool, this.corners);
      this.corners = [];
    }
    this.showCorners();
  }

  /** Draw the corners so far, and the way to the cursor. */
  showCorners() {
    const { map } = this;
    if (this.corners.length || map.sketch.points.length) {
      const end = this.corners.length ? [map.placeAt(this.cursor())] : [];
      map.sketch = { tool: map.state.get("tool"), points: [...this.corners, ...end] };
      map.requestOverlay();
    }
  }

  escape() {
    if (this.corners.length) {
      this.corners = [];
      this.showCorners();
    } else if (!this.map.selection.isEmpty()) {
      this.map.selection.clear();
    } else {
      this.map.state.set({ place: "", tool: "pan" });
    }
  }
}
