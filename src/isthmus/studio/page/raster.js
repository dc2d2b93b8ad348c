/**
 * Points as pixels, drawn by the CPU into an array: disks, or, where there are very many, shades.
 *
 * Without a GPU this is ten times as fast as WebGL; see benchmarks/studio.py.
 */

/** @import { Box } from "./points.js" */

import { Points } from "./points.js";

/** Points in view above which shades are drawn, and below which disks are drawn again. */
const SHADED = [220_000, 160_000];

/** Positions within a pixel that disks are prepared for, along a side. */
const PHASES = 4;

/** Points up to which a frame is always drawn as a whole: that takes no time. */
const FEW = 20_000;

/** Counts of a pixel that have a shade of their own. */
const SHADES = 4096;

/** Opacity of disks, of 256, and below which their edges are not drawn. */
const OPACITY = 225;
const FAINTEST = 12;

/** How visible what is not selected stays. */
const DIMMED = 0.2;

/**
 * @typedef {Object} Frame what is to be drawn
 * @property {{x: number, y: number, width: number}} view center and width, in the map's units
 * @property {number} width of the map on the page, in CSS pixels
 * @property {number} height
 * @property {number} ratio device pixels of a CSS pixel
 * @property {number} radius of a disk, in CSS pixels
 * @property {number} background
 * @property {number} rows return the rows of the points in view, if they are at most so many
 * @property {number} margin around the view for those rows, in CSS pixels
 * @property {{x: number, y: number, width: number} | null} from what was seen of the map before
 * @property {number} progress of the way from there, from 0 to 1
 */

/**
 * @typedef {Object} Drawn
 * @property {Int32Array} pixels
 * @property {number} width in pixels
 * @property {number} height
 * @property {Int32Array | null} rows
 */

export class Raster {
  constructor() {
    /** @type {Points | null} */
    this.points = null;
    /** Of each row and, in the order of the points, of each point: a place in the palette. */
    this.levels = /** @type {Uint8Array | Uint16Array} */ (new Uint8Array(0));
    this.sortedLevels = this.levels;
    /** Colors as pixels; 0 is hidden. */
    this.palette = /** @type {Int32Array} */ (new Int32Array(1));
    /** The color of points that lie below all others; 0 if there are none. */
    this.lowest = 0;
    /** @type {Uint8Array | null} 1 where a row is selected; then, in the order of the points */
    this.mask = null;
    /** @type {Uint8Array | null} */
    this.sortedMask = null;
    /** @type {Float32Array | null} where the points were on the map before */
    this.before = null;
    this.isShaded = false;
    this.shownShare = 1;
    /** The last frame, as long as its points look the same. @type {Canvas | null} */
    this.kept = null;
    this.sums = new Uint32Array(0);
    this.typicalDensity = 1;
  }

  /** @param {Float32Array} positions by row */
  setPoints(positions) {
    const last = this.points;
    this.points = new Points(positions);
    this.kept = null;
    this.before = last && last.count === this.points.count ? moved(last, this.points) : null;
    this.typicalDensity = typicalDensity(this.points);
    this.sortLevels();
    this.setMask(this.mask);
  }

  /**
   * @param {Uint8Array | Uint16Array} levels by row
   */
  setLevels(levels) {
    this.kept = null;
    this.levels = levels;
    this.sortLevels();
  }

  sortLevels() {
    if (this.points && this.levels.length === this.points.count) {
      this.sortedLevels = sorted(this.levels, this.points.rows);
    }
  }

  /**
   * @param {Int32Array} palette
   * @param {number} lowest
   */
  setPalette(palette, lowest) {
    this.palette = palette;
    this.lowest = lowest;
    this.kept = null;
    let shown = 0;
    for (const level of this.levels) {
      shown += palette[level] ? 1 : 0;
    }
    this.shownShare = shown / Math.max(1, this.levels.length);
  }

  /** @param {Uint8Array | null} mask by row */
  setMask(mask) {
    this.kept = null;
    this.mask = mask;
    this.sortedMask = mask && this.points ? sorted(mask, this.points.rows) : null;
  }

