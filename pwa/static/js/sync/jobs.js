// What a job is on a phone: how pending work shows on it, how its promise stands, in which order jobs come.
// Pure: no page, no clock, no storage.

import { metresBetween } from "../lib/geo.js";

/**
 * A job as the city sends it; what is empty is left out. Times are seconds since 1970.
 * @typedef {{ kind: string, ref: string, title: Record<string, string>, group: string, address?: string,
 *   lat?: number, lon?: number, asset?: string, hazard?: Record<string, string>, danger?: boolean, state: string, assignment?: number | undefined, cycle: number,
 *   version: number, opened: number, due: number, risk: number, new?: number, hourly?: boolean, urgent?: boolean, raised?: boolean, safe?: boolean,
 *   wait?: string | undefined, until?: number | undefined, runs?: boolean, late?: boolean,
 *   reports?: number, told?: Telling[], done?: { outcome: string, at: number } | undefined,
 *   pending?: boolean, ended?: string | undefined, own?: boolean }} Job `own`: reported here, not numbered yet;
 *   `late`: it was when it was put to wait; `runs`: its clock does not stand meanwhile, and it comes back at `until`; `safe`: a crew has made it so
 * @typedef {{ words?: string, lang?: string, photos?: string[], answers?: Answer[] }} Telling
 * @typedef {(string | Record<string, string>)[]} Answer question, then answers
 * @typedef {{ id: string, sha256: string, bytes: number, type: string }} Declared
 * @typedef {{ id: string, n: number, t: string, v: number, case: string, assignment: number | null,
 *   cycle: number | null, base: number | null, prev: string | null, device_time: string, accuracy: number | null,
 *   data: Record<string, any>, photos: Declared[] }} Op
 * @typedef {import("../lib/geo.js").Point} Point
 */

const DAY = 86_400;

/**
 * The job as it will be when the operation has arrived. The mirror itself is never edited, so undoing is free.
 * @param {Job} job
 * @param {Op} op
 * @param {{ state: string, wait?: string | undefined }} [before] how the job stood, for work that is taken back
 * @returns {Job}
 */
export function fold(job, op, before) {
  const at = Date.parse(op.device_time) / 1000;
  const next = { ...job, pending: true };
  switch (op.t) {
    case "start":
      return { ...next, state: "underway" };
    case "pause":
    case "resume":
      return { ...next, state: "assigned", wait: undefined };
    case "wait":
      if (inDanger(job)) return next;
      return {
        ...next, state: "waiting", wait: String(op.data["reason"] ?? ""), until: undefined, runs: false, late: at > job.due,
      };
    case "close":
      return { ...next, state: "closed", done: { outcome: String(op.data["outcome"]), at } };
    case "make_safe":
      return { ...next, state: "accepted", ended: "make_safe" };
    case "needs_parts":
      if (inDanger(job)) return next;
      return { ...next, state: "waiting", wait: "parts", ended: "needs_parts" };
    case "withdraw":
      if (!before) return next; // what had moved nothing
      return { ...next, state: before?.state ?? "assigned", wait: before?.wait, done: undefined, ended: undefined };
    default:
      return next;
  }
}

/**
 * A problem that the crew reported, as a job of theirs until the city has given it a number.
 * @param {import("./engine.js").Entry} entry
 * @returns {Job}
 */
export function reported({ op, label }) {
  const at = Math.floor(Date.parse(op.device_time) / 1000);
  const { lat, lon, asset, group, urgent, words } = op.data;
  // The city says by when; until it does, the job stands among those of tomorrow.
  return {
    kind: "job", ref: op.id, title: label.title, group: String(group ?? "other"), address: label.address,
    ...(typeof lat === "number" && typeof lon === "number" ? { lat, lon } : {}), ...(asset ? { asset } : {}),
    state: "underway", cycle: 1, version: 0, opened: at, due: at + DAY, risk: at + DAY, own: true, pending: true,
    ...(urgent ? { urgent } : {}), ...(words ? { told: [{ words }] } : {}),
  };
}

/** Whether somebody can be hurt there: such a job waits for nothing. @param {Job} job */
export function inDanger(job) {
  return Boolean(job.urgent && !job.safe);
}

/** Whether the crew has nothing left to do there.
 * @param {Job} job */
export function isDone(job) {
  return Boolean(job.ended) || job.state === "closed";
}

/**
 * How the promise stands: ok, risk, late, wait or done. The same rule as the city's own.
 * @param {Job} job
 * @param {number} now seconds
 * @returns {"ok" | "risk" | "late" | "wait" | "done"}
 */
export function standing(job, now) {
  if (isDone(job)) return "done";
  if (job.state === "waiting") return job.late || (job.runs && now > job.due) ? "late" : "wait";
  if (now > job.due) return "late";
  return now >= job.risk ? "risk" : "ok";
}

/**
 * The jobs of the day: those that are done, the oldest first, and those that are left, in the order asked for.
 * @param {Job[]} jobs
 * @param {"due" | "priority" | "nearest"} how
 * @param {number} now seconds
 * @param {Point | null} here
 */
export function ordered(jobs, how, now, here) {
  const rank = { late: 0, risk: 1, ok: 2, wait: 3, done: 4 };
  /** @param {Job} job @returns {number[]} */
  const key = (job) => {
    const urgency = job.urgent ? 0 : 1; // danger first, in every order
    if (how === "nearest" && here) return [urgency, metres(job, here), job.due];
    if (how === "priority") return [urgency, job.raised ? 0 : 1, rank[standing(job, now)], job.due];
    return [urgency, job.state === "waiting" ? 1 : 0, job.due];
  };
  const done = jobs.filter((job) => isDone(job) && (job.done?.at ?? now) > now - DAY);
  const open = jobs.filter((job) => !isDone(job));
  done.sort((a, b) => (a.done?.at ?? now) - (b.done?.at ?? now));
  open.sort((a, b) => compared(key(a), key(b)) || (a.ref < b.ref ? -1 : 1));
  return { done, open };
}

/**
 * What the crew does now: the job that was started, else the first that waits for nothing.
 * @param {Job[]} open in their order
 * @returns {Job | undefined}
 */
export function nextOf(open) {
  return open.find((job) => job.state === "underway") ?? open.find((job) => job.state !== "waiting");
}

/**
 * Metres between a job and a point, good enough to order by; infinite where nobody knows the place.
 * @param {Job} job
 * @param {Point} here
 */
export function metres(job, here) {
  if (job.lat === undefined || job.lon === undefined) return Infinity;
  return metresBetween({ lat: job.lat, lon: job.lon }, here);
}

/** @param {number[]} a @param {number[]} b */
function compared(a, b) {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference) return difference;
  }
  return 0;
}

/** The choice on the Close screen that led to an operation. @param {Op} op */
export function endingOf(op) {
  if (op.t !== "close") return op.t;
  const outcome = String(op.data["outcome"]);
  return outcome === "fixed" ? `fixed:${op.data["no_photo"] ?? "photo"}` : outcome;
}
