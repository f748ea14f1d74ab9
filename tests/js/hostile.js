// Asks patterns over words, all from stdin, and says over which they take too long; test_hostile_words.py calls it.
// Takes {clear: ms, most: times, lengths, patterns: [[where, source, flags, [[head, piece, tail], …]], …]}.

import { readFileSync } from "node:fs";

const { clear, most, lengths, patterns } = JSON.parse(readFileSync(0, "utf8"));

/** Milliseconds: the least of so many times, which has nothing else in it. */
function cost(pattern, text, times = 1) {
  let least = Infinity;
  for (let n = 0; n < times; n++) {
    const began = performance.now();
    text.replace(pattern, "");
    least = Math.min(least, performance.now() - began);
  }
  return least;
}

/** Over what it takes too long, and how much longer than over half of it; null where nothing is found. */
function slow(pattern, all) {
  for (const [head, piece, tail] of all) {
    for (const letters of lengths) {
      const [whole, half] = [letters, letters / 2].map((n) => head + piece.repeat(n / piece.length) + tail);
      if (cost(pattern, whole) < clear) continue;
      // Three times, for a busy machine may disturb one of the two.
      const more = Math.min(...[1, 2, 3].map(() => cost(pattern, whole, 5) / cost(pattern, half, 5)));
      if (more > most) return `${letters} letters of ${JSON.stringify([head, piece, tail])}: ${more.toFixed(1)} times`;
    }
  }
  return null;
}

const found = {};
for (const [where, source, flags, all] of patterns) {
  const wrong = slow(new RegExp(source, flags), all);
  if (wrong) found[`${where} /${source}/`] = wrong;
}
console.log(JSON.stringify(found));
