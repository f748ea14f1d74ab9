// Poles, trees and trash cans on the public map: each a link with its number, once they stand apart.

/** @typedef {[kind: string, number: string, lat: number, lon: number, name: string]} Thing */

const FROM_ZOOM = 18;
const PILL = { x: 72, y: 32 }; // px: what a number covers

/** @typedef {{x: number, y: number}} Px on the screen */

const STAYS = { x: 0, y: 0 };

/**
 * Those of `things`, the first first, whose numbers lie over no other's.
 * @template T
 * @param {T[]} things
 * @param {(thing: T) => Px} at where its number lies
 * @param {Px} [size] that a number covers
 * @returns {T[]}
 */
export function apart(things, at, size = PILL) {
  return placed(things, at, size).map(({ thing }) => thing);
}

/**
 * The numbers that can be read and how far each is moved from its place: over no other number, and under none of the
 * marks. Only a mark moves a number: elsewhere it would seem to be its neighbor's. What has no room is left out.
 * @template T
 * @param {T[]} things
 * @param {(thing: T) => Px} at where its number lies
 * @param {Px} size that a number covers
 * @param {(Px & {reach: number})[]} [marks] what is drawn over them, each so far around its middle
 * @param {(thing: T) => Px[]} [moves] the ways in which its number may be moved, the best first
 * @returns {{thing: T, move: Px}[]}
 */
export function placed(things, at, size, marks = [], moves = () => []) {
  /** @type {Px[]} */
  const taken = [];
  const isClear = (/** @type {Px} */ { x, y }) =>
    taken.every((each) => Math.abs(each.x - x) >= size.x || Math.abs(each.y - y) >= size.y);
  const isSeen = (/** @type {Px} */ { x, y }) =>
    marks.every((each) => Math.abs(each.x - x) >= size.x / 2 + each.reach || Math.abs(each.y - y) >= size.y / 2 + each.reach);
  return things.flatMap((thing) => {
    const { x, y } = at(thing);
    const ways = isSeen({ x, y }) ? [STAYS] : moves(thing);
    const move = ways.find((each) => {
      const to = { x: x + each.x, y: y + each.y };
      return isClear(to) && isSeen(to);
    });
    if (move) taken.push({ x: x + move.x, y: y + move.y });
    return move ? [{ thing, move }] : [];
  });
}

/**
 * Draws what stands in the middle of the map, anew whenever it has moved.
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 * @param {{ around: string, page: string }} addresses where to ask; a thing's page with KIND and NUMBER in their places
 */
export function thingLayer(map, L, { around, page }) {
  const layer = L.layerGroup().addTo(map);
  let asked = 0;

  async function draw() {
    const mine = ++asked;
    const things = map.getZoom() >= FROM_ZOOM ? await near() : [];
    if (mine !== asked || !things) return;
    layer.clearLayers();
    for (const thing of apart(things, ([, , lat, lon]) => map.latLngToLayerPoint([lat, lon]))) layer.addLayer(marker(thing));
  }

  /** @returns {Promise<Thing[] | null>} */
  async function near() {
    const { lat, lng } = map.getCenter();
    const query = new URLSearchParams({ lat: lat.toFixed(5), lon: lng.toFixed(5) });
    try {
      return (await (await fetch(`${around}?${query}`)).json()).things;
    } catch {
      return null; // without signal what is drawn stays
    }
  }

  /** @param {Thing} thing */
  function marker([kind, number, lat, lon, name]) {
    const icon = L.divIcon({ className: "", iconSize: undefined });
    icon.createIcon = () => {
      const link = document.createElement("a");
      link.href = page.replace("KIND", encodeURIComponent(kind)).replace("NUMBER", number.split("/").map(encodeURIComponent).join("/"));
      link.className = "numberpin leaflet-marker-icon";
      link.draggable = false;
      link.setAttribute("aria-label", name);
      link.append(Object.assign(document.createElement("span"), { textContent: number }));
      return link;
    };
    return L.marker([lat, lon], { icon, keyboard: false, zIndexOffset: -1000 }); // a report lies above its pole
  }

  map.on("moveend", () => void draw());
  void draw();
}
