// <report-form>: what makes the form quick. It only fills in and sends a form that works without any of this.

import { granted, listen } from "./place.js";
import { Shots } from "./shots.js";
import { handed } from "./start.js";

/** @type {any} */
const htmx = /** @type {any} */ (window)["htmx"];

class ReportForm extends HTMLElement {
  /** @type {HTMLFormElement} */ #form = /** @type {any} */ (null);
  /** @type {Shots} */ #shots = /** @type {any} */ (null);
  /** @type {() => void} */ #stopListening = () => {};
  #asked = "";

  connectedCallback() {
    this.#form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    this.#shots = new Shots(this.#form, this.dataset, () => this.#photosChanged());
    this.#form.addEventListener("change", (event) => this.#changed(event));
    this.#form.addEventListener("click", (event) => this.#clicked(event));
    this.#form.addEventListener("keydown", (event) => this.#keyed(event));
    this.#form.addEventListener("htmx:confirm", (event) => void this.#holdForPhotos(event));
    this.#form.addEventListener("htmx:configRequest", (event) => {
      const { formData } = /** @type {CustomEvent} */ (event).detail;
      for (const file of this.#shots.kept) formData.append("photo", file, file.name);
    });
    this.#form.addEventListener("htmx:sendError", () => this.#failed("lost"));
    this.#form.addEventListener("htmx:responseError", () => this.#failed("broken"));
    this.#showKinds();
    this.#shots.add(handed.files.splice(0));
    void this.#begin();
  }

  disconnectedCallback() {
    this.#stopListening();
  }

  async #begin() {
    const wanted = handed.locate;
    handed.locate = false;
    if (this.#value("place") || this.#value("lat")) this.#near();
    // Merely opening the page asks nobody for the position: only a tap that led here, or an old yes.
    else if (wanted || (await granted())) this.#locate();
  }

  /** @param {Event} event */
  #changed(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (field.id === "more-photos") {
      this.#shots.add([...(field.files ?? [])]);
      field.value = "";
    } else if (field.name === "place" || field.name === "pick") {
      this.#find();
    } else if (field.name === "group" || field.name.startsWith("service-")) {
      this.#showKinds();
      this.#warn();
      this.#near();
    }
    this.#stops();
  }

  /** @param {Event} event */
  #clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("[data-locate]")) this.#locate();
    const row = /** @type {HTMLElement | null} */ (target.closest(".shot"));
    if (!row || !target.closest("button")) return;
    event.preventDefault();
    this.#shots.remove(row);
    this.#one("#more-photos")?.focus();
  }

  /** Enter in the place box looks the place up; it does not send. @param {KeyboardEvent} event */
  #keyed(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (event.key !== "Enter" || field.name !== "place") return;
    event.preventDefault();
    this.#find();
  }

  /** A chip like "Wire down" opens "Stay back" before anything is sent. */
  #warn() {
    const danger = /** @type {HTMLDetailsElement | null} */ (this.#one("details.danger"));
    if (!danger || this.#chip()?.dataset["urgent"] === undefined) return;
    danger.open = true;
    this.#set("warned", "1");
  }

  #locate() {
    this.#stopListening();
    this.#set("place", "");
    this.#news(this.dataset["seeking"]);
    this.#stopListening = listen(
      (fix) => {
        if (this.#value("place")) return; // what was typed meanwhile goes before the phone
        this.#set("lat", fix.lat);
        this.#set("lon", fix.lon);
        this.#set("accuracy", fix.metres);
        this.#news("");
        void this.#card({ lat: fix.lat, lon: fix.lon, accuracy: fix.metres, sure: this.#value("sure") });
      },
      () => {
        this.#news(this.dataset["refused"]);
        const box = this.#one("#place");
        box?.setAttribute("aria-describedby", "place-news");
        box?.focus();
      },
    );
  }

  #find() {
    const place = this.#value("place").trim();
    if (!place) return;
    this.#stopListening();
    this.#news("");
    void this.#card({ place, pick: this.#value("pick") });
  }

  /**
   * The location card, drawn by the server.
   * @param {Record<string, string | number>} values
   */
  async #card(values) {
    const asked = (this.#asked = JSON.stringify(values));
    if ("lat" in values && document.activeElement === this.#one("#place")) return; // not under a typing finger
    await this.#draw("place", values, "#place-card", "outerHTML", () => this.#asked === asked);
    this.#near();
  }

  /** Cases that may be the same, as soon as kind and place are known. */
  #near() {
    const { lat = "", lon = "" } = this.#one("#place-card")?.dataset ?? {};
    const service = this.#chip()?.value ?? "";
    if (lat && service) {
      void this.#draw("near", { lat, lon, service }, "#near-cases", "innerHTML", () => this.#chip()?.value === service);
    } else {
      this.#one("#near-cases")?.replaceChildren();
    }
    this.#stops();
  }

  /**
   * Puts a fragment of the server into the form. Without network the form stays as it is, and still sends.
   * @param {string} what
   * @param {Record<string, string | number>} values
   * @param {string} target
   * @param {string} swapStyle
   * @param {() => boolean} wanted whether it is still the newest question when the answer comes
   */
  async #draw(what, values, target, swapStyle, wanted) {
    const query = new URLSearchParams(Object.entries(values).map(([name, value]) => [name, String(value)]));
    try {
      const answer = await fetch(`${this.#form.action}/${what}?${query}`, { headers: { "HX-Request": "true" } });
      const html = answer.ok ? await answer.text() : "";
      if (html && wanted() && this.isConnected) htmx.swap(target, html, { swapStyle });
    } catch {
      // no signal: what the phone said rides along hidden
    }
  }

  /** Send waits for photos that are on their way; what cannot go ahead then goes along. @param {Event} event */
  async #holdForPhotos(event) {
    const { detail, target } = /** @type {CustomEvent} */ (event);
    if (target !== this.#form) return;
    event.preventDefault();
    while (this.#shots.onTheirWay) {
      this.#label(this.dataset["waiting"]);
      await new Promise((resolve) => this.addEventListener("photos", resolve, { once: true }));
    }
    this.#label(this.dataset["sending"]);
    detail.issueRequest();
  }

  /** @param {"lost" | "broken"} why */
  #failed(why) {
    this.#label("");
    const trouble = this.#one("#trouble");
    if (!trouble) return;
    trouble.textContent = this.dataset[why] ?? "";
    trouble.hidden = false;
  }

  /** What Send says; "" for what it said at first. @param {string | undefined} words */
  #label(words) {
    const trouble = this.#one("#trouble");
    if (trouble) trouble.hidden = true;
    const label = this.#one("#send span");
    if (!label) return;
    label.dataset["rest"] ??= label.textContent ?? "";
    label.textContent = words || label.dataset["rest"];
  }

  #photosChanged() {
    this.dispatchEvent(new Event("photos"));
    const label = this.#one(".add-photo");
    const words = this.#one(".add-photo span");
    if (label) label.hidden = this.#shots.count >= Number(this.dataset["most"]);
    if (words) words.textContent = (this.#shots.count ? words.dataset["next"] : words.dataset["first"]) ?? "";
    this.#stops();
  }

  /** Browsers without :has() would show every chip; here only those of the chosen tile. */
  #showKinds() {
    if (CSS.supports("selector(:has(*))")) return;
    for (const set of this.#form.querySelectorAll("[data-group]")) {
      const { dataset } = /** @type {HTMLElement} */ (set);
      set.toggleAttribute("hidden", dataset["group"] !== this.#value("group"));
    }
  }

  /** Which stops of the line are done; the first that is not is where one is now. */
  #stops() {
    const done = {
      photo: this.#shots?.count > 0,
      kind: this.#value("group") !== "",
      place: this.#one("#place-card[data-known]") !== null,
      rest: false,
    };
    let now = false;
    for (const [name, isDone] of Object.entries(done)) {
      const stop = this.#one(`#${name}-stop`);
      if (stop) stop.dataset["stop"] = isDone ? "done" : now ? "next" : "now";
      now ||= !isDone;
    }
  }

  /** The chosen tile's chip. @returns {HTMLInputElement | null} */
  #chip() {
    const group = this.#value("group");
    return group ? this.#form.querySelector(`[name="service-${CSS.escape(group)}"]:checked`) : null;
  }

  /** @param {string | undefined} words */
  #news(words) {
    const news = this.#one("#place-news");
    if (!news) return;
    news.textContent = words ?? "";
    news.hidden = !words;
  }

  /** @param {string} name */
  #value(name) {
    return String(new FormData(this.#form).get(name) ?? "");
  }

  /**
   * @param {string} name
   * @param {string | number} value
   */
  #set(name, value) {
    const field = /** @type {HTMLInputElement | null} */ (this.#form.elements.namedItem(name));
    if (field) field.value = String(value);
  }

  /** @param {string} selector @returns {HTMLElement | null} */
  #one(selector) {
    return this.querySelector(selector);
  }
}

// A form that was left for its receipt comes back with a used key: the page is asked for anew.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("report-form")) location.reload();
});

customElements.define("report-form", ReportForm);
