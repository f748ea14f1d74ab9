// The map picker of the report form: the pin stands still and the map moves under it. The middle is the place as soon as
// somebody moves the map. The server draws what the place is called. Fetched, with the map, when it is opened.

import { suggestions } from "../lib/address_autocomplete.js";
import { attached, here } from "../map/map.js";
import { pickerMap } from "../map/picker_map.js";

/** @typedef {import("./location_card.js").PlaceCard} PlaceCard */
/** @typedef {import("../lib/geolocation.js").Fix} Fix */
/** @typedef {import("../map/picker_map.js").Thing} Thing */

const REST_MS = 250; // after the last move, before the city is asked
const ARROWS = /** @type {Record<string, [number, number]>} */ ({
  ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0],
});

/**
 * Puts the picker beside the form, closed. Rejects where it cannot be fetched.
 * @param {HTMLFormElement} form
 * @param {PlaceCard} card what the form says of the place
 */
export async function mapPicker(form, card) {
  const [answer] = await Promise.all([
    fetch(`${form.action}/picker`),
    attached("link", { rel: "stylesheet", href: here("../../css/screens/picker.css") }),
  ]);
  if (!answer.ok) throw new Error(`no picker: ${answer.status}`);
  form.insertAdjacentHTML("afterend", await answer.text());
  return new MapPicker(/** @type {HTMLDialogElement} */ (form.nextElementSibling), form, card);
}

