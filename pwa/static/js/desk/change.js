/**
 * A case's type or place is corrected in a dialog over the call, which stays as it is. Without this file the links
 * open a page of their own.
 */

import { startListControls } from "../board/list_controls.js";
import { isTyping } from "../lib/hotkeys.js";

const htmx = /** @type {any} */ (window).htmx;
const KINDS = { KeyT: "type", KeyL: "place" };
const SLOW_MS = 700; // a shorter wait needs no word
const SHUT = [400, 401, 403]; // the session is over

/** @type {ReturnType<typeof setTimeout> | undefined} */ let slow;

const box = () => /** @type {HTMLDialogElement} */ (document.getElementById("change-box"));
const content = () => /** @type {HTMLElement} */ (document.getElementById("change"));

/** @param {() => void} then what follows when the dialog has been closed */
export function startChange(then) {
  startListControls();
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("[data-change]") : null;
    if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    open(link);
  });
  box().addEventListener("close", () => {
    content().replaceChildren();
    tell("");
    takeUpWriting();
    then();
  });
  box().addEventListener("keydown", chooseByDigit);
  document.addEventListener("htmx:beforeSend", (event) => {
    if (isOurs(event)) slow = setTimeout(() => tell("wait"), SLOW_MS);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (isOurs(event) && !(box().open && isForm(detail.xhr))) detail.shouldSwap = false; // or it was closed meanwhile
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isOurs(event)) return;
    clearTimeout(slow);
    const { xhr } = /** @type {CustomEvent} */ (event).detail;
    tell(wrongWith(xhr));
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!isOurs(event)) return;
    forgetOld();
    focusFirst();
  });
}

/** What was said of a saved case is true no more once it is corrected. */
function forgetOld() {
  const changed = /** @type {HTMLElement | null} */ (content().querySelector("[data-changed]"))?.dataset["changed"];
  if (changed && document.querySelector("#kept .num")?.textContent === changed) {
    document.getElementById("kept")?.replaceChildren();
  }
}

/** Chromium gives the field its focus back, but drops what is typed there until it is focused anew. */
function takeUpWriting() {
  const field = document.activeElement;
  if (!(field instanceof HTMLElement) || !isTyping(field)) return;
  field.blur();
  field.focus({ preventScroll: true });
}

/** Whether the answer is a form: whoever is logged out is led to another page. @param {XMLHttpRequest} xhr */
const isForm = (xhr) => [200, 422].includes(xhr.status) && new URL(xhr.responseURL).pathname.includes("/desk/cases/");

/** @param {XMLHttpRequest} xhr */
function wrongWith(xhr) {
  if (isForm(xhr)) return "";
  if (!xhr.status) return "lost";
  return SHUT.includes(xhr.status) || xhr.status === 200 ? "shut" : "failed";
}

/** Whether a request's answer belongs into the dialog. @param {Event} event */
const isOurs = (event) => /** @type {CustomEvent} */ (event).detail.target?.id === "change";

/**
 * The key for a correction of the case that is likeliest meant: the joined or nearest one, else the caller's own.
 * @param {KeyboardEvent} event
 * @returns {boolean} whether it was one
 */
export function changeByKey(event) {
  const kind = event.altKey ? KINDS[/** @type {keyof typeof KINDS} */ (event.code)] : undefined;
  if (!kind) return false;
  const links = ["#near .card:has(:checked)", "#near", "#caller"].map((part) => document.querySelector(`${part} [data-change="${kind}"]`));
  const link = links.find(Boolean);
  if (!(link instanceof HTMLAnchorElement)) return false;
  event.preventDefault();
  open(link);
  return true;
}

/** The dialog is there at once: what is typed until its form comes must not fall into the call. @param {HTMLAnchorElement} link */
function open(link) {
  if (!box().open) box().showModal();
  htmx.ajax("GET", link.href, { source: box(), target: "#change", swap: "innerHTML" }).catch(() => {}); // see afterRequest
}

/** @param {KeyboardEvent} event */
function chooseByDigit(event) {
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey || !/^[1-9]$/.test(event.key)) return;
  /** @type {HTMLElement | null} */ (content().querySelector(`[data-digit="${event.key}"]:not([disabled])`))?.click();
}

/** @param {"wait" | "lost" | "shut" | "failed" | ""} what */
function tell(what) {
  const place = /** @type {HTMLElement} */ (document.getElementById("change-said"));
  place.textContent = what ? box().dataset[what] ?? "" : "";
}

function focusFirst() {
  const first = content().querySelector("[autofocus]") ?? document.getElementById("change-title");
  if (box().open && first instanceof HTMLElement) first.focus();
}
