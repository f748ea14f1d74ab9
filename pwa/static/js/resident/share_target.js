// What another app shared into this one, as the service worker put it by.

import { shrink } from "../lib/image_resize.js";

/** Its name in the service worker. */
const SHARED = "shared-into-cityline";
const HEIC = /\.(heic|heif|avif)$/i;
/** Bytes: more the city does not take. What this phone can open is made smaller first. */
const MOST_BYTES = 20_000_000;

/** @typedef {"" | "noPicture" | "tooMany" | "tooLarge"} Trouble */

/**
 * What waits: photos, at most `room`, and words. `told` is what was left out and why. `done` forgets it all.
 * @param {number} room
 * @returns {Promise<{ files: File[], words: string, told: Trouble, done: () => Promise<void> }>}
 */
export async function taken(room) {
  const cache = await caches.open(SHARED);
  const lying = await cache.keys();
  const files = [];
  const words = [];
  for (const request of lying) {
    const found = await cache.match(request);
    if (!found) continue;
    if (request.url.endsWith("/words")) words.push(...(await found.json()));
    else files.push(await file(found));
  }
  const pictures = files.filter(isPicture);
  const light = (await Promise.all(pictures.map(lighter))).filter(({ size }) => size <= MOST_BYTES);
  const told = pictures.length < files.length ? "noPicture" : light.length < pictures.length ? "tooLarge" : light.length > room ? "tooMany" : "";
  return { files: light.slice(0, Math.max(0, room)), words: once(words), told, done: () => forget(cache, lying) };
}

/** @param {Response} found */
async function file(found) {
  const type = found.headers.get("Content-Type") ?? "";
  return new File([await found.blob()], decodeURIComponent(found.headers.get("X-Name") ?? "photo"), { type });
}

/** @param {File} picture */
async function lighter(picture) {
  return picture.size > MOST_BYTES ? shrink(picture) : picture;
}

/** Phones that know no HEIC give it no type. @param {File} file */
function isPicture({ name, type }) {
  return type.startsWith("image/") || HEIC.test(name);
}

/** Each part once: many apps name the address in their text again. @param {string[]} parts */
function once(parts) {
  /** @type {string[]} */
  const told = [];
  for (const part of [...parts].sort((a, b) => b.length - a.length)) {
    if (part.trim() && !told.some((other) => other.includes(part))) told.push(part);
  }
  return told.sort((a, b) => parts.indexOf(a) - parts.indexOf(b)).join("\n");
}

/** Only what was read: another photo may have been shared meanwhile. @param {Cache} cache @param {readonly Request[]} lying */
async function forget(cache, lying) {
  for (const request of lying) await cache.delete(request);
  history.replaceState(history.state, "", location.pathname + location.search);
}
