// What can happen in the world, and how often. A step returns what it did, for the trace; false where it
// found nothing to do.

import { same } from "./convergence.js";
import { call } from "./pipe.js";

const YEARS = 10 * 365 * 86_400_000;
const UNDO = 10_000;

/** @param {any} world A tab that somebody could touch now. */
function anyTab(world) {
  const tabs = world.phones.flatMap((/** @type {any} */ phone) => phone.tabs.filter((/** @type {any} */ t) => t.alive));
  return tabs.length ? world.luck.pick(tabs) : null;
}

/** @param {any} world @param {any} tab */
function name(world, tab) {
  return `${tab.phone.name}${tab.phone.tabs.indexOf(tab)}/${tab.user}`;
}

/** What the crew does at a job. @param {any} world @param {any} tab @param {any} task */
async function work(world, tab) {
  const { luck } = world, { engine } = tab;
  const { jobs } = await engine.view();
  const stranger = luck.chance(0.04);
  const job = stranger || !jobs.length ? elsewhere(world) : luck.pick(jobs);
  const t = luck.weighed({
    start: 5, pause: 2, resume: 2, wait: 2, close: 8, make_safe: 1, needs_parts: 1, note: 4, photo: 3, time: 1,
    dance: 0.6, propose: 0.8,
  });
  /** @type {Record<string, any>} */
  const data = { words: world.words() };
  if (t === "dance") data.bad = "unknown_type";
  if (job.ref === "26-999999") data.bad = "unknown_case";
  if (luck.chance(0.01)) Object.assign(data, { words: data.words + "x".repeat(4_100), bad: "words_too_long" });
  if (luck.chance(0.02) && ["start", "close", "pause"].includes(t)) Object.assign(data, { poison: true });
  if (t === "wait") {
    data.reason = luck.pick(["utility", "parts", "weather", "resident"]);
    // A day that nobody may say, or that is over when the city hears of it, is set aside.
    if (luck.chance(0.5)) Object.assign(data, { until: day(world.now, luck.pick([1, 1, 2, 3, 9, 60, 0])), bad: "until" });
  }
  if (t === "propose") {
    if (luck.chance(0.6)) data.service = luck.pick(["light-out", "tree-leaning", "wire-down", "home-nuisance"]);
    if (!data.service || luck.chance(0.3)) Object.assign(data, luck.pick([{ lat: 39.6, lon: -71.2 }, { lat: 39.62, lon: -71.18 }]));
  }
  if (t === "time") data.minutes = 5 + luck.below(50);
  const shots = [];
  if (t === "photo" || (["close", "dance"].includes(t) && luck.chance(0.6)) || luck.chance(0.05)) {
    const photos = t === "photo" || luck.chance(0.7) ? 1 : 2;
    for (let i = 0; i < photos; i++) {
      shots.push(await engine.keepPhoto(job.ref, luck.pick(world.pictures), "image/jpeg"));
    }
  }
  if (t === "close") Object.assign(data, ending(world, shots));
  const undo = t === "close" || luck.chance(0.2) ? UNDO : 0;
  const entry = await add(world, tab, t, job, data, { photos: shots, undo, accuracy: 12.5 });
  if (!entry || !undo || !luck.chance(0.1)) return;
  // A mistake: what is put right follows what is just being undone.
  world.schedule.start(tab, "undo", () => undone(world, tab, entry.op.id));
  await add(world, tab, "note", job, { words: world.words(), ...(job.ref === "26-999999" ? { bad: "unknown_case" } : {}) });
}

/** A day so many days on. @param {number} now @param {number} days */
const day = (now, days) => new Date(now + 86_400_000 * days).toISOString().slice(0, 10);

/** Saves work. The phone says so where the report that it is about was taken back meanwhile.
 * @param {any} world @param {any} tab @param {string} t @param {any} job @param {any} data @param {any} [more] */
async function add(world, tab, t, job, data, more) {
  try {
    const entry = await tab.engine.add(t, job, data, more);
    promised(world, tab, entry);
    return entry;
  } catch (fault) {
    const of = world.ledger.get(job.ref);
    if (/** @type {any} */ (fault).name !== "Undone" || !(of?.undone || of?.undoing?.length)) throw fault;
    world.count("its report undone");
    return null;
  }
}

