// Sizes and times that the phone's half of field sync holds to, and how a round ends early.

/** @typedef {import("./engine.js").Problem} Problem */

export const PROTOCOL = 1;
export const BATCH = 50;
export const BATCH_BYTES = 200_000;
/** As much as the city takes of one operation. */
export const LARGEST = 32_000;
/** So much of a photo lies in one row on the phone, and goes in one request at most. */
export const PIECE = 262_144;
/** So much goes in the first request, and at least in any: a line of 5 kbit/s carries that before a request ends. */
export const FIRST_PART = 65_536;
export const LEAST_PART = 16_384;
export const UNDO_MS = 10_000;
/** Less than the city allows from arrival to arrival: what is offered on the phone still counts there. */
export const WITHDRAW_MS = 600_000;

/** Work on a report that was taken back meanwhile: it has no case any more. */
export class Undone extends Error {
  constructor() {
    super("its report was taken back");
    this.name = "Undone";
  }
}

/** Ends a round without having lost anything. */
export class Stopped extends Error {
  /** @param {Problem} problem @param {number} [retryAfter] seconds */
  constructor(problem, retryAfter) {
    super(problem);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/**
 * A moment that was written down as at most so many ms away. One that is further was written by a clock that ran
 * years ahead and has been put right since: nothing may wait for it.
 * @param {number} at @param {number} most @param {number} now
 */
export function soon(at, most, now) {
  return at - now > most ? 0 : at;
}

/** @template T @param {Promise<T>} request @returns {Promise<T>} */
export async function reached(request) {
  try {
    return await request;
  } catch {
    throw new Stopped("offline");
  }
}
