// The jobs on the map that was packed, so that it shows without signal too; the phone's own place, and the next job.

import { clone, fill, part } from "../../lib/dom.js";
import { granted } from "../../lib/geolocation.js";
import { follow } from "../../lib/geolocation_watch.js";
import { inDanger, metres, nextOf, standing } from "../../sync/jobs.js";
import { distance, engine, many, named, place, promise, say } from "../session.js";
import { navigates, promised } from "./job.js";

/** @typedef {import("../../lib/geolocation.js").Fix} Fix */
/** @typedef {import("../../sync/jobs.js").Job} Job */
/** @typedef {Job & {lat: number, lon: number}} Placed */

/** Pixels that stay free around the jobs: at one side are the buttons. @type {{paddingTopLeft: [number, number], paddingBottomRight: [number, number]}} */
const CLEAR = { paddingTopLeft: [32, 40], paddingBottomRight: [84, 32] };
const STREET = 16; // zoom: the streets around a crew have their names

/**
 * Draws into the screen. Rejects where there is neither a map on this phone nor signal.
 * @param {HTMLElement} root the screen, as its template has it
 * @param {Job[]} jobs what is to be done, in its order
 * @returns {Promise<(jobs: Job[]) => void>} shows other jobs on it; the map stays where it is
 */
export async function jobsMap(root, jobs) {
  peek(root, nextOf(jobs), jobs, null);
  const box = part(root, "[data-map]");
  const words = JSON.parse(box.dataset["words"] ?? "{}");
  const { map, L, reach, pinLayer, dangerMarks, ownPosition } = await cityMap(box);
  let open = jobs;
  /** The job that was tapped; without one the card shows the next. @type {string | null} */
  let chosen = null;
  /** @type {Fix | null} */
  let fix = null;
  const pins = pinLayer(map, L, { href: (ref) => `#job/${ref}`, open: choose, words, several: words.several });
  const marks = dangerMarks(map, L);
  const self = ownPosition(map, L);

  function card() {
    const job = open.find(({ ref }) => ref === chosen) ?? nextOf(open);
    peek(root, job, open, fix);
    const [found] = job ? placed([job]) : [];
    pins.mark(found && pin(found));
  }

  /** @param {string | null} ref */
  function choose(ref) {
    chosen = ref;
    card();
  }

  /** @param {Job[]} all */
  function show(all) {
    open = all;
    const found = placed(all);
    pins.set(found.map(pin));
    marks(found.filter(inDanger).map(({ lat, lon }) => [lat, lon]));
    const unplaced = all.length - found.length;
    fill(root, "told", unplaced ? many("unplaced", unplaced) : "");
    card();
  }

  function whole() {
    /** @type {[number, number][]} */
    const points = placed(open).map(({ lat, lon }) => [lat, lon]);
    if (points.length) map.fitBounds(L.latLngBounds(points), { ...CLEAR, maxZoom: STREET, animate: false });
  }

  /** @param {Fix | null} now @param {boolean} isAsked by a tap: the map goes there */
  function located(now, isAsked) {
    fix = now;
    self(fix);
    card();
    if (!isAsked) return;
    const isOnMap = fix && reach.contains([fix.lat, fix.lon]);
    fill(root, "told", fix ? (isOnMap ? "" : say("off_map")) : say("no_fix"));
    if (fix && isOnMap) map.setView([fix.lat, fix.lon], Math.max(map.getZoom(), STREET));
  }

  map.on("click", ({ originalEvent: { target } }) => {
    if (!(/** @type {Element} */ (target).closest(".leaflet-marker-icon"))) choose(null); // beside every pin
  });
  let stop = () => {};
  const watch = (/** @type {boolean} */ isAsked) => {
    stop();
    let goesThere = isAsked;
    stop = follow((now) => {
      located(now, goesThere);
      goesThere = false;
    });
  };
  window.addEventListener("hashchange", () => stop(), { once: true }); // this screen has gone
  knobs(map, L, { whole, here: () => watch(true) });
  whole();
  show(jobs);
  if (await granted()) watch(false);
  return show;
}

/** The part of the city's map that is on the phone, else the city's own. @param {HTMLElement} box */
async function cityMap(box) {
  const { lat, lon, bounds, basemap } = document.body.dataset;
  const area = await engine.pack.map();
  if (!area && (!basemap || !navigator.onLine)) throw new Error("no map");
  const [{ showMap }, { pinLayer }, { dangerMarks }, { ownPosition }] = await Promise.all([
    import("../../map/map.js"),
    import("../../map/pins.js"),
    import("../../map/danger_marks.js"),
    import("../../map/own_position.js"),
  ]);
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const { map, L } = await showMap(box, {
    centre: [Number(lat), Number(lon)],
    bounds: [[south, west], [north, east]],
    ...(area ? { basemapData: area.data } : { basemapUrl: "/basemap.pmtiles" }),
    words: { zoomIn: say("zoom_in"), zoomOut: say("zoom_out") },
  });
  return { map, L, reach: L.latLngBounds([[south, west], [north, east]]).pad(0.5), pinLayer, dangerMarks, ownPosition };
}

/** One job under the map, with the way to it. @param {HTMLElement} root @param {Job | undefined} job @param {Job[]} open
 * @param {Fix | null} fix */
function peek(root, job, open, fix) {
  const box = part(root, "[data-peek]");
  box.hidden = !job;
  if (!job) return;
  const isNext = job === nextOf(open);
  fill(box, "title", isNext ? say("next", { title: named(job.title) }) : named(job.title));
  fill(box, "place", place(job));
  const far = fix ? metres(job, fix) : Infinity;
  fill(box, "far", far < Infinity ? distance(far) : "");
  promised(box, job, Date.now());
  part(box, "[data-job]").setAttribute("href", `#job/${job.ref}`);
  navigates(part(box, "[data-navigate]"), job);
}

/** Buttons of the crew's own above those that zoom. @param {import("leaflet").Map} map @param {typeof import("leaflet")} L
 * @param {Record<string, () => void>} acts */
function knobs(map, L, acts) {
  const control = new L.Control({ position: "bottomright" });
  control.onAdd = () => {
    const bar = part(clone("t-knobs"), ".leaflet-bar");
    L.DomEvent.disableClickPropagation(bar);
    for (const [name, act] of Object.entries(acts)) part(bar, `[data-knob="${name}"]`).addEventListener("click", act);
    return bar;
  };
  control.addTo(map);
}

/** Those of which somebody knows the place. @param {Job[]} jobs */
function placed(jobs) {
  return /** @type {Placed[]} */ (jobs.filter(({ lat, lon }) => lat !== undefined && lon !== undefined));
}

/** @param {Placed} job @returns {import("../../map/pins.js").Pin} */
function pin(job) {
  const now = Date.now();
  const title = named(job.title);
  const label = [title, place(job), promise(job, now)].join(", ");
  return { number: job.ref, point: [job.lat, job.lon], standing: standing(job, now / 1000), title, label };
}
