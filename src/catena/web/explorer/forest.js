/**
 * One tree of turns, as it is known here: what the lineage of the server says, and what is being written just now. It
 * tells who listens that something changed, and never asks anybody for anything.
 */

/**
 * @typedef {{id: string, parent: string | null, depth: number, status: string, model: string, created_at: number,
 *   endpoint: string, conversation: string | null, deleted: boolean, usage: any, children: number,
 *   first_words: {input: string, output: string}}} Record_
 * @typedef {{record: Record_, parent: Turn | null, children: Turn[], depth: number, live: string | null}} Turn
 */

export class Forest extends EventTarget {
  constructor() {
    super();
    /** @type {Map<string, Turn>} */
    this.turns = new Map();
    /** @type {Turn | null} */
    this.root = null;
    this.summary = { turns: 0, branches: 0, depth: 0 };
    this.partial = false;
  }

  /** Turns that the server did not tell of yet. @type {Set<string>} */
  #untold = new Set();

  /** Whether turns were added, changed or went. */
  static CHANGE = "change";

  /**
   * Take over what the server said. It may be older than what is known here: a turn that was begun since stays, one that
   * ended since does not begin again, and what is being written keeps its words.
   * @param {Record_[]} records
   */
  load(records) {
    const told = new Set(records.map((record) => record.id));
    for (const id of this.turns.keys()) if (!told.has(id) && !this.#untold.has(id)) this.turns.delete(id);
    for (const record of records) {
      this.#untold.delete(record.id);
      const known = this.turns.get(record.id);
      if (!known || isOpen(known) || !isOpen({ record }) || record.deleted) this.#put(record);
    }
    this.#link();
    this.dispatchEvent(new Event(Forest.CHANGE));
  }

  /** Add or change one turn. @param {Partial<Record_> & {id: string}} changes */
  put(changes) {
    const known = this.turns.get(changes.id);
    if (!known) this.#untold.add(changes.id);
    this.#put({ ...(known?.record ?? BLANK), ...changes });
    this.#link();
    this.dispatchEvent(new Event(Forest.CHANGE));
  }

  /** What a turn that is being written says so far; null when it is done. @param {string} id @param {string | null} text */
  say(id, text) {
    const turn = this.turns.get(id);
    if (!turn) return;
    turn.live = text;
    if (text !== null) turn.record.first_words = { ...turn.record.first_words, output: text.slice(0, 160) };
    this.dispatchEvent(new CustomEvent("words", { detail: id }));
  }

  /** From the root to a turn. @param {string} id @returns {Turn[]} */
  path(id) {
    const path = [];
    for (let turn = this.turns.get(id) ?? null; turn; turn = turn.parent) path.push(turn);
    return path.reverse();
  }

  /** A turn and all below it. @param {Turn} turn @returns {Turn[]} */
  below(turn) {
    const found = [turn];
    for (let at = 0; at < found.length; at += 1) found.push(...found[at].children);
    return found;
  }

  /** @param {Record_} record */
  #put(record) {
    const known = this.turns.get(record.id);
    if (!known) this.turns.set(record.id, { record, parent: null, children: [], depth: 0, live: null });
    else if (known.live !== null && record.status === "in_progress")
      known.record = { ...record, first_words: { ...record.first_words, output: known.record.first_words.output } };
    else known.record = record;
  }

  /** A deleted turn is shown where it holds the place of others, and not where nothing is left below it. */
  #prune() {
    for (const turn of this.root ? this.below(this.root).reverse() : []) {
      if (!turn.record.deleted || turn.children.length) continue;
      this.turns.delete(turn.record.id);
      if (turn.parent) turn.parent.children = turn.parent.children.filter((child) => child !== turn);
      else this.root = null;
    }
  }

  #link() {
    this.root = null;
    for (const turn of this.turns.values()) turn.children = [];
    for (const turn of this.turns.values()) {
      turn.parent = (turn.record.parent && this.turns.get(turn.record.parent)) || null;
      if (turn.parent) turn.parent.children.push(turn);
      else this.root ??= turn;
    }
    this.#prune();
    const all = this.root ? this.below(this.root) : [];
    for (const turn of all) {
      turn.children.sort((a, b) => a.record.created_at - b.record.created_at);
      turn.depth = turn.parent ? turn.parent.depth + 1 : 1;
    }
    this.summary = {
      turns: all.length,
      branches: all.filter((turn) => turn.children.length === 0).length,
      depth: all.reduce((most, turn) => Math.max(most, turn.depth), 0),
    };
  }
}

/** @type {Record_} */
const BLANK = {
  id: "",
  parent: null,
  depth: 1,
  status: "in_progress",
  model: "",
  created_at: 0,
  endpoint: "responses",
  conversation: null,
  deleted: false,
  usage: null,
  children: 0,
  first_words: { input: "", output: "" },
};

/** Whether it is items that were put into a conversation: nobody answered them, so there is nothing to replay or to continue.
 * @param {Turn} turn */
export const isByHand = (turn) => turn.record.endpoint === "conversation";

/** Whether a turn is not at its end yet. @param {Pick<Turn, "record">} turn */
export const isOpen = (turn) => turn.record.status === "in_progress" || turn.record.status === "queued";
