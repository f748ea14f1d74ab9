// Distances between points of the city. Pure.

/** @typedef {{ lat: number, lon: number }} Point degrees */

/** Metres between two points, good enough within a city. @param {Point} a @param {Point} b */
export function metresBetween(a, b) {
  const north = (a.lat - b.lat) * 111_320;
  const east = (a.lon - b.lon) * 111_320 * Math.cos((b.lat * Math.PI) / 180);
  return Math.hypot(north, east);
}
