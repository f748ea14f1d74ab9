// Two databases in the browser: "outbox", which is version 1 for ever and holds what nobody else has, and
// "mirror", which can be thrown away. Keys are text; one write is one transaction, on the disk when it ends.

import { randomId } from "./random.js";
import { recall } from "./recall.js";

/** @typedef {import("./engine.js").Change} Change */

/** @typedef {keyof typeof STORES} Base */

const STORES = {
  outbox: ["ops", "photos", "chunks", "sent", "drafts", "kv"],
  mirror: ["jobs", "photos", "map", "kv"],
};
// The outbox's never changes. A new mirror begins empty and is filled by the next exchange.
const VERSIONS = { outbox: 1, mirror: 2 };

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

  return recall({
    async get(name, store, key) {
      const tx = (await base(name)).transaction(store);
      return asked(tx.objectStore(store).get(key));
    },
    async all(name, store, prefix) {
      const range = prefix === undefined ? null : IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const rows = (await base(name)).transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([asked(rows.getAllKeys(range)), asked(rows.getAll(range))]);
      return keys.map((key, i) => [String(key), values[i]]);
    },
    async write(name, changes) {
      const tx = (await base(name)).transaction(STORES[/** @type {Base} */ (name)], "readwrite", { durability: "strict" });
      const written = new Promise((resolve, reject) => {
        tx.oncomplete = resolve;
        tx.onabort = () => reject(tx.error ?? new Error("the phone would not keep it"));
      });
      try {
        const decided =
          typeof changes === "function" ? await changes((store, key) => asked(tx.objectStore(store).get(key))) : changes;
        for (const [what, store, key, value] of decided) {
          if (what === "put") tx.objectStore(store).put(value, key);
          else tx.objectStore(store).delete(key);
        }
      } catch (fault) {
        written.catch(() => {});
        if (!tx.error) tx.abort();
        throw fault;
      }
      await written;
    },
  }, randomId);
}

/** @param {string} name @returns {Promise<IDBDatabase>} */
function opened(name) {
  return new Promise((resolve, reject) => {
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
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
