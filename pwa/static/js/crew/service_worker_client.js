// What the crew's page asks of the service worker: to keep the shell on this phone, and when a newer one may take
// over. Worker and shell are never swapped under a running page: only at its start, or by a tap.

import { within } from "../lib/timeout.js";

const HOUR = 3_600_000;
const PATIENCE = 3_000;

/** Whether this very page asked for the worker that has just taken over. */
let asked = false;

/** At the start of a page that runs alone, a release that waits takes over, and the page begins anew with it. */
export async function takeWaiting() {
  const registration = await registered();
  if (!registration?.waiting || !navigator.serviceWorker.controller) return;
  await replaced(registration.waiting, "alone");
}

/** A tap: the new release now. Another page that is open keeps what it has loaded until it starts again. */
export async function restart() {
  const waiting = (await registered())?.waiting;
  if (waiting) await replaced(waiting, "now");
  location.reload();
}

/** Lets the worker keep the shell, so that the next start needs no signal. False where it could not (yet).
 * @param {string} release of this page */
export async function keepShell(release) {
  if (!("serviceWorker" in navigator)) return false;
  const { active } = await navigator.serviceWorker.ready;
  return active ? told(active, { word: "keep", release }, 60_000) : false;
}

/** Calls back once a newer release is there. Looks for one when the page comes to the front, once an hour.
 * @param {() => void} told */
export function newer(told) {
  void registered().then((registration) => {
    if (!registration) return;
    if (registration.waiting && navigator.serviceWorker.controller) told();
    const watch = () => {
      const { installing } = registration;
      installing?.addEventListener("statechange", () => {
        if (installing.state === "installed" && navigator.serviceWorker.controller) told();
      });
    };
    registration.addEventListener("updatefound", watch);
    watch(); // one may have been found before anybody listened
    let looked = Date.now();
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible" || Date.now() - looked < HOUR) return;
      looked = Date.now();
      registration.update().catch(() => {});
    });
  });
  // Another page let the new release in: this one goes on with what it has, and says so.
  let had = Boolean(navigator.serviceWorker?.controller);
  navigator.serviceWorker?.addEventListener("controllerchange", () => {
    if (had && !asked) told();
    had = true;
  });
}

/** @param {ServiceWorker} waiting @param {"alone" | "now"} word */
async function replaced(waiting, word) {
  asked = true;
  const taken = new Promise((resolve) =>
    navigator.serviceWorker.addEventListener("controllerchange", () => resolve(true), { once: true }),
  );
  if (await told(waiting, { word }, PATIENCE)) {
    await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    location.reload();
    await new Promise(() => {}); // nothing more is drawn with the old release
  }
  asked = false;
}

/** Tells a worker something and waits for its yes or no.
 * @param {ServiceWorker} worker @param {{ word: string, release?: string }} word @param {number} patience ms @returns {Promise<boolean>} */
function told(worker, word, patience) {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data === true);
    setTimeout(() => resolve(false), patience);
    worker.postMessage(word, [port2]);
  });
}

/** @returns {Promise<ServiceWorkerRegistration | undefined>} */
async function registered() {
  if (!("serviceWorker" in navigator)) return undefined;
  return within(navigator.serviceWorker.getRegistration(), PATIENCE).catch(() => undefined);
}
