// Home and the report form in the browser: photos go ahead in the background, the phone says where it is.
// Everything here only fills in and sends a form that also works without it.

import { shrink } from "./photo.js";
import { granted, listen, once } from "./place.js";

/**
 * A photo of one form. `file` is kept until the server has it.
 * @typedef {{ file: File, small: Promise<File>, preview: string, state: "on its way" | "there" | "kept" | "refused",
 *   id: string, words: string, going: AbortController | null }} Shot
 */

/** @type {any} */
const htmx = /** @type {any} */ (window)["htmx"];

// What the next form begins with, handed over from home; and what every form's key has gathered so far.
// It outlives the page's elements, since the form is drawn anew after a fault.
/** @type {{ files: File[], locate: boolean }} */
const handed = { files: [], locate: false };
/** @type {Map<string, Shot[]>} */
const shots = new Map();

class ReportStart extends HTMLElement {
  connectedCallback() {
    const form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    const link = /** @type {HTMLAnchorElement} */ (this.querySelector("#no-photo"));
    const trouble = /** @type {HTMLElement} */ (this.querySelector("[role=alert]"));
    const open = () => {
      trouble.hidden = true;
      if (htmx) htmx.trigger(link, "click");
      else form.requestSubmit();
    };
    for (const input of form.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => {
        const files = [.../** @type {HTMLInputElement} */ (input).files ?? []];
        if (!files.length) return;
        handed.files = files;
        open();
      });
    }
    link.addEventListener("click", () => (handed.locate = true));
    link.addEventListener("htmx:sendError", () => (trouble.hidden = false));
    link.addEventListener("htmx:responseError", () => (trouble.hidden = false));
    trouble.querySelector("button")?.addEventListener("click", open);
    void this.#lookAround();
  }

  /** Where the phone may be asked without a question, the list below shows what is near. */
  async #lookAround() {
    if (!htmx || document.querySelector("#near[data-here]") || !(await granted())) return;
    const fix = await once();
    if (!fix || !this.isConnected) return;
    const values = { lat: fix.lat, lon: fix.lon };
    htmx.ajax("GET", location.pathname, { source: "#near", target: "#near", swap: "outerHTML", values });
  }
}

class ReportForm extends HTMLElement {
  /** @type {HTMLFormElement} */ #form = /** @type {any} */ (null);
  /** @type {() => void} */ #deaf = () => {};
  #asked = "";

