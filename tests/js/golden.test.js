// The first version of the protocol, kept as files: the phone's own code writes such requests and takes such
// answers. tests/sync/test_golden.py asks the city the same.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { createEngine } from "../../pwa/static/js/sync/engine.js";

const FOLDER = new URL("../golden/sync/", import.meta.url);
const JOB = {
  kind: "job", ref: "26-000001", title: { en: "Streetlight out" }, group: "streetlight", address: "214 Tansy Street",
  state: "assigned", assignment: 1, cycle: 1, version: 2, opened: 0, due: 2e9, risk: 2e9,
};
const LABEL = { title: JOB.title, address: JOB.address };

function memory() {
  const bases = { outbox: new Map(), mirror: new Map() };
  const rows = (base, store) => bases[base].get(store) ?? bases[base].set(store, new Map()).get(store);
  return {
    async get(base, store, key) {
      return structuredClone(rows(base, store).get(key));
    },
    async all(base, store, prefix = "") {
      return [...rows(base, store)].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => [key, structuredClone(value)]);
    },
    async write(base, changes) {
      const get = (store, key) => this.get(base, store, key);
      const all = async (store) => (await this.all(base, store)).map(([, value]) => value);
      const decided = typeof changes === "function" ? await changes(get, all) : changes;
      for (const [what, store, key, value] of decided) {
        if (what === "put") rows(base, store).set(key, structuredClone(value));
        else rows(base, store).delete(key);
      }
    },
  };
}

/** Names and kinds of everything in it; of a list those of its first, and null is as good as anything. */
function shape(told) {
  if (Array.isArray(told)) return told.length ? [shape(told[0])] : [];
  if (told === null || typeof told !== "object") return typeof told;
  return Object.fromEntries(Object.keys(told).sort().map((name) => [name, shape(told[name])]));
}

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".json"))) {
  test(`the phone still speaks and hears ${file}`, async () => {
    const golden = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"));
    const asked = [];
    const now = Date.parse("2026-05-12T13:31:00Z");
    let n = 0;
    const engine = createEngine({
      store: memory(), user: 1, release: "golden", clock: () => now + n * 60_000,
      random: { id: () => `id-${++n}`, fraction: () => 0.5 }, digest: async () => "ab".repeat(32),
      net: {
        async enrol() {
          return { status: 200, json: { device: "d", person: 1, name: "Luis", lang: "en", crews: [] } };
        },
        async exchange(body) {
          asked.push(body);
          const results = golden.answer.results.slice(0, body.ops.length).map((told, i) => ({ ...told, id: body.ops[i].id }));
          return { status: 200, json: { ...golden.answer, nonce: body.nonce, results, want: [] } };
        },
        async piece(shot) {
          return { status: 200, offset: shot.bytes, complete: true, fault: "" };
        },
      },
    });
    const [op] = golden.request.ops;
    if (op?.t === "report") await engine.report(op.data, LABEL);
    else if (op && op.t !== "withdraw") await engine.add(op.t, JOB, op.data);
    n += 10; // later than the time in which it could still be undone
    await engine.sync();
    const [body] = asked;
    assert.deepEqual(Object.keys(body).sort(), Object.keys(golden.request).sort());
    if (op && op.t !== "withdraw") {
      assert.equal(body.ops.length, 1);
      assert.deepEqual(Object.keys(body.ops[0]).sort(), Object.keys(op).sort());
      assert.deepEqual(shape(body.ops[0].data), shape(op.data));
      const [told] = golden.answer.results;
      const { sent, outbox } = await engine.view();
      const entry = [...sent, ...outbox].find((each) => each.op.id === body.ops[0].id);
      assert.ok(entry, "it is in the outbox or among what was sent");
      assert.equal(entry.result?.result, told.result);
    }
    const refs = Object.values(golden.answer.changes).flatMap((news) => news.set.map((job) => job.ref));
    assert.deepEqual((await engine.view()).jobs.map((job) => job.ref).sort(), refs.sort());
  });
}
