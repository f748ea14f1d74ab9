// A crew's phone: what was done on it, what the city holds, and how the two meet. No page, no network, no clock
// of its own: store, net, clock, random and lock are handed in. `docs/reference/sync.md` is the contract.
//
// sync/outbox.js keeps intentions, sync/photo_uploads.js photos and their bytes, sync/storage_reserve.js room for words, sync/mirror.js what the city
// said, sync/exchange_round.js is one exchange. Here they are put together, with the view that screens show and the times at which
// to try again.

import { createMirror } from "./mirror.js";
import { createOutbox } from "./outbox.js";
import { createPictures } from "./photo_uploads.js";
import { firm, isFull } from "./storage_reserve.js";
import { createRound } from "./exchange_round.js";
import { reached, soon, Stopped } from "./protocol.js";

export { BATCH, BATCH_BYTES, LARGEST, PIECE, PROTOCOL, UNDO_MS, Undone, WITHDRAW_MS } from "./protocol.js";

/**
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {import("./jobs.js").Op} Op
 * @typedef {{ id: string, result: string, why?: string, to?: string }} Result
 * @typedef {{ title: Record<string, string>, address: string }} Label what the outbox calls a job
 * @typedef {{ state: string, wait?: string | undefined }} Before how a job stood, should the work be taken back
 * @typedef {{ user: number, op: Op, not_before: number, label: Label, before?: Before, draft?: Draft, draftOf?: string,
 *   result?: Result, at?: number, upto?: number, seen?: boolean, too_large?: boolean }} Entry
 * @typedef {{ id: string, user: number, case: string, op: string | null, sha256: string, bytes: number,
 *   type: string, pieces: number, uploaded: boolean, upto?: number, refused?: string, at: number,
 *   thumb?: ArrayBuffer, taken?: import("../lib/photo_metadata.js").Taken | null }} Shot
 * @typedef {{ ending?: string, until?: string, notes?: string[], id?: string, fields?: [string, string][] }} Draft what a form held
 * @typedef {["put", string, string, unknown] | ["del", string, string]} Change
 * @typedef {(get: (store: string, key: string) => Promise<any>, all: (store: string) => Promise<any[]>) =>
 *   Promise<Change[]>} Decide
 * @typedef {{
 *   get(base: string, store: string, key: string): Promise<any>,
 *   all(base: string, store: string, prefix?: string): Promise<[string, any][]>,
 *   write(base: string, changes: Change[] | Decide): Promise<void> }} Store one write is one strict transaction; what
 *   is decided by what is there is read in it, and waits for nothing else
 * @typedef {{ status: number, json: any, retryAfter?: number }} Reply `json` is null unless it came as JSON
 * @typedef {{
 *   enrol(code?: string, attempt?: string): Promise<Reply>,
 *   exchange(body: object): Promise<Reply>,
 *   piece(photo: Shot, offset: number, data: ArrayBuffer):
 *     Promise<{ status: number, offset: number, complete: boolean, fault: string, retryAfter?: number }> }} Net
 * @typedef {(work: (over: () => boolean) => Promise<void>) => Promise<boolean>} Lock does the work unless another
 *   tab is at it, and says which; `over` turns true when the work has had its time
 * @typedef {() => Promise<number>} Fill how full the phone is, 0 to 1
 * @typedef {{ store: Store, net: Net, clock: () => number, random: { id(): string, fraction(): number },
 *   digest: (data: ArrayBuffer) => Promise<string>, user: number, release: string, lock?: Lock, fill?: Fill,
 *   signIn?: () => Promise<string> }} Parts `signIn` names the phone where no person is behind it
 * @typedef {"" | "offline" | "portal" | "login" | "code" | "switched" | "revoked" | "disabled" | "server" | "busy" |
 *   "full"} Problem
 * @typedef {{ person: number, name: string, lang: string, crews: { id: number, name: string }[] }} Who
 */

const ROUNDS = 60;
const FIRST_DELAY = 4_000;
const LONGEST_DELAY = 300_000;
const LONGEST_WAIT = 4 * 3_600_000;
const AGAIN = 60_000;
const CALLED = "called:"; // and a person: who may have left work on this phone, by name

