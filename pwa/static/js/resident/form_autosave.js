// What the report form keeps on the phone: itself as it stands, and the report when it cannot be sent. Fetched with
// the first thing that is filled in, while there is signal.

import { begun, keepForm, keepReport, letGo } from "./pending_reports.js";
import { fieldsOf, part, putIn } from "../lib/dom.js";
import { randomId } from "../lib/random.js";
import { requiredIn, wrongIn } from "../lib/questions.js";
import { show } from "./pending_list.js";
import { missing, told } from "../sync/report_op.js";

export { begun, letGo, show };

/** @typedef {import("../sync/report_op.js").Fields} Fields */

// What belongs to one visit of the page, or is drawn by the server.
const OURS = ["csrf_token", "key", "do", "seen", "staged", "kind_words"];
// Answers to what the location card asks once it is drawn for a place.
const ANSWERS = ["pick", "sure", "asset"];
const PLACE = ["place", "lat", "lon", "accuracy", "pinned", ...ANSWERS];

/** Keeps the form as it stands. @param {HTMLFormElement} form */
export async function keep(form) {
  // What a fix proposed is proposed anew: only a choice is kept.
  const isProposed = form.querySelector("[name=asset][data-proposed]:checked");
  await keepForm(keyOf(form), fieldsOf(form).filter(([name]) => name !== "asset" || !isProposed));
}

/**
 * Fills the form in as it was kept.
 * @param {HTMLFormElement} form
 * @param {Fields} fields
 * @param {Set<string>} touched what was filled in since the page opened, which stays. A place is one thing.
 */
export function refill(form, fields, touched) {
  const isPlaced = PLACE.some((name) => touched.has(name)) || new FormData(form).get("lat");
  const stays = [...OURS, ...touched, ...(isPlaced ? PLACE : [])];
  const wanted = fields.filter(([name]) => !stays.includes(name));
  putIn(form, wanted);
  // The card has no such question yet: until it is drawn, the answer stands in it unseen.
  for (const [name, value] of wanted) {
    if (!ANSWERS.includes(name) || form.elements.namedItem(name)) continue;
    const answer = Object.assign(document.createElement("input"), { type: "checkbox", name, value, checked: true, hidden: true });
    form.querySelector("#place-card")?.append(answer);
  }
}

/**
 * Keeps the report until there is signal and shows its receipt; or says what only its author can mend, as the id of a
 * field, "danger" where they must read "Stay back" first, "photos" where it would go without one of them.
 * @param {HTMLFormElement} form
 * @param {HTMLButtonElement | null} pressed
 * @param {(string | null)[]} photos their names on this phone, null for one that it would not keep
 * @returns {Promise<string>} "" where it is kept
 */
export async function take(form, pressed, photos) {
  const fields = fieldsOf(form);
  if (pressed?.name === "danger" || pressed?.name === "join") fields.push([pressed.name, pressed.value]);
  const tiles = [...form.querySelectorAll("[name=group]")].map((tile) => /** @type {HTMLInputElement} */ (tile).value);
  const last = tiles[tiles.length - 1] ?? part(form, "#kind").dataset["last"] ?? "";
  const data = told(fields, document.documentElement.lang, last);
  const [lacks] = missing(data, requiredIn(form));
  if (lacks) return lacks;
  const wrong = wrongIn(form, data.service); // no number, or half a date
  if (wrong) return wrong.id;
  const chip = form.querySelector(`:is(:checked, [name=kind])[value="${CSS.escape(data.service)}"][data-urgent]`);
  if (chip && !data.danger && !new FormData(form).get("warned")) return "danger";
  const names = photos.filter((name) => name !== null);
  if (names.length < photos.length) return "photos";
  const kind = form.querySelector(`[name^="service-"][value="${CSS.escape(data.service)}"]`)?.closest("label")?.textContent?.trim();
  const { op } = await keepReport(keyOf(form), data, names, kind ?? "");
  location.assign(`${location.pathname}#${op.id}`);
  await show(op.id);
  return "";
}

/** The form's key; one that came from the phone itself gets it here. @param {HTMLFormElement} form */
function keyOf(form) {
  const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("key"));
  field.value ||= randomId().replaceAll("-", "");
  return field.value;
}
