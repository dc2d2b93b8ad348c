/** Samples as pictures: images pixel by pixel, signals as lines. */

/** @import { Sample, SampleKind } from "./types.js" */

import { drawingContext, makeCanvas } from "./dom.js";

/** Pixels of the canvas that a signal is drawn on. */
const SIGNAL_SIDES = [256, 128];

/**
 * Make an empty canvas for samples of a kind.
 *
 * @param {SampleKind} kind
 * @param {string} label for screen readers
 * @returns {HTMLCanvasElement}
 */
export function makePicture(kind, label) {
  const [width, height] = pictureSize(kind);
  return makeCanvas(width, height, { class: "picture", role: "img", "aria-label": label });
}

/**
 * Return the width and height of the canvas of one sample.
 *
 * @param {SampleKind} kind
 */
export function pictureSize(kind) {
  return kind.kind === "image" ? [kind.shape[1], kind.shape[0]] : SIGNAL_SIDES;
}

/**
 * Draw a sample on a canvas that `makePicture` made.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Sample} sample
 * @param {SampleKind} kind
 */
export function drawSample(canvas, sample, kind) {
  if (kind.kind === "image") {
    drawingContext(canvas).putImageData(toImage(sample, kind.shape), 0, 0);
  } else {
    drawSignal(canvas, sample, kind);
  }
}

/**
 * Return an image (H, W, C) as pixels with color and opacity.
 *
 * @param {Sample} sample
 * @param {number[]} shape
 * @returns {ImageData}
 */
export function toImage(sample, [height, width, channels]) {
  const image = new ImageData(width, height);
  const isGray = channels < 3;
  for (let i = 0; i < width * height; i++) {
    for (let color = 0; color < 3; color++) {
      image.data[4 * i + color] = sample[channels * i + (isGray ? 0 : color)];
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Sample} sample
 * @param {{shape: number[], low: number, high: number}} kind
 */
function drawSignal(canvas, sample, { shape: [length, channels], low, high }) {
  const context = drawingContext(canvas);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = getComputedStyle(canvas).color;
  context.lineWidth = 1.5;
  for (let channel = 0; channel < channels; channel++) {
    context.globalAlpha = channel ? 0.5 : 1;
    context.beginPath();
    for (let i = 0; i < length; i++) {
      const share = (sample[channels * i + channel] - low) / (high - low || 1);
      const x = (i / Math.max(1, length - 1)) * canvas.width;
      context.lineTo(x, (1 - share) * (canvas.height - 4) + 2);
    }
    context.stroke();
  }
  context.globalAlpha = 1;
}
