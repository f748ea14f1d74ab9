// Propose: a job is of another type, or lies elsewhere. The crew says so, and staff decide.

import { UNDO_MS } from "../../sync/engine.js";
import { isDone } from "../../sync/jobs.js";
import { listen } from "../../lib/geolocation_watch.js";
import { all, clone, fieldsOf, fill, inputs, part, putIn, when } from "../../lib/dom.js";
import { distance, engine, lang, named, say } from "../session.js";
import { fault, keepFilled, saveOnce } from "./form.js";
import { heading } from "./heading.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/jobs.js").Job} Job */

/** A phone that knows no better than this may be streets away: words should say where. */
const SURE_METRES = 100;
const TYPED_MS = 300;

/** What may be wrong about it: a problem that was reported here can be reported anew. @param {Job} job */
export function mayPropose(job) {
  return !isDone(job) && !job.own;
}

/** @param {App} app @param {Job} job */
export async function proposeScreen(app, job) {
  const own = `propose:${job.ref}`; // beside a closing that was begun
  const { draft } = await engine.draftOf(own);
  const screen = clone("t-propose");
  heading(screen, job);
  part(screen, "[data-back]").setAttribute("href", `#job/${job.ref}`);
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  for (const chip of all(form, "[data-types] label")) chip.hidden = isSame(chip, job);
  putIn(form, draft?.fields ?? []);
  const told = () => Object.fromEntries(fieldsOf(form));
  const keep = () => keepFilled(form, () => engine.keepDraft(own, { fields: fieldsOf(form) }));
  const show = () => {
    const { what, lat, accuracy } = told();
    const metres = Number(accuracy);
    when(form, {
      type: what === "type", place: what === "place", here: Boolean(lat), nowhere: !lat,
      unsure: Boolean(lat) && metres > SURE_METRES,
    });
    fill(form, "within", metres ? say("within", { distance: distance(metres) }) : "");
  };
  const stop = locating(form, () => {
    show();
    void keep();
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => form.isConnected && void keep(), TYPED_MS);
  });
  form.addEventListener("change", () => {
    fault(form, "");
    show();
  });
  saveOnce(form, async () => {
    const fields = told();
    const wrong = lacking(form, fields);
    if (wrong) {
      fault(form, wrong.words, wrong.field);
      return false;
    }
    stop();
    clearTimeout(typing);
    const more = { undo: UNDO_MS, draft: { fields: fieldsOf(form) }, draftOf: own };
    const entry = await app.kept(() => engine.add("propose", job, proposal(fields), more), form);
    if (!entry) return false;
    location.hash = "#today";
    app.offerUndo(entry);
    void app.plan();
    return true;
  });
  show();
  return screen;
}

/** What was proposed, in words. @param {Record<string, any>} data */
export function proposedWords({ service }) {
  return service ? say("did.propose.type", { type: say(`service.${service}`) || service }) : say("did.propose.place");
}

/** Whether a chip is the type that the job has. @param {Element} chip @param {Job} job */
function isSame(chip, job) {
  const code = chip.querySelector("input")?.value ?? "";
  return say(`service.${code}`) === (job.title[lang] ?? named(job.title));
}

/** The operation's data. @param {Record<string, string>} fields */
function proposal({ what, service, lat, lon, accuracy, words = "" }) {
  const said = words.replaceAll("\r\n", "\n").trim();
  const place = { lat: Number(lat), lon: Number(lon), ...(accuracy ? { accuracy: Number(accuracy) } : {}) };
  return { ...(what === "type" ? { service } : place), ...(said ? { words: said } : {}) };
}

/** What must be mended before it can be saved. @param {HTMLFormElement} form @param {Record<string, string>} fields */
function lacking(form, { what, service, lat }) {
  const first = (/** @type {string} */ name) => inputs(form).find((input) => input.name === name && !hidden(input));
  if (!what) return { words: say("need_wrong"), field: first("what") };
  if (what === "type" && !service) return { words: say("need_kind"), field: first("service") };
  if (what === "place" && !lat) return { words: say("need_here"), field: part(form, "[data-locate]") };
  return null;
}

/** @param {Element} input */
function hidden(input) {
  return input.closest("[hidden]") !== null;
}

/**
 * Puts where the phone is into the form when it is asked to, and listens while that gets better.
 * @param {HTMLFormElement} form @param {() => void} found
 * @returns {() => void} stops it
 */
function locating(form, found) {
  let stop = () => {};
  part(form, "[data-locate]").addEventListener("click", () => {
    stop();
    fault(form, "");
    fill(form, "where", say("locating"));
    stop = listen(
      ({ lat, lon, metres }) => {
        if (!form.isConnected) return stop();
        for (const [name, value] of Object.entries({ lat, lon, accuracy: metres })) {
          /** @type {HTMLInputElement} */ (part(form, `[name=${name}]`)).value = String(value);
        }
        fill(form, "where", "");
        found();
      },
      () => fill(form, "where", say("no_fix")),
    );
  });
  window.addEventListener("hashchange", () => stop(), { once: true });
  return () => stop();
}
