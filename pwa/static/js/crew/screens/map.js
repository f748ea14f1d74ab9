// The jobs on the map that was packed, so that it shows without signal too. Each pin is a link to its job.

import { isDone, standing } from "../../sync/jobs.js";
import { engine, named, place, say } from "../session.js";

/** @typedef {import("../../sync/jobs.js").Job} Job */

/**
 * Draws into an empty box. Rejects where there is neither a map on this phone nor signal.
 * @param {HTMLElement} box
 * @param {Job[]} jobs
 * @returns {Promise<(jobs: Job[]) => void>} shows other jobs on it; the map stays where it is
 */
export async function drawJobs(box, jobs) {
  const { lat, lon, bounds, basemap } = document.body.dataset;
  const area = await engine.pack.map();
  if (!area && (!basemap || !navigator.onLine)) throw new Error("no map");
  const { casePin, showMap } = await import("../../map/map.js");
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const { map, L } = await showMap(box, {
    centre: [Number(lat), Number(lon)],
    bounds: [[south, west], [north, east]],
    ...(area ? { basemapData: area.data } : { basemapUrl: "/basemap.pmtiles" }),
    words: { zoomIn: say("zoom_in"), zoomOut: say("zoom_out") },
  });
  const pins = L.layerGroup().addTo(map);
  let shown = "";
  /** @param {Job[]} all */
  const show = (all) => {
    const found = placed(all);
    if (shown === JSON.stringify(found)) return; // a pin that has the focus keeps it
    shown = JSON.stringify(found);
    pins.clearLayers();
    for (const { at, ...told } of found) casePin(L, at, told).addTo(pins);
  };
  show(jobs);
  const points = placed(jobs).map(({ at }) => at);
  if (points.length) map.fitBounds(L.latLngBounds(points), { padding: [40, 40], maxZoom: 16, animate: false });
  return show;
}

/** The pins of what is to be done and has a place. @param {Job[]} jobs */
function placed(jobs) {
  const now = Date.now() / 1000;
  return jobs.flatMap((job) => {
    if (isDone(job) || job.lat === undefined || job.lon === undefined) return [];
    const label = `${named(job.title)}, ${place(job)}`;
    return [{ at: /** @type {[number, number]} */ ([job.lat, job.lon]), promise: standing(job, now), label, href: `#job/${job.ref}` }];
  });
}
