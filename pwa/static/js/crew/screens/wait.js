// Wait: why a job cannot go on now. It stays the crew's, and its promise stands still, but danger waits for nothing.

import { UNDO_MS } from "../../sync/engine.js";
import { inDanger } from "../../sync/jobs.js";
import { clone, fill, inputs, part, when } from "../../lib/dom.js";
import { engine, say } from "../session.js";
import { fault, keepFilled, saveOnce } from "./form.js";
import { heading } from "./heading.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */

/** What may be put to wait: work that is given out or begun. @param {Job} job */
export function mayWait(job) {
  return job.state === "assigned" || job.state === "underway";
}

/** @param {App} app @param {Job} job */
export async function waitScreen(app, job) {
  const own = `wait:${job.ref}`; // beside a closing that was begun
  const { draft } = await engine.draftOf(own);
  const screen = clone("t-wait");
  heading(screen, job);
  part(screen, "[data-back]").setAttribute("href", `#job/${job.ref}`);
  when(screen, { danger: inDanger(job), paused: !inDanger(job) });
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  const reasons = inputs(form);
  const chosen = () => reasons.find((input) => input.checked)?.value ?? "";
  for (const input of reasons) input.checked = input.value === draft?.ending;
  const summary = () => fill(form, "summary", say(chosen() ? `wait.${chosen()}` : "choose_wait"));
  form.addEventListener("change", () => {
    fault(form, "");
    summary();
    void keepFilled(form, () => engine.keepDraft(own, { ending: chosen() }));
  });
  saveOnce(form, async () => {
    const reason = chosen();
    if (!reason) {
      fault(form, say("choose_wait"), reasons[0]);
      return false;
    }
    const more = { undo: UNDO_MS, draft: { ending: reason }, draftOf: own };
    const entry = await app.kept(() => engine.add("wait", job, { reason }, more), form);
    if (!entry) return false;
    location.hash = "#today";
    app.offerUndo(entry);
    void app.plan();
    return true;
  });
  summary();
  return screen;
}
