/** Small line drawings for buttons. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Paths on a square of 20. */
const PATHS = {
  pan: [
    "M10 2v16M2 10h16",
    "M7.5 4.5 10 2l2.5 2.5M7.5 15.5 10 18l2.5-2.5",
    "M4.5 7.5 2 10l2.5 2.5M15.5 7.5 18 10l-2.5 2.5",
  ],
  lasso: [
    "M5.5 13.5C3.6 12.5 2.5 10.9 2.5 9c0-3.3 3.4-6 7.5-6s7.5 2.7 7.5 6-3.4 6-7.5 6c-.5 0-1 0-1.5-.1",
    "M5 14.5a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0M8.200 15.700c.1 1-.6 1.8-2 2.300",
  ],
  rectangle: ["M3 6V3h3M9 3h2M14 3h3v3M17 9v2M17 14v3h-3M11 17H9M6 17H3v-3M3 11V9"],
  path: [
    "M4 16c6 0 2-11 8-11",
    "M2.5 16a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0",
    "M12.5 5a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  ],
  plus: ["M10 4v12M4 10h12"],
  minus: ["M4 10h12"],
  whole: ["M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4", "M7.5 10a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0"],
  pictures: ["M3 3h6v6H3zM11 3h6v6h-6zM3 11h6v6H3zM11 11h6v6h-6z"],
  light: [
    "M6.5 10a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    "M10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2",
    "M4 4l1.4 1.4M14.6 14.6 16 16M16 4l-1.4 1.4M5.4 14.6 4 16",
  ],
  dark: ["M16.5 12.200A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.700 8.700z"],
  close: ["M5 5l10 10M15 5 5 15"],
};

/** @typedef {keyof typeof PATHS} IconName */

/**
 * Make an icon in the color of the text around it; what it means must stand in that text's label.
 *
 * @param {IconName} name
 * @returns {SVGSVGElement}
 */
export function makeIcon(name) {
  const icon = document.createElementNS(NAMESPACE, "svg");
  const attributes = { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" };
  Object.entries(attributes).forEach(([key, value]) => icon.setAttribute(key, value));
  const path = document.createElementNS(NAMESPACE, "path");
  path.setAttribute("d", PATHS[name].join(""));
  icon.append(path);
  return icon;
}
