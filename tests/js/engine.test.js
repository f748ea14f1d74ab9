// The outbox and mirror of a crew's phone, with the real engine and everything around it faked.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { test } from "node:test";
import { createEngine, LARGEST, introduce, leave, PIECE, UNDO_MS, Undone, whoIs } from "../../pwa/static/js/sync/engine.js";
import { recall } from "../../pwa/static/js/sync/cached_store.js";
import { RESERVE } from "../../pwa/static/js/sync/storage_reserve.js";

const LAMP = {
  kind: "job", ref: "26-000007", title: { en: "Streetlight out" }, group: "streetlight", address: "214 Tansy Street",
  state: "assigned", assignment: 5, cycle: 1, version: 3, opened: 0, due: 2e9, risk: 2e9,
};

const ROSA = { name: "Rosa", lang: "es", crews: [{ id: 7, name: "Lights 2" }] };

/** Text keys, whole writes one after the other, like the browser's. `breaks` makes the next write fail; one that puts
 * anything does not fit where more than `room` bytes would lie here then. */
function memory() {
  const bases = { outbox: new Map(), mirror: new Map() };
  const rows = (base, store) => bases[base].get(store) ?? bases[base].set(store, new Map()).get(store);
  const size = (value) => value?.byteLength ?? JSON.stringify(value)?.length ?? 0;
  let turn = Promise.resolve();
  return {
    breaks: 0,
    room: Infinity,
    bytes() {
      const all = Object.values(bases).flatMap((base) => [...base.values()].flatMap((store) => [...store.values()]));
      return all.reduce((sum, value) => sum + size(value), 0);
    },
    async get(base, store, key) {
      return structuredClone(rows(base, store).get(key));
    },
    async all(base, store, prefix = "") {
      return [...rows(base, store)].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => [key, structuredClone(value)]);
    },
    write(base, changes) {
      const written = turn.then(() => this.written(base, changes));
      turn = written.catch(() => {});
      return written;
    },
    async written(base, changes) {
      if (this.breaks && this.breaks-- === 1) throw new Error("disk");
      const get = (store, key) => this.get(base, store, key);
      const all = async (store) => (await this.all(base, store)).map(([, value]) => value);
      const decided = typeof changes === "function" ? await changes(get, all) : changes;
      const more = decided.map(([what, , , value]) => (what === "put" ? size(value) : 0)).reduce((a, b) => a + b, 0);
      // As a browser does it: what a write frees is free for the next one.
      if (more && this.bytes() + more > this.room) throw Object.assign(new Error("full"), { name: "QuotaExceededError" });
      for (const [what, store, key, value] of decided) {
        if (what === "put") rows(base, store).set(key, structuredClone(value));
        else rows(base, store).delete(key);
      }
    },
  };
}

/** A city that answers as told; by default it applies everything. */
function city() {
  const here = {
    back: undefined, asked: [], photos: new Map(), jobs: [LAMP], seq: 1, results: {}, epoch: "one", reset: [], auth: "ok", safe: 0,
    person: 1, reply: null, enrolled: 0, stored: new Map(), want: [], scopes: ["crew:7", "user:1"],
    async enrol() {
      here.enrolled++;
      return { status: 200, json: { device: `device-${here.enrolled}`, person: here.person, ...ROSA } };
    },
    async exchange(body) {
      here.asked.push(body);
      if (here.reply) return here.reply(body);
      return { status: 200, json: here.answer(body) };
    },
    answer(body) {
      const results = body.ops.map(({ id }) => {
        const told = here.stored.get(id) ?? { result: "applied", ...here.results[id] };
        if (!["retry", "held"].includes(told.result)) here.stored.set(id, told);
        return { id, ...told };
      });
      const cursor = here.reset.length ? 0 : (body.cursors["crew:7"] ?? 0);
      const changes = cursor < here.seq
        ? { "crew:7": { set: here.jobs, gone: here.gone ?? [], to: here.seq, more: false } } : {};
      return {
        protocol: 1, nonce: body.nonce, epoch: here.epoch, auth: here.auth, scopes: here.scopes, results, changes,
        reset: here.reset, want: here.want, safe: here.safe, lowest: 1, log: here.seq, back: here.back,
      };
    },
    async piece(shot, offset, data) {
      const had = here.photos.get(shot.id) ?? Buffer.alloc(0);
      if (had.length !== offset) return { status: 409, offset: had.length, complete: false, fault: "" };
      const now = Buffer.concat([had, Buffer.from(data)]);
      here.photos.set(shot.id, now);
      return { status: 200, offset: now.length, complete: now.length === shot.bytes, fault: "" };
    },
  };
  return here;
}

function phone({ store = memory(), net = city(), user = 1, ...more } = {}) {
  const time = { now: Date.UTC(2026, 10, 24, 16) };
  let n = 0;
  const random = { id: () => `id-${user}-${++n}`, fraction: () => 0.5 };
  const engine = createEngine({
    store, net, user, release: "test", clock: () => time.now, random, ...more,
    digest: async (data) => createHash("sha256").update(Buffer.from(data)).digest("hex"),
  });
  return { engine, store, net, time, random };
}

const done = { outcome: "fixed", no_photo: "dark" };

/** What somebody sees who reads that this came of it. */
const shown = ({ sent, shots }, id) => [sent.find(({ op }) => op.id === id), shots];

test("a saved closing shows at once, and the mirror stays as it was", async () => {
  const { engine, store } = phone();
  await engine.sync();
  await engine.add("close", LAMP, done);
  const [job] = (await engine.view()).jobs;
  assert.equal(job.state, "closed");
  assert.equal(job.pending, true);
  const [[, row]] = await store.all("mirror", "jobs");
  assert.equal(row.job.state, "assigned");
});

test("it goes out in wire form and leaves with its own result", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  const sent = net.asked.at(-1);
  assert.deepEqual(sent.ops, [op]);
  assert.deepEqual(
    [op.t, op.case, op.assignment, op.cycle, op.base, op.prev, op.n], ["close", LAMP.ref, 5, 1, 3, null, 1],
  );
  const view = await engine.view();
  assert.deepEqual(view.outbox, []);
  assert.equal(view.sent[0].result.result, "applied");
});

test("what follows on a case names what it follows", async () => {
  const { engine } = phone();
  const first = await engine.add("start", LAMP, {});
  const second = await engine.add("close", LAMP, done);
  assert.equal(second.op.prev, first.op.id);
  await engine.sync();
  assert.equal((await engine.add("note", LAMP, { words: "x" })).op.prev, second.op.id);
});

const CUTS = {
  "a hotel's page": (body) => ({ status: 200, json: null }),
  "somebody else's JSON": (body) => ({ status: 200, json: { ok: true } }),
  "an answer to another request": (body, net) => ({ status: 200, json: { ...net.answer(body), nonce: "old" } }),
  "another protocol": (body, net) => ({ status: 200, json: { ...net.answer(body), protocol: 2 } }),
  "a server that broke": () => ({ status: 500, json: { error: "x" } }),
  "nobody logged in": () => ({ status: 401, json: { error: "x" } }),
  "a redirect or no signal": () => { throw new TypeError("network"); },
  "a full quarantine": () => ({ status: 429, json: null, retryAfter: 3600 }),
};
for (const [name, reply] of Object.entries(CUTS)) {
  test(`nothing leaves the outbox after ${name}`, async () => {
    const { engine, net, time } = phone();
    await engine.sync();
    const before = await engine.view();
    await engine.add("close", LAMP, done);
    net.reply = (body) => reply(body, net);
    await engine.sync();
    const view = await engine.view();
    assert.equal(view.outbox.length, 1);
    assert.notEqual(view.problem, "");
    assert.equal(view.updated, before.updated);
    const due = await engine.due();
    assert.ok(due > time.now, "work always has a due time");
    if (name === "a full quarantine") assert.ok(due >= time.now + 3_600_000);
    net.reply = null;
    await engine.sync();
    assert.equal((await engine.view()).outbox.length, 0);
    assert.equal((await engine.view()).problem, "");
  });
}

test("a lost answer is asked for again, and arrives once", async () => {
  const { engine, net } = phone();
  await engine.add("close", LAMP, done);
  net.reply = (body) => { net.answer(body); throw new TypeError("lost"); };
  await engine.sync();
  net.reply = null;
  await engine.sync();
  assert.equal(net.stored.size, 1);
  assert.equal((await engine.view()).sent.length, 1);
});

test("a result for somebody else's operation removes nothing", async () => {
  const { engine, net } = phone();
  await engine.add("close", LAMP, done);
  net.reply = (body) => ({
    status: 200, json: { ...net.answer(body), results: [{ id: "id-of-another", result: "applied" }] },
  });
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 1);
});

test("retry and held stay, and hold up nothing else", async () => {
  const { engine, net } = phone();
  const first = await engine.add("close", LAMP, done);
  const second = await engine.add("note", { ...LAMP, ref: "26-000008" }, { words: "x" });
  net.results[first.op.id] = { result: "held", why: "prev" };
  await engine.sync();
  const view = await engine.view();
  assert.deepEqual(view.outbox.map(({ op }) => op.id), [first.op.id]);
  assert.equal(view.outbox[0].result.result, "held");
  assert.deepEqual(view.sent.map(({ op }) => op.id), [second.op.id]);
  assert.ok((await engine.due()) > 0);
});

test("work whose author may not act now stays with its photo, and new work does not follow it", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(10), "image/jpeg");
  const first = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.results[first.op.id] = { result: "retry", why: "author" };
  await engine.sync();
  const next = await engine.add("close", { ...LAMP, assignment: 6 }, done);
  assert.equal(next.op.prev, null);
  await engine.sync();
  assert.deepEqual((await engine.view()).outbox.map(({ op }) => op.id), [first.op.id]);
  // A day later the city has thrown the photo away, and takes the work.
  net.photos.clear();
  net.want = [shot.id];
  await engine.sync();
  net.want = [];
  net.results = {};
  await engine.sync();
  assert.equal(net.photos.get(shot.id).length, 10);
  assert.deepEqual((await engine.view()).outbox, []);
});

test("a result that is not plain applied is shown until it was seen", async () => {
  const { engine, net } = phone();
  const { op } = await engine.add("close", LAMP, done);
  net.results[op.id] = { result: "recorded", why: "reassigned" };
  await engine.sync();
  assert.equal((await engine.view()).sent[0].seen, false);
  await engine.dismiss(...shown(await engine.view(), op.id));
  assert.equal((await engine.view()).sent[0].seen, true);
});

test("a result that could not be stored leaves the operation where it was", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  await engine.add("close", LAMP, done);
  net.reply = (body) => { store.breaks = 1; return { status: 200, json: net.answer(body) }; };
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 1);
  net.reply = null;
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 0);
});

test("undo takes back what has not gone, with its draft and photos", async () => {
  const { engine, net, time } = phone();
  await engine.sync();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(10).buffer, "image/jpeg");
  const draft = { ending: "fixed:photo", notes: ["New lamp"] };
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot], undo: UNDO_MS, draft });
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops, []);
  assert.equal(await engine.due(), time.now + UNDO_MS);
  assert.equal(await engine.undo(op.id), true);
  const back = await engine.draftOf(LAMP.ref);
  assert.deepEqual([back.draft, back.shots.map(({ id }) => id)], [draft, [shot.id]]);
  assert.equal((await engine.view()).jobs[0].state, "assigned");
});

test("what follows something that may be undone waits for it, and forgets it when it is", async () => {
  const { engine, net, time } = phone();
  await engine.sync();
  const first = await engine.add("start", LAMP, {});
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  const after = await engine.add("note", LAMP, { words: "x" });
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops.map(({ id }) => id), [first.op.id]);
  assert.equal(await engine.due(), time.now + UNDO_MS);
  await engine.undo(op.id);
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops.map(({ id, prev }) => [id, prev]), [[after.op.id, first.op.id]]);
});

