/** Items of a turn, as one reads them: messages, thoughts, calls of tools and what they gave. */

import { h } from "./dom.js";
import { markdown } from "./markdown.js";

const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+$/;
const WHO = /** @type {Record<string, string>} */ ({ user: "You", assistant: "Model", system: "System", developer: "Developer" });

/** @param {any} item @returns {HTMLElement} */
export function itemView(item) {
  const type = item.type ?? "message";
  if (type === "message") return message(item);
  if (type === "reasoning") return reasoning(item);
  if (/_call_output$/.test(type)) return told(`Output of ${item.call_id ?? "a call"}`, item.output ?? item);
  if (/_call$/.test(type)) return told(callTitle(item), callArguments(item), item.call_id);
  return told(String(type).replaceAll("_", " "), item);
}

/** All the text of some items' messages. @param {any[]} items */
export function textOf(items) {
  return items
    .filter((item) => (item.type ?? "message") === "message")
    .map((item) => (typeof item.content === "string" ? item.content : (item.content ?? []).map((/** @type {any} */ part) => part.text ?? part.refusal ?? "").join("")))
    .join("\n\n");
}

/** @param {string} role @param {(Node | string)[]} body @param {string} [extra] */
export function speech(role, body, extra = "") {
  return h("section", { class: `item item-${WHO[role] ? role : "other"} ${extra}` }, h("h3", { class: "who" }, WHO[role] ?? role), h("div", { class: "prose" }, ...body));
}

/** @param {any} item */
function message(item) {
  const parts = typeof item.content === "string" ? [{ type: "text", text: item.content }] : (item.content ?? []);
  return speech(String(item.role ?? "message"), parts.map(part));
}

/** @param {any} content @returns {Node} */
function part(content) {
  if (typeof content.text === "string") return markdown(content.text);
  if (typeof content.refusal === "string") return h("p", { class: "refusal" }, content.refusal);
  if (content.type === "input_image") return image(content);
  return json(content);
}

/** @param {any} content */
function image(content) {
  const address = typeof content.image_url === "object" ? content.image_url?.url : content.image_url;
  if (typeof address === "string" && PICTURE.test(address)) return h("img", { src: address, alt: "A picture in the input" });
  return h("p", { class: "aside" }, "A picture that lies elsewhere and is not fetched: ", h("code", null, String(address ?? content.file_id)));
}

/** @param {any} item */
function reasoning(item) {
  const words = [...(item.summary ?? []), ...(item.content ?? [])].map((/** @type {any} */ each) => each.text ?? "");
  const text = words.join("\n\n");
  if (!text) return told("Thoughts, sealed by the engine", item);
  return h("details", { class: "item item-thought" }, h("summary", null, "Thoughts"), h("div", { class: "prose" }, markdown(text)));
}

/** @param {string} title @param {any} body @param {string} [aside] */
function told(title, body, aside) {
  return h("section", { class: "item item-tool" }, h("h3", { class: "who" }, title, aside ? h("span", { class: "aside" }, ` ${aside}`) : null), json(body));
}

/** @param {any} item */
const callTitle = (item) => (item.name ? `Calls ${item.name}` : String(item.type).replaceAll("_", " "));

/** @param {any} item */
function callArguments(item) {
  if (item.arguments === undefined) return item.input ?? item.action ?? item;
  try {
    return JSON.parse(item.arguments);
  } catch {
    return item.arguments;
  }
}

/** Anything, as JSON to read. @param {any} value @returns {HTMLElement} */
export function json(value) {
  return h("pre", { class: "json", tabindex: "0" }, h("code", null, typeof value === "string" ? value : JSON.stringify(value, null, 2)));
}
