/**
 * The reader's key. It is kept for this tab only, is sent to this server only, and is gone when the tab is closed or
 * the reader signs out.
 */

const PLACE = "catena.key";
let key = remembered();

/** @returns {string} the key, or nothing where none is known */
export const currentKey = () => key;

/** @param {string} given */
export function signIn(given) {
  key = given.trim();
  try {
    sessionStorage.setItem(PLACE, key);
  } catch {
    // A browser that stores nothing: the key lasts until the page is left.
  }
}

export function signOut() {
  key = "";
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // Nothing was stored.
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(PLACE) ?? "";
  } catch {
    return "";
  }
}
