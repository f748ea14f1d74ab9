// Where and when a photo was taken, as it tells itself, and whether that is here and now. Read before it is made small and
// loses that. Pure. What it reads may come from anybody: each step is bounded, and what does not fit is no answer.

import { metresBetween } from "./geo.js";
import { round } from "./geolocation.js";

/** @typedef {import("./geo.js").Point} Point */
/** @typedef {{ lat?: number, lon?: number, metres?: number, at?: number, settled?: boolean }} Taken degrees, how wrong
 *   they may be, ms since 1970; `settled` once its author has said what to do with it */

const STEP = 1_000_000;
const MOST_BYTES = 20_000_000; // a HEIC may have it behind its picture
/** How it begins in a JPEG's head, and in the boxes of a HEIC or AVIF. */
const MARK = /Exif\0\0(?:II\*\0|MM\0\*)/;
const MARK_BYTES = 10;
const LONGEST = 65_536; // of all that it tells, in a JPEG
const [DETAILS, GPS] = [0x8769, 0x8825];
const FAR_METRES = 50;
const OLD_MS = 30 * 60_000;

/** @param {Blob} photo @returns {Promise<Taken | null>} null where it tells neither, or cannot be read */
export async function taken(photo) {
  try {
    const view = await told(photo);
    return view && read(view);
  } catch {
    return null; // it ends in the middle, or says that something lies outside it
  }
}

/**
 * Whether a photo may show another place than the one where the phone is.
 * @param {Taken} photo
 * @param {Point | null} here where the phone is; null where that is not known
 * @param {number} now
 */
export function doubts({ lat, lon, at }, here, now) {
  const isFar = here !== null && lat !== undefined && lon !== undefined && metresBetween({ lat, lon }, here) > FAR_METRES;
  const isOld = at !== undefined && now - at > OLD_MS;
  // Who has not said where it is, and has a photo that does, need not look for the address.
  return { isFar, isOld, any: here ? isFar || isOld : lat !== undefined };
}

/** @param {Blob} photo */
async function told(photo) {
  for (let from = 0; from < Math.min(photo.size, MOST_BYTES); from += STEP) {
    const bytes = await photo.slice(from, from + STEP + MARK_BYTES).arrayBuffer();
    const at = new TextDecoder("latin1").decode(bytes).search(MARK);
    if (at < 0) continue;
    const begins = from + at + 6;
    return new DataView(await photo.slice(begins, begins + LONGEST).arrayBuffer());
  }
  return null;
}

/** @param {DataView} view @returns {Taken | null} */
function read(view) {
  const isLittle = view.getUint8(0) === 0x49;
  const short = (/** @type {number} */ at) => view.getUint16(at, isLittle);
  const long = (/** @type {number} */ at) => view.getUint32(at, isLittle);

  /** Where the entries of a list are, by what they tell. @param {number | undefined} at */
  const list = (at) => {
    /** @type {Map<number, number>} */
    const found = new Map();
    const count = at === undefined ? 0 : short(at);
    for (let i = 0; i < count; i++) found.set(short(Number(at) + 2 + i * 12), Number(at) + 2 + i * 12);
    return found;
  };
  /** The list that an entry of another leads to. @param {number | undefined} entry */
  const led = (entry) => list(entry && long(entry + 8));
  /** @param {number | undefined} entry */
  const words = (entry) => {
    if (!entry || short(entry + 2) !== 2) return "";
    const count = long(entry + 4);
    const bytes = new Uint8Array(view.buffer, count > 4 ? long(entry + 8) : entry + 8, Math.min(count, 20));
    return String.fromCharCode(...bytes);
  };
  /** Fractions; none where there are not as many. @param {number | undefined} entry @param {number} count */
  const ratios = (entry, count) => {
    if (!entry || short(entry + 2) !== 5 || long(entry + 4) !== count) return [];
    const at = long(entry + 8);
    return Array.from({ length: count }, (_, i) => long(at + i * 8) / long(at + i * 8 + 4));
  };
  /** @param {number | undefined} entry @param {number | undefined} side @param {string} minus @param {number} most */
  const degrees = (entry, side, minus, most) => {
    const [whole = NaN, minutes = NaN, seconds = NaN] = ratios(entry, 3);
    const size = whole + minutes / 60 + seconds / 3600;
    return size <= most ? (words(side)[0] === minus ? -size : size) : NaN; // what is no number is not at most anything
  };

  const first = list(long(4));
  const [details, gps] = [led(first.get(DETAILS)), led(first.get(GPS))];
  const lat = degrees(gps.get(2), gps.get(1), "S", 90);
  const lon = degrees(gps.get(4), gps.get(3), "W", 180);
  const [metres = NaN] = ratios(gps.get(0x1f), 1);
  const at = moment(words(details.get(0x9003)), words(details.get(0x9011)));
  const isPlaced = !Number.isNaN(lat + lon) && (lat !== 0 || lon !== 0); // 0, 0 is a camera that knew nothing
  if (!isPlaced && Number.isNaN(at)) return null;
  return {
    ...(isPlaced ? { lat: round(lat), lon: round(lon) } : {}),
    ...(isPlaced && Number.isFinite(metres) ? { metres: Math.max(1, Math.round(metres)) } : {}),
    ...(Number.isNaN(at) ? {} : { at }),
  };
}

/** "2026:12:01 07:30:00" in its own zone, "-05:00", or without one in this phone's. @param {string} clock @param {string} zone */
function moment(clock, zone) {
  const parts = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)/.exec(clock);
  const offset = /^[+-]\d\d:\d\d/.exec(zone)?.[0] ?? "";
  return parts ? Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}${offset}`) : NaN;
}
