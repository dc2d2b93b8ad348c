/** Elements in few words. Text is only ever text, so names and labels cannot become markup. */

/**
 * Make an element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean | EventListener>} [attributes] `text` is its text; a
 *   function listens to the event of that name; true sets an attribute without a value, false none
 * @param {(Node | string)[]} [children]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  if (tag === "button") {
    element.setAttribute("type", "button"); // it sends no form, unless its attributes say so
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (name === "text") {
      element.textContent = String(value);
    } else if (value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children);
  return element;
}

/**
 * Make a canvas.
 *
 * @param {number} width in pixels
 * @param {number} height
 * @param {Parameters<typeof make>[1]} [attributes]
 */
export function makeCanvas(width, height, attributes) {
  const canvas = make("canvas", attributes);
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

/**
 * Fill a menu.
 *
 * @param {HTMLSelectElement} menu
 * @param {string[][]} options the value and the text of each
 * @param {string} chosen a value; the first one if there is no such option
 */
export function fillMenu(menu, options, chosen) {
  menu.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
  menu.value = chosen;
  menu.selectedIndex = Math.max(0, menu.selectedIndex);
}

/**
 * Return the element with an id.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`The page has no element ${id}.`);
  }
  return element;
}

/**
 * Return a context to draw on a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function drawingContext(canvas) {
  const context = canvas.getContext("2d");
  if (!context) {
    throw new Error("This browser cannot draw; use a current one.");
  }
  return context;
}

/**
 * Call a function at most once a frame, with the arguments of the last call.
 *
 * @template {unknown[]} A
 * @param {(...args: A) => void} action
 * @returns {(...args: A) => void}
 */
export function onceAFrame(action) {
  /** @type {A | null} */
  let waiting = null;
  return (...args) => {
    if (!waiting) {
      requestAnimationFrame(() => {
        const last = /** @type {A} */ (waiting);
        waiting = null;
        action(...last);
      });
    }
    waiting = args;
  };
}

/**
 * Format a number for people: three significant digits, or all digits of a whole number.
 *
 * @param {number} value
 */
export function formatNumber(value) {
  if (Number.isNaN(value)) {
    return "none";
  }
  if (Number.isInteger(value)) {
    return value.toLocaleString("en");
  }
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

/**
 * Offer bytes as a file to save.
 *
 * @param {Blob} content
 * @param {string} name
 */
export function saveFile(content, name) {
  const link = make("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
