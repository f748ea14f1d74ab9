// Two databases in the browser: "outbox", which is version 1 for ever and holds what nobody else has, and
// "mirror", which can be thrown away. Keys are text; one write is one transaction, on the disk when it ends.

/** @typedef {import("./engine.js").Change} Change */

const STORES = {
  outbox: ["ops", "photos", "chunks", "sent", "drafts", "kv"],
  mirror: ["jobs", "kv"],
};

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
      (found) => (found.onclose = () => bases.delete(name)),
      () => bases.delete(name),
    );
    return open;
  }

  return {
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
      const stores = [...new Set(changes.map(([, store]) => store))];
      const tx = (await base(name)).transaction(stores, "readwrite", { durability: "strict" });
      for (const [what, store, key, value] of changes) {
        if (what === "put") tx.objectStore(store).put(value, key);
        else tx.objectStore(store).delete(key);
      }
      await new Promise((resolve, reject) => {
        tx.oncomplete = resolve;
        tx.onabort = tx.onerror = () => reject(tx.error ?? new Error("the phone would not keep it"));
      });
    },
  };
}

/** @param {string} name @returns {Promise<IDBDatabase>} */
function opened(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES[/** @type {keyof typeof STORES} */ (name)]) request.result.createObjectStore(store);
    };
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
