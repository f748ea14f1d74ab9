// Today: the day's jobs in the order that the crew chose.

import "../../lib/install_hint.js";
import { isDone, metres, ordered } from "../../sync/jobs.js";
import { all, clone, fill, part, when } from "../../lib/dom.js";
import { crewNames, distance, many, named, place, say } from "../session.js";
import { hazardsOf, promised } from "./job.js";
import { drawJobs } from "./map.js";
import { isBegun } from "./report.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */
/** @typedef {import("../session.js").View} View */

const AT_ONCE = 12; // rows: more than one screen shows
const DONE_ROWS = 2; // so many done jobs are shown before they fold up

/** @type {"due" | "priority" | "nearest"} */
let order = "due";
/** @type {{ lat: number, lon: number } | null} */
let here = null;
let hint = "";
let earlier = false;
let mapped = false;
/** What puts other jobs on the map that is looked at. @type {(jobs: Job[]) => void} */
let showPins = () => {};

/** @param {App} app @param {View} view */
export function today(app, view) {
  const screen = clone("t-today");
  const now = Date.now();
  const { done, open } = ordered(view.jobs, order, now / 1000, here);
  counted(screen, done.length, open.length);
  fill(screen, "hint", hint);
  fill(screen, "report", say(isBegun(view) ? "report_begun" : "report_new"));
  for (const button of all(screen, "[data-order]")) {
    button.setAttribute("aria-pressed", String(button.dataset["order"] === order));
    button.addEventListener("click", () => void reorder(app, button.dataset["order"] ?? "due"));
  }
  for (const button of all(screen, "[data-view]")) {
    button.setAttribute("aria-pressed", String((button.dataset["view"] === "map") === mapped));
    button.addEventListener("click", () => {
      mapped = button.dataset["view"] === "map";
      document.querySelector(".leaflet-container")?.remove();
      void app.draw(false);
    });
  }
  // Nobody is asked to install what has not served them yet.
  if (!view.sent.some(({ op, at }) => op.t === "close" && at !== undefined)) part(screen, "[data-hint]").remove();
  const box = part(screen, "[data-map]");
  box.hidden = !mapped;
  part(screen, "[data-rows]").hidden = mapped;
  part(screen, "[data-orders]").hidden = mapped;
  if (mapped) {
    setTimeout(() => {
      drawJobs(box, open).then((show) => (showPins = show)).catch(() => {
        box.hidden = true;
        const told = box.nextElementSibling;
        if (told) told.textContent = say("no_map");
      });
    });
    return screen;
  }
  const list = part(screen, "[data-list]");
  const folded = !earlier && done.length > DONE_ROWS ? done.splice(0, done.length - DONE_ROWS) : [];
  if (folded.length) {
    const row = clone("t-earlier");
    fill(row, "title", many("earlier", folded.length));
    part(row, "[data-earlier]").addEventListener("click", () => {
      earlier = true;
      void app.draw(false);
    });
    list.append(row);
  }
  const current = open.find((job) => job.state === "underway") ?? open.find((job) => job.state !== "waiting");
  const stands = document.querySelector("#main [data-list]"); // and may be scrolled
  grow(list, [...done, ...open], (job) => row(job, job === current, now), stands ? Infinity : AT_ONCE);
  const barred = view.problem === "revoked" || view.problem === "disabled";
  if (!list.children.length) list.replaceWith(clone(barred ? "t-barred" : view.empty ? "t-loading" : "t-empty"));
  return screen;
}

/** Today as it is now, while its map is looked at. @param {ParentNode} main @param {View} view */
export function todayOnMap(main, view) {
  const { done, open } = ordered(view.jobs, order, Date.now() / 1000, here);
  counted(main, done.length, open.length);
  showPins(open);
}

/** Whose jobs these are, and how many. @param {ParentNode} head @param {number} done @param {number} open */
function counted(head, done, open) {
  const jobs = many("jobs", done + open);
  fill(head, "crews", crewNames());
  fill(head, "count", done ? many("jobs_done", done, { jobs }) : jobs);
}

/** First what is in sight: nobody waits for hundreds of rows to see that their work is saved.
 * @param {HTMLElement} list @param {Job[]} jobs @param {(job: Job) => Node} row @param {number} most at once */
function grow(list, jobs, row, most) {
  list.append(...jobs.slice(0, most).map(row));
  const rest = jobs.slice(most);
  if (!rest.length) return;
  requestAnimationFrame(() => setTimeout(() => list.isConnected && grow(list, rest, row, most)));
}

/** @param {Job} job @param {boolean} current @param {number} now */
function row(job, current, now) {
  const item = clone("t-row");
  part(item, "li").dataset["stop"] = isDone(job) ? "done" : current ? "now" : "next";
  part(item, "a").setAttribute("href", `#job/${job.ref}`);
  fill(item, "title", named(job.title));
  const far = here && order === "nearest" && !isDone(job) ? metres(job, here) : Infinity;
  fill(item, "place", place(job) + (far < Infinity ? ` ·\u00a0${distance(far)}` : ""));
  promised(item, job, now);
  when(item, { hazards: !isDone(job) && hazardsOf(job).length > 0, begun: job.state === "underway" });
  return item;
}

/** @param {App} app @param {string} how */
async function reorder(app, how) {
  order = /** @type {typeof order} */ (how);
  hint = how === "nearest" && !here ? say("locating") : "";
  await app.draw(false);
  if (how !== "nearest") return;
  here = await located();
  if (order !== "nearest") return;
  if (!here) order = "due";
  hint = here ? "" : say("no_location");
  await app.draw(false);
}

/** @returns {Promise<{ lat: number, lon: number } | null>} */
function located() {
  return new Promise((resolve) => {
    if (!navigator.geolocation) return resolve(null);
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve({ lat: coords.latitude, lon: coords.longitude }),
      () => resolve(null),
      { enableHighAccuracy: true, timeout: 10_000, maximumAge: 60_000 },
    );
  });
}
