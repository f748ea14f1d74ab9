// What was begun for a job and not saved yet. It lies beside the outbox, and is never sent. The same store
// holds two more kinds of row, see outbox_rows.js: which work may still be undone, and whose name is free or taken.

import { draftKey, mine } from "./outbox_rows.js";
import { firm } from "./storage_reserve.js";

/**
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {import("./engine.js").Draft} Draft
 * @typedef {import("./outbox_rows.js").Box} Box
 */

/** @param {Box} box @param {string} ref @param {Draft} draft */
export async function keepDraft(box, ref, draft) {
  const { store } = box;
  await firm(store, [["put", "drafts", draftKey(box, ref), draft]]);
}

/** What was begun for a job and not saved yet.
 * @param {Box} box
 * @param {string} ref @returns {Promise<{ draft: Draft | null, shots: Shot[] }>} */
export async function draftOf(box, ref) {
  const { store, pictures } = box;
  const refs = refsOf(ref, await mine(box, "sent"));
  const drafts = await Promise.all(refs.map((each) => store.get("outbox", "drafts", draftKey(box, each))));
  const shots = (await pictures.mine()).filter((shot) => refs.includes(shot.case) && shot.op === null);
  return { draft: drafts.find(Boolean) ?? null, shots: shots.sort((a, b) => a.at - b.at) };
}

/** Throws away what was begun for a job, and its photos. @param {Box} box @param {string} ref */
export async function dropDraft(box, ref) {
  const { shots } = await draftOf(box, ref);
  await box.store.write("outbox", [["del", "drafts", draftKey(box, ref)]]);
  for (const { id } of shots) await box.pictures.dropPhoto(id);
}

/** What has a draft. @param {Box} box @returns {Promise<string[]>} */
export async function drafts(box) {
  const { store } = box;
  const own = draftKey(box, "");
  return (await store.all("outbox", "drafts", own)).map(([key]) => key.slice(own.length));
}

/** A case's number, and the ids of the reports made here by which it was known before.
 * @param {string} ref @param {Entry[]} sent */
export function refsOf(ref, sent) {
  const told = sent.filter(({ op, result }) => op.t === "report" && result?.to === ref);
  return [ref, ...told.map(({ op }) => op.id)];
}
