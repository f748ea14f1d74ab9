// The outbox: what was done on this phone, kept until the city has answered for each thing by name. It is keyed
// by user: another neither sees nor sends it.

import { Late } from "../lib/timeout.js";
import { firm, isFull } from "./storage_reserve.js";
import { soon, UNDO_MS, Undone, WITHDRAW_MS } from "./protocol.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Job} Job
 * @typedef {import("./engine.js").Op} Op
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {import("./engine.js").Result} Result
 * @typedef {import("./engine.js").Draft} Draft
 * @typedef {import("./engine.js").Label} Label
 * @typedef {import("./engine.js").Change} Change
 * @typedef {ReturnType<typeof createOutbox>} Outbox
 */

const TRIES = 3;
const WAITS = 3; // rounds
const MOVES = ["close", "make_safe", "needs_parts"];
// What became of a report's name that stands in neither `ops` nor `sent`: it is free again, or the city knows it.
const FREE = "free";
const TAKEN = "taken";

/** @param {Parts} parts @param {import("./photo_uploads.js").Pictures} pictures */
export function createOutbox({ store, clock, random, user }, pictures) {
  /** What this page has let go, and whether the disk knows. @type {Map<string, boolean>} */
  const gone = new Map();
  let waited = 0;

  /**
   * Keeps an intention. When this returns, it is on the disk and was read back. Throws Undone for work on a report that
   * was undone meanwhile.
   * @param {string} t
   * @param {Job} job
   * @param {Record<string, unknown>} data
   * @param {{ photos?: Shot[], undo?: number, accuracy?: number | null, draft?: Draft, draftOf?: string }} [more]
   * @returns {Promise<Entry>}
   */
  async function add(t, job, data, more = {}) {
    const { ref, assignment = null, state, wait } = job;
    const own = { case: ref, assignment, cycle: job.own ? null : job.cycle, base: job.own ? null : job.version };
    const label = { title: job.title, address: job.address ?? "" };
    return /** @type {Promise<Entry>} */ (keep(t, own, data, label, { ...more, before: { state, wait } }));
  }

  /**
   * A problem that the crew met. What is done about it before the city has given it a number names this
   * operation's id as its case.
   * @param {Record<string, unknown>} data service, words, lat, lon, accuracy, address, asset
   * @param {Label} label
   * @param {{ photos?: Shot[], undo?: number, draft?: Draft, draftOf?: string, id?: string }} [more] `id` where it is
   *   chosen already; where another report was kept under it, this one gets another
   */
  async function report(data, label, more = {}) {
    const own = { case: "", assignment: null, cycle: null, base: null };
    return /** @type {Promise<Entry>} */ (keep("report", own, data, label, more));
  }

  /**
   * @param {string} t
   * @param {Pick<Op, "case" | "assignment" | "cycle" | "base">} own `case` "" for one that this very work opens
   * @param {Record<string, unknown>} data
   * @param {Label} label
   * @param {{ photos?: Shot[], undo?: number, accuracy?: number | null, draft?: Draft, draftOf?: string,
   *   before?: import("./engine.js").Before, id?: string, back?: string }} more `back` what is taken back with it
   * @returns {Promise<Entry | null>} null where another hand has taken that back meanwhile
   */
  async function keep(t, own, data, label, more) {
    const { undo = 0, accuracy = null, draft, draftOf, before, back } = more;
    let { id = random.id() } = more;
    let photos = [...(more.photos ?? [])]; // those of now: the form may get another while the disk is read
    const now = clock();
    const ref = own.case || id;
    const ops = await mine("ops"); // before `sent`: another tab moves them there, and one seen in neither is lost to `prev`
    const sent = await mine("sent");
    /** @type {Op} */
    const op = {
      id, n: 0, t, v: 1, ...own, case: ref, prev: null, device_time: new Date(now).toISOString(), accuracy,
      data, photos: declared(photos),
    };
    /** @type {Entry} */
    const entry = {
      user, op, not_before: now + undo, label, ...(draft ? { draft } : {}), ...(draftOf ? { draftOf } : {}),
      ...(before ? { before } : {}),
    };
    const earlier = done(ref, [...ops, ...sent]);
    const used = draftOf ? [draftOf] : draft ? refsOf(ref, sent) : []; // what no form saved leaves what was begun
    let isLate = false;
    let renamed = "";
    await firm(store, async (get, all) => {
      isLate = Boolean(back) && !(await stands(String(back), get, all));
      if (isLate) return [];
      const drafts = used.map((each) => /** @type {Change} */ (["del", "drafts", draftKey(each)]));
      const isOnReport = own.case && own.cycle === null;
      const name = isOnReport || more.id ? await get("drafts", nameKey(ref)) : undefined;
      if (isOnReport && name === FREE) throw new Undone();
      const kept = more.id && ((await get("ops", more.id)) ?? (await get("sent", more.id)));
      if (kept && alike(kept.op, op)) return drafts; // another tab kept the same form
      // The same form with other words, kept under a name of its own: that one has gone with what it said, and with
      // its photos. The city takes no photo for two cases.
      const isNew = kept || (more.id && name === TAKEN);
      if (isNew) op.id = op.case = id = renamed ||= random.id();
      if (isNew) op.photos = declared((photos = await unclaimed(photos, get)));
      if (isNew && draft) entry.draft = { ...draft, id }; // what is taken back goes on under this name
      op.prev = own.case ? await newest(get, earlier) : null;
      return [
        ["put", "kv", "n", (op.n = ((await get("kv", "n")) ?? 0) + 1)], // in the write itself: another tab counts too
        ["put", "ops", id, entry],
        ...drafts,
        .../** @type {Change[]} */ (name === FREE ? [["del", "drafts", nameKey(ref)]] : []),
        .../** @type {Change[]} */ (back ? [["del", "drafts", undoKey(back)]] : []), // the city is asked by now
        .../** @type {Change[]} */ (undo ? [["put", "drafts", undoKey(id), undo]] : []),
        .../** @type {Change[]} */ (photos.map((shot) => ["put", "photos", shot.id, { ...shot, op: id }])),
      ];
    });
    if (isLate) return null;
    const read = async () => (await store.get("outbox", "ops", id)) ?? (await store.get("outbox", "sent", id));
    const there = await read().catch(read); // a disk that the browser took away is opened anew
    if (!there) throw new Error("not kept");
    return there;
  }

  /**
   * Takes an intention back that has not been sent; false where it is too late. A report goes with the start of the
   * work on it, and stays where more was done: that would have no case any more.
   * @param {string} id
   */
  async function undo(id) {
    let undone = false;
    await firm(store, async (get, all) => {
      undone = false;
      /** @type {Entry[]} */
      const ops = (await all("ops")).filter((each) => each.user === user);
      const entry = ops.find(({ op }) => op.id === id);
      if (!entry || gone.has(id) || !(await get("drafts", undoKey(id))) || clock() >= readyAt(entry)) return [];
      const own = entry.op.t === "report" ? ops.filter(({ op }) => op.case === id && op.id !== id) : [];
      if (own.some(({ op }) => op.t !== "start")) return [];
      // What was done after it on that case waits for it no longer: it has not been sent either.
      const after = ops.filter((next) => next.op.prev === id && !own.includes(next));
      /** @type {Shot[]} */
      const shots = (await all("photos")).filter((shot) => shot.op === id);
      /** @type {Entry[]} */
      const others = [...ops, ...(await all("sent"))].filter((each) => each !== entry && !own.includes(each));
      undone = true;
      return [
        ["del", "ops", id],
        ["del", "drafts", undoKey(id)],
        .../** @type {Change[]} */ (entry.op.t === "report" ? [["put", "drafts", nameKey(id), FREE]] : []),
        .../** @type {Change[]} */ (own.map(({ op }) => ["del", "ops", op.id])),
        .../** @type {Change[]} */ (own.map(({ op }) => ["del", "drafts", undoKey(op.id)])),
        .../** @type {Change[]} */ (
          after.map((next) => ["put", "ops", next.op.id, { ...next, op: { ...next.op, prev: entry.op.prev } }])
        ),
        .../** @type {Change[]} */ (
          entry.draft ? [["put", "drafts", draftKey(entry.draftOf ?? entry.op.case), entry.draft]] : []
        ),
        .../** @type {Change[]} */ (
          shots.map((shot) => ["put", "photos", shot.id, { ...shot, op: heir(shot, others) }])
        ),
      ];
    });
    return undone;
  }

  /**
   * Takes Undo away from what is about to go: the city may have it then, and a clock that is set back must not bring
   * Undo back. To delete needs no room. A disk that refuses even so is asked again, for it may have been opened anew by
   * then; one that calls itself full is waited for some rounds. After those, and where it takes nothing at all, work
   * goes, and this page alone knows. Returns it as it is now, without what another tab has taken back meanwhile.
   * @param {Entry[]} entries @param {boolean} [mayWait] whether they can go another time; throws where they should
   */
  async function leaving(entries, mayWait = true) {
    const open = entries.filter(({ op, not_before }) => !gone.get(op.id) && not_before > Date.parse(op.device_time));
    if (!open.length) return entries;
    let there = entries;
    let isNoted = false;
    for (let tries = TRIES; tries && !isNoted; tries--) {
      try {
        await firm(store, async (get) => {
          there = await still(entries, get);
          return open.map(({ op }) => ["del", "drafts", undoKey(op.id)]);
        });
        isNoted = true;
      } catch (fault) {
        if (tries > 1 && !(fault instanceof Late)) continue;
        if (mayWait && isFull(fault) && waited++ < WAITS) throw fault;
        console.error(fault);
        there = await still(entries, (name, key) => store.get("outbox", name, key)).catch(() => entries);
        break;
      }
    }
    if (isNoted) waited = 0;
    for (const { op } of there) if (!gone.get(op.id)) gone.set(op.id, isNoted);
    return there;
  }

  /** Whether the crew may still take back what it sent. @param {Entry} entry @param {Entry[]} all */
  function mayWithdraw({ op, result, at }, all) {
    const fresh = clock() - (at ?? Date.parse(op.device_time)) < WITHDRAW_MS;
    const stands = at === undefined || ["applied", "deposited"].includes(result?.result ?? "");
    return MOVES.includes(op.t) && fresh && stands && !all.some((each) => each.op.data["op"] === op.id);
  }

  /**
   * Takes back what has been sent or may have been: the city is asked to. Null where that is too late.
   * @param {string} id
   */
  async function withdraw(id) {
    const all = [...(await mine("ops")), ...(await mine("sent"))];
    const entry = all.find(({ op }) => op.id === id);
    if (!entry || !mayWithdraw(entry, all)) return null;
    const { case: ref, assignment, cycle, base } = entry.op;
    const own = { case: ref, assignment, cycle, base };
    return keep("withdraw", own, { op: id }, entry.label, { ...before(entry), back: id });
  }

  /** @param {string} ref @param {Draft} draft */
  async function keepDraft(ref, draft) {
    await firm(store, [["put", "drafts", draftKey(ref), draft]]);
  }

  /** What was begun for a job and not saved yet.
   * @param {string} ref @returns {Promise<{ draft: Draft | null, shots: Shot[] }>} */
  async function draftOf(ref) {
    const refs = refsOf(ref, await mine("sent"));
    const drafts = await Promise.all(refs.map((each) => store.get("outbox", "drafts", draftKey(each))));
    const shots = (await pictures.mine()).filter((shot) => refs.includes(shot.case) && shot.op === null);
    return { draft: drafts.find(Boolean) ?? null, shots: shots.sort((a, b) => a.at - b.at) };
  }

  /** What has a draft. @returns {Promise<string[]>} */
  async function drafts() {
    const own = draftKey("");
    return (await store.all("outbox", "drafts", own)).map(([key]) => key.slice(own.length));
  }

  /** A case's number, and the ids of the reports made here by which it was known before.
   * @param {string} ref @param {Entry[]} sent */
  function refsOf(ref, sent) {
    const told = sent.filter(({ op, result }) => op.t === "report" && result?.to === ref);
    return [ref, ...told.map(({ op }) => op.id)];
  }

  /**
   * A result was read. What came since it was shown, of it or of its photos, is still to be read.
   * @param {Entry} shown @param {Shot[]} shots as they were shown with it
   */
  async function dismiss({ op, result }, shots) {
    const refused = new Set(shots.filter((shot) => shot.refused).map(({ id }) => id));
    await firm(store, async (get) => {
      /** @type {Entry | undefined} */
      const entry = await get("sent", op.id);
      /** @type {(Shot | undefined)[]} */
      const own = await Promise.all(op.photos.map(({ id }) => get("photos", id)));
      const isNew = own.some((shot) => shot?.refused && !refused.has(shot.id));
      if (!entry || isNew || !same(entry.result, result)) return [];
      return [["put", "sent", op.id, { ...entry, seen: true }]];
    });
  }

  /**
   * When each operation may go: never before what was done earlier on its case, which may yet be undone.
   * @param {Entry[]} ops in order
   */
  function starts(ops) {
    /** @type {Map<string, number>} */
    const latest = new Map();
    return ops.map((entry) => {
      const at = Math.max(readyAt(entry), latest.get(entry.op.case) ?? 0);
      latest.set(entry.op.case, at);
      return at;
    });
  }

  /** When an operation by itself may go. @param {Entry} entry */
  const readyAt = ({ not_before }) => soon(not_before, UNDO_MS, clock());

  /**
   * What the next operation on this case may follow, the newest first. One that the city takes only once its author may
   * act again is none: new work under a new job must not wait for it.
   * @param {string} ref @param {Entry[]} all
   */
  function done(ref, all) {
    const told = all.filter(
      ({ op, result }) => (op.case === ref || result?.to === ref) && result?.why !== "author",
    );
    return told.sort((a, b) => b.op.n - a.op.n).map(({ op }) => op.id);
  }

  /**
   * Whether it is there, and nobody has asked the city yet to take it back.
   * @param {string} id @param {(store: string, key: string) => Promise<any>} get
   * @param {(store: string) => Promise<any[]>} all
   */
  async function stands(id, get, all) {
    const asked = [...(await all("ops")), ...(await all("sent"))].some(({ op }) => op.data["op"] === id);
    return !asked && (await newest(get, [id])) !== null;
  }

  /** As they are now, without those that are gone.
   * @param {Entry[]} entries @param {(store: string, key: string) => Promise<any>} get @returns {Promise<Entry[]>} */
  async function still(entries, get) {
    return (await Promise.all(entries.map(({ op }) => get("ops", op.id)))).filter(Boolean);
  }

  /**
   * The newest that still stands: another hand may just have taken one back.
   * @param {(store: string, key: string) => Promise<any>} get @param {string[]} ids @returns {Promise<string | null>}
   */
  async function newest(get, ids) {
    for (const id of ids) if ((await get("ops", id)) ?? (await get("sent", id))) return id;
    return null;
  }

  /** What this user did, in order.
   * @param {"ops" | "sent"} name @returns {Promise<Entry[]>} */
  async function mine(name) {
    const rows = (await store.all("outbox", name)).map(([, entry]) => /** @type {Entry} */ (entry));
    return rows.filter((entry) => entry.user === user).sort((a, b) => a.op.n - b.op.n);
  }

  /**
   * All work of this user that the city may not have, to carry to it as a file: operations as they would be
   * sent, and photos with their bytes. What is in a file can be undone no more than what was sent.
   */
  async function saved() {
    const ops = [...(await leaving(await mine("ops"), false)), ...(await mine("sent"))].map(({ op }) => op);
    const shots = (await pictures.mine()).filter((shot) => shot.op);
    const photos = [];
    for (const shot of shots) photos.push({ ...shot, data: await pictures.bytesOf(shot) });
    return { ops: ops.sort((a, b) => a.n - b.n), photos, device: await store.get("outbox", "kv", `device:${user}`) };
  }

  /** @param {string} ref */
  const draftKey = (ref) => `${user}:${ref}`;

  return {
    add, report, undo, withdraw, mayWithdraw, keepDraft, draftOf, drafts, dismiss, starts, leaving, mine, saved,
  };
}

