/** What differs between two texts, word by word. Pure. */

const MOST = 4_000_000;

/**
 * Both texts cut into stretches; `same` ones stand in both.
 * @param {string} left @param {string} right
 * @returns {{left: {text: string, same: boolean}[], right: {text: string, same: boolean}[]}}
 */
export function differences(left, right) {
  const a = wordsOf(left);
  const b = wordsOf(right);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const common = inCommon(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const mark = (/** @type {string[]} */ words, /** @type {Set<number>} */ kept) =>
    joined(words.map((text, at) => ({ text, same: at < head || at >= words.length - tail || kept.has(at - head) })));
  return { left: mark(a, common.left), right: mark(b, common.right) };
}

/** Words with the space after them. @param {string} text */
const wordsOf = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

/** Places of the longest common subsequence in both. @param {string[]} a @param {string[]} b */
function inCommon(a, b) {
  const kept = { left: new Set(), right: new Set() };
  if (a.length * b.length > MOST) return kept;
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      lengths[i * width + j] =
        a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      kept.left.add(i);
      kept.right.add(j);
      i += 1;
      j += 1;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return kept;
}

/** @param {{text: string, same: boolean}[]} stretches */
function joined(stretches) {
  /** @type {{text: string, same: boolean}[]} */
  const all = [];
  for (const [at, stretch] of stretches.entries()) {
    // The space between two words that differ is marked with them.
    const between = !stretch.text.trim() && stretches[at - 1]?.same === false && stretches[at + 1]?.same === false;
    const each = between ? { text: stretch.text, same: false } : stretch;
    const last = all.at(-1);
    if (last && last.same === each.same) last.text += each.text;
    else all.push({ ...each });
  }
  return all;
}
