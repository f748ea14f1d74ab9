// Report: a problem that the crew met. It is saved for others to mend, or the crew goes on to close it.

import { UNDO_MS } from "../../sync/engine.js";
import { listen } from "../../lib/geolocation_watch.js";
import { all, clone, fieldsOf, fill, part, putIn, when } from "../../lib/dom.js";
import { distance, engine, lang, say } from "../session.js";
import { ask as askAboutPhotos } from "../../lib/photo_location.js";
import { granted } from "../../lib/geolocation.js";
import { randomId } from "../../lib/random.js";
import { requiredIn, wrongIn } from "../../lib/questions.js";
import { fault, keepFilled, photoStrip, saveOnce } from "./form.js";
import { missing, toldOnSite } from "../../sync/report_op.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {"lat" | "lon" | "accuracy" | "away" | "pinned"} Hidden */

/** One report at a time is begun on a phone; it is kept under this name. */
export const FORM = "report";
/** A phone that knows no better than this may be streets away: then words must say where. */
const SURE_METRES = 100;
const TYPED_MS = 300;
/** What the phone fills in by itself. */
const FIX = ["lat", "lon", "accuracy"];

/** @param {App} app */
export async function reportScreen(app) {
  const { draft, shots } = await engine.draftOf(FORM);
  // Chosen once: a closing that was begun goes on belonging to the report that was taken back and mended.
  const id = draft?.id ?? randomId();
  const screen = clone("t-report");
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  const place = /** @type {HTMLInputElement} */ (part(form, "#place"));
  const tiles = inputsOf(form, "group");
  const last = tiles[tiles.length - 1]?.value ?? "";
  putIn(form, draft?.fields ?? []);
  let saved = false; // from then on nothing may bring the draft back
  const draftNow = () => ({ id, fields: fieldsOf(form) });
  let begun = Boolean(draft); // a form that was only looked at is no draft
  const said = () => JSON.stringify(fieldsOf(form).filter(([name]) => !FIX.includes(name)));
  const unsaid = said();
  const keep = async () => {
    begun ||= shots.length > 0 || said() !== unsaid;
    when(form, { begun });
    if (begun && !saved) await keepFilled(form, () => engine.keepDraft(FORM, draftNow()));
  };
  when(form, { begun: begun || shots.length > 0 });
  const at = located(form, keep);
  const look = () => {
    kinds(form);
    when(form, { danger: inDanger(form) });
  };

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => void keep(), TYPED_MS);
  });
  form.addEventListener("change", () => {
    fault(form, "");
    look();
    void keep(); // the camera may end this page on a small phone
  });
  place.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault(); // a phone's "Go" there sends nothing yet
  });
  const changed = async (/** @type {boolean} */ added) => {
    at.weigh(shots);
    if (added) await keep();
  };
  const photosKept = await photoStrip(app, form, FORM, shots, changed);
  saveOnce(form, async (pressed) => {
    if (!(await photosKept())) return false; // the crew went back instead, and finds all of it there
    const fields = fieldsOf(form);
    const data = { ...toldOnSite(fields, lang, last), urgent: inDanger(form) };
    const wrong = lacking(form, data, at);
    if (wrong) {
      fault(form, wrong.words, wrong.field);
      return false;
    }
    at.stop(); // what may have been kept, though the phone says no, is the same when it is saved again
    const label = { title: { [lang]: say(`service.${data.service}`) }, address: data.address ?? "" };
    const more = { id, photos: shots, undo: UNDO_MS, draft: { id, fields }, draftOf: FORM };
    saved = true;
    const entry = await app.kept(() => engine.report(data, label, more), form);
    saved = Boolean(entry);
    if (!entry) return false;
    if (pressed.value === "close") {
      const job = (await engine.view()).jobs.find(({ ref }) => ref === entry.op.id);
      // Whoever closes has begun: so it stays this crew's job, also where the closing takes its time.
      if (job) await app.kept(() => engine.add("start", job, {}));
      location.hash = `#close/${entry.op.id}/${FORM}`;
    } else {
      location.hash = "#today";
      app.offerUndo(entry);
    }
    void app.plan();
    return true;
  });
  deletable(form, async () => {
    saved = true; // nothing brings it back
    at.stop();
    await photosKept();
    saved = (await app.kept(() => engine.dropDraft(FORM).then(() => true), form)) ?? false;
    if (!saved) return;
    form.dataset["saved"] = "";
    location.hash = "#today";
  });
  look();
  at.weigh(shots);
  return screen;
}

/** Asks once more before a report that was begun is deleted. @param {HTMLFormElement} form @param {() => void} drop */
function deletable(form, drop) {
  const button = part(form, "[data-throw]"), question = part(form, "[data-sure]");
  const keep = part(question, "[data-keep]");
  /** @param {boolean} isAsked */
  const ask = (isAsked) => {
    button.hidden = isAsked;
    question.hidden = !isAsked;
    (isAsked ? keep : button).focus();
  };
  button.addEventListener("click", () => ask(true));
  keep.addEventListener("click", () => ask(false));
  part(question, "[data-delete]").addEventListener("click", drop);
}

/** Whether a report was begun here and not saved yet. @param {import("../session.js").View} view */
export function isBegun({ drafts, shots }) {
  return drafts.includes(FORM) || shots.some((shot) => shot.case === FORM && shot.op === null);
}

