/**
 * Where each turn of a tree stands. Time runs downwards, one row a turn; the oldest continuation stays in the column of
 * its parent, so that a chain is a straight line, and each branch takes the nearest column to the right in which
 * it hits nothing. Lines never cross. Long stretches without a branch are folded into one place.
 *
 * @typedef {import("./forest.js").Turn} Turn
 * @typedef {{key: string, turn: Turn, hidden: Turn[], column: number, row: number, parent: Place | null,
 *   children: Place[]}} Place `hidden` are the turns that a fold stands for, none for a turn of its own
 * @typedef {{closed: Set<string>, unfolded: Set<string>, kept: Set<string>, longest: number}} Folding `closed` turns
 *   show nothing below them; a stretch of more than `longest` is folded unless it is `unfolded` or holds a `kept` turn
 */

/** @param {Turn | null} root @param {Folding} folding @returns {Place[]} parents before children */
export function layOut(root, folding) {
  if (!root) return [];
  const top = place(root, [], null);
  const all = [top];
  for (let at = 0; at < all.length; at += 1) {
    const parent = all[at];
    parent.children = following(parent, folding);
    all.push(...parent.children);
  }
  assignRows(all);
  assignColumns(top);
  return all;
}

/** The stretch that would be folded at a turn: it and what follows, as long as each has one continuation.
 * @param {Turn} first @param {Folding} folding */
function stretch(first, folding) {
  const turns = [];
  for (let turn = first; isPlain(turn, folding); [turn] = turn.children) turns.push(turn);
  return turns;
}

/** @param {Turn} turn @param {Folding} folding */
function isPlain(turn, folding) {
  return (
    turn.children.length === 1 &&
    turn.parent?.children.length === 1 &&
    !folding.kept.has(turn.record.id) &&
    !folding.closed.has(turn.record.id)
  );
}

/** @param {Place} parent @param {Folding} folding @returns {Place[]} */
function following(parent, folding) {
  const last = parent.hidden.at(-1) ?? parent.turn;
  if (!parent.hidden.length && folding.closed.has(last.record.id)) return [];
  return last.children.map((turn) => {
    const plain = parent.hidden.length ? [] : stretch(turn, folding);
    const folds = plain.length > folding.longest && !folding.unfolded.has(turn.record.id);
    return place(turn, folds ? plain : [], parent);
  });
}

/** @param {Turn} turn @param {Turn[]} hidden @param {Place | null} parent @returns {Place} */
function place(turn, hidden, parent) {
  const key = hidden.length ? `fold-${turn.record.id}` : turn.record.id;
  return { key, turn, hidden, column: 0, row: 0, parent, children: [] };
}

/** @param {Place[]} all */
function assignRows(all) {
  for (const each of all) each.row = each.parent ? each.parent.row + 1 : 0;
}

/** @param {Place} top */
function assignColumns(top) {
  /** @type {number[]} the first free column of each row */
  const free = [];
  const waiting = [{ start: top, least: 0 }];
  while (waiting.length) {
    const { start, least } = /** @type {{start: Place, least: number}} */ (waiting.pop());
    const line = [start];
    while (line[line.length - 1].children.length) line.push(line[line.length - 1].children[0]);
    let column = least;
    for (const each of line) column = Math.max(column, free[each.row] ?? 0);
    for (const each of line) {
      each.column = column;
      free[each.row] = column + 1;
    }
    // The deepest branches are placed first, nearest to the line; of siblings the older one.
    for (const each of line)
      for (const branch of each.children.slice(1).reverse()) waiting.push({ start: branch, least: column + 1 });
  }
}
