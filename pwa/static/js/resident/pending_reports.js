// What a resident has on this phone: the report that was begun, and reports that wait for signal or went.

import { apart } from "../sync/scoped_store.js";
import { createEngine } from "../sync/engine.js";
import { beginResident, net } from "../sync/http.js";
import { oneTab } from "../lib/web_lock.js";
import { dashed, digest, randomId } from "../lib/random.js";
import { firm } from "../sync/storage_reserve.js";
import { openStore } from "../sync/indexeddb.js";
import { reached, Stopped } from "../sync/protocol.js";

/**
 * @typedef {import("../sync/engine.js").Entry} Entry
 * @typedef {import("../lib/photo_metadata.js").Taken} Taken
 * @typedef {import("../sync/report_op.js").Fields} Fields
 * @typedef {{ key: string, fields: Fields, at: number }} Begun
 */

/** Nobody's number: a resident has no account. */
const RESIDENT = 0;
const FORM = "report";
const DAY = 86_400_000;
/** As long as the city's memory could go back after a mishap, and as long as a phone's browser may keep it anyway. */
const KEPT_DAYS = 7;
const LONGEST_TIMER = 2 ** 31 - 1;

/** @type {Set<() => void>} */
const watching = new Set();
/** @type {ReturnType<typeof begin> | null} */
let draining = null;

const store = apart(openStore());
const engine = createEngine({
  store,
  net,
  clock: Date.now,
  random: { id: randomId, fraction: Math.random },
  digest,
  user: RESIDENT,
  lock: oneTab,
  release: document.querySelector("[data-release]")?.getAttribute("data-release") ?? "",
  signIn,
});

/** Whether a resident has anything here: a report begun, one that waits, one that went. */
export async function isAny() {
  const { form, photos } = (await begun()) ?? { form: null, photos: [] };
  return Boolean(form) || photos.length > 0 || (await reports()).entries.length > 0;
}

/** Keeps a photo before anything else is done with it. Returns its name here.
 * @param {File} file @param {Taken | null} taken where and when, which stays on this phone */
export async function keepPhoto(file, taken) {
  const shot = await engine.keepPhoto(FORM, await file.arrayBuffer(), file.type || "image/jpeg", undefined, taken);
  return shot.id;
}

/** @param {string} id */
export async function dropPhoto(id) {
  await engine.dropPhoto(id);
}

/** Keeps the form as it stands. @param {string} key the form's @param {Fields} fields */
export async function keepForm(key, fields) {
  const begun = /** @type {any} */ ({ key, fields, at: Date.now() });
  await engine.keepDraft(FORM, begun);
}

/**
 * What was begun here within the last days, and its photos with their names here; null where there is nothing.
 * @returns {Promise<{ form: Begun | null, photos: { id: string, file: File, taken: Taken | null }[] } | null>}
 */
export async function begun() {
  const { draft, shots } = await engine.draftOf(FORM);
  const form = /** @type {Begun | null} */ (/** @type {unknown} */ (draft));
  const photos = [];
  for (const { id, type, taken = null } of shots) {
    const [row] = shots.filter((shot) => shot.id === id);
    const bytes = row ? await engine.bytesOf(row) : [];
    photos.push({ id, file: new File(bytes, "photo.jpg", { type }), taken });
  }
  const newest = Math.max(form?.at ?? 0, ...shots.map(({ at }) => at));
  if (newest && newest < Date.now() - KEPT_DAYS * DAY) {
    await letGo();
    return null;
  }
  return form || photos.length ? { form, photos } : null;
}

/** What was begun is sent, or not wanted any more. */
export async function letGo() {
  const { shots } = await engine.draftOf(FORM);
  await store.write("outbox", [["del", "drafts", `${RESIDENT}:${FORM}`]]);
  for (const { id } of shots) await engine.dropPhoto(id);
}

/** The form with this key has arrived. @param {string} key */
export async function wasSent(key) {
  if ((await begun())?.form?.key === key) await letGo();
}

/**
 * Keeps a report until there is signal, under the key of the form it was written in: should that have arrived after
 * all, the city has it once. What is kept or went already, from another tab say, is kept once too.
 * @param {string} key
 * @param {Record<string, unknown>} data
 * @param {string[]} photos their names here
 * @param {string} kind what the chosen kind of problem is called
 */
