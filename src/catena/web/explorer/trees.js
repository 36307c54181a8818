/** Lists of trees, and whole trees, as the server knows them. */

import { get } from "./api.js";

const PAGE = 30;
const WHOLE = 1000;
const MOST = 5000;

/** @param {{search?: string, after?: string, limit?: number}} [wanted] @returns {Promise<{data: any[], has_more: boolean}>} */
export function listTrees({ search = "", after = "", limit = PAGE } = {}) {
  return get("/responses", { roots: true, limit, after, q: search });
}

/**
 * All turns of the tree that a turn is in, parents before children.
 * @param {string} id @param {AbortSignal} [signal]
 * @returns {Promise<{root: string, records: any[], partial: boolean}>}
 */
export async function readTree(id, signal) {
  const records = [];
  let after = "";
  let root = "";
  let more = true;
  while (more && records.length < MOST) {
    const page = await get(`/responses/${id}/lineage`, { part: "tree", limit: WHOLE, after }, signal);
    records.push(...page.data);
    root = page.tree.root;
    more = page.has_more;
    after = page.last_id;
  }
  return { root, records, partial: more };
}
