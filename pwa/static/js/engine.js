// A crew's outbox and mirror: what was done, what the city holds, and how the two meet. No page, no network,
// no clock of its own: store, net, clock and random are handed in. `docs/sync.md` is the contract.

import { fold } from "./jobs.js";

/**
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {import("./jobs.js").Op} Op
 * @typedef {{ id: string, result: string, why?: string, to?: string }} Result
 * @typedef {{ title: Record<string, string>, address: string }} Label what the outbox calls a job
 * @typedef {{ user: number, op: Op, not_before: number, label: Label, draft?: Draft, result?: Result,
 *   at?: number, upto?: number, seen?: boolean, too_large?: boolean }} Entry
 * @typedef {{ id: string, user: number, case: string, op: string | null, sha256: string, bytes: number,
 *   type: string, pieces: number, uploaded: boolean, refused?: string, at: number }} Shot
 * @typedef {{ ending: string, notes: string[] }} Draft
 * @typedef {["put", string, string, unknown] | ["del", string, string]} Change
 * @typedef {{
 *   get(base: string, store: string, key: string): Promise<any>,
 *   all(base: string, store: string, prefix?: string): Promise<[string, any][]>,
 *   write(base: string, changes: Change[]): Promise<void> }} Store one write is one strict transaction
 * @typedef {{ status: number, json: any, retryAfter?: number }} Reply `json` is null unless it came as JSON
 * @typedef {{
 *   enrol(code?: string): Promise<Reply>,
 *   exchange(body: object): Promise<Reply>,
 *   offset(photo: string): Promise<{ status: number, offset: number, complete: boolean }>,
 *   piece(photo: Shot, offset: number, data: ArrayBuffer):
 *     Promise<{ status: number, offset: number, complete: boolean, fault: string }> }} Net
 * @typedef {{ store: Store, net: Net, clock: () => number, random: { id(): string, fraction(): number },
 *   digest: (data: ArrayBuffer) => Promise<string>, user: number, release: string }} Parts
 * @typedef {"" | "offline" | "portal" | "login" | "code" | "switched" | "server" | "busy"} Problem
 * @typedef {{ person: number, name: string, lang: string,
 *   crews: { id: number, name: string }[] }} Who
 */

export const PROTOCOL = 1;
export const BATCH = 50;
export const BATCH_BYTES = 200_000;
/** As much as the city takes of one operation. */
export const LARGEST = 32_000;
export const PIECE = 262_144;
export const UNDO_MS = 10_000;
const ROUNDS = 40;
const FIRST_DELAY = 4_000;
const LONGEST_DELAY = 300_000;
const DAY_MS = 86_400_000;
const NOT_YET = ["held", "retry"];

