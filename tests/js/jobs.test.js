// How a job stands and where it comes in the day: the rules that a phone shares with the city.

import assert from "node:assert/strict";
import { test } from "node:test";
import { endingOf, fold, isDone, ordered, standing } from "../../pwa/static/js/sync/jobs.js";

const job = (ref, more = {}) => ({
  kind: "job", ref, title: {}, group: "tree", state: "assigned", cycle: 1, version: 1, opened: 0, due: 1000, risk: 900,
  lat: 39.6, lon: -71.2, ...more,
});
const op = (t, data = {}) => ({ t, data, device_time: "1970-01-01T00:10:00.000Z" });

test("a promise stands as the city says", () => {
  assert.equal(standing(job("a"), 100), "ok");
  assert.equal(standing(job("a"), 900), "risk");
  assert.equal(standing(job("a"), 1001), "late");
  assert.equal(standing(job("a", { state: "waiting" }), 5000), "wait");
  assert.equal(standing(job("a", { state: "waiting", late: true }), 5000), "late");
  assert.equal(standing(job("a", { state: "closed" }), 5000), "done");
});

test("pending work is replayed on a job without touching it", () => {
  const lamp = Object.freeze(job("a"));
  assert.equal(fold(lamp, op("start")).state, "underway");
  assert.deepEqual(fold(lamp, op("close", { outcome: "fixed" })).done, { outcome: "fixed", at: 600 });
  assert.equal(isDone(fold(lamp, op("make_safe"))), true);
  for (const t of ["make_safe", "needs_parts"]) assert.equal(fold(lamp, op(t)).ended, t, "the word of it is named so");
  assert.equal(isDone(fold(lamp, op("needs_parts"))), true);
  assert.equal(fold(lamp, op("wait", { reason: "utility" })).wait, "utility");
  assert.equal(isDone(fold(lamp, op("note"))), false);
  const waits = (due) => standing(fold(job("a", { due }), op("wait", { reason: "parts" })), 9000);
  assert.deepEqual([waits(599), waits(601)], ["late", "wait"], "what was late stays late");
});

test("danger waits for nothing, until it was made safe", () => {
  const wire = job("a", { urgent: true, state: "underway" });
  for (const t of ["wait", "needs_parts"]) {
    assert.deepEqual(fold(wire, op(t, { reason: "utility" })), { ...wire, pending: true });
    assert.equal(fold({ ...wire, safe: true }, op(t, { reason: "utility" })).state, "waiting");
  }
});

test("what is done lies behind, what waits comes last", () => {
  const jobs = [
    job("late", { due: 10 }), job("waits", { due: 1, state: "waiting" }), job("urgent", { due: 5000, urgent: true }),
    job("done", { state: "closed", done: { outcome: "fixed", at: 50 } }), job("far", { due: 20, lat: 39.7 }),
  ];
  const refs = (how, here = null) => {
    const { done, open } = ordered(jobs, how, 100, here);
    return [...done, ...open].map(({ ref }) => ref);
  };
  assert.deepEqual(refs("due"), ["done", "urgent", "late", "far", "waits"]);
  assert.deepEqual(refs("priority"), ["done", "urgent", "late", "far", "waits"]);
  jobs.push(job("raised", { due: 4000, raised: true }));
  assert.deepEqual(refs("priority").slice(1, 4), ["urgent", "raised", "late"], "what a dispatcher raised goes before");
  assert.deepEqual(refs("nearest", { lat: 39.7, lon: -71.2 }).slice(1, 3), ["urgent", "far"]);
});

test("a job done more than a day ago leaves the list", () => {
  const old = job("a", { state: "closed", done: { outcome: "fixed", at: 0 } });
  assert.deepEqual(ordered([old], "due", 90_000, null), { done: [], open: [] });
});

test("an operation tells which choice led to it", () => {
  assert.equal(endingOf(op("close", { outcome: "fixed" })), "fixed:photo");
  assert.equal(endingOf(op("close", { outcome: "fixed", no_photo: "dark" })), "fixed:dark");
  assert.equal(endingOf(op("close", { outcome: "not ours" })), "not ours");
  assert.equal(endingOf(op("make_safe")), "make_safe");
});
