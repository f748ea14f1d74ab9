// Where the phone is: asks, and goes on listening while the fix gets better. Knows nothing of the page.

/** @typedef {{ lat: number, lon: number, metres: number }} Fix */

// A better fix is worth a new look only when it is clearly better.
const CLEARLY_BETTER = 0.7;
const GOOD_METRES = 10;
const LISTEN_MS = 60_000;
const GIVE_UP_MS = 20_000;

/** Whether the phone may be asked without a question to its owner. @returns {Promise<boolean>} */
export async function granted() {
  try {
    return (await navigator.permissions.query({ name: "geolocation" })).state === "granted";
  } catch {
    return false; // older Safari cannot say
  }
}

/**
 * Calls `found` with the first fix and with every one that is clearly better, `refused` when there will be none.
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
      if (metres > best * CLEARLY_BETTER) return;
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
  const enough = setTimeout(stop, LISTEN_MS); // the phone's battery matters too
  return stop;
}

/**
 * One quick fix, for a list; null where there is none.
 * @returns {Promise<Fix | null>}
 */
export function once() {
  return new Promise((resolve) => {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) =>
        resolve({ lat: round(coords.latitude), lon: round(coords.longitude), metres: Math.round(coords.accuracy) }),
      () => resolve(null),
      { maximumAge: 300_000, timeout: 10_000 },
    );
  });
}

/** About a decimetre: more is noise. @param {number} degrees */
function round(degrees) {
  return Math.round(degrees * 1e6) / 1e6;
}
