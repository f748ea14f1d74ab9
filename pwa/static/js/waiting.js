// A quick look whether a resident has anything on this phone: a report begun, one that waits, one that went. Only
// then is the rest loaded.

import { openStore } from "./store.js";

/** Nobody's number: a resident has no account. */
export const RESIDENT = 0;

/** @returns {Promise<typeof import("./kept.js") | null>} what to do with it; null where there is nothing */
export async function anything() {
  if (!("indexedDB" in window)) return null;
  try {
    const store = openStore();
    const found = await Promise.all(["drafts", "ops", "photos", "sent"].map((name) => store.all("outbox", name)));
    const own = found.flat().some(([key, row]) => row?.user === RESIDENT || key.startsWith(`${RESIDENT}:`));
    return own ? await import("./kept.js") : null;
  } catch {
    return null; // a private window may refuse: the form works without
  }
}
