/**
 * A spot on the board's map, for a case that lies elsewhere: a click says where, or the cross in the middle and Enter.
 * The map has the case in its middle then, with nothing over it but what to do. Escape leaves it.
 */

const CLOSE_ENOUGH = 17; // zoom at which a house can be told from the next

/** @type {(() => void) | undefined} */
let stop;

/** @param {() => import("leaflet").Map | undefined} mapOf the map, once it is there */
export function startSpot(mapOf) {
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("#spot") : null;
    const map = button && mapOf();
    if (button instanceof HTMLElement && map) choose(map, button);
  });
}

/** @param {import("leaflet").Map} map @param {HTMLElement} button */
function choose(map, button) {
  stop?.();
  const box = map.getContainer();
  const cross = document.createElement("div");
  cross.className = "cross";
  const told = hint(button);
  box.append(cross, told);
  const frame = /** @type {HTMLElement | null} */ (box.closest(".mapbox"));
  frame?.setAttribute("data-spot", "");
  const { lat, lon } = /** @type {HTMLElement | null} */ (button.closest("[data-number]"))?.dataset ?? {};
  if (lat && lon) map.setView([Number(lat), Number(lon)], Math.max(map.getZoom(), CLOSE_ENOUGH), { animate: false });
  box.focus({ preventScroll: true });
  const done = (/** @type {import("leaflet").LatLng | undefined} */ at) => {
    stop?.();
    const form = document.getElementById("f-place");
    if (!at || !(form instanceof HTMLFormElement)) return;
    for (const [name, value] of [["lat", at.lat], ["lon", at.lng]]) {
      /** @type {HTMLInputElement} */ (form.elements.namedItem(String(name))).value = Number(value).toFixed(6);
    }
    /** @type {HTMLInputElement} */ (form.elements.namedItem("place")).value = ""; // what was typed goes before a spot
    form.requestSubmit();
  };
  told.querySelector("button")?.addEventListener("click", (event) => {
    event.stopPropagation();
    stop?.();
    button.focus();
  });
  const clicked = (/** @type {import("leaflet").LeafletMouseEvent} */ event) => done(event.latlng);
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if ((event.key !== "Enter" && event.key !== "Escape") || event.target !== box) return;
    event.preventDefault();
    event.stopPropagation();
    done(event.key === "Enter" ? map.getCenter() : undefined);
    if (event.key === "Escape") button.focus();
  };
  const replaced = () => {
    if (!button.isConnected) stop?.(); // another case has come into the panel, or this one anew
  };
  document.addEventListener("htmx:afterSettle", replaced);
  map.on("click", clicked);
  box.addEventListener("keydown", pressed, true);
  stop = () => {
    document.removeEventListener("htmx:afterSettle", replaced);
    map.off("click", clicked);
    box.removeEventListener("keydown", pressed, true);
    cross.remove();
    told.remove();
    frame?.removeAttribute("data-spot");
    stop = undefined;
  };
}

/**
 * What to do, over the map, and a way out for those without keys.
 * @param {HTMLElement} button
 */
function hint(button) {
  const told = document.createElement("div");
  told.className = "spot-told";
  const words = document.createElement("p");
  words.setAttribute("role", "status");
  words.textContent = button.dataset["hint"] ?? "";
  const leave = document.createElement("button");
  leave.type = "button";
  leave.className = "button button--small";
  leave.textContent = button.dataset["leave"] ?? "";
  told.append(words, leave);
  return told;
}
