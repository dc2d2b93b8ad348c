/**
 * Types of what the modules of the page share; nothing here runs.
 *
 * The data's types follow `data/manifest.json`, which isthmus.studio.content writes.
 */

/**
 * @typedef {{kind: "image", shape: number[]} |
 *   {kind: "signal", shape: number[], low: number, high: number}} SampleKind
 *   The shape is (H, W, C) of an image and (L, C) of a signal.
 */

/**
 * @typedef {Object} ColumnEntry
 * @property {string} name
 * @property {string} title
 * @property {"category" | "number"} kind
 * @property {string} file
 * @property {string[]} [names] of the categories
 * @property {number} [low] the 1st percentile of the numbers
 * @property {number} [high] the 99th percentile
 */

/**
 * @typedef {Object} Quality
 * @property {number | null} trustworthiness
 * @property {number | null} continuity
 * @property {number} neighbors
 * @property {number | null} knn_1
 * @property {number | null} knn_10
 * @property {number} measured
 * @property {Quality | null} [raw_pca]
 */

/**
 * @typedef {{kind: "linear", mean: number[], components: number[][], explained: number[]} |
 *   {kind: "code"} |
 *   {kind: "neighbors", spacing: number, anchors: number, fitted: string | null}} MapDecoding
 */

/**
 * @typedef {Object} MapEntry
 * @property {string} method
 * @property {string} title
 * @property {string} file
 * @property {MapDecoding} decode how a place on the map becomes a code
 * @property {Quality | null} quality null while it is being measured
 */

/**
 * @typedef {Object} NetworkEntry
 * @property {string} file
 * @property {number} bytes
 */

/**
 * @typedef {Object} LayerEntry
 * @property {string} name
 * @property {string} kind
 * @property {number[]} shape
 * @property {string} output the tensor's name in the file
 */

/**
 * @typedef {Object} Sheets
 * @property {string} pattern
 * @property {number} per_sheet
 * @property {number} columns
 * @property {number} width of one cell, in pixels
 * @property {number} height
 * @property {boolean} lossless
 * @property {boolean} exact whether a cell holds a sample's own pixels
 */

/**
 * @typedef {Object} CodeStatistics
 * @property {number[]} mean
 * @property {number[]} low the 1st percentile of each number of the code
 * @property {number[]} high the 99th percentile
 * @property {{quantiles: number[]}} spacing distances from a sample's code to the nearest other
 * @property {{components: number[][], scale: number[], explained: number[]}} axes principal axes
 * @property {{quantiles: number[]} | null} drift distances |encode(decode(z)) - z| of real codes
 */

/**
 * @typedef {Object} MixtureEntry normal distributions over the codes of the training samples
 * @property {string} means the file of a code for each
 * @property {string} factors the file of a lower triangular matrix for each, row after row, or of
 *   standard deviations
 * @property {boolean} is_diagonal whether it is standard deviations
 * @property {number[]} weights the share of each
 * @property {number[]} classes the index in `names` of each, or -1
 * @property {string[]} names of the classes
 */

/**
 * @typedef {Object} Manifest
 * @property {number} format
 * @property {string} version
 * @property {string} name
 * @property {boolean} live
 * @property {string} fingerprint of all that is shown
 * @property {string} snapshot of the model and the choice of samples; while it stays, files do
 * @property {string} model
 * @property {"reconstruct" | "classify" | "segment" | "encode"} task
 * @property {SampleKind} sample
 * @property {{crop: number | null, size: number[] | null, channels: number | null,
 *   background: string}} preprocessing
 * @property {number} count
 * @property {number} code_size
 * @property {string} source
 * @property {string} split
 * @property {boolean} data_available
 * @property {("networks" | "drift" | "quality" | "sheets" | "findings" | "mixture")[]} pending what a
 *   server still makes; a "manifest" event follows
 * @property {string} note
 * @property {ColumnEntry[]} columns
 * @property {{pattern: string, per_file: number}} names
 * @property {{file: string, in_page: boolean}} codes
 * @property {CodeStatistics} code_statistics
 * @property {{file: string} | null} class_codes
 * @property {MixtureEntry | null} mixture
 * @property {MapEntry[]} maps
 * @property {string[]} methods
 * @property {Sheets} thumbs
 * @property {{pattern: string} | null} samples
 * @property {{file: string} | null} signals
 * @property {{pattern: string, predicted: string, names: string[], colors: string[]} | null} masks
 * @property {{encoder: NetworkEntry | null, decoder: NetworkEntry | null,
 *   layers: (NetworkEntry & {layers: LayerEntry[]}) | null}} networks
 * @property {string | null} history null of a model without a run
 * @property {{pattern: string, kept: number[], rows: number[], inputs: string} | null} epochs
 */

/**
 * @typedef {{kind: "category", name: string, title: string, values: Uint8Array | Uint16Array,
 *   names: string[]} |
 *   {kind: "number", name: string, title: string, values: Float32Array, low: number,
 *   high: number}} Column
 *   The largest value of a category's type means that a sample has none.
 */

/** @typedef {Uint8Array | Float32Array} Sample the numbers of one sample, as they are stored */

/**
 * @typedef {Object} History
 * @property {Record<string, number | boolean>[]} lines one for each epoch
 * @property {number} epochs
 * @property {number | null} patience
 * @property {string} loss
 * @property {boolean} is_training
 * @property {string[]} findings what looks wrong with the run; none if all is well
 * @property {string[]} reading what was read from the source; none of a run of an older version
 */

/**
 * @typedef {Object} Hover where the pointer is on the map
 * @property {number} x in the map's units
 * @property {number} y
 * @property {number} row the sample under the pointer, or -1
 */

/**
 * @typedef {Object} Marks what a panel shows on the map
 * @property {number[]} [rows] samples to circle
 * @property {[number, number][]} [points] places, in the map's units
 * @property {boolean} [line] whether a line joins the points
 * @property {boolean} [large] whether the points are drawn large
 * @property {boolean} [numbered] whether the samples are numbered from 1
 */

/**
 * @typedef {Object} Panel a tab of the side
 * @property {string} name in the link
 * @property {string} title on the tab
 * @property {HTMLElement} element
 * @property {() => void} [show] called when the tab is opened
 * @property {() => void} [hide] called when another is opened
 */

/** @import { Engine } from "./engine.js" */
/** @import { MapView } from "./map.js" */
/** @import { Place } from "./place.js" */
/** @import { Selection } from "./selection.js" */
/** @import { State } from "./state.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {Object} Context what every part of the page is given
 * @property {Store} store
 * @property {State} state
 * @property {Engine} engine
 * @property {Selection} selection
 * @property {MapView} map
 * @property {Place} place
 * @property {(text: string) => void} say shows one sentence in the status line
 */
