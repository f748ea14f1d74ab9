// The reserve: room on the phone's disk that is given up so that words still fit where nothing else does.

/** @typedef {import("./engine.js").Change} Change */

export const RESERVE = 2_000_000; // bytes

/**
 * What goes beside a photo in its own write, or alone: the reserve, where it is not there. A write fits whole or not at
 * all, so no photo takes the room that words have been given.
 * @param {(store: string, key: string) => Promise<any>} get @returns {Promise<Change[]>}
 */
export async function reserved(get) {
  if (await get("chunks", "reserve")) return [];
  return [["put", "chunks", "reserve", incompressible(RESERVE)]];
}

/** @type {Change} */
export const released = ["del", "chunks", "reserve"];

/**
 * Bytes in no order (xorshift). A browser packs what it stores: of 2 MB of zeros 90 KB would lie on the disk, and so
 * much would come free.
 * @param {number} bytes a multiple of 4 @returns {ArrayBuffer}
 */
function incompressible(bytes) {
  const words = new Uint32Array(bytes / 4);
  for (let i = 0, x = 311; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return words.buffer;
}
