// The location card's map: the numbers that stand nearby, how sure the phone is, and a cross to put on the place.

import { showMap } from "./map.js";

/** @typedef {{ number: string, lat: number, lon: number, isChosen: boolean }} Thing */
/** @typedef {{ lat: number, lon: number, metres: number }} Around */

const CLOSE = 18; // zoom: the next poles are in sight
const FAR = 14;
const STEP = 80; // px, of an arrow

/**
 * Draws into the box of #place-map. Rejects where the map cannot be fetched.
 * @param {HTMLElement} room holds the box, the arrows and what the map needs to know
 * @param {(number: string) => void} choose called with the number that was pressed
 * @param {(lat: number, lon: number) => void} pin called with the point under the cross
 * @returns {Promise<(around: Around | null, things: Thing[]) => void>} shows the place and what stands there
 */
export async function placeMap(room, choose, pin) {
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
    pin(y0, x0);
  });

  /** @param {Thing} thing */
  const put = ({ number, lat: y, lon: x }) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "numberpin leaflet-marker-icon" });
    button.append(Object.assign(document.createElement("span"), { textContent: number }));
    button.addEventListener("click", () => choose(number));
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
        map.setView([around.lat, around.lon], Math.max(map.getZoom(), CLOSE), { animate: false });
      }
      things.forEach(put);
    }
    for (const { number, isChosen } of things) buttons.get(number)?.setAttribute("aria-pressed", String(isChosen));
  };
}
