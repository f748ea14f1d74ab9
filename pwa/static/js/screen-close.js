// Close: one tap carries outcome and evidence.

import { UNDO_MS } from "./engine.js";
import { all, clone, fill, inputs, part, when } from "./page.js";
import { engine, many, say } from "./phone.js";
import { shrink, thumbnail } from "./photo.js";
import { heading } from "./screen-job.js";

/** @typedef {import("./phone.js").App} App */
/** @typedef {import("./jobs.js").Job} Job */
/** @typedef {import("./engine.js").Shot} Shot */

const MOST_PHOTOS = 5;

/** @param {App} app @param {Job} job */
export async function closeScreen(app, job) {
  const { draft, shots } = await engine.draftOf(job.ref);
  const screen = clone("t-close");
  heading(screen, job);
  part(screen, "[data-back]").setAttribute("href", `#job/${job.ref}`);
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  const camera = /** @type {HTMLInputElement} */ (part(screen, "[data-camera]"));
  const notes = document.querySelector(`template[data-notes="${CSS.escape(job.group)}"]`);
  const chips = /** @type {HTMLTemplateElement | null} */ (notes)?.content.cloneNode(true);
  if (chips) part(screen, "[data-notes] .chips").append(chips);
  part(screen, "[data-notes]").hidden = !notes;
  for (const input of inputs(form)) {
    if (input.name === "ending") input.checked = input.value === draft?.ending;
    if (input.name === "note") input.checked = draft?.notes.includes(input.value) ?? false;
  }

  const summary = () => {
    const { ending, notes: chosen } = choice(form);
    const told = [
      ending ? endingWords(ending) : say("choose"),
      ...(shots.length ? [many("photos", shots.length)] : []),
      ...(chosen.length ? [many("notes", chosen.length)] : []),
    ];
    fill(form, "summary", told.join(", "));
    fill(form, "shots", many("photos", shots.length));
    when(form, { shots: shots.length > 0 });
    part(form, ".evidence").classList.toggle("evidence--some", shots.length > 0);
  };
  const show = async () => {
    const strip = part(form, "[data-shots]");
    strip.replaceChildren(...(await Promise.all(shots.map((shot, i) => thumb(shot, i, drop)))));
    summary();
  };
  /** @param {Shot} shot */
  const drop = async (shot) => {
    await engine.dropPhoto(shot.id);
    shots.splice(shots.indexOf(shot), 1);
    await show();
  };
  form.addEventListener("change", (event) => {
    if (event.target === camera) return;
    fault(form, "");
    summary();
    void engine.keepDraft(job.ref, choice(form)); // the camera may end this page on a small phone
  });
  const lead = inputs(form).find((input) => input.value === "fixed:photo");
  lead?.addEventListener("click", (event) => {
    // One tap chooses and opens the camera; the keyboard, which clicks as it passes, has its own button.
    if (/** @type {PointerEvent} */ (event).detail > 0 && !shots.length) camera.click();
  });
  camera.addEventListener("change", async () => {
    for (const file of [...(camera.files ?? [])]) {
      if (shots.length >= MOST_PHOTOS) fault(form, say("enough_photos"));
      else await add(file);
    }
    camera.value = "";
    await show();
  });
  /** @param {File} file */
  const add = async (file) => {
    const small = await shrink(file);
    if (small.type !== "image/jpeg") return fault(form, say("bad_photo"));
    const [data, tiny] = await Promise.all([small.arrayBuffer(), thumbnail(small)]);
    const shot = await app.kept(() => engine.keepPhoto(job.ref, data, small.type, tiny), form);
    if (!shot) return;
    shots.push(shot);
    fault(form, "");
    const chosen = choice(form);
    if (!chosen.ending && lead) lead.checked = true;
    await engine.keepDraft(job.ref, choice(form));
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = choice(form);
    const wrong = !chosen.ending
      ? say("choose")
      : chosen.ending === "fixed:photo" && !shots.length
        ? say("need_photo")
        : "";
    if (wrong) return fault(form, wrong);
    const save = /** @type {HTMLButtonElement} */ (part(form, ".button--act"));
    if (save.disabled) return;
    save.disabled = true;
    const { t, data } = told(chosen);
    const entry = await app.kept(() => engine.add(t, job, data, { photos: shots, undo: UNDO_MS, draft: chosen }), form);
    save.disabled = false;
    if (!entry) return;
    location.hash = "#today";
    app.offerUndo(entry);
    void app.plan();
  });
  await show();
  return screen;
}

/** @param {string} ending */
export function endingWords(ending) {
  const [outcome = "", because] = ending.split(":");
  const reason = because && because !== "photo" ? say(`because.${because}`) : "";
  return [say(`did.${outcome}`), reason].filter(Boolean).join(", ");
}

/** @param {Shot} shot @param {number} i @param {(shot: Shot) => void} drop */
export async function thumb(shot, i, drop) {
  const item = clone("t-shot");
  const image = item.querySelector("img");
  const bytes = shot.thumb ? [shot.thumb] : await engine.bytesOf(shot);
  const url = URL.createObjectURL(new Blob(bytes, { type: shot.thumb ? "image/jpeg" : shot.type }));
  if (image) {
    image.alt = say("photo_n", { n: i + 1 });
    image.src = url;
    image.onload = () => URL.revokeObjectURL(url);
  }
  part(item, "[data-drop]").addEventListener("click", () => drop(shot));
  return item;
}

/** @param {Element} form @param {string} words */
export function fault(form, words) {
  const box = part(form, "[data-fill=fault]");
  box.textContent = words;
  box.hidden = !words;
  if (words) box.scrollIntoView({ block: "nearest" });
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
