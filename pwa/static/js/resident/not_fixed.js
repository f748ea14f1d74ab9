// <not-fixed> around the form that sends a closing back: the photo goes ahead, and for ten seconds it can be undone.

import { part } from "../lib/dom.js";
import { shrink } from "../lib/image_resize.js";

const SECONDS = 10;

class NotFixed extends HTMLElement {
  /** @type {number | undefined} */ #timer;
  #isAhead = false; // whether the server has the photo already

  connectedCallback() {
    const form = /** @type {HTMLFormElement} */ (part(this, "form"));
    const input = /** @type {HTMLInputElement} */ (part(this, "#photo"));
    const bar = part(this, ".undo-bar");
    input.addEventListener("change", () => void this.#sendAhead(form, input));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#timer === undefined) this.#countDown(form, bar);
    });
    part(bar, "[data-undo]").addEventListener("click", () => {
      this.#stop(bar);
      part(form, "button.button--act").focus();
    });
    // Whoever leaves meant it: only Undo takes it back. What is too large for the way out stays in the form.
    addEventListener("pagehide", () => {
      if (this.#timer === undefined) return;
      clearInterval(this.#timer);
      navigator.sendBeacon(form.action, this.#body(form));
    });
  }

  /** @param {HTMLFormElement} form @param {HTMLElement} bar */
  #countDown(form, bar) {
    let left = SECONDS;
    const tell = () => (part(bar, "[data-count]").textContent = (this.dataset["count"] ?? "").replace("#", String(left)));
    tell();
    bar.hidden = false;
    part(bar, "[data-undo]").focus();
    this.#timer = setInterval(() => {
      left -= 1;
      tell();
      if (left > 0) return;
      this.#stop(bar);
      if (this.#isAhead) part(form, "#photo").removeAttribute("name");
      form.submit();
    }, 1000);
  }

  /** @param {HTMLElement} bar */
  #stop(bar) {
    clearInterval(this.#timer);
    this.#timer = undefined;
    bar.hidden = true;
  }

  /** @param {HTMLFormElement} form */
  #body(form) {
    const body = new FormData(form);
    if (this.#isAhead) body.delete("photo");
    return body;
  }

  /** @param {HTMLFormElement} form @param {HTMLInputElement} input */
  async #sendAhead(form, input) {
    const file = input.files?.[0], says = part(this, "[data-says]");
    this.#isAhead = false;
    if (!file) return;
    says.textContent = this.dataset["uploading"] ?? "";
    const body = new FormData();
    body.set("key", String(new FormData(form).get("key")));
    body.set("csrf_token", String(new FormData(form).get("csrf_token")));
    body.set("photo", await shrink(file));
    try {
      const answer = await fetch(this.dataset["photos"] ?? "", { method: "POST", body });
      const told = await answer.json();
      this.#isAhead = answer.ok;
      says.textContent = answer.ok ? `${this.dataset["there"]} · ${told.words}` : told.fault;
      if (!answer.ok) input.value = "";
    } catch {
      says.textContent = this.dataset["kept"] ?? "";
    }
  }
}

customElements.define("not-fixed", NotFixed);
