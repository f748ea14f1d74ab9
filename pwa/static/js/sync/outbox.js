// The outbox: what was done on this phone, kept until the city has answered for each thing by name. Each operation
// bears its user: another neither sees nor sends it.

import { draftOf, drafts, dropDraft, keepDraft, refsOf } from "./drafts.js";
import { draftKey, FREE, mine, nameKey, newest, same, starts, TAKEN, undoKey } from "./outbox_rows.js";
import { firm } from "./storage_reserve.js";
import { Undone, WITHDRAW_MS } from "./protocol.js";
import { leaving, undo } from "./undo.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Job} Job
 * @typedef {import("./engine.js").Op} Op
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {import("./engine.js").Draft} Draft
 * @typedef {import("./engine.js").Label} Label
 * @typedef {import("./engine.js").Change} Change
 * @typedef {import("./outbox_rows.js").Box} Box
 * @typedef {ReturnType<typeof createOutbox>} Outbox
 */

const MOVES = ["close", "make_safe", "needs_parts"];
/** What says only that something is wrong: the job stays as it is. */
const PROPOSES = "propose";

/** @param {Parts} parts @param {import("./photo_uploads.js").Pictures} pictures */
export function createOutbox({ store, clock, random, user }, pictures) {
  /** @type {Box} */
  const box = { store, clock, random, user, pictures, gone: new Map(), waited: 0 };
  return {
    add: add.bind(null, box),
    report: report.bind(null, box),
    undo: undo.bind(null, box),
    withdraw: withdraw.bind(null, box),
    mayWithdraw: mayWithdraw.bind(null, box),
    keepDraft: keepDraft.bind(null, box),
    draftOf: draftOf.bind(null, box),
    dropDraft: dropDraft.bind(null, box),
    drafts: drafts.bind(null, box),
    dismiss: dismiss.bind(null, box),
    starts: starts.bind(null, box),
    leaving: leaving.bind(null, box),
    mine: mine.bind(null, box),
    saved: saved.bind(null, box),
  };
}

/**
 * Keeps an intention. When this returns, it is on the disk and was read back. Throws Undone for work on a report that
 * was undone meanwhile.
 * @param {Box} box
 * @param {string} t
 * @param {Job} job
 * @param {Record<string, unknown>} data
 * @param {{ photos?: Shot[], undo?: number, accuracy?: number | null, draft?: Draft, draftOf?: string }} [more]
 * @returns {Promise<Entry>}
 */
async function add(box, t, job, data, more = {}) {
  const { ref, assignment = null, state, wait } = job;
  const own = { case: ref, assignment, cycle: job.own ? null : job.cycle, base: job.own ? null : job.version };
  const label = { title: job.title, address: job.address ?? "" };
  return /** @type {Promise<Entry>} */ (keep(box, t, own, data, label, { ...more, ...(t === PROPOSES ? {} : { before: { state, wait } }) }));
}

/**
 * A problem that the crew met. What is done about it before the city has given it a number names this
 * operation's id as its case.
 * @param {Box} box
 * @param {Record<string, unknown>} data service, words, lat, lon, accuracy, address, asset
 * @param {Label} label
 * @param {{ photos?: Shot[], undo?: number, draft?: Draft, draftOf?: string, id?: string }} [more] `id` where it is
 *   chosen already; where another report was kept under it, this one gets another
 */
async function report(box, data, label, more = {}) {
  const own = { case: "", assignment: null, cycle: null, base: null };
  return /** @type {Promise<Entry>} */ (keep(box, "report", own, data, label, more));
}

/**
 * @param {Box} box
 * @param {string} t
 * @param {Pick<Op, "case" | "assignment" | "cycle" | "base">} own `case` "" for one that this very work opens
 * @param {Record<string, unknown>} data
 * @param {Label} label
 * @param {{ photos?: Shot[], undo?: number, accuracy?: number | null, draft?: Draft, draftOf?: string,
 *   before?: import("./engine.js").Before, id?: string, back?: string }} more `back` what is taken back with it
 * @returns {Promise<Entry | null>} null where another hand has taken that back meanwhile
 */
async function keep(box, t, own, data, label, more) {
  const { store, clock, random, user } = box;
  const { undo = 0, accuracy = null, draft, draftOf, before, back } = more;
  let { id = random.id() } = more;
  let photos = [...(more.photos ?? [])]; // those of now: the form may get another while the disk is read
  const now = clock();
  const ref = own.case || id;
  // Before `sent`: another tab moves them there, and one seen in neither is lost to `prev`.
  const ops = await mine(box, "ops");
  const sent = await mine(box, "sent");
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
    const drafts = used.map((each) => /** @type {Change} */ (["del", "drafts", draftKey(box, each)]));
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

/** Whether the crew may still take back what it sent. @param {Box} box @param {Entry} entry @param {Entry[]} all */
function mayWithdraw(box, { op, result, at }, all) {
  const { clock } = box;
  const fresh = clock() - (at ?? Date.parse(op.device_time)) < WITHDRAW_MS;
  const stands = at === undefined || ["applied", "deposited"].includes(result?.result ?? "");
  return [...MOVES, PROPOSES].includes(op.t) && fresh && stands && !all.some((each) => each.op.data["op"] === op.id);
}

/**
 * Takes back what has been sent or may have been: the city is asked to. Null where that is too late.
 * @param {Box} box
 * @param {string} id
 */
async function withdraw(box, id) {
  const all = [...(await mine(box, "ops")), ...(await mine(box, "sent"))];
  const entry = all.find(({ op }) => op.id === id);
  if (!entry || !mayWithdraw(box, entry, all)) return null;
  const { case: ref, assignment, cycle, base } = entry.op;
  const own = { case: ref, assignment, cycle, base };
  return keep(box, "withdraw", own, { op: id }, entry.label, { ...before(entry), back: id });
}

/**
 * A result was read. What came since it was shown, of it or of its photos, is still to be read.
 * @param {Box} box
 * @param {Entry} shown @param {Shot[]} shots as they were shown with it
 */
async function dismiss(box, { op, result }, shots) {
  const { store } = box;
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
 * All work of this user that the city may not have, to carry to it as a file: operations as they would be
 * sent, and photos with their bytes. What is in a file can be undone no more than what was sent.
 * @param {Box} box
 */
async function saved(box) {
  const { store, user, pictures } = box;
  const ops = [...(await leaving(box, await mine(box, "ops"), false)), ...(await mine(box, "sent"))].map(({ op }) => op);
  const shots = (await pictures.mine()).filter((shot) => shot.op);
  const photos = [];
  for (const shot of shots) photos.push({ ...shot, data: await pictures.bytesOf(shot) });
  return { ops: ops.sort((a, b) => a.n - b.n), photos, device: await store.get("outbox", "kv", `device:${user}`) };
}

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

/** Whether what is kept says the same, and has every photo that this one has. @param {Op} kept @param {Op} op */
function alike(kept, op) {
  const known = new Set(kept.photos.map(({ id }) => id));
  return JSON.stringify(kept.data) === JSON.stringify(op.data) && op.photos.every(({ id }) => known.has(id));
}

/** @param {Entry} entry */
function before({ before }) {
  return before ? { before } : {};
}