test("a clock that ran ten years ahead holds nothing up once it is right", async () => {
  const { engine, net, time } = phone();
  await engine.sync();
  const today = time.now;
  time.now += 10 * 365 * 86_400_000;
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  net.reply = () => ({ status: 500, json: null });
  await engine.sync();
  net.reply = null;
  time.now = today;
  assert.ok((await engine.due()) <= today);
  assert.equal(await engine.undo(op.id), false);
  await engine.sync();
  assert.deepEqual((await engine.view()).outbox, []);
});

test("a disk that takes nothing ends a sync quietly, and it is tried again later", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  await engine.add("close", LAMP, done);
  const write = store.write;
  store.write = async () => { throw new Error("full"); };
  net.reply = () => ({ status: 500, json: null });
  await engine.sync();
  assert.ok((await engine.due()) > time.now);
  store.write = write;
  net.reply = null;
  await engine.sync();
  assert.deepEqual((await engine.view()).outbox, []);
});

test("it is too late to undo also where the disk took the ten seconds to be read", async () => {
  const { engine, store, time } = phone();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  const all = store.all;
  store.all = async (...asked) => {
    time.now += UNDO_MS;
    return all.apply(store, asked);
  };
  assert.equal(await engine.undo(op.id), false);
  store.all = all;
  assert.deepEqual((await engine.view()).outbox.map((entry) => entry.op.id), [op.id]);
});

test("what is kept has the photos of that moment, whatever the form is given meanwhile", async () => {
  const { engine } = phone();
  const [one, late] = [await engine.keepPhoto(LAMP.ref, new ArrayBuffer(8), "image/jpeg"),
    await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg")];
  const shots = [one];
  const kept = engine.add("close", LAMP, done, { photos: shots });
  shots.push(late);
  const { op } = await kept;
  assert.deepEqual(op.photos.map(({ id }) => id), [one.id]);
  assert.deepEqual((await engine.view()).shots.filter((shot) => shot.op).map(({ id }) => id), [one.id]);
});

test("an answer that comes as an older one is read stays to be read", async () => {
  const { engine, store } = phone();
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  const entry = await store.get("outbox", "sent", op.id);
  const read = engine.dismiss(...shown(await engine.view(), op.id));
  const answered = store.write("outbox", [["put", "sent", op.id, { ...entry, seen: false, result: { id: op.id, result: "recorded" } }]]);
  await Promise.all([read, answered]);
  const [now] = (await engine.view()).sent;
  assert.deepEqual([now.seen, now.result.result], [false, "recorded"]);
});

test("what came since it was shown stays to be read", async () => {
  const { engine, store, net } = phone();
  const shots = [];
  for (let i = 0; i < 2; i++) shots.push(await engine.keepPhoto(LAMP.ref, new ArrayBuffer(8 + i), "image/jpeg"));
  const { op } = await engine.add("close", LAMP, done, { photos: shots });
  net.results[op.id] = { result: "recorded", why: "closed" };
  await engine.sync();
  const before = shown(await engine.view(), op.id);
  await store.write("outbox", [["put", "photos", shots[1].id, { ...shots[1], op: op.id, refused: "not_a_photo" }]]);
  await engine.dismiss(...before);
  assert.equal((await engine.view()).sent[0].seen, false);
  for (const other of [{ why: "reassigned" }, { result: "merged" }]) {
    await engine.dismiss({ ...before[0], result: { ...before[0].result, ...other } }, (await engine.view()).shots);
    assert.equal((await engine.view()).sent[0].seen, false);
  }
  await engine.dismiss(...shown(await engine.view(), op.id));
  assert.equal((await engine.view()).sent[0].seen, true);
});

/** A closing that went and of which we heard nothing, on a phone whose clock is moved before and after, and whose disk
 * broke for as long. */
async function unheard(before, after, breaks = () => {}) {
  const { engine, store, net, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  time.now += before;
  const { written } = store;
  breaks(store);
  net.reply = () => ({ status: 502, json: null });
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops.map(({ id }) => id), [op.id]);
  Object.assign(store, { room: Infinity, written });
  time.now += after;
  return { engine, op };
}

test("what went too soon, by a clock that was set back, is not undone when that is put right", async () => {
  const { engine, op } = await unheard(-UNDO_MS * 6, UNDO_MS * 6 + 1_000);
  assert.equal(await engine.undo(op.id), false);
  const [entry] = (await engine.view()).outbox;
  assert.ok(engine.mayWithdraw(entry, [entry]));
});

test("what went in time is not undone by a clock that is set back", async () => {
  const { engine, op } = await unheard(UNDO_MS, -UNDO_MS / 2);
  assert.equal(await engine.undo(op.id), false);
});

const BROKEN = async () => { throw new DOMException("broken", "UnknownError"); };
const DISKS = { "is full": (store) => (store.room = store.bytes()), "takes nothing": (store) => (store.written = BROKEN) };
for (const [name, breaks] of Object.entries(DISKS)) {
  test(`where the disk ${name} work goes all the same, and is not undone on that page`, async () => {
    const { engine, op } = await unheard(UNDO_MS, -UNDO_MS / 2, breaks);
    assert.equal(await engine.undo(op.id), false);
  });
}

test("a disk that calls itself full even where nothing is put holds work back for three rounds", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  time.now += UNDO_MS;
  net.reply = () => ({ status: 502, json: null });
  const { written } = store;
  store.written = async () => { throw new DOMException("full", "QuotaExceededError"); };
  const sent = () => net.asked.flatMap(({ ops }) => ops.map(({ id }) => id));
  for (let round = 0; round < 3; round++, time.now += 3_600_000) await engine.sync();
  assert.deepEqual(sent(), []);
  await engine.sync();
  assert.deepEqual(sent(), [op.id]);
  store.written = written;
  await engine.sync();
  assert.equal(await store.get("outbox", "drafts", `undo:${op.id}`), undefined, "the disk is told once it listens");
  const later = await engine.add("note", LAMP, { words: "x" }, { undo: UNDO_MS });
  time.now += UNDO_MS;
  store.written = async () => { throw new DOMException("full", "QuotaExceededError"); };
  await engine.sync();
  assert.equal(sent().includes(later.op.id), false, "a disk that had room is waited for anew");
});

test("on a disk that takes nothing what another tab took back is not sent", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  time.now += UNDO_MS;
  const { written } = store;
  store.written = async () => {
    await written.call(store, "outbox", [["del", "ops", op.id]]);
    return BROKEN();
  };
  await engine.sync();
  assert.deepEqual(net.asked.flatMap(({ ops }) => ops), []);
});

test("a report that another tab took back as it was about to go, and that is saved again, can be undone", async () => {
  const { engine, store, time } = phone();
  await engine.sync();
  const more = { id: "own", undo: UNDO_MS, draft: { id: "own", fields: [] }, draftOf: "report" };
  await engine.report({ service: "light-out" }, SPARKS, more);
  const tab = phone({ store });
  const { all } = store;
  store.all = async (...args) => {
    const rows = await all.apply(store, args);
    if (args[1] === "photos") {
      store.all = all;
      assert.equal(await tab.engine.undo("own"), true);
    }
    return rows;
  };
  time.now += UNDO_MS;
  await engine.sync();
  await engine.report({ service: "light-out", words: "Sparks" }, SPARKS, more);
  assert.equal(await engine.undo("own"), true);
});

test("where the disk is full no tab undoes what went, nor one whose handle was taken away", async () => {
  for (const breaks of [(store) => (store.room = store.bytes()), (store) => (store.breaks = 1)]) {
    const { engine, store, net, time } = phone();
    await engine.sync();
    const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
    time.now += UNDO_MS;
    breaks(store);
    net.reply = () => ({ status: 502, json: null });
    await engine.sync();
    assert.equal(net.asked.at(-1).ops[0].id, op.id);
    assert.ok(await store.get("outbox", "chunks", "reserve"));
    store.room = Infinity;
    time.now -= UNDO_MS / 2;
    assert.equal(await phone({ store }).engine.undo(op.id), false);
  }
});

test("what another tab takes back as it is about to go does not go", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  const first = await engine.add("start", LAMP, {}, { undo: UNDO_MS });
  const { op } = await engine.add("close", LAMP, done);
  time.now += UNDO_MS;
  const { all } = store;
  store.all = async (base, name, prefix) => {
    const rows = await all.call(store, base, name, prefix);
    if (name === "ops") await store.write("outbox", [["del", "ops", first.op.id]]);
    return rows;
  };
  await engine.sync();
  assert.deepEqual(net.asked.flatMap(({ ops }) => ops.map(({ id }) => id)), [op.id]);
});

for (const [one, other] of [[0, 1], [1, 0]]) {
  test(`what followed two that are taken back at once follows neither, the ${one ? "later" : "earlier"} first`, async () => {
    const { engine } = phone();
    await engine.sync();
    const moves = [];
    for (const t of ["start", "pause"]) moves.push((await engine.add(t, LAMP, {}, { undo: UNDO_MS })).op.id);
    await engine.add("close", LAMP, done, { undo: UNDO_MS });
    assert.deepEqual(await Promise.all([engine.undo(moves[one]), engine.undo(moves[other])]), [true, true]);
    assert.deepEqual((await engine.view()).outbox.map(({ op }) => [op.t, op.prev]), [["close", null]]);
  });
}

test("what is done as something is taken back does not follow that", async () => {
  for (const taken of [true, false]) {
    const { engine } = phone();
    await engine.sync();
    const { op } = await engine.add("start", LAMP, {}, { undo: UNDO_MS });
    const undo = () => engine.undo(op.id), close = () => engine.add("close", LAMP, done);
    await Promise.all(taken ? [undo(), close()] : [close(), undo()]);
    assert.deepEqual((await engine.view()).outbox.map((each) => [each.op.t, each.op.prev]), [["close", null]]);
  }
});

test("what two tabs take back at once goes once, and comes back as one draft", async () => {
  const { engine } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS, draft: { ending: "fixed:dark", notes: [] } });
  assert.deepEqual((await Promise.all([engine.undo(op.id), engine.undo(op.id)])).sort(), [false, true]);
  assert.equal((await engine.draftOf(LAMP.ref)).draft.ending, "fixed:dark");
});

test("after ten seconds it is too late to undo", async () => {
  const { engine, time } = phone();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  time.now += UNDO_MS;
  assert.equal(await engine.undo(op.id), false);
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 0);
});

