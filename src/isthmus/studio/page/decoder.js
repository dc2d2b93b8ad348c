/** The picture that the decoder draws at the pointer, and how far to trust it. */

/** @import { Context } from "./types.js" */

/**
 * @param {Context} context
 * @param {HTMLElement} element
 */
export function makeDecoder(context, element) {}