class MapPicker {
  #dialog;
  #form;
  #card;
  /** @type {Promise<import("../map/picker_map.js").PickersMap> | null} */ #drawing = null;
  /** @type {import("../map/picker_map.js").PickersMap | null} */ #map = null;
  /** @type {Thing[]} */ #things = [];
  /** @type {{lat: number, lon: number} | null} the last place inside the city */ #inside = null;
  #isSeeking = false;
  /** the kind of problem that things are drawn for */ #shown = "";
  /** what was asked for last of what stands around */ #around = "";
  #case = "";
  #sought = "";
  #asked = 0;
  #resting = 0;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {HTMLFormElement} form
   * @param {PlaceCard} card
   */
  constructor(dialog, form, card) {
    this.#dialog = dialog;
    this.#form = form;
    this.#card = card;
    card.onFix = (fix) => this.#located(fix);
    dialog.addEventListener("click", (event) => this.#clicked(event));
    dialog.addEventListener("keydown", (event) => this.#keyed(event));
    dialog.addEventListener("close", () => {
      this.#isSeeking = false;
      void card.show();
    });
    const search = /** @type {HTMLFormElement} */ (this.#one(".ask"));
    suggestions(search, dialog.dataset["several"] ?? "", (pick) => void this.#find(this.#box.value, pick));
    search.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#find(this.#box.value);
    });
  }

  /** Opens over the form, at the place that it says. */
  async open() {
    this.#dialog.showModal();
    this.#box.value = "";
    this.#case = "";
    this.#isMoving(false);
    await this.#drawn();
    const at = this.#card.spot;
    if (at) this.#map?.lead(at.lat, at.lon);
    this.#map?.self(this.#card.fix);
    this.#map?.press(this.#card.values["asset"]);
    await this.#look();
  }

  /** Draws the map, once; without it the picker is a search. */
  async #drawn() {
    this.#drawing ??= pickerMap(this.#one(".map"), this.#dialog.dataset, {
      moving: () => this.#isMoving(true),
      stopped: () => {
        this.#isMoving(false);
        void this.#lookAround();
      },
      moved: () => {
        this.#pin();
        this.#soon();
      },
      zoomed: (isFar) => this.#dialog.toggleAttribute("data-afar", isFar),
      took: (thing) => this.#take(thing),
      chose: ([number, lat, lon]) => this.#choose(number, lat, lon),
    });
    this.#map = await this.#drawing.catch(() => (this.#drawing = null));
    this.#one(".picker__none").hidden = this.#map !== null;
    this.#dialog.toggleAttribute("data-blank", !this.#map);
  }

  /** @param {boolean} isMoving */
  #isMoving(isMoving) {
    this.#dialog.toggleAttribute("data-moves", isMoving);
  }

  /** The middle is the place, by nothing but its point. */
  #pin() {
    if (!this.#map) return;
    this.#put(this.#map.middle.lat, this.#map.middle.lon);
  }

  /**
   * Somebody chose a point, alone or for what stands there.
   * @param {number} lat
   * @param {number} lon
   * @param {{number?: string, case_?: string}} [what] number of the thing, or of the case
   */
  #put(lat, lon, { number = "", case_ = "" } = {}) {
    this.#isSeeking = false;
    this.#case = case_;
    this.#card.pin(lat, lon, number);
    this.#map?.press(number);
  }

  /** A pole, tree or basket is the place. @param {Thing} thing */
  #take([number, lat, lon, label]) {
    this.#map?.lead(lat, lon);
    this.#put(lat, lon, { number });
    this.#write(label);
    void this.#look();
  }

  /** Where an open case is, is the place. @param {string} number @param {number} lat @param {number} lon */
  #choose(number, lat, lon) {
    this.#map?.lead(lat, lon);
    this.#put(lat, lon, { case_: number });
    void this.#look();
  }

  #soon() {
    this.#asked += 1; // what is on its way is about another place
    clearTimeout(this.#resting);
    this.#resting = window.setTimeout(() => void this.#look(), REST_MS);
  }

  /** Asks the city what the place is called, and what stands around it. */
  async #look() {
    clearTimeout(this.#resting);
    const values = this.#card.values;
    if (values["lat"] || values["place"]) {
      const answer = await this.#ask({ ...values, ...(this.#case ? { case: this.#case } : {}) });
      if (answer === undefined) return;
      this.#isMoving(false);
      if (answer === null) this.#write(this.#dialog.dataset["pinned"], this.#dialog.dataset["lost"]);
      else if (answer.dataset["known"] !== undefined) this.#inside = this.#map?.middle ?? null;
    } else {
      this.#write(this.#dialog.getAttribute("aria-label") ?? "");
      this.#one("[data-do=use]").hidden = true;
    }
    await this.#lookAround();
  }

  /**
   * The city's answer, drawn; null where there is none, undefined where something else was asked meanwhile.
   * @param {Record<string, string>} values
   * @returns {Promise<HTMLElement | null | undefined>}
   */
  async #ask(values) {
    const asked = ++this.#asked;
    const html = await fetch(`${this.#form.action}/spot?${new URLSearchParams(values)}`)
      .then((response) => (response.ok ? response.text() : ""))
      .catch(() => "");
    if (asked !== this.#asked) return undefined;
    if (!html) return null;
    this.#draw((spot) => (spot.innerHTML = html));
    const told = /** @type {HTMLElement} */ (this.#one("#spot").firstElementChild);
    this.#one("[data-do=use]").hidden = told.dataset["outside"] !== undefined;
    return told;
  }

  /** What the phone says itself. @param {string | undefined} title @param {string | undefined} [more] */
  #write(title, more) {
    this.#asked += 1; // what was asked before is old now
    const words = Object.assign(document.createElement("p"), { className: "lh" });
    words.append(Object.assign(document.createElement("small"), { textContent: more ?? "" }));
    this.#draw((spot) => spot.replaceChildren(Object.assign(document.createElement("h2"), { textContent: title ?? "" }), words));
    this.#one("[data-do=use]").hidden = false;
  }

  /** Draws the sheet, tells it to those who listen, and loses no focus. @param {(spot: HTMLElement) => void} how */
  #draw(how) {
    const spot = this.#one("#spot");
    const hadFocus = spot.contains(document.activeElement);
    how(spot);
    if (hadFocus) this.#one(".map").focus();
    const words = [...spot.querySelectorAll("h2, p, .nearby")].map((each) => /** @type {HTMLElement} */ (each).innerText.trim());
    this.#one("#picker-said").textContent = words.filter(Boolean).join(". ");
  }

  /** Cases and numbers around the middle, if it has gone far or the kind of problem is another. */
  async #lookAround() {
    const map = this.#map;
    if (!map) return;
    const lat = map.middle.lat.toFixed(6);
    const lon = map.middle.lon.toFixed(6);
    for (const [name, value] of Object.entries({ lat, lon })) this.#one(`.ask [name=${name}]`).setAttribute("value", value);
    const query = `${new URLSearchParams({ ...this.#kind, lat, lon })}`;
    const isSeen = !map.isElsewhere && JSON.stringify(this.#kind) === this.#shown;
    if (!map.isClose || isSeen || query === this.#around) return;
    this.#around = query;
    try {
      const answer = await fetch(`${this.#form.action}/around?${query}`);
      const { cases, things } = await answer.json();
      if (query !== this.#around) return;
      this.#shown = JSON.stringify(this.#kind);
      this.#things = things;
      map.show(cases, things);
      map.press(this.#card.values["asset"]);
    } catch {
      this.#around = ""; // no signal: what is drawn stays, and the same may be asked again
    }
  }

  /** What the form says of the kind of problem, as the city reads it. @returns {Record<string, string>} */
  get #kind() {
    const { group, ...values } = this.#card.values;
    return group ? { group, [`service-${group}`]: values[`service-${group}`] ?? "" } : {};
  }

  /**
   * Looks for words. A number that is in sight needs no signal; of a whole street the map shows the middle.
   * @param {string} words
   * @param {string} [pick] which of several is meant
   */
  async #find(words, pick = "") {
    const place = words.trim();
    if (!place) return;
    this.#sought = place;
    this.#isSeeking = false;
    const inSight = pick ? undefined : this.#things.find(([number]) => number.toUpperCase() === place.toUpperCase());
    if (inSight) return this.#take(inSight);
    const found = await this.#ask({ ...this.#kind, place, pick });
    if (found === null) this.#write(place, this.#dialog.dataset["unfound"]);
    const { lat, lon, known } = found?.dataset ?? {};
    if (!lat) return;
    this.#box.blur(); // a phone's keyboard goes from over the map
    this.#map?.lead(Number(lat), Number(lon));
    this.#isMoving(false);
    if (known === undefined) this.#pin(); // a whole street, or outside: there the map is moved on
    else {
      this.#case = "";
      this.#card.name(place, pick);
      this.#map?.press("");
    }
    await this.#lookAround();
  }

  /** The phone is here, or does not know. @param {Fix | null} fix */
  #located(fix) {
    this.#map?.self(fix);
    if (!this.#dialog.open || !this.#isSeeking) return;
    if (!fix) {
      this.#pin();
      return this.#write(this.#dialog.dataset["refused"]);
    }
    this.#map?.lead(fix.lat, fix.lon);
    this.#soon();
  }

  /** @param {MouseEvent} event */
  #clicked({ target }) {
    const button = /** @type {HTMLButtonElement | null} */ (/** @type {HTMLElement} */ (target).closest("button"));
    if (!button) return;
    const { do: what, zoom, pan, pick, case: number, lat, lon } = button.dataset;
    if (what === "close") this.#dialog.close();
    if (what === "use") this.#use();
    if (what === "here") this.#goHere();
    if (what === "back") this.#goBack();
    if (what === "pad") this.#togglePad(button);
    if (zoom) this.#map?.zoom(Number(zoom));
    if (pan) this.#map?.pan(...ARROWS[pan] ?? [0, 0]);
    if (pick) void this.#find(this.#sought, pick);
    if (number) this.#choose(number, Number(lat), Number(lon));
    if (button.name === "join") this.#join(button);
  }

  /** The arrows move the map unless somebody types; Enter on it confirms. @param {KeyboardEvent} event */
  #keyed(event) {
    const { key, target } = event;
    if (/** @type {HTMLElement} */ (target).matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ARROWS[key];
    if (way) this.#map?.pan(...way);
    else if (key === "+" || key === "=") this.#map?.zoom(1);
    else if (key === "-") this.#map?.zoom(-1);
    else if (key === "Enter" && target === this.#one(".map")) this.#use();
    else return;
    event.preventDefault();
  }

  /** What was named or numbered is more than its point. */
  #use() {
    const { place, asset } = this.#card.values;
    if (!place && !asset) this.#pin();
    this.#dialog.close();
  }

  #goHere() {
    this.#isSeeking = true;
    this.#case = "";
    this.#write(this.#dialog.dataset["seeking"]);
    this.#card.locate();
  }

  /** To where the pin was last in the city. */
  #goBack() {
    const { lat, lon } = this.#dialog.dataset;
    const to = this.#inside ?? { lat: Number(lat), lon: Number(lon) };
    this.#map?.lead(to.lat, to.lon);
    this.#pin();
    void this.#look();
  }

  /** @param {HTMLElement} button */
  #togglePad(button) {
    const pad = this.#one(".pad");
    pad.hidden = !pad.hidden;
    button.setAttribute("aria-expanded", String(!pad.hidden));
  }

  /** Who has the same problem need not say of what kind it is. @param {HTMLElement} button */
  #join({ dataset: { group = "", service = "" } }) {
    if (this.#card.values["group"] !== group) {
      for (const [name, value] of [["group", group], [`service-${group}`, service]]) {
        const field = this.#form.querySelector(`[name="${CSS.escape(name ?? "")}"][value="${CSS.escape(value ?? "")}"]`);
        if (field instanceof HTMLInputElement) field.click();
      }
    }
    this.#dialog.close();
  }

  get #box() {
    return /** @type {HTMLInputElement} */ (this.#one("#picker-q"));
  }

  /** @param {string} selector @returns {HTMLElement} */
  #one(selector) {
    return /** @type {HTMLElement} */ (this.#dialog.querySelector(selector));
  }
}