/** What a report leaves that goes for good: the city knows its name, and no other must bear that.
 * @param {Op} op @returns {Change[]} */
export function nameTaken({ t, id }) {
  return t === "report" ? [["put", "drafts", nameKey(id), TAKEN]] : [];
}

/** The row beside the drafts that says so. @param {string} id */
const nameKey = (id) => `name:${id}`;

/** The row beside the drafts that lies there as long as this may be undone. @param {string} id */
export function undoKey(id) {
  return `undo:${id}`;
}

/** Whether they say the same of the work. @param {Result | undefined} a @param {Result | undefined} b */
export function same(a, b) {
  return a?.result === b?.result && (a?.why ?? "") === (b?.why ?? "");
}

/** As the city is told of them. @param {Shot[]} photos */
function declared(photos) {
  return photos.map(({ id, sha256, bytes, type }) => ({ id, sha256, bytes, type }));
}

/** Those that are kept here and belong to no work yet.
 * @param {Shot[]} photos @param {(store: string, key: string) => Promise<any>} get @returns {Promise<Shot[]>} */
async function unclaimed(photos, get) {
  const rows = await Promise.all(photos.map(({ id }) => get("photos", id)));
  return photos.filter((_, i) => rows[i]?.op === null);
}

/** What else waits for this photo: one form that two tabs saved names it twice.
 * @param {Shot} shot @param {Entry[]} others */
function heir(shot, others) {
  return others.find(({ op }) => op.photos.some(({ id }) => id === shot.id))?.op.id ?? null;
}

/** Whether what is kept says the same, and has every photo that this one has. @param {Op} kept @param {Op} op */
function alike(kept, op) {
  const known = new Set(kept.photos.map(({ id }) => id));
  return JSON.stringify(kept.data) === JSON.stringify(op.data) && op.photos.every(({ id }) => known.has(id));
}

/** @param {Entry} entry */
function before({ before }) {
  return before ? { before } : {};
}
