/**
 * Sizes and lines of the picture, in its two grains. Pure.
 *
 * @typedef {import("./layout.js").Place} Place
 * @typedef {{width: number, height: number, acrossX: number, acrossY: number, inset: number}} Grain the size of a turn, the steps
 *   from one to the next, and how far from its left edge its line runs
 */

/** @type {Record<"cards" | "dots", Grain>} */
export const GRAINS = {
  cards: { width: 212, height: 92, acrossX: 234, acrossY: 126, inset: 22 },
  dots: { width: 16, height: 16, acrossX: 30, acrossY: 28, inset: 8 },
};

/** Height of what stands for a folded stretch, in the middle of its place. */
const PILL = 34;
const BEND = 12;

/** Where a turn stands. @param {Place} place @param {Grain} grain */
export function boxOf(place, { width, height, acrossX, acrossY }) {
  const left = place.column * acrossX;
  const top = place.row * acrossY;
  return { left, top, right: left + width, bottom: top + height };
}

/** The line from a turn's parent to it: down, and for a branch across, with round corners.
 * @param {Place} place @param {Grain} grain */
export function lineTo(place, grain) {
  if (!place.parent) return "";
  const from = boxOf(place.parent, grain);
  const to = boxOf(place, grain);
  const cut = (/** @type {Place} */ end) => (end.hidden.length ? (grain.height - PILL) / 2 : 0);
  const [x1, y1] = [from.left + grain.inset, from.bottom - cut(place.parent)];
  const [x2, y2] = [to.left + grain.inset, to.top + cut(place)];
  if (x1 === x2) return `M${x1} ${y1}V${y2}`;
  const middle = (from.bottom + to.top) / 2;
  const bend = Math.min(BEND, (to.top - from.bottom) / 2);
  const down = `M${x1} ${y1}V${middle - bend}Q${x1} ${middle} ${x1 + bend} ${middle}`;
  return `${down}H${x2 - bend}Q${x2} ${middle} ${x2} ${middle + bend}V${y2}`;
}

/** How large a whole picture is. @param {Place[]} places @param {Grain} grain */
export function extentOf(places, { width, height, acrossX, acrossY }) {
  const columns = places.reduce((most, place) => Math.max(most, place.column), 0);
  const rows = places.reduce((most, place) => Math.max(most, place.row), 0);
  return { width: columns * acrossX + width, height: rows * acrossY + height };
}

/** The place that a key leads to from another. @param {Place[]} places @param {Place} from @param {string} key */
export function neighbour(places, from, key) {
  switch (key) {
    case "ArrowUp":
      return from.parent;
    case "ArrowDown":
      return from.children[0];
    case "Home":
      return places[0];
    case "End": {
      let last = from;
      while (last.children.length) last = last.children[0];
      return last;
    }
    case "ArrowLeft":
    case "ArrowRight": {
      const row = places.filter((other) => other.row === from.row).sort((a, b) => a.column - b.column);
      return row[row.indexOf(from) + (key === "ArrowRight" ? 1 : -1)];
    }
    default:
      return null;
  }
}
