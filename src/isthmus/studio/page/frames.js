/** Samples as pixels, for files: films as GIF, strips as PNG. */

/** @import { Sample, SampleKind } from "./types.js" */

import { drawingContext, makeCanvas } from "./dom.js";
import { drawSample, makePicture, pictureSize, toImage } from "./picture.js";

/** Pixels that the longer side of a picture should have in a file. */
const SIDE = 224;

/** Pixels between the pictures of a strip. */
const GAP = 4;

/**
 * Return how many pixels of a file show one pixel of a sample, along both sides.
 *
 * @param {SampleKind} kind
 */
export function fileScale(kind) {
  return Math.max(1, Math.round(SIDE / Math.max(...pictureSize(kind))));
}

/**
 * Return samples as pictures: images pixel by pixel, signals as black lines on white.
 *
 * @param {Sample[]} samples
 * @param {SampleKind} kind
 * @returns {ImageData[]}
 */
export function toFrames(samples, kind) {
  if (kind.kind === "image") {
    return samples.map((sample) => toImage(sample, kind.shape));
  }
  const [width, height] = pictureSize(kind);
  return samples.map((sample) => {
    const context = onWhite(width, height);
    context.drawImage(drawn(sample, kind), 0, 0);
    return context.getImageData(0, 0, width, height);
  });
}

/**
 * Return samples side by side as a PNG file.
 *
 * @param {Sample[]} samples
 * @param {SampleKind} kind
 * @returns {Promise<Blob>}
 */
export function stripAsPng(samples, kind) {
  const scale = fileScale(kind);
  const [width, height] = pictureSize(kind).map((side) => side * scale);
  const context = onWhite(samples.length * (width + GAP) - GAP, height);
  context.imageSmoothingEnabled = false;
  samples.forEach((sample, i) => {
    context.drawImage(drawn(sample, kind), i * (width + GAP), 0, width, height);
  });
  return new Promise((resolve, reject) => {
    context.canvas.toBlob((blob) => {
      if (blob) {
        resolve(blob);
      } else {
        reject(new Error("This browser could not make a PNG; try fewer pictures."));
      }
    });
  });
}

/**
 * @param {Sample} sample
 * @param {SampleKind} kind
 */
function drawn(sample, kind) {
  const canvas = makePicture(kind, "");
  drawSample(canvas, sample, kind);
  return canvas;
}

/**
 * @param {number} width
 * @param {number} height
 */
function onWhite(width, height) {
  const context = drawingContext(makeCanvas(width, height));
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  return context;
}
