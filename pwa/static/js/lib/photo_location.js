// Asks what a photo leaves open: whether the problem is where it was taken, or where its author is now. Fetched once a
// photo has told where or when that was.

import { doubts } from "./photo_metadata.js";

/** @typedef {import("./photo_metadata.js").Taken} Taken */
/** @typedef {import("./geo.js").Point} Point */

/**
 * Asks, or stops asking.
 * @param {HTMLElement} room holds what is asked
 * @param {Taken[]} photos
 * @param {Point | null | undefined} here undefined where somebody has said where it is
 * @param {(photo: Taken | null) => void} chosen called with the photo whose place is meant, null for where one is now
 */
export function ask(room, photos, here, chosen) {
  const told = photos.map((photo) => ({ photo, ...doubts(photo, here ?? null, Date.now()) }));
  const first = here === undefined ? undefined : told.find(({ photo, any }) => any && !photo.settled);
  room.hidden = !first;
  room.onclick = ({ target }) => {
    const { taken } = /** @type {HTMLElement} */ (target).closest("button")?.dataset ?? {};
    if (!first || !taken) return;
    const meant = taken === "there" ? first.photo : null;
    const isOpen = meant !== null && meant.lat === undefined; // they will say where: should the phone do it first, it is asked again
    for (const photo of photos) photo.settled = !isOpen;
    room.hidden = true;
    chosen(meant);
  };
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (room.querySelectorAll("[data-if]"))) {
    each.hidden = !(each.dataset["if"] === "old" ? first?.isOld : first?.isFar && !first.isOld);
  }
  room.toggleAttribute("data-old", Boolean(first?.isOld));
}

/** Once only, and only for a photo of earlier: Send leads to what is asked, which may be out of sight.
 * @type {WeakSet<Element>} */
const led = new WeakSet();
addEventListener("submit", (event) => {
  const room = /** @type {HTMLElement} */ (event.target).querySelector("#photo-place[data-old]:not([hidden])");
  const isUrgent = /** @type {any} */ (event).submitter?.name === "danger";
  if (!room || isUrgent || led.has(room)) return;
  led.add(room);
  event.preventDefault();
  event.stopPropagation();
  /** @type {HTMLElement | null} */ (room.querySelector("button"))?.focus();
}, { capture: true });