test("photos go after, in pieces, and from where they stopped", async () => {
  const { engine, net } = phone();
  const bytes = new Uint8Array(PIECE * 2 + 77).map((_, i) => i % 251);
  const shot = await engine.keepPhoto(LAMP.ref, bytes.buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.photos.set(shot.id, Buffer.from(bytes.slice(0, PIECE))); // what came through before the tunnel
  await engine.sync();
  assert.deepEqual(new Uint8Array(net.photos.get(shot.id)), bytes);
  assert.equal(net.asked.at(-1).ops[0].photos[0].sha256, shot.sha256);
  assert.equal((await engine.view()).outbox.length, 0);
});

test("a photo arrives on a line that is too slow for a whole piece, and on a good one in few requests", async () => {
  const bytes = new Uint8Array(PIECE + 150_000).map((_, i) => i % 251);
  const sent = async (/** @type {number} */ perSecond) => {
    const { engine, net, time } = phone();
    const { piece } = net;
    const requests = { answered: 0, cut: 0 };
    net.piece = async (shot, offset, data) => {
      const took = (data.byteLength / perSecond) * 1_000;
      time.now += Math.min(took, 30_000);
      requests[took > 30_000 ? "cut" : "answered"]++;
      if (took > 30_000) throw new DOMException("no end", "AbortError");
      return piece(shot, offset, data);
    };
    const shot = await engine.keepPhoto(LAMP.ref, bytes.buffer, "image/jpeg");
    await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
    for (let i = 0; i < 4 && (await engine.due()) !== null; i++) await engine.sync();
    assert.deepEqual(new Uint8Array(net.photos.get(shot.id) ?? []), bytes);
    assert.equal((await engine.view()).problem, "");
    return requests;
  };
  assert.deepEqual(await sent(500_000), { answered: 5, cut: 0 });
  assert.deepEqual(await sent(7_000), { answered: 8, cut: 0 }); // 56 kbit/s
  const { cut } = await sent(1_000);
  assert.equal(cut, 2);
});

test("a run that ends before a second part goes on where the last one ended, in a page opened anew too", async () => {
  const bytes = new Uint8Array(60_000).map((_, i) => i % 251);
  const net = city();
  const { piece, exchange } = net;
  const store = memory();
  const opened = () => {
    let ends = 0;
    const { engine, time } = phone({ store, net, lock: async (work) => {
      ends = time.now + 30_000;
      await work(() => time.now >= ends);
      return true;
    } });
    net.exchange = async (body) => {
      time.now += 5_000; // of the run's 30
      return exchange(body);
    };
    net.piece = async (shot, offset, data) => {
      const took = (data.byteLength / 600) * 1_000; // 5 kbit/s
      time.now += Math.min(took, 30_000);
      if (took > 30_000) throw new DOMException("no end", "AbortError");
      return piece(shot, offset, data);
    };
    return engine;
  };
  let engine = opened();
  const shot = await engine.keepPhoto(LAMP.ref, bytes.buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  const lengths = [];
  for (let i = 0; i < 12; i++) {
    if (i === 6) engine = opened();
    await engine.sync();
    lengths.push(net.photos.get(shot.id)?.length ?? 0);
  }
  assert.deepEqual(new Uint8Array(net.photos.get(shot.id)), bytes, String(lengths));
});

test("a photo that the city misses is sent again", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  await engine.sync();
  net.photos.clear(); // it lost them
  net.want = [shot.id];
  await engine.sync();
  assert.equal(net.photos.has(shot.id), true);
  assert.equal((await engine.view()).outbox.length, 0);
});

test("a photo that is none is shown to the crew and holds up nothing", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  const bad = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  await engine.add("close", { ...LAMP, ref: "26-000008" }, done);
  net.piece = async () => ({ status: 422, offset: 0, complete: false, fault: "not_a_photo" });
  await engine.sync();
  const view = await engine.view();
  assert.deepEqual(view.outbox, []);
  assert.deepEqual(view.sent.filter(({ seen }) => !seen).map(({ op }) => op.id), [bad.op.id]);
  assert.equal(view.shots[0].refused, "not_a_photo");
});

test("a photo that is none is sent again where the city asks for it: it lost that it could not read it", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  let asked = 0;
  net.piece = async () => (asked++, { status: 422, offset: 0, complete: false, fault: "not_a_photo" });
  await engine.sync();
  net.want = [shot.id];
  net.reply = (body) => {
    const json = net.answer(body);
    net.want = [];
    return { status: 200, json };
  };
  await engine.sync();
  await engine.sync();
  assert.equal(asked, 2);
  assert.equal((await engine.view()).shots[0].refused, "not_a_photo");
});

test("signed out, a photo that the city does not know of holds up no other", async () => {
  const { engine, net } = phone();
  const piece = net.piece;
  const shots = [];
  for (const ref of ["26-000007", "26-000008", "26-000009"]) {
    const shot = await engine.keepPhoto(ref, new Uint8Array(9).buffer, "image/jpeg");
    await engine.add("close", { ...LAMP, ref }, { outcome: "fixed" }, { photos: [shot] });
    shots.push(shot);
  }
  net.auth = "login";
  let bytes = 0;
  net.piece = async (shot, offset, data) => {
    if (shot.id === shots[2].id) return piece(shot, offset, data);
    bytes += data.byteLength;
    return { status: 401, offset: 0, complete: false, fault: "" };
  };
  await engine.sync();
  assert.equal((await engine.view()).problem, "login");
  assert.deepEqual([...net.photos.keys()], [shots[2].id]);
  assert.equal(bytes, 0); // they were asked about without their bytes
});

test("of a photo that is none the crew hears also where its operation is answered after it", async () => {
  const { engine, net, time } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.results[op.id] = { result: "held" };
  net.piece = async () => ({ status: 422, offset: 0, complete: false, fault: "not_a_photo" });
  await engine.sync();
  assert.equal((await engine.view()).shots[0].refused, "not_a_photo");
  net.results[op.id] = { result: "applied" };
  time.now += 120_000;
  await engine.sync();
  assert.equal((await engine.view()).sent[0].seen, false);
});

test("a photo that was all there when the city broke off is asked to be looked at, and not given up", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(2 * PIECE).buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.photos.set(shot.id, Buffer.alloc(2 * PIECE));
  await engine.sync();
  const [{ uploaded, refused }] = (await engine.view()).shots;
  assert.deepEqual([uploaded, refused], [true, undefined]);
});

test("a city whose memory went back is sent once more what it could not read, after its operation", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  let tries = 0;
  net.piece = async () => (tries++, { status: 422, offset: 0, complete: false, fault: "not_a_photo" });
  await engine.sync();
  net.back = 0;
  net.stored.clear();
  net.results[op.id] = { result: "retry", why: "back" };
  await engine.sync();
  assert.equal(tries, 1);
  net.back = undefined;
  net.results = {};
  await engine.sync();
  assert.equal(tries, 2);
  assert.equal((await engine.view()).shots[0].refused, "not_a_photo");
});

test("an operation is not held back for its photo, and photos that wait have a due time", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  const piece = net.piece;
  net.piece = async () => { throw new TypeError("the signal went"); };
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 0);
  assert.ok((await engine.due()) > 0);
  net.piece = piece;
  await engine.sync();
  assert.equal(net.photos.get(shot.id).length, 9);
  assert.equal(await engine.due(), null);
});

test("another user neither sees nor sends what is not theirs", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  await engine.add("close", LAMP, done);
  const other = phone({ store, net, user: 2 });
  net.person = 2;
  assert.deepEqual((await other.engine.view()).jobs, []);
  net.scopes = ["crew:8", "user:2"];
  net.jobs = [];
  await other.engine.sync();
  assert.deepEqual(net.asked.at(-1).ops, []);
  assert.deepEqual((await other.engine.view()).outbox, []);
  assert.deepEqual(await store.all("mirror", "jobs"), []);
  assert.equal((await engine.view()).outbox.length, 1);
});

test("the engine of one user never sends in another's session, and the phone opens for the other", async () => {
  const { engine, store, net } = phone();
  net.person = 2;
  await engine.add("close", LAMP, done);
  await engine.sync();
  assert.equal(net.asked.length, 0);
  assert.equal((await engine.view()).problem, "switched");
  assert.equal((await whoIs(store)).person, 2);
  assert.equal((await engine.view()).outbox.length, 1);
});

test("the phone knows without signal who uses it", async () => {
  const { store, net } = phone();
  assert.equal(await whoIs(store), null);
  const { who } = await introduce({ store, net });
  assert.deepEqual(await whoIs(store), who);
  assert.deepEqual(who, { person: 1, name: "Rosa", lang: "es", crews: [{ id: 7, name: "Lights 2" }] });
});

test("nobody logged in, no signal and a hotel's page each say so, and keep nobody", async () => {
  const { store, net } = phone();
  for (const [reply, problem] of [[{ status: 401, json: null }, "login"], [{ status: 200, json: null }, "portal"]]) {
    net.enrol = async () => reply;
    await assert.rejects(introduce({ store, net }), { problem });
  }
  net.enrol = async () => { throw new TypeError("no signal"); };
  await assert.rejects(introduce({ store, net }), { problem: "offline" });
  assert.equal(await whoIs(store), null);
});

test("a code turns the phone into somebody's; a wrong one changes nothing", async () => {
  const { store, net, random } = phone();
  net.enrol = async (code) =>
    code === "ABCD3467" ? { status: 200, json: { device: "d", person: 4, ...ROSA } } : { status: 422, json: null };
  await assert.rejects(introduce({ store, net, random }, "ABCD3466"), { problem: "code" });
  assert.equal(await whoIs(store), null);
  await introduce({ store, net, random }, "ABCD3467");
  assert.equal((await whoIs(store)).person, 4);
});

test("a code whose answer was lost is sent again under the same name, and the next one under another", async () => {
  const { store, net, random } = phone();
  const heard = [];
  const answer = { status: 200, json: { device: "d", person: 4, ...ROSA } };
  net.enrol = async (_code, attempt) => {
    heard.push(attempt);
    if (heard.length === 1) throw new TypeError("the answer was lost");
    return answer;
  };
  await assert.rejects(introduce({ store, net, random }, "ABCD3467"), { problem: "offline" });
  await introduce({ store, net, random }, "ABCD3467");
  await introduce({ store, net, random }, "ABCD3469");
  await introduce({ store, net, random });
  assert.ok(heard[0]);
  assert.equal(heard[1], heard[0]);
  assert.notEqual(heard[2], heard[0]);
  assert.equal(heard[3], undefined, "who is logged in types no code");
});

test("handing the phone on leaves nothing of the city's and all of the work", async () => {
  const { engine, store } = phone();
  await engine.sync();
  await engine.add("close", LAMP, done);
  await leave(store);
  assert.equal(await whoIs(store), null);
  assert.deepEqual([await store.all("mirror", "jobs"), await store.all("mirror", "kv")], [[], [["wiped", 1]]]);
  assert.equal((await engine.view()).outbox.length, 1);
});

test("a job that was taken away is wiped, and its work stays", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  net.results[op.id] = { result: "held", why: "prev" };
  net.seq = 2;
  net.jobs = [];
  net.gone = [{ kind: "job", ref: LAMP.ref, why: "reassigned" }];
  await engine.sync();
  assert.deepEqual(await store.all("mirror", "jobs"), []);
  assert.equal((await engine.view()).outbox.length, 1);
});

test("what is in no scope any more is wiped", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  net.scopes = ["user:1"];
  await engine.sync();
  assert.deepEqual(await store.all("mirror", "jobs"), []);
});

test("a city whose memory went back gets everything again", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  net.stored.clear();
  Object.assign(net, { epoch: "two", reset: ["crew:7", "user:1"], back: 0, seq: 1 });
  net.reply = (body) => {
    const json = net.answer(body);
    Object.assign(net, { reset: [], back: undefined });
    return { status: 200, json };
  };
  await engine.sync();
  await engine.sync();
  assert.equal(net.stored.has(op.id), true);
  assert.equal((await engine.view()).outbox.length, 0);
});

test("how far the log went when work was taken is told although the mirror lags behind", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  net.seq = 9;
  await engine.add("close", LAMP, done);
  await engine.sync();
  // The disk failed after the result was stored and before the news were.
  await store.write("mirror", [["put", "kv", "cursors", { "crew:7": 1 }]]);
  await engine.sync();
  const { epoch, cursors, heard } = net.asked.at(-1);
  assert.deepEqual([epoch, cursors, heard], ["one", { "crew:7": 1 }, { epoch: "one", upto: 9 }]);
});

