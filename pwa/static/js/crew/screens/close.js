// Close: one tap carries outcome and evidence.

import { UNDO_MS } from "../../sync/engine.js";
import { clone, fill, inputs, part } from "../../lib/dom.js";
import { engine, many, say } from "../session.js";
import { fault, keepFilled, photoStrip, saveOnce } from "./form.js";
import { heading } from "./heading.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */

/**
 * @param {App} app
 * @param {Job} job
 * @param {boolean} [reporting] whether the crew came here from the report of it, to which "back" leads then
 */
export async function closeScreen(app, job, reporting = false) {
  const { draft, shots } = await engine.draftOf(job.ref);
  const screen = clone("t-close");
  heading(screen, job);
  const back = part(screen, "[data-back]");
  back.setAttribute("href", `#job/${job.ref}`);
  if (reporting) {
    back.setAttribute("aria-label", say("back_to_report"));
    let going = false; // a second tap finds the report taken back already
    back.addEventListener("click", async (event) => {
      event.preventDefault();
      if (going) return;
      going = true;
      // With all that was filled in; a few seconds later it has gone.
      const undone = await app.kept(() => engine.undo(job.ref));
      location.hash = undone ? "#report" : `#job/${job.ref}`;
    });
  }
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  const camera = /** @type {HTMLInputElement} */ (part(screen, "[data-camera]"));
  const notes = document.querySelector(`template[data-notes="${CSS.escape(job.group)}"]`);
  const chips = /** @type {HTMLTemplateElement | null} */ (notes)?.content.cloneNode(true);
  if (chips) part(screen, "[data-notes] .chips").append(chips);
  part(screen, "[data-notes]").hidden = !notes;
  for (const input of inputs(form)) {
    if (input.name === "ending") input.checked = input.value === draft?.ending;
    if (input.name === "note") input.checked = draft?.notes?.includes(input.value) ?? false;
  }

  let saved = false; // from then on nothing may bring the draft back
  const keep = async () => saved || (await keepFilled(form, () => engine.keepDraft(job.ref, choice(form))));
  const summary = () => {
    const { ending, notes: chosen } = choice(form);
    const told = [
      ending ? endingWords(ending) : say("choose"),
      ...(shots.length ? [many("photos", shots.length)] : ending === "fixed:photo" ? [say("no_photo_yet")] : []),
      ...(chosen.length ? [many("notes", chosen.length)] : []),
    ];
    fill(form, "summary", told.join(", "));
  };
  form.addEventListener("change", (event) => {
    if (event.target === camera) return;
    fault(form, "");
    summary();
    void keep(); // the camera may end this page on a small phone
  });
  const lead = inputs(form).find((input) => input.value === "fixed:photo");
  lead?.addEventListener("click", (event) => {
    // One tap chooses and opens the camera; the keyboard, which clicks as it passes, has its own button.
    if (/** @type {PointerEvent} */ (event).detail > 0 && !shots.length) camera.click();
  });
  const photosKept = await photoStrip(app, form, job.ref, shots, async (added) => {
    if (added && !choice(form).ending && lead) lead.checked = true;
    if (added) await keep();
    summary();
  });
  summary();
  saveOnce(form, async () => {
    if (!(await photosKept())) return false; // the crew went back instead, and finds all of it there
    const chosen = choice(form);
    if (!chosen.ending) {
      fault(form, say("choose"), lead);
      return false;
    }
    if (chosen.ending === "fixed:photo" && !shots.length) {
      fault(form, say("need_photo"), camera);
      return false;
    }
    const { t, data } = told(chosen);
    saved = true;
    const entry = await app.kept(() => engine.add(t, job, data, { photos: shots, undo: UNDO_MS, draft: chosen }), form);
    saved = Boolean(entry);
    if (!entry) return false;
    location.hash = "#today";
    app.offerUndo(entry);
    void app.plan();
    return true;
  });
  return screen;
}

/** @param {string} ending */
export function endingWords(ending) {
  const [outcome = "", because] = ending.split(":");
  const reason = because && because !== "photo" ? say(`because.${because}`) : "";
  return [say(`did.${outcome}`), reason].filter(Boolean).join(", ");
}

/** @param {HTMLFormElement} form */
function choice(form) {
  const data = new FormData(form);
  return { ending: String(data.get("ending") ?? ""), notes: data.getAll("note").map(String) };
}

/** The operation behind a choice. @param {{ ending: string, notes: string[] }} chosen */
function told({ ending, notes }) {
  const words = notes.map((note) => `${note}.`).join(" ");
  const said = words ? { words } : {};
  if (ending === "make_safe" || ending === "needs_parts") return { t: ending, data: said };
  const [outcome = "", because] = ending.split(":");
  const reason = because && because !== "photo" ? { no_photo: because } : {};
  return { t: "close", data: { outcome, ...reason, ...said } };
}
