// A resident's report without signal: what the form says as an operation, and the part of the store that is theirs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { apart } from "../../pwa/static/js/sync/scoped_store.js";
import { missing, told, toldOnSite } from "../../pwa/static/js/sync/report_op.js";

/** @type {[string, string][]} */
const LAMP = [["group", "light"], ["service-light", "light-out"], ["service-tree", "tree-down"], ["lat", "39.6"], ["lon", "-71.2"], ["accuracy", "8"]];

test("the chip of the chosen tile is what it is, and the phone's fix where", () => {
  const data = told([...LAMP, ["words", " Dark.\r\nSince Monday. "]], "es", "other");
  assert.deepEqual(data, {
    service: "light-out", words: "Dark.\nSince Monday.", lang: "es", lat: 39.6, lon: -71.2, accuracy: 8, answers: {},
  });
  assert.deepEqual(missing(data, []), []);
});

test("an address that was typed goes before what the phone says, as words", () => {
  const data = told([...LAMP, ["place", " 339 Heron Street "]], "en", "other");
  assert.equal(data.address, "339 Heron Street");
  assert.ok(!("lat" in data));
});

test("a pole that was chosen by its number goes along; the point that was put on the map has no accuracy", () => {
  assert.equal(told([...LAMP, ["asset", "20-118"]], "en", "other").asset, "20-118");
  assert.ok(!("asset" in told([...LAMP, ["asset", ""]], "en", "other")));
  const pinned = told([...LAMP.slice(0, -1), ["accuracy", ""], ["pinned", "1"]], "en", "other");
  assert.deepEqual([pinned.lat, "accuracy" in pinned, "source" in pinned], [39.6, false, false]);
  const taken = told([...LAMP, ["pinned", "photo"]], "en", "other");
  assert.deepEqual([taken.lat, taken.accuracy, taken.source], [39.6, 8, "photo"]);
});

test("on site the words name the point where a crew's phone is; a number on the pole may be known", () => {
  const data = toldOnSite([...LAMP, ["place", " Behind the mill "]], "en", "other");
  assert.deepEqual([data.lat, data.address, data.group, "asset" in data], [39.6, "Behind the mill", "light", false]);
  assert.equal(toldOnSite([...LAMP, ["place", "20-118"]], "en", "other").asset, "20-118");
  assert.deepEqual(missing(toldOnSite([["group", "light"], ["service-light", "light-out"]], "en", "other"), []), ["place"]);
});

test("of several choices each goes along", () => {
  const ticked = ["rain", "cold"].map((code) => ["answer-light-out-when", code]);
  const fields = [["group", "streetlight"], ["service-streetlight", "light-out"], ...ticked];
  for (const say of [told, toldOnSite]) assert.deepEqual(say(fields, "en", "other").answers, { when: "rain,cold" });
});

test("whoever called 911 need not say what it is", () => {
  const data = told([["danger", "1"], ["service-other", "other"], ["place", "Pier 4"]], "en", "other");
  assert.deepEqual([data.service, data.danger, missing(data, [])], ["other", true, []]);
});

test("what only its author can say is asked for, in the order of the form", () => {
  assert.deepEqual(missing(told([], "en", "other"), []), ["kind", "place"]);
  const asked = ["answer-light-out-pole", "answer-tree-down-road"];
  assert.deepEqual(missing(told(LAMP, "en", "other"), asked), ["answer-light-out-pole"]);
  const answered = told([...LAMP, ["answer-light-out-pole", "12"], ["answer-tree-down-road", "yes"]], "en", "other");
  assert.deepEqual([answered.answers, missing(answered, asked)], [{ pole: "12" }, []]);
});

test("half a fix is no place", () => {
  assert.deepEqual(missing(told([["group", "light"], ["service-light", "light-out"], ["lat", "39.6"]], "en", "x"), []), ["place"]);
});

test("a resident's waits and counts are not the crew's, and the crew's mirror is not touched", async () => {
  /** @type {Map<string, unknown>} */
  const rows = new Map([["outbox/kv/next_try", 5], ["mirror/jobs/1", "job"]]);
  const whole = /** @type {import("../../pwa/static/js/sync/engine.js").Store} */ ({
    get: async (base, name, key) => rows.get(`${base}/${name}/${key}`),
    all: async (base, name, prefix = "") =>
      [...rows].filter(([key]) => key.startsWith(`${base}/${name}/${prefix}`)).map(([key, value]) => [key.split("/")[2] ?? "", value]),
    write: async (base, changes) => {
      const get = async (name, key) => rows.get(`${base}/${name}/${key}`);
      const all = async () => [...rows.values()];
      for (const [what, name, key, value] of typeof changes === "function" ? await changes(get, all) : changes) {
        if (what === "put") rows.set(`${base}/${name}/${key}`, value);
        else rows.delete(`${base}/${name}/${key}`);
      }
    },
  });
  const own = apart(whole);
  await own.write("outbox", [["put", "kv", "next_try", 9], ["put", "ops", "a", 1]]);
  await own.write("mirror", [["del", "jobs", "1"]]);
  assert.equal(await own.get("outbox", "kv", "next_try"), 9);
  assert.deepEqual(await own.all("outbox", "kv"), [["next_try", 9]]);
  assert.deepEqual(await own.all("mirror", "jobs"), []);
  assert.deepEqual([rows.get("outbox/kv/next_try"), rows.get("outbox/ops/a"), rows.get("mirror/jobs/1")], [5, 1, "job"]);
});
