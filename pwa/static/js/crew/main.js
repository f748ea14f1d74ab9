// The crew's screens: drawn from the phone's own copy by cloning the page's templates. Nothing here waits for
// the network; sync/engine.js keeps and sends.

import { badge } from "../lib/badge.js";
import { UNDO_MS, Undone } from "../sync/engine.js";
import { isDone } from "../sync/jobs.js";
import { installed, pack } from "./offline_pack.js";
import { clone, fill, part, parts } from "../lib/dom.js";
import { engine, many, moment, say, takeBack } from "./session.js";
import { closeScreen } from "./screens/close.js";
import { fault } from "./screens/form.js";
import { jobScreen } from "./screens/job.js";
import { outbox } from "./screens/outbox.js";
import { mayPropose, proposeScreen } from "./screens/propose.js";
import { reportScreen } from "./screens/report.js";
import { setup } from "./screens/setup.js";
import { clearSearch, mapAgain, onMap, today } from "./screens/today.js";
import { mayWait, waitScreen } from "./screens/wait.js";
import { keepShell, newer, restart } from "./service_worker_client.js";

/**
 * @typedef {import("../sync/engine.js").Entry} Entry
 * @typedef {import("./session.js").View} View
 */

const POLL = 60_000;
const FORMS = ["close", "propose", "report", "wait"];
const page = document.body.dataset;
const main = part(document, "#main");
const tabs = part(document, "#tabs");
/** @type {import("./session.js").App} */
const app = { draw, send, plan, offerUndo, announce, kept, packUp };
let drawn = "";
let sending = false;
let packing = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** When what is said at the bottom goes. @type {ReturnType<typeof setTimeout> | undefined} */
let toastOver;
/** The job that Undo there is about, by number or by the id of its report. @type {string | null} */
let undoOf = null;
/** @type {Promise<boolean> | undefined} */
let shell;

await draw().catch((failure) => console.error(failure)); // a disk that was not read may be the next time
void send();
void keepOnPhone();
newer(() => {
  const box = part(document, "#newer");
  box.hidden = false;
  part(box, "button").onclick = () => void restart();
});
window.addEventListener("hashchange", () => location.hash !== "#main" && void draw());
window.addEventListener("online", () => void send());
window.addEventListener("offline", () => void draw(false, !filling()));
window.addEventListener("pageshow", (event) => event.persisted && void send());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void send());
navigator.serviceWorker?.addEventListener("message", ({ data }) => data === "sync" && void send());
document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("[data-sync]")) void send(true);
});
/** Sends and fetches, shows what came of it, and sets the next time.
 * @param {boolean} [asked] by a tap, and not by the clock */
async function send(asked = false) {
  if (sending) return;
  sending = true;
  const slow = setTimeout(() => void bar(), 400);
  try {
    await (asked ? engine.sync() : engine.wake()).finally(() => {
      clearTimeout(slow);
      sending = false;
    });
    const { problem } = await engine.view();
    if (problem === "switched") return location.reload();
    await draw(false, !filling());
    if (!problem) void keepOnPhone();
  } catch (failure) {
    console.error(failure); // a disk that was not read may be the next time, which is set all the same
  }
  await plan();
  if (installed()) await packUp();
}

/** The next start without signal, asked for until the phone has all that it needs. */
async function keepOnPhone() {
  shell ??= keepShell(page["release"] ?? "").catch(() => false);
  if (!(await shell)) shell = undefined;
}

/** Fetches what the jobs need without signal. The receipt in Set-up grows as it comes in. */
async function packUp() {
  const { jobs, problem } = await engine.view();
  if (packing || problem || !navigator.onLine) return;
  packing = true;
  const grown = () => location.hash === "#setup" && void draw(false);
  const whole = await pack(jobs, page["basemap"] ?? "", grown).finally(() => (packing = false));
  if (whole && location.hash === "#setup") await draw(false);
}

/**
 * A form that is being filled in stays as it is, for a photo may be on its way into it; the bar above changes. There
 * is none where the job is still to come, or where the form was saved and the crew wants the next one.
 */
function filling() {
  const [name = ""] = parts(drawn);
  return drawn === wanted() && FORMS.includes(name) && main.querySelector("form:not([data-saved])") !== null;
}