test("that the city's memory went back is seen by whoever comes back to a phone that another used", async () => {
  const { engine, store, net } = phone();
  net.seq = 5;
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  const other = phone({ store, net, user: 2 });
  net.person = 2;
  await other.engine.sync();
  net.person = 1;
  await engine.sync();
  const { epoch, cursors, heard } = net.asked.at(-1);
  assert.deepEqual([epoch, cursors, heard], ["", {}, { epoch: "one", upto: 5 }]);
  net.back = 0;
  net.reply = (body) => {
    net.reply = null;
    return { status: 200, json: net.answer(body) };
  };
  await engine.sync();
  assert.deepEqual((await engine.view()).outbox.map((entry) => entry.op.id), [op.id]);
});

for (const auth of ["login", "disabled", "revoked"]) {
  test(`what the city put by for somebody who is ${auth} is sent again after a restore`, async () => {
    const { engine, net } = phone();
    net.seq = 5;
    await engine.sync();
    Object.assign(net, { auth, scopes: [], seq: 6 });
    net.reply = (body) => ({ status: 200, json: { ...net.answer(body), changes: {} } });
    const { op } = await engine.add("close", LAMP, done);
    net.results[op.id] = { result: "deposited", why: auth };
    await engine.sync();
    assert.deepEqual((await engine.view()).outbox, []);
    await engine.sync();
    assert.deepEqual(net.asked.at(-1).heard, { epoch: "one", upto: 6 });
    const before = net.asked.length;
    net.reply = (body) => {
      const json = { ...net.answer(body), changes: {}, epoch: "two", back: body.heard.epoch === "one" ? 6 : undefined };
      return { status: 200, json };
    };
    await engine.sync();
    await engine.sync();
    assert.deepEqual(net.asked.slice(before).flatMap(({ ops }) => ops), [op]);
  });
}

test("what a restore lost is sent again although another backup was made before the phone came back", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const sent = [];
  for (const seq of [4, 9]) {
    net.seq = seq;
    sent.push((await engine.add("note", LAMP, { words: `at ${seq}` })).op);
    await engine.sync();
  }
  Object.assign(net, { epoch: "two", back: 5, seq: 30, safe: 20 }); // it went back to 4, and has grown since
  const before = net.asked.length;
  net.reply = (body) => {
    const json = net.answer(body);
    net.back = undefined;
    return { status: 200, json };
  };
  await engine.sync();
  await engine.sync();
  assert.deepEqual(net.asked.slice(before).flatMap(({ ops }) => ops), [sent[1]]);
});

test("whoever was told in the same epoch that the memory went back is told so once", async () => {
  const { engine, net } = phone();
  Object.assign(net, { seq: 9 });
  net.reply = (body) => ({ status: 200, json: { ...net.answer(body), mark: net.mark } });
  net.mark = "other";
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).heard, { epoch: "one", upto: 9, mark: "other" });
  Object.assign(net, { back: 0, seq: 5, mark: "this" }); // an older copy, and no server started since
  const before = net.asked.length;
  await engine.sync();
  net.back = undefined;
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).heard, { epoch: "one", upto: 5, mark: "this" });
  assert.deepEqual(net.asked.slice(before).flatMap(({ ops }) => ops), [op]);
});

test("what is sent again after a restore waits like any other work", async () => {
  const { engine, net } = phone();
  net.results = { "id-1-1": { result: "recorded", why: "closed" } };
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  Object.assign(net, { back: 0, stored: new Map(), results: { [op.id]: { result: "retry", why: "back" } } });
  await engine.sync();
  const [entry] = (await engine.view()).outbox;
  assert.deepEqual([entry.op.id, entry.at], [op.id, undefined]);
  assert.ok(engine.mayWithdraw(entry, [entry]));
});

test("of what two tabs hear at once nothing is lost, in either order, also where a restore came between", async () => {
  for (const epoch of ["one", "two"]) {
    for (const isLast of [false, true]) {
      const { engine, store, net } = phone();
      net.seq = 3;
      await engine.sync();
      const tab = phone({ store });
      await engine.add("close", LAMP, done);
      net.seq = 4; // the city has it there
      Object.assign(tab.net, { epoch, seq: 3 }); // that was before, or it has forgotten
      tab.net.reply = (body) => ({ status: 200, json: tab.net.answer({ ...body, ops: [] }) });
      const [first, second] = isLast ? [engine, tab.engine] : [tab.engine, engine];
      const [one, two] = isLast ? [net, tab.net] : [tab.net, net];
      const exchanges = [one.exchange, two.exchange];
      let asked, heard;
      const both = new Promise((done) => (asked = done));
      one.exchange = async (body) => (await both, exchanges[0](body));
      two.exchange = async (body) => (asked(), await heard, exchanges[1](body));
      heard = first.sync();
      await second.sync();
      assert.deepEqual(await store.get("outbox", "kv", "heard:1"), { epoch: "one", upto: 4 }, `${epoch} ${isLast}`);
    }
  }
});

test("whoever the city does not know is not told how far its log goes, and has heard no more than before", async () => {
  const { engine, net } = phone();
  net.seq = 5;
  await engine.add("close", LAMP, done);
  await engine.sync();
  Object.assign(net, { auth: "login", epoch: "two" });
  net.reply = (body) => ({ status: 200, json: { ...net.answer(body), changes: {}, log: undefined, back: undefined } });
  await engine.sync();
  net.auth = "ok";
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).heard, { epoch: "one", upto: 5 });
});

test("a photo that came after its operation is kept until the city says that the photo is safe", async () => {
  const { engine, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.seq = 5;
  await engine.sync(); // the operation at 5, its photo after that
  Object.assign(net, { seq: 8, safe: 7 });
  await engine.sync();
  await engine.sync();
  assert.equal((await engine.bytesOf(shot)).length, 1);
  net.safe = 9;
  await engine.sync();
  assert.equal((await engine.bytesOf(shot)).length, 0);
});

test("so it is for a photo that the city could not read: a restore may forget that it could not", async () => {
  const { engine, store, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.piece = async () => ({ status: 422, offset: 0, complete: false, fault: "not_a_photo" });
  net.seq = 5;
  await engine.sync(); // the operation at 5, what became of its photo after that
  await engine.dismiss(...shown(await engine.view(), op.id));
  Object.assign(net, { seq: 8, safe: 7 });
  await engine.sync();
  await engine.sync();
  assert.equal((await engine.view()).sent.length, 1);
  net.safe = 9;
  await engine.sync();
  assert.deepEqual([await store.all("outbox", "photos"), (await engine.view()).sent], [[], []]);
});

test("work is kept until the city says that it is safe", async () => {
  const { engine, store, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array(9).buffer, "image/jpeg");
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.seq = 5;
  await engine.sync();
  await engine.sync();
  assert.equal((await engine.bytesOf(shot)).length, 1);
  net.safe = 6;
  await engine.sync();
  assert.deepEqual([await engine.bytesOf(shot), await store.all("outbox", "sent")], [[], []]);
});

test("one that is small and met a 413 all the same is tried again", async () => {
  const { engine, net, time } = phone();
  await engine.add("close", LAMP, done);
  net.reply = () => ({ status: 413, json: null });
  await engine.sync();
  assert.ok((await engine.due()) > time.now);
  net.reply = null;
  await engine.sync();
  assert.deepEqual((await engine.view()).outbox, []);
});

test("413 halves the batch; one alone too large stays and is named", async () => {
  const { engine, net } = phone();
  const words = (i) => (i === 2 ? "x".repeat(LARGEST) : "x");
  for (let i = 0; i < 4; i++) await engine.add("note", { ...LAMP, ref: `26-00000${i}` }, { words: words(i) });
  const sizes = [];
  net.reply = (body) => {
    sizes.push(body.ops.length);
    const bad = body.ops.some(({ case: ref }) => ref === "26-000002");
    return bad ? { status: 413, json: { error: "too_large" } } : { status: 200, json: net.answer(body) };
  };
  await engine.sync();
  const view = await engine.view();
  assert.deepEqual(sizes.slice(0, 2), [4, 2]);
  assert.deepEqual(view.outbox.map(({ op, too_large }) => [op.case, too_large]), [["26-000002", true]]);
});

test("429 sends fewer at once, until they pass or one alone must wait", async () => {
  const { engine, net, time } = phone();
  for (let i = 0; i < 12; i++) await engine.add("note", { ...LAMP, ref: `26-0000${10 + i}` }, { words: "x" });
  let room = 10;
  net.reply = ({ ops, ...body }) => {
    if (ops.length > room) return { status: 429, json: null, retryAfter: 3600 };
    room -= ops.length;
    return { status: 200, json: net.answer({ ops, ...body }) };
  };
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 2);
  assert.ok((await engine.due()) >= time.now + 3_600_000);
  room = 10;
  await engine.sync();
  assert.deepEqual([(await engine.view()).outbox, net.stored.size], [[], 12]);
  assert.equal(net.asked.at(-1).ops.length, 2, "the next ones go together again");
});

test("a photo that nobody waits for holds up no other, and goes where the city asks for it after all", async () => {
  const { engine, net } = phone();
  const shots = await Promise.all([1, 2].map((n) => engine.keepPhoto(LAMP.ref, new Uint8Array([n]).buffer, "image/jpeg")));
  await engine.add("close", LAMP, done, { photos: shots });
  const piece = net.piece;
  net.piece = (shot, ...told) => (shot.id === shots[0].id ? { status: 404, offset: 0, complete: false, fault: "unknown" } : piece(shot, ...told));
  await engine.sync();
  const view = await engine.view();
  assert.equal(view.problem, "");
  assert.deepEqual(view.shots.map(({ uploaded, refused }) => [uploaded, refused]), [[false, "unwanted"], [true, undefined]]);
  Object.assign(net, { piece, want: [shots[0].id] });
  await engine.sync();
  assert.equal(net.photos.size, 2);
});

test("two tabs that keep the same report at once keep it once, and it follows nothing", async () => {
  const { engine, net } = phone();
  const more = { id: "00000000-0000-4000-8000-000000000311" };
  const kept = await Promise.all([1, 2].map(() => engine.report({ service: "light-out" }, SPARKS, more)));
  assert.deepEqual(kept.map(({ op }) => [op.id, op.prev, op.n]), [[more.id, null, 1], [more.id, null, 1]]);
  await engine.sync();
  await engine.report({ service: "light-out" }, SPARKS, more);
  await engine.sync();
  assert.equal(net.asked.flatMap(({ ops }) => ops).length, 1);
});

for (const gone of [false, true]) {
  test(`a form that was kept ${gone ? "and went " : ""}in another tab is kept beside that where it says more`, async () => {
    const { engine, net } = phone();
    const more = { id: "00000000-0000-4000-8000-000000000311", draftOf: "report" };
    await engine.keepDraft("report", { id: more.id });
    await engine.report({ service: "light-out" }, SPARKS, more);
    if (gone) await engine.sync();
    await engine.keepDraft("report", { id: more.id, fields: [["words", "It hums."]] });
    const shot = await engine.keepPhoto("report", new ArrayBuffer(9), "image/jpeg");
    const again = await engine.report({ service: "light-out", words: "It hums." }, SPARKS, { ...more, photos: [shot] });
    assert.notEqual(again.op.id, more.id);
    assert.deepEqual([again.op.case, again.op.prev, again.op.photos.length], [again.op.id, null, 1]);
    assert.deepEqual(await engine.draftOf("report"), { draft: null, shots: [] });
    await engine.sync();
    assert.deepEqual(net.asked.flatMap(({ ops }) => ops.map(({ data }) => data.words)), [undefined, "It hums."]);
    assert.equal(net.photos.get(shot.id).length, 9);
  });
}

test("a form that was kept in another tab is no draft any more", async () => {
  const { engine } = phone();
  const more = { id: "00000000-0000-4000-8000-000000000311", draftOf: "report" };
  await engine.report({ service: "light-out" }, SPARKS, more);
  await engine.keepDraft("report", { id: more.id });
  await engine.report({ service: "light-out" }, SPARKS, more);
  assert.equal((await engine.draftOf("report")).draft, null);
  assert.equal((await engine.view()).outbox.length, 1);
});

test("what is kept beside another tab's form goes on under its own name when it is taken back", async () => {
  const { engine } = phone();
  const draft = { id: "own", fields: [] };
  const more = { id: "own", draft, draftOf: "report", undo: UNDO_MS };
  await engine.report({ service: "light-out" }, SPARKS, more);
  const again = await engine.report({ service: "light-out", words: "It hums." }, SPARKS, more);
  await engine.keepDraft(again.op.id, { ending: "fixed:dark" }); // its closing
  assert.equal(await engine.undo(again.op.id), true);
  assert.equal((await engine.draftOf("report")).draft.id, again.op.id);
});

test("a form with other words is kept once, and follows nothing, also where the disk had to be asked twice", async () => {
  const { engine, store } = phone();
  const more = { id: "own" };
  await engine.sync();
  await engine.report({ service: "light-out" }, SPARKS, more);
  const { written } = store;
  store.written = async (base, changes) => {
    store.written = written;
    if (typeof changes === "function") await changes((name, key) => store.get(base, name, key), async () => []);
    throw Object.assign(new Error("full"), { name: "QuotaExceededError" });
  };
  const { op } = await engine.report({ service: "light-out", words: "It hums." }, SPARKS, more);
  assert.deepEqual([op.id === "own", op.case, op.prev], [false, op.id, null]);
  assert.equal((await engine.view()).outbox.length, 2);
});

test("a photo of a report that was kept under two names stays with the first", async () => {
  for (const isSent of [false, true]) {
    const { engine, net } = phone();
    const shots = [await engine.keepPhoto("report", new ArrayBuffer(9), "image/jpeg")];
    const more = { id: "own", draftOf: "report" };
    await engine.report({ service: "light-out" }, SPARKS, { ...more, photos: shots }); // in another tab
    if (isSent) await engine.sync();
    const later = await engine.keepPhoto("report", new ArrayBuffer(8), "image/jpeg");
    const photos = [...shots, later];
    const { op } = await engine.report({ service: "light-out", words: "It hums." }, SPARKS, { ...more, photos });
    assert.deepEqual(op.photos.map(({ id }) => id), [later.id], "the city takes no photo for two cases");
    await engine.sync();
    const rows = (await engine.view()).shots;
    assert.deepEqual(new Map(rows.map((shot) => [shot.id, shot.op])), new Map([[shots[0].id, "own"], [later.id, op.id]]));
  }
});

test("work that no form saved leaves the closing that was begun for its job", async () => {
  const { engine } = phone();
  await engine.keepDraft(LAMP.ref, { ending: "fixed:dark", notes: ["New lamp"] });
  await engine.add("start", LAMP, {});
  await engine.add("pause", LAMP, {});
  assert.equal((await engine.draftOf(LAMP.ref)).draft.ending, "fixed:dark");
  await engine.add("close", LAMP, done, { draft: { ending: "fixed:dark", notes: [] } });
  assert.equal((await engine.draftOf(LAMP.ref)).draft, null);
});

test("a photo that was damaged on the phone holds up no later one, one that was damaged on its way goes again", async () => {
  const { engine, store, net } = phone();
  const shots = [];
  for (const size of [9, 8, 7]) shots.push(await engine.keepPhoto(LAMP.ref, new ArrayBuffer(size), "image/jpeg"));
  await store.write("outbox", [["put", "chunks", `${shots[0].id}:0000`, new Uint8Array(9).fill(1).buffer]]);
  const { piece } = net;
  let isNoisy = true;
  net.piece = async (shot, offset, data) => {
    const reply = await piece(shot, offset, data);
    const whole = createHash("sha256").update(net.photos.get(shot.id)).digest("hex");
    if (!reply.complete || (whole === shot.sha256 && !(isNoisy && shot.id === shots[1].id))) return reply;
    isNoisy = false;
    net.photos.delete(shot.id);
    return { status: 422, offset: 0, complete: false, fault: "digest" };
  };
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: shots });
  await engine.sync();
  const { shots: rows, sent } = await engine.view();
  const became = rows.sort((a, b) => b.bytes - a.bytes).map(({ uploaded, refused }) => refused ?? uploaded);
  assert.deepEqual(became, ["spoilt", true, true]);
  assert.equal(sent[0].seen, false, "it is something to look at");
});

