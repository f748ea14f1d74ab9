// After the steps: the weather clears, nobody writes anything new, and what was promised is asked for.

import { revoke } from "./steps.js";
import { call } from "./pipe.js";

const ROUNDS = 60;
const PATIENCE = 4; // rounds in which nothing moved
const FAR = 2 * 86_400_000; // nothing that waits may be due later than this

/** @param {any} world @param {() => void} ledger */
export async function healed(world, ledger) {
  world.healing = true;
  for (const phone of world.phones) {
    Object.assign(phone, { air: "good", full: false, dead: 0, offset: 0 });
    for (const tab of phone.tabs) tab.dies = 0;
  }
  await world.schedule.rest();
  ledger();
  if (world.luck.chance(0.3)) revoke(world);
  for (const request of world.late.splice(0)) call("http", { ...request, inject: "", at: world.tick() });
  call("heal", { at: world.tick() });
  for (const last of [false, true]) {
    if (last) call("late", { at: world.tick(73 * 3_600_000) });
    for (const phone of world.phones) {
      for (const user of usersOf(phone)) await drained(world, phone, user, last);
      ledger();
    }
  }
  for (const phone of world.phones) await compared(world, phone);
  for (const [invariant, words] of call("final", { ledger: told(world), at: world.tick() })) world.violation(invariant, words);
  if (!world.violations.length) for (const phone of world.phones) replayed(world, phone);
}

/** Whose work lies on this phone, whoever uses it now last. @param {any} phone @returns {number[]} */
function usersOf(phone) {
  const found = new Set();
  for (const name of ["ops", "sent"]) for (const [, entry] of phone.rows("outbox", name)) found.add(entry.user);
  found.delete(phone.user);
  return [...[...found].sort(), phone.user];
}

/** @param {any} world @param {any} phone @param {number} user @param {boolean} last */
async function drained(world, phone, user, last) {
  for (const tab of phone.tabs) tab.alive = false;
  phone.tabs = [];
  Object.assign(phone.cookies, call("login", { user, at: world.tick() }));
  const tab = phone.open(user, world.releases[phone.release ?? 0]);
  await sent(world, phone, tab);
  if (await shutOut(world, phone, tab)) {
    if (!last) return; // once as it is
    const code = call("code", { user, at: world.tick() });
    if (!(await asked(world, tab, "enrol", () => tab.enrol(code)))) world.violation("2", `phone ${phone.name} cannot be enrolled anew`);
    await sent(world, phone, tab);
  }
  if (!last) return;
  const view = await asked(world, tab, "look", () => tab.engine.view());
  if (view.problem) world.violation("2", `phone ${phone.name} of user ${user} cannot finish: ${view.problem}`);
  for (const { op, result, too_large } of view.outbox) {
    const why = result ? `${result.result} ${result.why ?? ""}` : too_large ? "too large" : "nothing heard";
    world.violation("2", `${op.t} ${op.id} of user ${user} never left phone ${phone.name}: ${why} (${view.problem})`);
  }
}

/** Until nothing moves any more. @param {any} world @param {any} phone @param {any} tab */
async function sent(world, phone, tab) {
  await asked(world, tab, "sync", () => tab.engine.sync());
  let left = Infinity, still = 0;
  for (let i = 0; i < ROUNDS && still < PATIENCE; i++) {
    const due = await asked(world, tab, "look", () => tab.engine.due());
    if (due === null) break;
    if (due > world.now + FAR) {
      world.violation("16", `phone ${phone.name} waits for ${new Date(due).toISOString()}`);
      break;
    }
    world.now = Math.max(world.now, due);
    await asked(world, tab, "sync", () => tab.engine.sync());
    const { size } = phone.rows("outbox", "ops");
    still = size < left ? 0 : still + 1;
    left = size;
  }
}

/**
 * Whether the city has shut this phone out. Then it says so, holds nothing of the city's, and all that was done on it
 * has been put by there, photos too.
 * @param {any} world @param {any} phone @param {any} tab
 */
async function shutOut(world, phone, tab) {
  const known = call("whose", { token: phone.cookies.cl_device ?? "" });
  const revoked = Boolean(known?.revoked) && phone.rows("outbox", "kv").get(`device:${tab.user}`) === known.device;
  const { problem, outbox, sent, shots } = await asked(world, tab, "look", () => tab.engine.view());
  const name = `phone ${phone.name} of user ${tab.user}`;
  if (revoked !== (problem === "revoked")) world.violation("8", `${name} is ${revoked ? "" : "not "}revoked and says ${problem}`);
  if (!revoked) return false;
  for (const store of ["jobs", "photos", "map"]) {
    if (phone.rows("mirror", store).size) world.violation("8", `${name} was revoked and keeps the city's ${store}`);
  }
  for (const { op, result, too_large } of outbox) {
    if (!result && !too_large) world.violation("2", `${op.t} ${op.id} of ${name} was not put by, although it was revoked`);
  }
  const missing = new Set(call("wanted", { device: known.device }));
  const answered = new Set([...outbox, ...sent].filter(({ result }) => result).map(({ op }) => op.id));
  for (const shot of shots) {
    if (!missing.has(shot.id) || shot.refused || !answered.has(shot.op)) continue;
    world.violation("11", `photo ${shot.id} of ${name} is wanted and was not sent, since it was revoked`);
  }
  world.count("revoked to the end");
  return true;
}

