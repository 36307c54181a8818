/** Where one begins: a box for a first message, and the lines that make a chain from elsewhere. */

import { Composer } from "./composer.js";
import { codeBlock } from "./dialog.js";
import { h } from "./dom.js";
import { currentKey } from "./session.js";
import { curlLines, pythonLines } from "./snippets.js";

/**
 * @param {{empty: boolean, send: (text: string, model: string) => Promise<void>}} options
 * @returns {HTMLElement}
 */
export function homeView({ empty, send }) {
  const composer = new Composer({ label: "First message", hint: "Say something to a model …", send });
  const keyed = Boolean(currentKey());
  return h(
    "div",
    { class: "home" },
    h("h1", null, empty ? "No turns yet" : "A new chain"),
    h(
      "p",
      { class: "lead" },
      empty
        ? "Each turn you make is kept, with all that came before it. Begin here, or from your own code; what is made shows up by itself."
        : "Write a first message. Continue it from any of its turns later: each continuation of the same turn is a branch.",
    ),
    composer.element,
    h("h2", null, "From your own code"),
    codeBlock("Python", pythonLines(location.origin, null, keyed)),
    codeBlock("curl", curlLines(location.origin, null, keyed)),
  );
}
