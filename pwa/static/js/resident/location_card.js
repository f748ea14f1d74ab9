// The location card of the report form: the fix that improves, what was typed, the pole that was chosen. The server
// draws it. Fetched with the first fix or the first touch.

import { isNews, listen } from "../lib/geolocation_watch.js";
import { suggestions } from "../lib/address_autocomplete.js";

/** @typedef {import("../lib/geolocation.js").Fix} Fix */
/** @typedef {import("../lib/photo_metadata.js").Taken} Taken */
/** @typedef {(what: string, values: Record<string, string>, target: string, swap: string, wanted: () => boolean) => Promise<boolean>} Draw */

/** @typedef {Awaited<ReturnType<typeof import("./map_picker.js").mapPicker>>} Picker */

/** What says where it is, or what stands there. */
const ASKED = ["place", "pick", "lat", "lon", "accuracy", "pinned", "sure"];

export class PlaceCard {
  #form;
  #words;
  #draw;
  #drawn;
  #stop = () => {};
  #asked = "";
  /** @type {Promise<Picker> | null} */ #picker = null;
  /** @type {Fix | null} where the phone was last */ fix = null;
  /** @type {(fix: Fix | null) => void} called with each fix, null where there is none */ onFix = () => {};
  /** @type {Fix | null} the fix that the card was last drawn for */ #shown = null;
  /** @type {Taken[]} where and when the form's photos were taken */ #photos = [];
  #seeking = false;