/** The mirror is what the city would tell now. @param {any} world @param {any} phone */
async function compared(world, phone) {
  const tab = phone.tabs[0];
  await asked(world, tab, "sync", () => tab.engine.sync());
  same(world, phone, tab.user);
}

/** @param {any} world @param {any} phone @param {number} user */
export function same(world, phone, user) {
  if (phone.mirroredFor !== user) return;
  const city = call("view", { user, version: phone.mirrored });
  if (city.version !== phone.mirrored) return;
  world.count("mirror_compared");
  /** @type {Record<string, any>} */
  const mirror = {};
  for (const [key, row] of phone.rows("mirror", "jobs")) mirror[key] = row.job;
  for (const [key, { job, may }] of Object.entries(/** @type {any} */ (city.jobs))) {
    const here = mirror[key];
    delete mirror[key];
    if (!here && !may) world.violation("5", `${key} is missing on phone ${phone.name}: ${job}`);
    if (here && sorted(here) !== job) world.violation("5", `${key} on phone ${phone.name} is ${sorted(here)}, in the city ${job}`);
  }
  for (const key of Object.keys(mirror)) {
    world.violation("8", `${key} (${mirror[key].state}) is still on phone ${phone.name}, where user ${user} is`);
  }
}

/** A job as the city would write it for a comparison. @param {any} value @returns {string} */
function sorted(value) {
  return JSON.stringify(value, (_, each) =>
    each && typeof each === "object" && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

/** What was sent once is sent again, and nothing happens; but of two clones' bodies the city took the other, maybe.
 * @param {any} world @param {any} phone */
function replayed(world, phone) {
  const device = phone.rows("outbox", "kv").get(`device:${phone.user}`);
  const hasOneBody = (/** @type {any} */ known) => !known?.cloned || (known.prevs ?? []).length < 2;
  const own = [...phone.rows("outbox", "sent").values()].filter(({ user }) => user === phone.user);
  const sent = own.filter(({ op }) => hasOneBody(world.ledger.get(op.id))).slice(0, 50);
  if (!sent.length || !device) return;
  const before = call("version");
  const body = {
    protocol: 1, nonce: world.luck.id(), epoch: "", device, cursors: {}, limit: 1, ops: sent.map(({ op }) => op),
  };
  const told = call("http", {
    phone: phone.name, method: "POST", path: "/sync/v1/exchange", inject: "", cookies: phone.cookies, whole: true,
    headers: { "Content-Type": "application/json", "X-Cityline": "1" }, at: world.tick(),
    body: Buffer.from(JSON.stringify(body)).toString("base64"),
  });
  if (told.status !== 200) return world.violation("10", `a replay was answered ${told.status}`);
  const answer = JSON.parse(told.text);
  for (const { op, result } of sent) {
    const again = answer.results.find((/** @type {any} */ each) => each.id === op.id);
    if (again?.result !== result.result || again?.why !== result.why) {
      world.violation("10", `${op.t} ${op.id} was ${result.result} ${result.why ?? ""}, and ${again?.result} when sent again`);
    }
  }
  if (call("version") !== before) world.violation("10", "a replay changed the city");
}

/** @param {any} world */
function told(world) {
  return [...world.ledger.values()].map((known) => {
    const holders = world.phones.filter((/** @type {any} */ phone) => phone.rows("outbox", "sent").has(known.op.id));
    return {
      ...known, undoing: Boolean(known.undoing?.length),
      // Its job or case may have been given after the backup: then a person must read it.
      lost: Boolean(world.reached.restore) || nowhere(known.op, world.ledger.get(known.op.case)),
      unreadable: known.op.photos.filter((/** @type {any} */ { sha256 }) => world.unreadable.has(sha256)).map((/** @type {any} */ { id }) => id),
      bytes: known.op.photos.map((/** @type {any} */ photo) => photo.id).filter((/** @type {string} */ id) =>
        world.phones.some((/** @type {any} */ phone) => phone.rows("outbox", "chunks").has(`${id}:0000`))),
      unread: holders.flatMap((/** @type {any} */ phone) => untold(world, phone, known.op.id)),
      // Whoever drops a photo in one tab may do so in the moment in which another tab saves it with an operation.
      dropped: known.op.photos.some((/** @type {any} */ photo) => world.thrownAway.has(photo.id)),
      heard: holders.map((/** @type {any} */ phone) => {
        const { op, result } = phone.rows("outbox", "sent").get(known.op.id);
        return { op, result };
      }),
    };
  });
}

/** Photos that cannot be read and stand on a phone as if all were well. @param {any} world @param {any} phone @param {string} id */
function untold(world, phone, id) {
  const own = [...phone.rows("outbox", "photos").values()].filter((shot) => shot.op === id && world.unreadable.has(shot.sha256));
  const { seen } = phone.rows("outbox", "sent").get(id);
  return own.filter((shot) => !shot.refused || (seen && !phone.readOf.has(shot.id))).map((shot) => shot.id);
}

/** The report opened no case: nobody could read it, or it was undone on a copy of this phone.
 * @param {any} op @param {any} report */
const nowhere = (op, report) =>
  Boolean(report && (report.op.data.bad || (report.cloned && op.t !== "start" && (report.undone || report.undoing?.length))));

/** Runs something in a tab to its end. @param {any} world @param {any} tab @param {string} kind @param {() => Promise<any>} act */
async function asked(world, tab, kind, act) {
  /** @type {any} */
  let value;
  world.schedule.start(tab, kind, async () => {
    value = await act();
  });
  await world.schedule.rest();
  return value;
}
