// The jobs on the map that was packed, so that it shows without signal too. Each pin is a link to its job.

import { isDone, standing } from "./jobs.js";
import { engine, named, place, say } from "./phone.js";

/** @typedef {import("./jobs.js").Job} Job */

/**
 * Draws into an empty box. Rejects where there is neither a map on this phone nor signal.
 * @param {HTMLElement} box
 * @param {Job[]} jobs
 */
export async function drawJobs(box, jobs) {
  const { lat, lon, bounds, basemap } = document.body.dataset;
  const area = await engine.pack.map();
  if (!area && (!basemap || !navigator.onLine)) throw new Error("no map");
  const { casePin, showMap } = await import("./map.js");
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const { map, L } = await showMap(box, {
    centre: [Number(lat), Number(lon)],
    bounds: [[south, west], [north, east]],
    ...(area ? { basemapData: area.data } : { basemapUrl: "/basemap.pmtiles" }),
    words: { zoomIn: say("zoom_in"), zoomOut: say("zoom_out") },
  });
  const now = Date.now() / 1000;
  /** @type {[number, number][]} */
  const points = [];
  for (const job of jobs.filter((each) => !isDone(each))) {
    if (job.lat === undefined || job.lon === undefined) continue;
    points.push([job.lat, job.lon]);
    const label = `${named(job.title)}, ${place(job)}`;
    casePin(L, [job.lat, job.lon], { promise: standing(job, now), label, href: `#job/${job.ref}` }).addTo(map);
  }
  if (points.length) map.fitBounds(L.latLngBounds(points), { padding: [40, 40], maxZoom: 16, animate: false });
}
