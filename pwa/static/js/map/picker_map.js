// What the map picker draws: the map whose middle is the place, the numbers and open cases on it, and where the phone is.

import { showMap } from "./map.js";
import { ownPosition } from "./own_position.js";
import { pinLayer } from "./pins.js";
import { apart } from "./things.js";

/** @typedef {[number: string, lat: number, lon: number, label: string]} Thing */
/** @typedef {[number: string, lat: number, lon: number, standing: import("./map.js").Standing, title: string]} Case */
/**
 * @typedef {object} Told
 * @property {() => void} moving the middle leaves the place
 * @property {() => void} stopped the middle has come back to it
 * @property {() => void} moved the middle is somewhere else now
 * @property {(thing: Thing) => void} took a number was pressed
 * @property {(case_: Case) => void} chose a case was pressed
 * @property {(isFar: boolean) => void} zoomed whether it is too far off for numbers to be drawn
 */

const CLOSE = 18; // zoom: the next poles are in sight
const STREET = 16;
const FAR = 14;
const STEP = 80; // px, of an arrow
const STILL = 2; // px: so far the middle wanders when a phone is turned
// px: what the pin covers around its point, with the half of a number beside it.
const COVERED = { beside: 50, above: 48, below: 62 };
const GONE = 120; // px: the middle has gone so far that other things may be in sight

/**
 * Draws into the box. Rejects where the map cannot be fetched.
 * @param {HTMLElement} box
 * @param {DOMStringMap} city its centre, bounds and map, and the words for cases
 * @param {Told} told
 */
export async function pickerMap(box, { lat, lon, bounds, basemap, raster, case: address, words }, told) {
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const { map, L } = await showMap(box, {
    centre: [Number(lat), Number(lon)],
    zoom: FAR,
    bounds: [[south, west], [north, east]],
    basemapUrl: basemap || undefined,
    rasterUrl: raster || undefined,
    isBare: true,
  });
  // Who zooms moves nothing; and where the finger lets go the map stands, so that it counts at once.
  Object.assign(map.options, { scrollWheelZoom: "center", touchZoom: "center", doubleClickZoom: "center", inertia: false });
  map.keyboard.disable(); // the picker's keys move it wherever the focus is
  return new PickerMap(map, L, told, address ?? "", JSON.parse(words ?? "{}"));
}

/** @typedef {PickerMap} PickersMap */
class PickerMap {
  #map;
  #L;
  #told;
  #pins;
  #numbers;
  #middle;
  /** @type {Case[]} */ #cases = [];
  /** @type {Thing[]} */ #things = [];
  /** @type {import("leaflet").LatLng | null} where was looked around last */ #looked = null;
  #isOurs = false;

