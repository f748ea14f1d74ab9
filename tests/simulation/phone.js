// A phone: its disk, its tabs, the air around it. The disk and the network are where things go wrong; what
// runs in the tabs is the code that ships.

import { createHash } from "node:crypto";
import { call } from "./pipe.js";
import { current } from "./schedule.js";

/** A fault that the world made, as opposed to one that the engine made. */
export class Injected extends Error {}

const STORES = { outbox: ["ops", "photos", "chunks", "sent", "drafts", "kv"], mirror: ["jobs", "photos", "map", "kv"] };
// What can happen to a request on its way, by how often. Status codes come from something in between.
const WEATHER = {
  lost_request: 3, lost_response: 5, duplicate: 3, late_duplicate: 3, truncated_request: 1, truncated_answer: 2,
  portal: 2, portal_json: 1, stale_answer: 2, redirect: 1, s401: 3, s413: 1, s429: 1, s500: 2, s507: 1,
  corrupt_piece: 2, busy: 2, serialization: 2, crash: 2,
};
const PORTAL = "<!doctype html><title>Hotel Wi-Fi</title><h1>Room number, please</h1>";

/** @returns {Record<string, Map<string, Map<string, any>>>} */
function blank() {
  const base = (/** @type {string[]} */ names) => new Map(names.map((name) => [name, new Map()]));
  return { outbox: base(STORES.outbox), mirror: base(STORES.mirror) };
}

/** @param {Map<string, Map<string, any>>} base */
const copied = (base) => new Map([...base].map(([name, rows]) => [name, new Map(rows)]));