  /**
   * Return the row of the nearest point that is shown, or -1.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} distance
   */
  nearest(x, y, distance) {
    const [levels, palette] = [this.sortedLevels, this.palette];
    return this.points?.nearest(x, y, distance, (p) => palette[levels[p]] !== 0) ?? -1;
  }

  /**
   * @param {Frame} frame
   * @param {ArrayBuffer | null} spare memory of a frame that is no longer needed
   * @returns {Drawn}
   */
  draw(frame, spare) {
    const points = this.points;
    const moving = frame.progress < 1 && frame.from !== null && this.before !== null;
    const ranges = this.ranges(frame, moving);
    const isShaded = countOf(ranges) * this.shownShare > SHADED[this.isShaded ? 1 : 0];
    this.kept = isShaded === this.isShaded && !moving ? this.kept : null;
    this.isShaded = isShaded;
    const canvas = makeCanvas(frame, this.isShaded ? Math.min(1, frame.ratio) : frame.ratio, spare);
    if (points && this.sortedLevels.length === points.count) {
      if (moving) {
        this.paint(canvas, this.movingPoints(frame), ranges);
      } else {
        this.paintNew(canvas, points, ranges);
      }
    }
    const rows = points && frame.rows && !moving ? this.rowsIn(frame, ranges) : null;
    return { pixels: canvas.pixels, width: canvas.width, height: canvas.height, rows };
  }

  /**
   * @param {Frame} frame
   * @param {boolean} moving
   */
  ranges(frame, moving) {
    if (!this.points || moving) {
      return [0, this.points?.count ?? 0];
    }
    return this.points.ranges(boxOf(frame, Math.max(frame.radius + 1, frame.rows && frame.margin)));
  }

  /**
   * Paint all, or, if the map was only moved by whole pixels, what was not in view before.
   *
   * @param {Canvas} canvas
   * @param {Points} points
   * @param {number[]} ranges
   */
  paintNew(canvas, points, ranges) {
    const parts = this.kept ? moveKept(canvas, this.kept) : null;
    if (!parts) {
      this.paint(canvas, points.xy, ranges);
    }
    for (const part of parts ?? []) {
      const margin = 2 * Math.ceil(canvas.radius + 2); // so that disks need not be cut
      const window = cutOut(canvas, part, margin);
      this.paint(window, points.xy, points.ranges(boxOfCanvas(window)));
      paste(window, canvas, part, margin);
    }
    this.kept = points.count > FEW ? keep(canvas, this.kept) : null;
  }

  /**
   * @param {Canvas} canvas
   * @param {Float32Array} xy
   * @param {number[]} ranges
   */
  paint(canvas, xy, ranges) {
    const common = { xy, ranges, levels: this.sortedLevels, mask: this.sortedMask };
    for (const { palette, wanted } of this.layers(canvas.background)) {
      const layer = { ...common, palette, wanted };
      if (this.isShaded) {
        this.shade(canvas, layer);
      } else {
        drawDisks(canvas, layer);
      }
    }
  }

  /**
   * Return what is drawn one over another: first what is not selected, and the color that lies
   * below all others.
   *
   * @param {number} background
   */
  layers(background) {
    const { palette, lowest } = this;
    const low = palette.map((color) => (color === lowest ? color : 0));
    const high = palette.map((color) => (color === lowest ? 0 : color));
    const all = lowest && low.some(Boolean) ? [low, high] : [palette];
    if (!this.sortedMask) {
      return all.map((colors) => ({ palette: colors, wanted: 1 }));
    }
    const faint = palette.map((color) => color && mix(color, background, DIMMED));
    return [
      { palette: faint, wanted: 0 },
      ...all.map((colors) => ({ palette: colors, wanted: 1 })),
    ];
  }

  /**
   * @param {Canvas} canvas
   * @param {Layer} layer
   */
  shade(canvas, layer) {
    const size = 4 * canvas.width * canvas.height;
    if (this.sums.length < size) {
      this.sums = new Uint32Array(size);
    } else {
      this.sums.fill(0, 0, size);
    }
    addColors(this.sums, canvas, layer);
    const perPixel = (this.typicalDensity * this.shownShare) / canvas.scale ** 2;
    drawShades(this.sums, canvas, makeShades(perPixel));
  }

