/** What the server knows of one turn: the response, and what its model saw. */

import { get } from "./api.js";

/**
 * @typedef {{id: string, input: any[], output: any[]}} Said what went into one turn and what came out
 * @typedef {{response: any, context: any, said: Said[]}} Reading `said` is the chain from the root to the turn itself,
 *   which is last
 */

/**
 * @param {{id: string, endpoint: string}[]} chain from the root to the turn that is read
 * @param {AbortSignal} [signal]
 * @returns {Promise<Reading>}
 */
export async function readTurn(chain, signal) {
  const { id, endpoint } = chain[chain.length - 1];
  const [response, context] = await Promise.all([
    // What came in by another endpoint is no response: its context is all there is.
    endpoint === "responses" ? get(`/responses/${id}`, {}, signal) : null,
    get(`/responses/${id}/context`, {}, signal),
  ]);
  return { response, context, said: byTurn(context, chain.map((turn) => turn.id)) };
}

/** The items of a context by the turns that they came with. @param {any} context @param {string[]} chain @returns {Said[]} */
export function byTurn(context, chain) {
  /** @type {Said[]} */
  const said = chain.map((id) => ({ id, input: [], output: [] }));
  const places = new Map(chain.map((id, place) => [stemOf(id), place]));
  const last = said.length - 1;
  let place = last;
  const items = context.input ?? [];
  // An item that a client named does not tell its turn: it came with the item after it.
  for (let at = items.length - 1; at >= 0; at -= 1) {
    place = places.get(stemOf(items[at].id ?? "")) ?? place;
    const { input, output } = said[place];
    if (place !== last && isAnswer(items[at])) output.unshift(items[at]);
    else input.unshift(items[at]);
  }
  said[last].output = context.output ?? [];
  return said;
}

/** What the ids of a turn have in common. @param {string} id */
const stemOf = (id) => id.slice(-50, -4);

/** @param {any} item */
const isAnswer = (item) => item.role === "assistant" || item.type === "reasoning" || /_call$/.test(item.type ?? "");

/**
 * What makes the same request again, on another model. What was left at its default is left out: not every engine takes it.
 * @param {Reading} reading @param {string | null} parent @param {string} model
 */
export function asRequest(reading, parent, model) {
  const { said, context } = reading;
  const response = reading.response ?? context;
  /** @type {Record<string, any>} */
  const body = { model, input: said[said.length - 1].input.map(withoutIdentity) };
  if (parent) body.previous_response_id = parent;
  const defaults = { temperature: 1, top_p: 1, tool_choice: "auto", parallel_tool_calls: true, truncation: "disabled" };
  for (const [name, usual] of Object.entries(defaults))
    if (response[name] != null && response[name] !== usual) body[name] = response[name];
  for (const name of ["instructions", "max_output_tokens", "max_tool_calls"])
    if (response[name] != null) body[name] = response[name];
  if (response.tools?.length) body.tools = response.tools;
  if (response.text?.format && response.text.format.type !== "text") body.text = { format: response.text.format };
  if (response.reasoning?.effort) body.reasoning = { effort: response.reasoning.effort };
  if (Object.keys(response.metadata ?? {}).length) body.metadata = response.metadata;
  return body;
}

/** @param {any} item */
function withoutIdentity({ id, status, ...rest }) {
  return rest;
}
