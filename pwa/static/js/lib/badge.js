// The number on the app's icon, where the browser can show one: what a crew has still to send, and for residents the
// notes that nobody has looked at.

let shown = -1;

/** @param {number} count nothing stands there at 0 */
export function badge(count) {
  if (count === shown) return;
  shown = count;
  const app = /** @type {any} */ (navigator); // Safari in a tab and Firefox have neither
  const told = count ? app.setAppBadge?.(count) : app.clearAppBadge?.();
  told?.catch(() => {}); // not installed, or not allowed
}

/** The notes of this app that lie unread on the device. */
export async function unread() {
  try {
    const registration = await navigator.serviceWorker?.getRegistration();
    badge((await registration?.getNotifications())?.length ?? 0);
  } catch {
    // A private window: then there is no number either.
  }
}
