// <report-form>: what makes the form quick; it works without. What was begun is kept on the phone, and so is the
// report until there is signal.

import { endSilent, within } from "../lib/timeout.js";
import { granted } from "../lib/geolocation.js";
import { Shots } from "./photo_field.js";
import { handed } from "./form_handover.js";
import { anything } from "./has_pending.js";

/** @type {any} */
const htmx = /** @type {any} */ (window)["htmx"];

const REST_MS = 400;
/** So long for reading what was begun: then photos and words go on without it. */
const READ_MS = 10_000;
/** Without these the form cannot have reached us; a hotel's page comes with 200. */
const AWAY = [0, 429, 502, 503, 504];

/** What keeps things on this phone: fetched when there is something to keep. */
const keeping = () => import("./form_autosave.js");

/** @typedef {import("./location_card.js").PlaceCard} PlaceCard */

class ReportForm extends HTMLElement {
  /** @type {HTMLFormElement} */ #form = /** @type {any} */ (null);
  /** @type {Shots} */ #shots = /** @type {any} */ (null);
  /** @type {Promise<PlaceCard> | null} */ #place = null;
  /** @type {Promise<import("./kind_chooser.js").KindChooser> | null} */ #chooser = null;
  #resting = 0;
  /** @type {Promise<void>} ends when what was begun is filled in, or there is nothing */ #restored = Promise.resolve();
  /** @type {Set<string>} names of what was filled in by hand */ #touched = new Set();
  /** @type {HTMLButtonElement | null} what was pressed to send */ #pressed = null;
  /** @type {Promise<void> | null} */ #keepingReport = null;