  /**
   * @param {import("leaflet").Map} map
   * @param {typeof import("leaflet")} L
   * @param {Told} told
   * @param {string} address of a case, with NUMBER in its place
   * @param {any} words
   */
  constructor(map, L, told, address, words) {
    this.#map = map;
    this.#L = L;
    this.#told = told;
    /** Shows where the phone is, and how sure it is of that. */
    this.self = ownPosition(map, L);
    this.#numbers = L.layerGroup().addTo(map);
    this.#pins = pinLayer(map, L, {
      href: (number) => address.replace("NUMBER", number),
      open: (number) => {
        const found = this.#cases.find(([each]) => each === number);
        if (found) told.chose(found);
      },
      words,
      several: words.several,
    });
    this.#middle = map.getCenter();
    map.on("move", () => {
      if (this.#hasMoved()) told.moving();
    });
    map.on("moveend", () => {
      if (this.#isOurs) return;
      if (!this.#hasMoved()) return told.stopped();
      this.#middle = map.getCenter();
      told.moved();
    });
    map.on("move", () => this.#uncover());
    map.on("zoomend", () => this.#draw());
    this.#draw();
    new ResizeObserver(() => map.invalidateSize({ animate: false })).observe(map.getContainer());
  }

  get middle() {
    const { lat, lng } = this.#map.getCenter();
    return { lat, lon: lng };
  }

  /** Whether one street is in sight, and not the city. */
  get isClose() {
    return this.#map.getZoom() >= STREET;
  }

  /** Whether other things may be in sight than those that were drawn last. */
  get isElsewhere() {
    return !this.#looked || this.#apart(this.#looked) > GONE;
  }

  /** Moves the map without anything being chosen. @param {number} lat @param {number} lon */
  lead(lat, lon) {
    this.#isOurs = true;
    this.#map.setView([lat, lon], Math.max(this.#map.getZoom(), CLOSE), { animate: false });
    this.#isOurs = false;
    this.#middle = this.#map.getCenter();
  }

  /** By so many steps to the east and south, as somebody's own move. @param {number} x @param {number} y */
  pan(x, y) {
    this.#map.panBy([x * STEP, y * STEP], { animate: false }); // the pin is where the next key finds it
  }

  /** @param {number} steps */
  zoom(steps) {
    this.#map.setZoom(this.#map.getZoom() + steps);
  }

  /** Draws what stands around the middle. @param {Case[]} cases @param {Thing[]} things the nearest first */
  show(cases, things) {
    this.#looked = this.#map.getCenter();
    this.#cases = cases;
    this.#things = things;
    this.#pins.set(cases.map(([number, lat, lon, standing, title]) => ({ number, point: [lat, lon], standing, title })));
    this.#draw();
  }

  /** Which number is chosen. @param {string | undefined} number */
  press(number) {
    for (const button of this.#buttons) button.setAttribute("aria-pressed", String(button.dataset["thing"] === number));
  }

  /** @returns {HTMLElement[]} */
  get #buttons() {
    return [...this.#map.getContainer().querySelectorAll("[data-thing]")].map((each) => /** @type {HTMLElement} */ (each));
  }

  #hasMoved() {
    return !this.#isOurs && this.#apart(this.#middle) > STILL;
  }

  /** Pixels from the middle. @param {import("leaflet").LatLng} point */
  #apart(point) {
    return this.#map.project(this.#map.getCenter()).distanceTo(this.#map.project(point));
  }

  /** The numbers, near enough; what the focus was on keeps it. */
  #draw() {
    const { activeElement } = document;
    const pressed = this.#buttons.find((each) => each.getAttribute("aria-pressed") === "true")?.dataset["thing"];
    const held = this.#buttons.find((each) => each === activeElement)?.dataset["thing"];
    this.#numbers.clearLayers();
    const isFar = this.#map.getZoom() < CLOSE;
    this.#told.zoomed(isFar);
    if (isFar) return;
    const isClosest = this.#map.getZoom() === this.#map.getMaxZoom(); // nowhere else could what lies below be reached
    const shown = isClosest ? this.#things : apart(this.#things, ([, lat, lon]) => this.#map.latLngToLayerPoint([lat, lon]));
    for (const thing of shown) this.#put(thing);
    this.press(pressed);
    this.#uncover();
    if (held) this.#buttons.find((each) => each.dataset["thing"] === held)?.focus({ preventScroll: true });
  }

  /** A number under the pin moves aside, above the pin or below it, so that it can be read and tapped. */
  #uncover() {
    const middle = this.#map.latLngToContainerPoint(this.#map.getCenter());
    this.#numbers.eachLayer((layer) => {
      const marker = /** @type {import("leaflet").Marker} */ (layer);
      const { x, y } = this.#map.latLngToContainerPoint(marker.getLatLng()).subtract(middle);
      const isCovered = Math.abs(x) < COVERED.beside && y > -COVERED.above && y < COVERED.below;
      const aside = !isCovered ? 0 : y > COVERED.below / 4 ? COVERED.below - y : -COVERED.above - 10 - y;
      marker.getElement()?.style.setProperty("--aside", `${aside}px`);
    });
  }

  /** @param {Thing} thing */
  #put(thing) {
    const [number, lat, lon, label] = thing;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "numberpin leaflet-marker-icon" });
    button.setAttribute("aria-label", label);
    button.dataset["thing"] = number;
    button.append(Object.assign(document.createElement("span"), { textContent: number }));
    button.addEventListener("click", ({ detail }) => {
      // A drag that began on a number ends on it too; a key press has no detail and is meant.
      if (!detail || !(/** @type {any} */ (this.#map.dragging).moved())) this.#told.took(thing);
    });
    const icon = this.#L.divIcon({ className: "", iconSize: undefined });
    icon.createIcon = () => button;
    const below = -1000; // the shapes of cases, which are smaller
    this.#L.marker([lat, lon], { icon, keyboard: false, riseOnHover: true, zIndexOffset: below }).addTo(this.#numbers);
  }
}
