/** Focus stays where it was when the button that had it is taken away. */

/**
 * Move the focus to the panel around an element that had it and was removed or hidden.
 *
 * @param {HTMLElement} side
 */
export function keepFocus(side) {
  /** @type {Element | null} */
  let focused = null;
  /** @type {HTMLElement} */
  let panel = side;
  side.addEventListener("focusin", ({ target }) => {
    focused = /** @type {Element} */ (target);
    panel = focused.closest("[role=tabpanel]") ?? side;
  });
  side.addEventListener("focusout", () => {
    focused = focused && isGone(focused) ? focused : null;
  });
  const check = () => {
    if (focused && isGone(focused)) {
      focused = null;
      const target = panel.hidden ? side : panel;
      target.tabIndex = -1;
      target.focus({ preventScroll: true });
    }
  };
  const changes = { subtree: true, childList: true, attributeFilter: ["hidden"] };
  new MutationObserver(check).observe(side, changes);
}

/** @param {Element} element */
function isGone(element) {
  return !element.isConnected || element.closest("[hidden]") !== null;
}
