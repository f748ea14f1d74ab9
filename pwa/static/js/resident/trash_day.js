// <trash-day>: "Use where I am" asks the phone and opens the page with its answer.

import { once } from "../lib/geolocation.js";

class TrashDay extends HTMLElement {
  connectedCallback() {
    const form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    const told = /** @type {HTMLElement} */ (this.querySelector("[role=status]"));
    this.querySelector("[data-locate]")?.addEventListener("click", async () => {
      const fix = "geolocation" in navigator ? await once() : null;
      if (fix) location.assign(`${form.action}?lat=${fix.lat}&lon=${fix.lon}&accuracy=${fix.metres}`);
      else told.textContent = this.dataset.refused ?? "";
    });
  }
}

customElements.define("trash-day", TrashDay);
