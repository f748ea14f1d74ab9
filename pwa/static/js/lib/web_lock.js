// One tab at a time speaks with the city. The lock is polite, not needed: the city takes each operation once.

import { within } from "./timeout.js";

const LONGEST = 30_000;

/** Without Web Locks, or where the browser refuses them, every tab goes ahead. @type {import("../sync/engine.js").Lock} */
export async function oneTab(work) {
  let ended = false;
  const end = () => (ended = true);
  const timer = setTimeout(end, LONGEST);
  window.addEventListener("pagehide", end, { once: true }); // a page that is frozen must not keep the lock
  try {
    const locked = async (/** @type {unknown} */ lock) => {
      // When its time is up the lock is free, even where a request still hangs.
      const over = new Promise((resolve) => setTimeout(resolve, LONGEST + 1_000));
      const hidden = new Promise((resolve) => window.addEventListener("pagehide", resolve, { once: true }));
      if (lock) await Promise.race([work(() => ended), over, hidden]);
      return lock !== null;
    };
    if (!navigator.locks) return await locked("none");
    const asked = navigator.locks.request("cityline-exchange", { ifAvailable: true }, locked);
    return await within(asked, 2 * LONGEST).catch(() => false);
  } finally {
    clearTimeout(timer);
    window.removeEventListener("pagehide", end);
  }
}
