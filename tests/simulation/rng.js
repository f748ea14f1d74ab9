// Luck that can be had again: the same seed gives the same numbers, in the same order, on every machine.

/** @param {number} seed */
export function createLuck(seed) {
  let state = (seed * 2654435761 + 1013904223) >>> 0;

  /** From 0 up to, but never, 1. */
  function fraction() {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from 0 up to, but never, n. @param {number} n */
  const below = (n) => Math.floor(fraction() * n);
  /** @param {number} p */
  const chance = (p) => fraction() < p;
  /** @template T @param {T[]} from @returns {T} */
  const pick = (from) => /** @type {T} */ (from[below(from.length)]);

  /** A name by its weight. @param {Record<string, number>} weights */
  function weighed(weights) {
    const names = Object.entries(weights);
    let left = fraction() * names.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of names) {
      left -= weight;
      if (left < 0) return name;
    }
    return /** @type {[string, number]} */ (names[names.length - 1])[0];
  }

  /** A UUID in its canonical form. */
  function id() {
    const bytes = Array.from({ length: 16 }, () => below(256));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const text = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
  }

  return { fraction, below, chance, pick, weighed, id };
}

/** @typedef {ReturnType<typeof createLuck>} Luck */
