// Wait: why a job cannot go on now, and until when. It stays the crew's, but danger waits for nothing.

import { UNDO_MS } from "../../sync/engine.js";
import { inDanger } from "../../sync/jobs.js";
import { clone, fill, inputs, part, when } from "../../lib/dom.js";
import { engine, say } from "../session.js";
import { fault, keepFilled, saveOnce } from "./form.js";
import { heading } from "./heading.js";

const DAY_MS = 86_400_000;

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */

/** What may be put to wait: work that is given out or begun. @param {Job} job */
export function mayWait(job) {
  return job.state === "assigned" || job.state === "underway";
}

/** As a date field has it, on this phone's own calendar. @param {number} ms */
function dayOf(ms) {
  const at = new Date(ms);
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
}

/** @param {App} app @param {Job} job */
export async function waitScreen(app, job) {
  const own = `wait:${job.ref}`; // beside a closing that was begun
  const { draft } = await engine.draftOf(own);
  const screen = clone("t-wait");
  heading(screen, job);
  part(screen, "[data-back]").setAttribute("href", `#job/${job.ref}`);
  const safe = !inDanger(job);
  when(screen, { danger: !safe, safe });
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  const reasons = inputs(form).filter((input) => input.name === "reason");
  const day = /** @type {HTMLInputElement} */ (part(form, "[name=until]"));
  const taken = () => reasons.find((input) => input.checked);
  const chosen = () => taken()?.value ?? "";
  for (const input of reasons) input.checked = input.value === draft?.ending;
  day.value = draft?.until ?? "";
  day.min = dayOf(Date.now() + DAY_MS);
  const summary = () => {
    fill(form, "summary", say(chosen() ? `wait.${chosen()}` : "choose_wait"));
    const pauses = taken()?.hasAttribute("data-pauses");
    when(form, { stands: safe && pauses === true, runs: safe && pauses === false });
  };
  form.addEventListener("change", () => {
    fault(form, "");
    summary();
    void keepFilled(form, () => engine.keepDraft(own, { ending: chosen(), until: day.value }));
  });
  saveOnce(form, async () => {
    const reason = chosen();
    if (!reason) {
      fault(form, say("choose_wait"), reasons[0]);
      return false;
    }
    if (!day.validity.valid) {
      fault(form, say("until_wrong"), day);
      return false;
    }
    const until = day.value;
    const more = { undo: UNDO_MS, draft: { ending: reason, until }, draftOf: own };
    const entry = await app.kept(() => engine.add("wait", job, { reason, ...(until ? { until } : {}) }, more), form);
    if (!entry) return false;
    location.hash = "#today";
    app.offerUndo(entry);
    void app.plan();
    return true;
  });
  summary();
  return screen;
}
