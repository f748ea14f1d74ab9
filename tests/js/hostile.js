// Asks patterns over words, all from stdin, and says over which they take too long; test_hostile_words.py calls it.
// Takes {clear: ms, most: times, lengths, patterns: [[where, source, flags, [[head, piece, tail], …]], …]}.

import { readFileSync } from "node:fs";

const { clear, most, lengths, patterns } = JSON.parse(readFileSync(0, "utf8"));

/** Milliseconds. */
function cost(pattern, text) {
  const began = performance.now();
  text.replace(pattern, "");
  return performance.now() - began;
}

/** How much longer one takes than the other: of fifteen times in turn the least of each, which has nothing else in it. */
function times(pattern, whole, half) {
  const least = [Infinity, Infinity];
  for (let n = 0; n < 15; n++) {
    [whole, half].forEach((text, i) => (least[i] = Math.min(least[i], cost(pattern, text))));
  }
  return least[0] / least[1];
}

/** Over what it takes too long, and how much longer than over half of it; null where nothing is found. */
function slow(pattern, all) {
  for (const [head, piece, tail] of all) {
    for (const letters of lengths) {
      const [whole, half] = [letters, letters / 2].map((n) => head + piece.repeat(n / piece.length) + tail);
      if (cost(pattern, whole) < clear) continue;
      const more = times(pattern, whole, half);
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