/**
 * Asks the city whose phone this is and keeps the answer, `who`, for a start without signal. Returns the
 * phone's name for that person. With a `code` the phone becomes that of whom it was made for; otherwise of whoever
 * is logged in. Where the answer is lost, the same code may be sent again, also after a restart: the phone keeps a name
 * for the attempt by which the city knows it. Throws Stopped: "login" where nobody of a crew is, "code" for a wrong one.
 * @param {Pick<Parts, "store" | "net" | "random">} parts
 * @param {string} [code]
 * @returns {Promise<{ device: string, who: Who }>}
 */
export async function introduce({ store, net, random }, code) {
  /** @type {string | undefined} */
  let attempt;
  if (code !== undefined) {
    attempt = (await store.get("outbox", "kv", "attempt")) ?? random.id();
    await firm(store, [["put", "kv", "attempt", attempt]]);
  }
  const { status, json, retryAfter } = await reached(net.enrol(code, attempt));
  if (status === 401 || status === 403) throw new Stopped("login");
  if (status === 422) throw new Stopped("code");
  if (status === 429 || status === 503) throw new Stopped("busy", retryAfter);
  if (status !== 200 || !json?.device || !json.person) throw new Stopped(status >= 500 ? "server" : "portal");
  /** @type {Who} */
  const who = { person: json.person, name: json.name ?? "", lang: json.lang ?? "", crews: json.crews ?? [] };
  await firm(store, [
    ["put", "kv", "who", who], ["put", "kv", `device:${who.person}`, json.device], ["del", "kv", "attempt"],
    ["put", "kv", CALLED + who.person, who.name],
  ]);
  return { device: json.device, who };
}

/** Who used this phone last, and may do so without signal.
 * @param {Store} store @returns {Promise<Who | null>} */
export async function whoIs(store) {
  return (await store.get("outbox", "kv", "who")) ?? null;
}

/** Work on this phone that others have not sent: the next to use it can tell them.
 * @param {Store} store @param {number} [user] whose work is not meant @returns {Promise<{ name: string, n: number }[]>} */
export async function othersWork(store, user) {
  const users = (await store.all("outbox", "ops")).map(([, entry]) => entry.user).filter((each) => each !== user);
  return Promise.all(
    [...new Set(users)].map(async (each) => ({
      name: String((await store.get("outbox", "kv", CALLED + each)) ?? ""),
      n: users.filter((other) => other === each).length,
    })),
  );
}

/** The phone is handed on: nothing of the city's stays readable, and nobody's work is touched. The name of who left
 * work behind stays with it.
 * @param {Store} store */
export async function leave(store) {
  const person = (await whoIs(store))?.person;
  const waits = (await store.all("outbox", "ops")).some(([, entry]) => entry.user === person);
  await store.write("outbox", [["del", "kv", "who"], ...(waits ? [] : /** @type {Change[]} */ ([["del", "kv", CALLED + person]]))]);
  await createMirror({ store, user: 0 }).wipe();
}

