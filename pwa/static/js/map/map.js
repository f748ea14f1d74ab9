/**
 * The city's map. Leaflet and the base map's painter are fetched when a map is asked for, and not before.
 */

import { rules } from "./theme.js";

/** @typedef {typeof import("leaflet")} Leaflet */
/** @typedef {"ok" | "risk" | "late" | "wait" | "done"} Standing */
/**
 * @typedef {object} MapOptions
 * @property {[number, number]} centre latitude, longitude
 * @property {number} [zoom]
 * @property {[[number, number], [number, number]]} [bounds] south-west and north-east corner of the city
 * @property {string} [basemapUrl] the city's own PMTiles file
 * @property {ArrayBuffer} [basemapData] the same, or a part of it, kept on this phone
 * @property {string} [rasterUrl] a tile server's template, used instead where it is given
 * @property {string} [attribution] what the makers of the tiles want to be said
 * @property {"light" | "dark" | "sun"} [theme] only where the map differs from its page
 * @property {{zoomIn?: string, zoomOut?: string}} [words] in the page's language
 * @property {boolean} [isBare] without buttons: the page has its own
 */

const MAX_ZOOM = 19;

/** Pins, drawn about 0,0. Each standing has a shape of its own; colour only helps. */
const SHAPES = /** @type {Record<Standing, string>} */ ({
  ok: '<circle r="8.5"/>',
  risk: '<path d="M0-10.5 10.5 8.5H-10.5Z"/>',
  late: '<path d="M0-11.5 11.5 0 0 11.5-11.5 0Z"/>',
  wait: '<path d="M-8.5-9H8.5V9H-8.5Z"/><path class="gap" d="M-3-4.5V4.5M3-4.5V4.5"/>',
  done: '<path d="M-2.4 7.5-9.3.5-6.4-2.4-2.4 1.7 6.5-7.3 9.3-4.4Z"/>',
});

/** @type {Promise<{L: Leaflet, protomaps: any}> | undefined} */
let library;

/**
 * Draws the map into `element` and resolves when it can be used; rejects where the library cannot be fetched.
 * @param {HTMLElement} element an empty box with a size
 * @param {MapOptions} options
 * @returns {Promise<{map: import("leaflet").Map, L: Leaflet}>}
 */
export async function showMap(element, options) {
  const { L, protomaps } = await load();
  await seen(element);
  if (options.theme) element.dataset.theme = options.theme;
  const map = L.map(element, {
    center: options.centre,
    zoom: options.zoom ?? 15,
    minZoom: 11,
    maxZoom: MAX_ZOOM,
    zoomControl: false,
    maxBoundsViscosity: 0.8,
    zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  });
  map.attributionControl.setPrefix(false);
  if (options.bounds) {
    const city = L.latLngBounds(options.bounds);
    map.setMaxBounds(city.pad(0.5));
    map.setMinZoom(map.getBoundsZoom(city) - 1);
  }
  if (!options.isBare) {
    L.control.zoom({
      position: "bottomright",
      zoomInTitle: options.words?.zoomIn ?? "Zoom in",
      zoomOutTitle: options.words?.zoomOut ?? "Zoom out",
    }).addTo(map);
  }
  if (options.basemapData) {
    paint(map, protomaps, kept(protomaps, options.basemapData), options.attribution ?? "");
  } else if (options.rasterUrl) {
    L.tileLayer(options.rasterUrl, { maxZoom: MAX_ZOOM, attribution: options.attribution ?? "" }).addTo(map);
  } else if (options.basemapUrl) {
    paint(map, protomaps, options.basemapUrl, options.attribution ?? "");
  }
  return { map, L };
}

/**
 * Until the box can be seen: a map that begins in one of no size, closed while it was fetched, stays blank.
 * @param {HTMLElement} box
 */
function seen(box) {
  if (box.clientWidth) return undefined;
  return new Promise((resolve) => {
    const eye = new ResizeObserver(() => {
      if (!box.clientWidth) return;
      eye.disconnect();
      resolve(undefined);
    });
    eye.observe(box);
  });
}

/**
 * A case on the map: a real link, so that keyboard, screen reader and middle click work as everywhere.
 * @param {Leaflet} L
 * @param {[number, number]} point latitude, longitude
 * @param {{promise: Standing, label: string, href: string}} case_ `label` is its accessible name
 * @returns {import("leaflet").Marker}
 */
