// The rows of the outbox as they lie on the disk: their keys, how they are read, and when an operation may go.

import { soon, UNDO_MS } from "./protocol.js";

/**
 * @typedef {import("./engine.js").Parts} Parts
 * @typedef {import("./engine.js").Op} Op
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Result} Result
 * @typedef {import("./engine.js").Change} Change
 * @typedef {Pick<Parts, "store" | "clock" | "random" | "user"> & { pictures: import("./photo_uploads.js").Pictures,
 *   gone: Map<string, boolean>, waited: number }} Box `gone` is what this page has let go, and whether the disk knows;
 *   `waited` counts the rounds for which a full disk was waited for
 */

// What became of a report's name that stands in neither `ops` nor `sent`: it is free again, or the city knows it.
export const FREE = "free";
export const TAKEN = "taken";

/** What this user did, in order.
 * @param {Box} box
 * @param {"ops" | "sent"} name @returns {Promise<Entry[]>} */
export async function mine(box, name) {
  const { store, user } = box;
  const rows = (await store.all("outbox", name)).map(([, entry]) => /** @type {Entry} */ (entry));
  return rows.filter((entry) => entry.user === user).sort((a, b) => a.op.n - b.op.n);
}

/**
 * The newest that still stands: another hand may just have taken one back.
 * @param {(store: string, key: string) => Promise<any>} get @param {string[]} ids @returns {Promise<string | null>}
 */
export async function newest(get, ids) {
  for (const id of ids) if ((await get("ops", id)) ?? (await get("sent", id))) return id;
  return null;
}

/**
 * When each operation may go: never before what was done earlier on its case, which may yet be undone.
 * @param {Box} box
 * @param {Entry[]} ops in order
 */
export function starts(box, ops) {
  /** @type {Map<string, number>} */
  const latest = new Map();
  return ops.map((entry) => {
    const at = Math.max(readyAt(box, entry), latest.get(entry.op.case) ?? 0);
    latest.set(entry.op.case, at);
    return at;
  });
}

/** When an operation by itself may go. @param {Box} box @param {Entry} entry */
export function readyAt({ clock }, { not_before }) {
  return soon(not_before, UNDO_MS, clock());
}

/** @param {Box} box @param {string} ref */
export function draftKey({ user }, ref) {
  return `${user}:${ref}`;
}

/** What a report leaves that goes for good: the city knows its name, and no other must bear that.
 * @param {Op} op @returns {Change[]} */
export function nameTaken({ t, id }) {
  return t === "report" ? [["put", "drafts", nameKey(id), TAKEN]] : [];
}

/** The row beside the drafts that says so. @param {string} id */
export function nameKey(id) {
  return `name:${id}`;
}

/** The row beside the drafts that lies there as long as this may be undone. @param {string} id */
export function undoKey(id) {
  return `undo:${id}`;
}

/** Whether they say the same of the work. @param {Result | undefined} a @param {Result | undefined} b */
export function same(a, b) {
  return a?.result === b?.result && (a?.why ?? "") === (b?.why ?? "");
}