/** @param {any} world @param {any} tab @param {any} job */
async function close(world, tab, job) {
  const shots = [];
  if (world.luck.chance(0.6)) shots.push(await tab.engine.keepPhoto(job.ref, world.luck.pick(world.pictures), "image/jpeg"));
  const data = { words: world.words(), ...ending(world, shots) };
  await add(world, tab, "close", job, data, { photos: shots, undo: UNDO, accuracy: 12.5 });
}

/** @param {any} world @param {any[]} shots */
function ending({ luck }, shots) {
  const outcome = luck.pick(["fixed", "fixed", "not found", "not ours", "no action"]);
  return { outcome, ...(shots.length ? {} : { no_photo: luck.pick(["unsafe", "dark", "nothing to see"]) }) };
}

/** Somebody was shown that this is saved. Whoever sees it in the list before that may have taken it back by now.
 * @param {any} world @param {any} tab @param {any} entry */
function promised(world, tab, entry) {
  const { id } = entry.op, { phone } = tab;
  const known = world.ledger.get(id) ?? { user: tab.user, op: structuredClone(entry.op), phone: phone.name, undone: false };
  world.ledger.set(id, known);
  if (takenBack(known)) return;
  phone.promised.add(id);
  if (!phone.rows("outbox", "ops").has(id) && !phone.rows("outbox", "sent").has(id)) {
    world.violation("1", `${id} was called saved and is not there`);
  }
}

/** Whoever undoes something may hear that it is gone before, after or never; and two may do so at once.
 * @param {any} known */
export const takenBack = (known) => known.undone || Boolean(known.undoing?.some((/** @type {any} */ tab) => tab.alive));

/** A job that is not on this phone. @param {any} world */
function elsewhere(world) {
  const ref = world.luck.chance(0.3) ? "26-999999" : call("any_case", { pick: world.luck.below(1_000) });
  return { ref, title: { en: "?" }, cycle: 1, version: 1, state: "assigned" };
}

/** @param {any} world @param {any} tab */
async function undo(world, tab) {
  const { phone } = tab;
  const { outbox } = await tab.engine.view();
  const able = outbox.filter((/** @type {any} */ entry) => phone.clock() < entry.not_before);
  if (able.length) await undone(world, tab, world.luck.pick(able).op.id);
}

/** @param {any} world @param {any} tab @param {string} id */
async function undone(world, tab, id) {
  const { engine, phone } = tab;
  const known = world.ledger.get(id);
  if (!known) return false; // another tab is saving it just now
  // The start of work on a report goes with it, where that is on this phone: after a clone it may be on the other only.
  const isHere = (/** @type {any} */ each) => each.cloned || each.phone === phone.name;
  const goes = (/** @type {any} */ each) => each.op.t === "start" && each.op.case === id && isHere(each);
  const all = [...world.ledger.values()].filter((each) => each.op.id === id || goes(each));
  const promised = all.filter(({ op }) => phone.promised.delete(op.id)); // from here until we are told, either is right
  for (const each of all) each.undoing = [...(each.undoing ?? []), tab];
  const gone = await engine.undo(id);
  for (const each of all) {
    each.undoing = each.undoing.filter((/** @type {any} */ other) => other !== tab && other.alive);
    each.undone ||= gone;
  }
  for (const each of promised) if (!takenBack(each)) phone.promised.add(each.op.id);
  if (gone && known.op.t === "report") world.count("report_undone");
  return gone;
}

/** A problem met in the field: only told, or told, begun and closed. @param {any} world @param {any} tab */
async function report(world, tab) {
  const { luck } = world, { engine } = tab;
  const id = luck.id(), shots = [];
  /** @type {Record<string, any>} */
  const data = {
    service: "light-out", group: "streetlight", words: world.words(), lang: "en", lat: 39.6, lon: -71.2, accuracy: 8, answers: {},
  };
  if (luck.chance(0.2)) data.join = elsewhere(world).ref;
  if (luck.chance(0.05)) Object.assign(data, { service: "moon-out", bad: "unknown_service" });
  if (luck.chance(0.4)) shots.push(await engine.keepPhoto("report", luck.pick(world.pictures), "image/jpeg"));
  const entry = await engine.report(data, { title: { en: "?" }, address: "" }, { id, photos: shots, undo: UNDO });
  promised(world, tab, entry);
  world.count("report");
  if (shots.length) world.count("report_photo");
  if (luck.chance(0.4)) return;
  const job = (await engine.view()).jobs.find((/** @type {any} */ each) => each.ref === id);
  if (!job) return; // undone meanwhile
  if (!(await add(world, tab, "start", job, {}))) return;
  if (luck.chance(0.4)) {
    // Closed some time, like any other job, or a mistake.
    if (luck.chance(0.6)) world.schedule.start(tab, "undo", () => undone(world, tab, id));
    return;
  }
  world.count("report_and_close");
  await close(world, tab, job);
}

