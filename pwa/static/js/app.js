// Registers the service worker. And whatever page is open, a report that waits on this phone is sent from it.

import { anything } from "./resident/has_pending.js";

window.addEventListener("load", () => {
  navigator.serviceWorker?.register("/sw.js").catch(() => {});
  void anything().then((found) => found?.drain(() => {}));
  const isResidents = document.documentElement.dataset["for"] === "public"; // a crew's number is its outbox
  if (isResidents && "setAppBadge" in navigator) void import("./lib/badge.js").then(({ unread }) => unread());
});
