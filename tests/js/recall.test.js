// The store that need not read twice what nobody has changed, over a disk that two tabs share.

import assert from "node:assert/strict";
import { test } from "node:test";
import { recall } from "../../pwa/static/js/sync/cached_store.js";

/** A disk, and how often it was read whole. `before` is done when a read of rows begins. */
function disk() {
  /** @type {Map<string, any>} */
  const rows = new Map();
  const here = {
    rows, gets: 0, whole: 0, before: async () => {}, full: false,
    get: async (base, name, key) => {
      here.gets++;
      return structuredClone(rows.get(`${base}/${name}/${key}`));
    },
    all: async (base, name, prefix = "") => {
      here.whole++;
      await here.before();
      const own = [...rows].filter(([key]) => key.startsWith(`${base}/${name}/${prefix}`));
      return own.sort().map(([key, value]) => [key.split("/")[2] ?? "", structuredClone(value)]);
    },
    write: async (base, changes) => {
      const get = (name, key) => here.get(base, name, key);
      const all = async (name) => (await here.all(base, name)).map(([, value]) => value);
      const decided = typeof changes === "function" ? await changes(get, all) : changes;
      if (here.full && decided.some(([what]) => what === "put")) throw new Error("full");
      for (const [what, name, key, value] of decided) {
        if (what === "put") rows.set(`${base}/${name}/${key}`, structuredClone(value));
        else rows.delete(`${base}/${name}/${key}`);
      }
    },
  };
  let n = 0;
  return { here, tab: () => recall(here, () => `mark-${++n}`) };
}

const put = (key, value = {}) => ["put", "ops", key, value];
const keys = async (tab) => (await tab.all("outbox", "ops")).map(([key]) => key);

test("what nobody changed is read once, what this tab wrote not at all", async () => {
  const { here, tab } = disk();
  const own = tab();
  await own.write("outbox", [put("b")]);
  assert.deepEqual(await keys(own), ["b"]);
  await own.write("outbox", [put("a"), ["put", "kv", "n", 2]]);
  await own.write("outbox", async (get) => [put("c", await get("kv", "n")), ["del", "ops", "b"]]);
  assert.deepEqual(await own.all("outbox", "ops"), [["a", {}], ["c", 2]]);
  assert.equal(here.whole, 1);
});

test("what another tab wrote is seen at the next read, and by a write of one's own after it", async () => {
  const { tab } = disk();
  const [one, other] = [tab(), tab()];
  await one.write("outbox", [put("a")]);
  await keys(one);
  await other.write("outbox", [put("b")]);
  assert.deepEqual(await keys(one), ["a", "b"]);
  await other.write("outbox", [["del", "ops", "a"]]);
  await one.write("outbox", [put("c")]);
  assert.deepEqual(await keys(one), ["b", "c"]);
});

test("what is asked in one breath asks the disk once, and in the next breath again", async () => {
  const { here, tab } = disk();
  const [one, other] = [tab(), tab()];
  await one.write("outbox", [put("a"), ["put", "sent", "x", {}], ["put", "photos", "p", {}]]);
  const breath = () => Promise.all(["ops", "sent", "photos"].map((name) => one.all("outbox", name)));
  await breath();
  here.gets = 0;
  await breath();
  assert.equal(here.gets, 1);
  await other.write("outbox", [put("b")]);
  const [ops] = await breath();
  assert.deepEqual(ops?.map(([key]) => key), ["a", "b"]);
});

test("a write that comes between the mark and the rows is not missed", async () => {
  const { here, tab } = disk();
  const [one, other] = [tab(), tab()];
  await one.write("outbox", [put("a")]);
  here.before = async () => {
    here.before = async () => {};
    await other.write("outbox", [put("b")]);
  };
  await keys(one);
  await one.write("outbox", [put("c")]);
  assert.deepEqual(await keys(one), ["a", "b", "c"]);
});

test("a write that failed changes nothing that is read", async () => {
  const { here, tab } = disk();
  const own = tab();
  await own.write("outbox", [put("a")]);
  await keys(own);
  here.full = true;
  await assert.rejects(own.write("outbox", [put("b")]));
  assert.deepEqual(await keys(own), ["a"]);
});

test("on a full disk what only makes room is written, and seen", async () => {
  const { here, tab } = disk();
  const [one, other] = [tab(), tab()];
  await one.write("outbox", [put("a"), put("b"), ["put", "chunks", "reserve", 1]]);
  await keys(other);
  here.full = true;
  await one.write("outbox", [["del", "chunks", "reserve"]]);
  await one.write("outbox", [["del", "ops", "a"]]);
  assert.deepEqual([await keys(one), await keys(other)], [["b"], ["b"]]);
});

test("bytes of photos are not remembered", async () => {
  const { here, tab } = disk();
  const own = tab();
  await own.write("outbox", [["put", "chunks", "a:0000", 1]]);
  await own.all("outbox", "chunks", "a:");
  await own.all("outbox", "chunks", "a:");
  assert.equal(here.whole, 2);
});
