// A phone's fix that gets better, or moves, while somebody goes on. Knows nothing of the page.

import { round } from "./geolocation.js";

/** @typedef {import("./geolocation.js").Fix} Fix */

// A fix that is only a little better is worth no new look, unless the city begins to trust it there: from 100 m on it
// asks nobody whether it is here, and from 30 m on it may propose a pole.
const CLEARLY_BETTER = 0.7;
const TRUSTED = [100, 30];
const GOOD_METRES = 5;
const LISTEN_MS = 300_000;
const GIVE_UP_MS = 20_000;

/**
 * Calls `found` with the first fix and with every one that is better, `refused` when there will be none.
 * @param {(fix: Fix) => void} found
 * @param {() => void} refused
 * @returns {() => void} stops it
 */
export function listen(found, refused) {
  if (!("geolocation" in navigator)) {
    refused();
    return () => {};
  }
  let best = Infinity;
  const stop = () => {
    navigator.geolocation.clearWatch(watch);
    clearTimeout(enough);
  };
  const watch = navigator.geolocation.watchPosition(
    ({ coords }) => {
      const metres = Math.max(1, Math.round(coords.accuracy));
      if (metres >= best) return;
      best = metres;
      found({ lat: round(coords.latitude), lon: round(coords.longitude), metres });
      if (metres <= GOOD_METRES) stop();
    },
    (fault) => {
      // Without permission there is nothing to wait for; a lost signal may come back unless nothing came at all.
      if (fault.code === fault.PERMISSION_DENIED || best === Infinity) {
        stop();
        refused();
      }
    },
    { enableHighAccuracy: true, maximumAge: 10_000, timeout: GIVE_UP_MS },
  );
  const enough = setTimeout(stop, LISTEN_MS); // a page left open must not empty the battery
  return stop;
}

/**
 * Calls `told` with every fix as the phone moves, or once with null where there is none.
 * @param {(fix: Fix | null) => void} told
 * @returns {() => void} stops it
 */
export function follow(told) {
  if (!navigator.geolocation) {
    told(null);
    return () => {};
  }
  let isKnown = false;
  const watch = navigator.geolocation.watchPosition(
    ({ coords }) => {
      isKnown = true;
      told({ lat: round(coords.latitude), lon: round(coords.longitude), metres: Math.max(1, Math.round(coords.accuracy)) });
    },
    () => isKnown || told(null), // a signal that is lost for a while says nothing new
    { enableHighAccuracy: true, timeout: GIVE_UP_MS, maximumAge: 10_000 },
  );
  return () => navigator.geolocation.clearWatch(watch);
}

/**
 * Whether a better fix is worth showing anew.
 * @param {Fix} fix
 * @param {Fix | null} shown
 */
export function isNews(fix, shown) {
  if (!shown) return true;
  return fix.metres <= shown.metres * CLEARLY_BETTER || TRUSTED.some((most) => fix.metres <= most && most < shown.metres);
}
