/**
 * The board's map: asks the city for the tiles in sight, and keeps what is drawn until the new ones are here.
 *
 * A tile has clusters where many cases lie and single cases where few do, so the map costs the same for a hundred
 * and a hundred thousand. "board:changed" and a verb let the tiles in sight be asked again; a browser that has them
 * hears that nothing changed.
 */

import { dangerMarks } from "../map/danger_marks.js";
import { showMap } from "../map/map.js";
import { locale } from "../lib/dom.js";
import { pinLayer } from "../map/pins.js";
import { placed } from "../map/things.js";
import { startOwnPosition } from "./own_position.js";

/** @typedef {import("../map/pins.js").Pin} Pin */
/** @typedef {import("../map/pins.js").Cluster} Cluster */
/**
 * @typedef {object} Told one tile as the city tells it
 * @property {[number, number, number, import("../map/map.js").Standing, Record<string, number>][]} clusters
 * @property {[string, number, number, import("../map/map.js").Standing, string][]} points
 */
/** @typedef {{ things: [string, number, number, string][], doors: [string, number, number][] }} Ground */
/** @typedef {{x: number, y: number, pins: Pin[], clusters: Cluster[], isOld: boolean, stop?: AbortController}} Tile */

const SIZE = 512; // px of a tile, as the city counts them: one zoom less than the map's own
const MOST_KEPT = 60; // tiles out of sight that are kept, for a way back
const CLOSE = 17; // the zoom from which a house number has room beside its house
const NUMBER = { x: 40, y: 16 }; // px: what a number in small letters covers
const UNDER = 10; // px: so far below its foot a thing has its number
// Where a case stands on the foot: further below, above, or beside it.
const MOVES = [{ x: 0, y: 12 }, { x: 0, y: -32 }, { x: 34, y: -UNDER }, { x: -34, y: -UNDER }];
const AGAIN = 4_000; // ms until a tile that did not come is asked for once more
const WHOLE = /** @type {[number, number]} */ ([32, 32]); // px between the cases and the edge

/**
 * Draws the map into `box`, fitted to where the view's cases lie.
 * @param {HTMLElement} box its data say what to draw and in which words
 * @param {(number: string) => void} open a case was chosen
 */
export async function boardMap(box, open) {
  const { lat, lon, bounds, basemap, raster, tiles = "", extent = "", case: address = "", words = "{}" } = box.dataset;
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const [{ map, L }, whole] = await Promise.all([
    showMap(box, {
      centre: [Number(lat), Number(lon)],
      bounds: [[south, west], [north, east]],
      basemapUrl: basemap,
      rasterUrl: raster || undefined,
      words: { zoomIn: box.dataset.zoomIn, zoomOut: box.dataset.zoomOut },
    }),
    json(extent),
  ]);
  const said = JSON.parse(words);
  /** @type {ReturnType<typeof drawGround> | undefined} */
  let ground;
  const pins = pinLayer(map, L, {
    href: (number) => address.replace("NUMBER", number),
    open,
    words: said,
    several: said.several,
    drawn: () => ground?.lay(),
  });
  fit(map, whole.box);
  say(whole, said);
  const markDangers = dangerMarks(map, L);
  const dangers = (/** @type {{dangers?: Told["points"]}} */ told) =>
    markDangers((told.dangers ?? []).map(([, lat, lon]) => [lat, lon]));
  dangers(whole);
  ground = drawGround(map, L, box.dataset["ground"] ?? "", pins.marks);
  startOwnPosition(map, L);
  let isWide = false; // what lies far outside the city is drawn too
  const asked = (/** @type {string} */ address) => (isWide ? `${address}${address.includes("?") ? "&" : "?"}outside=yes` : address);
  const keeper = keepTiles(map, () => asked(tiles), (shown) => pins.set(shown.pins, shown.clusters));
  keeper.look();
  const again = () => {
    keeper.again();
    json(asked(extent)).then((now) => {
      say(isWide ? { ...now, outside: whole.outside } : now, said);
      dangers(now);
    }, () => {}); // until the city answers again, what it said last stands
  };
  const wide = document.querySelector("#map-outside button");
  wide?.addEventListener("click", async () => {
    isWide = !isWide;
    wide.setAttribute("aria-pressed", String(isWide));
    const city = L.latLngBounds([[south, west], [north, east]]);
    const all = isWide ? (await json(asked(extent)).catch(() => whole)).box : whole.box;
    const ground = isWide && all ? L.latLngBounds(city.getSouthWest(), city.getNorthEast()).extend([all[0], all[1]]).extend([all[2], all[3]]) : city;
    map.setMinZoom(0);
    map.setMaxBounds(ground.pad(0.5));
    fit(map, all ?? [south, west, north, east]);
    map.setMinZoom(Math.min(map.getBoundsZoom(ground) - 1, map.getZoom()));
    again();
  });
  document.addEventListener("board:changed", again);
  document.addEventListener("board:selected", (event) => pins.select(/** @type {CustomEvent} */ (event).detail));
  return { leaflet: map, mark: followCase(map, pins.mark), again };
}