/** Ends a round without having lost anything. */
class Stopped extends Error {
  /** @param {Problem} problem @param {number} [retryAfter] seconds */
  constructor(problem, retryAfter) {
    super(problem);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/**
 * Asks the city whose phone this is and keeps the answer, `who`, for a start without signal. Returns the
 * phone's name for that person. With a `code` the phone becomes that of whom it was made for; otherwise of whoever
 * is logged in. Throws Stopped: "login" where nobody of a crew is, "code" for a wrong one.
 * @param {Pick<Parts, "store" | "net">} parts
 * @param {string} [code]
 * @returns {Promise<{ device: string, who: Who }>}
 */
export async function introduce({ store, net }, code) {
  const { status, json, retryAfter } = await reached(net.enrol(code));
  if (status === 401 || status === 403) throw new Stopped("login");
  if (status === 422) throw new Stopped("code");
  if (status === 429) throw new Stopped("busy", retryAfter);
  if (status !== 200 || !json?.device || !json.person) throw new Stopped(status >= 500 ? "server" : "portal");
  /** @type {Who} */
  const who = { person: json.person, name: json.name ?? "", lang: json.lang ?? "", crews: json.crews ?? [] };
  await store.write("outbox", [["put", "kv", "who", who], ["put", "kv", `device:${who.person}`, json.device]]);
  return { device: json.device, who };
}

/** Who used this phone last, and may do so without signal.
 * @param {Store} store @returns {Promise<Who | null>} */
export async function whoIs(store) {
  return (await store.get("outbox", "kv", "who")) ?? null;
}

/** The phone is handed on: nothing of the city's stays readable, and nobody's work is touched.
 * @param {Store} store */
export async function leave(store) {
  await store.write("outbox", [["del", "kv", "who"]]);
  /** @type {Change[]} */
  const changes = [];
  for (const name of ["jobs", "kv"]) {
    for (const [key] of await store.all("mirror", name)) changes.push(["del", name, key]);
  }
  if (changes.length) await store.write("mirror", changes);
}

/** @param {Parts} parts */
export function createEngine({ store, net, clock, random, digest, user, release }) {
  /** @type {Promise<void> | null} */
  let going = null;
  let batch = BATCH;
  /** Stands in for `next_try` where the disk keeps nothing any more. */
  let resting = 0;

  /**
   * Keeps an intention. When this returns, it is on the disk and was read back.
   * @param {string} t
   * @param {Job} job
   * @param {Record<string, unknown>} data
   * @param {{ photos?: Shot[], undo?: number, accuracy?: number | null, draft?: Draft }} [more]
   * @returns {Promise<Entry>}
   */
  async function add(t, job, data, { photos = [], undo = 0, accuracy = null, draft } = {}) {
    const now = clock();
    const n = ((await store.get("outbox", "kv", "n")) ?? 0) + 1;
    /** @type {Op} */
    const op = {
      id: random.id(),
      n,
      t,
      v: 1,
      case: job.ref,
      assignment: job.assignment ?? null,
      cycle: job.cycle,
      base: job.version,
      prev: await last(job.ref),
      device_time: new Date(now).toISOString(),
      accuracy,
      data,
      photos: photos.map(({ id, sha256, bytes, type }) => ({ id, sha256, bytes, type })),
    };
    const label = { title: job.title, address: job.address ?? "" };
    /** @type {Entry} */
    const entry = { user, op, not_before: now + undo, label, ...(draft ? { draft } : {}) };
    await store.write("outbox", [
      ["put", "ops", op.id, entry],
      ["put", "kv", "n", n],
      ["del", "drafts", draftKey(job.ref)],
      .../** @type {Change[]} */ (photos.map((shot) => ["put", "photos", shot.id, { ...shot, op: op.id }])),
    ]);
    if (!(await store.get("outbox", "ops", op.id))) throw new Error("not kept");
    return entry;
  }

  /**
   * Takes an intention back that has not been sent; false where it is too late.
   * @param {string} id
   */
  async function undo(id) {
    /** @type {Entry | undefined} */
    const entry = await store.get("outbox", "ops", id);
    if (!entry || entry.user !== user || clock() >= goes(entry)) return false;
    const shots = (await photosOf()).filter((shot) => shot.op === id);
    // What was done after it on that case waits for it no longer: it has not been sent either.
    const after = (await mine("ops")).filter(({ op }) => op.prev === id);
    await store.write("outbox", [
      ["del", "ops", id],
      .../** @type {Change[]} */ (
        after.map((next) => ["put", "ops", next.op.id, { ...next, op: { ...next.op, prev: entry.op.prev } }])
      ),
      .../** @type {Change[]} */ (entry.draft ? [["put", "drafts", draftKey(entry.op.case), entry.draft]] : []),
      .../** @type {Change[]} */ (shots.map((shot) => ["put", "photos", shot.id, { ...shot, op: null }])),
    ]);
    return true;
  }

  /**
   * Keeps a photo for a job, before anything is decided about it.
   * @param {string} ref
   * @param {ArrayBuffer} data
   * @param {string} type
   * @returns {Promise<Shot>}
   */
  async function keepPhoto(ref, data, type) {
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
    };
    /** @type {Change[]} */
    const changes = [["put", "photos", shot.id, shot]];
    for (let i = 0; i < shot.pieces; i++) {
      changes.push(["put", "chunks", chunkKey(shot.id, i), data.slice(i * PIECE, (i + 1) * PIECE)]);
    }
    await store.write("outbox", changes);
    return shot;
  }

  /** @param {string} id */
  async function dropPhoto(id) {
    /** @type {Shot | undefined} */
    const shot = await store.get("outbox", "photos", id);
    if (shot && shot.op === null) await store.write("outbox", bytesGone(shot));
  }

  /** The whole photo as it will be sent.
   * @param {Shot} shot @returns {Promise<ArrayBuffer[]>} */
  async function bytesOf(shot) {
    const rows = await store.all("outbox", "chunks", `${shot.id}:`);
    return rows.map(([, data]) => data);
  }

  /** @param {string} ref @param {Draft} draft */
  async function keepDraft(ref, draft) {
    await store.write("outbox", [["put", "drafts", draftKey(ref), draft]]);
  }

  /** What was begun for a job and not saved yet.
   * @param {string} ref @returns {Promise<{ draft: Draft | null, shots: Shot[] }>} */
  async function draftOf(ref) {
    const draft = await store.get("outbox", "drafts", draftKey(ref));
    const shots = (await photosOf()).filter((shot) => shot.case === ref && shot.op === null);
    return { draft: draft ?? null, shots: shots.sort((a, b) => a.at - b.at) };
  }

  /** What the screen shows: the mirror with everything pending replayed on it, and the outbox. */
  async function view() {
    const [ops, sent, rows, kv] = await Promise.all([
      mine("ops"),
      mine("sent"),
      store.all("mirror", "jobs"),
      store.all("outbox", "kv"),
    ]);
    const known = Object.fromEntries(kv);
    const jobs = new Map(rows.map(([, row]) => [row.job.ref, /** @type {Job} */ (row.job)]));
    const owner = await store.get("mirror", "kv", "user");
    if (owner !== undefined && owner !== user) jobs.clear();
    for (const { op } of ops) {
      const job = jobs.get(op.case);
      if (job) jobs.set(op.case, fold(job, op));
    }
    return {
      jobs: [...jobs.values()],
      outbox: ops,
      sent: sent.sort((a, b) => b.op.n - a.op.n),
      shots: await photosOf(),
      problem: /** @type {Problem} */ (known["problem"] ?? ""),
      updated: /** @type {number | null} */ (known["updated"] ?? null),
      empty: owner === undefined,
    };
  }

  /** A result was read. @param {string} id */
  async function dismiss(id) {
    const entry = await store.get("outbox", "sent", id);
    if (entry) await store.write("outbox", [["put", "sent", id, { ...entry, seen: true }]]);
  }

  /** When to try again, in ms since 1970; null where there is nothing to send. */
  async function due() {
    const ops = await mine("ops");
    if (!ops.length) return null;
    const first = Math.min(...starts(ops));
    const next = Math.max((await store.get("outbox", "kv", "next_try")) ?? 0, resting);
    return Math.max(first, soon(next, DAY_MS));
  }

  /** Sends what may go and takes in what changed. Never throws; what went wrong stands in view().problem. */
  function sync() {
    going ??= rounds().finally(() => {
      going = null;
    });
    return going;
  }

  async function rounds() {
    /** @type {Map<string, number>} */
    const tried = new Map();
    try {
      for (let i = 0; i < ROUNDS && (await round(tried)); i++);
      const waiting = (await mine("ops")).some((entry) => entry.result);
      resting = waiting ? clock() + 60_000 : 0;
      await remember({ problem: "", fails: 0, next_try: resting });
    } catch (fault) {
      if (!(fault instanceof Stopped)) console.error(fault);
      await failed(fault instanceof Stopped ? fault : new Stopped("server")).catch((full) => console.error(full));
    }
  }

  /** One exchange; true where another is worth it.
   * @param {Map<string, number>} tried */
  async function round(tried) {
    const device = await deviceId();
    const all = await mine("ops");
    const at = starts(all);
    const ready = all.filter(
      (entry, i) => (at[i] ?? 0) <= clock() && !entry.too_large && (tried.get(entry.op.id) ?? 0) < 2,
    );
    const blocked = await sendPhotos(ready);
    const batched = fitting(ready.filter((entry) => !blocked.has(entry.op.id)));
    const mirror = Object.fromEntries(await store.all("mirror", "kv"));
    const known = mirror["user"] === user ? mirror : {};
    // The mirror may be another's by now, or gone. What work of ours the city has taken is known without it.
    const heard = known["cursors"] && Object.keys(known["cursors"]).length ? known : await acknowledged();
    const nonce = random.id();
    const asked = {
      protocol: PROTOCOL,
      nonce,
      epoch: heard["epoch"] ?? "",
      device,
      release,
      device_time: new Date(clock()).toISOString(),
      cursors: heard["cursors"] ?? {},
      limit: 250,
      waiting: {
        ops: all.length,
        photos: (await photosOf()).filter((shot) => shot.op && !shot.uploaded).length,
        oldest: all[0] ? Math.floor(Date.parse(all[0].op.device_time) / 1000) : null,
      },
      ops: batched.map((entry) => entry.op),
    };
    const reply = await reached(net.exchange(asked));
    if (reply.status === 413) return halved(batched);
    const answer = sound(reply, nonce);
    if (answer.auth === "login") {
      await signIn();
      if (tried.has("login")) throw new Stopped("login");
      tried.set("login", 1);
      return true;
    }
    await takeResults(answer, batched, asked.epoch, asked.cursors, tried);
    await takeChanges(answer, known);
    await remember({ updated: clock(), problem: "", fails: 0, next_try: 0 });
    const more = Object.values(answer.changes).some((/** @type {any} */ news) => news.more);
    return more || batched.length < ready.length - blocked.size || answer.want.length > 0;
  }

  /**
   * A result takes its operation out of the outbox in the transaction that stores the result, and nothing
   * else ever does.
   * @param {any} answer @param {Entry[]} batched @param {string} epoch
   * @param {Record<string, number>} cursors @param {Map<string, number>} tried
   */
  async function takeResults(answer, batched, epoch, cursors, tried) {
    // The log may have grown no further than this when it took our work.
    const news = Object.values(answer.changes).map((/** @type {any} */ each) => each.to);
    const upto = Math.max(0, ...Object.values(cursors), ...news);
    /** @type {Change[]} */
    const changes = [];
    for (const result of /** @type {Result[]} */ (answer.results)) {
      const entry = batched.find(({ op }) => op.id === result.id);
      if (!entry) continue;
      if (NOT_YET.includes(result.result)) {
        tried.set(result.id, (tried.get(result.id) ?? 0) + 1);
        changes.push(["put", "ops", result.id, { ...entry, result }]);
      } else {
        const seen = result.result === "applied" && !result.why;
        changes.push(["del", "ops", result.id]);
        changes.push(["put", "sent", result.id, { ...entry, result, at: clock(), upto, seen }]);
      }
    }
    const shots = await photosOf();
    for (const shot of shots) {
      if (answer.want.includes(shot.id)) changes.push(["put", "photos", shot.id, { ...shot, uploaded: false }]);
    }
    const sent = await mine("sent");
    if (epoch && answer.reset.length) {
      // The city's memory went back: what it may have forgotten is sent again. A replay changes nothing.
      for (const entry of sent.filter(({ upto }) => (upto ?? 0) >= answer.safe)) {
        const { result: _result, ...again } = entry;
        changes.push(["del", "sent", entry.op.id], ["put", "ops", entry.op.id, again]);
      }
    } else {
      for (const entry of sent.filter((e) => e.seen && e.upto !== undefined && e.upto < answer.safe)) {
        changes.push(["del", "sent", entry.op.id]);
        changes.push(...shots.filter((shot) => shot.op === entry.op.id).flatMap(bytesGone));
      }
    }
    // Whoever may not read the city's news is not told either that its memory went back.
    if (answer.auth === "ok") changes.push(["put", "kv", `heard:${user}`, { epoch: answer.epoch, upto }]);
    if (changes.length) await store.write("outbox", changes);
  }

  /** How far the log went when it last took our work, in the words of an exchange. */
  async function acknowledged() {
    const heard = await store.get("outbox", "kv", `heard:${user}`);
    return heard ? { epoch: heard.epoch, cursors: { heard: heard.upto } } : {};
  }

  /**
   * News, cursors and epoch in one transaction; what is in no scope of ours any more is wiped.
   * @param {any} answer @param {any} known
   */
  async function takeChanges(answer, known) {
    const rows = await store.all("mirror", "jobs");
    const lost = (/** @type {string} */ scope) =>
      known["user"] !== user || !answer.scopes.includes(scope) || answer.reset.includes(scope);
    const gone = rows.filter(([, row]) => lost(row.scope));
    /** @type {Change[]} */
    const changes = gone.map(([key]) => ["del", "jobs", key]);
    /** @type {Record<string, number>} */
    const cursors = {};
    for (const scope of answer.scopes) {
      const cursor = known["cursors"]?.[scope];
      if (cursor !== undefined && !answer.reset.includes(scope)) cursors[scope] = cursor;
    }
    for (const [scope, news] of Object.entries(/** @type {Record<string, any>} */ (answer.changes))) {
      for (const job of news.set) changes.push(["put", "jobs", `${scope}|${job.ref}`, { scope, job }]);
      for (const { ref } of news.gone) changes.push(["del", "jobs", `${scope}|${ref}`]);
      cursors[scope] = news.to;
    }
    changes.push(["put", "kv", "cursors", cursors]);
    if (answer.auth === "ok") changes.push(["put", "kv", "epoch", answer.epoch]);
    changes.push(["put", "kv", "user", user]);
    await store.write("mirror", changes);
  }

  /**
   * Photos go before the operations that have them. Returns the operations whose photo the city refused:
   * they wait for the crew's word, and hold up no other.
   * @param {Entry[]} ready
   */
  async function sendPhotos(ready) {
    /** @type {Set<string>} */
    const blocked = new Set();
    const shots = await photosOf();
    for (const entry of ready) {
      for (const shot of shots.filter(({ op }) => op === entry.op.id)) {
        if (!shot.uploaded && !shot.refused) await sendPhoto(shot);
        if (shot.refused) blocked.add(entry.op.id);
      }
    }
    return blocked;
  }

  /** @param {Shot} shot */
  async function sendPhoto(shot) {
    let offset = 0;
    for (let i = 0; i < shot.pieces + 3 && !shot.uploaded && !shot.refused; i++) {
      const index = Math.floor(offset / PIECE);
      /** @type {ArrayBuffer | undefined} */
      const piece = await store.get("outbox", "chunks", chunkKey(shot.id, index));
      if (!piece) throw new Stopped("server");
      const reply = await reached(net.piece(shot, offset, piece.slice(offset - index * PIECE)));
      if (reply.status === 401) await signIn();
      else if (reply.status === 409) offset = reply.offset;
      else if (reply.status === 422 && reply.fault && reply.fault !== "digest") shot.refused = reply.fault;
      else if (reply.status === 413 && reply.fault === "too_large") shot.refused = "too_large";
      else if (reply.status === 422) offset = 0;
      else if (reply.status !== 200) throw new Stopped(reply.status >= 500 ? "server" : "portal");
      else if (reply.complete) shot.uploaded = true;
      else offset = reply.offset;
    }
    if (!shot.uploaded && !shot.refused) throw new Stopped("server");
    await store.write("outbox", [["put", "photos", shot.id, shot]]);
  }

  async function deviceId() {
    const known = await store.get("outbox", "kv", `device:${user}`);
    return known ?? signIn();
  }

  /** This phone's name for this user; where somebody else has logged in, the phone is theirs from now on.
   * @returns {Promise<string>} */
  async function signIn() {
    const { device, who } = await introduce({ store, net });
    if (who.person !== user) throw new Stopped("switched");
    return device;
  }

  /** The answer, if the city itself gave it to this very request. @param {Reply} reply @param {string} nonce */
  function sound(reply, nonce) {
    if (reply.status === 401) throw new Stopped("login");
    if (reply.status === 429 || reply.status === 503) throw new Stopped("busy", reply.retryAfter);
    if (reply.status >= 500) throw new Stopped("server", reply.retryAfter);
    const answer = reply.json;
    const ours = reply.status === 200 && answer?.protocol === PROTOCOL && answer.nonce === nonce;
    const whole = ours && Array.isArray(answer.results) && Array.isArray(answer.want) && answer.changes;
    if (!whole || !Array.isArray(answer.scopes) || !Array.isArray(answer.reset)) throw new Stopped("portal");
    return answer;
  }

  /** @param {Entry[]} batched */
  async function halved(batched) {
    const only = batched[0];
    if (batched.length > 1) batch = Math.ceil(batched.length / 2);
    // One that is small was refused by something between us and the city, and may pass elsewhere.
    else if (!only || JSON.stringify(only.op).length <= LARGEST) throw new Stopped("portal");
    else await store.write("outbox", [["put", "ops", only.op.id, { ...only, too_large: true }]]);
    return true;
  }

  /** @param {Entry[]} ready */
  function fitting(ready) {
    const chosen = [];
    let bytes = 0;
    for (const entry of ready.slice(0, batch)) {
      bytes += JSON.stringify(entry.op).length;
      if (chosen.length && bytes > BATCH_BYTES) break;
      chosen.push(entry);
    }
    return chosen;
  }

  /** Later and later, at a random moment: a fleet that comes back at once must not arrive at once.
   * @param {Stopped} stopped */
  async function failed({ problem, retryAfter }) {
    const fails = ((await store.get("outbox", "kv", "fails")) ?? 0) + 1;
    const cap = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(fails, 10));
    const delay = Math.max(1_000 + random.fraction() * cap, (retryAfter ?? 0) * 1_000);
    resting = clock() + delay;
    await remember({ problem, fails, next_try: resting });
  }

