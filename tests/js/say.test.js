// The crew's own language for what the city told in English.

import assert from "node:assert/strict";
import { test } from "node:test";
import { speaker } from "../../pwa/static/js/crew/phrases.js";

const WORDS = {
  near: "cerca de {place}", off: "a unos {distance} de {place}", corner: "{street} con {other}",
  by_day: "antes del {day}", by_hour: "antes del {day} a las {time}",
};
const FORMATS = {
  tag: "es-US", row: "E, d 'de' MMM", otherYear: "d MMM y", clock: "h:mm\u202fa", hour: "h\u202fa",
  weekdays: { format: ["dom", "lun", "mar", "mié", "jue", "vie", "sáb"] },
  months: { format: ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"] },
  periods: ["a.m.", "p.m."], mostSmall: 1000,
  units: [
    { meters: 0.3048, steps: [[500, 50], [30, 10]], words: { other: "{n}\u00a0ft" } },
    { meters: 1609.344, steps: null, words: { other: "{n}\u00a0mi" } },
  ],
};
const template = {
  dataset: { formats: JSON.stringify(FORMATS) },
  content: {
    querySelectorAll: () =>
      Object.entries(WORDS).map(([word, textContent]) => ({ getAttribute: () => word, textContent })),
  },
};
const { place, promise } = speaker(/** @type {any} */ (template), "es", "America/New_York");

test("words for a point are said in the crew's language, and any other words as they are", () => {
  const said = (/** @type {string} */ address) => place(/** @type {any} */ ({ address }));
  assert.equal(said("near 12 Elm St"), "cerca de 12 Elm St");
  assert.equal(said("about 40 m from 12 Elm St"), "a unos 130\u00a0ft de 12 Elm St");
  assert.equal(said("Elm St at Oak Ave"), "Elm St con Oak Ave");
  assert.equal(said("12 Elm St"), "12 Elm St");
  assert.equal(said("Elm St & Oak Ave"), "Elm St & Oak Ave");
});

test("the hour of a promise is named where working hours are promised", () => {
  const now = Date.UTC(2026, 4, 12, 13, 30);
  const job = { state: "assigned", due: Date.UTC(2026, 4, 14, 17, 30) / 1000, risk: 0 };
  assert.equal(promise(/** @type {any} */ (job), now), "antes del jue,\u00a014\u00a0de\u00a0may");
  assert.equal(promise(/** @type {any} */ ({ ...job, hourly: true }), now), "antes del jue,\u00a014\u00a0de\u00a0may a las 1:30\u00a0p.m.");
});
