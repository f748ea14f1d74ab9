/**
 * Which cases are selected on the board, shown or not. selection_by_area.js chooses many at once, bulk_acts.js does
 * something with them.
 */

import { locale } from "../lib/dom.js";

const KEPT = "cityline.chosen"; // of this tab, so that the selection outlives "Show more" and a reload

/** The list that the selection belongs to: the view, however much of it is shown. */
let list = "";
/** @type {Set<string>} */
const chosen = new Set();
let last = ""; // where a range begins
let seen = ""; // the revision as of which the chosen cases were seen

/** @param {string} id */
const byId = (id) => document.getElementById(id);
/** A number as the page's language writes it. @param {number} n */
const figure = (n) => n.toLocaleString(locale());
/** The boxes of the rows that are shown. */
export const boxes = () =>
  /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#rows input[name=case]"));

/** Begins with what was selected before the page was loaded anew. */
export function recall() {
  list = byId("live")?.dataset["list"] ?? "";
  const before = recalled();
  const sent = givenBack();
  seen = sent.length ? /** @type {HTMLInputElement} */ (byId("bulk-since")).value : before.since;
  put([...before.numbers, ...sent], true);
}

/** What a form that was refused held: the boxes that came back ticked, and cases that have no row here. */
function givenBack() {
  const ticked = [...boxes()].filter((box) => box.defaultChecked).map((box) => box.value);
  return [...ticked, ...(byId("bulk-cases")?.dataset["kept"]?.split(" ") ?? [])];
}

/** How many are chosen. */
export function count() {
  return chosen.size;
}

/** The numbers of all that are chosen. */
export function numbers() {
  return [...chosen];
}

/** What is chosen and has no row. */
function unseen() {
  const here = new Set([...boxes()].map((box) => box.value));
  return [...chosen].filter((number) => !here.has(number));
}

/** As of which revision the chosen cases were seen: that of the rows, or when those without a row were chosen. */
function asOf() {
  const rows = byId("live")?.dataset["since"] ?? "";
  const whole = /** @type {HTMLInputElement | null} */ (byId("bulk-all"));
  seen = (unseen().length || whole?.checked) && seen ? seen : rows;
  return seen;
}

/** Puts boxes, bar and count in step with what is chosen. */
export function show() {
  let shown = 0;
  let open = 0; // those that can be chosen: a greyed row has left the view
  for (const box of boxes()) {
    box.checked = chosen.has(box.value);
    if (box.checked) shown += 1;
    if (!box.disabled) open += 1;
    box.closest("tr")?.toggleAttribute("data-selected", box.checked);
  }
  document.dispatchEvent(new CustomEvent("board:selected", { detail: numbers() }));
  const since = asOf();
  remember(numbers(), since);
  const bulk = byId("bulk");
  const label = byId("bulk-count");
  if (!bulk || !label) return;
  const n = chosen.size;
  const words = n === 1 ? label.dataset["one"] : label.dataset["many"]?.replace("#", figure(n));
  if (n && label.textContent !== words) label.textContent = words ?? "";
  if (!n) label.textContent = "";
  bulk.hidden = n === 0;
  if (!n) closePanel();
  limit(bulk, n);
  /** @type {HTMLInputElement} */ (byId("bulk-cases")).value = unseen().join(" ");
  /** @type {HTMLInputElement} */ (byId("bulk-since")).value = since;
  const all = /** @type {HTMLInputElement | null} */ (byId("all"));
  if (!all) return;
  all.checked = n > 0 && shown === open;
  all.indeterminate = n > 0 && !all.checked;
}

/**
 * Says that more are chosen than can be changed at once, and offers no act for them: nothing is filled in for nothing.
 * @param {HTMLElement} bulk
 * @param {number} n how many are chosen
 */
function limit(bulk, n) {
  const said = byId("bulk-most");
  const isTooMany = n > Number(said?.dataset["most"]);
  if (isTooMany === bulk.hasAttribute("data-over")) return;
  bulk.toggleAttribute("data-over", isTooMany);
  if (isTooMany) closePanel(false);
  if (said) said.hidden = !isTooMany && said.dataset["always"] === undefined;
}

export function clear() {
  letGo(numbers());
}

/** @param {string[]} numbers what is done with */
export function letGo(numbers) {
  const whole = /** @type {HTMLInputElement | null} */ (byId("bulk-all"));
  if (whole) whole.checked = false;
  put(numbers, false);
}

/**
 * Adds numbers, or takes them out.
 * @param {string[]} numbers
 * @param {boolean} on
 */
export function put(numbers, on) {
  for (const number of numbers) {
    if (on) chosen.add(number);
    else chosen.delete(number);
  }
  show();
}

/**
 * Takes out what belongs to the view no more; returns which of them were in.
 * @param {string[]} left
 */
export function drop(left) {
  const were = left.filter((number) => chosen.delete(number));
  if (were.length) show();
  return were;
}

/** @param {string} number @param {boolean} range also all from the one before to this */
export function toggleCase(number, range = false) {
  const all = [...boxes()].filter((box) => !box.disabled).map((box) => box.value);
  if (!all.includes(number)) return;
  const on = range || !chosen.has(number);
  put(range ? between(all, last || number, number) : [number], on);
  last = number;
}

/** @param {HTMLInputElement} box that was ticked, or its tick taken away */
export function tick(box) {
  last = box.value;
  put([box.value], box.checked);
}

/**
 * Closes the open panel.
 * @param {boolean} [goesOn] whether the keyboard goes on from what opened it
 * @returns {boolean} whether one was open
 */
export function closePanel(goesOn = true) {
  const open = /** @type {HTMLDetailsElement | null} */ (document.querySelector("#bulk details[open]"));
  if (!open) return false;
  open.open = false;
  if (goesOn && !byId("bulk")?.hidden) open.querySelector("summary")?.focus();
  return true;
}

/**
 * The values from one to the other as they stand in a list, whichever comes first; only the last where the first
 * is not there.
 * @param {string[]} list
 * @param {string} from
 * @param {string} to
 * @returns {string[]}
 */
function between(list, from, to) {
  const [a, b] = [list.indexOf(from), list.indexOf(to)];
  if (b < 0) return [];
  return a < 0 ? [to] : list.slice(Math.min(a, b), Math.max(a, b) + 1);
}

/**
 * @returns {{ numbers: string[], since: string }} `since` is the revision as of which they were seen
 */
function recalled() {
  try {
    const { list: of, numbers = [], since = "" } = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    if (of === list) return { numbers, since };
  } catch {
    // Storage is blocked: the selection holds until the page is left.
  }
  return { numbers: [], since: "" };
}

/** @param {string[]} numbers @param {string} since */
function remember(numbers, since) {
  try {
    if (numbers.length) sessionStorage.setItem(KEPT, JSON.stringify({ list, numbers, since }));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // See recalled().
  }
}
