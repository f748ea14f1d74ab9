// <not-fixed> around the form that sends a closing back: the photo goes ahead, and for ten seconds it can be undone.

import { all, part } from "../lib/dom.js";
import { shrink } from "../lib/image_resize.js";

const SECONDS = 10;

class NotFixed extends HTMLElement {
  /** @type {number | undefined} */ #timer;
  #isGoing = false; // the ten seconds are over, and a photo is still on its way
  /** The photo that was chosen last goes ahead; it ends with the id that the server gave, "" where it has none.
   * @type {Promise<string>} */ #ahead = Promise.resolve("");

  connectedCallback() {
    const form = /** @type {HTMLFormElement} */ (part(this, "form"));
    const input = /** @type {HTMLInputElement} */ (part(this, "#photo"));
    const bar = part(this, ".undo-bar");
    input.addEventListener("change", () => {
      const before = this.#ahead;
      this.#ahead = before.then((id) => this.#replace(form, input.files?.[0], id));
    });
    form.addEventListener("submit", (event) => {
      if (event.submitter?.getAttribute("name") === "do") return this.#stop(bar); // "Remove" beside a photo
      event.preventDefault();
      if (this.#timer === undefined) this.#countDown(form, bar);
    });
    part(bar, "[data-undo]").addEventListener("click", () => {
      this.#stop(bar);
      part(form, "button.button--act").focus();
    });
    // Who goes on by a link of this page has changed their mind; who closes it or goes elsewhere meant it.
    for (const link of all(document, "a")) link.addEventListener("click", () => this.#stop(bar));
    addEventListener("pagehide", () => {
      if (this.#timer === undefined && !this.#isGoing) return;
      this.#stop(bar);
      this.#isGoing = false;
      const body = new FormData(form);
      if (navigator.sendBeacon(form.action, body)) return;
      body.delete("photo"); // too large for the way out: the words go
      navigator.sendBeacon(form.action, body);
    });
  }

  /** @param {HTMLFormElement} form @param {HTMLElement} bar */
  #countDown(form, bar) {
    let left = SECONDS;
    const tell = () => (this.dataset["count"] ?? "").replace("#", String(left));
    const shown = part(bar, "[data-count]");
    shown.textContent = part(bar, "[data-said]").textContent = tell();
    bar.hidden = false;
    part(bar, "[data-undo]").focus();
    this.#timer = setInterval(() => {
      left -= 1;
      shown.textContent = tell();
      if (left > 0) return;
      this.#stop(bar);
      this.#isGoing = true;
      part(form, "button.button--act").setAttribute("disabled", "");
      part(this, "[data-says]").textContent = this.dataset["uploading"] ?? "";
      void this.#ahead.then(() => {
        if (!this.#isGoing) return; // what left with the page is sent already
        this.#isGoing = false;
        form.submit();
      });
    }, 1000);
  }

  /** @param {HTMLElement} bar */
  #stop(bar) {
    clearInterval(this.#timer);
    this.#timer = undefined;
    bar.hidden = true;
  }

  /**
   * Sends the photo ahead in place of the one before. What the server has does not go along with the form.
   * @param {HTMLFormElement} form @param {File | undefined} file @param {string} before
   */
  async #replace(form, file, before) {
    const says = part(this, "[data-says]"), input = /** @type {HTMLInputElement} */ (part(this, "#photo"));
    const to = this.dataset["photos"] ?? "", told = new FormData(form);
    const body = new FormData();
    for (const name of ["key", "csrf_token"]) body.set(name, String(told.get(name)));
    try {
      if (before) await fetch(`${to}/${before}/remove`, { method: "POST", body });
      if (!file) return "";
      says.textContent = this.dataset["uploading"] ?? "";
      body.set("photo", await shrink(file));
      const answer = await fetch(to, { method: "POST", body });
      const { id, words, fault } = await answer.json();
      says.textContent = answer.ok ? `${this.dataset["there"]} · ${words}` : fault;
      if (input.files?.[0] === file) input.value = ""; // the next choice is another photo
      return answer.ok ? id : "";
    } catch {
      says.textContent = this.dataset["kept"] ?? "";
      return "";
    }
  }
}

customElements.define("not-fixed", NotFixed);
