/** Asks for a key, where the server wants one. */

import { h } from "./dom.js";
import { signIn } from "./session.js";

/** @param {{message: string, done: () => void}} options @returns {HTMLElement} */
export function signInView({ message, done }) {
  const field = h("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-hint" });
  const form = h(
    "form",
    { class: "sign-in", onsubmit: submit },
    h("h1", null, "Sign in"),
    h("p", { class: "lead" }, "This server asks for a key."),
    message ? h("p", { class: "told", role: "alert" }, message) : null,
    h("label", { for: "key" }, "API key"),
    field,
    h("p", { class: "aside", id: "key-hint" }, "It is kept in this tab until you close it or sign out, and is sent to this server only. Whoever runs the server has one for you."),
    h("button", { class: "primary", type: "submit" }, "Sign in"),
  );
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (!field.value.trim()) return;
    signIn(field.value);
    done();
  }
  requestAnimationFrame(() => field.focus());
  return form;
}
