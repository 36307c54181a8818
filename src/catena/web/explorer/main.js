/** The page, put together: where one is decides what is shown, and what one does decides where one goes. */

import { ApiError } from "./api.js";
import { compareView, readBranch } from "./compare.js";
import { Comparing } from "./comparing.js";
import { note } from "./dialog.js";
import { h } from "./dom.js";
import { Forest, isOpen } from "./forest.js";
import { homeView } from "./home.js";
import { Library } from "./library.js";
import { begin, cancel, followOpen, leave } from "./live.js";
import { loadModels } from "./models.js";
import { go, here, onPlace } from "./route.js";
import { signOut } from "./session.js";
import { Shell } from "./shell.js";
import { signInView } from "./signin.js";
import { readTree } from "./trees.js";
import { troubleView } from "./trouble.js";
import { askDelete, askReplay } from "./verbs.js";
import { watch } from "./watch.js";

/** @typedef {import("./route.js").Place} Place */

const shell = new Shell({
  more: () => attempt(() => loadList({ older: true })),
  signOut: leaveSession,
  select: (id) => go({ view: "turn", id, tab: tabNow({ narrow: true }) }, { replace: true }),
  pick: (id) => comparing.with(id) || go({ view: "turn", id, tab: tabNow({ narrow: false }) }),
  open: () => comparing.with(shell.picture.selected) || openSelected(),
  write: (id) => {
    go({ view: "turn", id, tab: "turn" });
    shell.panel.focusComposer();
  },
  send: continueFrom,
  replay: (id, reading) => attempt(() => replay(id, reading)),
  compare: (id) => comparing.start(id),
  compareWith: () => comparing.with(shell.picture.selected),
  stopComparing: () => comparing.stop(),
  remove: (id) => attempt(() => removeTurn(id)),
  cancel: (id) => attempt(() => cancel(id)),
});

const comparing = new Comparing(shell);
const library = new Library(firstSearch());
/** @type {Forest | null} */
let forest = null;
let seen = "";
let signedOut = false;
let visit = 0;

const watching = watch(look, (error) => {
  if (error instanceof ApiError && error.status === 401) askForKey(error);
  else shell.trouble(error?.message ?? "");
});

addEventListener("search", (event) => {
  library.search = /** @type {CustomEvent} */ (event).detail;
  if (here().view === "home") go({ view: "home", search: library.search }, { replace: true });
  loadList().catch((error) => shell.trouble(error.message));
});

onPlace(() => show());
show();
watching.soon();
loadModels().catch(() => {});

function firstSearch() {
  const place = here();
  return place.view === "home" ? place.search : "";
}

/** The side that turns are looked at from; the picture is one only where a narrow page shows one thing at a time.
 * @param {{narrow: boolean}} shows */
function tabNow({ narrow }) {
  const place = here();
  return place.view === "turn" && (narrow || place.tab !== "tree") ? place.tab : "turn";
}

/** Show the place that the address names. */
async function show() {
  if (signedOut) return;
  const number = ++visit;
  const place = here();
  try {
    if (place.view === "home") showHome();
    else if (place.view === "compare") await showCompare(place, () => number === visit);
    else await showTurn(place, () => number === visit);
  } catch (error) {
    if (number === visit) failed(/** @type {Error} */ (error));
  }
}

function showHome() {
  forest = null;
  leave();
  comparing.stop();
  shell.list.open("");
  shell.page("home", homeView({ empty: library.empty, send: beginChain }), "Catena");
}

/** @param {Extract<Place, {view: "turn"}>} place @param {() => boolean} current */
async function showTurn(place, current) {
  if (!forest?.turns.has(place.id)) {
    const wait = setTimeout(() => current() && shell.page("loading", h("p", { class: "aside loading" }, "Reading the tree …"), "Catena"), 150);
    const tree = await readTree(place.id).finally(() => clearTimeout(wait));
    if (!current()) return;
    leave();
    openForest(tree);
    if (!forest?.turns.has(place.id)) throw new ApiError("This turn was deleted.", { status: 404 });
  }
  const known = /** @type {Forest} */ (forest);
  shell.turn(known, place.id, place.tab);
  followOpen(known);
}

/** @param {{root: string, records: any[], partial: boolean}} tree */
function openForest(tree) {
  forest = new Forest();
  forest.partial = tree.partial;
  forest.load(tree.records);
  seen = "";
  shell.list.open(tree.root);
}

/** @param {Extract<Place, {view: "compare"}>} place @param {() => boolean} current */
async function showCompare(place, current) {
  comparing.stop();
  const sides = await Promise.all([place.left, place.right].map((id) => readBranch(id, forest)));
  if (current()) shell.page("compare", compareView(sides[0], sides[1]), "Two branches · Catena");
}

