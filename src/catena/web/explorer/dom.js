/**
 * Elements, made from names and texts. Text only ever becomes text: there is no way here to hand over markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes and children. `class`, `data-…`, `aria-…` and the like are attributes; a function under
 * `onclick` and the like listens; `true` sets an attribute without a value, and `false` or null sets none.
 * @param {string} name
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(name, attributes, ...children) {
  return dress(document.createElement(name), attributes, children);
}

/**
 * The same, for drawings.
 * @param {string} name
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function svg(name, attributes, ...children) {
  return dress(document.createElementNS(SVG, name), attributes, children);
}

/**
 * Let an element have these children and no others.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

/** @param {Element} element @param {Record<string, any> | null | undefined} attributes @param {any[]} children */
function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {any} */ (element).value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...present(children));
  return element;
}

/** @param {any[]} children @returns {(Node | string)[]} */
function present(children) {
  return children
    .flat(2)
    .filter((child) => child != null && child !== false && child !== "")
    .map((child) => (child instanceof Node ? child : String(child)));
}