/**
 * Brings the case that is open out from under its drawer. Once none is open the map goes back to where it was, or to
 * where somebody has moved it meanwhile.
 * @param {import("leaflet").Map} map
 * @param {(pin: Pin | undefined, covered?: number) => void} mark
 * @returns {(pin: Pin | undefined, covered: number) => void} `covered` is how wide the drawer is, in px
 */
function followCase(map, mark) {
  /** @type {import("leaflet").LatLng | undefined} */
  let before;
  let isOurs = false;
  map.on("movestart", () => {
    if (!isOurs) before = undefined;
  });
  return (pin, covered) => {
    isOurs = true;
    if (pin && covered < map.getSize().x) {
      before ??= map.getCenter();
      mark(pin, covered);
    } else mark(pin); // nothing of the map can be seen: it need not move
    if (!covered && before) {
      map.panTo(before);
      before = undefined;
    }
    isOurs = false;
  };
}

/**
 * Draws poles, trees and house numbers under the cases, as long as the map is close enough to tell them apart.
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 * @param {string} address of what stands around a point
 * @param {() => {x: number, y: number, reach: number}[]} marks the cases, under which no number can be read
 */
function drawGround(map, L, address, marks) {
  const layer = L.layerGroup().addTo(map);
  /** @type {{words: string, lat: number, lon: number, className: string, down: number}[]} */
  let ground = [];
  let latest = 0;
  const lay = () => {
    layer.clearLayers();
    const at = (/** @type {typeof ground[number]} */ { lat, lon, down }) => {
      const { x, y } = map.latLngToLayerPoint([lat, lon]);
      return { x, y: y + down };
    };
    const moves = (/** @type {typeof ground[number]} */ { down }) => (down ? MOVES : []); // a house's is at its house
    for (const { thing, move } of placed(ground, at, NUMBER, ground.length ? marks() : [], moves)) {
      const label = document.createElement("span");
      label.textContent = thing.words;
      label.style.translate = `${move.x}px ${move.y}px`;
      const icon = L.divIcon({ className: thing.className, html: label, iconSize: [0, 0] });
      L.marker([thing.lat, thing.lon], { icon, keyboard: false, interactive: false, zIndexOffset: -1000 }).addTo(layer);
    }
  };
  const look = async () => {
    const mine = (latest += 1);
    if (map.getZoom() < CLOSE) {
      ground = [];
      return lay();
    }
    const centre = map.getCenter();
    const metres = centre.distanceTo(map.getBounds().getNorthEast());
    const asked = `${address}?lat=${centre.lat.toFixed(5)}&lon=${centre.lng.toFixed(5)}&metres=${Math.ceil(metres)}`;
    const told = /** @type {Ground | null} */ (await json(asked).catch(() => null));
    if (mine !== latest || !told) return;
    ground = [
      ...told.things.map(([words, lat, lon]) => ({ words, lat, lon, className: "thingmark", down: UNDER })),
      ...told.doors.map(([words, lat, lon]) => ({ words, lat, lon, className: "doormark", down: 0 })),
    ];
    lay();
  };
  map.on("moveend", () => void look());
  void look();
  return { lay };
}

/**
 * Shows these degrees whole: south, west, north, east.
 * @param {import("leaflet").Map} map
 * @param {[number, number, number, number] | null} box
 */
function fit(map, box) {
  if (!box) return;
  const [south, west, north, east] = box;
  map.fitBounds([[south, west], [north, east]], { padding: WHOLE, maxZoom: 16, animate: false });
}

/**
 * Says beside the map how many cases of the view are not on it.
 * @param {{hidden: number, unlocated: number, outside: number}} whole
 * @param {Record<string, string>} words
 */
function say(whole, words) {
  for (const [id, count, told] of /** @type {const} */ ([
    ["map-hidden", whole.hidden, words.hidden],
    ["map-unlocated", whole.unlocated, words.unlocated],
  ])) {
    const line = document.getElementById(id);
    if (!line) continue;
    line.textContent = (told ?? "").replace("NUMBER", count.toLocaleString(locale()));
    line.hidden = !count;
  }
  const far = /** @type {HTMLElement | null} */ (document.querySelector("#map-outside > span"));
  if (!far?.parentElement) return;
  far.textContent = (far.dataset["words"] ?? "").replace("#", whole.outside.toLocaleString(locale()));
  far.parentElement.hidden = !whole.outside;
}

/**
 * Keeps the tiles in sight, and says what is to be drawn whenever that changes.
 * @param {import("leaflet").Map} map
 * @param {() => string} template the address of a tile with {z}, {x} and {y} in their places
 * @param {(shown: {pins: Pin[], clusters: Cluster[]}) => void} draw
 */
