/** The operators of ONNX that the engine knows. */

import { CONVOLUTION } from "./convolution.js";
import { ELEMENTWISE } from "./elementwise.js";
import { MATRIX } from "./matrix.js";
import { REDUCTIONS } from "./reductions.js";
import { SHAPES } from "./shapes.js";

/** @import { Operator } from "./space.js" */

/** @type {Record<string, Operator>} */
export const OPERATORS = { ...CONVOLUTION, ...ELEMENTWISE, ...MATRIX, ...REDUCTIONS, ...SHAPES };
