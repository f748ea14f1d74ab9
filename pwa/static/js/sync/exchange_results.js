// What an answer of the city changes in the outbox: results take work out of it, and photos learn what became of them.

import { nameTaken, same, undoKey } from "./outbox_rows.js";
import { allGone, bytesGone } from "./photo_uploads.js";
import { firm, isFull } from "./storage_reserve.js";

/**
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Result} Result
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {import("./engine.js").Change} Change
 * @typedef {import("./exchange_round.js").Round} Round
 * @typedef {{ epoch: string, upto: number, mark?: string }} Heard how far the log went that we know of
 * @typedef {(store: string, key: string) => Promise<any>} Get reads within the write itself
 */

// With these the work is not done yet: the phone keeps it and asks again.
const NOT_YET = ["held", "retry"];
export const NEARLY_FULL = 0.8; // of the phone

/**
 * A result takes its operation out of the outbox in the transaction that stores the result. Besides it only Undo takes
 * one out, which has not been sent.
 * @param {Round} round
 * @param {any} answer @param {Entry[]} batched @param {Map<string, number>} tried
 * @param {Heard | undefined} asked what we told the city that we had heard
 */
export async function takeResults(round, answer, batched, tried, asked) {
  const { store, outbox } = round;
  const changes = [...resultsOf(round, answer, batched, tried), ...(await lateResults(round, answer))];
  const shots = [];
  for (const shot of await round.pictures.mine()) {
    const now = heardOf(shot, answer);
    if (isOther(now, shot)) changes.push(["put", "photos", shot.id, now]);
    shots.push(now);
  }
  const sent = await outbox.mine("sent");
  if (answer.back !== undefined) {
    changes.push(...sentAgain(sent, answer.back));
  } else if (answer.auth === "ok") {
    const told = new Set(changes.map(([, , key]) => key)); // just now, and not read yet
    changes.push(...(await forgotten(round, sent.filter(({ op }) => !told.has(op.id)), shots, answer.safe)));
  }
  /** @type {import("./engine.js").Decide} */
  const decide = async (get) => {
    const now = await Promise.all(changes.map((change) => current(change, get, answer)));
    return [...now.flat(), ...(await heard(round, answer, asked, get))];
  };
  if (changes.length) await firm(store, decide);
  // It is about work that it comes with: of an answer to none an older one says enough.
  else if (answer.log !== undefined) {
    await store.write("outbox", (get) => heard(round, answer, asked, get)).catch(unlessFull);
  }
}

/**
 * What the answer says of the work that was sent with it.
 * @param {Round} round @param {any} answer @param {Entry[]} batched @param {Map<string, number>} tried
 */
function resultsOf(round, answer, batched, tried) {
  /** @type {Change[]} */
  const changes = [];
  for (const result of /** @type {Result[]} */ (answer.results)) {
    const entry = batched.find(({ op }) => op.id === result.id);
    if (!entry) continue;
    if (NOT_YET.includes(result.result)) {
      tried.set(result.id, (tried.get(result.id) ?? 0) + 1);
      changes.push(["put", "ops", result.id, { ...entry, result }]);
    } else {
      changes.push(...answered(round, entry, result, answer.log));
    }
  }
  return changes;
}

/**
 * What was held or deposited is done later, and the city tells in its user's scope.
 * @param {Round} round @param {any} answer
 */
async function lateResults(round, answer) {
  const { store, user } = round;
  /** @type {Change[]} */
  const changes = [];
  const late = Object.values(answer.changes).flatMap((/** @type {any} */ each) => each.set);
  for (const { kind, ref, result, why, to } of late) {
    if (kind !== "result" || NOT_YET.includes(result)) continue;
    const entry = (await store.get("outbox", "ops", ref)) ?? (await store.get("outbox", "sent", ref));
    const told = { id: ref, result, ...(why ? { why } : {}), ...(to ? { to } : {}) };
    if (entry?.user === user && !same(entry.result, told)) changes.push(...answered(round, entry, told, answer.log));
  }
  return changes;
}

/** @param {Round} round @param {Entry} entry @param {Result} result @param {number | undefined} upto
 * @returns {Change[]} */
function answered({ clock }, entry, result, upto) {
  const { id } = entry.op;
  const seen = result.result === "applied" && !result.why;
  return [
    ["del", "ops", id],
    ["put", "sent", id, { ...entry, result, at: clock(), upto, seen }],
    ["del", "drafts", undoKey(id)], // a disk that did not take that as it left may do so now
  ];
}

/**
 * The city's memory went back: what it may have forgotten is sent again. A replay changes nothing. `safe` says nothing
 * here: it counts on from where the memory went back to, and may have passed what was lost.
 * @param {Entry[]} sent @param {number} back @returns {Change[]}
 */
function sentAgain(sent, back) {
  return sent
    .filter(({ upto }) => upto === undefined || upto >= back)
    .flatMap(({ result: _result, at: _at, ...again }) => [
      ["del", "sent", again.op.id], ["put", "ops", again.op.id, again],
    ]);
}

