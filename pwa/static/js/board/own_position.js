/**
 * "My location" on the board's map. The browser is asked when the button is pressed, and never before; pressed again it
 * forgets.
 */

import { isNews, listen } from "../lib/geolocation_watch.js";
import { ownPosition } from "../map/own_position.js";

/** @typedef {import("../lib/geolocation.js").Fix} Fix */

const READ = 8_000; // ms that it says what is drawn
const CLOSE = 17; // the zoom at which house numbers and poles can be read

/**
 * Puts the page's button on the map.
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 */
export function startOwnPosition(map, L) {
  const button = document.getElementById("my-location");
  const note = document.getElementById("my-location-said");
  if (!button || !note) return;
  const show = ownPosition(map, L);
  /** @type {Fix | null} */
  let shown = null;
  let stop = () => {};

  /** @param {string} [word] which of the words of the note; none hides it */
  const say = (word) => {
    note.textContent = note.dataset[word ?? ""] ?? "";
    note.hidden = !word;
  };

  /** @param {Fix} fix */
  const found = (fix) => {
    show(fix);
    if (!isNews(fix, shown)) return;
    const isFirst = !shown;
    shown = fix;
    if (!isFirst) return;
    const isHere = map.options.maxBounds && L.latLngBounds(/** @type {any} */ (map.options.maxBounds)).contains([fix.lat, fix.lon]);
    say(isHere ? "found" : "outside");
    if (isHere) setTimeout(() => note.textContent === note.dataset["found"] && say(), READ);
    if (isHere) map.setView([fix.lat, fix.lon], Math.max(map.getZoom(), CLOSE));
  };

  const forget = () => {
    stop();
    shown = null;
    show(null);
    button.setAttribute("aria-pressed", "false");
  };

  button.addEventListener("click", () => {
    if (button.getAttribute("aria-pressed") === "true") {
      forget();
      return say();
    }
    button.setAttribute("aria-pressed", "true");
    say("seeking");
    stop = listen(found, () => {
      forget();
      say("refused");
    });
  });

  const control = new L.Control({ position: "bottomright" });
  control.onAdd = () => button;
  control.addTo(map);
  L.DomEvent.disableClickPropagation(button);
  button.hidden = false;
}
