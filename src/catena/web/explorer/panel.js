/** One turn, from every side: what was said, what its model saw, what it cost, the raw object, and how to go on. */

import { inputWords } from "./card.js";
import { Composer } from "./composer.js";
import { copyButton } from "./dialog.js";
import { fill, h } from "./dom.js";
import { Forest, isByHand, isOpen } from "./forest.js";
import { shortId, statusWords } from "./format.js";
import { markdown } from "./markdown.js";
import { hashOf } from "./route.js";
import { readTurn } from "./turns.js";
import { usageView } from "./usage.js";
import { codeView, contextView, rawView, saidView } from "./views.js";

const TABS = /** @type {const} */ ([["turn", "Turn"], ["context", "Context"], ["usage", "Usage"], ["json", "JSON"], ["code", "Code"]]);

/** @typedef {import("./turns.js").Reading} Reading */

/** Time in which the reader may go on to another turn, so that walking along a chain does not ask for each. */
const GLANCE = 60;

export class TurnPanel {
  /**
   * @param {{send: (parent: string, text: string, model: string) => Promise<void>, replay: (id: string, reading: Reading) => void,
   *   compare: (id: string) => void, remove: (id: string) => void, cancel: (id: string) => void}} verbs
   */
  constructor(verbs) {
    this.verbs = verbs;
    /** @type {Forest | null} */
    this.forest = null;
    this.id = "";
    this.tab = "turn";
    /** @type {Reading | null} */
    this.reading = null;
    this.failure = "";
    this.head = h("header", { class: "turn-head" });
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views of this turn" });
    this.body = h("div", { class: "turn-body", id: "turn-body", role: "tabpanel", tabindex: "0" });
    this.foot = h("footer", { class: "turn-foot" });
    this.element = h("section", { class: "panel", "aria-label": "Turn" }, this.head, this.tabs, this.body, this.foot);
    /** @type {Composer | null} */
    this.composer = null;
    this.#changed = () => this.#turnChanged();
    this.#words = (/** @type {any} */ event) => event.detail === this.id && this.#speak();
    this.tabs.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#tabKey(event));
  }

  #changed;
  #words;
  #stop = new AbortController();
  #frame = 0;
  #status = "";
  #head = "";

  /** @param {Forest | null} forest @param {string} id @param {string} tab */
  show(forest, id, tab) {
    if (forest !== this.forest) {
      this.forest?.removeEventListener(Forest.CHANGE, this.#changed);
      this.forest?.removeEventListener("words", this.#words);
      forest?.addEventListener(Forest.CHANGE, this.#changed);
      forest?.addEventListener("words", this.#words);
      this.forest = forest;
    }
    const other = id !== this.id;
    this.id = id;
    this.tab = tab === "tree" ? "turn" : tab;
    if (other) {
      this.reading = null;
      this.failure = "";
      this.composer = null;
      this.#status = this.turn?.record.status ?? "";
      this.#read();
    }
    this.#draw();
    if (other) this.body.scrollTop = 0;
  }

  /** @returns {import("./forest.js").Turn | undefined} */
  get turn() {
    return this.forest?.turns.get(this.id);
  }

  focusComposer() {
    this.composer?.focus();
  }

  async #read() {
    this.#stop.abort();
    this.#stop = new AbortController();
    const { id } = this;
    const { signal } = this.#stop;
    await pause(signal);
    if (signal.aborted || !this.forest || this.turn?.record.deleted) return;
    try {
      const chain = this.forest.path(id).map((turn) => turn.record);
      const reading = await readTurn(chain, signal);
      if (signal.aborted) return;
      this.reading = reading;
      this.failure = "";
    } catch (error) {
      if (signal.aborted) return;
      this.failure = /** @type {Error} */ (error).message;
    }
    this.#draw();
  }

  #turnChanged() {
    const status = this.turn?.record.status ?? "";
    const deleted = this.turn?.record.deleted;
    const now = deleted ? "deleted" : status;
    if (now === this.#status) return this.#drawHead();
    this.#status = now;
    if (deleted) this.reading = null;
    else this.#read();
    return this.#draw();
  }

  #draw() {
    this.element.hidden = !this.turn;
    if (!this.turn) return;
    this.#drawHead();
    this.#drawTabs();
    this.#drawBody();
    this.#drawFoot();
  }

  #drawHead() {
    const turn = this.turn;
    if (!turn) return;
    const { record } = turn;
    const sight = JSON.stringify([record, turn.depth, Boolean(this.reading), turn.live === null]);
    if (sight === this.#head) return;
    this.#head = sight;
    const state = record.deleted ? "deleted" : record.status;
    fill(
      this.head,
      h("h1", { class: "unseen" }, inputWords(turn)),
      h("a", { class: "to-tree button", href: hashOf({ view: "turn", id: this.id, tab: "tree" }) }, "← Tree"),
      h(
        "p",
        { class: "turn-facts" },
        h("span", { class: `badge ${state}` }, record.deleted ? "deleted" : statusWords(record.status)),
        h("span", { class: "model" }, record.model),
        h("span", null, `turn ${turn.depth}`),
        record.endpoint === "chat" ? h("span", null, "chat completion") : null,
        record.conversation ? h("span", { title: record.conversation }, "in a conversation") : null,
      ),
      h("p", { class: "turn-id" }, h("code", { title: record.id }, shortId(record.id)), copyButton(() => record.id, "Copy id of this turn", "Copy id")),
      h("div", { class: "verbs" }, this.#buttons(turn)),
    );
  }

  /** @param {import("./forest.js").Turn} turn */
  #buttons(turn) {
    const { id } = this;
    const verb = (/** @type {string} */ label, /** @type {() => void} */ act, kind = "quiet", disabled = false) =>
      h("button", { type: "button", class: kind, onclick: act, disabled }, label);
    if (turn.record.deleted || isByHand(turn)) return [];
    const reading = this.reading;
    if (isOpen(turn)) return [reading?.response?.background ? verb("Cancel", () => this.verbs.cancel(id)) : null];
    return [
      verb("Replay …", () => reading && this.verbs.replay(id, reading), "quiet", !reading),
      verb("Compare …", () => this.verbs.compare(id)),
      verb("Delete …", () => this.verbs.remove(id), "quiet danger"),
    ];
  }

  #drawTabs() {
    const focused = this.tabs.contains(document.activeElement);
    fill(
      this.tabs,
      TABS.map(([name, label]) =>
        h(
          "a",
          {
            role: "tab",
            id: `tab-${name}`,
            href: hashOf({ view: "turn", id: this.id, tab: name }),
            "aria-selected": String(name === this.tab),
            "aria-controls": "turn-body",
            tabindex: name === this.tab ? "0" : "-1",
          },
          label,
        ),
      ),
    );
    this.body.setAttribute("aria-labelledby", `tab-${this.tab}`);
    if (focused) /** @type {HTMLElement} */ (this.tabs.querySelector("[aria-selected=true]")).focus();
  }

  /** @param {KeyboardEvent} event */
  #tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = TABS.findIndex(([name]) => name === this.tab);
    const links = /** @type {NodeListOf<HTMLElement>} */ (this.tabs.querySelectorAll("a"));
    const next = links[(at + step + TABS.length) % TABS.length];
    next.focus();
    next.click();
  }