  /**
   * Return where points are on their way from the map before, which was seen from elsewhere.
   *
   * @param {Frame} frame
   */
  movingPoints({ view, from, progress }) {
    const [to, before] = [
      /** @type {Points} */ (this.points).xy,
      /** @type {Float32Array} */ (this.before),
    ];
    const last = from ?? view;
    const zoom = view.width / last.width;
    const share = progress * progress * (3 - 2 * progress);
    const places = new Float32Array(to.length);
    for (let i = 0; i < to.length; i += 2) {
      const x = (before[i] - last.x) * zoom + view.x;
      const y = (before[i + 1] - last.y) * zoom + view.y;
      places[i] = x + (to[i] - x) * share;
      places[i + 1] = y + (to[i + 1] - y) * share;
    }
    return places;
  }

  /**
   * Return the rows of the points that are shown in view, or null if they are too many.
   *
   * @param {Frame} frame
   * @param {number[]} ranges
   */
  rowsIn(frame, ranges) {
    const [x0, y0, x1, y1] = boxOf(frame, frame.margin);
    const { xy, rows } = /** @type {Points} */ (this.points);
    const found = [];
    for (let i = 0; i < ranges.length; i += 2) {
      for (let p = ranges[i]; p < ranges[i + 1]; p++) {
        const [x, y] = [xy[2 * p], xy[2 * p + 1]];
        if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && this.palette[this.sortedLevels[p]]) {
          if (found.push(rows[p]) > frame.rows) {
            return null;
          }
        }
      }
    }
    return Int32Array.from(found);
  }
}

/**
 * @typedef {Object} Canvas pixels, and where the map's places are among them
 * @property {Int32Array} pixels
 * @property {number} width
 * @property {number} height
 * @property {number} scale pixels of one unit of the map
 * @property {number} left where x = 0 is
 * @property {number} top where y = 0 is
 * @property {number} radius in pixels
 * @property {number} background
 * @property {boolean} isPart whether nothing at its edges is needed
 */

/**
 * @typedef {Object} Layer points to draw
 * @property {Float32Array} xy
 * @property {number[]} ranges
 * @property {Uint8Array | Uint16Array} levels
 * @property {Int32Array} palette
 * @property {Uint8Array | null} mask
 * @property {number} wanted the value of the mask that is drawn
 */

/**
 * @param {Frame} frame
 * @param {number} ratio
 * @param {ArrayBuffer | null} spare
 * @returns {Canvas}
 */
function makeCanvas({ view, width: css, height: cssHeight, radius, background }, ratio, spare) {
  const [width, height] = [
    Math.max(1, Math.round(css * ratio)),
    Math.max(1, Math.round(cssHeight * ratio)),
  ];
  const isReused = spare?.byteLength === 4 * width * height;
  const pixels = isReused
    ? new Int32Array(/** @type {ArrayBuffer} */ (spare))
    : new Int32Array(width * height);
  pixels.fill(background);
  const scale = width / view.width;
  const [left, top] = [width / 2 - view.x * scale, height / 2 + view.y * scale];
  return {
    pixels,
    width,
    height,
    scale,
    left,
    top,
    radius: radius * ratio,
    background,
    isPart: false,
  };
}

/**
 * @param {Frame} frame
 * @param {number} margin in CSS pixels
 * @returns {Box}
 */
function boxOf({ view, width, height }, margin) {
  const unit = view.width / width;
  const [x, y] = [view.width / 2 + margin * unit, (height / 2 + margin) * unit];
  return [view.x - x, view.y - y, view.x + x, view.y + y];
}

// -- frames that are moved ---------------------------------------------------------------------

/** @typedef {[number, number, number, number]} Part left, top, width and height, in pixels */

/**
 * Copy the last frame to where it is now, and return what it does not cover; null if the map was
 * not only moved, or not by whole pixels.
 *
 * @param {Canvas} canvas
 * @param {Canvas} kept
 * @returns {Part[] | null}
 */
