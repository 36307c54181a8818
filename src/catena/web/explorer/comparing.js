/** The choice of a second turn to compare the first one with. */

import { go } from "./route.js";

const NARROW = "(max-width: 760px)";

export class Comparing {
  /** @param {import("./shell.js").Shell} shell */
  constructor(shell) {
    this.shell = shell;
    this.first = "";
  }

  /** @param {string} id the first one */
  start(id) {
    this.#set(id);
    if (matchMedia(NARROW).matches) go({ view: "turn", id, tab: "tree" });
    this.shell.picture.element.focus();
  }

  stop() {
    this.#set("");
  }

  /** Choose the second one. False if none is to be chosen now. @param {string} id */
  with(id) {
    if (!this.first) return false;
    if (id !== this.first) go({ view: "compare", left: this.first, right: id });
    return true;
  }

  /** @param {string} id */
  #set(id) {
    this.first = id;
    this.shell.picture.mark(id);
    this.shell.comparing(Boolean(id));
  }
}