/** What the city has put by is seldom, and a person looks twice at it. @param {any} entry */
const waitsThere = ({ result }) => ["held", "deposited"].includes(result?.result);

/** What the screen does where something is taken back: here if it can be, or the city is asked to.
 * @param {any} world @param {any} tab */
async function takeBack(world, tab) {
  const { engine } = tab;
  const { outbox, sent } = await engine.view();
  const all = [...outbox, ...sent];
  const able = all.filter((/** @type {any} */ entry) => entry.op.t !== "propose" && engine.mayWithdraw(entry, all));
  if (!able.length) return;
  const waits = able.filter(waitsThere);
  const { id } = world.luck.pick(waits.length ? waits : able).op;
  if (await undone(world, tab, id)) return;
  const entry = await engine.withdraw(id);
  if (!entry) return;
  world.count("withdraw");
  promised(world, tab, entry);
}

/** Somebody reads what came of their work, and puts it away. @param {any} world @param {any} tab */
async function dismiss(world, tab) {
  const { sent, shots } = await tab.engine.view();
  const news = sent.filter((/** @type {any} */ entry) => !entry.seen);
  if (!news.length) return;
  const entry = world.luck.pick(news);
  const read = shots.filter((/** @type {any} */ shot) => shot.op === entry.op.id && shot.refused);
  for (const shot of read) tab.phone.readOf.add(shot.id);
  await tab.engine.dismiss(entry, shots);
}

/** The phone's own timer or a trigger. @param {any} world @param {any} tab */
export function sync(world, tab) {
  world.schedule.start(tab, "sync", async () => {
    if (world.luck.chance(0.1)) world.schedule.start(tab, "dismiss", () => dismiss(world, tab));
    await tab.engine.sync();
    world.schedule.start(tab, "look", () => looked(world, tab));
  });
}

/** @param {any} world @param {any} tab */
async function looked(world, tab) {
  const { jobs, outbox, sent, problem } = await tab.engine.view();
  const all = [...outbox, ...sent];
  dangerFirst(world, tab, jobs);
  if (problem === "revoked" && world.luck.chance(0.6)) return void enrol(world, tab.phone);
  const waits = all.some((entry) => waitsThere(entry) && tab.engine.mayWithdraw(entry, all));
  if (waits && world.luck.chance(0.9)) world.schedule.start(tab, "undo", () => takeBack(world, tab));
  // Its clock is put to when that was saved, and whoever did it thinks again: the city may have it.
  if (outbox.length && world.luck.chance(0.05)) {
    const { op } = world.luck.pick(outbox);
    tab.phone.offset += Date.parse(op.device_time) + world.luck.below(UNDO) - tab.phone.clock();
    world.count("clock_to_undo");
    world.schedule.start(tab, "undo", () => undone(world, tab, op.id));
  }
  const due = await tab.engine.due();
  const left = outbox.filter((/** @type {any} */ { op }) => tab.phone.rows("outbox", "ops").has(op.id));
  if (left.length && (due === null || !Number.isFinite(due))) {
    world.violation("16", `${left.length} operations wait on phone ${tab.phone.name} and nothing is due (${problem})`);
  }
  if (world.luck.chance(0.4) && !world.schedule.others(tab)) same(world, tab.phone, tab.user);
}

/** Whoever can be hurt comes first, also while that waits. @param {any} world @param {any} tab @param {any[]} jobs */
function dangerFirst(world, tab, jobs) {
  const { open } = tab.ordered(jobs, world.luck.pick(["due", "priority", "nearest"]), world.now / 1_000, { lat: 39.6, lon: -71.2 });
  const last = open.findLastIndex((/** @type {any} */ job) => job.urgent);
  if (last < 0) return;
  if (open[last].state === "waiting" && open.length > last + 1) world.count("danger waits, and first");
  const before = open.slice(0, last).find((/** @type {any} */ job) => !job.urgent);
  if (before) world.violation("danger", `${before.ref} stands before ${open[last].ref} on phone ${tab.phone.name}, where danger is`);
}