function keepTiles(map, template, draw) {
  /** @type {Map<string, Tile>} */
  const tiles = new Map();
  /** What is drawn: it stands where a tile has not come yet. @type {{pins: Pin[], clusters: Cluster[]}} */
  let shown = { pins: [], clusters: [] };
  let drawing = 0;
  let asking = 0;

  /** The tiles in sight, the nearest to the middle first. */
  function inSight() {
    const zoom = Math.max(0, Math.round(map.getZoom()) - 1);
    const sight = map.getPixelBounds();
    const last = 2 ** zoom - 1;
    const [left, top] = [sight.min?.x ?? 0, sight.min?.y ?? 0].map((px) => Math.max(0, Math.floor(px / SIZE)));
    const [right, bottom] = [sight.max?.x ?? 0, sight.max?.y ?? 0].map((px) => Math.min(last, Math.floor(px / SIZE)));
    const middle = sight.getCenter().divideBy(SIZE).subtract([0.5, 0.5]);
    const found = [];
    for (let x = left ?? 0; x <= (right ?? 0); x++) {
      for (let y = top ?? 0; y <= (bottom ?? 0); y++) found.push({ key: `${zoom}/${x}/${y}`, zoom, x, y });
    }
    return found.sort((a, b) => Math.hypot(a.x - middle.x, a.y - middle.y) - Math.hypot(b.x - middle.x, b.y - middle.y));
  }

  function look() {
    const wanted = inSight();
    const keys = new Set(wanted.map((each) => each.key));
    for (const [key, tile] of tiles) {
      if (keys.has(key)) continue;
      tile.stop?.abort();
      if (tile.stop || tile.isOld) tiles.delete(key);
    }
    for (const key of tiles.keys()) {
      if (tiles.size - keys.size <= MOST_KEPT) break;
      if (!keys.has(key)) tiles.delete(key);
    }
    for (const { key, zoom, x, y } of wanted) {
      const known = tiles.get(key);
      if (!known || (known.isOld && !known.stop)) ask(key, zoom, x, y, known);
    }
    drawSoon();
  }

  /**
   * @param {string} key
   * @param {number} zoom
   * @param {number} x
   * @param {number} y
   * @param {Tile} [known]
   */
  async function ask(key, zoom, x, y, known) {
    const stop = new AbortController();
    const pending = { x, y, pins: known?.pins ?? [], clusters: known?.clusters ?? [], isOld: true, stop };
    tiles.set(key, pending);
    try {
      const address = template().replace("{z}", String(zoom)).replace("{x}", String(x)).replace("{y}", String(y));
      const told = /** @type {Told} */ (await json(address, stop.signal));
      if (tiles.get(key) !== pending) return;
      tiles.set(key, {
        x,
        y,
        isOld: false,
        pins: told.points.map(([number, ...rest]) => ({ number, point: [rest[0], rest[1]], standing: rest[2], title: rest[3] })),
        clusters: told.clusters.map(([lat, lon, , , shares]) => ({ point: [lat, lon], shares })),
      });
      drawSoon();
    } catch {
      if (tiles.get(key) !== pending) return;
      if (known) tiles.set(key, known);
      else tiles.delete(key);
      clearTimeout(asking);
      if (!stop.signal.aborted) asking = setTimeout(look, AGAIN);
    }
  }

  function drawSoon() {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(() => {
      const wanted = inSight().map((each) => tiles.get(each.key));
      const here = wanted.filter((tile) => tile && !(tile.stop && !tile.pins.length && !tile.clusters.length));
      const isWhole = here.length === wanted.length;
      const told = { pins: here.flatMap((tile) => tile?.pins ?? []), clusters: here.flatMap((tile) => tile?.clusters ?? []) };
      if (!isWhole) {
        const covered = new Set(here.map((tile) => `${tile?.x}/${tile?.y}`));
        const zoom = Math.max(0, Math.round(map.getZoom()) - 1);
        const isBare = (/** @type {{point: [number, number]}} */ { point }) => {
          const px = map.project(point, zoom + 1);
          return !covered.has(`${Math.floor(px.x / SIZE)}/${Math.floor(px.y / SIZE)}`);
        };
        const known = new Set(told.pins.map((pin) => pin.number));
        told.pins.push(...shown.pins.filter((pin) => isBare(pin) && !known.has(pin.number)));
        told.clusters.push(...shown.clusters.filter(isBare));
      }
      shown = told;
      draw(shown);
    });
  }

  function again() {
    for (const [key, tile] of tiles) {
      tile.stop?.abort();
      tiles.set(key, { ...tile, isOld: true, stop: undefined });
    }
    look();
  }

  map.on("moveend", look);
  return { look, again };
}

/**
 * @param {string} address
 * @param {AbortSignal} [signal]
 */
async function json(address, signal) {
  const response = await fetch(address, { headers: { Accept: "application/json" }, signal });
  if (!response.ok || response.redirected) throw new Error(`${response.status} ${address}`);
  return response.json();
}
