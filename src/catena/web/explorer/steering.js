/** What keys and clicks do to the picture. */

import { neighbour } from "./geometry.js";

const STEP = 90;

/** @type {Record<string, [number, number]>} */
const PANS = { ArrowUp: [0, STEP], ArrowDown: [0, -STEP], ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0] };

/** @param {import("./picture.js").Picture} picture */
export function steer(picture) {
  picture.element.addEventListener("click", (/** @type {MouseEvent} */ event) => click(picture, event));
  picture.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && event.key in PANS) picture.view.move(...PANS[event.key]);
    else if (!act(picture, event.key)) return;
    event.preventDefault();
  });
}

/** @param {import("./picture.js").Picture} picture @param {MouseEvent} event */
function click(picture, event) {
  if (picture.view.dragged) return;
  const target = /** @type {Element} */ (event.target);
  const key = /** @type {HTMLElement | null} */ (target.closest("[data-key]"))?.dataset.key;
  if (!key) return;
  if (target.closest("[data-fold]") || picture.byKey.get(key)?.hidden.length) picture.toggle(key);
  else if (target.closest("[data-continue]")) picture.told.onContinue(key);
  else picture.told.onPick(key);
}

/** @param {import("./picture.js").Picture} picture @param {string} key @returns {boolean} whether the key does anything here */
function act(picture, key) {
  const place = picture.byKey.get(picture.selected) ?? picture.places[0];
  if (!place) return false;
  const next = neighbour(picture.places, place, key);
  if (next) {
    picture.choose(next);
    return true;
  }
  switch (key) {
    case "Enter":
    case " ":
      if (place.hidden.length) picture.toggle(place.key);
      else picture.told.onOpen();
      return true;
    case "c":
      if (!place.hidden.length) picture.told.onContinue(place.key);
      return true;
    case "f":
      picture.toggle(place.key);
      return true;
    case "+":
    case "=":
      picture.view.zoom(1.25);
      return true;
    case "-":
      picture.view.zoom(0.8);
      return true;
    case "0":
      picture.fit();
      return true;
    default:
      return key in PANS;
  }
}