function moveKept(canvas, kept) {
  const same = /** @type {const} */ (["width", "height", "scale", "radius", "background"]);
  const exact = [canvas.left - kept.left, canvas.top - kept.top];
  const [right, down] = exact.map(Math.round);
  const isWhole = Math.abs(exact[0] - right) + Math.abs(exact[1] - down) < 1e-6;
  const { width, height } = canvas;
  const isFar = Math.abs(right) >= width || Math.abs(down) >= height;
  if (isFar || !isWhole || same.some((name) => canvas[name] !== kept[name])) {
    return null;
  }
  const [from, to] = [Math.max(0, -right), Math.min(width, width - right)];
  for (let line = Math.max(0, down); line < Math.min(height, height + down); line++) {
    const start = (line - down) * width;
    canvas.pixels.set(kept.pixels.subarray(start + from, start + to), line * width + from + right);
  }
  const top = Math.max(0, down);
  /** @type {Part[]} */
  const parts = [
    [0, down > 0 ? 0 : height + down, width, Math.abs(down)],
    [right > 0 ? 0 : width + right, top, Math.abs(right), height - Math.abs(down)],
  ];
  return parts.filter(([, , across, high]) => across > 0 && high > 0);
}

/**
 * Return an empty canvas for a part of another and a margin around it.
 *
 * @param {Canvas} canvas
 * @param {Part} part
 * @param {number} margin
 * @returns {Canvas}
 */
function cutOut(canvas, part, margin) {
  const [left, top] = [canvas.left - part[0] + margin, canvas.top - part[1] + margin];
  const [width, height] = [part[2] + 2 * margin, part[3] + 2 * margin];
  const pixels = new Int32Array(width * height).fill(canvas.background);
  return { ...canvas, pixels, width, height, left, top, isPart: true };
}

/**
 * Copy a part, without its margin, to where it belongs.
 *
 * @param {Canvas} window
 * @param {Canvas} canvas
 * @param {Part} part
 * @param {number} margin
 */
function paste(window, canvas, [left, top, width, height], margin) {
  for (let line = 0; line < height; line++) {
    const start = (line + margin) * window.width + margin;
    const pixels = window.pixels.subarray(start, start + width);
    canvas.pixels.set(pixels, (top + line) * canvas.width + left);
  }
}

/**
 * Copy a canvas, into the memory of another if it fits: the pixels themselves are given away.
 *
 * @param {Canvas} canvas
 * @param {Canvas | null} old
 * @returns {Canvas}
 */
function keep(canvas, old) {
  const isReused = old?.pixels.length === canvas.pixels.length;
  const pixels = isReused ? old.pixels : new Int32Array(canvas.pixels.length);
  pixels.set(canvas.pixels);
  return { ...canvas, pixels };
}

/**
 * Return the box of the map that a canvas covers.
 *
 * @param {Canvas} canvas
 * @returns {Box}
 */
function boxOfCanvas({ width, height, scale, left, top }) {
  return [-left / scale, (top - height) / scale, (width - left) / scale, top / scale];
}

// -- disks -----------------------------------------------------------------------------------

/**
 * Draw each point as a disk with smooth edges.
 *
 * @param {Canvas} canvas
 * @param {Layer} layer
 */
function drawDisks(canvas, { xy, ranges, levels, palette, mask, wanted }) {
  const { pixels, scale, left, top, width, height, radius, isPart } = canvas;
  const { starts, offsets, opacities, reach } = makeStamps(radius, width);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let p = ranges[i]; p < ranges[i + 1]; p++) {
      const color = palette[levels[p]];
      if (color === 0 || (mask !== null && mask[p] !== wanted)) {
        continue;
      }
      const x = xy[2 * p] * scale + left;
      const y = top - xy[2 * p + 1] * scale;
      if (x < reach || y < reach || x >= width - reach || y >= height - reach) {
        if (!isPart && x > -reach && y > -reach && x < width + reach && y < height + reach) {
          drawCutDisk(canvas, x, y, color);
        }
        continue;
      }
      const [column, line] = [x | 0, y | 0];
      const phase = (((y - line) * PHASES) | 0) * PHASES + (((x - column) * PHASES) | 0);
      const start = line * width + column;
      const [outer, inner] = [color & 0xff00ff, color & 0xff00];
      for (let j = starts[phase]; j < starts[phase + 1]; j++) {
        const place = start + offsets[j];
        const [below, opacity] = [pixels[place], opacities[j]];
        const rest = 256 - opacity;
        const mixed = (Math.imul(outer, opacity) + Math.imul(below & 0xff00ff, rest)) >>> 8;
        const green = (Math.imul(inner, opacity) + Math.imul(below & 0xff00, rest)) >>> 8;
        pixels[place] = (mixed & 0xff00ff) | (green & 0xff00) | 0xff000000;
      }
    }
  }
}

