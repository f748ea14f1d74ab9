// The mirror: what the city said, with the photos and the map of the pack. Anything here may be thrown away, and
// nothing stays of a case that is in no scope of this person's any more.

import { fold, reported } from "./jobs.js";
import { firm, restock } from "./storage_reserve.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Job} Job
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Change} Change
 * @typedef {ReturnType<typeof createMirror>} Mirror
 */

const SHIFT = 8 * 3600; // s
const STORES = ["jobs", "photos", "map", "kv"];

/** @param {Pick<Parts, "store" | "user">} parts */
export function createMirror({ store, user }) {
  /** What is known for this user: cursors and epoch; nothing where the mirror is another's, but how often it was wiped. */
  async function known() {
    const kv = Object.fromEntries(await store.all("mirror", "kv"));
    return kv["user"] === user ? kv : { wiped: kv["wiped"] };
  }

  /**
   * The jobs with all pending work shown on them, and problems that the crew reported and has no number for yet.
   * @param {Entry[]} ops @param {Entry[]} sent
   */
  async function replayed(ops, sent) {
    const [owner, rows] = await Promise.all([store.get("mirror", "kv", "user"), store.all("mirror", "jobs")]);
    const ours = owner === user ? rows : [];
    const jobs = new Map(ours.map(([, row]) => [row.job.ref, /** @type {Job} */ (row.job)]));
    // What was reported here is known by its operation until the city has named its case.
    const names = new Map(sent.flatMap(({ op, result }) => (result?.to ? [[op.id, result.to]] : [])));
    const deposited = sent.filter(({ result }) => result?.result === "deposited");
    const back = new Set(ops.filter(({ op }) => op.t === "withdraw").map(({ op }) => op.data["op"]));
    for (const entry of [...deposited, ...ops].sort((a, b) => a.op.n - b.op.n)) {
      const { op } = entry;
      if (op.t === "report") jobs.set(op.id, reported(entry));
      const ref = names.get(op.case) ?? op.case;
      const job = jobs.get(ref);
      if (job && !back.has(op.id)) jobs.set(ref, fold(job, op, entry.before));
    }
    return { jobs: [...jobs.values()], names, empty: owner === undefined };
  }

  /**
   * News, cursors and epoch in one transaction; what is in no scope of ours any more is wiped with its photos. News of
   * a mirror that was wiped or went on in another tab since we asked has no place any more: the next answer tells it.
   * @param {any} answer @param {any} known
   */
  async function take(answer, known) {
    const rows = await store.all("mirror", "jobs");
    const lost = (/** @type {string} */ scope) =>
      known["user"] !== user || !answer.scopes.includes(scope) || answer.reset.includes(scope);
    /** @type {Map<string, { scope: string, job: Job }>} */
    const stays = new Map(rows.filter(([, row]) => !lost(row.scope)));
    /** @type {Record<string, number>} */
    const cursors = {};
    for (const scope of answer.scopes) {
      const cursor = known["cursors"]?.[scope];
      if (cursor !== undefined && !answer.reset.includes(scope)) cursors[scope] = cursor;
    }
    /** @type {Change[]} */
    const changes = [];
    for (const [scope, news] of Object.entries(/** @type {Record<string, any>} */ (answer.changes))) {
      for (const job of news.set.filter((/** @type {any} */ each) => each.kind === "job")) {
        stays.set(`${scope}|${job.ref}`, { scope, job });
        changes.push(["put", "jobs", `${scope}|${job.ref}`, { scope, job }]);
      }
      for (const { ref } of news.gone) stays.delete(`${scope}|${ref}`);
      cursors[scope] = news.to;
    }
    for (const [key] of rows) if (!stays.has(key)) changes.push(["del", "jobs", key]);
    const wanted = new Set([...stays.values()].flatMap(({ job }) => photosOf(job)));
    for (const [id] of await store.all("mirror", "photos")) if (!wanted.has(id)) changes.push(["del", "photos", id]);
    const from = JSON.stringify(known["cursors"]);
    const same = known["user"] === user && known["epoch"] === answer.epoch && from === JSON.stringify(cursors);
    if (same && !changes.length) return; // nothing new takes no room
    changes.push(["put", "kv", "cursors", cursors], ["put", "kv", "epoch", answer.epoch]);
    changes.push(["put", "kv", "user", user]);
    if (known["user"] !== user) changes.push(["del", "map", "area"], ["del", "kv", "packed"]);
    /** @type {import("./engine.js").Decide} */
    const decide = async (get) => {
      if ((await get("kv", "wiped")) !== known["wiped"]) return [];
      const ours = (await get("kv", "user")) === user;
      return from === JSON.stringify(ours ? await get("kv", "cursors") : undefined) ? changes : [];
    };
    await firm(store, decide, "mirror");
  }

  /** Nothing of the city's stays readable here, nor comes back with an answer that is on its way to another tab. */
  async function wipe() {
    // Nobody's first, and counted: from now on nothing that another tab writes is taken, neither news nor pack. A full
    // disk takes no count, and is wiped all the same.
    /** @type {Change} */
    const free = ["del", "kv", "user"];
    const counted = store.write("mirror", async (get) => [
      free, ["put", "kv", "wiped", ((await get("kv", "wiped")) ?? 0) + 1],
    ]);
    await counted.catch(() => store.write("mirror", [free]));
    /** @type {Change[]} */
    const changes = [];
    for (const name of STORES) {
      for (const [key] of await store.all("mirror", name)) if (key !== "wiped") changes.push(["del", name, key]);
    }
    if (changes.length) await store.write("mirror", changes);
  }

  /** The numbers of the cases that are this phone's jobs. @returns {Promise<Set<string | undefined>>} */
  async function refs() {
    return new Set((await store.all("mirror", "jobs")).map(([, { job }]) => job.ref));
  }

  /** Writes something of the pack, as long as the mirror is ours. @param {Change} change */
  async function pack(change) {
    await store.write("mirror", async (get) => ((await get("kv", "user")) === user ? [change] : []));
  }

  /** Photos of the pack make room first. */
  async function lighten() {
    const rows = await store.all("mirror", "photos");
    if (rows.length) await store.write("mirror", rows.map(([id]) => /** @type {Change} */ (["del", "photos", id])));
  }

  /** What the pack still lacks: photos of jobs, by id. */
  async function missing() {
    const rows = await store.all("mirror", "jobs");
    const wanted = new Set(rows.flatMap(([, { job }]) => photosOf(job)));
    for (const [id] of await store.all("mirror", "photos")) wanted.delete(id);
    return [...wanted];
  }

  /** Throws QuotaExceededError where it does not fit beside the reserve. @param {string} id @param {ArrayBuffer} data */
  async function keepPhoto(id, data) {
    await restock(store); // or else it would take the room that was given up for words
    await pack(["put", "photos", id, data]);
  }

  /** @param {string} id @returns {Promise<ArrayBuffer | undefined>} */
  function photo(id) {
    return store.get("mirror", "photos", id);
  }

  /** The crew's part of the base map as one file. Throws as a photo does. @param {{ tag: string, data: ArrayBuffer }} area */
  async function keepMap(area) {
    await restock(store);
    await pack(["put", "map", "area", area]);
  }

  /** @returns {Promise<{ tag: string, data: ArrayBuffer } | undefined>} */
  function map() {
    return store.get("mirror", "map", "area");
  }

  /** What there is on this phone, for the receipt: jobs, photos of how many, whether the map, bytes. */
  async function packed() {
    const [jobs, photos, area] = await Promise.all([store.all("mirror", "jobs"), store.all("mirror", "photos"), map()]);
    const wanted = new Set(jobs.flatMap(([, { job }]) => photosOf(job)));
    const bytes = photos.reduce((sum, [, data]) => sum + data.byteLength, area?.data.byteLength ?? 0);
    const here = photos.filter(([id]) => wanted.has(id)).length;
    const words = jobs.reduce((sum, [, row]) => sum + JSON.stringify(row).length, 0);
    return { jobs: jobs.length, photos: here, of: wanted.size, map: Boolean(area), bytes: bytes + words };
  }

  /**
   * Notes that all is packed, for the city's list of crews. While the pack is the same, its moment stays for a
   * shift: a phone that asks for news must not cost the city a write.
   * @param {number} at seconds since 1970
   */
  async function keepReceipt(at) {
    const { jobs, photos, of, map } = await packed();
    const receipt = { at, jobs, photos, of, map: map ? 1 : 0 };
    const before = await store.get("mirror", "kv", "packed");
    const same = before && JSON.stringify({ ...before, at }) === JSON.stringify(receipt);
    if (!same || at - before.at >= SHIFT) await pack(["put", "kv", "packed", receipt]);
  }

  const ready = () => restock(store);
  return {
    known, replayed, refs, take, wipe, lighten, pack: { ready, missing, keepPhoto, photo, keepMap, map, keepReceipt }, packed,
  };
}

/** @param {Job} job */
function photosOf(job) {
  return (job.told ?? []).flatMap((telling) => telling.photos ?? []);
}
