/** What is done with the selected cases: the panels of the bar, their keys, and what becomes of the selection after. */

import { boxes, clear, closePanel, letGo, numbers, put, show, tick, toggleCase } from "./selection.js";
import { beside, inView, lasso, near } from "./selection_by_area.js";
import { isTyping } from "../lib/hotkeys.js";

/** @type {Record<string, () => void>} */
const WAYS = { lasso, view: inView, near, beside };

/** @type {string[]} those that an act under way is about; others may be chosen meanwhile */
let sent = [];
let undoing = 0;
let isRange = false; // the box that changes was clicked with Shift: all from the one before to it are meant

/** @param {string} id */
const byId = (id) => document.getElementById(id);

/**
 * Opens the panel of an act, or presses its button where it asks for nothing.
 * @param {string} name
 * @returns {boolean} whether there is such an act
 */
export function act(name) {
  if (byId("bulk")?.hasAttribute("data-over")) return false;
  const panel = byId(`bulk-${name}`);
  if (panel instanceof HTMLButtonElement) panel.click();
  if (!(panel instanceof HTMLDetailsElement)) return panel !== null;
  const opens = !panel.open;
  closePanel();
  panel.open = opens;
  // Not a date, which would take the digits that choose a reason; none need be given.
  const first = opens ? panel.querySelector('.bulk__panel :is(button, input:not([type="date"]), textarea)') : null;
  if (first instanceof HTMLElement) first.focus();
  return true;
}

/** Takes back what was done just now. @returns {boolean} whether there is something */
export function undo() {
  mindUndo();
  const button = /** @type {HTMLElement | null} */ (document.querySelector("#undo-batch[data-key] button"));
  button?.click();
  return button !== null;
}

/** Undo that was left standing is for who reads what it takes back: it says when that was, and the key leaves it. */
function mindUndo() {
  const form = byId("undo-batch");
  const { key = "", until = String(Date.now() + Number(key) * 1000) } = form?.dataset ?? {};
  if (!form || !key) return;
  form.dataset["until"] = until;
  const left = Number(until) - Date.now();
  clearTimeout(undoing);
  if (left > 0) {
    undoing = setTimeout(mindUndo, left);
    return;
  }
  delete form.dataset["key"];
  form.querySelector("kbd")?.remove();
  const when = byId("undo-when");
  if (when) when.hidden = false;
}

/** The numbers of the rows that an answer must bring up to date. */
const shown = () => [...document.querySelectorAll("#rows tr")].map((row) => /** @type {any} */ (row).dataset.number);

/** Begins to mind the bar and its panels. */
export function startBulkActs() {
  document.addEventListener("click", onClick);
  document.addEventListener("change", onChange);
  document.addEventListener("submit", onSubmit, true);
  byId("bulk-clear")?.addEventListener("click", clear);
  byId("bulk")?.addEventListener("keydown", onKey);
  document.body.addEventListener("htmx:configRequest", onRequest);
  document.body.addEventListener("htmx:afterSettle", onAnswer);
  mindUndo();
}

/** A range of boxes, a way to choose many, "No", or another panel than the open one. @param {MouseEvent} event */
function onClick(event) {
  const target = event.target instanceof Element ? event.target : null;
  const box = target instanceof HTMLInputElement && target.name === "case";
  if (box) isRange = event.shiftKey;
  const way = target?.closest("[data-choose]");
  if (way instanceof HTMLElement) WAYS[way.dataset["choose"] ?? ""]?.();
  if (target?.closest("[data-no]")) {
    event.preventDefault();
    byId("told")?.replaceChildren();
  }
  const summary = target?.closest("#bulk summary");
  for (const open of document.querySelectorAll("#bulk details[open]")) {
    if (summary && open !== summary.parentElement) /** @type {HTMLDetailsElement} */ (open).open = false;
  }
}

/** What is printed is a page of its own, which the browser itself opens. @param {SubmitEvent} event */
function onSubmit(event) {
  if (event.submitter?.id === "bulk-print") event.stopImmediatePropagation();
}