/**
 * Disks for each position within a pixel: where their pixels are, counted from the pixel of the
 * center, and how opaque, of 256; those of one disk after those of another.
 *
 * @typedef {{starts: Int32Array, offsets: Int32Array, opacities: Int32Array, reach: number}} Stamps
 */

/**
 * @param {number} radius
 * @param {number} width of the canvas
 * @returns {Stamps}
 */
function makeStamps(radius, width) {
  const reach = Math.ceil(radius + 1);
  /** @type {[number[], number[], number[]]} */
  const [starts, offsets, opacities] = [[], [], []];
  for (let phase = 0; phase < PHASES * PHASES; phase++) {
    const [x, y] = [(phase % PHASES) + 0.5, Math.floor(phase / PHASES) + 0.5].map(
      (at) => at / PHASES,
    );
    starts.push(offsets.length);
    for (let down = -reach; down <= reach; down++) {
      for (let right = -reach; right <= reach; right++) {
        const opacity = opacityAt(Math.hypot(right + 0.5 - x, down + 0.5 - y), radius);
        if (opacity > FAINTEST) {
          offsets.push(down * width + right);
          opacities.push(opacity);
        }
      }
    }
  }
  starts.push(offsets.length);
  const [from, places, values] = [starts, offsets, opacities].map((list) => Int32Array.from(list));
  return { starts: from, offsets: places, opacities: values, reach: reach + 1 };
}

/**
 * Return how opaque a disk is at a distance from its center, of 256.
 *
 * @param {number} distance
 * @param {number} radius
 */
function opacityAt(distance, radius) {
  return Math.round(OPACITY * Math.max(0, Math.min(1, radius + 0.5 - distance)));
}

/**
 * Draw the part of a disk that is in view.
 *
 * @param {Canvas} canvas
 * @param {number} x
 * @param {number} y
 * @param {number} color
 */
function drawCutDisk({ pixels, width, height, radius }, x, y, color) {
  x = (Math.floor(x * PHASES) + 0.5) / PHASES; // as whole disks are
  y = (Math.floor(y * PHASES) + 0.5) / PHASES;
  const reach = radius + 1;
  const [last, lowest] = [
    Math.min(width - 1, Math.ceil(x + reach)),
    Math.min(height - 1, Math.ceil(y + reach)),
  ];
  for (let line = Math.max(0, Math.floor(y - reach)); line <= lowest; line++) {
    for (let column = Math.max(0, Math.floor(x - reach)); column <= last; column++) {
      const opacity = opacityAt(Math.hypot(column + 0.5 - x, line + 0.5 - y), radius);
      if (opacity > FAINTEST) {
        const place = line * width + column;
        pixels[place] = blend(pixels[place], color, opacity);
      }
    }
  }
}

/**
 * Lay a color over another; two of the three parts are computed at once.
 *
 * @param {number} below
 * @param {number} color
 * @param {number} opacity of 256
 */
function blend(below, color, opacity) {
  const rest = 256 - opacity;
  const outer = (Math.imul(color & 0xff00ff, opacity) + Math.imul(below & 0xff00ff, rest)) >>> 8;
  const inner = (Math.imul(color & 0xff00, opacity) + Math.imul(below & 0xff00, rest)) >>> 8;
  return (outer & 0xff00ff) | (inner & 0xff00) | 0xff000000;
}