/** The office shuts a phone out: of two the one with more on it is lost. @param {any} world */
export function revoke(world) {
  const queued = (/** @type {any} */ phone) => phone.rows("outbox", "ops").size;
  const [one, other] = [world.luck.pick(world.phones), world.luck.pick(world.phones)];
  const phone = queued(one) < queued(other) ? other : one;
  const device = call("revoke", { token: phone.cookies.cl_device ?? "", at: world.tick() });
  if (!device) return false;
  world.count("revoke");
  return `${phone.name} ${device}`;
}

/** Somebody finds a phone again, logs out, and makes it theirs with a code or as whoever they log in as.
 * @param {any} world @param {any} phone */
function enrol(world, phone) {
  // The page is loaded anew; what else was open may stay so.
  if (phone.tabs.length > 2 || world.luck.chance(0.6)) {
    for (const tab of phone.tabs) tab.alive = false;
    phone.tabs = [];
  }
  const tab = anotherTab(world, phone);
  const byCode = world.luck.chance(0.6);
  if (!byCode) Object.assign(phone.cookies, call("login", { user: phone.user, at: world.tick() }));
  world.schedule.start(tab, "enrol", async () => {
    for (let tries = 0; tries < 4; tries++) {
      const code = byCode ? call("code", { user: phone.user, at: world.tick() }) : undefined;
      if (!(await tab.enrol(code))) continue;
      world.count("enrol");
      return sync(world, tab);
    }
  });
  return `${name(world, tab)} ${byCode ? "by code" : "logged in"}`;
}

/** @param {any} world @param {any} phone */
function anotherTab(world, phone) {
  if (phone.user) return phone.open(phone.user, world.releases[phone.release ?? 0]);
  return null;
}

