// Today: the day's jobs in the order that the crew chose, danger first, what is done folded at the end. And their map.

import "../../lib/install_hint.js";
import { inDanger, isDone, metres, nextOf, ordered } from "../../sync/jobs.js";
import { all, clone, fill, part, when } from "../../lib/dom.js";
import { once as locate } from "../../lib/geolocation.js";
import { crewNames, distance, many, named, place, say } from "../session.js";
import { hazardsOf, promised } from "./job.js";
import { jobsMap } from "./map.js";
import { isBegun } from "./report.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */
/** @typedef {import("../session.js").View} View */

const AT_ONCE = 12; // rows: more than one screen shows
const DONE_ROWS = 2; // the last jobs that were done are still shown: a crew looks whether they were sent

const date = new Intl.DateTimeFormat("en-CA", { timeZone: document.body.dataset["zone"] ?? "UTC" });

/** @type {"due" | "priority" | "nearest"} */
let order = "due";
/** @type {{ lat: number, lon: number } | null} */
let here = null;
let hint = "";
let sought = "";
let earlier = false;
let drawing = 0; // rows of a list that was drawn anew meanwhile come no more
/** Puts other jobs on the map that is looked at. @type {(jobs: Job[]) => void} */
let showJobs = () => {};

/** @param {App} app @param {View} view */
export function today(app, view) {
  const screen = clone("t-today");
  const now = Date.now();
  const { done, open } = ordered(view.jobs, order, now / 1000, here);
  counted(screen, open, now);
  fill(screen, "hint", hint);
  fill(screen, "report", say(isBegun(view) ? "report_begun" : "report_new"));
  const chosen = /** @type {HTMLSelectElement} */ (part(screen, "[data-order]"));
  chosen.value = order;
  chosen.addEventListener("change", () => void reorder(app, chosen.value));
  const search = /** @type {HTMLInputElement} */ (part(screen, "[data-search]"));
  search.value = sought;
  // Nobody is asked to install what has not served them yet.
  if (!view.sent.some(({ op, at }) => op.t === "close" && at !== undefined)) part(screen, "[data-hint]").remove();
  const list = part(screen, "[data-list]");
  const barred = view.problem === "revoked" || view.problem === "disabled";
  if (!done.length && !open.length) {
    list.replaceWith(clone(barred ? "t-barred" : view.empty ? "t-loading" : "t-empty"));
    return screen;
  }
  const stands = document.querySelector("#main [data-list]"); // and may be scrolled
  const current = nextOf(open);
  const draw = () => rows(list, matching(open), current, matching(done), now, stands ? Infinity : AT_ONCE);
  search.addEventListener("input", () => {
    sought = search.value;
    list.replaceChildren();
    draw();
  });
  draw();
  return screen;
}

/** The whole list again: what was searched for is done. */
export function clearSearch() {
  sought = "";
}

/** The map of the day's jobs. @param {View} view */
export function onMap(view) {
  const screen = clone("t-map");
  const { open } = ordered(view.jobs, order, Date.now() / 1000, here);
  counted(screen, open, Date.now());
  const root = part(screen, ".routemap");
  setTimeout(() => {
    jobsMap(root, open).then((show) => (showJobs = show)).catch(() => {
      part(root, ".routemap__map").hidden = true;
      fill(root, "told", say("no_map"));
    });
  });
  return screen;
}

/** The same as it is now, while the map is looked at. @param {ParentNode} main @param {View} view */
export function mapAgain(main, view) {
  const { open } = ordered(view.jobs, order, Date.now() / 1000, here);
  counted(main, open, Date.now());
  showJobs(open);
}

/** Whose jobs these are, and how many are due until tonight. @param {ParentNode} head @param {Job[]} open @param {number} now */
function counted(head, open, now) {
  const due = open.filter((job) => isForToday(job, now)).length;
  fill(head, "crews", crewNames());
  fill(head, "count", due < open.length ? say("for_today", { n: due, later: open.length - due }) : many("jobs", open.length));
}

/** @param {Job} job @param {number} now */
function isForToday(job, now) {
  return date.format(job.due * 1000) <= date.format(now) || inDanger(job) || job.state === "underway";
}

