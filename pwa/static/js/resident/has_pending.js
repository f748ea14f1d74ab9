// A quick look whether a resident may have anything on this phone: only then is the rest loaded.

/** @returns {Promise<typeof import("./pending_reports.js") | null>} what to do with it; null where there is nothing */
export async function anything() {
  try {
    // Without an outbox nothing was ever kept here. Some browsers cannot say.
    const bases = await indexedDB.databases?.();
    if (bases && !bases.some(({ name }) => name === "outbox")) return null;
    const kept = await import("./pending_reports.js");
    return (await kept.isAny()) ? kept : null;
  } catch {
    return null; // a private window may refuse: the form works without
  }
}
