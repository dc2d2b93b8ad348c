/** The side's tabs: one panel is open, and the state says which. */

/** @import { Panel } from "./types.js" */
/** @import { State } from "./state.js" */

import { byId, make } from "./dom.js";

/**
 * Fill the tabs with panels.
 *
 * @param {State} state
 * @param {Panel[]} panels at least one
 */
export function makeTabs(state, panels) {
  const tabs = panels.map((panel) => makeTab(state, panel));
  byId("tabs").replaceChildren(...tabs);
  byId("tabs").addEventListener("keydown", (event) => moveFocus(event, tabs));
  byId("panels").replaceChildren(...panels.map((panel) => panel.element));
  /** @type {Panel | null} */
  let open = null;
  const update = () => {
    const wanted = panels.find((panel) => panel.name === state.get("panel")) ?? panels[0];
    if (wanted === open) {
      return;
    }
    open?.hide?.();
    open = wanted;
    panels.forEach((panel, i) => select(panel, tabs[i], panel === wanted));
    wanted.show?.();
  };
  state.on(["panel"], update);
  update();
}

/**
 * @param {State} state
 * @param {Panel} panel
 * @returns {HTMLButtonElement}
 */
function makeTab(state, { name, title, element }) {
  element.id = `panel-${name}`;
  element.setAttribute("role", "tabpanel");
  element.setAttribute("aria-labelledby", `tab-${name}`);
  return make("button", {
    id: `tab-${name}`,
    role: "tab",
    "aria-controls": element.id,
    text: title,
    click: () => state.set({ panel: name }),
  });
}

/**
 * @param {Panel} panel
 * @param {HTMLButtonElement} tab
 * @param {boolean} isOpen
 */
function select(panel, tab, isOpen) {
  panel.element.hidden = !isOpen;
  tab.setAttribute("aria-selected", String(isOpen));
  tab.tabIndex = isOpen ? 0 : -1; // arrow keys lead to the others
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLButtonElement[]} tabs
 */
function moveFocus(event, tabs) {
  const at = tabs.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const places = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
  if (event.key in places) {
    const tab = tabs[(places[event.key] + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
    event.preventDefault();
  }
}
