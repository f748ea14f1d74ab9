// A resident's part of the phone's store. Pure: a store that wraps a store.

/** @typedef {import("./engine.js").Store} Store */
/** @typedef {import("./engine.js").Change} Change */
/** @typedef {import("./engine.js").Decide} Decide */

const OWN = "resident:";

/**
 * The same outbox with moments and counts of its own, so that a resident's wait holds up no crew on the same phone;
 * and no mirror, since a resident is told nothing that a crew's could be overwritten with.
 * @param {Store} store
 * @returns {Store}
 */
export function apart(store) {
  /** @param {string} name @param {string} key */
  const named = (name, key) => (name === "kv" ? OWN + key : key);
  return {
    async get(base, name, key) {
      return base === "mirror" ? undefined : store.get(base, name, named(name, key));
    },
    async all(base, name, prefix) {
      if (base === "mirror") return [];
      if (name !== "kv") return store.all(base, name, prefix);
      const rows = await store.all(base, name, OWN + (prefix ?? ""));
      return rows.map(([key, value]) => [key.slice(OWN.length), value]);
    },
    async write(base, changes) {
      if (base === "mirror") return;
      /** @type {Decide} */
      const decide = typeof changes === "function" ? changes : async () => changes;
      await store.write(base, async (get, all) =>
        (await decide((name, key) => get(name, named(name, key)), all)).map((change) => {
          const [what, name, key] = change;
          return /** @type {Change} */ (what === "put" ? [what, name, named(name, key), change[3]] : [what, name, named(name, key)]);
        }),
      );
    },
  };
}
