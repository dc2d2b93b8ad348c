/** The bar's controls: which map, what colors it, which tool, and the theme. */

/** @import { Context } from "./types.js" */

/** @param {Context} context */
export function makeControls(context) {}
