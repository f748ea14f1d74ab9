// One exchange with the city: work goes out, results and news come in, then photos. A kill between any two steps
// is harmless.

import { nameTaken, same, undoKey } from "./outbox.js";
import { allGone, bytesGone } from "./photo_uploads.js";
import { firm, isFull, restock } from "./storage_reserve.js";
import { BATCH, BATCH_BYTES, LARGEST, PROTOCOL, reached, Stopped } from "./protocol.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Result} Result
 * @typedef {import("./engine.js").Reply} Reply
 * @typedef {import("./engine.js").Change} Change
 * @typedef {{ epoch: string, upto: number, mark?: string }} Heard
 * @typedef {{ outbox: import("./outbox.js").Outbox, pictures: import("./photo_uploads.js").Pictures,
 *   mirror: import("./mirror.js").Mirror, signIn: () => Promise<string>,
 *   remember: (values: Record<string, unknown>) => Promise<void> }} Whole
 */

// With these the work is not done yet: the phone keeps it and asks again.
const NOT_YET = ["held", "retry"];
// With these, of `retry`, the city does not know of the work at all.
const NOT_STORED = ["back", "login"];
const FULL = 0.8;

/** @param {Parts} parts @param {Whole} whole */
export function createRound(parts, { outbox, pictures, mirror, signIn, remember }) {
  const { store, net, clock, random, user, release, fill } = parts;
  let batch = BATCH;

  /** True where another round is worth it. `tried` counts how often each operation was answered "not yet"
   * in this run, and has "login" once we signed in again.
   * @param {Map<string, number>} tried @param {() => boolean} over */
  async function round(tried, over) {
    // One that is nearly full is asked for it with a photo or a pack only, which want room anyway.
    if (!fill || (await fill()) < FULL) await restock(store).catch(() => {});
    const device = (await store.get("outbox", "kv", `device:${user}`)) ?? (await signIn());
    const all = await outbox.mine("ops");
    const at = outbox.starts(all);
    const now = clock(); // for all: what follows goes no moment earlier
    const ready = all.filter(
      (entry, i) => (at[i] ?? 0) <= now && !entry.too_large && (tried.get(entry.op.id) ?? 0) < 2,
    );
    const known = await mirror.known();
    // The mirror may lag behind, be another's by now, gone, or closed to us. What work of ours the city has taken
    // is known without it, and only by that does the city see that a restore lost it.
    /** @type {Heard | undefined} */
    const heard = await store.get("outbox", "kv", `heard:${user}`);
    const unsent = (await pictures.unsent()).length;
    // The last before it goes: a disk that refuses this may then be read no more.
    const batched = await outbox.leaving(fitting(ready));
    const nonce = random.id();
    const asked = {
      protocol: PROTOCOL,
      nonce,
      epoch: known["epoch"] ?? "",
      device,
      release,
      device_time: new Date(clock()).toISOString(),
      cursors: known["cursors"] ?? {},
      ...(heard ? { heard } : {}),
      limit: 250,
      waiting: {
        ops: all.length,
        photos: unsent,
        oldest: all[0] ? Math.floor(Date.parse(all[0].op.device_time) / 1000) : null,
      },
      ...(known["packed"] ? { pack: known["packed"] } : {}),
      ops: batched.map((entry) => entry.op),
    };
    const reply = await reached(net.exchange(asked));
    if (reply.status === 413) return halved(batched);
    // A phone may bring so many reports an hour: fewer of them may pass, and all together never would.
    if (reply.status === 429 && batched.length > 1) return halved(batched);
    if (reply.status === 429) batch = BATCH;
    const answer = sound(reply, nonce);
    await takeResults(answer, batched, tried, heard);
    if (answer.auth !== "ok") return barred(answer, tried, over);
    const full = await mirror.take(answer, known).then(() => null, unlessFull);
    if (!full) await remember({ updated: clock(), problem: "", fails: 0, next_try: 0 });
    await sendPhotos(over); // when the city has them, there is room
    if (full) throw full;
    const more = Object.values(answer.changes).some((/** @type {any} */ news) => news.more);
    return more || batched.length < ready.length;
  }

  /** Nothing is told to this phone now. What it did may still be sent, photos too.
   * @param {any} answer @param {Map<string, number>} tried @param {() => boolean} over */
  async function barred({ auth, log }, tried, over) {
    if (auth === "revoked" || auth === "disabled") await mirror.wipe();
    if (auth === "login" && !tried.has("login")) {
      tried.set("login", 1);
      try {
        await signIn();
        return true;
      } catch (fault) {
        if (!(fault instanceof Stopped) || fault.problem !== "login") throw fault;
      }
    }
    await sendPhotos(over, log !== undefined); // without it the city does not know us at all
    throw new Stopped(auth === "revoked" || auth === "disabled" ? auth : "login");
  }

  /**
   * A result takes its operation out of the outbox in the transaction that stores the result, and nothing
   * else ever does.
   * @param {any} answer @param {Entry[]} batched @param {Map<string, number>} tried
   * @param {Heard | undefined} asked what we told the city that we had heard
   */
  async function takeResults(answer, batched, tried, asked) {
    /** How far the log went after it took our work. @type {number | undefined} */
    const upto = answer.log;
    /** @type {Change[]} */
    const changes = [];
    for (const result of /** @type {Result[]} */ (answer.results)) {
      const entry = batched.find(({ op }) => op.id === result.id);
      if (!entry) continue;
      if (NOT_YET.includes(result.result)) {
        tried.set(result.id, (tried.get(result.id) ?? 0) + 1);
        changes.push(["put", "ops", result.id, { ...entry, result }]);
      } else {
        changes.push(...answered(entry, result, upto));
      }
    }
    // What was held or deposited is done later, and the city tells in its user's scope.
    const late = Object.values(answer.changes).flatMap((/** @type {any} */ each) => each.set);
    for (const { kind, ref, result, why, to } of late) {
      if (kind !== "result" || NOT_YET.includes(result)) continue;
      const entry = (await store.get("outbox", "ops", ref)) ?? (await store.get("outbox", "sent", ref));
      const told = { id: ref, result, ...(why ? { why } : {}), ...(to ? { to } : {}) };
      if (entry?.user === user && !same(entry.result, told)) changes.push(...answered(entry, told, upto));
    }
    const shots = [];
    for (const shot of await pictures.mine()) {
      const now = heardOf(shot, answer);
      if (now.uploaded !== shot.uploaded || now.refused !== shot.refused || now.upto !== shot.upto) changes.push(["put", "photos", shot.id, now]);
      shots.push(now);
    }
    const sent = await outbox.mine("sent");
    if (answer.back !== undefined) {
      // The city's memory went back: what it may have forgotten is sent again. A replay changes nothing. `safe` says
      // nothing here: it counts on from where the memory went back to, and may have passed what was lost.
      for (const entry of sent.filter(({ upto }) => upto === undefined || upto >= answer.back)) {
        const { result: _result, at: _at, ...again } = entry;
        changes.push(["del", "sent", entry.op.id], ["put", "ops", entry.op.id, again]);
      }
    } else if (answer.auth === "ok") {
      const told = new Set(changes.map(([, , key]) => key)); // just now, and not read yet
      changes.push(...(await forgotten(sent.filter(({ op }) => !told.has(op.id)), shots, answer.safe)));
    }
    // Where the city does not know us it says neither, and may not have looked whether its memory went back. Another tab
    // may have heard meanwhile: of one memory the most counts, of two the older, so that we are told from where it went.
    // Whoever was told that it went back holds on to nothing of the other past, which may bear the same epoch.
    /** @param {(store: string, key: string) => Promise<any>} get @returns {Promise<Change[]>} */
    const heard = async (get) => {
      if (upto === undefined) return [];
      const { epoch, mark } = answer;
      const here = { epoch, upto, ...(mark ? { mark } : {}) };
      const now = await get("kv", `heard:${user}`);
      const isOurs = now?.epoch === asked?.epoch && now?.upto === asked?.upto;
      if (now?.epoch !== epoch && !isOurs && epoch !== asked?.epoch) return [];
      const isOlder = now?.epoch === epoch && now.upto > upto && !(isOurs && answer.back !== undefined);
      return isOlder ? [] : [["put", "kv", `heard:${user}`, here]];
    };
    /** @type {import("./engine.js").Decide} */
    const decide = async (get) => {
      const now = await Promise.all(changes.map((change) => current(change, get, answer)));
      return [...now.flat(), ...(await heard(get))];
    };
    if (changes.length) await firm(store, decide);
    // It is about work that it comes with: of an answer to none an older one says enough.
    else if (upto !== undefined) await store.write("outbox", heard).catch(unlessFull);
  }

  /** @param {Entry} entry @param {Result} result @param {number | undefined} upto @returns {Change[]} */
  function answered(entry, result, upto) {
    const { id } = entry.op;
    const seen = result.result === "applied" && !result.why;
    return [
      ["del", "ops", id],
      ["put", "sent", id, { ...entry, result, at: clock(), upto, seen }],
      ["del", "drafts", undoKey(id)], // a disk that did not take that as it left may do so now
    ];
  }

  /**
   * A change as it is right in the write itself, where another tab may have been meanwhile. A photo may have become
   * another's, or be gone. An answer that says nothing but that it was done need not be read, unless the city could not
   * read one of its photos.
   * @param {Change} change @param {(store: string, key: string) => Promise<any>} get @param {any} answer
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
   * @param {Entry[]} sent @param {import("./engine.js").Shot[]} shots @param {number} safe
   * @returns {Promise<Change[]>}
   */
  async function forgotten(sent, shots, safe) {
    /** @type {Change[]} */
    const changes = [];
    const [jobs, drafts, waiting] = await Promise.all([mirror.refs(), outbox.drafts(), outbox.mine("ops")]);
    /** Whether work goes by this id, or may: a job that was reported here is known by it as well. @param {Entry} entry */
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
    if (fill && (await fill()) > FULL) {
      await mirror.lighten();
      const arrived = new Set(sent.map(({ op }) => op.id));
      const own = shots.filter((shot) => shot.uploaded && shot.thumb && arrived.has(shot.op ?? ""));
      // By itself: a browser counts what a write puts and not what it frees, and this one always fits.
      if (own.length) await store.write("outbox", own.flatMap(bytesGone));
    }
    return changes;
  }

  /**
   * Photos of work that has gone out.
   * @param {() => boolean} over @param {boolean} [knownOnly] whether the city takes
   * those only that it knows of: another one is left out, and holds up none
   */
  async function sendPhotos(over, knownOnly = false) {
    const waiting = new Map((await outbox.mine("ops")).map((entry) => [entry.op.id, entry])); // first: Undo gives photos back
    let refused = false;
    for (const shot of await pictures.unsent()) {
      const entry = waiting.get(shot.op ?? "");
      if (over()) return;
      // Its operation goes first: the city could not say whose photo it cannot read.
      if (entry && (!entry.result || NOT_STORED.includes(entry.result.why ?? ""))) continue;
      if (refused && !(await pictures.mayGo(shot))) continue;
      try {
        await pictures.send(shot, over);
      } catch (fault) {
        if (!knownOnly || !(fault instanceof Stopped) || fault.problem !== "login") throw fault;
        refused = true; // why is known already, and is another thing than nobody's being logged in
      }
    }
  }

  /** The answer, if the city itself gave it to this very request. @param {Reply} reply @param {string} nonce */
  function sound(reply, nonce) {
    if (reply.status === 401) throw new Stopped("login");
    if ([408, 429, 503].includes(reply.status)) throw new Stopped("busy", reply.retryAfter);
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
    else await firm(store, [["put", "ops", only.op.id, { ...only, too_large: true }]]);
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

  return round;
}

/**
 * A photo after an answer: one that is missed is sent again, and of one that arrived, or that the city could not take,
 * we know how far the log went then at most.
 * @param {import("./engine.js").Shot} shot @param {any} answer @returns {import("./engine.js").Shot}
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

/** Throws any other fault. @param {unknown} fault */
function unlessFull(fault) {
  if (!isFull(fault)) throw fault;
  return fault;
}
