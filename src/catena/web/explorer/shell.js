/** The frame of the page: the bar above, the list of trees, and the stage, where one view at a time is shown. */

import { fill, h } from "./dom.js";
import { plural } from "./format.js";
import { showKeys } from "./keys.js";
import { TreeList } from "./list.js";
import { names } from "./models.js";
import { TurnPanel } from "./panel.js";
import { Picture } from "./picture.js";
import { currentKey } from "./session.js";
import { themeButton } from "./theme.js";

/** @typedef {Record<string, (...given: any[]) => any>} Verbs what is done when the reader does something */

export class Shell {
  /** @param {Verbs} verbs */
  constructor(verbs) {
    this.verbs = verbs;
    this.list = new TreeList(verbs.more);
    this.picture = new Picture({ onSelect: verbs.select, onPick: verbs.pick, onContinue: verbs.write, onOpen: verbs.open });
    this.panel = new TurnPanel(/** @type {any} */ (verbs));
    this.banner = h("p", { class: "banner", role: "status", hidden: true });
    this.leaving = h("button", { type: "button", class: "quiet", hidden: true, onclick: verbs.signOut }, "Sign out");
    this.facts = h("p", { class: "tree-summary", role: "status" });
    this.grain = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => this.#switchGrain() }, "Overview");
    this.compareBar = h(
      "p",
      { class: "compare-bar", hidden: true, role: "status" },
      h("span", null, "Choose the turn to compare with."),
      h("button", { type: "button", class: "primary", onclick: verbs.compareWith }, "Compare with the selected turn"),
      h("button", { type: "button", class: "quiet", onclick: verbs.stopComparing }, "Cancel"),
    );
    this.stage = h("main", { id: "main", tabindex: "-1" });
    this.treeView = h(
      "div",
      { class: "tree-view" },
      h("div", { class: "picture-frame" }, this.#toolbar(), this.compareBar, this.picture.element, h("p", { id: "picture-keys", class: "unseen" }, "Arrow keys go from turn to turn, Enter reads one, C continues it, F folds, question mark lists all keys.")),
      this.panel.element,
    );
    document.body.append(
      h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => this.#skip(event) }, "Skip to the turns"),
      this.#bar(),
      this.banner,
      h("div", { class: "layout" }, this.list.element, this.stage),
      names,
    );
    this.picture.element.addEventListener("grain", () => this.#tellGrain());
    addEventListener("keydown", (event) => this.#key(event));
  }

  /** Whether somebody writes, or what was written is on its way. */
  get busy() {
    const field = /** @type {HTMLTextAreaElement | null} */ (document.getElementById("composer-text"));
    return Boolean(field?.value || field?.closest("form")?.querySelector("button:disabled"));
  }

  /** Show a view that is a page of its own. @param {string} view @param {HTMLElement} content @param {string} title */
  page(view, content, title) {
    document.body.dataset.view = view;
    document.title = title;
    fill(this.stage, content);
    this.stage.scrollTop = 0;
    this.signedIn();
  }

  /** Show a turn in its tree. @param {import("./forest.js").Forest} forest @param {string} id @param {string} tab */
  turn(forest, id, tab) {
    document.body.dataset.view = tab === "tree" ? "tree" : "turn";
    const turn = forest.turns.get(id);
    document.title = `${turn?.record.first_words?.input?.slice(0, 60) || id} · Catena`;
    if (!this.treeView.isConnected) fill(this.stage, this.treeView);
    if (this.picture.forest !== forest) this.picture.open(forest, id);
    else this.picture.select(id);
    this.panel.show(forest, id, tab);
    const tell = () => this.#summarise(forest);
    if (this.told !== forest) forest.addEventListener("change", tell);
    this.told = forest;
    tell();
    this.#tellGrain();
  }

  /** @param {string} message nothing, where all is well */
  trouble(message) {
    this.banner.textContent = message;
    this.banner.hidden = !message;
  }

  /** @param {boolean} now */
  comparing(now) {
    this.compareBar.hidden = !now;
  }

  signedIn() {
    this.leaving.hidden = !currentKey() || document.body.dataset.view === "sign-in";
  }

  /** @type {import("./forest.js").Forest | null} */
  told = null;

  /** @param {import("./forest.js").Forest} forest */
  #summarise(forest) {
    if (forest !== this.picture.forest) return;
    const { turns, branches, depth } = forest.summary;
    this.facts.textContent = `${plural(turns, "turn")} · ${branches === 1 ? "one line" : plural(branches, "branch")} · ${depth} deep${forest.partial ? " · the first turns of a larger tree" : ""}`;
  }

  #bar() {
    return h(
      "header",
      { class: "bar" },
      h("a", { class: "brand", href: "#/" }, h("span", { class: "brand-mark", "aria-hidden": "true" }), "Catena"),
      h("span", { class: "spacer" }),
      h("button", { type: "button", class: "quiet icon", "aria-label": "Keyboard", title: "Keyboard", onclick: showKeys }, "?"),
      themeButton(),
      this.leaving,
    );
  }

  #toolbar() {
    const { picture } = this;
    const button = (/** @type {string} */ label, /** @type {string} */ name, /** @type {() => void} */ act) =>
      h("button", { type: "button", class: "quiet icon", "aria-label": name, title: name, onclick: act }, label);
    this.unfold = h("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => this.#switchFold() }, "Unfold all");
    return h(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "Picture" },
      h("a", { class: "to-list button", href: "#/" }, "← Trees"),
      this.facts,
      h("span", { class: "spacer" }),
      this.unfold,
      this.grain,
      button("−", "Smaller", () => picture.view.zoom(0.8)),
      button("+", "Larger", () => picture.view.zoom(1.25)),
      button("⤢", "Fit the whole tree", () => picture.fit()),
    );
  }

  #switchGrain() {
    this.picture.setGrain(this.picture.grain === "cards" ? "dots" : "cards");
    if (this.picture.grain === "dots") this.picture.fit();
  }

  #tellGrain() {
    this.grain.setAttribute("aria-pressed", String(this.picture.grain === "dots"));
    const unfolded = this.picture.folding.longest === Infinity;
    this.unfold.setAttribute("aria-pressed", String(unfolded));
    this.unfold.hidden = !unfolded && !this.picture.folds;
  }

  #switchFold() {
    this.picture.unfold(this.picture.folding.longest !== Infinity);
    this.#tellGrain();
  }

  /** @param {Event} event */
  #skip(event) {
    event.preventDefault();
    (this.picture.element.isConnected ? this.picture.element : this.stage).focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, dialog[open]")) return;
    if (event.key === "?") showKeys();
    else if (event.key === "/") this.list.field.focus();
    else if (event.key === "n") location.hash = "#/";
    else return;
    event.preventDefault();
  }
}
