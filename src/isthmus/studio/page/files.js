/**
 * Where files come from: a server, a folder of a web host, or the one HTML file itself.
 *
 * The single file holds everything in elements `<script type="text/plain" data-file="…">`: data in
 * base64, and the scripts of workers as text, because a page from a disk may neither fetch nor
 * import.
 */

/** @import { Store } from "./store.js" */

import { bytesOf, joinParts } from "./parts.js";

/** What interrupts a part of the page that will begin again by itself, with newer data. */
export const CHANGED = "The data changed meanwhile.";

/** What a server answers when the manifest that a page knows is no longer true. */
const GONE = 204;

/** Whose manifest a server is asked by; of a page without a server there is none. */
let asking = /** @type {Store | null} */ (null);

/**
 * Ask the server from now on only for what fits the manifest of a store.
 *
 * @param {Store} store
 */
export function askBy(store) {
  asking = store;
}

/** Whether the page is one file that holds its own data. */
function isSingleFile() {
  return embedded("data/manifest.json") !== null;
}

/**
 * Read a file of the data, by its path in the manifest.
 *
 * @param {string} path
 * @returns {Promise<ArrayBuffer>}
 */
export async function readData(path) {
  const element = embedded(`data/${path}`);
  if (element) {
    const text = element.textContent ?? "";
    return "parts" in element.dataset ? joinParts(JSON.parse(text), readData) : fromBase64(text);
  }
  if (isSingleFile()) {
    throw new Error(`This page was exported without ${path}.`);
  }
  return (await ask(`data/${path}`)).arrayBuffer();
}

/**
 * Read a JSON file of the data.
 *
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function readJson(path) {
  return JSON.parse(new TextDecoder().decode(await readData(path)));
}

/**
 * Ask the server that the page came from.
 *
 * While a run is trained, the server may have taken up better weights that the page does not know
 * yet. It then answers nothing that would not fit, and the page reads the manifest again.
 *
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function ask(path, options = {}) {
  const store = asking;
  const headers = new Headers(options.headers);
  if (store) {
    headers.set("Isthmus-Snapshot", store.manifest.snapshot);
  }
  const answer = await fetch(path, { ...options, headers });
  if (!answer.ok) {
    throw new Error(await reason(answer));
  }
  if (answer.status === GONE) {
    await store?.renew();
    throw new Error(CHANGED);
  }
  return answer;
}

/**
 * Start the worker of a script of the page.
 *
 * @param {string} name such as "engine.worker.js"
 * @returns {Worker}
 */
export function startWorker(name) {
  const element = embedded(name);
  if (!element) {
    return new Worker(name, { type: "module" });
  }
  const script = new Blob([element.textContent ?? ""], { type: "text/javascript" });
  const address = URL.createObjectURL(script);
  return new Worker(address);
}

/**
 * Read a binary file of the page's own, such as the kernels of the engine.
 *
 * @param {string} name
 * @returns {Promise<ArrayBuffer>}
 */
export async function readAsset(name) {
  const element = embedded(name);
  return element ? fromBase64(element.textContent ?? "") : (await ask(name)).arrayBuffer();
}

/**
 * @param {string} name
 * @returns {HTMLScriptElement | null}
 */
function embedded(name) {
  return document.querySelector(`script[data-file="${CSS.escape(name)}"]`);
}

/**
 * @param {string} text
 * @returns {ArrayBuffer}
 */
export function fromBase64(text) {
  return bytesOf(text).buffer;
}

/**
 * @param {Response} answer
 * @returns {Promise<string>}
 */
async function reason(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `The server answered ${answer.status} for ${new URL(answer.url).pathname}.`;
  }
}