export function casePin(L, point, { promise, label, href }) {
  const icon = L.divIcon({ className: "", iconSize: undefined });
  icon.createIcon = () => {
    const link = document.createElement("a");
    link.href = href;
    link.className = "pin leaflet-marker-icon";
    link.draggable = false;
    link.dataset.promise = promise;
    link.setAttribute("aria-label", label);
    link.innerHTML = `<svg viewBox="-16 -16 32 32" aria-hidden="true">${SHAPES[promise]}</svg>`;
    return link;
  };
  const marker = L.marker(point, { icon, keyboard: false, riseOnHover: true });
  marker.on("add", () => {
    marker.getElement()?.addEventListener("click", (event) => {
      // A drag of the map that began on a pin ends on it too; a key press has no detail and is meant.
      const map = /** @type {any} */ (marker)._map;
      if (event.detail > 0 && map?.dragging.moved()) event.preventDefault();
    });
  });
  return marker;
}

/** Fetches the library once; a failed attempt may be repeated. */
function load() {
  library ??= fetchLibrary().catch((fault) => {
    library = undefined;
    throw fault;
  });
  return library;
}

/** @returns {Promise<{L: Leaflet, protomaps: any}>} */
async function fetchLibrary() {
  const style = attached("link", { rel: "stylesheet", href: here("../../css/screens/map.css") });
  // protomaps-leaflet extends the global L, but only when it is called: both may come at once.
  await Promise.all([
    style,
    attached("script", { src: here("../../vendor/leaflet.js") }),
    attached("script", { src: here("../../vendor/protomaps-leaflet.js") }),
  ]);
  const { L, protomapsL } = /** @type {any} */ (window);
  return { L, protomaps: protomapsL };
}

/** The address of a file beside this one. @param {string} path */
export function here(path) {
  return new URL(path, import.meta.url).href;
}

/**
 * Adds an element to the head and resolves when it has loaded.
 * @param {"link" | "script"} tag
 * @param {Record<string, string>} properties
 * @returns {Promise<void>}
 */
export function attached(tag, properties) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.addEventListener("load", () => resolve());
    element.addEventListener("error", () => {
      element.remove();
      reject(new Error(`cannot load ${properties.src ?? properties.href}`));
    });
    document.head.append(element);
  });
}

/**
 * A file that lies in memory, for the painter. Its reader is not among what the library exports; the source that
 * holds one is.
 * @param {any} protomaps
 * @param {ArrayBuffer} data
 */
function kept(protomaps, data) {
  const Reader = new protomaps.PmtilesSource("", true).p.constructor;
  return new Reader({
    getKey: () => "kept",
    getBytes: async (/** @type {number} */ offset, /** @type {number} */ length) => ({
      data: data.slice(offset, offset + length),
    }),
  });
}

/**
 * @param {import("leaflet").Map} map
 * @param {any} protomaps
 * @param {any} url an address, or a file's reader
 * @param {string} attribution
 */
function paint(map, protomaps, url, attribution) {
  const palette = read(map.getContainer());
  const layer = protomaps.leafletLayer({
    url, attribution, maxDataZoom: 16, maxNativeZoom: MAX_ZOOM, maxZoom: MAX_ZOOM, ...rules(protomaps, palette),
  });
  layer.addTo(map);
  const repaint = () => {
    const now = read(map.getContainer());
    if (JSON.stringify(now) === JSON.stringify(palette)) return;
    Object.assign(palette, now);
    layer.clearLayout();
    layer.rerenderTiles();
  };
  const night = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(repaint);
  night.addEventListener("change", repaint);
  for (const element of [document.documentElement, map.getContainer()]) {
    chosen.observe(element, { attributeFilter: ["data-theme"] });
  }
  map.on("unload", () => {
    night.removeEventListener("change", repaint);
    chosen.disconnect();
  });
}

/**
 * The page's colours for the map, as they are now.
 * @param {Element} element
 * @returns {import("./theme.js").Palette}
 */
function read(element) {
  const style = getComputedStyle(element);
  /** @param {string} name */
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    land: value("--map-land"),
    block: value("--map-block"),
    road: value("--map-road"),
    edge: value("--map-road-edge"),
    water: value("--map-water"),
    park: value("--map-park"),
    word: value("--map-word"),
    face: value("--face") || "sans-serif",
  };
}
