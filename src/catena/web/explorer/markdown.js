/**
 * Markdown to elements: what models write, and no more. Blocks are found line by line; words go to `inline.js`. What is
 * not understood stays the text that it is. There is no markup in between that somebody could smuggle something into.
 */

import { h } from "./dom.js";
import { inline } from "./inline.js";

const DEEPEST = 6;
const WIDEST = 2000;

/** @param {string} text @returns {DocumentFragment} */
export function markdown(text) {
  const all = document.createDocumentFragment();
  all.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0));
  return all;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(\S.*)$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const BULLET = /^( *)([-*+]|\d{1,9}[.)])( +|$)/;
const DELIMITERS = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/;

/** @param {string[]} lines @param {number} depth @returns {Node[]} */
function blocks(lines, depth) {
  /** @type {Node[]} */
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const heading = HEADING.exec(line);
    if (!line.trim()) at += 1;
    else if (FENCE.test(line)) at = fence(lines, at, found);
    else if (heading) {
      found.push(h(`h${Math.min(6, heading[1].length + 2)}`, null, ...inline(heading[2].replace(/\s#+$/, ""))));
      at += 1;
    } else if (RULE.test(line)) {
      found.push(h("hr"));
      at += 1;
    } else if (QUOTE.test(line) && depth < DEEPEST) at = quote(lines, at, found, depth);
    else if (BULLET.test(line) && depth < DEEPEST) at = list(lines, at, found, depth);
    else if (isTable(line, lines[at + 1] ?? ""))
      at = table(lines, at, found);
    else at = paragraph(lines, at, found);
  }
  return found;
}

/** @param {string[]} lines @param {number} at @param {Node[]} found */
function fence(lines, at, found) {
  const [, mark, language] = /** @type {RegExpExecArray} */ (FENCE.exec(lines[at]));
  let end = at + 1;
  while (end < lines.length && !isFenceEnd(lines[end], mark)) end += 1;
  const code = lines.slice(at + 1, end).join("\n");
  found.push(h("pre", { tabindex: "0", "data-language": language || null }, h("code", null, code)));
  return end + 1;
}

/** @param {string} line @param {string} mark */
function isFenceEnd(line, mark) {
  const text = line.trim();
  return text.length >= mark.length && text === mark[0].repeat(text.length);
}

/** @param {string[]} lines @param {number} at @param {Node[]} found @param {number} depth */
function quote(lines, at, found, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  found.push(h("blockquote", null, ...blocks(lines.slice(at, end).map((line) => line.replace(QUOTE, "")), depth + 1)));
  return end;
}

/** @param {string[]} lines @param {number} at @param {Node[]} found @param {number} depth */
function list(lines, at, found, depth) {
  const first = /** @type {RegExpExecArray} */ (BULLET.exec(lines[at]));
  const ordered = /\d/.test(first[2]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const bullet = BULLET.exec(lines[end]);
    if (bullet && bullet[1].length <= first[1].length && /\d/.test(bullet[2]) === ordered) {
      items.push([lines[end].slice(bullet[0].length)]);
    } else if (!lines[end].trim()) {
      const next = lines[end + 1] ?? "";
      if (!/^ {2,}\S/.test(next) && !BULLET.test(next)) break;
      items[items.length - 1].push("");
    } else if (/^\s/.test(lines[end]) || (!bullet && !startsBlock(lines[end]) && lines[end - 1].trim())) {
      items[items.length - 1].push(lines[end].replace(new RegExp(`^ {0,${first[0].length}}`), ""));
    } else break;
    end += 1;
  }
  const start = Number.parseInt(first[2], 10);
  const entries = items.map((item) => h("li", null, ...tight(blocks(item, depth + 1))));
  found.push(h(ordered ? "ol" : "ul", { start: ordered && start !== 1 ? start : null }, entries));
  return end;
}

/** A lone paragraph in a list is no paragraph of its own. @param {Node[]} nodes */
function tight(nodes) {
  const [first, ...rest] = nodes;
  return first instanceof HTMLParagraphElement ? [...first.childNodes, ...rest] : nodes;
}

/** @param {string} line */
const startsBlock = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);

/** @param {string} line @param {string} next */
const isTable = (line, next) => line.includes("|") && next.length < WIDEST && next.includes("-") && DELIMITERS.test(next);

/** @param {string[]} lines @param {number} at @param {Node[]} found */
function table(lines, at, found) {
  const head = cells(lines[at]);
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim()) end += 1;
  const row = (/** @type {string} */ line) => h("tr", null, head.map((_, column) => h("td", null, ...inline(cells(line)[column] ?? ""))));
  found.push(
    h(
      "div",
      { class: "table", tabindex: "0", role: "group", "aria-label": "Table" },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, head.map((cell) => h("th", { scope: "col" }, ...inline(cell))))),
        h("tbody", null, lines.slice(at + 2, end).map(row)),
      ),
    ),
  );
  return end;
}

/** @param {string} line */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

/** @param {string[]} lines @param {number} at @param {Node[]} found */
function paragraph(lines, at, found) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !startsBlock(lines[end]) && !BULLET.test(lines[end])) end += 1;
  found.push(h("p", null, ...inline(lines.slice(at, end).join("\n"))));
  return end;
}
