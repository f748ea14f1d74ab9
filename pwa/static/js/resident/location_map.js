// The location card's map: the numbers that stand nearby, how sure the phone is, and a cross in the middle. The middle is
// the place as soon as somebody moves the map.

import { showMap } from "../map/map.js";

/** @typedef {{ number: string, lat: number, lon: number, isChosen: boolean }} Thing */
/** @typedef {{ lat: number, lon: number, metres: number }} Around */

const CLOSE = 18; // zoom: the next poles are in sight
const FAR = 14;
const STEP = 80; // px, of an arrow
const STILL = 2; // px: so far the middle wanders when a phone is turned

/**
 * Draws into the box of #place-map. Rejects where the map cannot be fetched.
 * @param {HTMLElement} room holds the box, the arrows and what the map needs to know
 * @param {(number: string) => void} choose called with the number that was pressed
 * @param {(lat: number, lon: number) => void} pin called with the point under the cross when it was moved there
 * @param {(lat: number, lon: number) => void} done called with the point under the cross when that is said to be it
 * @returns {Promise<(around: Around | null, things: Thing[]) => void>} shows the place and what stands there
 */
export async function placeMap(room, choose, pin, done) {
  const { lat, lon, bounds, basemap, raster, zoomIn, zoomOut } = room.dataset;
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const { map, L } = await showMap(/** @type {HTMLElement} */ (room.querySelector(".map")), {
    centre: [Number(lat), Number(lon)],
    zoom: FAR,
    bounds: [[south, west], [north, east]],
    basemapUrl: basemap,
    rasterUrl: raster || undefined,
    words: { zoomIn, zoomOut },
  });
  // Who zooms moves nothing; and where the finger lets go the map stands, so that Send knows.
  Object.assign(map.options, { scrollWheelZoom: "center", touchZoom: "center", doubleClickZoom: "center", inertia: false });
  let middle = map.getCenter();
  let isOurs = false;
  let told = "";
  map.on("moveend", () => {
    const now = map.getCenter();
    if (isOurs || map.project(now).distanceTo(map.project(middle)) <= STILL) return;
    middle = now;
    told = named(now.lat, now.lng);
    pin(now.lat, now.lng);
  });
  /** @param {Around} to */
  const lead = ({ lat: y, lon: x }) => {
    if (named(y, x) === told) return; // the city's answer to where the map was put, which may have been moved on since
    isOurs = true;
    map.setView([y, x], Math.max(map.getZoom(), CLOSE), { animate: false });
    isOurs = false;
    middle = map.getCenter();
  };
  const layer = L.layerGroup().addTo(map);
  /** @type {Map<string, HTMLElement>} */
  const buttons = new Map();
  let drawn = "";
  room.addEventListener("click", ({ target }) => {
    const button = /** @type {HTMLElement} */ (target).closest("button");
    const [x = 0, y = 0] = (button?.dataset["pan"] ?? "").split(" ").map((step) => Number(step) * STEP);
    if (button?.dataset["pan"]) map.panBy([x, y], { animate: false }); // the cross is where the next key finds it
    if (button?.dataset["pin"] === undefined) return;
    const { lat: y0, lng: x0 } = map.getCenter();
    done(y0, x0);
  });

  /** @param {Thing} thing */
  const put = ({ number, lat: y, lon: x }) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "numberpin leaflet-marker-icon" });
    button.append(Object.assign(document.createElement("span"), { textContent: number }));
    button.addEventListener("click", ({ detail }) => {
      // A drag that began on a number ends on it too; a key press has no detail and is meant.
      if (!detail || !(/** @type {any} */ (map.dragging).moved())) choose(number);
    });
    const icon = L.divIcon({ className: "", iconSize: undefined });
    icon.createIcon = () => button;
    L.marker([y, x], { icon, keyboard: false, riseOnHover: true }).addTo(layer);
    buttons.set(number, button);
  };

  return (around, things) => {
    const now = JSON.stringify([around, things.map(({ number }) => number)]);
    // The buttons stay while only the choice is another: a finger or the focus is on one of them.
    if (now !== drawn) {
      drawn = now;
      layer.clearLayers();
      buttons.clear();
      if (around) {
        if (around.metres) L.circle([around.lat, around.lon], { radius: around.metres, className: "fixring", interactive: false }).addTo(layer);
        lead(around);
      }
      things.forEach(put);
    }
    for (const { number, isChosen } of things) buttons.get(number)?.setAttribute("aria-pressed", String(isChosen));
  };
}

/** A point as the form has it. @param {number} lat @param {number} lon */
function named(lat, lon) {
  return `${lat.toFixed(6)},${lon.toFixed(6)}`;
}
