/** What is seen over the points: thumbnails, areas, marks and cursors. */

/** @import { MapView } from "./map.js" */
/** @import { Marks } from "./types.js" */
/** @import { Pixel } from "./gestures.js" */
/** @import { View } from "./view.js" */

import { rectangleOf } from "./area.js";
import { drawingContext } from "./dom.js";
import { Overlay } from "./overlay.js";
import { Thumbnails } from "./thumbnails.js";

export class Scene {
  /**
   * @param {MapView} map
   * @param {HTMLCanvasElement} canvas
   */
  constructor(map, canvas) {
    this.map = map;
    this.overlay = new Overlay(drawingContext(canvas));
    this.thumbnails = new Thumbnails(map.store);
    /** @type {Map<string, Marks>} what panels show, by panel */
    this.marks = new Map();
    /** @type {Int32Array | null} rows in view, if they are few */
    this.inView = null;
  }

  /**
   * Draw all again.
   *
   * @param {View} [view] that the points are drawn for
   */
  draw(view = this.map.view) {
    const { overlay } = this;
    const { state } = this.map;
    const project = (/** @type {number} */ x, /** @type {number} */ y) =>
      view.toScreen(x, y, this.map.size);
    const locate = (/** @type {number} */ row) => project(...this.map.positionOf(row));
    overlay.clear(this.map.size, devicePixelRatio);
    if (this.map.motion) {
      return; // the points are elsewhere
    }
    this.drawThumbnails(locate);
    this.drawAreas(project);
    for (const marks of this.marks.values()) {
      overlay.marks(marks, locate, project);
    }
    const [sample] = state.numbers("sample");
    if (sample >= 0 && sample < this.map.positions.length / 2) {
      overlay.ring(locate(sample), 9, 3);
    }
    const place = state.numbers("place");
    if (place.length === 2) {
      overlay.cross(project(place[0], place[1]), true);
    }
    this.drawCursor(locate, project);
  }

  /** @param {(row: number) => Pixel} locate */
  drawThumbnails(locate) {
    const { thumbnails, overlay } = this;
    if (!this.inView || !this.wantsThumbnails()) {
      thumbnails.shown = [];
      return;
    }
    const [width, height] = this.thumbnailSides();
    const { context } = overlay;
    // Pictures of few pixels are enlarged pixel by pixel, as next to the map.
    context.imageSmoothingEnabled = thumbnails.store.manifest.thumbs.width > width;
    context.imageSmoothingQuality = "high";
    const { mask } = this.map;
    const rows = mask ? this.inView.filter((row) => mask[row]) : this.inView;
    const shown = thumbnails.choose(rows, locate, [width, height]);
    thumbnails.fetch();
    for (const row of shown) {
      const [x, y] = locate(row);
      const [left, top] = [Math.round(x - width / 2), Math.round(y - height / 2)];
      if (!thumbnails.has(row)) {
        continue; // the point stays until its picture is here
      }
      context.fillStyle = this.map.colorOf(row);
      context.fillRect(left - 2, top - 2, width + 4, height + 4);
      thumbnails.draw(context, row, [left, top, width, height]);
    }
  }

  /** @param {(x: number, y: number) => Pixel} project */
  drawAreas(project) {
    const area = this.map.selection.area();
    if (area) {
      const corners = area.corners.map(([x, y]) => project(x, y));
      this.overlay.outline(corners, { isClosed: true, isDashed: false });
    }
    const { tool, points } = this.map.sketch;
    if (points.length) {
      const drawn = tool === "rectangle" ? rectangleOf(points) : points;
      const isClosed = tool !== "path";
      this.overlay.outline(
        drawn.map(([x, y]) => project(x, y)),
        { isClosed, isDashed: isClosed },
      );
    }
  }

  /**
   * @param {(row: number) => Pixel} locate
   * @param {(x: number, y: number) => Pixel} project
   */
  drawCursor(locate, project) {
    if (this.map.cursor && this.map.cursor.row >= 0) {
      this.overlay.ring(locate(this.map.cursor.row), Math.max(5, this.map.radius() + 2.5));
    }
    if (this.map.cursor?.isKeyboard) {
      this.overlay.cross(project(this.map.cursor.x, this.map.cursor.y), false);
    }
  }

  wantsThumbnails() {
    return this.map.state.get("thumbs") !== "off" && !this.map.motion;
  }

  /** @returns {Pixel} width and height of a thumbnail on the map, in CSS pixels */
  thumbnailSides() {
    const { width, height } = this.map.store.manifest.thumbs;
    const zoom = Math.min(
      2.4,
      Math.max(1, (this.map.wholeView().width / this.map.view.width) ** 0.4 / 1.5),
    );
    const side = Math.min(32, this.map.size.width / 11) * zoom;
    const scale = side / Math.max(width, height);
    return [Math.round(width * scale), Math.round(height * scale)];
  }

  /** Return how many thumbnails there is room for. */
  room() {
    const [width, height] = this.thumbnailSides();
    return (this.map.size.width * this.map.size.height) / ((width + 4) * (height + 4));
  }

  /**
   * Return the sample whose thumbnail is at a pixel.
   *
   * @param {Pixel} at
   */
  thumbnailAt([right, down]) {
    const [width, height] = this.thumbnailSides();
    return this.thumbnails.shown.find((row) => {
      const [x, y] = this.map.view.toScreen(...this.map.positionOf(row), this.map.size);
      return Math.abs(x - right) <= width / 2 && Math.abs(y - down) <= height / 2;
    });
  }
}
