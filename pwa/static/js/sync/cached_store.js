// A phone's store that need not read twice what nobody has changed. Pure: a store that wraps a store.

/** @typedef {import("./engine.js").Store} Store */
/** @typedef {import("./engine.js").Change} Change */

// What screens read whole, again and again. Bytes of photos and maps are not kept here.
const KEPT = ["outbox/ops", "outbox/sent", "outbox/photos", "mirror/jobs"];

/**
 * Every write leaves a new mark in its own transaction. What was read stands as long as the mark does, whichever tab
 * wrote it. Nobody may change what comes from here: it is read again.
 * @param {Store} store
 * @param {() => string} mark never the same twice
 * @returns {Store}
 */
export function recall(store, mark) {
  /** @type {Map<string, { mark: string, rows: [string, any][] }>} */
  const read = new Map();
  /** What is asked in one breath asks for the mark once. @type {Map<string, Promise<string | undefined>>} */
  const asked = new Map();

  /** @param {string} base */
  function markOf(base) {
    const now = asked.get(base) ?? store.get(base, "kv", "mark");
    asked.set(base, now);
    queueMicrotask(() => asked.delete(base));
    return now;
  }

  return {
    get: (base, name, key) => store.get(base, name, key),
    async all(base, name, prefix) {
      const place = `${base}/${name}`;
      if (prefix !== undefined || !KEPT.includes(place)) return store.all(base, name, prefix);
      const now = await markOf(base); // before the rows: they may be newer than it, never older
      const had = read.get(place);
      if (now && had && had.mark === now) return [...had.rows];
      const rows = await store.all(base, name);
      if (now) read.set(place, { mark: now, rows });
      return [...rows];
    },
    async write(base, changes) {
      const next = mark();
      let last = "";
      /** @type {Change[]} */
      let done = [];
      await store.write(base, async (get, all) => {
        [last, done] = await Promise.all([
          get("kv", "mark"), typeof changes === "function" ? changes(get, all) : changes,
        ]);
        return [...done, ...marked(base, done, next)];
      });
      if (!marked(base, done, next).length) return;
      for (const [place, had] of read) {
        if (had.mark !== last || !place.startsWith(`${base}/`)) continue;
        const own = done.filter(([, name]) => place === `${base}/${name}`);
        read.set(place, { mark: next, rows: own.length ? changed(had.rows, own) : had.rows });
      }
    },
  };
}

/** What a write leaves beside itself. On a full disk nothing can be put, and what only makes room must not fail: then
 * there is no mark, and all is read anew.
 * @param {string} base @param {Change[]} changes @param {string} mark @returns {Change[]} */
function marked(base, changes, mark) {
  if (!changes.some(([, name]) => KEPT.includes(`${base}/${name}`))) return [];
  return changes.some(([what]) => what === "put") ? [["put", "kv", "mark", mark]] : [["del", "kv", "mark"]];
}

/** Rows after a write, by key as the disk has them. @param {[string, any][]} rows @param {Change[]} changes */
function changed(rows, changes) {
  const now = new Map(rows);
  for (const [what, , key, value] of changes) {
    if (what === "put") now.set(key, structuredClone(value));
    else now.delete(key);
  }
  return [...now].sort(([a], [b]) => (a < b ? -1 : 1));
}