/** @param {Parts} parts */
export function createEngine(parts) {
  const { store, clock, random, user, lock = alone } = parts;
  const pictures = createPictures(parts);
  const outbox = createOutbox(parts, pictures);
  const mirror = createMirror(parts);
  /** This phone's name for this user; where somebody else has logged in, the phone is theirs from now on. */
  const ownSignIn = async () => {
    const { device, who } = await introduce(parts);
    if (who.person !== user) throw new Stopped("switched");
    return device;
  };
  const signIn = parts.signIn ?? ownSignIn;
  const round = createRound(parts, { outbox, pictures, mirror, signIn, remember });
  /** @type {Promise<void> | null} */
  let going = null;
  /** How exchanges went, as far as it could not be written: the reserve is not spent on it. Only this page knows it, and
   * only until another tab writes how a later one went: then the disk counts another number of tries than `on`.
   * @type {{ on: number, values: Record<string, any> } | null} */
  let unkept = null;

  /** What the screen shows: the mirror with everything pending replayed on it, and the outbox. */
  async function view() {
    const ops = await outbox.mine("ops"); // first: another tab moves them to `sent`
    const [sent, shots, known, drafts] = await Promise.all([
      outbox.mine("sent"), pictures.mine(), remembered(), outbox.drafts(),
    ]);
    const { jobs, names, empty } = await mirror.replayed(ops, sent);
    return {
      jobs,
      names,
      outbox: ops,
      sent: sent.sort((a, b) => b.op.n - a.op.n),
      shots,
      drafts,
      problem: /** @type {Problem} */ (known["problem"] ?? ""),
      updated: /** @type {number | null} */ (known["updated"] ?? null),
      empty,
    };
  }

  /** When to try again, in ms since 1970; null where there is nothing to send. */
  async function due() {
    const ops = await outbox.mine("ops");
    const moments = outbox.starts(ops);
    const acknowledged = new Set((await outbox.mine("sent")).map(({ op }) => op.id));
    if ((await pictures.unsent()).some((shot) => acknowledged.has(shot.op ?? ""))) moments.push(0);
    if (!moments.length) return null;
    return Math.max(Math.min(...moments), soon((await remembered())["next_try"] ?? 0, LONGEST_WAIT, clock()));
  }

  /** Sends what may go and takes in what changed, unless the city asked to wait. Never throws. */
  async function wake() {
    if (clock() >= soon((await remembered())["wait_until"] ?? 0, LONGEST_WAIT, clock())) await sync();
  }

  /** The same at once. What went wrong stands in view().problem. */
  function sync() {
    going ??= rounds().finally(() => {
      going = null;
    });
    return going;
  }

  async function rounds() {
    await lock(async (over) => {
      /** @type {Map<string, number>} */
      const tried = new Map();
      try {
        for (let i = 0; i < ROUNDS && !over() && (await round(tried, over)); i++);
        const waiting = (await outbox.mine("ops")).some((entry) => entry.result);
        await remember({ problem: "", fails: 0, next_try: waiting ? clock() + AGAIN : 0, wait_until: 0 });
      } catch (fault) {
        if (!(fault instanceof Stopped)) console.error(fault);
        const stopped = fault instanceof Stopped ? fault : new Stopped(isFull(fault) ? "full" : "server");
        await failed(stopped).catch((unread) => console.error(unread));
      }
    });
  }

  /** Later and later, at a random moment: a fleet that comes back at once must not arrive at once.
   * @param {Stopped} stopped */
  async function failed({ problem, retryAfter }) {
    const fails = ((await remembered())["fails"] ?? 0) + 1;
    const cap = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(fails, 10));
    const asked = Math.min((retryAfter ?? 0) * 1_000, LONGEST_WAIT - LONGEST_DELAY);
    const next = clock() + asked + 1_000 + random.fraction() * cap;
    await remember({ problem, fails, next_try: next, wait_until: asked ? clock() + asked : 0 });
  }

  /** Remembers how an exchange went: on the disk, or where that takes nothing as long as this page lives. Never throws.
   * @param {Record<string, unknown>} values */
  async function remember(values) {
    try {
      const on = (await remembered())["tries"] ?? 0;
      unkept = { on, values: { ...unkept?.values, ...values } };
      const rows = Object.entries({ ...unkept.values, tries: on + 1 });
      await store.write("outbox", rows.map(([key, value]) => /** @type {Change} */ (["put", "kv", key, value])));
      unkept = null;
    } catch (fault) {
      console.error(fault);
    }
  }

  /** How exchanges went, and how many did. @returns {Promise<Record<string, any>>} */
  async function remembered() {
    const kv = Object.fromEntries(await store.all("outbox", "kv"));
    if (unkept && unkept.on !== (kv["tries"] ?? 0)) unkept = null;
    return { ...kv, ...unkept?.values };
  }

  const { add, report, undo, withdraw, mayWithdraw, dismiss, keepDraft, dropDraft, draftOf, saved } = outbox;
  const { keepPhoto, dropPhoto, bytesOf } = pictures;
  return {
    add, report, undo, withdraw, mayWithdraw, keepPhoto, dropPhoto, bytesOf, keepDraft, dropDraft, draftOf, view, dismiss, due, wake, sync,
    saved, pack: mirror.pack, packed: mirror.packed,
  };
}

/** @typedef {ReturnType<typeof createEngine>} Engine */

/** Where there is but one tab. @type {Lock} */
async function alone(work) {
  await work(() => false);
  return true;
}