  connectedCallback() {
    this.#form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    const key = this.#value("key");
    if (!shots.has(key)) shots.set(key, []);
    this.#form.addEventListener("change", (event) => this.#changed(event));
    this.#form.addEventListener("click", (event) => this.#clicked(event));
    this.#form.addEventListener("keydown", (event) => this.#typed(event));
    this.#listenToSending();
    this.#one("#more-photos")?.addEventListener("change", (event) => {
      const input = /** @type {HTMLInputElement} */ (event.target);
      this.#add([...(input.files ?? [])]);
      input.value = "";
    });
    this.#showKinds();
    this.#takeOver();
    this.#stops();
    void this.#begin();
  }

  disconnectedCallback() {
    this.#deaf();
  }

  /** Photos handed over from home, and those that an earlier drawing of this form has not sent yet. */
  #takeOver() {
    for (const shot of this.#shots()) {
      const there = shot.id && this.#form.querySelector(`.shot[data-id="${shot.id}"]`);
      if (shot.state === "there" || shot.state === "refused") {
        if (there) /** @type {HTMLImageElement} */ (there.querySelector("img")).src = shot.preview;
        continue;
      }
      void this.#upload(shot, this.#row(shot));
    }
    const files = handed.files;
    handed.files = [];
    if (files.length) this.#add(files);
  }

  async #begin() {
    const wanted = handed.locate;
    handed.locate = false;
    if (this.#value("place") || this.#value("lat")) {
      this.#look();
      return;
    }
    // Nobody is asked for the position on merely opening the page: only after a tap that led here.
    if (wanted || (await granted())) this.#locate();
  }

  // ——— photos

  /** @param {File[]} files */
  #add(files) {
    const most = Number(this.dataset["most"]);
    for (const file of files) {
      if (this.#form.querySelectorAll(".shot").length >= most) break;
      const shot = /** @type {Shot} */ ({
        file, small: shrink(file), preview: URL.createObjectURL(file), state: "on its way", id: "", words: "",
        going: null,
      });
      this.#shots().push(shot);
      void this.#upload(shot, this.#row(shot));
    }
    this.#stops();
  }

  /** @param {Shot} shot */
  #row(shot) {
    const pattern = /** @type {HTMLTemplateElement} */ (this.#one("#shot"));
    const row = /** @type {HTMLElement} */ (pattern.content.cloneNode(true)).firstElementChild;
    const item = /** @type {HTMLElement} */ (row ?? pattern.content.querySelector("li")?.cloneNode(true));
    const image = /** @type {HTMLImageElement} */ (item.querySelector("img"));
    image.src = shot.preview;
    item.dataset["preview"] = shot.preview;
    this.#one("#photos")?.append(item);
    return item;
  }

  /**
   * @param {Shot} shot
   * @param {HTMLElement} row
   */
  async #upload(shot, row) {
    this.#tell(row, this.dataset["uploading"] ?? "");
    shot.state = "on its way";
    shot.going = new AbortController();
    try {
      const body = new FormData();
      const small = await shot.small;
      body.set("key", this.#value("key"));
      body.set("photo", small, small.name);
      const answer = await fetch(`${this.#form.action}/photos`, {
        method: "POST", body, headers: { "X-CSRFToken": this.#value("csrf_token") }, signal: shot.going.signal,
      });
      if (answer.ok) {
        const { id, words } = await answer.json();
        Object.assign(shot, { state: "there", id, words });
        row.dataset["id"] = id;
        const button = /** @type {HTMLButtonElement} */ (row.querySelector("button"));
        button.value = `remove ${id}`;
        this.#tell(row, words);
      } else if (answer.status === 422 && answer.headers.get("Content-Type")?.includes("json")) {
        const { fault } = await answer.json();
        Object.assign(shot, { state: "refused", words: fault });
        row.classList.add("shot--refused");
        this.#tell(row, fault);
      } else {
        throw new Error(String(answer.status));
      }
    } catch {
      if (shot.going?.signal.aborted) return;
      shot.state = "kept";
      this.#tell(row, this.dataset["kept"] ?? "");
    } finally {
      shot.going = null;
      this.dispatchEvent(new Event("photo"));
    }
  }

  /**
   * @param {HTMLElement} row
   * @param {string} words
   */
  #tell(row, words) {
    const small = row.querySelector("small");
    if (small) small.textContent = words;
    const news = this.#one("#photo-news");
    if (news) news.textContent = words;
  }

  /** @param {HTMLElement} row */
  #remove(row) {
    const list = this.#shots();
    const shot = list.find((one) => one.preview === row.dataset["preview"] || one.id === row.dataset["id"]);
    if (shot) {
      shot.going?.abort();
      list.splice(list.indexOf(shot), 1);
    }
    const id = row.dataset["id"];
    if (id) {
      const body = new FormData();
      body.set("key", this.#value("key"));
      void fetch(`${this.#form.action}/photos/${id}/remove`, {
        method: "POST", body, headers: { "X-CSRFToken": this.#value("csrf_token") },
      });
    }
    row.remove();
    this.#stops();
    this.#one("#more-photos")?.focus();
  }

  // ——— kind and place

  /** @param {Event} event */
  #changed(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (field.name === "place" || field.name === "pick") this.#find();
    if (field.name === "group" || field.name.startsWith("service-")) {
      this.#showKinds();
      const danger = /** @type {HTMLDetailsElement | null} */ (this.#one("details.danger"));
      const chip = this.#chip();
      if (danger && chip?.dataset["urgent"] !== undefined) {
        danger.open = true;
        /** @type {HTMLInputElement} */ (this.#form.elements.namedItem("warned")).value = "1";
      }
      this.#near();
    }
    this.#stops();
  }

  /** @param {Event} event */
  #clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("[data-locate]")) this.#locate();
    const button = /** @type {HTMLButtonElement | null} */ (target.closest("button[name=do]"));
    const row = /** @type {HTMLElement | null} */ (target.closest(".shot"));
    if (button && row) {
      event.preventDefault();
      event.stopPropagation();
      this.#remove(row);
    }
  }

  /** Enter in the place box looks the place up; it does not send. @param {KeyboardEvent} event */
  #typed(event) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (event.key === "Enter" && field.name === "place") {
      event.preventDefault();
      this.#find();
    }
  }

  #locate() {
    this.#deaf();
    this.#news(this.dataset["seeking"] ?? "");
    const place = /** @type {HTMLInputElement | null} */ (this.#form.elements.namedItem("place"));
    if (place) place.value = "";
    this.#deaf = listen(
      (fix) => {
        if (this.#value("place")) return; // what was typed meanwhile goes before the phone
        this.#set("lat", String(fix.lat));
        this.#set("lon", String(fix.lon));
        this.#set("accuracy", String(fix.metres));
        this.#news("");
        void this.#card({ lat: fix.lat, lon: fix.lon, accuracy: fix.metres, sure: this.#value("sure") });
      },
      () => {
        this.#news(this.dataset["refused"] ?? "");
        const box = /** @type {HTMLElement | null} */ (this.#form.elements.namedItem("place"));
        box?.setAttribute("aria-describedby", "place-news");
        box?.focus();
      },
    );
  }

  #find() {
    const words = this.#value("place").trim();
    if (!words) return;
    this.#deaf();
    this.#news("");
    void this.#card({ place: words, pick: this.#value("pick") });
  }

  /** @param {Record<string, string | number>} values */
  async #card(values) {
    const asked = (this.#asked = JSON.stringify(values));
    const typing = document.activeElement === this.#form.elements.namedItem("place");
    if (typing && values["lat"]) return;
    await this.#fetched("place", values, "#place-card", "outerHTML", () => this.#asked === asked);
    this.#look();
  }

  #look() {
    this.#near();
    this.#stops();
  }

  #near() {
    const card = /** @type {HTMLElement | null} */ (this.#one("#place-card"));
    const service = this.#chip()?.value;
    const box = this.#one("#near-cases");
    if (!box) return;
    if (!service || !card?.dataset["lat"]) {
      box.replaceChildren();
      return;
    }
    const values = { lat: card.dataset["lat"], lon: card.dataset["lon"] ?? "", service };
    void this.#fetched("near", values, "#near-cases", "innerHTML", () => this.#chip()?.value === service);
  }

  /**
   * A fragment of the server put into the form. Without network the form stays as it is, and still sends.
   * @param {string} what
   * @param {Record<string, string | number>} values
   * @param {string} target
   * @param {string} swap
   * @param {() => boolean} wanted whether it is still the newest question when the answer comes
   */
  async #fetched(what, values, target, swap, wanted) {
    const query = new URLSearchParams(Object.entries(values).map(([name, value]) => [name, String(value)]));
    try {
      const answer = await fetch(`${this.#form.action}/${what}?${query}`, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      const html = await answer.text();
      if (wanted() && this.isConnected) htmx.swap(target, html, { swapStyle: swap });
    } catch {
      // no signal: what the phone said rides along hidden
    }
  }

  // ——— sending

  #listenToSending() {
    this.#form.addEventListener("htmx:confirm", (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.elt !== this.#form) return;
      event.preventDefault();
      void this.#whenPhotosAreThere().then(() => detail.issueRequest());
    });
    this.#form.addEventListener("htmx:configRequest", (event) => {
      const { formData } = /** @type {CustomEvent} */ (event).detail;
      // What could not go ahead goes along.
      for (const shot of this.#shots()) if (shot.state === "kept") formData.append("photo", shot.file, shot.file.name);
    });
    this.#form.addEventListener("htmx:beforeRequest", () => this.#busy(this.dataset["sending"] ?? ""));
    this.#form.addEventListener("htmx:sendError", () => this.#failed("lost"));
    this.#form.addEventListener("htmx:timeout", () => this.#failed("lost"));
    this.#form.addEventListener("htmx:responseError", () => this.#failed("broken"));
  }

  async #whenPhotosAreThere() {
    while (this.#shots().some((shot) => shot.state === "on its way")) {
      this.#busy(this.dataset["waiting"] ?? "");
      await new Promise((resolve) => this.addEventListener("photo", resolve, { once: true }));
    }
    // The small version is what goes along, if it goes along.
    for (const shot of this.#shots()) if (shot.state === "kept") shot.file = await shot.small;
  }

  /** @param {string} words */
  #busy(words) {
    const trouble = /** @type {HTMLElement} */ (this.#one("#trouble"));
    trouble.hidden = true;
    const label = /** @type {HTMLElement} */ (this.#one("#send span"));
    label.dataset["rest"] ??= label.textContent ?? "";
    label.textContent = words;
  }

  /** @param {"lost" | "broken"} why */
  #failed(why) {
    const label = /** @type {HTMLElement} */ (this.#one("#send span"));
    label.textContent = label.dataset["rest"] ?? "";
    const trouble = /** @type {HTMLElement} */ (this.#one("#trouble"));
    trouble.textContent = this.dataset[why] ?? "";
    trouble.hidden = false;
  }

  // ——— the line

  /** Browsers without :has() show every chip; here only those of the chosen tile. */
  #showKinds() {
    if (CSS.supports("selector(:has(*))")) return;
    const group = this.#value("group");
    for (const set of this.#form.querySelectorAll("[data-group]")) {
      const it = /** @type {HTMLElement} */ (set);
      it.hidden = it.dataset["group"] !== group;
    }
  }

  /** Which stops of the line are done; the first that is not is where one is now. */
  #stops() {
    const photos = this.#form.querySelectorAll(".shot").length;
    const more = this.#one("#more-photos");
    const label = /** @type {HTMLElement | null | undefined} */ (more?.closest("label"));
    const words = /** @type {HTMLElement | null | undefined} */ (label?.querySelector("span"));
    if (label) label.hidden = photos >= Number(this.dataset["most"]);
    if (words) words.textContent = (photos ? words.dataset["next"] : words.dataset["first"]) ?? "";
    const done = [photos > 0, this.#value("group") !== "", !!this.#one("#place-card[data-known]"), false];
    let now = false;
    ["photo", "kind", "place", "rest"].forEach((name, n) => {
      const stop = /** @type {HTMLElement | null} */ (this.#one(`#${name}-stop`));
      const state = done[n] ? "done" : now ? "next" : "now";
      if (state === "now") now = true;
      if (stop) stop.dataset["stop"] = state;
    });
  }

  /** The chosen tile's chip. @returns {HTMLInputElement | null} */
  #chip() {
    const group = this.#value("group");
    return group ? this.#form.querySelector(`[name="service-${CSS.escape(group)}"]:checked`) : null;
  }

  /** @param {string} words */
  #news(words) {
    const news = /** @type {HTMLElement | null} */ (this.#one("#place-news"));
    if (!news) return;
    news.textContent = words;
    news.hidden = !words;
  }

  #shots() {
    return shots.get(this.#value("key")) ?? [];
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

customElements.define("report-start", ReportStart);
customElements.define("report-form", ReportForm);