/** @param {HTMLElement} list @param {Job[]} open @param {Job | undefined} current
 * @param {Job[]} done @param {number} now @param {number} most at once */
function rows(list, open, current, done, now, most) {
  const later = order === "due" ? open.filter((job) => !isForToday(job, now)) : [];
  const first = open.filter((job) => !later.includes(job));
  /** @type {(() => Node)[]} */
  const drawn = first.map((job) => () => row(job, job === current, now));
  if (later.length && first.length) drawn.push(() => heading(many("later", later.length)));
  drawn.push(...later.map((job) => () => row(job, job === current, now)));
  const hidden = done.slice(0, -DONE_ROWS);
  drawn.push(...done.slice(-DONE_ROWS).map((job) => () => row(job, false, now)));
  if (hidden.length) drawn.push(() => folded(list, hidden, now));
  if (!drawn.length) drawn.push(() => clone("t-unmatched"));
  grow(list, drawn, most, (drawing += 1));
}

/** What was searched for: every word stands in the title, the place or the number. @param {Job[]} jobs */
function matching(jobs) {
  const words = plain(sought).split(/\s+/).filter(Boolean);
  return jobs.filter((job) => {
    const told = plain(`${named(job.title)} ${place(job)} ${job.ref}`);
    return words.every((word) => told.includes(word));
  });
}

/** @param {string} words */
function plain(words) {
  return words.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");
}

/** @param {string} title */
function heading(title) {
  const item = clone("t-later");
  fill(item, "title", title);
  return item;
}

/** What was done before, at the end: a tap shows it. @param {HTMLElement} list @param {Job[]} done @param {number} now */
function folded(list, done, now) {
  const item = clone("t-earlier");
  fill(item, "title", many("earlier", done.length));
  const button = part(item, "[data-earlier]");
  /** @param {boolean} shown */
  const show = (shown) => {
    for (const old of all(list, "[data-shown]")) old.remove();
    button.setAttribute("aria-expanded", String(shown));
    if (shown) list.append(...done.map((job) => row(job, false, now, true)));
  };
  button.addEventListener("click", () => show((earlier = !earlier)));
  if (earlier || sought) queueMicrotask(() => show(true)); // once this line stands in the list
  return item;
}

/** First what is in sight: nobody waits for hundreds of rows to see that their work is saved.
 * @param {HTMLElement} list @param {(() => Node)[]} drawn @param {number} most at once @param {number} turn */
function grow(list, drawn, most, turn) {
  list.append(...drawn.slice(0, most).map((make) => make()));
  const rest = drawn.slice(most);
  if (!rest.length) return;
  requestAnimationFrame(() => setTimeout(() => list.isConnected && turn === drawing && grow(list, rest, most, turn)));
}

/** @param {Job} job @param {boolean} current @param {number} now @param {boolean} [shown] as one of those that are folded */
function row(job, current, now, shown = false) {
  const item = clone("t-row"), line = part(item, "li");
  line.dataset["stop"] = isDone(job) ? "done" : current ? "now" : "next";
  if (shown) line.dataset["shown"] = "";
  line.classList.toggle("is-danger", !isDone(job) && inDanger(job));
  part(item, "a").setAttribute("href", `#job/${job.ref}`);
  fill(item, "title", named(job.title));
  const far = here && order === "nearest" && !isDone(job) ? metres(job, here) : Infinity;
  fill(item, "place", place(job) + (far < Infinity ? ` ·\u00a0${distance(far)}` : ""));
  promised(item, job, now);
  const open = !isDone(job);
  when(item, {
    danger: open && inDanger(job),
    hazards: open && !inDanger(job) && hazardsOf(job).length > 0,
    raised: open && !inDanger(job) && Boolean(job.raised),
    begun: job.state === "underway",
  });
  return item;
}

/** @param {App} app @param {string} how */
async function reorder(app, how) {
  order = /** @type {typeof order} */ (how);
  hint = how === "nearest" && !here ? say("locating") : "";
  await app.draw(false);
  if (how !== "nearest") return;
  here = await locate();
  if (order !== "nearest") return;
  if (!here) order = "due";
  hint = here ? "" : say("no_location");
  await app.draw(false);
}
