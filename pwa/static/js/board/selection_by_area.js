/**
 * Ways to choose many cases at once: a shape drawn on the map, and the same without dragging. The server answers which
 * cases lie within.
 */

import { put } from "./selection.js";
import { locale } from "../lib/dom.js";

const MOST_CORNERS = 200; // of a shape on its way to the server
const LEAST_STEP = 4; // px between two corners of a line that is being drawn

/** @typedef {{x: number, y: number}} Spot */

/** @type {import("leaflet").Map | undefined} */
let map;
/** The number of the case that is open or at hand, or "". */
let current = () => "";
/** @type {(() => void) | undefined} */
let stopLasso;

/** @param {string} id */
const byId = (id) => document.getElementById(id);
/** A number as the page's language writes it. @param {number} n */
const figure = (n) => n.toLocaleString(locale());

/** @param {() => string} atHand the number of the case that is open or at hand, or "" */
export function startAreas(atHand) {
  current = atHand;
}

/** The map is there. @param {import("leaflet").Map} found */
export function useMap(found) {
  map = found;
}

/** Ends the shape that is being drawn; whether one was. */
export function cancelShape() {
  const drew = stopLasso !== undefined;
  stopLasso?.();
  return drew;
}

/** The map, where anything of it is in sight: on small screens a case that is open covers it. */
function mapInSight() {
  const covers = (byId("drawer")?.offsetWidth ?? 0) >= (map?.getContainer().offsetWidth ?? 0);
  return covers ? undefined : map;
}

/**
 * Asks the server which cases lie there, and selects them.
 * @param {Record<string, string>} where
 * @param {string} [others] why not all of the view are among them
 */
async function choose(where, others = "") {
  const control = byId("choose");
  if (!control) return;
  say("");
  const url = new URL(control.dataset["url"] ?? "", location.href);
  for (const [name, value] of Object.entries(where)) url.searchParams.set(name, value);
  const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" }).catch(() => null);
  const told = await answer?.json().catch(() => null);
  if (!answer?.ok || !told) return say(told?.error ?? control.dataset["fault"] ?? "");
  put(told.numbers, true);
  const { none = "", more = "" } = control.dataset;
  if (!told.total) say(none);
  else if (told.total > told.numbers.length) {
    say(more.replace("#", figure(told.numbers.length)).replace("$", figure(told.total)));
  } else if (told.total < Number(byId("views")?.dataset["total"])) say(others.replace("#", figure(told.total)));
}

/** Says it below the buttons; whoever used a key has them closed, and reads it where news is. @param {string} words */
function say(words) {
  const place = byId("choose-said");
  if (place) place.textContent = words;
  if (words && !place?.checkVisibility()) document.dispatchEvent(new CustomEvent("board:said", { detail: words }));
}

/** @returns {boolean} whether there is a map in sight */
export function inView() {
  const bounds = mapInSight()?.getBounds();
  if (!bounds) return false;
  const box = [bounds.getSouth(), bounds.getWest(), bounds.getNorth(), bounds.getEast()];
  void choose({ box: box.map((each) => each.toFixed(6)).join(",") }, byId("choose")?.dataset["others"]);
  return true;
}

export function near() {
  if (current()) void choose({ near: current() });
  else say(byId("choose")?.dataset["first"] ?? "");
}

export function beside() {
  if (current()) void choose({ beside: current() });
  else say(byId("choose")?.dataset["first"] ?? "");
}

/**
 * Draws a line on the map as long as the pointer is down, and chooses what lies within.
 * @returns {boolean} whether there is a map in sight
 */
export function lasso() {
  const on = mapInSight();
  if (!on) return false;
  if (stopLasso) {
    stopLasso();
    return true;
  }
  const box = on.getContainer();
  const button = byId("choose-lasso");
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("class", "lasso");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
  drawing.append(line);
  box.append(drawing);
  /** @type {Spot[]} */
  let corners = [];
  const spot = (/** @type {PointerEvent} */ event) => {
    const at = box.getBoundingClientRect();
    return { x: event.clientX - at.left, y: event.clientY - at.top };
  };
  const swallow = (/** @type {Event} */ event) => event.stopPropagation();
  const down = (/** @type {PointerEvent} */ event) => {
    event.preventDefault();
    event.stopPropagation();
    drawing.setPointerCapture(event.pointerId);
    corners = [spot(event)];
  };
  const move = (/** @type {PointerEvent} */ event) => {
    const before = corners[corners.length - 1];
    if (!before) return;
    const now = spot(event);
    if (Math.hypot(now.x - before.x, now.y - before.y) < LEAST_STEP) return;
    corners.push(now);
    line.setAttribute("points", corners.map(({ x, y }) => `${x},${y}`).join(" "));
  };
  const up = () => {
    const shape = thinned(corners).map(({ x, y }) => on.containerPointToLatLng([x, y]));
    stop();
    if (shape.length > 2) {
      void choose({ polygon: shape.map(({ lat, lng }) => `${lat.toFixed(6)},${lng.toFixed(6)}`).join(";") });
    }
  };
  const stop = () => {
    drawing.remove();
    stopLasso = undefined;
    button?.setAttribute("aria-pressed", "false");
    say("");
  };
  drawing.addEventListener("pointerdown", down);
  drawing.addEventListener("pointermove", move);
  drawing.addEventListener("pointerup", up);
  drawing.addEventListener("pointercancel", stop);
  for (const kind of ["mousedown", "touchstart", "click", "dblclick"]) drawing.addEventListener(kind, swallow);
  stopLasso = stop;
  button?.setAttribute("aria-pressed", "true");
  say(byId("choose")?.dataset["draw"] ?? "");
  return true;
}

/**
 * As many of a line's corners as are wanted, evenly spread.
 * @template T
 * @param {T[]} corners
 * @param {number} [most]
 * @returns {T[]}
 */
function thinned(corners, most = MOST_CORNERS) {
  if (corners.length <= most) return corners;
  return Array.from({ length: most }, (_, i) => /** @type {T} */ (corners[Math.floor((i * corners.length) / most)]));
}