test("the name of a report that the phone has forgotten is not given to another", async () => {
  const { engine, net } = phone();
  const more = { id: "own", draftOf: "report" };
  await engine.report({ service: "light-out" }, SPARKS, more); // in another tab
  await engine.sync();
  net.safe = 1e9;
  await engine.sync();
  assert.deepEqual((await engine.view()).sent, []);
  const again = await engine.report({ service: "light-out", words: "It hums." }, SPARKS, more);
  assert.notEqual(again.op.id, "own", "the city knows that name with other words");
  assert.equal(again.op.case, again.op.id);
  const own = { ...LAMP, ref: "own", own: true, assignment: null };
  const close = await engine.add("close", own, done); // on a screen that still has it so: the city knows which case it is
  assert.deepEqual([close.op.case, close.op.id === "own"], ["own", false]);
});

test("a report stays as long as work goes by its id: its draft, its photo, its undone closing", async () => {
  for (const begun of ["draft", "photo", "closing", "nothing yet"]) {
    const { engine, net } = phone();
    const { op } = await engine.report({ service: "light-out" }, SPARKS);
    const [own] = (await engine.view()).jobs;
    net.results[op.id] = { result: "applied", to: "26-000099" };
    const isJob = begun === "nothing yet";
    if (isJob) net.jobs = [{ ...LAMP, ref: "26-000099" }];
    if (begun === "draft") await engine.keepDraft(op.id, { ending: "fixed:dark" });
    const shot = begun === "draft" || isJob ? null : await engine.keepPhoto(op.id, new ArrayBuffer(9), "image/jpeg");
    await engine.sync();
    let close;
    if (begun === "closing") {
      close = await engine.add("close", own, done, { photos: [shot], undo: UNDO_MS, draft: { ending: "fixed:photo" } });
    }
    net.safe = 1e9;
    await engine.sync();
    await engine.sync();
    if (close) assert.equal(await engine.undo(close.op.id), true);
    if (isJob) await engine.keepDraft(op.id, { ending: "fixed:dark" });
    const { draft, shots } = await engine.draftOf("26-000099");
    assert.deepEqual([Boolean(draft), shots.length], [begun !== "photo", shot ? 1 : 0], begun);
  }
});

test("work on a report that is undone at that moment is not called kept", async () => {
  const { engine } = phone();
  const more = { id: "own", undo: UNDO_MS };
  const { op } = await engine.report({ service: "light-out" }, SPARKS, more);
  const [own] = (await engine.view()).jobs;
  assert.equal(await engine.undo(op.id), true);
  await assert.rejects(engine.add("close", own, done), Undone);
  await assert.rejects(engine.add("start", own, {}), Undone);
  await engine.report({ service: "light-out" }, SPARKS, more);
  await engine.add("close", own, done);
  assert.deepEqual((await engine.view()).outbox.map((each) => each.op.t), ["report", "close"]);
});

test("work whose photo another tab's form has taken stays until the photo has arrived", async () => {
  const { engine, store, net, time } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  const one = await engine.add("close", LAMP, done, { photos: [shot] });
  const { piece } = net;
  net.piece = async () => ({ status: 503, offset: 0, complete: false, fault: "" });
  await engine.sync();
  const other = await engine.add("close", LAMP, done, { photos: [shot], undo: UNDO_MS });
  net.safe = 1e9;
  await engine.sync();
  assert.equal(await engine.undo(other.op.id), true);
  assert.equal((await store.get("outbox", "photos", shot.id)).op, one.op.id);
  net.piece = piece;
  time.now += 3_600_000;
  await engine.sync();
  assert.equal(net.photos.has(shot.id), true);
});

test("a photo that another tab sent to its end, and whose bytes it freed, is not called gone", async () => {
  const { engine, store, net } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(2 * PIECE), "image/jpeg");
  await engine.add("close", LAMP, done, { photos: [shot] });
  const { piece } = net;
  net.piece = async (...told) => {
    const reply = await piece(...told);
    const row = await store.get("outbox", "photos", shot.id);
    await store.write("outbox", [
      ["put", "photos", shot.id, { ...row, uploaded: true }], ["del", "chunks", `${shot.id}:0000`], ["del", "chunks", `${shot.id}:0001`],
    ]);
    return reply;
  };
  await engine.sync();
  const [row] = (await engine.view()).shots;
  assert.deepEqual([row.uploaded, row.refused], [true, undefined]);
});

test("what cannot be read back is looked for once more before it is called not kept", async () => {
  const { engine, store } = phone();
  await engine.sync();
  const { get } = store;
  store.get = async (base, name, key) => {
    if (name !== "ops") return get.call(store, base, name, key);
    store.get = get;
    throw new DOMException("broken", "UnknownError");
  };
  const { written } = store;
  store.written = (base, changes) => {
    const reading = store.get;
    store.get = get; // within the write
    return written.call(store, base, changes).finally(() => (store.get = reading));
  };
  await engine.add("close", LAMP, done);
  assert.equal((await engine.view()).outbox.length, 1);
});

test("news of work that was read stay where the city holds that safely by now", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  net.results[op.id] = { result: "recorded", why: "reassigned" };
  await engine.sync();
  await engine.dismiss(...shown(await engine.view(), op.id));
  Object.assign(net, { safe: 99, seq: 2 });
  net.jobs = [LAMP, { kind: "result", ref: op.id, id: op.id, result: "recorded", why: "dismissed" }];
  await engine.sync();
  const { sent } = await engine.view();
  assert.deepEqual(sent.map((each) => [each.result.why, each.seen]), [["dismissed", false]]);
});

test("a photo that another tab hears cannot be read as its work is answered is to be read", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  const { write } = store;
  store.write = async (base, changes) => {
    if (typeof changes === "function" && net.asked.some(({ ops }) => ops.length)) {
      store.write = write;
      await store.write("outbox", [["put", "photos", shot.id, { ...shot, op: op.id, refused: "not_a_photo" }]]);
    }
    return write.call(store, base, changes);
  };
  await engine.sync();
  assert.deepEqual((await engine.view()).sent.map(({ seen }) => seen), [false]);
});

test("two syncs at once are one", async () => {
  const { engine, net } = phone();
  await engine.add("close", LAMP, done);
  await Promise.all([engine.sync(), engine.sync()]);
  assert.equal(net.asked.filter(({ ops }) => ops.length).length, 1);
});

test("an unknown phone introduces itself again", async () => {
  const { engine, net } = phone();
  await engine.sync();
  net.reply = (body) =>
    body.device === "device-1"
      ? { status: 200, json: { ...net.answer({ ...body, ops: [] }), auth: "login", scopes: [], changes: {} } }
      : { status: 200, json: net.answer(body) };
  await engine.add("close", LAMP, done);
  await engine.sync();
  assert.equal((await engine.view()).outbox.length, 0);
  assert.equal(net.asked.at(-1).device, "device-2");
});

test("a tab does nothing while another is at it, and stops when its time is over", async () => {
  const net = city();
  const { engine } = phone({ net, lock: async () => false });
  await engine.add("close", LAMP, done);
  await engine.sync();
  assert.equal(net.asked.length, 0);
  const over = phone({ net, lock: async (work) => (await work(() => true), true) });
  await over.engine.sync();
  assert.equal(net.asked.length, 0);
});

