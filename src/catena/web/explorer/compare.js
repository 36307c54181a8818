/** Two branches side by side: what they share is said once, what differs is marked word by word. */

import { differences } from "./diff.js";
import { h } from "./dom.js";
import { Forest } from "./forest.js";
import { count, plural } from "./format.js";
import { textOf } from "./items.js";
import { markdown } from "./markdown.js";
import { hashOf } from "./route.js";
import { readTree } from "./trees.js";
import { readTurn } from "./turns.js";

/** Keeps words of neighbouring elements apart. */
const BETWEEN = "\n";

/**
 * @typedef {{said: import("./turns.js").Said[], records: Map<string, any>}} Branch
 * @param {Branch} left @param {Branch} right
 * @returns {HTMLElement}
 */
export function compareView(left, right) {
  let shared = 0;
  while (shared < left.said.length && shared < right.said.length && left.said[shared].id === right.said[shared].id) shared += 1;
  const rows = Math.max(left.said.length, right.said.length) - shared;
  return h(
    "div",
    { class: "compare" },
    h(
      "header",
      { class: "compare-head" },
      h("p", null, h("a", { href: hashOf({ view: "turn", id: left.said[left.said.length - 1].id, tab: "turn" }) }, "← Back to the tree")),
      h("h1", null, "Two branches"),
      h("p", { class: "lead" }, summary(left.said, shared)),
      h("p", { class: "legend" }, h("mark", { class: "left" }, "only in the first"), " ", h("mark", { class: "right" }, "only in the second")),
    ),
    h(
      "div",
      { class: "compare-grid" },
      ...Array.from({ length: rows }, (_, row) => pair(left, right, shared + row)),
    ),
  );
}

/**
 * Read the branch that ends with a turn.
 * @param {string} id @param {Forest | null} near a tree that is known, which may hold it
 * @returns {Promise<Branch>}
 */
export async function readBranch(id, near) {
  const forest = near?.turns.has(id) ? near : new Forest();
  if (forest !== near) forest.load((await readTree(id)).records);
  const chain = forest.path(id).map((turn) => turn.record);
  const { said } = await readTurn(chain);
  return { said, records: new Map(chain.map((record) => [record.id, record])) };
}

/** @param {import("./turns.js").Said[]} said @param {number} shared */
function summary(said, shared) {
  if (!shared) return "They have no turn in common.";
  const words = textOf(said[shared - 1].input).slice(0, 90);
  return `They share ${plural(shared, "turn")}, up to “${words}”. From there on:`;
}

/** @param {Branch} left @param {Branch} right @param {number} at */
function pair(left, right, at) {
  const [a, b] = [left.said[at], right.said[at]];
  return h("div", { class: "pair" }, cell(a, b, left.records, "left", at), cell(b, a, right.records, "right", at));
}

/**
 * @param {import("./turns.js").Said | undefined} own @param {import("./turns.js").Said | undefined} other
 * @param {Map<string, any>} records @param {"left" | "right"} side @param {number} at
 */
function cell(own, other, records, side, at) {
  if (!own) return h("section", { class: "cell none" }, h("p", { class: "aside" }, "This branch ended above."));
  const record = records.get(own.id);
  return h(
    "section",
    { class: `cell ${side}`, "aria-label": `Turn ${at + 1}, ${side}` },
    h(
      "h2",
      null,
      h("a", { href: hashOf({ view: "turn", id: own.id, tab: "turn" }) }, `Turn ${at + 1}`),
      h("span", { class: "aside" }, [record?.model, record?.usage && `${count(record.usage.total_tokens)} tokens`].filter(Boolean).join(" · ")),
    ),
    h("h3", { class: "who" }, "You"),
    marked(textOf(own.input) || calls(own.input), other && (textOf(other.input) || calls(other.input)), side),
    h("h3", { class: "who" }, "Model"),
    marked(textOf(own.output) || calls(own.output), other && (textOf(other.output) || calls(other.output)), side),
  );
}

/** Calls of tools and what they gave, where there are no words. @param {any[]} items */
const calls = (items) =>
  items
    .filter((item) => item.call_id)
    .map((item) => (item.name ? `${item.name}(${item.arguments ?? item.input ?? ""})` : JSON.stringify(item.output)))
    .join("\n\n");

/**
 * A text as it reads, with what the other one does not have in marks.
 * @param {string} text @param {string | undefined} other @param {"left" | "right"} side
 */
function marked(text, other, side) {
  const own = h("div", { class: "prose" }, markdown(text));
  if (other === undefined) return own;
  const words = (/** @type {Node} */ node) => textNodes(node).map((each) => each.data).join(BETWEEN);
  const [left, right] = [words(own), words(markdown(other))];
  const parts = side === "left" ? differences(left, right).left : differences(right, left).right;
  let at = 0;
  const ends = parts.map((part) => ({ ...part, end: (at += part.text.length) }));
  at = 0;
  for (const node of textNodes(own)) {
    const begin = at;
    at += node.data.length + BETWEEN.length;
    node.replaceWith(...pieces(node.data, begin, ends, side));
  }
  return own;
}

/** @param {string} text @param {number} begin where it stands in the whole @param {{same: boolean, end: number}[]} ends @param {string} side */
function pieces(text, begin, ends, side) {
  /** @type {(Node | string)[]} */
  const found = [];
  let from = 0;
  for (const { same, end } of ends) {
    const to = Math.min(text.length, end - begin);
    if (to <= from) continue;
    const piece = text.slice(from, to);
    found.push(same || !piece.trim() ? piece : h("mark", { class: side }, piece));
    from = to;
  }
  return found;
}

/** @param {Node} node @returns {Text[]} */
function textNodes(node) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) found.push(/** @type {Text} */ (walker.currentNode));
  return found;
}
