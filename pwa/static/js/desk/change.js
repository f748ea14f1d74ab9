/**
 * A case's type or place is corrected in a dialog over the call, which stays as it is. Without this file the links
 * open a page of their own.
 */

import { startListControls } from "../board/list_controls.js";

const htmx = /** @type {any} */ (window).htmx;
const KINDS = { KeyT: "type", KeyL: "place" };

const box = () => /** @type {HTMLDialogElement} */ (document.getElementById("change-box"));

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
    document.getElementById("change")?.replaceChildren();
    then();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (/** @type {CustomEvent} */ (event).detail.target?.id === "change") focusFirst();
  });
}

/**
 * The key for a correction of the case that is likeliest meant: the joined or nearest one, else the caller's own.
 * @param {KeyboardEvent} event
 * @returns {boolean} whether it was one
 */
export function changeByKey(event) {
  const kind = event.altKey ? KINDS[/** @type {keyof typeof KINDS} */ (event.code)] : undefined;
  const near = `#near [data-change="${kind}"]`;
  const link = kind ? document.querySelector(near) ?? document.querySelector(`#caller [data-change="${kind}"]`) : null;
  if (!(link instanceof HTMLAnchorElement)) return false;
  event.preventDefault();
  open(link);
  return true;
}

/** @param {HTMLAnchorElement} link */
async function open(link) {
  await htmx.ajax("GET", link.href, { source: box(), target: "#change", swap: "innerHTML" });
  if (document.getElementById("change")?.childElementCount && !box().open) box().showModal();
  focusFirst();
}

function focusFirst() {
  const first = document.querySelector("#change [autofocus]") ?? document.getElementById("change-title");
  if (box().open && first instanceof HTMLElement) first.focus();
}
