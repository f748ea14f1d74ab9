// The pack before a shift: the photos of the jobs and the crew's part of the base map, fetched while there is signal.

import { within } from "../lib/timeout.js";
import { engine } from "./session.js";
import { isFull } from "../sync/storage_reserve.js";

/** So long nothing may come: then the line is dead. A map may take longer on a slow one that is not. */
const SILENCE_MS = 30_000;
/** So long a full phone is spared what it could not keep: fetched in vain, each time again. */
const FULL_MS = 3_600_000;
const MARGIN = 0.01; // degrees around the jobs, about a kilometre

/** Whether this is the installed app. A tab's storage goes after a week without a visit, so nothing is packed there. */
export function installed() {
  return matchMedia("(display-mode: standalone)").matches;
}

let again = 0;

/**
 * Fetches what is missing; stops without complaint where signal ends, and goes on the next time.
 * @param {import("../sync/jobs.js").Job[]} jobs
 * @param {string} basemap the address of the map's part, "" where the city has no map of its own
 * @param {(step: Awaited<ReturnType<typeof engine.packed>>) => void} step called after each thing that was packed
 * @returns {Promise<boolean>} whether all is there now
 */
export async function pack(jobs, basemap, step) {
  if (Date.now() < again) return false;
  try {
    const missing = await engine.pack.missing();
    const tag = basemap && around(jobs);
    const away = Boolean(tag) && (await engine.pack.map())?.tag !== tag;
    if (missing.length || away) await engine.pack.ready();
    for (const id of missing) {
      const data = await fetched(`/photos/${id}/page.jpg`, "image/jpeg");
      if (data) await engine.pack.keepPhoto(id, data);
      step(await engine.packed());
    }
    if (away) {
      const data = await fetched(`${basemap}?box=${tag}`, "application/octet-stream");
      if (data) await engine.pack.keepMap({ tag, data });
      step(await engine.packed());
    }
    await engine.pack.keepReceipt(Math.floor(Date.now() / 1000));
    return true;
  } catch (fault) {
    if (isFull(fault)) again = Date.now() + FULL_MS;
    return false;
  }
}

/** The box around all jobs, in hundredths of a degree so that it changes seldom: west, south, east, north.
 * @param {import("../sync/jobs.js").Job[]} jobs */
function around(jobs) {
  const known = jobs.flatMap(({ lat, lon }) => (lat === undefined || lon === undefined ? [] : [{ lat, lon }]));
  if (!known.length) return "";
  const lats = known.map(({ lat }) => lat);
  const lons = known.map(({ lon }) => lon);
  const down = (/** @type {number} */ degrees) => (Math.floor((degrees - MARGIN) * 100) / 100).toFixed(2);
  const up = (/** @type {number} */ degrees) => (Math.ceil((degrees + MARGIN) * 100) / 100).toFixed(2);
  return [down(Math.min(...lons)), down(Math.min(...lats)), up(Math.max(...lons)), up(Math.max(...lats))].join(",");
}

/** The bytes, or null where the city has none; throws without signal, and where a stranger answered.
 * @param {string} url @param {string} type @returns {Promise<ArrayBuffer | null>} */
async function fetched(url, type) {
  const stop = new AbortController();
  try {
    const asked = fetch(url, { redirect: "error", cache: "no-store", signal: stop.signal });
    const response = await within(asked, SILENCE_MS);
    if (response.status === 404) return null;
    if (!response.ok || response.headers.get("Content-Type") !== type) throw new Error(url);
    return await whole(response);
  } catch (fault) {
    stop.abort();
    throw fault;
  }
}

/** @param {Response} response */
async function whole(response) {
  const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).getReader();
  const next = () => within(reader.read(), SILENCE_MS);
  const parts = [];
  for (let read = await next(); !read.done; read = await next()) parts.push(read.value);
  return new Blob(parts).arrayBuffer();
}
