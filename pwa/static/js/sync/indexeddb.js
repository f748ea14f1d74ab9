// Two databases in the browser: "outbox", which is version 1 for ever and holds what nobody else has, and
// "mirror", which can be thrown away. Keys are text; one write is one transaction, on the disk when it ends.

import { Late, within } from "../lib/timeout.js";
import { randomId } from "../lib/random.js";
import { recall } from "./cached_store.js";

/** @typedef {import("./engine.js").Change} Change */

/** @typedef {keyof typeof STORES} Base */

const STORES = {
  outbox: ["ops", "photos", "chunks", "sent", "drafts", "kv"],
  mirror: ["jobs", "photos", "map", "kv"],
};
// The outbox's never changes. A new mirror begins empty and is filled by the next exchange.
const VERSIONS = { outbox: 1, mirror: 2 };
const PATIENCE = 30_000;

/** @returns {import("./engine.js").Store} */
export function openStore() {
  /** @type {Map<string, Promise<IDBDatabase>>} */
  const bases = new Map();

  /** @param {string} name */
  function base(name) {
    const open = bases.get(name) ?? opened(name);
    bases.set(name, open);
    // A handle that the browser took away (memory, another tab's reset) is opened anew next time.
    open.then(
      (found) => {
        found.onclose = () => bases.delete(name);
        found.onversionchange = () => found.close(); // a newer page must not wait for this one
      },
      () => bases.delete(name),
    );
    return open;
  }

  /** A disk that does not answer is opened anew the next time: nobody's save waits for it for ever.
   * @template T @param {string} name @param {(base: IDBDatabase) => Promise<T>} work */
  async function on(name, work) {
    const found = await base(name);
    try {
      return await within(work(found), PATIENCE);
    } catch (fault) {
      if (fault instanceof Late) {
        bases.delete(name);
        found.close();
      }
      throw fault;
    }
  }

  return recall({
    get: (name, store, key) => on(name, (base) => asked(base.transaction(store).objectStore(store).get(key))),
    all: (name, store, prefix) =>
      on(name, async (base) => {
        const range = prefix === undefined ? null : IDBKeyRange.bound(prefix, `${prefix}\uffff`);
        const rows = base.transaction(store).objectStore(store);
        const [keys, values] = await Promise.all([asked(rows.getAllKeys(range)), asked(rows.getAll(range))]);
        return keys.map((key, i) => [String(key), values[i]]);
      }),
    async write(name, changes) {
      /** @type {IDBTransaction | undefined} */
      let tx;
      try {
        await on(name, (base) => {
          tx = base.transaction(STORES[/** @type {Base} */ (name)], "readwrite", { durability: "strict" });
          return Promise.all([ended(tx), put(tx, changes)]);
        });
      } catch (fault) {
        if (tx) undone(tx); // nothing of it comes later, after it was said not to be kept
        throw fault;
      }
    },
  }, randomId);
}

/** @param {IDBTransaction} tx @param {Change[] | import("./engine.js").Decide} changes */
async function put(tx, changes) {
  const get = (/** @type {string} */ store, /** @type {string} */ key) => asked(tx.objectStore(store).get(key));
  const all = (/** @type {string} */ store) => asked(tx.objectStore(store).getAll());
  const decided = typeof changes === "function" ? await changes(get, all) : changes;
  for (const [what, store, key, value] of decided) {
    if (what === "put") tx.objectStore(store).put(value, key);
    else tx.objectStore(store).delete(key);
  }
}

/** @param {IDBTransaction} tx */
function ended(tx) {
  return new Promise((resolve, reject) => {
    tx.oncomplete = resolve;
    tx.onabort = () => reject(tx.error ?? new Error("the phone would not keep it"));
  });
}

/** @param {IDBTransaction} tx */
function undone(tx) {
  try {
    tx.abort();
  } catch {
    // It has ended already.
  }
}

/** @param {string} name @returns {Promise<IDBDatabase>} */
function opened(name) {
  /** @type {Promise<IDBDatabase>} */
  const found = new Promise((resolve, reject) => {
    const base = /** @type {Base} */ (name);
    const request = indexedDB.open(name, VERSIONS[base]);
    request.onupgradeneeded = () => {
      for (const store of [...request.result.objectStoreNames]) request.result.deleteObjectStore(store);
      for (const store of STORES[base]) request.result.createObjectStore(store);
    };
    request.onblocked = () => reject(new Error("an older page is open"));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return within(found, PATIENCE).catch((fault) => {
    found.then((late) => late.close(), () => {});
    throw fault;
  });
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