  /**
   * @param {HTMLFormElement} form
   * @param {DOMStringMap} words what to say: `seeking`, `refused`, `several`, `unplaced`
   * @param {Draw} draw puts a fragment of the server into the form; true where it did
   * @param {() => void} drawn called when the card is another one
   */
  constructor(form, words, draw, drawn) {
    this.#form = form;
    this.#words = words;
    this.#draw = draw;
    this.#drawn = drawn;
    form.addEventListener("change", (event) => this.#changed(/** @type {HTMLInputElement} */ (event.target)));
    form.addEventListener("input", (event) => {
      // What was chosen for another place says nothing of this one.
      if (/** @type {HTMLElement} */ (event.target).id === "place") this.#letGo("pick", "asset", "sure");
      this.#ask();
    });
    form.addEventListener("focusout", (event) => {
      if (/** @type {HTMLElement} */ (event.target).id === "place" && !this.#shown && this.#value("lat")) void this.show();
    });
    suggestions(form, words["several"] ?? "", (pick) => this.#take(pick));
  }

  /** Nobody listens to the phone any more: the place was chosen, or the report is on its way. */
  stop() {
    this.#stop();
  }

  /**
   * Where the phone is, better and better until something is chosen or sent.
   * @param {boolean} [asked] by a tap on this page: where there is no answer the box takes the focus. What comes first
   *   on the page is answered first otherwise.
   */
  locate(asked = false) {
    this.#stop();
    this.#put({ place: "", pinned: "" });
    this.#letGo("pick", "asset", "sure");
    this.#shown = null;
    this.#seeking = true;
    this.#news(this.#words["seeking"]);
    this.#stop = listen(
      (fix) => this.#found(fix),
      () => {
        this.#seeking = false;
        this.#news(this.#words["refused"]);
        this.onFix(null);
        const box = this.#one("#place");
        box?.setAttribute("aria-describedby", "place-news");
        // Nobody is disturbed while writing.
        if (asked && !document.activeElement?.matches("textarea, .input")) box?.focus();
        this.#ask();
      },
    );
  }

  /** Where and when the photos were taken that the form has now. @param {Taken[]} photos */
  weigh(photos) {
    this.#photos = photos;
    this.#ask();
  }

  /** Asks which place is meant, if a photo leaves that open; or asks no more. */
  #ask() {
    const room = this.#one("#photo-place");
    if (!room || (!this.#photos.length && room.hidden)) return;
    const [lat, lon] = [this.#value("lat"), this.#value("lon")];
    const isSaid = this.#value("place").trim() || this.#value("pinned") || this.#value("sure") || this.#chosen()?.value;
    const isOpen = !isSaid && (lat || !this.#seeking);
    const here = !isOpen ? undefined : lat ? { lat: Number(lat), lon: Number(lon) } : null;
    void import("../lib/photo_location.js")
      .then(({ ask }) => ask(room, this.#photos, here, (photo) => this.#meant(photo)))
      .catch(() => {}); // no signal for that code: the phone's word stays, as without the photo's
  }

  /** What was answered. @param {Taken | null} photo the one whose place is meant, null for where the phone is */
  #meant(photo) {
    if (!photo && !this.#value("lat")) return this.locate(true);
    if (photo) {
      const { lat = "", lon = "", metres = "" } = photo;
      this.#stop();
      this.#letGo("pick", "asset", "sure");
      this.#news(lat === "" ? this.#words["unplaced"] : "");
      this.#say({ place: "", lat: `${lat}`, lon: `${lon}`, accuracy: `${metres}`, pinned: lat === "" ? "" : "photo" });
      if (lat === "") this.#one("details.place")?.setAttribute("open", "");
    }
    void this.show().then(() => this.#one("#place-change, #place")?.focus());
  }

  /** Looks up what was typed; where it was taken back the phone's word counts again. */
  find() {
    this.#asked = ""; // whoever presses it again wants to see something happen
    this.#look();
  }

  /** One of the suggestions is meant, and no other of that name. @param {string} pick */
  #take(pick) {
    this.#letGo("pick");
    this.#hold("pick", pick);
    this.find();
  }

  #look() {
    this.#stop();
    this.#news("");
    if (this.#value("place").trim() || this.#value("lat")) void this.show();
  }

  /** The things that stand there are of another kind now. */
  kindChanged() {
    const { lat, kind } = this.#one("#place-card")?.dataset ?? {};
    const isOnItsWay = !lat && (this.#value("lat") || this.#value("place"));
    if (!isOnItsWay && (!lat || kind === this.#kind())) return this.#drawn();
    if (kind) this.#letGo("asset"); // a pole may be chosen before what is wrong with it
    void this.show();
  }

  /** Opens the map picker over the form. */
  async map() {
    const trouble = this.#one("#map-trouble");
    try {
      this.#picker ??= import("./map_picker.js").then(({ mapPicker }) => mapPicker(this.#form, this));
      const picker = await this.#picker;
      if (trouble) trouble.hidden = true;
      await picker.open();
    } catch {
      this.#picker = null;
      if (trouble) trouble.hidden = false;
    }
  }

  /** Where the place is that the form says, as far as it is known. */
  get spot() {
    const { lat, lon } = this.#one("#place-card")?.dataset ?? {};
    const isFix = !this.#value("place").trim() && this.#value("lat");
    const at = isFix ? [this.#value("lat"), this.#value("lon")] : [lat, lon];
    return at[0] ? { lat: Number(at[0]), lon: Number(at[1]) } : null;
  }

  /**
   * A point was chosen on the map. It counts at once; show() draws the card.
   * @param {number} lat
   * @param {number} lon
   * @param {string} number of the pole, tree or basket that stands there, "" for none
   */
  pin(lat, lon, number) {
    this.#stop();
    this.#letGo("pick", "asset", "sure");
    this.#news("");
    this.#hold("asset", number);
    this.#say({ place: "", lat: lat.toFixed(6), lon: lon.toFixed(6), accuracy: "", pinned: "1" });
  }

  /** A place was named. @param {string} place @param {string} pick what tells it from others of that name */
  name(place, pick) {
    this.#stop();
    this.#letGo("pick", "asset", "sure");
    this.#news("");
    this.#hold("pick", pick);
    this.#say({ place });
  }

  /** Draws the card for what the form says. */
  async show() {
    const values = this.values;
    const asked = JSON.stringify(values);
    if (asked === this.#asked) return;
    this.#asked = asked;
    const wasTyping = this.#isTyping();
    let isInside = false;
    const isDrawn = await this.#draw("place", values, "#place-card", "outerHTML", () => {
      isInside = this.#one("#place-card :focus") !== null;
      const isSame = this.#value("place").trim() === (values["place"] ?? "");
      return this.#asked === asked && isSame && (wasTyping || !this.#isTyping());
    });
    if (this.#asked !== asked) return;
    if (!isDrawn && !wasTyping && this.#isTyping()) this.#shown = null; // leaving the box asks again
    if (isDrawn) this.#tell();
    else this.#asked = ""; // without signal the same may be asked again
    const held = this.#one("#place-held");
    if (held) held.hidden = isDrawn || !values["lat"] || Boolean(values["place"]);
    if (isInside && document.activeElement === document.body) this.#one("#place-change")?.focus();
    this.#drawn();
  }

  /** What its author has said is kept, as what was typed is. @param {Record<string, string>} values */
  #say(values) {
    this.#put(values);
    this.#one("[name=pinned]")?.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** @param {HTMLInputElement} field */
  #changed({ name }) {
    if (name === "place" || name === "pick") this.#look();
    if (name !== "asset" && name !== "sure") return;
    this.#stop();
    this.#ask();
    void this.show();
  }

  /** Until the card is drawn for it, an answer stands in it unseen. @param {string} name @param {string} value "" for none */
  #hold(name, value) {
    if (!value) return;
    const held = { type: "checkbox", name, value, checked: true, hidden: true };
    this.#one("#place-card")?.append(Object.assign(document.createElement("input"), held));
  }

  /** Whether somebody is about to say where it is: the card that holds the box is not to be drawn anew. */
  #isTyping() {
    return document.activeElement?.id === "place";
  }

  /** @param {Fix} fix */
  #found(fix) {
    this.#seeking = false;
    this.fix = fix;
    if (this.#value("place")) return; // what was typed meanwhile goes before the phone
    this.#put({ lat: String(fix.lat), lon: String(fix.lon), accuracy: String(fix.metres) });
    this.#ask();
    this.onFix(fix);
    // Nothing moves under a finger that types or is about to, or that moves the map.
    const isBusy = this.#form.parentElement?.querySelector("dialog[open]") || (this.#shown && this.#one(".place[open]"));
    if (isBusy || this.#isTyping() || !isNews(fix, this.#shown)) return;
    this.#shown = fix;
    this.#news("");
    void this.show();
  }

  /** What the form says of the place and of the kind of problem. @returns {Record<string, string>} */
  get values() {
    const fields = new FormData(this.#form);
    const group = String(fields.get("group") ?? "");
    const names = [...ASKED, "kind", "group", `service-${group}`];
    const values = names.map((name) => [name, String(fields.get(name) ?? "").trim()]).filter(([, value]) => value);
    // What a fix proposed is proposed anew, or not: only a choice goes along.
    const chosen = this.#chosen();
    return Object.fromEntries(chosen ? [...values, ["asset", chosen.value]] : values);
  }

  /** The number that was chosen, or that it is none of them. @returns {HTMLInputElement | null} */
  #chosen() {
    return this.#form.querySelector("[name=asset]:checked:not([data-proposed])");
  }

  /** The kind of thing that the chosen service is about: "pole", "" for none. */
  #kind() {
    if (this.#value("kind")) return this.#one("[name=kind]")?.dataset["kind"] ?? "";
    const group = CSS.escape(this.#value("group"));
    return /** @type {HTMLElement | null} */ (this.#form.querySelector(`[name="service-${group}"]:checked`))?.dataset["kind"] ?? "";
  }

  /** For those who listen: what the card says now. */
  #tell() {
    const said = this.#one("#place-said");
    const fault = this.#one("#place-e");
    if (said) said.textContent = (fault ?? this.#one("#place-change .lh"))?.innerText ?? "";
  }

  /** @param {string | undefined} words */
  #news(words) {
    const news = this.#one("#place-news");
    if (!news) return;
    news.textContent = words ?? "";
    news.hidden = !words;
  }

  /** @param {string[]} names of radio buttons and boxes */
  #letGo(...names) {
    for (const field of this.#form.querySelectorAll("#place-card :checked")) {
      if (field instanceof HTMLInputElement && names.includes(field.name)) field.checked = false;
    }
  }

  /** @param {string} name */
  #value(name) {
    return String(new FormData(this.#form).get(name) ?? "");
  }

  /** @param {Record<string, string>} values */
  #put(values) {
    for (const [name, value] of Object.entries(values)) {
      const field = /** @type {HTMLInputElement | null} */ (this.#form.elements.namedItem(name));
      if (field) field.value = value;
    }
  }

  /** @param {string} selector @returns {HTMLElement | null} */
  #one(selector) {
    return this.#form.querySelector(selector);
  }
}