/** @param {any} world @param {string} name */
export function createPhone(world, name) {
  const { luck, schedule, count } = world;
  const phone = {
    name,
    disk: blank(),
    flushed: blank().mirror, // what of the mirror survives a reboot
    cookies: /** @type {Record<string, string>} */ ({}),
    user: 0,
    offset: 0, // of its clock, ms
    air: "good", // good, none, bad
    full: false,
    dead: 0, // calls for which the database handle is gone
    tabs: /** @type {any[]} */ ([]),
    promised: /** @type {Set<string>} */ (new Set()), // operations that somebody here was shown as saved
    dropped: /** @type {Set<string>} */ (new Set()), // forgotten here, since the city said that they are safe
    readOf: /** @type {Set<string>} */ (new Set()), // refused photos that somebody here saw to be so
    lockedBy: /** @type {any} */ (null),
    speaking: /** @type {Set<any>} */ (new Set()), // tabs that wait for an answer of the city
    safe: 0,
    lastSound: "",
    mirrored: -1, // the city's version that the mirror shows
    mirroredFor: 0, // and to whom
    onTheWay: /** @type {number[]} */ ([]),
    open,
    reboot,
    rows,
    clock: () => world.now + phone.offset,
  };
  return phone;

  /** @param {string} base @param {string} store @returns {Map<string, any>} */
  function rows(base, store) {
    return /** @type {any} */ (phone.disk[base]?.get(store));
  }

  /** A tab with an engine for a user. @param {number} user @param {any} code a release of the engine */
  function open(user, code) {
    const tab = {
      phone, user, alive: true, dies: 0, release: code.release, ordered: code.ordered, engine: /** @type {any} */ (null),
      failed(/** @type {string} */ kind, /** @type {any} */ fault) {
        const ours = fault instanceof Injected;
        if (kind === "sync") world.violation("never throws", `sync() threw: ${fault}`);
        else if (!ours && !/not kept/.test(fault.message)) world.violation("never throws", `${kind} threw: ${fault.stack}`);
      },
    };
    const store = code.recall(storeOf(), luck.id);
    tab.engine = code.createEngine({
      store,
      net: code.net,
      clock: phone.clock,
      random: { id: luck.id, fraction: luck.fraction },
      digest: async (/** @type {ArrayBuffer} */ data) => createHash("sha256").update(Buffer.from(data)).digest("hex"),
      user,
      release: code.release,
      lock: locked,
    });
    tab.enrol = (/** @type {string | undefined} */ told) => enrol(code, store, told);
    phone.tabs.push(tab);
    return tab;
  }

  /** Somebody logs out here and makes the phone theirs anew, by a code or as whoever is logged in. Says whether
   * it went well. @param {any} code a release of the engine @param {any} store @param {string} [told] */
  async function enrol(code, store, told) {
    try {
      await code.leave(store);
      await code.introduce({ store, net: code.net, random: { id: luck.id, fraction: luck.fraction } }, told);
      return true;
    } catch (/** @type {any} */ fault) {
      if (!fault.problem && !(fault instanceof Injected)) throw fault;
      return false; // as the first screen says it
    }
  }

  function reboot() {
    for (const tab of phone.tabs) tab.alive = false;
    phone.tabs = [];
    phone.mirrored = -1;
    if (phone.disk.mirror !== phone.flushed) count("reboot_lost_write");
    phone.disk.mirror = copied(phone.flushed);
    phone.flushed = phone.disk.mirror;
  }

  /** The browser's lock between tabs: whoever comes second goes without. @param {(over: () => boolean) => Promise<void>} act */
  async function locked(act) {
    if (phone.lockedBy?.alive) return false;
    const { tab } = current(), until = world.now + 30_000;
    phone.lockedBy = tab;
    try {
      await act(() => world.now > until);
    } finally {
      if (phone.lockedBy === tab) phone.lockedBy = null;
    }
    return true;
  }

  function storeOf() {
    const handle = () => {
      if (phone.dead && phone.dead--) throw new Injected("the database handle is gone");
    };
    return {
      get: (/** @type {string} */ base, /** @type {string} */ store, /** @type {string} */ key) =>
        schedule.park(() => (handle(), structuredClone(rows(base, store).get(key)))),
      all: (/** @type {string} */ base, /** @type {string} */ store, prefix = "") =>
        schedule.park(() => {
          handle();
          const found = [...rows(base, store)].filter(([key]) => key.startsWith(prefix));
          return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, structuredClone(value)]);
        }),
      write(/** @type {string} */ base, /** @type {any} */ changes) {
        const decide = typeof changes === "function" ? changes : async () => changes;
        const task = current();
        return schedule.park(async () => {
          handle();
          if (phone.full && luck.chance(0.5)) throw Object.assign(new Injected("full"), { name: "QuotaExceededError" });
          const decided = await decide(
            async (/** @type {string} */ store, /** @type {string} */ key) => structuredClone(rows(base, store).get(key)),
            async (/** @type {string} */ store) => structuredClone([...rows(base, store).values()]),
          );
          written(task, base, structuredClone(decided)); // what is put is what it was when it was put
        });
      },
    };
  }

  /** @param {any} task @param {string} base @param {any[]} changes */
  function written(task, base, changes) {
    watch(task, base, changes);
    if (base === "mirror" && changes.length) {
      phone.disk.mirror = copied(phone.disk.mirror);
      phone.mirrored = task.heard;
      phone.mirroredFor = task.tab.user;
    }
    for (const [what, store, key, value] of changes) {
      if (what === "put") rows(base, store).set(key, value);
      else rows(base, store).delete(key);
    }
    // One strict transaction reaches the disk; of the mirror nobody promised that.
    if (base === "mirror" && luck.chance(0.5)) phone.flushed = phone.disk.mirror;
  }

  /** What no write may do, whoever asks for it. @param {any} task @param {string} base @param {any[]} changes */
  function watch(task, base, changes) {
    const put = (/** @type {string} */ store, /** @type {string} */ key) =>
      changes.find((each) => each[0] === "put" && each[1] === store && each[2] === key)?.[3];
    if (base === "mirror") {
      if (!task.trusted) world.violation("15", `${task.kind} changed the mirror without the city's answer`);
      const was = rows("mirror", "kv").get("cursors") ?? {}, now = put("kv", "cursors") ?? was;
      const sameUser = rows("mirror", "kv").get("user") === (put("kv", "user") ?? rows("mirror", "kv").get("user"));
      for (const scope of Object.keys(was)) {
        if (sameUser && now[scope] < was[scope] && !task.reset?.includes(scope)) {
          world.violation("7", `the cursor of ${scope} fell from ${was[scope]} to ${now[scope]}`);
        }
      }
      return;
    }
    for (const [what, store, key, value] of changes) {
      if (what === "put" && store === "photos" && value.refused && !rows("outbox", "photos").get(key)?.refused) {
        count("photo_refused");
        const gone = value.refused === "gone" && world.thrownAway.has(key);
        if (!gone && !world.unreadable.has(value.sha256)) world.violation("11", `photo ${key} was given up: ${value.refused}`);
      }
      // Whoever took a photo that nobody can read is told so, until they have seen it.
      if (what === "del" && store === "sent" && !put("ops", key) && !put("sent", key)) {
        const own = [...rows("outbox", "photos").values()].filter(({ op, sha256 }) => op === key && world.unreadable.has(sha256));
        if (own.some(({ id }) => !phone.readOf.has(id))) world.violation("3", `nobody was told that a photo of ${key} cannot be read`);
      }
      if (what === "del" && store === "ops" && rows("outbox", "ops").has(key)) {
        if (task.kind === "undo") continue;
        if (!task.trusted) world.violation("15", `${key} left the outbox without the city's answer`);
        const sent = put("sent", key);
        if (!sent?.result?.result) world.violation("4", `${key} left the outbox before its result was stored`);
      }
      if (what === "del" && store === "sent" && !put("ops", key)) phone.dropped.add(key);
    }
  }
}

