// Registers the service worker. And whatever page is open, a report that waits on this phone is sent from it.

import { unread } from "./badge.js";
import { anything } from "./waiting.js";

window.addEventListener("load", () => {
  navigator.serviceWorker?.register("/sw.js").catch(() => {});
  void anything().then((found) => found?.drain(() => {}));
  if (document.documentElement.dataset["for"] === "public") void unread();
});
