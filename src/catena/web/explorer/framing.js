/**
 * Which part of a picture to show, and how large. Pure.
 *
 * @typedef {{width: number, height: number}} Size
 * @typedef {{x: number, y: number, scale: number}} Frame where the picture's origin stands, and its scale
 */

const MARGIN = 28;
/** The least scale at which a card can be read. */
export const LEGIBLE = 0.5;
/** The least at which anything is chosen. */
const LEAST = 0.45;
/** The least at which it is read with ease. */
const EASY = 0.72;

/**
 * As much as can be read with ease, and one turn for sure.
 * @param {Size} picture @param {Size} room @param {{right: number, bottom: number}} box the turn @returns {Frame}
 */
export function closeUp(picture, room, box) {
  const whole = (room.width - 2 * MARGIN) / picture.width;
  const scale = whole < EASY ? 1 : Math.min(1, whole);
  const wide = picture.width * scale + 2 * MARGIN > room.width;
  const high = picture.height * scale + 2 * MARGIN > room.height;
  return {
    x: wide ? Math.min(MARGIN, room.width - MARGIN - box.right * scale) : (room.width - picture.width * scale) / 2,
    y: high ? Math.min(MARGIN / 2, room.height * 0.6 - box.bottom * scale) : MARGIN / 2,
    scale,
  };
}

/** All of it, as far as a finger can still choose what it shows. @param {Size} picture @param {Size} room @returns {Frame} */
export function overall(picture, room) {
  const whole = Math.min((room.width - 2 * MARGIN) / picture.width, (room.height - MARGIN) / picture.height);
  const scale = Math.min(1, Math.max(LEAST, whole));
  return { x: Math.max(MARGIN, (room.width - picture.width * scale) / 2), y: MARGIN / 2, scale };
}
