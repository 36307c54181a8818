/** Light, dark, or as the system has it. */

import { h } from "./dom.js";

const PLACE = "catena.theme";
const NEXT = /** @type {Record<string, string>} */ ({ system: "light", light: "dark", dark: "system" });
const SIGN = /** @type {Record<string, string>} */ ({ system: "◐", light: "○", dark: "●" });

/** A button that goes through them. @returns {HTMLElement} */
export function themeButton() {
  const button = h("button", { type: "button", class: "quiet icon", onclick: () => set(NEXT[current()]) });
  set(stored());
  return button;

  /** @param {string} theme */
  function set(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = SIGN[theme];
    button.setAttribute("aria-label", `Colours: ${theme}. Change to ${NEXT[theme]}`);
    button.title = `Colours: ${theme}`;
    try {
      localStorage.setItem(PLACE, theme);
    } catch {
      // A browser that stores nothing: it lasts until the page is left.
    }
  }
}

const current = () => document.documentElement.dataset.theme ?? "system";

function stored() {
  try {
    const theme = localStorage.getItem(PLACE) ?? "";
    return theme in NEXT ? theme : "system";
  } catch {
    return "system";
  }
}