/** The browser's fetch, for whichever tab runs. @param {any} world */
export function weather(world) {
  const { luck, schedule, count } = world;

  /** One tab at a time speaks with the city about the outbox, however many there are. */
  return async function fetch(/** @type {string} */ url, /** @type {any} */ options) {
    const { tab } = current(), { phone } = tab;
    if (!/\/(exchange|photos\/[^/]+)$/.test(url)) return across(url, options);
    for (const other of phone.speaking) {
      if (other !== tab && other.alive) world.violation("two tabs", `two tabs of phone ${phone.name} speak at once`);
    }
    phone.speaking.add(tab);
    try {
      return await across(url, options);
    } finally {
      phone.speaking.delete(tab);
    }
  };

  async function across(/** @type {string} */ url, /** @type {any} */ options) {
    const task = current(), { phone } = task.tab;
    const exchange = url.endsWith("/exchange");
    if (exchange) task.trusted = false;
    let fault = "";
    if (phone.air === "none") fault = "no_signal";
    else if (phone.air === "bad" && luck.chance(0.5)) fault = luck.weighed(WEATHER);
    if (fault === "corrupt_piece" && options.method !== "PATCH") fault = "";
    if (fault === "stale_answer" && !(exchange && phone.lastSound)) fault = "";
    if (fault === "truncated_request" && !exchange) fault = "";
    if (fault) count(fault);

    const request = wire(phone, url, options, fault);
    const go = () => call("http", { ...request, at: world.tick() });
    const lost = () => { throw new TypeError("Failed to fetch"); };
    if (["no_signal", "lost_request", "redirect"].includes(fault)) {
      await schedule.park(() => {});
      if (fault !== "redirect" || options.redirect === "error") return lost();
      return response(200, "text/html", PORTAL);
    }
    if (fault === "portal") return schedule.park(() => response(200, "text/html; charset=utf-8", PORTAL));
    if (fault === "portal_json") return schedule.park(() => response(200, "application/json", '{"ok":true}'));
    if (/^s\d/.test(fault)) {
      // Something between, or the city itself after it had done the work.
      if (luck.chance(0.3)) await schedule.park(go);
      return schedule.park(() => response(Number(fault.slice(1)), "application/json", '{"error":"later"}', "30"));
    }
    let told = await schedule.park(go);
    const order = world.order++;
    phone.onTheWay.push(order);
    if (fault === "late_duplicate") world.late.push(request);
    if (fault === "duplicate") told = await schedule.park(go);
    await schedule.park(() => {});
    if (phone.onTheWay[0] !== order) count("reordered");
    phone.onTheWay.splice(phone.onTheWay.indexOf(order), 1);
    if (fault === "lost_response") return lost();
    Object.assign(phone.cookies, told.cookies);
    if (fault === "stale_answer") return response(200, "application/json", phone.lastSound);
    if (fault === "truncated_answer" && exchange) {
      return response(200, "application/json", told.text.slice(0, Math.floor(told.text.length / 2)));
    }
    if (exchange && told.status === 200) heard(world, task, told);
    return response(told.status, told.headers["content-type"] ?? "", told.text, undefined, told.headers);
  }
}

/** @param {any} world @param {any} task @param {any} told */
function heard(world, task, told) {
  const answer = JSON.parse(told.text), { phone } = task.tab;
  task.trusted = true;
  task.reset = answer.reset;
  phone.lastSound = told.text;
  phone.safe = Math.max(phone.safe, answer.safe);
  const more = Object.values(answer.changes).some((/** @type {any} */ news) => news.more);
  task.heard = more || answer.auth !== "ok" ? -1 : told.version;
  for (const { result } of answer.results) world.count(`result ${result}`);
}

/** @param {any} phone @param {string} url @param {any} options @param {string} fault */
function wire(phone, url, options, fault) {
  const { method, headers } = options;
  const body = typeof options.body === "string" ? Buffer.from(options.body) : Buffer.from(options.body ?? []);
  let sent = body;
  if (fault === "corrupt_piece" && body.length) {
    sent = Buffer.from(body);
    sent[sent.length >> 1] ^= 0x55;
  }
  if (fault === "truncated_request") sent = body.subarray(0, body.length >> 1);
  const inject = ["busy", "serialization", "crash"].includes(fault) ? fault : "";
  return {
    phone: phone.name, method, path: url, headers, body: sent.toString("base64"), cookies: { ...phone.cookies }, inject,
    whole: fault !== "truncated_request",
  };
}

/**
 * @param {number} status @param {string} type @param {string} text @param {string} [retryAfter]
 * @param {Record<string, string>} [more]
 */
function response(status, type, text, retryAfter, more = {}) {
  /** @type {Record<string, string>} */
  const headers = { ...more, "content-type": type, ...(retryAfter ? { "retry-after": retryAfter } : {}) };
  return {
    status,
    headers: { get: (/** @type {string} */ name) => headers[name.toLowerCase()] ?? null },
    json: async () => JSON.parse(text),
  };
}
