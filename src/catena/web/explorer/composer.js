/** The box to write a next turn in. Enter sends; Shift and Enter is a new line. */

import { h } from "./dom.js";
import { remember, suggested } from "./models.js";

export class Composer {
  /**
   * @param {{label: string, hint: string, model?: string, send: (text: string, model: string) => Promise<void>}} options
   * `send` rejects with what is to be told
   */
  constructor({ label, hint, model, send }) {
    this.send = send;
    this.text = h("textarea", { id: "composer-text", rows: "2", placeholder: hint, "aria-label": label, enterkeyhint: "send" });
    this.model = h("input", { class: "model-field", list: "model-names", "aria-label": "Model", autocomplete: "off", spellcheck: "false", value: suggested(model) });
    this.button = h("button", { class: "primary", type: "submit" }, "Send");
    this.told = h("p", { class: "told", role: "alert" });
    this.element = h(
      "form",
      { class: "composer", "aria-label": label, onsubmit: (/** @type {Event} */ event) => this.#submit(event) },
      this.text,
      h("div", { class: "composer-row" }, h("label", { class: "model-label" }, "Model ", this.model), this.button),
      this.told,
    );
    this.text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#submit(event);
    });
    this.text.addEventListener("input", () => this.#grow());
  }

  focus() {
    this.text.focus();
  }

  #grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight + 2, 240)}px`;
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    const text = this.text.value;
    const model = this.model.value.trim();
    if (!text.trim() || this.button.disabled) return;
    this.told.textContent = model ? "" : "Say which model is to answer.";
    if (!model) return;
    this.button.disabled = true;
    this.button.textContent = "Sending …";
    remember(model);
    try {
      this.text.value = "";
      await this.send(text, model);
    } catch (error) {
      this.text.value = text;
      this.told.textContent = /** @type {Error} */ (error).message;
    } finally {
      this.button.disabled = false;
      this.button.textContent = "Send";
      this.#grow();
    }
  }
}