  /**
   * When each operation may go: never before what was done earlier on its case, which may yet be undone.
   * @param {Entry[]} ops in order
   */
  function starts(ops) {
    /** @type {Map<string, number>} */
    const latest = new Map();
    return ops.map((entry) => {
      const at = Math.max(goes(entry), latest.get(entry.op.case) ?? 0);
      latest.set(entry.op.case, at);
      return at;
    });
  }

  /** When an operation by itself may go. @param {Entry} entry */
  const goes = (entry) => soon(entry.not_before, UNDO_MS);

  /**
   * A moment that was written down as at most so many ms away. One that is further was written by a clock
   * that ran years ahead and has been put right since: nothing may wait for it.
   * @param {number} at @param {number} most
   */
  const soon = (at, most) => (at - clock() > most ? 0 : at);

  /** @param {Record<string, unknown>} values */
  async function remember(values) {
    const rows = Object.entries(values);
    await store.write("outbox", rows.map(([key, value]) => /** @type {Change} */ (["put", "kv", key, value])));
  }

  /**
   * The operation that the next one on this case follows. One that the city takes only once its author may
   * act again is none: new work under a new job must not wait for it.
   * @param {string} ref
   */
  async function last(ref) {
    const told = [...(await mine("ops")), ...(await mine("sent"))].filter(
      ({ op, result }) => op.case === ref && result?.why !== "author",
    );
    return told.sort((a, b) => b.op.n - a.op.n)[0]?.op.id ?? null;
  }

