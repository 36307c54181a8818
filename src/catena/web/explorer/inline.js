/**
 * Markdown within a paragraph: emphasis, code, links, line breaks. Each mark is looked for from where it opens; one that does
 * not close is text. Links lead only to web pages and mail, and say where; pictures from elsewhere are links, so that no
 * page is told that somebody reads here.
 */

import { h } from "./dom.js";

const DEEPEST = 8;
const LONGEST = 20000;
const ADDRESS = /^(?:https?:\/\/|mailto:)[^\s<>"]+$/i;
const BARE = /^https?:\/\/[^\s<>"'`)\]]+[^\s<>"'`)\].,;:!?]/i;
const LINK = /^!?\[((?:[^[\]\\]|\\.){0,1000})\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/;
const MARKS = /** @type {const} */ ([["**", "strong"], ["__", "strong"], ["~~", "del"], ["*", "em"], ["_", "em"]]);

/** @param {string} text @param {number} [depth] @returns {(Node | string)[]} */
export function inline(text, depth = 0) {
  if (depth > DEEPEST || text.length > LONGEST) return [text];
  /** @type {(Node | string)[]} */
  const found = [];
  let plain = "";
  let at = 0;
  /** Marks that are known not to close in the rest of this text. @type {Set<string>} */
  const open = new Set();
  while (at < text.length) {
    const piece = pieceAt(text, at, depth, open);
    if (piece) {
      if (plain) found.push(plain);
      plain = "";
      found.push(...piece.nodes);
      at += piece.length;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) found.push(plain);
  return found;
}

/**
 * @param {string} text @param {number} at @param {number} depth @param {Set<string>} open
 * @returns {{nodes: (Node | string)[], length: number} | null}
 */
function pieceAt(text, at, depth, open) {
  switch (text[at]) {
    case "\\":
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { nodes: [text[at + 1]], length: 2 } : null;
    case "`":
      return code(text, at, open);
    case "!":
    case "[":
      return link(text, at, depth);
    case "h":
    case "H":
      return bare(text, at);
    case "\n":
      return / {2}$/.test(text.slice(Math.max(0, at - 2), at)) ? { nodes: [h("br")], length: 1 } : null;
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, depth, open);
    default:
      return null;
  }
}

/** @param {string} text @param {number} at @param {Set<string>} open */
function code(text, at, open) {
  let length = 1;
  while (text[at + length] === "`") length += 1;
  const mark = "`".repeat(length);
  const end = open.has(mark) ? -1 : text.indexOf(mark, at + length);
  if (end < 0) {
    open.add(mark);
    return { nodes: [mark], length };
  }
  return { nodes: [h("code", null, text.slice(at + length, end).replace(/^ (.+) $/s, "$1"))], length: end + length - at };
}

/** @param {string} text @param {number} at @param {number} depth */
function link(text, at, depth) {
  const match = LINK.exec(text.slice(at, at + 3000));
  if (!match) return null;
  const [whole, label, address] = match;
  const words = label || address;
  if (!ADDRESS.test(address)) return { nodes: [whole], length: whole.length };
  return { nodes: [anchor(address, inline(words, depth + DEEPEST))], length: whole.length };
}

/** @param {string} text @param {number} at */
function bare(text, at) {
  if (at > 0 && /\w/.test(text[at - 1])) return null;
  const match = BARE.exec(text.slice(at, at + 2000));
  return match ? { nodes: [anchor(match[0], [match[0]])], length: match[0].length } : null;
}

/** @param {string} address @param {(Node | string)[]} words */
const anchor = (address, words) =>
  h("a", { href: address, rel: "noopener noreferrer nofollow", target: "_blank", title: address }, ...words);

/** @param {string} text @param {number} at @param {number} depth @param {Set<string>} open */
function emphasis(text, at, depth, open) {
  for (const [mark, name] of MARKS) {
    if (!text.startsWith(mark, at) || open.has(mark)) continue;
    if (mark[0] === "_" && /\w/.test(text[at - 1] ?? "")) continue;
    if (/\s|^$/.test(text[at + mark.length] ?? "")) continue;
    const end = closing(text, at + mark.length, mark);
    if (end < 0) {
      open.add(mark);
      continue;
    }
    const inner = inline(text.slice(at + mark.length, end), depth + 1);
    return { nodes: [h(name, null, ...inner)], length: end + mark.length - at };
  }
  return null;
}

/** @param {string} text @param {number} from @param {string} mark */
function closing(text, from, mark) {
  const single = mark.length === 1;
  for (let end = text.indexOf(mark, from); end >= 0; end = text.indexOf(mark, end + 1)) {
    // Of a longer row of marks, the last ones close what was opened first.
    while (!single && text[end + mark.length] === mark[0]) end += 1;
    if (single && (text[end + 1] === mark || text[end - 1] === mark)) continue;
    if (end > from && !/\s/.test(text[end - 1]) && !(mark[0] === "_" && /\w/.test(text[end + mark.length] ?? ""))) return end;
  }
  return -1;
}
