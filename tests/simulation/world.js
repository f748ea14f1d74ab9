// The world of one seed: crews at work, an office that moves on, and everything that can go wrong. Started by
// worker.py with two folders of the phone's code: today's release and the next one.

import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { healed } from "./convergence.js";
import { createLuck } from "./rng.js";
import { createPhone, Injected, weather } from "./phone.js";
import { createSchedule } from "./schedule.js";
import { STEPS, takenBack } from "./steps.js";
import { call, listen, say } from "./pipe.js";

const [, , today, next] = process.argv;
const UNREADABLE = 2; // of the pictures, the last ones
const hashed = (/** @type {ArrayBuffer} */ data) => createHash("sha256").update(Buffer.from(data)).digest("hex");
const START = Date.UTC(2026, 4, 12, 13, 30);

/** @type {any} */
let world = null;

// What the phone's own net code finds in a browser. Nobody waits for real here.
Object.assign(globalThis, {
  window: { addEventListener: () => {}, removeEventListener: () => {} },
  setTimeout: () => 0,
  clearTimeout: () => {},
  fetch: (/** @type {string} */ url, /** @type {any} */ options) => world.fetch(url, options),
});
console.error = (...told) => {
  if (!told.some((each) => each instanceof Injected)) world.violation("never throws", `${told.map((t) => t?.stack ?? t)}`);
};

/** @param {string} folder @param {string} release */
async function code(folder, release) {
  const { createEngine, introduce, leave } = await import(pathToFileURL(`${folder}/sync/engine.js`).href);
  const { net } = await import(pathToFileURL(`${folder}/sync/http.js`).href);
  const { ordered } = await import(pathToFileURL(`${folder}/sync/jobs.js`).href);
  const { recall } = await import(pathToFileURL(`${folder}/sync/cached_store.js`).href);
  return { createEngine, introduce, leave, net, ordered, recall, release };
}

/** @param {number} seed @param {{ users: any[], photos: string[], office: any }} city @param {any[]} releases */
function createWorld(seed, city, releases) {
  const luck = createLuck(seed);
  /** @type {Record<string, number>} */
  const reached = {};
  const made = {
    seed, luck, reached, releases, now: START, step: 0, order: 0, late: [], healing: false,
    users: city.users, office: city.office, pictures: city.photos.map((text) => Uint8Array.from(Buffer.from(text, "base64")).buffer),
    unreadable: /** @type {Set<string>} */ (new Set()), // what hashes to this is no picture
    phones: /** @type {any[]} */ ([]),
    ledger: /** @type {Map<string, any>} */ (new Map()),
    thrownAway: /** @type {Set<string>} */ (new Set()), // photos that somebody dropped
    violations: /** @type {any[]} */ ([]),
    said: 0,
    count(/** @type {string} */ what) {
      reached[what] = (reached[what] ?? 0) + 1;
    },
    violation(/** @type {string} */ invariant, /** @type {string} */ words) {
      made.violations.push({ seed, step: made.step, invariant, words });
    },
    /** The city's clock goes on a little with everything that happens. */
    tick(ms = 1_000 + luck.below(2_000)) {
      made.now += ms;
      return made.now;
    },
    /** Words that nobody else says. */
    words: () => `§${seed}.${++made.said}§`,
    schedule: /** @type {any} */ (null),
    fetch: /** @type {any} */ (null),
    copyPhone: /** @type {any} */ (null),
    backup: false,
  };
  for (const picture of made.pictures.slice(-UNREADABLE)) made.unreadable.add(hashed(picture));
  made.schedule = createSchedule(luck, made.count);
  made.fetch = weather(made);
  /** Everything on one phone, on another: as after a change of handsets. */
  made.copyPhone = (/** @type {any} */ from, /** @type {string} */ name) => {
    const copy = createPhone(made, name);
    copy.disk = structuredClone(from.disk);
    copy.flushed = copy.disk.mirror;
    Object.assign(copy, {
      cookies: { ...from.cookies }, user: from.user, release: from.release, promised: new Set(from.promised),
      dropped: new Set(from.dropped), readOf: new Set(from.readOf), safe: from.safe,
    });
    for (const id of from.rows("outbox", "ops").keys()) if (made.ledger.has(id)) made.ledger.get(id).cloned = true;
    made.phones.push(copy);
    copy.open(copy.user, releases[copy.release ?? 0]);
    return copy;
  };
  for (const name of ["A", "B", "C"]) made.phones.push(createPhone(made, name));
  return made;
}

