// Sizes and times that the phone's half of field sync holds to, and how a round ends early.

/** @typedef {import("./engine.js").Problem} Problem */

export const PROTOCOL = 1;
export const BATCH = 50;
export const BATCH_BYTES = 200_000;
/** As much as the city takes of one operation. */
export const LARGEST = 32_000;
export const PIECE = 262_144;
export const UNDO_MS = 10_000;
/** Less than the city allows from arrival to arrival: what is offered on the phone still counts there. */
export const WITHDRAW_MS = 600_000;

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
