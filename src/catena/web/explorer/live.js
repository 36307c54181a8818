/**
 * Responses that are being written: begun here, or by somebody else and followed. Their words go into the forest as they
 * come. A connection that breaks is taken up where it broke; the server keeps the events.
 */

import { ApiError, getStream, post, postStream } from "./api.js";
import { Forest } from "./forest.js";

const FOLLOWED = 4;
const PATIENCE = [500, 1000, 2000, 4000];

/** @type {Map<string, AbortController>} runs that somebody else began and that are followed here */
const followed = new Map();
/** @type {Set<string>} runs that were begun here */
const own = new Set();
/** @type {Set<string>} runs without events to follow, which were not begun as streams */
const mute = new Set();

/**
 * Begin a response. Resolves with its id when the server has it, and rejects with what the server says otherwise; the
 * rest goes on by itself.
 * @param {Forest} forest @param {any} body @param {string} words what the turn shows until the server tells
 * @returns {Promise<string>}
 */
export function begin(forest, body, words) {
  return new Promise((resolve, reject) => {
    const telling = new Telling(forest, (id) => {
      own.add(id);
      forest.put({ id, parent: body.previous_response_id ?? null, model: body.model, created_at: Date.now() / 1000, first_words: { input: words, output: "" } });
      forest.say(id, "");
      resolve(id);
    });
    run(telling, postStream("/responses", { ...body, stream: true })).catch(reject);
  });
}

/** Follow the runs of a tree that are not at their end, a few at a time. @param {Forest} forest */
export function followOpen(forest) {
  for (const turn of forest.turns.values()) {
    const { id, status, endpoint } = turn.record;
    const known = own.has(id) || followed.has(id) || mute.has(id);
    if (status !== "in_progress" || endpoint !== "responses" || known || followed.size >= FOLLOWED) continue;
    const stop = new AbortController();
    followed.set(id, stop);
    const telling = new Telling(forest, () => forest.say(id, ""));
    const events = getStream(`/responses/${id}`, { stream: true }, stop.signal);
    // How one that is mute ends is seen when the tree is asked for again.
    run(telling, events).catch((error) => error.status === 400 && mute.add(id)).finally(() => followed.delete(id));
  }
}

/** Listen to nobody else's runs any more. */
export function leave() {
  for (const stop of followed.values()) stop.abort();
  followed.clear();
}

/** @param {string} id */
export const cancel = (id) => post(`/responses/${id}/cancel`);

/** What a response says, event by event. */
class Telling {
  /** @param {Forest} forest @param {(id: string) => void} onBegun */
  constructor(forest, onBegun) {
    this.forest = forest;
    this.onBegun = onBegun;
    this.id = "";
    this.text = "";
    this.last = -1;
    this.ended = false;
  }

  /** @param {any} event */
  take(event) {
    this.last = event.sequence_number ?? this.last;
    if (event.type === "error") throw new ApiError(event.message ?? event.error?.message ?? "The response failed.");
    if (event.type === "response.created" && !this.id) {
      this.id = event.response.id;
      this.onBegun(this.id);
    } else if (event.type === "response.output_text.delta" || event.type === "response.refusal.delta") this.#add(event.delta);
    else if (event.type === "response.output_item.added") this.#item(event.item);
    else if (event.response && /completed|incomplete|failed|cancelled/.test(event.type)) this.#end(event.response);
  }

  /** @param {any} item */
  #item(item) {
    if (this.text) this.#add("\n\n");
    if (item.name && /_call$/.test(item.type)) this.#add(`Calls \`${item.name}\` …`);
  }

  /** @param {string} words */
  #add(words) {
    this.text += words;
    this.forest.say(this.id, this.text);
  }

  /** @param {any} response */
  #end(response) {
    this.ended = true;
    this.forest.say(this.id, null);
    this.forest.put({ id: this.id, status: response.status, usage: usageOf(response.usage), created_at: response.created_at, model: response.model });
  }
}

/** @param {Telling} telling @param {AsyncIterable<any>} events */
async function run(telling, events) {
  let source = events;
  try {
    for (const wait of [...PATIENCE, 0]) {
      try {
        for await (const event of source) telling.take(event);
        if (telling.ended) return;
      } catch (error) {
        if (!telling.id || !wait || error instanceof ApiError && error.status) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      source = getStream(`/responses/${telling.id}`, { stream: true, ...(telling.last >= 0 && { starting_after: telling.last }) });
    }
  } finally {
    followed.delete(telling.id);
    own.delete(telling.id);
    if (!telling.ended && telling.id) telling.forest.say(telling.id, null);
  }
}

/** @param {any} usage */
const usageOf = (usage) =>
  usage && {
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    cached_tokens: usage.input_tokens_details?.cached_tokens ?? 0,
    total_tokens: usage.total_tokens,
  };
