// The reserve: room on the phone's disk that is given up so that words still fit where nothing else does.

/** @typedef {import("./engine.js").Store} Store */
/** @typedef {import("./engine.js").Change} Change */
/** @typedef {import("./engine.js").Decide} Decide */

export const RESERVE = 2_000_000; // bytes

const TRIES = 3; // another tab may put the reserve back before this one has written

/**
 * Writes what must not fail for want of space: what was done here and what the city answered. The reserve is given up
 * for it: before the write, since a browser counts what that puts and not what it frees. That makes room for the mirror
 * too: a page's databases share one allowance.
 * @param {Store} store @param {Change[] | Decide} changes @param {"outbox" | "mirror"} [base]
 */
export async function firm(store, changes, base = "outbox") {
  for (let tries = TRIES; ; tries--) {
    try {
      return await store.write(base, changes);
    } catch (fault) {
      if (!tries || !isFull(fault)) throw fault;
      await store.write("outbox", [["del", "chunks", "reserve"]]);
    }
  }
}

/** Whether it says that the phone has no room. @param {unknown} fault */
export function isFull(fault) {
  return /** @type {Error | undefined} */ (fault)?.name === "QuotaExceededError";
}

/** Puts the reserve back where it was given up. Throws QuotaExceededError where there is no room for it.
 * @param {Store} store */
export async function restock(store) {
  if (await store.get("outbox", "chunks", "reserve")) return;
  await store.write("outbox", putBack);
}

/**
 * The change that puts the reserve back; none where it is there. A photo is kept in one write with it, which fits whole
 * or not at all: so no photo takes the room that was given up for words.
 * @param {(store: string, key: string) => Promise<any>} get @returns {Promise<Change[]>}
 */
export async function putBack(get) {
  if (await get("chunks", "reserve")) return [];
  return [["put", "chunks", "reserve", incompressible(RESERVE)]];
}

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
