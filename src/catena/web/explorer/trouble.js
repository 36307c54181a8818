/** What is shown where something could not be: what happened, and what to do now. */

import { ApiError } from "./api.js";
import { h } from "./dom.js";

/** @param {Error} error @param {() => void} again @returns {HTMLElement} */
export function troubleView(error, again) {
  const missing = error instanceof ApiError && error.status === 404;
  return h(
    "div",
    { class: "home" },
    h("h1", null, missing ? "That turn is not here" : "That did not work"),
    h("p", { class: "lead", role: "alert" }, error.message),
    missing
      ? h(
          "p",
          null,
          "It may belong to another project, have been removed after its time, or never have been stored (",
          h("code", null, "store: false"),
          "). Check the id, or choose a tree from the list.",
        )
      : h("button", { type: "button", class: "primary", onclick: again }, "Try again"),
    h("p", null, h("a", { href: "#/" }, "Begin a new chain")),
  );
}