/**
 * @param {number} color
 * @param {number} background
 * @param {number} share of the color
 */
function mix(color, background, share) {
  return blend(background, color, Math.round(256 * share));
}

// -- shades ----------------------------------------------------------------------------------

/**
 * Add up the colors of the points in each pixel, and count them.
 *
 * @param {Uint32Array} sums red, green, blue and count of each pixel
 * @param {Canvas} canvas
 * @param {Layer} layer
 */
function addColors(sums, canvas, { xy, ranges, levels, palette, mask, wanted }) {
  const { scale, left, top, width, height } = canvas;
  for (let i = 0; i < ranges.length; i += 2) {
    for (let p = ranges[i]; p < ranges[i + 1]; p++) {
      const x = xy[2 * p] * scale + left;
      const y = top - xy[2 * p + 1] * scale;
      const color = palette[levels[p]];
      if (
        color !== 0 &&
        x >= 0 &&
        y >= 0 &&
        x < width &&
        y < height &&
        (mask === null || mask[p] === wanted)
      ) {
        const place = ((y | 0) * width + (x | 0)) << 2;
        sums[place] += color & 255;
        sums[place + 1] += (color >> 8) & 255;
        sums[place + 2] += (color >> 16) & 255;
        sums[place + 3]++;
      }
    }
  }
}

/**
 * Draw each pixel in the mean color of its points, the more opaque the more there are.
 *
 * @param {Uint32Array} sums
 * @param {Canvas} canvas
 * @param {Uint16Array} shades
 */
function drawShades(sums, { pixels, width, height }, shades) {
  for (let i = 0, place = 0; i < width * height; i++, place += 4) {
    const count = sums[place + 3];
    if (count !== 0) {
      const share = 1 / count;
      const color =
        (sums[place] * share) |
        ((sums[place + 1] * share) << 8) |
        ((sums[place + 2] * share) << 16);
      pixels[i] = blend(pixels[i], color, shades[count < SHADES ? count : SHADES - 1]);
    }
  }
}

/**
 * Return how opaque a pixel is for each number of points in it, on a logarithmic scale.
 *
 * @param {number} typical points of a pixel where there are many
 */
function makeShades(typical) {
  const top = Math.log1p(Math.max(6, 2 * typical));
  return Uint16Array.from({ length: SHADES }, (_, count) =>
    Math.round(256 * Math.min(1, 0.12 + (0.88 * Math.log1p(count)) / top)),
  );
}

/**
 * Return how many points lie in a unit of area where most points are: it depends on the map only,
 * so that shades stay as they are while the map is moved.
 *
 * @param {Points} points
 */
function typicalDensity({ starts, grid, count }) {
  const counts = starts
    .slice(1)
    .map((end, cell) => end - starts[cell])
    .sort();
  let [cell, seen] = [counts.length - 1, 0];
  while (cell > 0 && seen < count * 0.1) {
    seen += counts[cell--];
  }
  return counts[cell] / grid.size ** 2;
}

// -- arrays ----------------------------------------------------------------------------------

/**
 * @template {Uint8Array | Uint16Array} T
 * @param {T} values by row
 * @param {Int32Array} rows
 * @returns {T} in the order of the points
 */
function sorted(values, rows) {
  const result = /** @type {T} */ (values.slice());
  for (let i = 0; i < rows.length; i++) {
    result[i] = values[rows[i]];
  }
  return result;
}

/**
 * Return where points were, in the order that they have now; null if there are too many to show
 * how they move.
 *
 * @param {Points} from
 * @param {Points} to
 */
function moved(from, to) {
  if (from.count > SHADED[1]) {
    return null;
  }
  const byRow = new Float32Array(2 * from.count);
  from.rows.forEach((row, i) => {
    byRow[2 * row] = from.xy[2 * i];
    byRow[2 * row + 1] = from.xy[2 * i + 1];
  });
  return Float32Array.from(to.xy, (_, i) => byRow[2 * to.rows[i >> 1] + (i & 1)]);
}

/** @param {number[]} ranges */
function countOf(ranges) {
  let count = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    count += ranges[i + 1] - ranges[i];
  }
  return count;
}
