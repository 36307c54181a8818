/** The trees that are known here: the newest ones, as many older ones as were asked for, and what they are searched for. */

import { listTrees } from "./trees.js";

const NEWEST = 5;

export class Library {
  /** @param {string} search */
  constructor(search) {
    /** @type {any[]} */
    this.entries = [];
    this.hasMore = false;
    this.loaded = false;
    this.search = search;
  }

  #listed = "";

  /** Whether nothing was ever made here. */
  get empty() {
    return this.loaded && !this.entries.length && !this.search;
  }

  /**
   * Ask for the newest trees, or for those after the last that is known. False if the search changed meanwhile.
   * @param {{older?: boolean}} [wanted]
   */
  async load({ older = false } = {}) {
    const { search } = this;
    const page = await listTrees({ search, after: older ? this.entries.at(-1)?.id : "" });
    if (search !== this.search) return false;
    const kept = this.#listed === search ? this.#kept(page.data, older) : [];
    if (older || !kept.length || !page.has_more) this.hasMore = page.has_more;
    this.entries = older ? [...kept, ...page.data] : page.has_more ? [...page.data, ...kept] : page.data;
    this.#listed = search;
    this.loaded = true;
    return true;
  }

  /** What the newest trees say of one of them, whatever is searched for. @param {string} root */
  async newest(root) {
    const entries = this.search ? (await listTrees({ limit: NEWEST })).data : this.entries;
    return entries.find((each) => each.id === root);
  }

  /** Forget everything. */
  clear() {
    this.entries = [];
    this.hasMore = false;
    this.loaded = false;
    this.search = "";
  }

  /** What stays of the list when a page of it comes anew: what is not on it, and is older. @param {any[]} page @param {boolean} older */
  #kept(page, older) {
    const fresh = new Set(page.map((each) => each.id));
    const since = older ? Infinity : (page.at(-1)?.newest?.created_at ?? 0);
    return this.entries.filter((each) => !fresh.has(each.id) && each.newest?.created_at <= since);
  }
}