  connectedCallback() {
    this.#form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    this.#shots = new Shots(this.#form, this.dataset, () => this.#photosChanged());
    this.#form.addEventListener("change", (event) => this.#changed(event));
    this.#form.addEventListener("click", (event) => this.#clicked(event));
    this.#form.addEventListener("keydown", (event) => this.#keyed(event));
    this.#form.addEventListener("htmx:confirm", (event) => void this.#holdForPhotos(event));
    this.#form.addEventListener("htmx:configRequest", (event) => {
      const { detail, target } = /** @type {CustomEvent} */ (event);
      for (const file of this.#shots.kept) detail.formData.append("photo", file, file.name);
      if (target !== this.#form) return;
      detail.timeout = 0; // it counts all that goes up too: five photos on a slow line were cut off
      this.#putPressed(detail.formData);
    });
    this.#form.addEventListener("htmx:beforeSend", (event) => {
      if (event.target === this.#form) endSilent(/** @type {CustomEvent} */ (event).detail.xhr);
    });
    for (const fault of ["htmx:sendError", "htmx:sendAbort"]) {
      this.#form.addEventListener(fault, (event) => void this.#lost(event));
    }
    this.#form.addEventListener("htmx:responseError", (event) => {
      if (event.target === this.#form && !AWAY.includes(statusOf(event))) this.#failed("broken");
    });
    this.#form.addEventListener("htmx:beforeOnLoad", (event) => this.#answered(event));
    this.addEventListener("submit", (event) => this.#sending(event), { capture: true });
    // The camera may end this page: everything is on the phone before it opens.
    this.#form.addEventListener("pointerdown", (event) => {
      if (/** @type {HTMLElement} */ (event.target).closest(".add-photo")) void this.#keepForm();
    });
    this.#form.addEventListener("focusin", (event) => {
      const { id } = /** @type {HTMLElement} */ (event.target);
      if (id === "place") this.#placed(() => {});
      if (id === "kind-words") this.#kinds(() => {});
    });
    this.#form.addEventListener("input", (event) => {
      this.#touched.add(/** @type {HTMLInputElement} */ (event.target).name);
      this.#keepSoon();
    });
    this.#showKinds();
    this.#restored = this.#restore(handed.files.splice(0)).catch(() => {});
    void this.#restored
      .then(() => this.#takeShared().catch(() => this.#failed("notShared")))
      .finally(() => void this.#begin());
  }

  disconnectedCallback() {
    this.#stopListening();
  }

  async #begin() {
    const wanted = handed.locate;
    handed.locate = false;
    const isKnown = this.#value("place") || this.#value("lat");
    const isRestored = isKnown && this.#form.dataset["fresh"] !== undefined;
    if (isRestored) this.#placed((card) => void card.show());
    else if (isKnown) this.#near();
    // Merely opening the page asks nobody for the position: only a tap that led here, or an old yes.
    else if (wanted || (await granted())) this.#placed((card) => card.locate());
    this.#weigh(); // photos of a form that is drawn anew
  }

  /** @param {Event} event */
  #changed(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (field.id === "more-photos") {
      const files = [...(field.files ?? [])];
      field.value = "";
      void this.#restored.then(() => this.#shots.add(files)); // which may be another form's, with its photos
    } else if (["group", "kind"].includes(field.name) || field.name.startsWith("service-")) {
      this.#showKinds();
      this.#warn();
      this.#placed((card) => card.kindChanged());
    }
    this.#stops();
    this.#keepSoon();
  }

  /** @param {Event} event */
  #clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("[data-afresh]")) void this.#letGo().finally(() => location.reload());
    if (target.closest("[data-locate]")) {
      this.#touched.add("place"); // the place that was begun is not wanted any more
      this.#placed((card) => card.locate(true));
    }
    if (target.closest("[value=find]")) this.#find(event);
    if (target.closest("[data-map]")) this.#placed((card) => void card.map());
    const kind = /** @type {HTMLButtonElement | null} */ (target.closest('[name=do][value^="kind"]'));
    if (kind) {
      event.preventDefault();
      this.#kinds((chooser) => chooser.pressed(kind), () => this.#form.requestSubmit(kind));
    }
    const row = /** @type {HTMLElement | null} */ (target.closest(".shot"));
    if (!row || !target.closest("button")) return;
    event.preventDefault();
    this.#shots.remove(row);
    this.#one("#more-photos")?.focus();
  }

  /** Enter in the place box looks the place up; it does not send. @param {KeyboardEvent} event */
  #keyed(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (event.key === "Enter" && field.name === "place") this.#find(event);
    if (event.key !== "Enter" || field.id !== "kind-words") return;
    event.preventDefault();
    this.#kinds((chooser) => void chooser.look());
  }

  /** @param {Event} event */
  #find(event) {
    event.preventDefault();
    this.#placed((card) => card.find());
  }

  /**
   * Does something with the location card, whose code is fetched with the first fix or touch. Without it the form
   * sends what it holds.
   * @param {(card: PlaceCard) => void} what
   */
  #placed(what) {
    this.#place ??= import("./location_card.js").then(
      ({ PlaceCard }) => new PlaceCard(this.#form, this.dataset, (...asked) => this.#draw(...asked), () => this.#near()),
    );
    void this.#place.then(what).catch(() => (this.#place = null));
  }

  /**
   * Does what the choice among many kinds is asked for; `otherwise` where its code does not come.
   * @param {(chooser: import("./kind_chooser.js").KindChooser) => void} what
   */
  #kinds(what, otherwise = () => {}) {
    this.#chooser ??= import("./kind_chooser.js").then(({ KindChooser }) => new KindChooser(this.#form));
    void this.#chooser.then(what).catch(() => {
      this.#chooser = null;
      otherwise();
    });
  }

  #stopListening() {
    void this.#place?.then((card) => card.stop()).catch(() => {});
  }

  /** A chip like "Wire down" opens "Stay back" before anything is sent. */
  #warn() {
    const yes = /** @type {HTMLInputElement | null} */ (this.#one("[name=hurt]"));
    if (!yes || this.#chip()?.dataset["urgent"] === undefined) return;
    yes.checked = true;
    this.#set("warned", "1");
  }

  /** Cases that may be the same, as soon as kind and place are known. */
  #near() {
    const { lat = "", lon = "", accuracy = "", asset = "" } = this.#one("#place-card[data-known]")?.dataset ?? {};
    const service = this.#chip()?.value ?? "";
    if (lat && service) {
      void this.#draw("near", { lat, lon, accuracy, asset, service }, "#near-cases", "innerHTML", () => this.#chip()?.value === service)
        // What stands above Send now must not cover what the focus is on.
        .then(() => this.querySelector("#place-card :focus")?.scrollIntoView({ block: "nearest" }));
    } else {
      for (const id of ["cases", "likely"]) this.#one(`#near-${id}`)?.replaceChildren();
    }
    this.#stops();
  }

  /**
   * Puts a fragment of the server into the form. Without network the form stays as it is, and still sends.
   * @param {string} what
   * @param {Record<string, string>} values
   * @param {string} target
   * @param {string} swapStyle
   * @param {() => boolean} wanted whether it is still the newest question when the answer comes
   */
  async #draw(what, values, target, swapStyle, wanted) {
    try {
      const query = new URLSearchParams(values);
      const answer = await fetch(`${this.#form.action}/${what}?${query}`, { headers: { "HX-Request": "true" } });
      const html = answer.ok ? await answer.text() : "";
      if (!html || !wanted() || !this.isConnected) return false;
      htmx.swap(target, html, { swapStyle });
      return true;
    } catch {
      return false; // no signal: what the phone said rides along hidden
    }
  }

  /** Send waits for photos that are on their way; what cannot go ahead then goes along. @param {Event} event */
  async #holdForPhotos(event) {
    const { detail, target } = /** @type {CustomEvent} */ (event);
    if (target !== this.#form) return;
    event.preventDefault();
    await this.#photosSettled();
    this.#label(this.dataset["sending"]);
    detail.issueRequest();
  }

  /** htmx has forgotten the button, or names another, where the focus has moved while photos were waited for. @param {FormData} fields */
  #putPressed(fields) {
    if (!this.#pressed?.name) return;
    for (const name of ["do", "join"]) fields.delete(name);
    fields.set(this.#pressed.name, this.#pressed.value);
  }

  async #photosSettled() {
    while (this.#shots.onTheirWay) {
      this.#label(this.dataset["waiting"]);
      await new Promise((resolve) => this.addEventListener("photos", resolve, { once: true }));
    }
  }

  /** A form that came from the phone itself has nobody to go to: the report is kept, and goes when it can. @param {Event} event */
  #sending(event) {
    const { submitter } = /** @type {SubmitEvent} */ (event);
    this.#pressed = /** @type {HTMLButtonElement | null} */ (submitter);
    clearTimeout(this.#resting); // what is sent is not begun any more
    this.#stopListening();
    if (this.#form.dataset["kept"] === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    void this.#keepReport();
  }

  /** @param {Event} event */
  async #lost(event) {
    if (event.target === this.#form) await this.#keepReport();
  }

  /** What came back, if it is ours. A receipt lets go of what was kept for this form. @param {Event} event */
  #answered(event) {
    const { xhr } = /** @type {CustomEvent} */ (event).detail;
    if (event.target !== this.#form) return;
    const receipt = xhr.getResponseHeader("HX-Redirect");
    if (AWAY.includes(xhr.status) || !xhr.getResponseHeader("X-Cityline-Release")) {
      event.preventDefault();
      void this.#keepReport();
    } else if (receipt) {
      event.preventDefault();
      void this.#letGo().finally(() => location.assign(receipt));
    }
  }

  async #letGo() {
    await (await anything())?.letGo();
  }

  /** Keeps the report until there is signal, unless something is missing that only its author can say. However often
   * Send is pressed meanwhile, it is one report that is kept once. */
  #keepReport() {
    this.#keepingReport ??= this.#takeReport().finally(() => (this.#keepingReport = null));
    return this.#keepingReport;
  }

  async #takeReport() {
    await this.#photosSettled();
    this.#label("");
    try {
      const { take } = await keeping();
      const lacks = await take(this.#form, this.#pressed, await this.#shots.names());
      // With signal a form of the city's brings photos that this phone has no room for; the phone's own never does.
      if (lacks === "photos") return this.#failed(this.#form.dataset["kept"] === undefined ? "lost" : "noRoom");
      if (lacks === "danger") this.#warn();
      if (lacks) this.#ask(lacks);
    } catch {
      this.#failed("lost");
    }
  }

  /** @param {string} id of what is to be mended */
  #ask(id) {
    const field = this.#one(id === "danger" ? ".stop-back" : `#${CSS.escape(id)}`);
    field?.closest("details")?.setAttribute("open", "");
    /** @type {HTMLElement | null | undefined} */ (field?.matches("input") ? field : field?.querySelector("input, a"))?.focus();
    if (id !== "danger") this.#failed(id === "kind" ? "noKind" : id === "place" ? "noPlace" : "noAnswer");
  }

  /** Fills in what was begun on this phone, but for what was filled in meanwhile; a photo that was taken just now begins
   * another. @param {File[]} files */
  async #restore(files) {
    if (files.length) {
      await this.#letGo();
      return this.#shots.add(files);
    }
    if (this.#form.dataset["fresh"] === undefined) return;
    const { hash } = location;
    if (hash.length === 37 && (await (await keeping()).show(hash.slice(1)))) return;
    const found = await within(anything().then((kept) => kept?.begun()), READ_MS);
    const code = found?.form ? await keeping() : null;
    if (!found || this.#pressed) return; // what is sent is what was seen
    if (found.form && code) {
      this.#set("key", found.form.key);
      this.#shots = new Shots(this.#form, this.dataset, () => this.#photosChanged());
      code.refill(this.#form, found.form.fields, this.#touched);
      if (this.#value("kind")) this.#kinds((chooser) => chooser.restore());
      this.#showKinds();
      this.#stops();
    }
    this.#shots.restore(found.photos);
    const begun = this.#one("#begun");
    if (begun) begun.hidden = "taken" in sessionStorage; // at home, a moment ago
    delete sessionStorage["taken"];
  }

  /** What another app shared comes to what was begun. Its photos go with Send: nobody but their person sends them. */
  async #takeShared() {
    if (location.hash === "#not-shared") this.#failed("notShared");
    if (location.hash !== "#shared") return;
    const { taken } = await import("./share_target.js");
    const { files, words, told, done } = await taken(Number(this.dataset["most"]) - this.#shots.count);
    const field = /** @type {HTMLTextAreaElement | null} */ (this.#one("#words"));
    if (field && words) field.value = [field.value, words].filter(Boolean).join("\n");
    const kept = await this.#shots.share(files);
    await this.#keepForm();
    if (kept) await done();
    if (told) this.#failed(told);
  }

  #keepSoon() {
    clearTimeout(this.#resting);
    this.#resting = window.setTimeout(() => void this.#keepForm(), REST_MS);
  }

  async #keepForm() {
    clearTimeout(this.#resting);
    await this.#restored; // it would be written over, unread
    try {
      await (await keeping()).keep(this.#form);
    } catch {
      // no room, or a private window: the form works without
    }
  }

  /** @param {"lost" | "broken" | "noKind" | "noPlace" | "noAnswer" | "noRoom" | "notShared" | "noPicture" | "tooMany" |
   *   "tooLarge"} why */
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
    this.#weigh();
  }

  /** A photo that tells where or when it was taken may show another place. */
  #weigh() {
    const { taken } = this.#shots;
    if (taken.length || this.#place) this.#placed((card) => card.weigh(taken));
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
      kind: (this.#value("kind") || this.#value("group")) !== "",
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

  /** The chosen tile's chip, or the kind that was chosen among many. @returns {HTMLInputElement | null} */
  #chip() {
    if (this.#value("kind")) return this.#form.querySelector("[name=kind]");
    const group = this.#value("group");
    return group ? this.#form.querySelector(`[name="service-${CSS.escape(group)}"]:checked`) : null;
  }

  /** @param {string} name */
  #value(name) {
    return String(new FormData(this.#form).get(name) ?? "");
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  #set(name, value) {
    const field = /** @type {HTMLInputElement | null} */ (this.#form.elements.namedItem(name));
    if (field) field.value = value;
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

/** @param {Event} event @returns {number} */
function statusOf(event) {
  return /** @type {CustomEvent} */ (event).detail.xhr.status;
}

customElements.define("report-form", ReportForm);
