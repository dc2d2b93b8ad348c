/** The worker that draws points: it gets points, colors and selection, and draws on demand. */

/** @import { Drawn, Frame } from "./raster.js" */
/** @import { Box, Points } from "./points.js" */

import { Raster } from "./raster.js";

/**
 * @typedef {{type: "points", positions: Float32Array} |
 *   {type: "levels", levels: Uint8Array | Uint16Array} |
 *   {type: "palette", palette: Int32Array, lowest: number} |
 *   {type: "mask", mask: Uint8Array | null} |
 *   {type: "draw", frame: Frame, spare: ArrayBuffer | null} |
 *   {type: "nearest", id: number, x: number, y: number, distance: number}} Request
 */

/**
 * @typedef {{type: "points", box: Box, moves: boolean} |
 *   {type: "drawn", drawn: Drawn, frame: Frame, time: number} |
 *   {type: "nearest", id: number, row: number}} Answer
 */

const raster = new Raster();

/** @type {(answer: Answer, owned?: Transferable[]) => void} */
const answer = (message, owned = []) => postMessage(message, { transfer: owned });

addEventListener("message", ({ data }) => handle(data));

/** @param {Request} request */
function handle(request) {
  switch (request.type) {
    case "points":
      raster.setPoints(request.positions);
      return answer({
        type: "points",
        box: /** @type {Points} */ (raster.points).box,
        moves: raster.before !== null,
      });
    case "levels":
      return raster.setLevels(request.levels);
    case "palette":
      return raster.setPalette(request.palette, request.lowest);
    case "mask":
      return raster.setMask(request.mask);
    case "draw":
      return draw(request.frame, request.spare);
    case "nearest":
      return answer({
        type: "nearest",
        id: request.id,
        row: raster.nearest(request.x, request.y, request.distance),
      });
  }
}

/**
 * @param {Frame} frame
 * @param {ArrayBuffer | null} spare
 */
function draw(frame, spare) {
  const start = performance.now();
  const drawn = raster.draw(frame, spare);
  const time = performance.now() - start;
  answer({ type: "drawn", drawn, frame, time }, [/** @type {ArrayBuffer} */ (drawn.pixels.buffer)]);
}
