/**
 * The tree as a picture. Only what is in sight is in the document, so that a large tree moves as lightly as a small
 * one. It has two grains: cards with words, and dots, which show hundreds of turns at once; zooming out of one leads
 * into the other. To a screen reader and to the keyboard it is a tree.
 *
 * @typedef {import("./forest.js").Turn} Turn
 * @typedef {import("./layout.js").Place} Place
 */

import { drawCard, drawDot, drawFold } from "./card.js";
import { h, svg } from "./dom.js";
import { Forest, isOpen } from "./forest.js";
import { closeUp, LEGIBLE, overall } from "./framing.js";
import { boxOf, extentOf, GRAINS, lineTo } from "./geometry.js";
import { layOut } from "./layout.js";
import { steer } from "./steering.js";
import { Viewport } from "./viewport.js";

const MANY = 60;
/** So many branches are too wide a picture for cards. */
const BROAD = 12;
const LONGEST = { few: 10, many: 3 };

export class Picture {
  /**
   * @param {{onSelect: (id: string) => void, onPick: (id: string) => void, onContinue: (id: string) => void, onOpen: () => void}} told
   */
  constructor(told) {
    this.told = told;
    /** @type {Forest | null} */
    this.forest = null;
    this.selected = "";
    this.marked = "";
    /** @type {"cards" | "dots"} */
    this.grain = "cards";
    /** @type {import("./layout.js").Folding} */
    this.folding = { closed: new Set(), unfolded: new Set(), kept: new Set(), longest: LONGEST.few };
    /** @type {Place[]} */
    this.places = [];
    /** @type {Map<string, Place>} */
    this.byKey = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.drawn = new Map();
    this.lines = svg("path", { class: "lines" });
    this.trail = svg("path", { class: "trail" });
    this.world = h("div", { class: "world", role: "none" }, svg("svg", { class: "edges", "aria-hidden": "true" }, this.lines, this.trail));
    this.element = h(
      "div",
      { class: "picture", role: "tree", tabindex: "0", "aria-label": "Turns of this tree", "aria-describedby": "picture-keys" },
      this.world,
    );
    this.view = new Viewport(this.element, () => this.#show());
    this.view.beyond = (direction) => this.#beyond(direction);
    steer(this);
    this.#changed = () => this.arrange();
    this.#words = (/** @type {any} */ event) => this.#redraw(event.detail);
  }

  #changed;
  #words;
  #unframed = false;
  /** @type {Set<string>} turns that say more since the last frame */
  #speaking = new Set();

  /** Show another tree, or none. @param {Forest | null} forest @param {string} selected */
  open(forest, selected) {
    this.forest?.removeEventListener(Forest.CHANGE, this.#changed);
    this.forest?.removeEventListener("words", this.#words);
    this.forest = forest;
    forest?.addEventListener(Forest.CHANGE, this.#changed);
    forest?.addEventListener("words", this.#words);
    const many = (forest?.turns.size ?? 0) > MANY;
    this.folding = { closed: new Set(), unfolded: new Set(), kept: new Set(), longest: many ? LONGEST.many : LONGEST.few };
    this.selected = selected;
    const broad = (forest?.summary.branches ?? 0) > BROAD;
    this.grain = broad ? "dots" : "cards";
    this.#keep(selected);
    this.arrange();
    this.#first();
  }

  #first() {
    if (this.grain === "dots") this.fit();
    else this.centre();
  }

  /** @param {string} id */
  select(id) {
    this.selected = id;
    if (!this.byKey.has(id)) {
      this.#keep(id);
      this.arrange();
    }
    this.#show();
    this.#reveal();
  }

  /** Mark the turn that the next one is to be compared with. @param {string} id */
  mark(id) {
    this.marked = id;
    this.#redrawAll();
  }

  /** @param {"cards" | "dots"} grain */
  setGrain(grain) {
    if (grain === this.grain) return;
    this.grain = grain;
    this.#clear();
    this.view.scale = 1;
    this.arrange();
    this.centre();
    this.element.dispatchEvent(new Event("grain"));
  }

  /** Bring the selected turn, and as much as fits of what is around it, into sight. */
  centre() {
    const place = this.byKey.get(this.selected) ?? this.places[0];
    if (place) this.#frame(closeUp(extentOf(this.places, this.#sizes), this.#room, boxOf(place, this.#sizes)));
  }

  /** The whole tree in sight, as far as it can be read. */
  fit() {
    const frame = () => overall(extentOf(this.places, this.#sizes), this.#room);
    if (this.grain === "cards" && frame().scale < LEGIBLE) this.setGrain("dots");
    this.#frame(frame());
    this.#reveal(0);
  }

  /** A picture that is not shown yet is framed when it is. @param {import("./framing.js").Frame} frame */
  #frame({ x, y, scale }) {
    this.#unframed = !this.#room.width;
    this.view.set(x, y, scale);
  }

  get #room() {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  /** Fold a turn's continuations away, or show them again. @param {string} id */
  toggle(id) {
    const place = this.byKey.get(id);
    if (!place) return;
    if (place.hidden.length) {
      this.folding.unfolded.add(place.turn.record.id);
      this.selected = place.turn.record.id;
      this.arrange();
      this.told.onSelect(this.selected);
      return;
    }
    if (!this.folding.closed.delete(id) && place.turn.children.length) this.folding.closed.add(id);
    this.arrange();
    if (!this.byKey.has(this.selected)) this.told.onSelect(id);
  }

  /** Show every turn, or fold long stretches again. @param {boolean} all */
  unfold(all) {
    const many = (this.forest?.turns.size ?? 0) > MANY;
    this.folding.closed.clear();
    this.folding.unfolded.clear();
    this.folding.longest = all ? Infinity : many ? LONGEST.many : LONGEST.few;
    this.arrange();
    this.#reveal();
  }

  /** Lay out again, after turns came or went. */
  arrange() {
    const longest = this.grain === "dots" ? Infinity : this.folding.longest;
    this.places = layOut(this.forest?.root ?? null, { ...this.folding, longest });
    this.byKey = new Map(this.places.map((place) => [place.key, place]));
    this.lines.setAttribute("d", this.places.map((place) => lineTo(place, this.#sizes)).join(""));
    this.#redrawAll();
  }

  get #sizes() {
    return GRAINS[this.grain];
  }

  /** Whether anything is folded now. */
  get folds() {
    return this.places.some((place) => place.hidden.length) || this.folding.closed.size > 0;
  }

  #show() {
    if (this.#unframed && this.#room.width) this.#first();
    const { x, y, scale, visible } = this.view;
    this.world.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) scale(${scale})`;
    this.element.style.setProperty("--label", `${1 / scale}`);
    const { width, height } = this.#sizes;
    const seen = new Set();
    for (const place of this.places) {
      const box = boxOf(place, this.#sizes);
      const out =
        box.right < visible.left - width || box.left > visible.right + width ||
        box.bottom < visible.top - height || box.top > visible.bottom + height;
      if (out && place.key !== this.selected) continue;
      seen.add(place.key);
      if (!this.drawn.has(place.key)) this.#draw(place);
    }
    for (const [key, element] of this.drawn) {
      if (seen.has(key)) continue;
      element.remove();
      this.drawn.delete(key);
    }
    this.#highlight();
  }

  /** @param {Place} place */
  #draw(place) {
    const element = this.#drawing(place);
    const box = boxOf(place, this.#sizes);
    element.style.left = `${box.left}px`;
    element.style.top = `${box.top}px`;
    this.drawn.get(place.key)?.remove();
    this.drawn.set(place.key, element);
    this.world.append(element);
  }

  /** @param {Place} place @returns {HTMLElement} */
  #drawing(place) {
    const siblings = place.parent?.children ?? [place];
    const closed = !place.hidden.length && this.folding.closed.has(place.key);
    const item = {
      id: `place-${place.key}`,
      role: "treeitem",
      "data-key": place.key,
      "aria-level": place.row + 1,
      "aria-setsize": siblings.length,
      "aria-posinset": siblings.indexOf(place) + 1,
      "aria-expanded": place.hidden.length || closed ? "false" : place.children.length ? "true" : null,
    };
    if (place.hidden.length) return drawFold(place.hidden, item);
    const below = closed && this.forest ? this.forest.below(place.turn).length - 1 : 0;
    return this.grain === "cards" ? drawCard(place.turn, item, { below }) : drawDot(place.turn, item, { below });
  }

  #highlight() {
    /** @type {Place | null} */
    let place = this.byKey.get(this.selected) ?? null;
    this.element.setAttribute("aria-activedescendant", place ? `place-${place.key}` : "");
    if (!place) this.element.removeAttribute("aria-activedescendant");
    const trail = new Set();
    let d = "";
    for (; place; place = place.parent) {
      trail.add(place.key);
      d += lineTo(place, this.#sizes);
    }
    this.trail.setAttribute("d", d);
    for (const [key, element] of this.drawn) {
      element.setAttribute("aria-selected", String(key === this.selected));
      element.classList.toggle("on-trail", trail.has(key));
      element.classList.toggle("marked", key === this.marked);
    }
  }

  #clear() {
    for (const element of this.drawn.values()) element.remove();
    this.drawn.clear();
  }

  #redrawAll() {
    this.#clear();
    this.#show();
  }

  /** Draw a turn again that says more; once a frame. @param {string} id */
  #redraw(id) {
    if (!this.#speaking.size) requestAnimationFrame(() => this.#speak());
    this.#speaking.add(id);
  }

  #speak() {
    for (const id of this.#speaking) {
      const place = this.byKey.get(id);
      if (place && this.drawn.has(id)) this.#draw(place);
    }
    this.#speaking.clear();
    this.#highlight();
  }

  /** @param {number} [margin] */
  #reveal(margin) {
    const place = this.byKey.get(this.selected);
    if (place) this.view.reveal(boxOf(place, this.#sizes), margin);
  }

  /** @param {string} id a turn that must not vanish in a fold */
  #keep(id) {
    if (!this.forest) return;
    this.folding.kept.add(id);
    for (const turn of this.forest.path(id)) if (turn.record.id !== id) this.folding.closed.delete(turn.record.id);
    for (const turn of this.forest.turns.values()) if (isOpen(turn)) this.folding.kept.add(turn.record.id);
  }

  /** @param {number} direction */
  #beyond(direction) {
    if (direction < 0 && this.grain === "cards") this.setGrain("dots");
    else if (direction > 0 && this.grain === "dots") this.setGrain("cards");
    else return false;
    return true;
  }

  /** Go to a place by keyboard. @param {Place} place */
  choose(place) {
    if (!place.hidden.length) return this.told.onSelect(place.key);
    this.selected = place.key;
    this.#show();
    this.#reveal();
    return undefined;
  }
}