test("deposited work still shows on its job, and what became of it is told later", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  Object.assign(net, { auth: "login", scopes: [] });
  net.results[op.id] = { result: "deposited", why: "session" };
  const enrol = net.enrol;
  net.enrol = async () => ({ status: 401, json: null });
  await engine.sync();
  let view = await engine.view();
  assert.deepEqual([view.problem, view.sent[0].result.result, view.sent[0].seen], ["login", "deposited", false]);
  assert.equal(view.jobs[0].state, "closed");
  await engine.dismiss(...shown(await engine.view(), op.id));
  Object.assign(net, { auth: "ok", scopes: ["crew:7", "user:1"], enrol, safe: 99, seq: 2 });
  net.jobs = [LAMP, { kind: "result", ref: op.id, id: op.id, result: "recorded", why: "cancelled" }];
  await engine.sync();
  view = await engine.view();
  assert.deepEqual([view.sent[0].result.result, view.sent[0].seen], ["recorded", false]);
  assert.deepEqual(view.jobs.map(({ ref, state }) => [ref, state]), [[LAMP.ref, "assigned"]]);
});

test("a revoked phone forgets what the city told it and keeps what was done", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  await engine.pack.keepPhoto("p", new ArrayBuffer(5));
  Object.assign(net, { auth: "revoked", scopes: [] });
  net.results[op.id] = { result: "deposited" };
  await engine.sync();
  for (const name of ["jobs", "photos", "map"]) assert.deepEqual(await store.all("mirror", name), [], name);
  assert.deepEqual(await store.all("mirror", "kv"), [["wiped", 1]]);
  const view = await engine.view();
  assert.deepEqual([view.problem, view.sent.length], ["revoked", 1]);
});

/** Somebody logs out in another tab while the next answer is on its way. */
function leaveBeforeTheAnswer(net, store) {
  net.reply = async (body) => {
    net.reply = null;
    const json = net.answer(body);
    await leave(store);
    return { status: 200, json };
  };
}

test("an answer that comes when somebody has logged out in another tab takes no job away for ever", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  net.seq = 2;
  net.jobs = [{ ...LAMP, ref: "26-000008" }];
  leaveBeforeTheAnswer(net, store);
  await engine.sync();
  assert.deepEqual(await store.all("mirror", "jobs"), []);
  net.jobs = [LAMP, ...net.jobs];
  await engine.sync();
  assert.deepEqual((await engine.view()).jobs.map(({ ref }) => ref), ["26-000007", "26-000008"]);
});

test("the first answer, and a pack under way, leave nothing on a phone on which somebody has logged out meanwhile", async () => {
  const { engine, store, net } = phone();
  leaveBeforeTheAnswer(net, store);
  await engine.sync();
  await engine.pack.keepPhoto("p", new ArrayBuffer(5));
  await engine.pack.keepMap({ tag: "t", data: new ArrayBuffer(5) });
  for (const name of ["jobs", "photos", "map"]) assert.deepEqual(await store.all("mirror", name), [], name);
});

test("an answer that is taken between two steps of a log-out in another tab leaves nothing", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  net.seq = 2;
  net.jobs = [{ ...LAMP, ref: "26-000008" }];
  const { write } = store;
  let goOn = () => {};
  const taken = new Promise((resolve) => (goOn = () => resolve(undefined)));
  let left = Promise.resolve();
  net.reply = async (body) => {
    net.reply = null;
    store.write = async (base, changes) => {
      if (base === "mirror" && Array.isArray(changes)) await taken; // what goes was read before
      return write.call(store, base, changes);
    };
    left = leave(store);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { status: 200, json: net.answer(body) };
  };
  await engine.sync();
  goOn();
  await left;
  assert.deepEqual(await store.all("mirror", "jobs"), []);
});

test("a pack that is written between two steps of a log-out in another tab leaves nothing", async () => {
  const { engine, store } = phone();
  await engine.sync();
  const { write } = store;
  let reached = false;
  store.write = async (base, changes) => {
    if (base === "mirror" && Array.isArray(changes) && !reached) {
      reached = true; // what goes was read before
      await engine.pack.keepPhoto("p", new ArrayBuffer(5));
      await engine.pack.keepMap({ tag: "t", data: new ArrayBuffer(5) });
    }
    return write.call(store, base, changes);
  };
  await leave(store);
  assert.ok(reached);
  for (const name of ["jobs", "photos", "map"]) assert.deepEqual(await store.all("mirror", name), [], name);
});

test("a revoked phone sends the photos that the city misses, and says that it is revoked though one is refused", async () => {
  const { engine, net, time } = phone();
  await engine.sync();
  const shots = [];
  for (const result of ["quarantined", "deposited"]) {
    const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
    const { op } = await engine.add("photo", LAMP, {}, { photos: [shot] });
    net.results[op.id] = { result };
    shots.push(shot);
    time.now += 1_000;
  }
  const { piece } = net;
  net.piece = (shot, ...told) => (net.want.includes(shot.id) ? piece(shot, ...told) : { status: 401, offset: 0, fault: "" });
  Object.assign(net, { auth: "revoked", scopes: [], want: [shots[1].id] });
  await engine.sync();
  const uploaded = async () => (await engine.view()).shots.map(({ uploaded }) => uploaded);
  assert.deepEqual(await uploaded(), [false, true]);
  assert.equal((await engine.view()).problem, "revoked");
  Object.assign(net, { auth: "ok", scopes: ["crew:7", "user:1"], want: [], piece });
  await engine.sync();
  assert.deepEqual(await uploaded(), [true, true]);
});

test("what was sent can be taken back for ten minutes, and shows at once", async () => {
  const { engine, net, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done);
  await engine.sync();
  net.jobs = [{ ...LAMP, state: "closed", done: { outcome: "fixed", at: 1 } }];
  net.seq = 2;
  await engine.sync();
  assert.equal((await engine.view()).jobs[0].state, "closed");
  const back = await engine.withdraw(op.id);
  assert.deepEqual([back.op.t, back.op.data, back.op.prev], ["withdraw", { op: op.id }, op.id]);
  assert.equal((await engine.view()).jobs[0].state, "assigned");
  assert.equal(await engine.withdraw(op.id), null, "once");
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops, [back.op]);
  const later = await engine.add("close", { ...LAMP, ref: "26-000008" }, done);
  time.now += 600_001;
  assert.equal(await engine.withdraw(later.op.id), null, "too late");
});

test("a proposal leaves the job as it is, also when it is taken back after the work began", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const { op } = await engine.add("propose", LAMP, { service: "pole-damaged" });
  assert.equal((await engine.view()).jobs[0].state, "assigned");
  await engine.sync();
  await engine.add("start", LAMP, {});
  const back = await engine.withdraw(op.id);
  assert.equal((await engine.view()).jobs[0].state, "underway");
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops.at(-1), back.op);
});

test("what may have been sent is taken back by the city, not by forgetting it", async () => {
  const { engine, net, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  time.now += UNDO_MS;
  net.reply = () => { throw new TypeError("lost"); };
  await engine.sync();
  assert.equal(await engine.undo(op.id), false);
  await engine.withdraw(op.id);
  assert.equal((await engine.view()).jobs[0].state, "assigned");
  net.reply = null;
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).ops.map(({ t }) => t), ["close", "withdraw"]);
});

test("what the city is asked to take back is not undone, whatever the clock says later", async () => {
  const { engine, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  time.now += UNDO_MS; // without signal
  assert.equal(await engine.undo(op.id), false);
  const back = await engine.withdraw(op.id);
  time.now -= UNDO_MS / 2;
  assert.equal(await engine.undo(op.id), false);
  assert.deepEqual((await engine.view()).outbox.map((each) => each.op.id), [op.id, back.op.id]);
});

test("what two hands take back at once is taken back once", async () => {
  for (const other of ["withdraw", "undo"]) {
    const { engine } = phone();
    await engine.sync();
    const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
    const [first, second] = await Promise.all([engine[other](op.id), engine.withdraw(op.id)]);
    assert.ok(first);
    assert.equal(second, null);
  }
});

test("a problem met in the field is a job at once, and is closed before the city has heard of it", async () => {
  const { engine, net } = phone();
  await engine.sync();
  const { op } = await engine.report({ service: "light-out", lat: 39.6, lon: -71.2, accuracy: 8 }, {
    title: { en: "Streetlight out" }, address: "",
  });
  const job = (await engine.view()).jobs.find(({ ref }) => ref === op.id);
  assert.deepEqual([job.own, job.lat, job.pending], [true, 39.6, true]);
  const close = await engine.add("close", job, done);
  assert.deepEqual([close.op.case, close.op.prev, close.op.cycle], [op.id, op.id, null]);
  net.results[op.id] = { result: "applied", to: "26-000099" };
  net.jobs = [{ ...LAMP, ref: "26-000099" }];
  net.seq = 2;
  net.results[close.op.id] = { result: "held" };
  await engine.sync();
  assert.deepEqual(net.asked.find(({ ops }) => ops.length).ops.map(({ t }) => t), ["report", "close"]);
  const known = (await engine.view()).jobs.find(({ ref }) => ref === "26-000099");
  assert.equal(known.state, "closed", "the closing shows on the case that the city named");
});

const SPARKS = { title: { en: "Wire down" }, address: "" };

test("a report that is undone takes the start of its work along and comes back as it was filled in", async () => {
  const { engine } = phone();
  await engine.keepDraft("report", { id: "own", fields: [["words", "Sparks"]] });
  const shot = await engine.keepPhoto("report", new ArrayBuffer(9), "image/jpeg");
  const draft = { id: "own", fields: [["words", "Sparks."]] };
  const more = { id: "own", photos: [shot], undo: UNDO_MS, draft, draftOf: "report" };
  await engine.report({ service: "wire-down", urgent: true }, SPARKS, more);
  assert.deepEqual(await engine.draftOf("report"), { draft: null, shots: [] });
  const [job] = (await engine.view()).jobs;
  assert.deepEqual([job.ref, job.urgent], ["own", true]);
  await engine.add("start", job, {});
  assert.equal(await engine.undo("own"), true);
  assert.deepEqual((await engine.view()).outbox, []);
  const begun = await engine.draftOf("report");
  assert.deepEqual([begun.draft, begun.shots.map(({ id }) => id)], [draft, [shot.id]]);
});

test("a photo of what is undone as photos begin to go does not go, and stays with its draft", async () => {
  for (const name of ["photos", "ops"]) {
    const { engine, store, net } = phone();
    await engine.sync();
    const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
    const { op } = await engine.add("close", LAMP, done, { photos: [shot], undo: UNDO_MS });
    const { all } = store;
    let remembered = false;
    store.all = async (...args) => {
      const rows = await all.apply(store, args);
      if (args[0] === "outbox" && args[1] === "kv") remembered = true; // the last thing before photos go
      else if (remembered && args[1] === name) {
        store.all = all;
        await engine.undo(op.id);
      }
      return rows;
    };
    await engine.sync();
    assert.equal(store.all, all, "it was in between");
    assert.equal(net.photos.size, 0);
    const [row] = (await engine.view()).shots;
    assert.deepEqual([row.op, row.refused], [null, undefined]);
  }
});

test("a photo of a form that two tabs saved stays with the one that is not undone", async () => {
  for (const isSent of [false, true]) {
    const { engine, net, time } = phone();
    const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
    const more = { photos: [shot], undo: UNDO_MS };
    const one = await engine.add("close", LAMP, done, more);
    time.now += UNDO_MS / 2;
    const other = await engine.add("close", LAMP, done, more);
    time.now += UNDO_MS / 2;
    net.want = isSent ? [shot.id] : [];
    if (isSent) await engine.sync();
    assert.equal(await engine.undo(other.op.id), true);
    await engine.sync();
    assert.equal(net.photos.has(shot.id), true);
    assert.deepEqual(net.asked.flatMap(({ ops }) => ops.map(({ id }) => id)), [one.op.id]);
  }
});

test("a photo of what is undone as the photo goes is the form's again, and not taken for sent", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  const { op } = await engine.add("close", LAMP, done, { photos: [shot], undo: UNDO_MS });
  const [[, saved]] = await store.all("outbox", "ops");
  await store.write("outbox", [["del", "ops", op.id]]); // as a tab saw it that read `ops` a moment before the photos
  const { piece } = net;
  net.piece = async (...told) => {
    net.piece = piece;
    await store.write("outbox", [["put", "ops", op.id, saved]]);
    assert.equal(await engine.undo(op.id), true);
    return piece(...told);
  };
  await engine.sync();
  const [row] = (await engine.draftOf(LAMP.ref)).shots;
  assert.deepEqual([row.id, row.op, row.uploaded], [shot.id, null, false]);
  await engine.add("close", LAMP, done, { photos: [row] });
  time.now += UNDO_MS;
  await engine.sync();
  assert.equal((await engine.view()).shots[0].uploaded, true);
});