/** What the crew wants to see; "Skip to content" only leads into it. */
function wanted() {
  return location.hash === "#main" ? drawn : location.hash;
}

/** Sets the next time to send; not at once, for the screen comes first and reads the same disk. */
async function plan() {
  clearTimeout(timer);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const due = await engine.due().catch((failure) => (console.error(failure), null));
  clearTimeout(timer); // another's, planned meanwhile
  const wait = Math.max(500, Math.min(POLL, due === null ? POLL : due - Date.now()));
  timer = setTimeout(() => (document.visibilityState === "visible" ? void send() : void plan()), wait);
}

/**
 * @param {boolean} [moved] whether the crew went to another screen: focus goes to its title
 * @param {boolean} [body]
 */
async function draw(moved = true, body = true) {
  // On another job's form "Saved" would be read as said of that one; and one report at a time is begun here:
  // bringing the last one back would take the next one's place.
  const [form = "", its = ""] = parts(wanted());
  if (undoOf !== null && FORMS.includes(form) && its !== undoOf) part(document, "#undo").hidden = true;
  const view = await engine.view();
  await bar(view);
  // A map that is looked at stays where it is, with the jobs of now: drawn anew it would move under the finger.
  const isOnMap = drawn === wanted() && main.querySelector(".leaflet-container");
  if (body && !moved && isOnMap) return mapAgain(main, view);
  if (!body) return;
  const key = wanted();
  const [asked = "today", ref = "", from] = parts(key);
  // A problem reported here goes by the number that the city gave it, once that is known.
  const number = view.names.get(ref);
  const job = view.jobs.find((each) => each.ref === (number ?? ref));
  const gone = () => (number ? told(number) : clone("t-gone"));
  /** @type {Record<string, () => DocumentFragment | Promise<DocumentFragment>>} */
  const screens = {
    today: () => today(app, view),
    map: () => onMap(view),
    job: () => (job ? jobScreen(app, job) : gone()),
    close: () => (job && !isDone(job) ? closeScreen(app, job, from === "report") : job ? jobScreen(app, job) : gone()),
    wait: () => (job && mayWait(job) ? waitScreen(app, job) : job ? jobScreen(app, job) : gone()),
    propose: () => (job && mayPropose(job) ? proposeScreen(app, job) : job ? jobScreen(app, job) : gone()),
    report: () => reportScreen(app),
    outbox: () => outbox(app, view),
    setup: () => setup(app, view),
  };
  const name = Object.keys(screens).includes(asked) ? asked : "today";
  const screen = await screens[name]?.();
  if (wanted() !== key) return draw(moved);
  // This form may have been drawn meanwhile for another reason, and a photo may be on its way into it.
  if (!screen || (drawn === key && filling())) return;
  const again = key === drawn && !main.querySelector("[data-saved]");
  const went = moved || key !== drawn; // the end of an exchange may draw the screen that the crew went to
  const focus = again ? focused() : "";
  const reached = again ? (main.querySelector(".scroller")?.scrollTop ?? 0) : 0;
  main.replaceChildren(screen);
  if (reached) part(main, ".scroller").scrollTop = reached;
  drawn = key;
  tabs.hidden = name === "job" || FORMS.includes(name);
  for (const tab of tabs.querySelectorAll("a")) {
    if (tab.hash === `#${name}`) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const title = main.querySelector("h1");
  document.title = `${title?.firstChild?.textContent?.trim() ?? ""} · Cityline`;
  if (focus) /** @type {HTMLElement | null} */ (main.querySelector(focus))?.focus();
  // What had the focus may be gone, or hidden: a job that was begun has no "Start" any more.
  const lost = focus && document.activeElement === document.body;
  if (lost || (went && !again && performance.now() > 3_000)) title?.focus({ preventScroll: true });
}

/** The bar above everything: what waits, and how fresh the jobs are. @param {View} [view] */
async function bar(view) {
  const { outbox, sent, shots, problem, updated } = view ?? (await engine.view());
  const box = part(document, "#sync");
  const arrived = new Set(sent.map(({ op }) => op.id));
  const n = outbox.length + shots.filter((shot) => !shot.uploaded && !shot.refused && arrived.has(shot.op ?? "")).length;
  const answered = sent.filter((entry) => !entry.seen).length;
  const away = problem === "offline" || !navigator.onLine;
  let said = n ? say("some", { n }) : say("online");
  if (away) said = n ? say("offline_some", { n }) : say("offline");
  else if (problem === "login") said = n ? say("login_some", { n }) : say("login");
  else if (problem === "revoked" || problem === "disabled") said = say("barred", { n });
  else if (sending && n) said = say("sending");
  else if (answered) said = many("look", answered);
  box.classList.toggle("sync--offline", away || problem !== "");
  const mark = away ? "wifi-off" : n || problem ? "send" : answered ? "triangle-alert" : "check";
  part(box, ".sync__mark use").setAttribute("href", `#i-${mark}`);
  part(box, ".sync__mark .icon").classList.toggle("icon--turns", mark === "send"); // as the language is read
  fill(box, "said", said);
  fill(box, "updated", updated === null ? say("never") : say("updated", { time: moment(updated, Date.now()) }));
  badge(n);
  const waiting = n + answered;
  fill(tabs, "outbox", waiting ? say("outbox_some", { n: waiting }) : say("outbox"));
}

/** @param {Entry} entry */
function offerUndo(entry) {
  const button = /** @type {HTMLButtonElement} */ (part(document, "#undo [data-undo]"));
  clearSearch();
  toast(say("saved"), UNDO_MS - 200);
  undoOf = entry.op.t === "report" ? entry.op.id : entry.op.case;
  button.hidden = false;
  button.onclick = () => {
    button.hidden = true;
    void kept(() => undo(entry));
  };
}

/** Within a few seconds, or else the city is asked to. @param {Entry} entry */
async function undo({ op }) {
  const came = await takeBack(op.id);
  if (came === "undone") {
    part(document, "#undo").hidden = true;
    // Back to the form with all that was chosen, which says enough; drawn anew also where the crew is there already.
    const form = op.t === "report" ? "#report" : `#${FORMS.includes(op.t) ? op.t : "close"}/${op.case}`;
    drawn = "";
    if (location.hash === form) await draw();
    else location.hash = form;
    return;
  }
  if (came === "gone") part(document, "#undo").hidden = true; // another tab took it back: it is not saved any more
  else toast(say(came === "late" ? "too_late" : "taken_back"), 4_000);
  if (came === "asked") void send();
  await draw(false);
}

/** What was reported here and is nobody's job yet, or another's. @param {string} number */
function told(number) {
  const screen = clone("t-told");
  fill(screen, "told", say("told", { number }));
  return screen;
}

/** What is to be read until something else is said. @param {string} words */
function announce(words) {
  toast(words, 0);
}

/** Says something at the bottom. @param {string} words @param {number} ms for so long; 0 for good */
function toast(words, ms) {
  const box = part(document, "#undo");
  clearTimeout(toastOver); // an older one's must not hide this
  undoOf = null;
  part(box, "[data-undo]").hidden = true;
  fill(box, "said", words);
  box.hidden = false;
  if (ms) toastOver = setTimeout(() => (box.hidden = true), ms);
}

/**
 * Something put on the disk, or the crew is told that it was not.
 * @template T @param {() => Promise<T>} keep @param {Element} [form] @param {string} [words] what it is told then
 * @returns {Promise<T | null>}
 */
async function kept(keep, form, words = say("not_kept")) {
  try {
    return await keep();
  } catch (failure) {
    console.error(failure);
    const told = failure instanceof Undone ? say("undone") : words;
    if (form) fault(form, told);
    else announce(told);
    return null;
  }
}

/** What has the focus, as a selector that finds it again after a redraw. */
function focused() {
  const at = document.activeElement;
  if (!at || !main.contains(at)) return "";
  if (at.matches("h1")) return "h1";
  const row = /** @type {HTMLElement | null} */ (at.closest("[data-op]"));
  const within = row ? `[data-op="${CSS.escape(row.dataset["op"] ?? "")}"] ` : "";
  const name = [...at.attributes].find((each) => each.name.startsWith("data-") || each.name === "href");
  return name ? `${within}[${name.name}="${CSS.escape(name.value)}"]` : "";
}
