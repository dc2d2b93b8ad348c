/** Pictures that are dropped on the page, pasted, or chosen. */

import { make } from "./dom.js";

/** What a picture may have at most; a server refuses the same. */
const MAX_BYTES = 20_000_000;
const MAX_PIXELS = 50_000_000;

/**
 * Call a function with every picture that is dropped anywhere on the page, or pasted.
 *
 * @param {(picture: File) => void} take
 * @param {(text: string) => void} say
 */
export function listenForPictures(take, say) {
  const cover = make("div", {
    class: "drop-cover",
    hidden: true,
    text: "Drop the picture to search",
  });
  document.body.append(cover);
  let depth = 0; // of elements that the pointer has entered, one within the other
  const show = (/** @type {number} */ change) => {
    depth = Math.max(0, depth + change);
    cover.hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => hasFiles(event.dataTransfer) && show(1));
  addEventListener("dragleave", (event) => hasFiles(event.dataTransfer) && show(-1));
  addEventListener("dragover", (event) => hasFiles(event.dataTransfer) && event.preventDefault());
  addEventListener("drop", (event) => {
    show(-Infinity);
    if (hasFiles(event.dataTransfer)) {
      event.preventDefault();
      takeFirst(event.dataTransfer, take, say);
    }
  });
  addEventListener(
    "paste",
    (event) => hasFiles(event.clipboardData) && takeFirst(event.clipboardData, take, say),
  );
}

/**
 * Make a button that lets a picture be chosen from the disk.
 *
 * @param {(picture: File) => void} take
 */
export function makeFileButton(take) {
  const input = make("input", {
    type: "file",
    accept: "image/*",
    hidden: true,
    "aria-label": "Picture",
  });
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    input.value = ""; // so that the same file can be chosen again
    if (file) {
      take(file);
    }
  });
  const button = make("button", { text: "Choose a picture…", click: () => input.click() });
  return make("span", {}, [button, input]);
}

/**
 * Refuse a picture that is too large, before it is decoded.
 *
 * @param {Blob} file
 */
export async function requirePicture(file) {
  if (file.size > MAX_BYTES) {
    throw new Error(`The picture has ${(file.size / 1e6).toFixed(1)} MB; at most 20 MB are read.`);
  }
  const [width, height] = await measure(file);
  if (width * height > MAX_PIXELS) {
    const sides = `${width.toLocaleString("en")} × ${height.toLocaleString("en")}`;
    throw new Error(`The picture has ${sides} pixels; at most 50 million are read.`);
  }
}

/** Whether something that is dragged or pasted holds files. */
function hasFiles(/** @type {DataTransfer | null} */ data) {
  return Boolean(data?.types.includes("Files"));
}

/**
 * @param {DataTransfer | null} data
 * @param {(picture: File) => void} take
 * @param {(text: string) => void} say
 */
function takeFirst(data, take, say) {
  const files = [...(data?.files ?? [])];
  const picture = files.find((file) => file.type.startsWith("image/")) ?? files[0];
  if (files.length > 1) {
    say(`${files.length} files were dropped; ${picture.name} is searched.`);
  }
  if (picture) {
    take(picture);
  }
}

/**
 * Return the sides of a picture; its pixels are not decoded for that.
 *
 * @param {Blob} file
 * @returns {Promise<[number, number]>}
 */
function measure(file) {
  const image = new Image();
  const address = URL.createObjectURL(file);
  return new Promise((resolve, reject) => {
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => reject(new Error("The browser cannot read this file as a picture."));
    image.src = address;
  }).finally(() => URL.revokeObjectURL(address));
}
