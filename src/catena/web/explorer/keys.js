/** What the keyboard does, to be read. */

import { ask } from "./dialog.js";
import { h } from "./dom.js";

const KEYS = [
  ["↑ ↓", "the turn before, the turn after"],
  ["← →", "the branch beside"],
  ["Home, End", "the first turn, the last of this branch"],
  ["Enter", "read the turn; unfold what is folded"],
  ["C", "continue from the turn, or branch off"],
  ["F", "fold what follows the turn"],
  ["+ − 0", "larger, smaller, all of it"],
  ["Shift and arrows", "move the picture"],
  ["/", "search"],
  ["N", "a new chain"],
  ["?", "this list"],
];

export function showKeys() {
  const rows = KEYS.map(([key, does]) => h("div", null, h("dt", null, h("kbd", null, key)), h("dd", null, does)));
  ask("Keyboard", [h("dl", { class: "keys" }, rows)], []);
}