/** @type {Record<string, { weight: number, act: (world: any) => any }>} */
export const STEPS = {
  work: {
    weight: 26,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      world.schedule.start(tab, "work", () => work(world, tab));
      return name(world, tab);
    },
  },
  report: {
    weight: 4,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      world.schedule.start(tab, "report", () => report(world, tab));
      return name(world, tab);
    },
  },
  undo: {
    weight: 5,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      world.schedule.start(tab, "undo", () => undo(world, tab));
      return name(world, tab);
    },
  },
  "take back": {
    weight: 5,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      // Watched like an undo: it may still be one.
      world.schedule.start(tab, "undo", () => takeBack(world, tab));
      return name(world, tab);
    },
  },
  "drop photo": {
    weight: 1,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      world.schedule.start(tab, "photo", async () => {
        const { jobs, shots } = await tab.engine.view();
        const loose = shots.filter((/** @type {any} */ shot) => shot.op === null);
        if (loose.length) {
          const { id } = world.luck.pick(loose);
          world.thrownAway.add(id);
          await tab.engine.dropPhoto(id);
        } else if (jobs.length) await tab.engine.keepPhoto(world.luck.pick(jobs).ref, world.luck.pick(world.pictures), "image/jpeg");
      });
      return name(world, tab);
    },
  },
  dismiss: {
    weight: 2,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      world.schedule.start(tab, "dismiss", () => dismiss(world, tab));
      return name(world, tab);
    },
  },
  sync: {
    weight: 26,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      sync(world, tab);
      return name(world, tab);
    },
  },
  office: {
    weight: 24,
    act(world) {
      const { luck } = world;
      const verb = luck.weighed(Object.fromEntries(Object.entries(world.office).map(([name, row]) => [name, row.weight])));
      if (world.office[verb].passes) world.tick(1_000 * world.office[verb].passes);
      const told = { verb, a: luck.below(1_000), b: luck.below(1_000), c: luck.below(1_000) };
      return `${verb} ${call("office", { ...told, at: world.tick(30_000) })}`;
    },
  },
  time: {
    weight: 8,
    act(world) {
      const ms = world.luck.pick([5_000, 15_000, 60_000, 600_000, 3_600_000]);
      world.tick(ms);
      return `${ms / 1_000} s`;
    },
  },
  night: {
    weight: 0.6,
    act(world) {
      world.tick(26 * 3_600_000);
      call("night", { at: world.tick() });
      world.backup = true;
      return "";
    },
  },
  air: {
    weight: 8,
    act(world) {
      const phone = world.luck.pick(world.phones);
      phone.air = world.luck.pick(["good", "none", "bad", "bad"]);
      // The browser says so to every tab at once.
      if (phone.air !== "none") for (const tab of phone.tabs) if (tab.alive) sync(world, tab);
      return `${phone.name} ${phone.air}`;
    },
  },
  late: {
    weight: 2,
    act(world) {
      if (!world.late.length) return false;
      const [request] = world.late.splice(world.luck.below(world.late.length), 1);
      call("http", { ...request, at: world.tick() });
      return request.path;
    },
  },
  kill: {
    weight: 5,
    act(world) {
      const tab = anyTab(world);
      if (!tab) return false;
      tab.dies = 1 + world.luck.below(25);
      return `${name(world, tab)} in ${tab.dies}`;
    },
  },
  tab: {
    weight: 6,
    act(world) {
      const phone = world.luck.pick(world.phones);
      phone.tabs = phone.tabs.filter((/** @type {any} */ tab) => tab.alive);
      if (phone.tabs.length > 1) {
        const [tab] = phone.tabs.splice(world.luck.below(phone.tabs.length), 1);
        tab.alive = false;
        return `${phone.name} closed`;
      }
      if (phone.tabs.length) world.count("two_tabs");
      anotherTab(world, phone);
      return `${phone.name} opened`;
    },
  },
  reboot: {
    weight: 2,
    act(world) {
      const phone = world.luck.pick(world.phones);
      phone.reboot();
      world.count("reboot");
      anotherTab(world, phone);
      return phone.name;
    },
  },
  upgrade: {
    weight: 1,
    act(world) {
      const phone = world.luck.pick(world.phones);
      for (const tab of phone.tabs) tab.alive = false;
      phone.tabs = [];
      phone.release = 1;
      world.count("upgrade");
      anotherTab(world, phone);
      return phone.name;
    },
  },
  "sign in": {
    weight: 3,
    act(world) {
      const phone = world.luck.pick(world.phones);
      const { id } = world.luck.pick(world.users);
      Object.assign(phone.cookies, call("login", { user: id, at: world.tick() }));
      if (phone.user !== id) world.count("user_switch");
      // The tabs of whoever was here before may stay open.
      if (phone.user !== id && world.luck.chance(0.6)) {
        for (const tab of phone.tabs) tab.alive = false;
        phone.tabs = [];
      }
      phone.user = id;
      if (phone.tabs.length < 3) anotherTab(world, phone);
      return `${phone.name} ${id}`;
    },
  },
  revoke: {
    weight: 0.7,
    act: revoke,
  },
  enrol: {
    weight: 1,
    act(world) {
      const shutOut = world.phones.filter((/** @type {any} */ phone) => phone.rows("outbox", "kv").get("problem") === "revoked");
      return shutOut.length > 0 && enrol(world, world.luck.pick(shutOut));
    },
  },
  "sign out": {
    weight: 1,
    act(world) {
      const phone = world.luck.pick(world.phones);
      delete phone.cookies.cl_session;
      world.count("session_lost");
      return phone.name;
    },
  },
  clock: {
    weight: 2,
    act(world) {
      const phone = world.luck.pick(world.phones);
      phone.offset = world.luck.pick([0, 0, YEARS, -YEARS, 3_600_000, -60_000]);
      if (phone.offset >= YEARS) world.count("clock_forward");
      if (phone.offset <= -YEARS) world.count("clock_back");
      return `${phone.name} ${phone.offset}`;
    },
  },
  disk: {
    weight: 3,
    act(world) {
      const phone = world.luck.pick(world.phones);
      if (world.luck.chance(0.4)) {
        phone.dead = 1 + world.luck.below(3);
        world.count("dead_handle");
        return `${phone.name} handle`;
      }
      phone.full = !phone.full;
      if (phone.full) world.count("quota");
      return `${phone.name} ${phone.full ? "full" : "free"}`;
    },
  },
  restart: {
    weight: 1,
    act(world) {
      call("restart", { at: world.tick() });
      world.count("server_restart");
      return "";
    },
  },
  backup: {
    weight: 1,
    act(world) {
      call("backup", { at: world.tick() });
      world.backup = true;
      world.count("backup");
      return "";
    },
  },
  restore: {
    weight: 0.6,
    act(world) {
      if (!world.backup) return false;
      call("restore", { at: world.tick() });
      world.count("restore");
      return "";
    },
  },
  clone: {
    weight: 0.4,
    act(world) {
      if (world.phones.length > 4) return false;
      const from = world.luck.pick(world.phones);
      const copy = world.copyPhone(from, "DEF"[world.phones.length - 3]);
      world.count("clone");
      return `${from.name} to ${copy.name}`;
    },
  },
};
