// <trash-day>: "Use where I am" asks the phone and opens the page with its answer. The address that was answered stays
// on this phone, one tap away.

import { once } from "../lib/geolocation.js";

const SAVED = "trash-day address";

class TrashDay extends HTMLElement {
  connectedCallback() {
    const form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    const told = /** @type {HTMLElement} */ (this.querySelector("[role=status]"));
    this.#remember(form);
    this.querySelector("[data-locate]")?.addEventListener("click", async () => {
      const fix = "geolocation" in navigator ? await once() : null;
      if (fix) location.assign(`${form.action}?lat=${fix.lat}&lon=${fix.lon}&accuracy=${fix.metres}`);
      else told.textContent = this.dataset.refused ?? "";
    });
  }

  /** @param {HTMLFormElement} form */
  #remember(form) {
    const { known } = this.dataset;
    try {
      if (known) localStorage[SAVED] = known;
      const saved = String(localStorage[SAVED] ?? ""), link = form.querySelector("a[data-saved]");
      if (known || !saved || !(link instanceof HTMLAnchorElement)) return;
      link.href = `${form.action}?${new URLSearchParams({ place: saved })}`;
      link.append(saved);
      link.hidden = false;
    } catch {
      // a browser that keeps nothing
    }
  }
}

customElements.define("trash-day", TrashDay);
