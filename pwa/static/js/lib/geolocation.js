// Where the phone is: whether it may be asked, and one quick fix. Knows nothing of the page.

/** @typedef {{ lat: number, lon: number, metres: number }} Fix */

/** Whether the phone may be asked without a question to its owner. @returns {Promise<boolean>} */
export async function granted() {
  try {
    return (await navigator.permissions.query({ name: "geolocation" })).state === "granted";
  } catch {
    return false; // older Safari cannot say
  }
}

/**
 * One quick fix, for a list; null where there is none.
 * @returns {Promise<Fix | null>}
 */
export function once() {
  return new Promise((resolve) => {
    if (!navigator.geolocation) return resolve(null);
    navigator.geolocation.getCurrentPosition(
      ({ coords }) =>
        resolve({ lat: round(coords.latitude), lon: round(coords.longitude), metres: Math.round(coords.accuracy) }),
      () => resolve(null),
      { maximumAge: 300_000, timeout: 10_000 },
    );
  });
}

/** About a decimetre: more is noise. @param {number} degrees */
export function round(degrees) {
  return Math.round(degrees * 1e6) / 1e6;
}
