/** Requests to the server that this page came from, with the reader's key, and its errors in words. */

import { currentKey } from "./session.js";
import { eventsOf } from "./sse.js";

/** What the server refused, or why it could not be asked. `status` is 0 where there was no answer. */
export class ApiError extends Error {
  /** @param {string} message @param {{status?: number, code?: string | null, requestId?: string | null}} [details] */
  constructor(message, { status = 0, code = null, requestId = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/**
 * @param {string} path below `/v1`
 * @param {Record<string, any>} [query] what is null or empty is left out
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, query = {}, signal) {
  return (await ask(path, { signal }, query)).json();
}

/** @param {string} path @param {any} [body] @returns {Promise<any>} */
export async function post(path, body) {
  return (await ask(path, sending(body))).json();
}

/** @param {string} path @param {Record<string, any>} [query] @returns {Promise<any>} */
export async function remove(path, query = {}) {
  return (await ask(path, { method: "DELETE" }, query)).json();
}

/**
 * The events of a response that begins with this request.
 * @param {string} path @param {any} body @param {AbortSignal} [signal]
 */
export async function* postStream(path, body, signal) {
  const reply = await ask(path, { ...sending(body), signal });
  yield* eventsOf(/** @type {ReadableStream<Uint8Array>} */ (reply.body));
}

/**
 * The events of a response that is there already.
 * @param {string} path @param {Record<string, any>} query @param {AbortSignal} [signal]
 */
export async function* getStream(path, query, signal) {
  const reply = await ask(path, { signal }, query);
  yield* eventsOf(/** @type {ReadableStream<Uint8Array>} */ (reply.body));
}

/** @param {any} body @returns {RequestInit} */
const sending = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body ?? {}),
});

/** @param {string} path @param {RequestInit} options @param {Record<string, any>} [query] @returns {Promise<Response>} */
async function ask(path, options, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const search = pairs.length ? `?${new URLSearchParams(pairs)}` : "";
  const headers = new Headers(options.headers);
  if (currentKey()) headers.set("authorization", `Bearer ${currentKey()}`);
  let reply;
  try {
    reply = await fetch(`/v1${path}${search}`, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new ApiError("The server cannot be reached. Is it running? This page tries again by itself.");
  }
  if (reply.ok) return reply;
  throw await refusal(reply);
}

/** @param {Response} reply */
async function refusal(reply) {
  const error = await reply.json().then(
    (body) => body.error ?? {},
    () => ({}),
  );
  return new ApiError(error.message || `The server answered ${reply.status}.`, {
    status: reply.status,
    code: error.code,
    requestId: reply.headers.get("x-request-id"),
  });
}