/**
 * How far the log went after it took our work. Where the city does not know us it says neither, and may not have looked
 * whether its memory went back. Another tab may have heard meanwhile: of one memory the most counts, of two the older,
 * so that we are told from where it went. Whoever was told that it went back holds on to nothing of the other past,
 * which may bear the same epoch.
 * @param {Round} round @param {any} answer @param {Heard | undefined} asked @param {Get} get
 * @returns {Promise<Change[]>}
 */
async function heard({ user }, { epoch, log: upto, mark, back }, asked, get) {
  if (upto === undefined) return [];
  const now = await get("kv", `heard:${user}`);
  const isOurs = now?.epoch === asked?.epoch && now?.upto === asked?.upto;
  if (now?.epoch !== epoch && !isOurs && epoch !== asked?.epoch) return [];
  const isOlder = now?.epoch === epoch && now.upto > upto && !(isOurs && back !== undefined);
  return isOlder ? [] : [["put", "kv", `heard:${user}`, { epoch, upto, ...(mark ? { mark } : {}) }]];
}

/**
 * A change as it is right in the write itself, where another tab may have been meanwhile. A photo may have become
 * another's, or be gone. An answer that says nothing but that it was done need not be read, unless the city could not
 * read one of its photos.
 * @param {Change} change @param {Get} get @param {any} answer
 * @returns {Promise<Change[]>}
 */
async function current(change, get, answer) {
  const [what, name, key] = change;
  if (what === "put" && name === "photos") {
    const shot = await get("photos", key);
    return shot ? [[what, name, key, heardOf(shot, answer)]] : [];
  }
  if (what !== "put" || name !== "sent") return [change];
  const entry = /** @type {Entry} */ (change[3]);
  const shots = await Promise.all(entry.op.photos.map(({ id }) => get("photos", id)));
  return [shots.some((shot) => shot?.refused) ? [what, name, key, { ...entry, seen: false }] : change];
}

/**
 * What the city keeps safely goes. Where the phone is nearly full, the pack's photos and the bytes of photos that
 * arrived go too: never an operation, a thumbnail or a photo that has not arrived.
 * @param {Round} round @param {Entry[]} sent @param {Shot[]} shots @param {number} safe
 * @returns {Promise<Change[]>}
 */
async function forgotten({ store, fill, outbox, mirror }, sent, shots, safe) {
  /** @type {Change[]} */
  const changes = [];
  const [jobs, drafts, waiting] = await Promise.all([mirror.refs(), outbox.drafts(), outbox.mine("ops")]);
  /** Whether work goes by this id, or may: a job that was reported here is known by it as well.
   * @param {Entry} entry */
  const isUsed = ({ op: { id }, result }) =>
    jobs.has(result?.to) || drafts.includes(id) || waiting.some(({ op }) => op.case === id) ||
    shots.some((shot) => shot.case === id && shot.op !== id);
  for (const entry of sent) {
    const { op, seen, upto, result } = entry;
    const own = shots.filter((shot) => shot.op === op.id);
    // One form that two tabs saved names its photos twice.
    const named = shots.filter((shot) => shot.op === op.id || op.photos.some(({ id }) => id === shot.id));
    // What came of a photo after its operation may be missing in a backup that holds the operation.
    const whole = named.every(({ uploaded, refused, upto }) =>
      refused === "gone" || ((uploaded || refused) && (upto ?? safe) < safe),
    );
    if (!seen || !whole || result?.result === "deposited" || upto === undefined || upto >= safe) continue;
    if (op.t === "report" && isUsed(entry)) continue;
    changes.push(["del", "sent", op.id], ...nameTaken(op), ...own.flatMap(allGone));
  }
  if (fill && (await fill()) > NEARLY_FULL) {
    await mirror.lighten();
    const arrived = new Set(sent.map(({ op }) => op.id));
    const own = shots.filter((shot) => shot.uploaded && shot.thumb && arrived.has(shot.op ?? ""));
    // By itself: a browser counts what a write puts and not what it frees, and this one always fits.
    if (own.length) await store.write("outbox", own.flatMap(bytesGone));
  }
  return changes;
}

/**
 * A photo after an answer: one that is missed is sent again, and of one that arrived, or that the city could not take,
 * we know how far the log went then at most.
 * @param {Shot} shot @param {any} answer @returns {Shot}
 */
function heardOf(shot, { want, log, back }) {
  const { upto, refused, ...others } = shot;
  // The city notes which one it cannot read. It lost that where its memory went back or where it asks for that one,
  // and would miss it for ever.
  const lost = back !== undefined || (refused !== "too_large" && want.includes(shot.id));
  const rest = refused && (refused === "gone" || !lost) ? { ...others, refused } : others;
  if ((!shot.uploaded && !("refused" in rest)) || want.includes(shot.id)) return { ...rest, uploaded: false };
  const now = back === undefined ? (upto ?? log) : log;
  return now === undefined ? rest : { ...rest, upto: now };
}

/** Whether an answer told something new of it. @param {Shot} now @param {Shot} before */
function isOther(now, before) {
  return now.uploaded !== before.uploaded || now.refused !== before.refused || now.upto !== before.upto;
}

/** Throws any other fault. @param {unknown} fault */
export function unlessFull(fault) {
  if (!isFull(fault)) throw fault;
  return fault;
}