/**
 * What stands in the outboxes was shown to somebody as saved; what was shown as saved stands in an outbox, or
 * its result does. Looked at between steps, when no transaction is half done.
 */
function ledger() {
  for (const phone of world.phones) {
    for (const [id, entry] of phone.rows("outbox", "ops")) {
      const known = world.ledger.get(id);
      if (!known) {
        world.ledger.set(id, { user: entry.user, op: entry.op, phone: phone.name, undone: false });
      } else if (same(known.op, entry.op)) {
        stands(known, entry.op);
      } else world.violation("1", `${id} was written over on phone ${phone.name}`);
      if (!mayGo(world.ledger.get(id))) phone.promised.add(id);
    }
    for (const [id, { op }] of phone.rows("outbox", "sent")) {
      const known = world.ledger.get(id);
      if (known && same(known.op, op)) stands(known, op); // and sent since we looked
    }
    for (const id of phone.promised) {
      const there = phone.rows("outbox", "ops").has(id) || phone.rows("outbox", "sent").has(id);
      if (there || phone.dropped.has(id)) continue;
      if (goesAlong(world.ledger.get(id))) {
        phone.promised.delete(id);
        continue;
      }
      world.violation("1", `${id} (${world.ledger.get(id).op.t}) is gone from phone ${phone.name}`);
      phone.promised.delete(id);
    }
  }
}

/** What it followed may have been undone: after a clone on one phone and not on the other.
 * @param {any} known @param {any} op */
function stands(known, op) {
  known.prevs = [...new Set([...(known.prevs ?? []), known.op.prev, op.prev])];
  known.op = op;
}

/** Nor is the start of work on a report promised while that is taken back. @param {any} known */
const mayGo = (known) =>
  takenBack(known) || (known.op.t === "start" && takenBack(world.ledger.get(known.op.case) ?? {}));

/** The start of work on a report that is undone is undone with it. @param {any} known */
function goesAlong(known) {
  const report = known.op.t === "start" && world.ledger.get(known.op.case);
  if (!report || !takenBack(report)) return false;
  known.undone = true;
  return true;
}

/** @param {any} a @param {any} b */
const same = (a, b) => JSON.stringify({ ...a, prev: null }) === JSON.stringify({ ...b, prev: null });

/** @param {{ seed: number, steps: number }} asked */
async function live({ seed, steps }) {
  const releases = [await code(/** @type {string} */ (today), "today"), await code(/** @type {string} */ (next), "next")];
  world = createWorld(seed, call("begin", { seed, at: START }), releases);
  for (const [i, phone] of world.phones.entries()) {
    const { id } = world.users[i % world.users.length];
    Object.assign(phone.cookies, call("login", { user: id, at: world.tick() }));
    phone.user = id;
    phone.open(id, releases[0]);
  }
  const weights = Object.fromEntries(Object.entries(STEPS).map(([name, { weight }]) => [name, weight]));
  let broken = false; // in the city, which keeps its own list
  for (world.step = 1; world.step <= steps && !broken && !world.violations.length; world.step++) {
    const name = world.luck.weighed(weights);
    const did = STEPS[name].act(world);
    if (did !== false) broken = Boolean(call("note", { step: world.step, did: `${name} ${did ?? ""}` }));
    if (world.luck.chance(0.4)) await world.schedule.rest();
    else await world.schedule.turns(world.luck.below(30));
    ledger();
  }
  if (!broken && !world.violations.length) await healed(world, ledger);
  return { violations: world.violations, reached: world.reached };
}

for (let asked = listen(); asked; asked = listen()) {
  try {
    say({ what: "done", ...(await live(asked)) });
  } catch (fault) {
    say({ what: "broken", words: /** @type {any} */ (fault).stack });
  }
}
