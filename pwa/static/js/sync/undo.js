// Undo of work that has not been sent, and its end: what leaves for the city is undone here no more.

import { Late } from "../lib/timeout.js";
import { draftKey, FREE, nameKey, readyAt, undoKey } from "./outbox_rows.js";
import { firm, isFull } from "./storage_reserve.js";

/**
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {import("./engine.js").Change} Change
 * @typedef {import("./outbox_rows.js").Box} Box
 */

const TRIES = 3;
const WAITS = 3; // rounds

/**
 * Takes an intention back that has not been sent; false where it is too late. A report goes with the start of the
 * work on it, and stays where more was done: that would have no case any more.
 * @param {Box} box
 * @param {string} id
 */
export async function undo(box, id) {
  const { store, clock, user, gone } = box;
  let undone = false;
  await firm(store, async (get, all) => {
    undone = false;
    /** @type {Entry[]} */
    const ops = (await all("ops")).filter((each) => each.user === user);
    const entry = ops.find(({ op }) => op.id === id);
    if (!entry || gone.has(id) || !(await get("drafts", undoKey(id))) || clock() >= readyAt(box, entry)) return [];
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
        entry.draft ? [["put", "drafts", draftKey(box, entry.draftOf ?? entry.op.case), entry.draft]] : []
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
 * @param {Box} box
 * @param {Entry[]} entries @param {boolean} [mayWait] whether they can go another time; throws where they should
 */
export async function leaving(box, entries, mayWait = true) {
  const { store, gone } = box;
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
      if (mayWait && isFull(fault) && box.waited++ < WAITS) throw fault;
      console.error(fault);
      there = await still(entries, (name, key) => store.get("outbox", name, key)).catch(() => entries);
      break;
    }
  }
  if (isNoted) box.waited = 0;
  for (const { op } of there) if (!gone.get(op.id)) gone.set(op.id, isNoted);
  return there;
}

/** As they are now, without those that are gone.
 * @param {Entry[]} entries @param {(store: string, key: string) => Promise<any>} get @returns {Promise<Entry[]>} */
async function still(entries, get) {
  return (await Promise.all(entries.map(({ op }) => get("ops", op.id)))).filter(Boolean);
}

/** What else waits for this photo: one form that two tabs saved names it twice.
 * @param {Shot} shot @param {Entry[]} others */
function heir(shot, others) {
  return others.find(({ op }) => op.photos.some(({ id }) => id === shot.id))?.op.id ?? null;
}
