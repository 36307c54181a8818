/** Questions that must be answered before anything else, and short notes. */

import { h } from "./dom.js";

/**
 * Ask, and resolve with the value of what was chosen, or null.
 * @param {string} title @param {(Node | string)[]} body
 * @param {{label: string, value: string, kind?: string}[]} choices
 * @returns {Promise<{value: string, dialog: HTMLDialogElement} | null>}
 */
export function ask(title, body, choices) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        ...body,
        h("div", { class: "choices" }, h("button", { value: "", type: "submit", formnovalidate: true }, choices.length ? "Cancel" : "Close"), ...choices.map(choice)),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue ? { value: dialog.returnValue, dialog } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** @param {{label: string, value: string, kind?: string}} each */
const choice = ({ label, value, kind = "" }) => h("button", { value, class: kind, type: "submit" }, label);

const notes = h("div", { class: "notes", role: "status" });

/** Say something short at the edge of the page. @param {string} text */
export function note(text) {
  if (!notes.isConnected) document.body.append(notes);
  const element = h("p", null, text);
  notes.replaceChildren(element);
  setTimeout(() => element.remove(), 5000);
}

/** A button that copies. @param {() => string} text @param {string} label says what @param {string} [word] */
export function copyButton(text, label, word = "Copy") {
  const button = h("button", { type: "button", class: "quiet copy", "aria-label": label, onclick: copy }, word);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text());
      note("Copied.");
    } catch {
      note("The browser does not let this page copy. Select the text instead.");
    }
  }
  return button;
}

/** Lines of code with a button that copies them. @param {string} title @param {string} lines */
export function codeBlock(title, lines) {
  return h("figure", { class: "code" }, h("figcaption", null, title, copyButton(() => lines, `Copy the lines for ${title}`)), h("pre", { tabindex: "0" }, h("code", null, lines)));
}