test("an answer about a photo that another tab took away brings no photo back, and leaves one where it is", async () => {
  for (const isGone of [true, false]) {
    const { engine, store, net } = phone();
    const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
    await engine.add("close", LAMP, done, { photos: [shot] });
    await engine.sync();
    const [row] = (await engine.view()).shots;
    net.want = [shot.id];
    const { write } = store;
    store.write = async (base, changes) => {
      if (typeof changes === "function" && net.asked.length > 1) {
        store.write = write;
        const other = isGone ? ["del", "photos", shot.id] : ["put", "photos", shot.id, { ...row, op: "another" }];
        await write.call(store, "outbox", [other]);
      }
      return write.call(store, base, changes);
    };
    await engine.sync();
    assert.equal(store.write, write, "it was in between");
    assert.deepEqual((await engine.view()).shots.map(({ op }) => op), isGone ? [] : ["another"]);
  }
});

test("a photo whose bytes went, since the city has them, is not called gone", async () => {
  const { engine, store, net } = phone();
  const big = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(3 * PIECE), "image/jpeg"); // the line shows that it is quick
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  await engine.add("close", LAMP, done, { photos: [big] });
  await engine.sync();
  net.photos.set(shot.id, Buffer.alloc(9));
  await store.write("outbox", [["del", "chunks", `${shot.id}:0000`]]);
  await engine.add("close", LAMP, done, { photos: [shot] });
  await engine.sync();
  const row = (await engine.view()).shots.find(({ id }) => id === shot.id);
  assert.deepEqual([row.uploaded, row.refused], [true, undefined]);
});

test("a report is not undone under a closing of it, which would have no case", async () => {
  const { engine } = phone();
  const { op } = await engine.report({ service: "light-out" }, SPARKS, { undo: UNDO_MS });
  const [job] = (await engine.view()).jobs;
  await engine.add("close", job, done, { undo: UNDO_MS });
  assert.equal(await engine.undo(op.id), false);
  assert.equal((await engine.view()).outbox.length, 2);
});

test("a closing begun before the report had a number is found by that number", async () => {
  const { engine, net } = phone();
  const { op } = await engine.report({ service: "light-out" }, SPARKS);
  const [own] = (await engine.view()).jobs;
  await engine.add("start", own, {});
  await engine.keepDraft(op.id, { ending: "fixed:photo", notes: [] });
  const shot = await engine.keepPhoto(op.id, new ArrayBuffer(9), "image/jpeg");
  net.results[op.id] = { result: "applied", to: "26-000099" };
  net.jobs = [{ ...LAMP, ref: "26-000099" }];
  net.safe = 1e9; // also where the city keeps the report so safely that the phone may forget it
  await engine.sync();
  await engine.sync();
  const { jobs, names } = await engine.view();
  const job = jobs.find(({ ref }) => ref === names.get(op.id));
  const begun = await engine.draftOf(job.ref);
  assert.deepEqual([begun.draft.ending, begun.shots[0].id], ["fixed:photo", shot.id]);
  const { op: close } = await engine.add("close", job, { outcome: "fixed" }, { photos: begun.shots, draft: begun.draft });
  assert.deepEqual([close.case, close.assignment, close.photos[0].id], ["26-000099", 5, shot.id]);
  assert.deepEqual(await engine.draftOf(op.id), { draft: null, shots: [] });
});

test("words fit where nothing else does: the reserve is given up for them", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  assert.ok(await store.get("outbox", "chunks", "reserve"));
  const write = store.write;
  store.write = async (base, changes) => {
    const full = (await store.get("outbox", "chunks", "reserve")) && (typeof changes === "function" || changes.some(([what]) => what === "put"));
    if (full) throw Object.assign(new Error("full"), { name: "QuotaExceededError" });
    return write.call(store, base, changes);
  };
  await assert.rejects(engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg"));
  await engine.add("close", LAMP, done);
  assert.equal((await engine.view()).outbox.length, 1);
  await engine.sync();
  assert.equal(net.stored.size, 1);
});

test("what the reserve set free is for words: no photo and no pack goes there", async () => {
  const { engine, store, net } = phone();
  net.jobs = [{ ...LAMP, told: [{ photos: ["p"] }] }];
  await engine.sync();
  store.room = store.bytes(); // not a byte more
  await engine.add("close", LAMP, done);
  assert.deepEqual([(await engine.view()).outbox.length, await store.all("outbox", "chunks")], [1, []]);
  await assert.rejects(engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg"), { name: "QuotaExceededError" });
  await assert.rejects(engine.pack.keepPhoto("p", new ArrayBuffer(9)), { name: "QuotaExceededError" });
  await assert.rejects(engine.pack.keepMap({ tag: "here", data: new ArrayBuffer(9) }), { name: "QuotaExceededError" });
  assert.deepEqual([(await engine.view()).shots, await engine.pack.missing(), await engine.pack.map()], [[], ["p"], undefined]);
  await engine.pack.keepReceipt(1); // a few words too
  await engine.keepDraft(LAMP.ref, { ending: "fixed:photo", notes: [] });
  store.room = Infinity;
  await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  assert.equal((await store.get("outbox", "chunks", "reserve")).byteLength, RESERVE);
});

test("on a full phone what was done is taken back, and what was read is put away", async () => {
  const { engine, store, net } = phone();
  const { op } = await engine.add("close", LAMP, done);
  net.results[op.id] = { result: "recorded", why: "closed" };
  await engine.sync();
  const later = await engine.add("close", LAMP, done, { undo: UNDO_MS, draft: { ending: "fixed:dark", notes: [] } });
  store.room = store.bytes();
  await engine.dismiss(...shown(await engine.view(), op.id));
  assert.equal((await engine.view()).sent[0].seen, true);
  assert.equal(await engine.undo(later.op.id), true);
  assert.equal((await engine.draftOf(LAMP.ref)).draft.ending, "fixed:dark");
});

for (const status of [408, 429, 503]) {
  test(`a phone that is told ${status} comes when the city asked it to`, async () => {
    const { engine, net, time } = phone();
    await engine.add("close", LAMP, done);
    net.reply = () => ({ status, json: null, retryAfter: 600 });
    await engine.sync();
    const { problem, outbox } = await engine.view();
    assert.deepEqual([problem, outbox.length], ["busy", 1]);
    assert.ok((await engine.due()) >= time.now + 600_000);
  });
}

test("a try on a full phone gives up no reserve, and what came of it is shown all the same", async () => {
  const { engine, store, net, time } = phone();
  await engine.add("close", LAMP, done);
  await engine.sync();
  await engine.add("close", LAMP, done);
  store.room = store.bytes();
  net.reply = () => ({ status: 503, json: null, retryAfter: 600 });
  await engine.sync();
  const { problem, outbox } = await engine.view();
  assert.deepEqual([problem, outbox.length, net.asked.length], ["busy", 1, 2]);
  assert.ok((await engine.due()) >= time.now + 600_000);
  await engine.wake();
  assert.equal(net.asked.length, 2);
  net.reply = () => {
    throw new TypeError("no network");
  };
  const waits = [];
  for (let i = 0; i < 5; i++) {
    await engine.sync();
    waits.push((await engine.due()) - time.now);
  }
  assert.ok(waits.every((wait, i) => i === 0 || wait > waits[i - 1]), `later and later: ${waits}`);
  assert.equal((await engine.view()).problem, "offline");
  assert.ok(await store.get("outbox", "chunks", "reserve"));
});

test("a full phone sends its work, hears the answer and news, and forgets what went wrong before", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  await engine.add("close", LAMP, done);
  store.room = store.bytes();
  net.reply = () => {
    throw new TypeError("no network");
  };
  await engine.sync();
  net.reply = null;
  Object.assign(net, { seq: 2, jobs: [LAMP, { ...LAMP, ref: "26-000008" }] });
  time.now += 3_600_000;
  await engine.sync();
  const { problem, updated, outbox, sent, jobs } = await engine.view();
  assert.deepEqual([problem, updated, outbox.length, sent.length, jobs.length], ["", time.now, 0, 1, 2]);
  assert.equal(await engine.due(), null);
});

test("on a full phone each answer of the city's is taken, if need be in the reserve's room", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  await engine.add("close", LAMP, { outcome: "fixed", words: "x".repeat(40_000) });
  const shot = await engine.keepPhoto("26-000008", new ArrayBuffer(9), "image/jpeg", new ArrayBuffer(8_000));
  await engine.add("close", { ...LAMP, ref: "26-000008" }, done, { photos: [shot] });
  const news = Array.from({ length: 99 }, (_, i) => ({ ...LAMP, ref: `26-0001${i}` }));
  Object.assign(net, { seq: 2, jobs: [LAMP, ...news] });
  net.reply = (body) => {
    const bad = JSON.stringify(body.ops).length > LARGEST;
    return bad ? { status: 413, json: { error: "too_large" } } : { status: 200, json: net.answer(body) };
  };
  store.room = store.bytes() + 1_000; // more than the small writes before each large one
  for (let i = 0; i < 4; i++) await engine.sync();
  const { problem, outbox, shots, jobs } = await engine.view();
  assert.deepEqual([problem, outbox.map(({ too_large }) => too_large), jobs.length], ["", [true], 100]);
  assert.deepEqual(shots.map(({ uploaded }) => uploaded), [true]);
});

test("an answer with nothing new gives up no reserve, and shows when it came", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  store.room = store.bytes();
  const answer = net.answer;
  net.answer = (body) => ({ ...answer(body), log: 99 }); // others do something all the time
  time.now += 3_600_000;
  await engine.sync();
  assert.ok(await store.get("outbox", "chunks", "reserve"));
  const { problem, updated } = await engine.view();
  assert.deepEqual([problem, updated], ["", time.now]);
});

test("where not even the reserve has room for the news, photos go out all the same", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  await engine.add("close", LAMP, done, { photos: [shot] });
  Object.assign(net, { seq: 2, jobs: [LAMP, { ...LAMP, ref: "26-000008", address: "x".repeat(2 * RESERVE) }] });
  store.room = store.bytes();
  await engine.sync();
  assert.deepEqual([(await engine.view()).problem, net.photos.get(shot.id).length], ["full", 9]);
});

test("on a phone that is nearly full and takes nothing, bytes that arrived go first", async () => {
  const { engine, store, net } = phone({ fill: async () => 0.9 });
  await engine.sync();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9_000), "image/jpeg", new ArrayBuffer(3));
  await engine.add("close", LAMP, done, { photos: [shot] });
  await engine.sync();
  await store.write("outbox", [["del", "chunks", "reserve"]]);
  store.room = store.bytes();
  net.seq = 2;
  await engine.sync();
  assert.deepEqual([await engine.bytesOf(shot), (await engine.view()).problem], [[], ""]);
});

