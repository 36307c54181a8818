/** The sides of a turn, each as what the panel shows of it. */

import { codeBlock, copyButton } from "./dialog.js";
import { h } from "./dom.js";
import { itemView, json, speech } from "./items.js";
import { markdown } from "./markdown.js";
import { hashOf } from "./route.js";
import { currentKey } from "./session.js";
import { curlLines, pythonLines } from "./snippets.js";

/** @typedef {import("./forest.js").Turn} Turn */
/** @typedef {import("./turns.js").Reading} Reading */

/** What went in and what came out, or is coming out. @param {Turn} turn @param {Reading | null} reading */
export function saidView(turn, reading) {
  const own = reading?.said.at(-1);
  const input = own ? own.input.map(itemView) : [speech("user", [markdown(turn.record.first_words.input)])];
  if (turn.live !== null) return [...input, speakingView(turn.live)];
  return [
    instructionsView(reading?.context.instructions),
    ...input,
    ...(own?.output ?? []).map(itemView),
    ...endView(turn, reading?.response),
  ];
}

/** @param {string} words */
function speakingView(words) {
  const said = words ? markdown(words) : h("p", { class: "aside" }, "Thinking …");
  return speech("assistant", [h("div", { id: "speaking" }, said)], "speaking");
}

/** Why there is no more. @param {Turn} turn @param {any} response */
function endView(turn, response) {
  const reason = response?.incomplete_details?.reason ?? "for a reason that was not told";
  return [
    response?.error ? h("p", { class: "told" }, `It failed: ${response.error.message}`) : null,
    turn.record.status === "incomplete" ? h("p", { class: "aside" }, `Cut short: ${reason}.`) : null,
  ];
}

/** @param {any} instructions */
function instructionsView(instructions) {
  if (!instructions) return null;
  return speech("Instructions", [typeof instructions === "string" ? markdown(instructions) : json(instructions)]);
}

/** Everything that the model was given, oldest first. @param {Reading} reading */
export function contextView({ said, context }) {
  const { instructions, engine, whole, engine_unavailable: missing } = context;
  return [
    h("p", { class: "aside" }, "All that the model was given when it wrote this turn, oldest first."),
    whole ? null : h("p", { class: "aside" }, "Something in this chain was deleted since; models do not see it any more."),
    instructionsView(instructions),
    ...said.map((turn, at) => seenView(turn, at + 1, at === said.length - 1)),
    engine ? engineView(engine) : null,
    missing ? h("p", { class: "aside" }, missing) : null,
  ];
}

/** @param {import("./turns.js").Said} turn @param {number} number @param {boolean} last */
function seenView(turn, number, last) {
  const title = last ? `Turn ${number}, this one` : h("a", { href: hashOf({ view: "turn", id: turn.id, tab: "turn" }) }, `Turn ${number}`);
  const items = last ? turn.input : [...turn.input, ...turn.output];
  return h("section", { class: "seen" }, h("h2", { class: "seen-turn" }, title), ...items.map(itemView));
}

/** @param {any} engine */
function engineView(engine) {
  const title = `As the engine gets it: ${engine.messages.length} messages for ${engine.model}`;
  return h("details", { class: "engine" }, h("summary", null, title), json(engine.messages), engine.tools.length ? json(engine.tools) : null);
}

/** The object itself. @param {Turn} turn @param {Reading | null} reading */
export function rawView(turn, reading) {
  const object = reading?.response ?? turn.record;
  const source = reading?.response ? `GET /v1/responses/${turn.record.id}` : "Its place in the tree";
  const copy = copyButton(() => JSON.stringify(object, null, 2), "Copy the JSON");
  return [h("p", { class: "raw-head" }, h("span", { class: "aside" }, source), copy), json(object)];
}

/** How to go on from elsewhere. @param {Turn} turn */
export function codeView(turn) {
  const keyed = Boolean(currentKey());
  return [
    h("p", { class: "aside" }, "These lines continue from this turn. Run them twice, and there are two branches."),
    codeBlock("curl", curlLines(location.origin, turn.record, keyed)),
    codeBlock("Python", pythonLines(location.origin, turn.record, keyed)),
  ];
}
