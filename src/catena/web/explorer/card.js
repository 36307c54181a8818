/**
 * How one place of the picture looks: a card with words, a dot, or the pill that stands for many turns.
 *
 * @typedef {import("./forest.js").Turn} Turn
 */

import { h } from "./dom.js";
import { isByHand } from "./forest.js";
import { count, plural, statusWords } from "./format.js";

/** @param {Turn} turn @param {Record<string, any>} item @param {{below: number}} folded @returns {HTMLElement} */
export function drawCard(turn, item, { below }) {
  const { record } = turn;
  const quiet = record.status === "completed" && !record.deleted;
  return h(
    "div",
    { ...item, class: `card ${stateOf(turn)}` },
    h("span", { class: "card-input" }, inputWords(turn)),
    h("span", { class: "card-output" }, outputWords(turn)),
    h(
      "span",
      { class: "card-foot" },
      quiet ? null : h("span", { class: "badge" }, record.deleted ? "deleted" : statusWords(record.status)),
      h("span", { class: "model" }, record.model),
      record.usage ? h("span", { class: "tokens" }, `${count(record.usage.total_tokens)} tokens`) : null,
    ),
    turn.children.length > 0 && h("span", { class: "fold-handle", "data-fold": true, "aria-hidden": "true", title: below ? "Show what follows" : "Fold what follows" }, below ? `+${below}` : "−"),
    h("span", { class: "continue-handle", "data-continue": true, "aria-hidden": "true", title: "Continue from here" }, "↳"),
  );
}

/** @param {Turn} turn @param {Record<string, any>} item @param {{below: number}} folded @returns {HTMLElement} */
export function drawDot(turn, item, { below }) {
  const words = inputWords(turn);
  return h(
    "div",
    { ...item, class: `dot ${stateOf(turn)} ${below ? "closed" : ""}`, "aria-label": `${words}, ${turn.record.model}` },
    h("span", { class: "dot-label", "aria-hidden": "true" }, words),
  );
}

/** @param {Turn[]} hidden @param {Record<string, any>} item @returns {HTMLElement} */
export function drawFold(hidden, item) {
  const words = plural(hidden.length, "turn");
  return h("div", { ...item, class: "pill", title: "Show them" }, `${words} folded`);
}

/** Words without the marks of Markdown, which a card has no room for. @param {string | undefined} text */
const plainWords = (text) =>
  (text ?? "")
    .replace(/```[\w+#.-]*|[*_`~]+(?=\S)|(?<=\S)[*_`~]+/g, "")
    .replace(/^\s*#{1,6}\s+/gm, "")
    .replace(/\s+/g, " ")
    .trim();

/** @param {Turn} turn */
const stateOf = (turn) => (turn.record.deleted ? "deleted" : turn.record.status);

/** @param {Turn} turn */
export function inputWords(turn) {
  if (turn.record.deleted) return "Deleted turn";
  return plainWords(turn.record.first_words?.input) || (turn.parent ? "(no words: tool output, or nothing)" : "(no words)");
}

/** @param {Turn} turn */
function outputWords(turn) {
  if (turn.record.deleted) return "Its contents are gone for good.";
  if (isByHand(turn)) return "Put into a conversation";
  return plainWords(turn.record.first_words?.output) || (turn.live !== null || turn.record.status === "in_progress" ? "…" : "(no words)");
}
