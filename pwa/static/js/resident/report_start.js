// <report-start> on the home page: a photo chosen here, or "No photo", opens the form in place of the page.

import { granted, once } from "../lib/geolocation.js";
import { handed } from "./form_handover.js";
import { anything } from "./has_pending.js";

/** @type {any} */
const htmx = /** @type {any} */ (window)["htmx"];

class ReportStart extends HTMLElement {
  connectedCallback() {
    const form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    const link = /** @type {HTMLAnchorElement} */ (this.querySelector("#no-photo"));
    const trouble = /** @type {HTMLElement} */ (this.querySelector("[role=alert]"));
    const open = async () => {
      trouble.hidden = true;
      try {
        await formCode();
        if (htmx) link.click();
        else form.requestSubmit();
      } catch {
        trouble.hidden = false;
      }
    };
    this.addEventListener("change", (event) => {
      handed.files = [.../** @type {HTMLInputElement} */ (event.target).files ?? []];
      if (handed.files.length) void open();
    });
    // While the camera is open there is time to fetch what comes next.
    this.addEventListener("pointerdown", () => void formCode().catch(() => {}));
    link.addEventListener("click", () => {
      handed.locate = true;
      void formCode().catch(() => {});
    });
    for (const fault of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
      link.addEventListener(fault, () => void this.#goOn(link.href).catch(() => (trouble.hidden = false)));
    }
    trouble.querySelector("button")?.addEventListener("click", () => void open());
    void this.#lookAround();
    void this.#showKept();
  }

  /** Without signal the form comes from the phone, where it finds the photo. @param {string} address */
  async #goOn(address) {
    if (!navigator.serviceWorker?.controller) throw new Error("no form on this phone");
    if (handed.files.length) {
      const { keepPhoto, letGo } = await import("./pending_reports.js");
      const [{ shrink }, { taken }] = await Promise.all([import("../lib/image_resize.js"), import("../lib/photo_metadata.js")]);
      await letGo();
      for (const file of handed.files) await keepPhoto(await shrink(file), await taken(file));
      sessionStorage["taken"] = "1"; // so that the form does not call it begun earlier
    }
    location.assign(address);
  }

  /** Reports of this phone that wait for signal, or went from here. */
  async #showKept() {
    const list = /** @type {HTMLElement | null} */ (this.parentElement?.querySelector("#kept-here") ?? null);
    if (list && (await anything())) await (await import("./pending_list.js")).list(list);
  }

  /** Where the phone may be asked without a question, the list below shows what is near. */
  async #lookAround() {
    const fix = htmx && (await granted()) ? await once() : null;
    if (!fix || !this.isConnected) return;
    const values = { lat: fix.lat, lon: fix.lon };
    htmx.ajax("GET", location.pathname, { source: "#near", target: "#near", swap: "outerHTML", values });
  }
}

function formCode() {
  return import("./report_form.js");
}

customElements.define("report-start", ReportStart);
