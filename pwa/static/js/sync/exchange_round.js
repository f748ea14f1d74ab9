// One exchange with the city: work goes out, results and news come in, then photos. A kill between any two steps
// is harmless.

import { NEARLY_FULL, takeResults, unlessFull } from "./exchange_results.js";
import { firm, restock } from "./storage_reserve.js";
import { BATCH, BATCH_BYTES, LARGEST, PROTOCOL, reached, Stopped } from "./protocol.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Reply} Reply
 * @typedef {{ outbox: import("./outbox.js").Outbox, pictures: import("./photo_uploads.js").Pictures,
 *   mirror: import("./mirror.js").Mirror, signIn: () => Promise<string>,
 *   remember: (values: Record<string, unknown>) => Promise<void> }} Whole
 * @typedef {Parts & Whole & { batch: number }} Round `batch` is how many operations one request takes now
 */

// With these, of `retry`, the city does not know of the work at all.
const NOT_STORED = ["back", "login"];

/** @param {Parts} parts @param {Whole} whole */
export function createRound(parts, whole) {
  return exchange.bind(null, { ...parts, ...whole, batch: BATCH });
}

/** True where another round is worth it. `tried` counts how often each operation was answered "not yet"
 * in this run, and has "login" once we signed in again.
 * @param {Round} round @param {Map<string, number>} tried @param {() => boolean} over */
async function exchange(round, tried, over) {
  const { store, net, clock, random, user, release, fill, outbox, pictures, mirror, signIn, remember } = round;
  // One that is nearly full is asked for it with a photo or a pack only, which want room anyway.
  if (!fill || (await fill()) < NEARLY_FULL) await restock(store).catch(() => {});
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
  /** @type {import("./exchange_results.js").Heard | undefined} */
  const heard = await store.get("outbox", "kv", `heard:${user}`);
  const unsent = (await pictures.unsent()).length;
  // The last before it goes: a disk that refuses this may then be read no more.
  const batched = await outbox.leaving(fitting(round, ready));
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
  if (reply.status === 413) return halved(round, batched);
  // A phone may bring so many reports an hour: fewer of them may pass, and all together never would.
  if (reply.status === 429 && batched.length > 1) return halved(round, batched);
  if (reply.status === 429) round.batch = BATCH;
  const answer = sound(reply, nonce);
  await takeResults(round, answer, batched, tried, heard);
  if (answer.auth !== "ok") return barred(round, answer, tried, over);
  const full = await mirror.take(answer, known).then(() => null, unlessFull);
  if (!full) await remember({ updated: clock(), problem: "", fails: 0, next_try: 0 });
  await sendPhotos(round, over); // when the city has them, there is room
  if (full) throw full;
  const more = Object.values(answer.changes).some((/** @type {any} */ news) => news.more);
  return more || batched.length < ready.length;
}

/** Nothing is told to this phone now. What it did may still be sent, photos too.
 * @param {Round} round @param {any} answer @param {Map<string, number>} tried @param {() => boolean} over */
async function barred(round, { auth, log }, tried, over) {
  if (auth === "revoked" || auth === "disabled") await round.mirror.wipe();
  if (auth === "login" && !tried.has("login")) {
    tried.set("login", 1);
    try {
      await round.signIn();
      return true;
    } catch (fault) {
      if (!(fault instanceof Stopped) || fault.problem !== "login") throw fault;
    }
  }
  await sendPhotos(round, over, log !== undefined); // without it the city does not know us at all
  throw new Stopped(auth === "revoked" || auth === "disabled" ? auth : "login");
}

/**
 * Photos of work that has gone out.
 * @param {Round} round @param {() => boolean} over @param {boolean} [knownOnly] whether the city takes
 * those only that it knows of: another one is left out, and holds up none
 */
async function sendPhotos({ outbox, pictures }, over, knownOnly = false) {
  // First: Undo gives photos back.
  const waiting = new Map((await outbox.mine("ops")).map((entry) => [entry.op.id, entry]));
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

/** @param {Round} round @param {Entry[]} batched */
async function halved(round, batched) {
  const only = batched[0];
  if (batched.length > 1) round.batch = Math.ceil(batched.length / 2);
  // One that is small was refused by something between us and the city, and may pass elsewhere.
  else if (!only || JSON.stringify(only.op).length <= LARGEST) throw new Stopped("portal");
  else await firm(round.store, [["put", "ops", only.op.id, { ...only, too_large: true }]]);
  return true;
}

/** @param {Round} round @param {Entry[]} ready */
function fitting({ batch }, ready) {
  const chosen = [];
  let bytes = 0;
  for (const entry of ready.slice(0, batch)) {
    bytes += JSON.stringify(entry.op).length;
    if (chosen.length && bytes > BATCH_BYTES) break;
    chosen.push(entry);
  }
  return chosen;
}