/**
 * Where the phone is, in the form's hidden fields and in words. Listens at once where that needs no question.
 * @param {HTMLFormElement} form @param {() => Promise<unknown>} keep
 * @returns {{ metres: () => number | null, stop: () => void, weigh: (shots: import("../../sync/engine.js").Shot[]) => void }} how
 *   wrong the phone may be, null where it does not say where it is; what ends its listening; and what asks about photos
 *   that were taken elsewhere
 */
function located(form, keep) {
  let stop = () => {};
  let isOld = true; // what a draft says; the crew may have gone on since
  let isSeeking = false;
  /** @type {import("../../lib/photo_metadata.js").Taken[]} */
  let photos = [];
  const value = (/** @type {Hidden} */ name) => inputsOf(form, name)[0]?.value ?? "";
  /** @param {Partial<Record<Hidden, string | number>>} values */
  const set = (values) => {
    for (const [name, each] of Object.entries(values)) {
      for (const input of inputsOf(form, name)) input.value = String(each);
    }
    isOld = isSeeking = false;
    show("");
    weighed();
    void keep();
  };
  /** @param {string} news */
  const show = (news) => {
    const known = value("lat") !== "";
    const metres = Number(value("accuracy"));
    const taken = value("pinned") === "photo";
    when(form, {
      here: known, now: !isOld && !taken, then: isOld && !taken, taken, nowhere: !known || isOld || taken,
      unsure: known && metres > SURE_METRES,
    });
    fill(form, "within", metres ? say("within", { distance: distance(metres) }) : "");
    fill(form, "where", news);
  };
  const seek = () => {
    stop();
    isSeeking = true;
    show(say("locating"));
    stop = listen(
      ({ lat, lon, metres }) => (form.isConnected ? set({ lat, lon, accuracy: metres, away: "", pinned: "" }) : stop()),
      () => {
        isSeeking = false;
        show(say("not_located"));
        weighed();
      },
    );
  };
  const elsewhere = () => {
    stop();
    set({ lat: "", lon: "", accuracy: "", away: "1", pinned: "" });
    part(form, "#place").focus();
  };
  const weighed = () => {
    const isOpen = !value("away") && !value("pinned") && (value("lat") || !isSeeking);
    const here = !isOpen ? undefined : value("lat") ? { lat: Number(value("lat")), lon: Number(value("lon")) } : null;
    askAboutPhotos(part(form, "#photo-place"), photos, here, (photo) => {
      if (!photo) return value("lat") ? undefined : seek();
      const { lat, lon, metres = "" } = photo;
      if (lat === undefined || lon === undefined) return elsewhere();
      stop();
      set({ lat, lon, accuracy: metres, away: "", pinned: "photo" });
      part(form, "[data-elsewhere]").focus();
    });
  };
  part(form, "[data-locate]").addEventListener("click", seek);
  part(form, "[data-elsewhere]").addEventListener("click", elsewhere);
  window.addEventListener("hashchange", () => stop(), { once: true });
  show("");
  if (!value("lat") && !value("away")) void granted().then((yes) => yes && seek());
  return {
    metres: () => (value("lat") ? Number(value("accuracy")) : null),
    stop: () => (stop(), show("")),
    weigh: (shots) => {
      photos = shots.flatMap(({ taken }) => taken ?? []);
      weighed();
    },
  };
}

/**
 * What must be mended before the report can be saved, and in which field.
 * @param {HTMLFormElement} form @param {ReturnType<typeof toldOnSite>} data @param {ReturnType<typeof located>} at
 */
function lacking(form, data, at) {
  const [lacks] = missing(data, requiredIn(form));
  const wrong = wrongIn(form, data.service);
  if (!lacks && wrong) return { words: say("wrong_answer"), field: wrong };
  const unsure = (at.metres() ?? 0) > SURE_METRES && !data.address;
  if (!lacks && !unsure) return null;
  const box = part(form, `#${CSS.escape(lacks ?? "place")}`);
  const field = /** @type {HTMLElement | null} */ (box.matches("input") ? box : box.querySelector("input"));
  const answer = lacks?.startsWith("answer-") ? "need_answer" : "";
  return { words: say(answer || (lacks === "kind" ? "need_kind" : unsure ? "need_words" : "need_place")), field };
}

/** Only the chosen tile's chips, and of its questions only the chosen chip's. @param {HTMLFormElement} form */
function kinds(form) {
  const group = inputsOf(form, "group").find((input) => input.checked)?.value;
  for (const set of all(form, "[data-group]")) {
    set.hidden = set.dataset["group"] !== group;
    const chosen = inputsOf(set, `service-${set.dataset["group"]}`).findIndex((input) => input.checked);
    all(set, ".questions > div").forEach((each, i) => (each.hidden = i !== chosen));
  }
}

/** @param {HTMLFormElement} form */
function inDanger(form) {
  const chip = form.querySelector("[data-group]:not([hidden]) :checked[data-urgent]");
  return Boolean(chip) || inputsOf(form, "danger").some((input) => input.checked);
}

/** @param {ParentNode} root @param {string} name */
function inputsOf(root, name) {
  return /** @type {HTMLInputElement[]} */ (all(root, `input[name="${CSS.escape(name)}"]`));
}