/** @param {Event} event */
function onChange(event) {
  const box = event.target instanceof HTMLInputElement ? event.target : null;
  if (box?.id === "all") {
    put([...boxes()].filter((each) => !each.disabled).map((each) => each.value), box.checked);
  } else if (box?.name === "case") {
    if (isRange) toggleCase(box.value, true);
    else tick(box);
  } else if (!box) show(); // the list was read anew
}

/** Enter in a field of a panel presses that panel's own button. @param {KeyboardEvent} event */
function onKey(event) {
  const field = /** @type {HTMLElement} */ (event.target);
  if (event.key !== "Enter" || field.tagName !== "INPUT") return;
  event.preventDefault();
  const acts = [...(field.closest(".bulk__panel")?.querySelectorAll("button") ?? [])];
  const own = acts.find((act) => act.dataset["enter"] !== undefined);
  (own ?? acts.find((act) => field.compareDocumentPosition(act) & Node.DOCUMENT_POSITION_FOLLOWING))?.click();
}

/** @param {Event} event */
function onRequest(event) {
  const { elt, parameters, verb } = /** @type {CustomEvent} */ (event).detail;
  if (elt.closest("#bulk, #told")) parameters["shown"] = shown().join(" ");
  if (verb === "post" && elt.closest("#drawer")) parameters["listed"] = shown().join(" ");
  if (elt.closest("#bulk, .told__ask")) forgive();
  if (elt.closest("#bulk")) sent = numbers();
  if (elt.closest("#undo-batch")) sent = []; // of an act that never arrived: its cases stay chosen
}

/** An act was done, or asks something first. @param {Event} event */
function onAnswer(event) {
  const { elt, requestConfig } = /** @type {CustomEvent} */ (event).detail;
  mindUndo();
  if (requestConfig?.verb === "post" && elt.id === "told") {
    const asks = byId("ask-batch") !== null;
    const isDone = !asks && !document.querySelector("#told .told__no:first-child");
    const at = document.activeElement;
    const isHere = at === document.body || byId("bulk")?.contains(at) === true;
    if (asks || isDone) closePanel(isHere);
    if (isDone) {
      /** @type {HTMLFormElement | null} */ (byId("bulk"))?.reset(); // the next act begins with empty fields
      letGo(sent);
      sent = [];
      document.dispatchEvent(new Event("board:acted"));
    }
    // Whoever writes elsewhere keeps the keyboard: the next space would press "Yes".
    const next = asks ? "#told button.button--act" : "#rows [aria-current] a";
    const goesOn = asks ? isHere || !isTyping(at) : isDone && isHere && byId("bulk")?.hidden;
    if (goesOn) /** @type {HTMLElement | null} */ (document.querySelector(next))?.focus({ preventScroll: true });
    const line = document.querySelector("#told [data-field]");
    if (line instanceof HTMLElement) blame(line);
    document.dispatchEvent(new CustomEvent("board:changed", { detail: { numbers: [], many: true } }));
  }
  show();
}

/** Says what was wrong beside the field that it is about, and opens its panel. @param {HTMLElement} line */
function blame(line) {
  const name = line.dataset["field"] ?? "";
  const place = byId(`bulk-${name}-fault`);
  const panel = place?.closest("details");
  if (!place || !panel) return;
  place.textContent = line.querySelector("p")?.textContent ?? "";
  place.hidden = false;
  line.remove();
  if (!panel.open) closePanel(false);
  panel.open = true;
  const field = /** @type {HTMLElement | null} */ (panel.querySelector(`[aria-describedby="${place.id}"]`));
  field?.setAttribute("aria-invalid", "true");
  // Of several places one is chosen by its digit: the keyboard goes on from the first.
  const next = /** @type {HTMLElement | null} */ (name === "place" ? panel.querySelector("#bulk-places li button") : null) ?? field;
  if (!isTyping(document.activeElement) || panel.contains(document.activeElement)) next?.focus({ preventScroll: true });
  (place.closest("fieldset, .field") ?? place).scrollIntoView({ block: "nearest" });
}

/** What was wrong before is sent anew. */
function forgive() {
  for (const place of document.querySelectorAll("#bulk [id$=-fault]")) /** @type {HTMLElement} */ (place).hidden = true;
  for (const field of document.querySelectorAll("#bulk [aria-invalid]")) field.removeAttribute("aria-invalid");
}
