/** What is drawn over the points: thumbnails, marks, outlines, the chosen sample, the cursor. */

/** @import { Marks } from "./types.js" */

import { currentTheme } from "./colors.js";

/** @typedef {[number, number]} Pixel */

/** @typedef {(row: number) => Pixel} Locate where a sample is on the screen */
/** @typedef {(x: number, y: number) => Pixel} Project where a place of the map is on the screen */

const COLORS = {
  light: { ink: "#10202e", paper: "#ffffff", accent: "#0b6e8f", fill: "#0b6e8f1c" },
  dark: { ink: "#f3f7fb", paper: "#0d1217", accent: "#6fd0f0", fill: "#58b7d824" },
};

/** Draws on the canvas over the points. */
export class Overlay {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
    this.colors = COLORS.light;
  }

  /**
   * Begin anew.
   *
   * @param {{width: number, height: number}} size in CSS pixels
   * @param {number} ratio
   */
  clear({ width, height }, ratio) {
    const { context } = this;
    const { canvas } = context;
    const sides = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== sides[0] || canvas.height !== sides[1]) {
      [canvas.width, canvas.height] = sides;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.lineJoin = context.lineCap = "round";
    this.colors = COLORS[currentTheme()];
  }

  /**
   * Draw a line twice, so that it is seen on dark and on light.
   *
   * @param {() => void} trace makes the path
   * @param {number} width
   * @param {string} [color]
   */
  stroke(trace, width, color = this.colors.ink) {
    const { context } = this;
    context.beginPath();
    trace();
    context.lineWidth = width + 2.5;
    context.strokeStyle = this.colors.paper;
    context.stroke();
    context.lineWidth = width;
    context.strokeStyle = color;
    context.stroke();
  }

  /**
   * @param {Pixel} at
   * @param {number} radius
   * @param {number} [width]
   * @param {string} [color]
   */
  ring([x, y], radius, width = 2, color = this.colors.ink) {
    this.stroke(() => this.context.arc(x, y, radius, 0, 2 * Math.PI), width, color);
  }

  /**
   * Draw a closed outline or an open line; what is still being drawn is dashed and filled.
   *
   * @param {Pixel[]} points
   * @param {{isClosed: boolean, isDashed: boolean}} style
   */
  outline(points, { isClosed, isDashed }) {
    const { context } = this;
    context.setLineDash(isDashed ? [5, 5] : []);
    this.stroke(() => traceLine(context, points, isClosed), 1.5, this.colors.accent);
    context.setLineDash([]);
    if (isClosed && isDashed) {
      context.fillStyle = this.colors.fill;
      context.fill();
    }
  }

  /**
   * Draw a place that is pinned, or the keyboard's cursor: a cross that leaves its middle free.
   *
   * @param {Pixel} at
   * @param {boolean} isPinned
   */
  cross([x, y], isPinned) {
    const { context } = this;
    const [near, far] = isPinned ? [5, 15] : [3, 9];
    const color = isPinned ? this.colors.accent : this.colors.ink;
    this.stroke(
      () => {
        for (const [right, down] of [
          [1, 0],
          [-1, 0],
          [0, 1],
          [0, -1],
        ]) {
          context.moveTo(x + right * near, y + down * near);
          context.lineTo(x + right * far, y + down * far);
        }
      },
      isPinned ? 2.5 : 1.5,
      color,
    );
    if (isPinned) {
      this.ring([x, y], 8, 1.5, color);
    }
  }

  /**
   * @param {Marks} marks
   * @param {Locate} locate
   * @param {Project} project
   */
  marks(marks, locate, project) {
    const { rows = [], points = [], line = false, large = false, numbered = false } = marks;
    const places = points.map(([x, y]) => project(x, y));
    if (line && places.length > 1) {
      this.stroke(() => traceLine(this.context, places, false), 2, this.colors.accent);
    }
    places.forEach((place) => this.dot(place, large ? 6 : 3));
    rows.forEach((row, i) => {
      const place = locate(row);
      this.ring(place, 7);
      if (numbered) {
        this.label(place, String(i + 1));
      }
    });
  }

  /**
   * @param {Pixel} at
   * @param {number} radius
   */
  dot([x, y], radius) {
    const { context } = this;
    this.ring([x, y], radius, 1.5, this.colors.accent);
    context.fillStyle = this.colors.accent;
    context.fill();
  }

  /**
   * @param {Pixel} at
   * @param {string} text
   */
  label([x, y], text) {
    const { context } = this;
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineWidth = 4;
    context.strokeStyle = this.colors.paper;
    context.strokeText(text, x + 10, y - 8);
    context.fillStyle = this.colors.ink;
    context.fillText(text, x + 10, y - 8);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Pixel[]} points
 * @param {boolean} isClosed
 */
function traceLine(context, points, isClosed) {
  points.forEach(([x, y]) => context.lineTo(x, y));
  if (isClosed) {
    context.closePath();
  }
}
