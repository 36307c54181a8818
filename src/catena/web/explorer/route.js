/** Where one is, as the part of the address after `#`: so that links, reloads and the back button work. */

/**
 * @typedef {{view: "home", search: string}
 *   | {view: "turn", id: string, tab: string}
 *   | {view: "compare", left: string, right: string}} Place
 */

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const TABS = ["turn", "context", "usage", "json", "code", "tree"];

/** @param {string} hash @returns {Place} */
export function placeOf(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first, second, third] = path.split("/");
  if (first === "compare" && ID.test(second ?? "") && ID.test(third ?? ""))
    return { view: "compare", left: second, right: third };
  if (first && ID.test(first)) return { view: "turn", id: first, tab: TABS.includes(second) ? second : "turn" };
  return { view: "home", search: new URLSearchParams(search).get("q") ?? "" };
}

/** @param {Place} place @returns {string} */
export function hashOf(place) {
  if (place.view === "compare") return `#/compare/${place.left}/${place.right}`;
  if (place.view === "turn") return `#/${place.id}${place.tab === "turn" ? "" : `/${place.tab}`}`;
  return place.search ? `#/?q=${encodeURIComponent(place.search)}` : "#/";
}

/** Go there; `replace` leaves no step behind. @param {Place} place @param {{replace?: boolean}} [how] */
export function go(place, { replace = false } = {}) {
  const hash = hashOf(place);
  if (hash === location.hash) return;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  dispatchEvent(new Event("placechange"));
}

/** @returns {Place} */
export const here = () => placeOf(location.hash);

/** @param {() => void} listen */
export function onPlace(listen) {
  addEventListener("placechange", listen);
  addEventListener("popstate", listen);
}
