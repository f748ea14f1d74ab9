// Photos on their way to the city: their rows, their bytes in pieces, and how they are sent.

import { firm, putBack } from "./storage_reserve.js";
import { FIRST_PART, LEAST_PART, PIECE, reached, Stopped } from "./protocol.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {import("./engine.js").Change} Change
 * @typedef {ReturnType<typeof createPictures>} Pictures
 */

// Asks where the city stands with a photo; and for its end, where all of it may be there and was not looked at.
const NOTHING = new ArrayBuffer(0);
// A request that takes less lets more go in the next, one that takes longer or has no end less.
const QUICK = 3_000;
const SLOW = 10_000;

/** @param {Parts} parts */
export function createPictures({ store, net, clock, random, digest, user }) {
  /** How many bytes go in one request now: on a line so slow that a request ends before them, they began anew for ever. */
  let part = FIRST_PART;

  /**
   * Keeps a photo for a job, before anything is decided about it. Throws QuotaExceededError where it does not fit
   * beside the reserve.
   * @param {string} ref
   * @param {ArrayBuffer} data
   * @param {string} type
   * @param {ArrayBuffer} [thumb] a small JPEG that stays when the bytes have gone
   * @param {import("../lib/photo_metadata.js").Taken | null} [taken] where and when, which never leaves the phone
   * @returns {Promise<Shot>}
   */
  async function keepPhoto(ref, data, type, thumb, taken) {
    /** @type {Shot} */
    const shot = {
      id: random.id(),
      user,
      case: ref,
      op: null,
      sha256: await digest(data),
      bytes: data.byteLength,
      type,
      pieces: Math.ceil(data.byteLength / PIECE),
      uploaded: false,
      at: clock(),
      ...(thumb ? { thumb } : {}),
      ...(taken ? { taken } : {}),
    };
    /** @type {Change[]} */
    const changes = [["put", "photos", shot.id, shot]];
    for (let i = 0; i < shot.pieces; i++) {
      changes.push(["put", "chunks", chunkKey(shot.id, i), data.slice(i * PIECE, (i + 1) * PIECE)]);
    }
    await store.write("outbox", async (get) => [...(await putBack(get)), ...changes]);
    return shot;
  }

  /** @param {string} id */
  async function dropPhoto(id) {
    await store.write("outbox", async (get) => {
      /** @type {Shot | undefined} */
      const shot = await get("photos", id);
      return shot?.op === null ? allGone(shot) : []; // another tab may have saved it
    });
  }

  /** The whole photo as it will be sent, in pieces; empty where only its thumbnail is left.
   * @param {Shot} shot @returns {Promise<ArrayBuffer[]>} */
  async function bytesOf(shot) {
    const rows = await store.all("outbox", "chunks", `${shot.id}:`);
    return rows.map(([, data]) => data);
  }

  /** @returns {Promise<Shot[]>} */
  async function mine() {
    const rows = await store.all("outbox", "photos");
    return rows.map(([, shot]) => shot).filter((shot) => shot.user === user);
  }

  /** Photos of saved work whose bytes the city does not have, the oldest first. */
  async function unsent() {
    const shots = (await mine()).filter((shot) => shot.op && !shot.uploaded && !shot.refused);
    return shots.sort((a, b) => a.at - b.at);
  }

  /** Sends one photo, from where an earlier try ended, and says how it stands then. One that the city cannot read is
   * marked, and holds up no other. @param {Shot} unsent @param {() => boolean} over */
  async function send(unsent, over) {
    const shot = { ...unsent };
    const most = Math.ceil(shot.bytes / LEAST_PART) + shot.pieces + 4;
    let offset = 0;
    // On a slow line a part that the city has already would take all of a run's time, in every run.
    let asks = part <= FIRST_PART;
    let told = false;
    for (let i = 0; i < most && !shot.uploaded && !shot.refused; i++) {
      if (over()) return shot;
      const index = Math.floor(offset / PIECE);
      /** @type {ArrayBuffer | undefined} */
      const piece = !asks && offset < shot.bytes ? await store.get("outbox", "chunks", chunkKey(shot.id, index)) : NOTHING;
      if (!piece && told) {
        shot.refused = "gone";
        break;
      }
      asks = !piece; // the city may have what is here no more
      if (!piece) continue;
      told = true;
      const reply = await sendPart(shot, offset, piece.slice(offset - index * PIECE));
      if (reply.status === 401) throw new Stopped("login");
      // Nobody waits for it: its report was erased, or could not be read.
      else if (reply.status === 404 && reply.fault === "unknown") shot.refused = "unwanted";
      else if (reply.status === 409) offset = reply.offset;
      else if (reply.status === 422 && reply.fault && reply.fault !== "digest") shot.refused = reply.fault;
      else if (reply.status === 413 && reply.fault === "too_large") shot.refused = "too_large";
      else if (reply.status === 422 && (await isSpoilt(shot))) shot.refused = "spoilt"; // no other waits for it
      else if (reply.status === 422) offset = 0;
      else if ([408, 429, 503].includes(reply.status)) throw new Stopped("busy", reply.retryAfter);
      else if (reply.status !== 200) throw new Stopped(reply.status >= 500 ? "server" : "portal");
      else if (reply.complete) shot.uploaded = true;
      else offset = reply.offset;
    }
    if (!shot.uploaded && !shot.refused) throw new Stopped("server");
    await firm(store, async (get) => {
      const { uploaded, refused } = shot;
      /** @type {Shot | undefined} */
      const now = await get("photos", shot.id);
      if (!now?.op || now.uploaded) return []; // gone, or a form's again, with which it goes; or another tab was there
      // One that the city cannot read is something to look at, and both are known at once or neither.
      const entry = refused ? await get("sent", now.op) : undefined;
      return [
        ["put", "photos", shot.id, { ...now, uploaded, ...(refused ? { refused } : {}) }],
        .../** @type {Change[]} */ (entry ? [["put", "sent", entry.op.id, { ...entry, seen: false }]] : []),
      ];
    });
    return shot;
  }

  /** Whether the bytes on this phone are no longer those that were kept. @param {Shot} shot */
  async function isSpoilt(shot) {
    const whole = await new Blob(await bytesOf(shot)).arrayBuffer();
    return (await digest(whole)) !== shot.sha256;
  }

  /** As much of `rest` as this line carries in time. @param {Shot} shot @param {number} offset @param {ArrayBuffer} rest */
  async function sendPart(shot, offset, rest) {
    const data = rest.slice(0, part);
    const began = clock();
    let took = Infinity;
    try {
      const reply = await reached(net.piece(shot, offset, data));
      took = clock() - began;
      return reply;
    } finally {
      if (took > SLOW) part = Math.max(part >> 1, LEAST_PART);
      else if (took < QUICK && data.byteLength === part) part = Math.min(part * 2, PIECE);
    }
  }

  /** Whether the city would take anything of this photo now; asked without its bytes. @param {Shot} shot */
  async function mayGo(shot) {
    return (await reached(net.piece(shot, 0, NOTHING))).status !== 401;
  }

  return { keepPhoto, dropPhoto, bytesOf, mine, unsent, send, mayGo };
}

/** The bytes go, row and thumbnail stay. @param {Shot} shot @returns {Change[]} */
export function bytesGone(shot) {
  /** @type {Change[]} */
  const changes = [];
  for (let i = 0; i < shot.pieces; i++) changes.push(["del", "chunks", chunkKey(shot.id, i)]);
  return changes;
}

/** @param {Shot} shot @returns {Change[]} */
export function allGone(shot) {
  return [["del", "photos", shot.id], ...bytesGone(shot)];
}

/** @param {string} id @param {number} index */
function chunkKey(id, index) {
  return `${id}:${String(index).padStart(4, "0")}`;
}