  /** What this user did, in order; another's is neither shown nor sent.
   * @param {"ops" | "sent"} name @returns {Promise<Entry[]>} */
  async function mine(name) {
    const rows = (await store.all("outbox", name)).map(([, entry]) => /** @type {Entry} */ (entry));
    return rows.filter((entry) => entry.user === user).sort((a, b) => a.op.n - b.op.n);
  }

  /** @returns {Promise<Shot[]>} */
  async function photosOf() {
    const rows = await store.all("outbox", "photos");
    return rows.map(([, shot]) => shot).filter((shot) => shot.user === user);
  }

  /** @param {string} ref */
  const draftKey = (ref) => `${user}:${ref}`;

  return { add, undo, keepPhoto, dropPhoto, bytesOf, keepDraft, draftOf, view, dismiss, due, sync };
}

/** @typedef {ReturnType<typeof createEngine>} Engine */

/** @template T @param {Promise<T>} request @returns {Promise<T>} */
async function reached(request) {
  try {
    return await request;
  } catch {
    throw new Stopped("offline");
  }
}

/** @param {string} id @param {number} index */
function chunkKey(id, index) {
  return `${id}:${String(index).padStart(4, "0")}`;
}

/** @param {Shot} shot @returns {Change[]} */
function bytesGone(shot) {
  /** @type {Change[]} */
  const changes = [["del", "photos", shot.id]];
  for (let i = 0; i < shot.pieces; i++) changes.push(["del", "chunks", chunkKey(shot.id, i)]);
  return changes;
}