export async function keepReport(key, data, photos, kind) {
  const { shots } = await engine.draftOf(FORM);
  const entry = await engine.report(data, { title: { [document.documentElement.lang]: kind }, address: String(data["address"] ?? "") }, {
    id: dashed(key),
    photos: shots.filter(({ id }) => photos.includes(id)),
    draftOf: FORM,
  });
  for (const { id } of shots.filter((shot) => !photos.includes(shot.id))) await engine.dropPhoto(id);
  return entry;
}

/** Reports of this phone, the newest first: those that wait, and those that went within the last days.
 * @returns {Promise<{ entries: Entry[], photosLeft: Set<string>, problem: string }>} */
export async function reports() {
  const { outbox, sent, shots, problem } = await engine.view();
  const left = shots.filter((shot) => shot.op && !shot.uploaded && !shot.refused).map((shot) => String(shot.op));
  return { entries: [...outbox, ...sent].sort((a, b) => b.op.n - a.op.n), photosLeft: new Set(left), problem };
}

/** The first photo of a report that this phone sent or will send; null where there is none. @param {string} id */
export async function photoOf(id) {
  const { shots } = await engine.view();
  const shot = shots.find(({ op }) => op === id);
  const bytes = shot ? await engine.bytesOf(shot) : [];
  return bytes.length ? new Blob(bytes, { type: shot?.type ?? "" }) : null;
}

/**
 * Sends what waits: now, and whenever signal may be back while a page is open. Calls `moved` after each try. A page that
 * does so already looks again: something may have been kept since.
 * @param {() => void} moved
 * @returns {{ now: () => Promise<void> }} `now` tries at once, whatever was agreed
 */
export function drain(moved) {
  watching.add(moved);
  if (draining) void draining.soon();
  draining ??= begin();
  return draining;
}

/** @returns {{ now: () => Promise<void>, soon: () => Promise<void> }} */
function begin() {
  let timer = 0;
  /** @param {boolean} [asked] */
  const go = async (asked) => {
    clearTimeout(timer);
    await (asked ? engine.sync() : engine.wake());
    if (await lostToken()) await engine.sync();
    await forget();
    for (const moved of watching) moved();
    const due = await engine.due();
    if (due !== null) timer = window.setTimeout(() => void go(), Math.min(Math.max(due - Date.now(), 1_000), LONGEST_TIMER));
  };
  window.addEventListener("online", () => void go(true));
  window.addEventListener("pageshow", ({ persisted }) => persisted && void go());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void go());
  navigator.serviceWorker?.addEventListener("message", ({ data }) => data === "sync" && void go());
  void navigator.serviceWorker?.ready.then((worker) => /** @type {any} */ (worker).sync?.register("cityline")).catch(() => {});
  void go();
  return {
    now: () => go(true),
    soon: async () => {
      if ((await engine.due()) !== null) await go();
    },
  };
}

/**
 * The browser may lose its token with its power. Then reports whose photos are still here are sent again, under a new
 * one: the city knows them, and takes the photos. True where there are such.
 */
async function lostToken() {
  const { entries, photosLeft, problem } = await reports();
  const again = problem === "login" ? entries.filter(({ at, op }) => at !== undefined && photosLeft.has(op.id)) : [];
  for (const entry of again) {
    const { result: _result, at: _at, ...waits } = entry;
    await firm(store, [["del", "sent", entry.op.id], ["put", "ops", entry.op.id, waits]]);
  }
  return again.length > 0;
}

/** What arrived whole a week ago goes: no city's memory goes back further. */
async function forget() {
  const { entries, photosLeft } = await reports();
  for (const { op, at } of entries) {
    if (at === undefined || at > Date.now() - KEPT_DAYS * DAY || photosLeft.has(op.id)) continue;
    /** @type {import("../sync/engine.js").Change[]} */
    const changes = [["del", "sent", op.id]];
    for (const { id, bytes } of op.photos) {
      changes.push(["del", "photos", id]);
      for (const [key] of bytes ? await store.all("outbox", "chunks", `${id}:`) : []) changes.push(["del", "chunks", key]);
    }
    await store.write("outbox", changes);
  }
}

/** Asks for a token without an account, and keeps what the city calls this phone. @returns {Promise<string>} */
async function signIn() {
  const { status, json, retryAfter } = await reached(beginResident());
  if (status === 429 || status === 503) throw new Stopped("busy", retryAfter);
  if (status !== 200 || !json?.device) throw new Stopped(status >= 500 ? "server" : "portal");
  await firm(store, [["put", "kv", `device:${RESIDENT}`, json.device]]);
  return json.device;
}
