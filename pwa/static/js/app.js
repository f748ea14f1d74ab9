// Registers the service worker: without it the site works just as well, only not without signal. And whatever page
// is open, a report that waits on this phone is sent from it.

import { anything } from "./waiting.js";

window.addEventListener("load", () => {
  navigator.serviceWorker?.register("/sw.js").catch(() => {});
  void anything().then((found) => found?.drain(() => {}));
});
