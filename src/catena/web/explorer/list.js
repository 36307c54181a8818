/** The trees there are, newest activity first, and the search over what was said. */

import { fill, h } from "./dom.js";
import { ago, plural, statusWords } from "./format.js";
import { go, hashOf } from "./route.js";

export class TreeList {
  /** @param {() => void} more asks for older trees */
  constructor(more) {
    /** @type {any[]} */
    this.entries = [];
    this.hasMore = false;
    this.current = "";
    this.search = "";
    this.field = h("input", { type: "search", id: "search", placeholder: "Search what was said", "aria-label": "Search trees", autocomplete: "off", spellcheck: "false" });
    this.field.addEventListener("input", () => this.#typed());
    this.body = h("ul", { class: "trees" });
    this.more = h("button", { class: "quiet", type: "button", hidden: true, onclick: more }, "Older trees");
    this.status = h("p", { class: "aside list-status", role: "status" });
    this.element = h(
      "nav",
      { class: "list", "aria-label": "Trees" },
      h("div", { class: "list-head" }, this.field, h("a", { class: "button", href: "#/", onclick: () => this.#focusFirst() }, "New")),
      this.status,
      this.body,
      this.more,
    );
  }

  #timer = 0;

  /** @param {any[]} entries @param {{hasMore: boolean, search: string}} page */
  show(entries, { hasMore, search }) {
    const same = JSON.stringify(entries) === JSON.stringify(this.entries) && search === this.search;
    this.entries = entries;
    this.hasMore = hasMore;
    this.search = search;
    if (document.activeElement !== this.field) this.field.value = search;
    this.more.hidden = !hasMore;
    this.status.textContent = search ? (entries.length ? `${plural(entries.length, "tree")}${hasMore ? " and more" : ""} with “${search}”` : `Nothing was said about “${search}”.`) : "";
    if (same) this.#times();
    else this.#draw();
  }

  /** @param {string} root the tree that is open */
  open(root) {
    this.current = root;
    for (const link of this.body.querySelectorAll("a"))
      if (link.dataset.id === root) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
  }

  /** Say why a search was refused. @param {string} message */
  refuse(message) {
    this.status.textContent = message;
  }

  #draw() {
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.id;
    fill(this.body, this.entries.map((entry) => h("li", null, this.#entry(entry))));
    this.open(this.current);
    if (focused) [...this.body.querySelectorAll("a")].find((link) => link.dataset.id === focused)?.focus();
  }

  /** @param {any} entry */
  #entry(entry) {
    const newest = entry.newest ?? entry;
    const running = newest.status === "in_progress" || newest.status === "queued";
    return h(
      "a",
      { href: hashOf({ view: "turn", id: this.search ? newest.id : entry.id, tab: "tree" }), "data-id": entry.id },
      h("span", { class: "tree-name" }, entry.first_words?.input || entry.first_words?.output || (entry.deleted ? "Deleted turn" : entry.id)),
      this.search && newest.excerpt ? h("span", { class: "excerpt" }, newest.excerpt) : null,
      h(
        "span",
        { class: "tree-facts" },
        running ? h("span", { class: "badge live" }, statusWords(newest.status)) : null,
        h("span", null, plural(entry.tree?.turns ?? 1, "turn")),
        (entry.tree?.branches ?? 1) > 1 ? h("span", null, plural(entry.tree.branches, "branch")) : null,
        h("time", { "data-at": newest.created_at }, ago(newest.created_at)),
      ),
    );
  }

  #times() {
    for (const time of /** @type {NodeListOf<HTMLElement>} */ (this.body.querySelectorAll("time"))) time.textContent = ago(Number(time.dataset.at));
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => dispatchEvent(new CustomEvent("search", { detail: this.field.value.trim() })), 250);
  }

  #focusFirst() {
    go({ view: "home", search: "" });
    requestAnimationFrame(() => document.getElementById("composer-text")?.focus());
  }
}
