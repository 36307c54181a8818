/** What one can do to a turn besides reading it: replay it on another model, delete it. Both ask first. */

import { remove } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { plural } from "./format.js";
import { suggested } from "./models.js";
import { asRequest } from "./turns.js";

/**
 * Ask which model is to answer the same request.
 * @param {import("./forest.js").Turn} turn @param {import("./turns.js").Reading} reading
 * @returns {Promise<any>} the request, or null
 */
export async function askReplay(turn, reading) {
  const field = h("input", { id: "replay-model", list: "model-names", value: suggested(turn.record.model), autocomplete: "off", spellcheck: "false" });
  const body = [
    h("p", null, "The same input, with the same turns before it, is answered anew. The answer becomes a branch beside this turn; this turn stays as it is."),
    h("label", { for: "replay-model" }, "Model"),
    field,
  ];
  const answer = await ask("Replay this turn", body, [{ label: "Replay", value: "replay", kind: "primary" }]);
  const model = field.value.trim();
  return answer && model ? asRequest(reading, turn.record.parent, model) : null;
}

/**
 * Ask, saying what will happen, and delete.
 * @param {import("./forest.js").Forest} forest @param {import("./forest.js").Turn} turn
 * @returns {Promise<"one" | "all" | null>} what was deleted
 */
export async function askDelete(forest, turn) {
  const below = forest.below(turn).length - 1;
  const chat = turn.record.endpoint === "chat";
  const one = below ? "Delete only this turn" : "Delete this turn";
  const body = [
    h("p", null, h("strong", null, `${one}: `), "its input and its output are gone at once and for good. ", below ? `The ${plural(below, "turn")} below it stay, and can be read and continued; models just do not see this turn any more.` : "The turns before it stay as they are."),
    below && !chat ? h("p", null, h("strong", null, `Delete it with the ${plural(below, "turn")} below: `), "all of their contents are gone at once and for good.") : null,
    h("p", { class: "aside" }, "Nothing of this can be undone."),
  ];
  const choices = [{ label: one, value: "one", kind: "danger" }];
  if (below && !chat) choices.push({ label: `Delete all ${below + 1}`, value: "all", kind: "danger" });
  const answer = await ask("Delete this turn?", /** @type {any} */ (body.filter(Boolean)), choices);
  if (!answer) return null;
  const path = chat ? "/chat/completions" : "/responses";
  await remove(`${path}/${turn.record.id}`, { cascade: answer.value === "all" ? true : null });
  return /** @type {"one" | "all"} */ (answer.value);
}
