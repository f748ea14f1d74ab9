// Job: what people told of it, and what the crew may do.

import { isDone, standing } from "../../sync/jobs.js";
import { all, clone, element, fill, once, part, when } from "../../lib/dom.js";
import { answered, engine, many, named, promise, say } from "../session.js";
import { heading } from "./heading.js";
import { mayPropose } from "./propose.js";
import { mayWait } from "./wait.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */

/** @param {App} app @param {Job} job */
export function jobScreen(app, job) {
  const screen = clone("t-job");
  heading(screen, job);
  promised(screen, job, Date.now());
  const told = job.told ?? [];
  const photos = told.flatMap((telling) => telling.photos ?? []);
  const strip = part(screen, "[data-photos]");
  photos.forEach((id, i) => strip.append(reportPhoto(id, i)));
  const tellings = part(screen, "[data-tellings]");
  for (const each of told) {
    if (!each.words && !each.answers?.length) continue;
    const telling = clone("t-telling");
    when(telling, { words: Boolean(each.words) });
    const quote = telling.querySelector("blockquote");
    if (quote && each.lang) quote.lang = each.lang;
    if (quote) quote.textContent = each.words ?? "";
    const list = part(telling, "[data-answers]");
    for (const [question = "", ...answers] of each.answers ?? []) {
      const pair = document.createElement("div");
      pair.append(element("dt", named(question)), element("dd", answers.map(answered).join(", ")));
      list.append(pair);
    }
    tellings.append(telling);
  }
  fill(screen, "asset", job.asset ?? "");
  fill(screen, "reports", many("reports", job.reports ?? 0));
  fill(screen, "ref", job.own ? say("no_number") : job.ref);
  const open = !isDone(job);
  const hazards = hazardsOf(job);
  part(screen, "[data-hazards]").append(...hazards.map((words) => element("li", words)));
  when(screen, {
    hazards: hazards.length > 0,
    asset: Boolean(job.asset),
    reports: (job.reports ?? 0) > 1,
    open,
    startable: job.state === "assigned",
    pausable: job.state === "underway",
    waitable: mayWait(job),
    proposable: mayPropose(job),
    resumable: job.state === "waiting",
  });
  if (!open) return screen;
  navigates(part(screen, "[data-navigate]"), job);
  part(screen, "[data-wait]").setAttribute("href", `#wait/${job.ref}`);
  part(screen, "[data-propose]").setAttribute("href", `#propose/${job.ref}`);
  part(screen, "[data-done]").setAttribute("href", `#close/${job.ref}`);
  for (const button of all(screen, "[data-act]")) {
    button.addEventListener("click", () => void once(() => act(app, button.dataset["act"] ?? "", job)));
  }
  return screen;
}

/** What to beware of there, in words. @param {Job} job */
export function hazardsOf(job) {
  return [
    job.hazard ? named(job.hazard) : "",
    job.danger ? say("danger_told") : "",
    job.urgent ? say("urgent") : "",
  ].filter(Boolean);
}

/** The promise: shape and words. @param {ParentNode} root @param {Job} job @param {number} now */
export function promised(root, job, now) {
  const stands = standing(job, now / 1000);
  part(root, ".promise").dataset["promise"] = stands;
  part(root, ".promise use").setAttribute("href", `#m-${stands}`);
  fill(root, "promise", promise(job, now));
}

/** @param {string} id @param {number} i */
function reportPhoto(id, i) {
  const image = new Image();
  void engine.pack.photo(id).then((packed) => {
    if (!packed) {
      image.src = `/photos/${id}/page.jpg`;
      return;
    }
    const url = URL.createObjectURL(new Blob([packed], { type: "image/jpeg" }));
    image.src = url;
    image.addEventListener("load", () => URL.revokeObjectURL(url));
  });
  image.alt = i ? say("photo_n", { n: i + 1 }) : say("photo_of");
  image.loading = i ? "lazy" : "eager";
  image.width = 1200;
  image.height = 900;
  image.addEventListener("error", () => {
    const told = element("p", say("photo_later"));
    told.className = "nophotoyet";
    image.replaceWith(told);
  });
  return image;
}

/** A link that leads there; hidden where nobody knows the place. @param {HTMLElement} link @param {Job} job */
export function navigates(link, job) {
  link.hidden = job.lat === undefined || job.lon === undefined;
  if (!link.hidden) link.setAttribute("href", route(job));
}

/** The phone's own way to navigate. @param {Job} job */
function route(job) {
  const at = `${job.lat},${job.lon}`;
  if (/iPhone|iPad|Macintosh/.test(navigator.userAgent)) return `maps://?daddr=${at}`;
  return `geo:${at}?q=${at}(${encodeURIComponent(job.address || job.ref)})`;
}

/** @param {App} app @param {string} t @param {Job} job */
async function act(app, t, job) {
  await app.kept(() => engine.add(t, job, {}));
  await app.draw(false);
  void app.send();
}
