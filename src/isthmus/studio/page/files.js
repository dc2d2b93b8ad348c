/**
 * Where files come from: a server, a folder of a web host, or the one HTML file itself.
 *
 * The single file holds everything in elements `<script type="text/plain" data-file="…">`: data in
 * base64, and the scripts of workers as text, because a page from a disk may neither fetch nor
 * import.
 */

import { bytesOf, joinParts } from "./parts.js";

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
  const answer = await fetch(`data/${path}`);
  if (!answer.ok) {
    throw new Error(await reason(answer));
  }
  return answer.arrayBuffer();
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
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (!answer.ok) {
    throw new Error(await reason(answer));
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
