/** What a turn cost: tokens, time, and where they went. */

import { h, svg } from "./dom.js";
import { count, duration, moment } from "./format.js";

/** @param {import("./forest.js").Turn} turn @param {any} response @returns {HTMLElement} */
export function usageView(turn, response) {
  const usage = turn.record.usage;
  const took = response?.completed_at ? response.completed_at - response.created_at : null;
  const settings = ["temperature", "top_p", "max_output_tokens", "tool_choice", "service_tier", "background", "store"];
  return h(
    "div",
    { class: "usage" },
    usage ? bar(usage) : h("p", { class: "aside" }, "The engine did not count the tokens of this turn."),
    facts("Tokens", usage && [
      ["Read", count(usage.input_tokens)],
      ["of these from the engine's cache", count(usage.cached_tokens)],
      ["Written", count(usage.output_tokens)],
      ["Together", count(usage.total_tokens)],
    ]),
    facts("Time", [
      ["Began", moment(turn.record.created_at)],
      ["Ended", response?.completed_at ? moment(response.completed_at) : "–"],
      ["Took", took === null ? "–" : duration(took)],
      ["Speed", took && usage ? `${count(Math.round(usage.output_tokens / took))} tokens a second` : "–"],
    ]),
    facts("Settings", settings.filter((name) => response?.[name] != null).map((name) => [name, text(response[name])])),
    facts("Metadata", Object.entries(response?.metadata ?? {}).map(([name, value]) => [name, text(value)])),
  );
}

/** @param {any} value */
const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

/** @param {string} title @param {string[][] | null} rows */
function facts(title, rows) {
  if (!rows?.length) return null;
  return h("section", null, h("h2", null, title), h("dl", null, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))));
}

/** What was read from the cache, read anew and written, as one bar. @param {any} usage */
function bar(usage) {
  const fresh = Math.max(0, usage.input_tokens - usage.cached_tokens);
  const parts = [["cached", usage.cached_tokens], ["fresh", fresh], ["written", usage.output_tokens]];
  const whole = parts.reduce((sum, [, size]) => sum + size, 0) || 1;
  let x = 0;
  const pieces = parts.map(([kind, size]) => {
    const width = (size / whole) * 100;
    const piece = svg("rect", { class: `bar-${kind}`, x, y: 0, width, height: 6 });
    x += width;
    return piece;
  });
  const words = `${count(usage.cached_tokens)} tokens from the cache, ${count(fresh)} read, ${count(usage.output_tokens)} written`;
  return h(
    "figure",
    { class: "meter" },
    svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": words }, pieces),
    h("figcaption", null, h("span", { class: "key-cached" }, "cached"), h("span", { class: "key-fresh" }, "read"), h("span", { class: "key-written" }, "written")),
  );
}
