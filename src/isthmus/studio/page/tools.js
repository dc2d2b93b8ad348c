/** The buttons at the edge of the map: tools, zoom, thumbnails. */

/** @import { Context } from "./types.js" */
/** @import { IconName } from "./icon.js" */

import { make } from "./dom.js";
import { makeIcon } from "./icon.js";

/** @type {{name: IconName, title: string}[]} */
const TOOLS = [
  { name: "pan", title: "Move the map" },
  { name: "lasso", title: "Select with a lasso (or drag with Shift)" },
  { name: "rectangle", title: "Select a rectangle" },
  { name: "path", title: "Draw a path to morph along" },
];

/**
 * @param {Context} context
 * @returns {HTMLElement}
 */
export function makeTools({ state, map }) {
  const tools = TOOLS.map((tool) =>
    makeButton(tool.name, tool.title, () => state.set({ tool: tool.name }, SMALL)),
  );
  const pictures = makeButton("pictures", "Show thumbnails where there is room", () => {
    state.set({ thumbs: state.get("thumbs") === "off" ? "" : "off" }, SMALL);
  });
  const zoom = [
    makeButton("plus", "Zoom in", () => map.zoom(1.6)),
    makeButton("minus", "Zoom out", () => map.zoom(1 / 1.6)),
    makeButton("whole", "Show the whole map", () => map.showAll()),
    pictures,
  ];
  zoom.slice(0, 2).forEach((button) => button.classList.add("zoom")); // two fingers do it, too
  const update = () => {
    tools.forEach((button, i) => press(button, TOOLS[i].name === state.get("tool")));
    press(pictures, state.get("thumbs") !== "off");
  };
  state.on(["tool", "thumbs"], update);
  update();
  const groups = [tools, zoom].map((buttons) => make("div", { class: "tool-group" }, buttons));
  return make(
    "div",
    { class: "map-tools", role: "group", "aria-label": "Tools of the map" },
    groups,
  );
}

/** The back button does not return to another tool. */
const SMALL = { isStep: false };

/**
 * Make a button with an icon.
 *
 * @param {IconName} icon
 * @param {string} title
 * @param {() => void} click
 */
export function makeButton(icon, title, click) {
  return make(
    "button",
    { class: "icon-button", title, "aria-label": title, click },
    [makeIcon(icon)],
  );
}

/**
 * @param {HTMLButtonElement} button
 * @param {boolean} isPressed
 */
function press(button, isPressed) {
  button.setAttribute("aria-pressed", String(isPressed));
}
