/** Small line drawings for buttons. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Paths on a square of 20. */
const PATHS = {
  pan: "M10 2v16M2 10h16M7.5 4.5 10 2l2.5 2.5M7.5 15.5 10 18l2.5-2.5M4.5 7.5 2 10l2.5 2.5M15.5 7.5 18 10l-2.5 2.5",
  lasso: "M6.5 14.2C3.900 13.200 2.500 11.300 2.500 9c0-3.500 3.400-6 7.500-6s7.500 2.500 7.500 6-3.400 6-7.500 6c-.6 0-1.100 0-1.600-.1M8.400 14.900a1.900 1.900 0 1 1-3.600-.3c.4-.9 1.500-1.300 2.500-.9.7.3 1.100.8 1.100 1.500 0 1.500-1 2.300-2.600 2.800",
  rectangle: "M3 6V3h3M9 3h2M14 3h3v3M17 9v2M17 14v3h-3M11 17H9M6 17H3v-3M3 11V9",
  path: "M4 16c6 0 2-11 8-11M2.500 16a1.500 1.500 0 1 0 3 0a1.500 1.500 0 1 0-3 0M12.500 5a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  whole: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4M7.500 10a2.500 2.500 0 1 0 5 0a2.500 2.500 0 1 0-5 0",
  pictures: "M3 3h6v6H3zM11 3h6v6h-6zM3 11h6v6H3zM11 11h6v6h-6z",
  light: "M10 6.500a3.500 3.500 0 1 0 0 7a3.500 3.500 0 1 0 0-7M10 1.500v2M10 16.500v2M1.500 10h2M16.500 10h2M4 4l1.400 1.400M14.600 14.600 16 16M16 4l-1.400 1.400M5.400 14.600 4 16",
  dark: "M16.500 12.200A7 7 0 0 1 7.800 3.500a7 7 0 1 0 8.700 8.700z",
  close: "M5 5l10 10M15 5 5 15",
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
  path.setAttribute("d", PATHS[name]);
  icon.append(path);
  return icon;
}
