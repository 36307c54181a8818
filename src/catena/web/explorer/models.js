/** The models that one can ask, and the one that was asked last. */

import { get } from "./api.js";
import { h, fill } from "./dom.js";

const PLACE = "catena.model";
const FALLBACK = "gpt-4o";

/** The names to choose from, shared by all fields of models. */
export const names = h("datalist", { id: "model-names" });

let first = "";

export async function loadModels() {
  const { data } = await get("/models");
  first = data[0]?.id ?? "";
  fill(names, ...data.map((/** @type {any} */ model) => h("option", { value: model.id })));
}

/** @param {string} [near] the model of the turn that is continued */
export function suggested(near) {
  return near || stored() || first || FALLBACK;
}

/** @param {string} model */
export function remember(model) {
  try {
    localStorage.setItem(PLACE, model);
  } catch {
    // A browser that stores nothing: the next suggestion is the default.
  }
}

function stored() {
  try {
    return localStorage.getItem(PLACE) ?? "";
  } catch {
    return "";
  }
}