test("a clock that was put right does not make a full phone ask without end", async () => {
  const { engine, store, net, time } = phone();
  time.now += 10 * 365 * 86_400_000;
  await engine.sync();
  time.now -= 10 * 365 * 86_400_000;
  await engine.add("close", LAMP, done);
  store.room = store.bytes();
  net.reply = () => ({ status: 503, json: null, retryAfter: 600 });
  for (let i = 0; i < 9; i++) await engine.wake();
  assert.deepEqual([net.asked.length, (await engine.view()).problem], [2, "busy"]);
});

test("a full phone changes hands", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  store.room = store.bytes();
  net.person = 4;
  await introduce({ store, net });
  assert.equal((await whoIs(store)).person, 4);
});

test("what a full phone's page remembers gives way to how another tab fared since", async () => {
  const one = phone();
  await one.engine.sync();
  await one.engine.add("close", LAMP, done);
  one.store.room = one.store.bytes();
  one.net.reply = () => ({ status: 503, json: null, retryAfter: 10_000 });
  await one.engine.sync();
  assert.equal((await one.engine.view()).problem, "busy");
  one.store.room = Infinity;
  one.net.reply = null;
  const other = phone({ store: one.store, net: one.net });
  other.time.now = one.time.now += 1_000;
  await other.engine.sync();
  assert.equal((await one.engine.view()).problem, "");
  await one.engine.add("close", LAMP, done);
  one.time.now += 1_000;
  await one.engine.wake();
  assert.equal((await one.engine.view()).outbox.length, 0);
});

test("on a phone that is nearly full bytes that arrived go, and thumbnails and unsent photos stay", async () => {
  const { engine, net } = phone({ fill: async () => 0.81 });
  await engine.sync();
  const sent = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg", new ArrayBuffer(3));
  await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [sent] });
  await engine.sync();
  const unsent = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg", new ArrayBuffer(3));
  await engine.sync();
  const { shots, sent: told } = await engine.view();
  assert.deepEqual([(await engine.bytesOf(sent)).length, (await engine.bytesOf(unsent)).length], [0, 1]);
  assert.deepEqual([shots.length, shots[0].thumb.byteLength, told.length], [2, 3, 1]);
  assert.equal(net.photos.get(sent.id).length, 9);
});

test("a clock that is set back ten years holds nothing up", async () => {
  const { engine, net, time } = phone();
  net.reply = () => ({ status: 503, json: null, retryAfter: 600 });
  await engine.add("close", LAMP, done, { undo: UNDO_MS });
  await engine.sync();
  time.now -= 10 * 365 * 86_400_000;
  net.reply = null;
  assert.ok((await engine.due()) <= time.now);
  await engine.wake();
  assert.equal(net.stored.size, 1);
});

test("a city that asks to wait is left alone for so long", async () => {
  const { engine, net, time } = phone();
  await engine.add("close", LAMP, done);
  net.reply = () => ({ status: 503, json: null, retryAfter: 600 });
  await engine.sync();
  net.reply = null;
  await engine.wake();
  assert.equal(net.asked.length, 1);
  time.now += 600_000;
  await engine.wake();
  assert.equal(net.stored.size, 1);
});

test("the photos of a job that went away are wiped with it", async () => {
  const { engine, store, net } = phone();
  net.jobs = [{ ...LAMP, told: [{ photos: ["p"] }] }];
  await engine.sync();
  assert.deepEqual(await engine.pack.missing(), ["p"]);
  await engine.pack.keepPhoto("p", new ArrayBuffer(5));
  assert.deepEqual(await engine.pack.missing(), []);
  const { jobs, photos, of, map } = await engine.packed();
  assert.deepEqual([jobs, photos, of, map], [1, 1, 1, false]);
  Object.assign(net, { seq: 2, jobs: [], gone: [{ kind: "job", ref: LAMP.ref, why: "reassigned" }] });
  await engine.sync();
  assert.deepEqual(await store.all("mirror", "photos"), []);
});

test("the city hears what is packed and since when, and a pack that stays the same does not grow younger", async () => {
  const { engine, net } = phone();
  net.jobs = [{ ...LAMP, told: [{ photos: ["p"] }] }];
  await engine.sync();
  assert.equal(net.asked.at(-1).pack, undefined);
  await engine.pack.keepPhoto("p", new ArrayBuffer(5));
  await engine.pack.keepReceipt(1_000_000);
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).pack, { at: 1_000_000, jobs: 1, photos: 1, of: 1, map: 0 });
  await engine.pack.keepReceipt(1_000_600);
  await engine.sync();
  assert.equal(net.asked.at(-1).pack.at, 1_000_000);
  await engine.pack.keepMap({ tag: "t", data: new ArrayBuffer(5) });
  await engine.pack.keepReceipt(1_000_900);
  await engine.sync();
  assert.deepEqual(net.asked.at(-1).pack, { at: 1_000_900, jobs: 1, photos: 1, of: 1, map: 1 });
  await engine.pack.keepReceipt(1_000_900 + 8 * 3600);
  await engine.sync();
  assert.equal(net.asked.at(-1).pack.at, 1_000_900 + 8 * 3600, "the next shift packs anew");
});

test("what one packed is not told of the next", async () => {
  const { engine, store, net } = phone();
  await engine.sync();
  await engine.pack.keepReceipt(1_000_000);
  const other = phone({ store, net, user: 2 });
  Object.assign(net, { person: 2, scopes: ["crew:7", "user:2"] });
  await other.engine.sync();
  await other.engine.sync();
  assert.equal(net.asked.at(-1).pack, undefined);
  await other.engine.pack.keepReceipt(1_000_600);
  await other.engine.sync();
  assert.equal(net.asked.at(-1).pack.at, 1_000_600);
});

test("all work can be carried to the city as a file", async () => {
  const { engine } = phone();
  const shot = await engine.keepPhoto(LAMP.ref, new Uint8Array([1, 2, 3]).buffer, "image/jpeg");
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  const { ops, photos } = await engine.saved();
  assert.deepEqual(ops, [op]);
  assert.deepEqual([photos[0].id, [...new Uint8Array(photos[0].data[0])]], [shot.id, [1, 2, 3]]);
});

test("what went into a file is not undone: the file may come to the city", async () => {
  const { engine } = phone();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  assert.deepEqual((await engine.saved()).ops, [op]);
  assert.equal(await engine.undo(op.id), false);
  const [entry] = (await engine.view()).outbox;
  assert.ok(engine.mayWithdraw(entry, [entry]));
});

test("what went into a file is not undone either where the disk calls itself full meanwhile", async () => {
  const { engine, store, net, time } = phone();
  await engine.sync();
  const { op } = await engine.add("close", LAMP, done, { undo: UNDO_MS });
  const { written } = store;
  store.written = async () => { throw new DOMException("full", "QuotaExceededError"); };
  assert.deepEqual((await engine.saved()).ops, [op]);
  store.written = written;
  assert.equal(await engine.undo(op.id), false);
  assert.ok(await store.get("outbox", "drafts", `undo:${op.id}`), "no disk was there to be told");
  time.now += UNDO_MS;
  await engine.sync();
  assert.equal(net.asked.at(-1).ops.length, 1);
  assert.equal(await store.get("outbox", "drafts", `undo:${op.id}`), undefined);
});

test("work that another tab sent before this one read it back is kept", async () => {
  const { engine, store } = phone();
  const { written } = store;
  store.written = async (base, changes) => {
    await written.call(store, base, changes);
    const [[id, entry] = []] = await store.all("outbox", "ops");
    if (id) await written.call(store, base, [["del", "ops", id], ["put", "sent", id, entry]]);
  };
  const { op } = await engine.add("close", LAMP, done);
  assert.deepEqual((await engine.view()).sent.map((each) => each.op.id), [op.id]);
});

test("two tabs that save at the same moment count on, one after the other", async () => {
  const store = memory();
  const tabs = [phone({ store }), phone({ store, random: { id: randomUUID, fraction: () => 0.5 } })];
  const kept = await Promise.all(tabs.map(({ engine }) => engine.add("note", LAMP, { words: "x" })));
  assert.deepEqual(kept.map(({ op }) => op.n).sort(), [1, 2]);
});

test("a photo that another tab saves while it is dropped here keeps its bytes", async () => {
  const store = memory();
  const { engine } = phone({ store });
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  const { write } = store;
  store.write = async (...told) => {
    store.write = write;
    await phone({ store, random: { id: randomUUID, fraction: () => 0.5 } }).engine.add("photo", LAMP, {}, { photos: [shot] });
    await store.write(...told);
  };
  await engine.dropPhoto(shot.id);
  assert.equal((await engine.bytesOf(shot)).length, 1);
});

test("nothing that was read is changed by those who read it", async () => {
  const raw = memory();
  let marks = 0;
  const once = recall(raw, () => `mark-${++marks}`);
  const store = { ...once, all: async (...told) => deepFrozen(await once.all(...told)) };
  const { engine, net, time } = phone({ store });
  await engine.sync();
  const shot = await engine.keepPhoto(LAMP.ref, new ArrayBuffer(9), "image/jpeg");
  const { op } = await engine.add("close", LAMP, { outcome: "fixed" }, { photos: [shot] });
  net.reply = () => ({ status: 500, json: null });
  await engine.sync();
  net.reply = null;
  await engine.sync();
  await engine.withdraw(op.id);
  time.now += UNDO_MS;
  await engine.sync();
  const { sent, outbox, shots } = await engine.view();
  assert.deepEqual([sent.length, outbox.length, shots[0].uploaded], [2, 0, true]);
});

test("new work follows on what another tab sends at that moment", async () => {
  const raw = memory();
  let marks = 0;
  const { engine } = phone({ store: recall(raw, () => `one-${++marks}`) });
  const other = recall(raw, () => `other-${++marks}`);
  await engine.sync();
  const { op } = await engine.add("note", LAMP, { words: "x" });
  await engine.view();
  await other.write("outbox", [["put", "kv", "anything", 1], ["put", "ops", op.id, await other.get("outbox", "ops", op.id)]]);
  await engine.draftOf(LAMP.ref); // reads `sent` alone
  const { all } = raw;
  raw.all = async (base, name, ...rest) => {
    raw.all = all;
    assert.equal(name, "ops");
    const entry = await other.get("outbox", "ops", op.id);
    await other.write("outbox", [["del", "ops", op.id], ["put", "sent", op.id, { ...entry, result: { result: "held" } }]]);
    return all(base, name, ...rest);
  };
  assert.equal((await engine.add("close", LAMP, done)).op.prev, op.id);
});

test("keeping a closing and showing the day asks the disk twelve times, however much waits", async () => {
  const raw = memory();
  let marks = 0;
  const { engine } = phone({ store: recall(raw, () => `mark-${++marks}`) });
  await engine.sync();
  for (let i = 0; i < 20; i++) await engine.add("note", LAMP, { words: "x" });
  await engine.view();
  let asked = 0;
  const { get, all } = raw;
  raw.get = (...told) => (asked++, get(...told));
  raw.all = (...told) => (asked++, all(...told));
  await engine.add("close", LAMP, { outcome: "fixed" });
  assert.equal((await engine.view()).outbox.length, 21);
  assert.equal(asked, 12); // each is a way to the disk and back, and mostly they wait for each other
});

/** @template T @param {T} value @returns {T} */
function deepFrozen(value) {
  if (value && typeof value === "object" && !(value instanceof ArrayBuffer)) {
    for (const each of Object.values(value)) deepFrozen(each);
    Object.freeze(value);
  }
  return value;
}
