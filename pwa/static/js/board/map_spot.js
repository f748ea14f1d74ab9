/**
 * A spot on the board's map, for a case that lies elsewhere: a click says where, or the cross in the middle and Enter.
 * Escape leaves it.
 */

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
  box.append(cross);
  say(button.dataset["hint"] ?? "");
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
  const clicked = (/** @type {import("leaflet").LeafletMouseEvent} */ event) => done(event.latlng);
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") button.focus();
    done(event.key === "Enter" ? map.getCenter() : undefined);
  };
  map.on("click", clicked);
  box.addEventListener("keydown", pressed, true);
  stop = () => {
    map.off("click", clicked);
    box.removeEventListener("keydown", pressed, true);
    cross.remove();
    say("");
    stop = undefined;
  };
}

/** @param {string} words */
function say(words) {
  const hint = document.getElementById("spot-hint");
  if (hint) hint.textContent = words;
}
