// This phone: whose it is, its engine, and the words that its screens put together.

import { createEngine, introduce, othersWork, whoIs } from "../sync/engine.js";
import { net } from "../sync/http.js";
import { oneTab } from "../lib/web_lock.js";
import { clone, part, template } from "../lib/dom.js";
import { digest, randomId } from "../lib/random.js";
import { speaker } from "./phrases.js";
import { openStore } from "../sync/indexeddb.js";
import { takeWaiting } from "./service_worker_client.js";

/**
 * @typedef {Awaited<ReturnType<import("../sync/engine.js").Engine["view"]>>} View
 * @typedef {object} App what a screen may ask of the page that shows it
 * @property {(moved?: boolean, body?: boolean) => Promise<void>} draw
 * @property {(asked?: boolean) => Promise<void>} send
 * @property {() => Promise<void>} plan
 * @property {() => Promise<void>} packUp
 * @property {(entry: import("../sync/engine.js").Entry) => void} offerUndo
 * @property {(words: string) => void} announce
 * @property {<T>(keep: () => Promise<T>, form?: Element, words?: string) => Promise<T | null>} kept
 */

const ASK_AFTER = 1_500; // ms until a phone that nobody uses yet asks for a code, though the city has not answered
const page = document.body.dataset;
export const lang = document.documentElement.lang;
const main = part(document, "#main");
export const { say, many, moment, promise, place, named, answered, distance } = speaker(
  template("words"), lang, page["zone"] ?? "UTC",
);
export const store = openStore();
const random = { id: randomId, fraction: Math.random };
await takeWaiting();
// A disk that did not answer, or that the browser took away, is opened anew: without it there would be no page.
export const who = (await whoIs(store).catch(() => whoIs(store))) ?? (await welcome());
export const engine = createEngine({
  store,
  net,
  clock: Date.now,
  random,
  digest,
  user: who.person,
  lock: oneTab,
  fill: async () => {
    const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
    return quota ? usage / quota : 0;
  },
  release: page["release"] ?? "",
});

/**
 * Takes something back: here within its ten seconds, else the city is asked to. "gone" where another tab has done so.
 * @param {string} id @returns {Promise<"undone" | "asked" | "late" | "gone">}
 */
export async function takeBack(id) {
  if (await engine.undo(id)) return "undone";
  if (await engine.withdraw(id)) return "asked";
  const { outbox, sent } = await engine.view();
  const all = [...outbox, ...sent];
  return all.some(({ op }) => op.id === id) && !all.some(({ op }) => op.data["op"] === id) ? "late" : "gone";
}

/** Whose unsent work is on this phone. @param {{ name: string, n: number }[]} left */
export function leftWords(left) {
  return left.map(({ name, n }) => say("left", { name, n })).join(" ");
}

export function crewNames() {
  return who.crews.map(({ name }) => name).join(", ");
}

/**
 * Asks the city whose phone this is, with a supervisor's code or as whoever is logged in.
 * @param {string} [code]
 * @returns {Promise<{ who?: import("../sync/engine.js").Who, problem: string, words: string }>} `words` say what is wrong
 */
export async function enrol(code) {
  try {
    const { who } = await introduce({ store, net, random }, code);
    return { who, problem: "", words: "" };
  } catch (fault) {
    const problem = String(/** @type {Error} */ (fault).message);
    return { problem, words: say(problem === "offline" ? "enrol_offline" : `trouble.${problem}`) };
  }
}

/** The first screen of a phone that nobody uses yet. Ends when the city says whose it is.
 * @returns {Promise<import("../sync/engine.js").Who>} */
function welcome() {
  const screen = clone("t-welcome");
  const box = part(screen, "[data-fill=welcome]"), others = part(screen, "[data-fill=others]");
  const field = /** @type {HTMLInputElement} */ (part(screen, "#code"));
  const form = part(screen, "form");
  const known = new AbortController(); // whose it is
  // The bar says what becomes of work, and leads to it: here is none yet. Its room stays, so that nothing moves.
  const bar = part(document, "#sync");
  bar.style.visibility = "hidden";
  // Whoever is logged in is known in a moment, and is asked nothing.
  const ask = setTimeout(() => main.replaceChildren(screen), ASK_AFTER);
  void othersWork(store).then((left) => {
    others.textContent = leftWords(left);
    others.hidden = !left.length;
  });
  return new Promise((resolve) => {
    /** @param {string} [code] */
    const look = async (code) => {
      const { who, problem, words } = await enrol(code);
      if (who) {
        known.abort();
        clearTimeout(ask);
        // Some browsers ask the person, and answer when they did: work does not wait for that. Set-up shows it.
        void navigator.storage?.persist?.();
        bar.style.visibility = "";
        return resolve(who);
      }
      clearTimeout(ask);
      if (!form.isConnected) main.replaceChildren(screen);
      box.hidden = code === undefined && problem === "login";
      box.textContent = words;
      if (code !== undefined) field.focus();
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void look(field.value);
    });
    window.addEventListener("online", () => void look(), { signal: known.signal });
    void look();
  });
}