  #drawBody() {
    const turn = this.turn;
    if (!turn) return;
    if (turn.record.deleted) fill(this.body, h("p", { class: "aside" }, "This turn was deleted. Its contents are gone for good; what follows it is whole, and models do not see this turn any more."));
    else if (this.failure) fill(this.body, h("p", { class: "told", role: "alert" }, this.failure), h("button", { type: "button", onclick: () => this.#read() }, "Try again"));
    else if (this.tab === "code") fill(this.body, ...codeView(turn));
    else if (this.tab === "turn" && turn.live !== null) fill(this.body, ...saidView(turn, this.reading));
    else if (!this.reading) fill(this.body, h("p", { class: "aside loading" }, "Reading …"));
    else if (this.tab === "context") fill(this.body, ...contextView(this.reading));
    else if (this.tab === "usage") fill(this.body, usageView(turn, this.reading.response));
    else if (this.tab === "json") fill(this.body, ...rawView(turn, this.reading));
    else fill(this.body, ...saidView(turn, this.reading));
  }

  /** The next words of what is being written; drawn once a frame. */
  #speak() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const place = document.getElementById("speaking");
      const live = this.turn?.live;
      if (!place || live == null) {
        if (this.tab === "turn" && live != null) this.#drawBody();
        return;
      }
      const atEnd = this.body.scrollHeight - this.body.scrollTop - this.body.clientHeight < 60;
      if (live) fill(place, markdown(live));
      if (atEnd) this.body.scrollTop = this.body.scrollHeight;
    });
  }

  #drawFoot() {
    const turn = this.turn;
    this.foot.hidden = !turn || turn.record.deleted || isByHand(turn);
    if (!turn || isOpen(turn)) {
      this.composer = null;
      fill(this.foot, h("p", { class: "aside" }, "It can be continued when it is finished."));
      return;
    }
    if (this.composer) return;
    const branch = turn.children.length > 0;
    this.composer = new Composer({
      label: branch ? "Branch off from this turn" : "Continue from this turn",
      hint: branch ? "Write here to branch off from this turn …" : "Write here to continue from this turn …",
      model: turn.record.model,
      send: (text, model) => this.verbs.send(this.id, text, model),
    });
    fill(this.foot, this.composer.element);
  }
}

/** @param {AbortSignal} signal */
const pause = (signal) =>
  new Promise((resolve) => {
    setTimeout(resolve, GLANCE);
    signal.addEventListener("abort", resolve);
  });