/** @param {Error} error */
function failed(error) {
  if (error instanceof ApiError && error.status === 401) return askForKey(error);
  shell.page("error", troubleView(error, show), "Catena");
  return undefined;
}

/** @param {ApiError} error */
function askForKey(error) {
  if (signedOut) return;
  signedOut = true;
  const first = error.code !== "invalid_api_key";
  shell.page("sign-in", signInView({ message: first ? "" : error.message, done: enter }), "Sign in · Catena");
}

function enter() {
  signedOut = false;
  forest = null;
  show();
  watching.soon();
  loadModels().catch(() => {});
}

function leaveSession() {
  signOut();
  leave();
  forest = null;
  library.clear();
  seen = "";
  shell.list.show([], { hasMore: false, search: "" });
  signedOut = false;
  askForKey(new ApiError("", { status: 401 }));
}

/** The list anew, or with the next page of it. @param {{older?: boolean}} [wanted] */
async function loadList(wanted) {
  const wasEmpty = library.empty;
  try {
    if (!(await library.load(wanted))) return;
  } catch (error) {
    if (!library.search || /** @type {ApiError} */ (error).status !== 400) throw error;
    shell.list.refuse(/** @type {Error} */ (error).message);
    return;
  }
  shell.list.show(library.entries, library);
  shell.signedIn();
  if (wasEmpty !== library.empty && here().view === "home" && !shell.busy) showHome();
}

/** What is new: in the list, and in the tree that is open. */
async function look() {
  if (signedOut) return;
  await loadList();
  if (!forest?.root) return;
  const entry = await library.newest(forest.root.record.id);
  const now = entry ? JSON.stringify([entry.tree, entry.newest?.id, entry.newest?.status]) : "";
  const open = [...forest.turns.values()].some((turn) => isOpen(turn) && turn.live === null);
  if (entry && now === seen && !open) return;
  const known = forest;
  const changed = seen !== "" || open;
  seen = now;
  if (!changed && entry?.tree?.turns === known.turns.size) return;
  const { records } = await readTree(known.root?.record.id ?? "");
  if (forest === known) {
    known.load(records);
    followOpen(known);
  }
}

/** @param {string} text @param {string} model */
async function beginChain(text, model) {
  const fresh = new Forest();
  const id = await begin(fresh, { model, input: text }, text);
  forest = fresh;
  seen = "";
  go({ view: "turn", id, tab: "turn" });
  shell.list.open(id);
  watching.soon();
}

/** @param {string} parent @param {string} text @param {string} model */
async function continueFrom(parent, text, model) {
  const known = /** @type {Forest} */ (forest);
  const id = await begin(known, { model, input: text, previous_response_id: parent }, text);
  if (forest === known) go({ view: "turn", id, tab: "turn" });
}

/** @param {string} id @param {import("./turns.js").Reading} reading */
async function replay(id, reading) {
  const known = /** @type {Forest} */ (forest);
  const turn = known.turns.get(id);
  const body = turn && (await askReplay(turn, reading));
  if (!body) return;
  const fresh = turn.record.parent ? known : new Forest();
  const made = await begin(fresh, body, turn.record.first_words.input);
  forest = fresh;
  if (fresh !== known) note("A first turn has nothing before it: its replay begins a tree of its own.");
  go({ view: "turn", id: made, tab: "turn" });
}

/** @param {string} id */
async function removeTurn(id) {
  const known = /** @type {Forest} */ (forest);
  const turn = known.turns.get(id);
  const done = turn && (await askDelete(known, turn));
  if (!done) return;
  note(done === "one" ? "The turn is deleted." : "The turns are deleted.");
  await reload(known, id, turn.parent?.record.id ?? "");
}

/** After a deletion: the tree anew, or where it is gone, the beginning. @param {Forest} known @param {string} id @param {string} parent */
async function reload(known, id, parent) {
  watching.soon();
  const tree = await readTree(parent || id).catch(() => null);
  if (forest !== known) return;
  if (tree) known.load(tree.records);
  if (!tree || !known.root) return go({ view: "home", search: "" });
  const left = known.turns.has(id) ? id : known.turns.has(parent) ? parent : known.root.record.id;
  if (left !== id) go({ view: "turn", id: left, tab: "turn" }, { replace: true });
  else show();
}

/** Read the selected turn: on a narrow page, go there. */
function openSelected() {
  const place = here();
  if (place.view === "turn" && place.tab === "tree") go({ view: "turn", id: place.id, tab: "turn" });
  shell.panel.body.focus();
}

/** Do it; say what went wrong. @param {() => Promise<unknown>} act */
async function attempt(act) {
  try {
    await act();
  } catch (error) {
    note(/** @type {Error} */ (error).message);
  }
}
