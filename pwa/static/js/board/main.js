/**
 * The dispatcher's board: moves through the queue, opens drawers, selects several cases, minds the map.
 * Every control works without this file; htmx fetches and swaps, this file only decides what and when.
 */

import { follow } from "./live.js";
import { boardMap } from "./map.js";
import { act, startBulkActs, undo } from "./bulk_acts.js";
import { mindReplies } from "./canned_replies.js";
import { clear, closePanel, count, recall, toggleCase } from "./selection.js";
import { beside, cancelShape, inView, lasso, near, startAreas, useMap } from "./selection_by_area.js";
import { turns } from "./request_queue.js";
import { areOn, listen, turn } from "../lib/hotkeys.js";

const htmx = /** @type {any} */ (window).htmx;
const WORDS_MS = 1_000; // so long nothing that is typed is a command, where the form for it did not come
const HELD_MS = 150; // while j is held down, only the row it comes to rest on is fetched

/** @type {Awaited<ReturnType<typeof boardMap>> | undefined} */
let map;
/** What was asked before: a key pressed meanwhile waits for it. @type {Promise<unknown>} */
let ready = Promise.resolve();
/** The case that is about to be fetched; 0 where none is. */
let timer = 0;
/** Grows whenever somebody chooses another case, or none. A key is meant for the choice that it was pressed after. */
let choice = 0;
/** The choice that the drawer shows, however often its own forms and links have drawn it anew. */
let here = 0;
/** A form for words is on its way: what is typed until it is here is no command. @type {object | null} */
let awaitsWords = null;
/** Whether the focus was in the drawer that is being replaced. */
let wasInside = false;

/** @param {string} id */
const byId = (id) => document.getElementById(id);
const drawer = () => /** @type {HTMLElement} */ (byId("drawer"));
const rows = () => /** @type {HTMLTableRowElement[]} */ ([...document.querySelectorAll("#rows tr")]);
const currentRow = () => rows().find((row) => row.hasAttribute("aria-current"));

/** @param {string} number */
function rowOf(number) {
  return /** @type {HTMLTableRowElement | null} */ (byId(`case-${number}`));
}

/** @param {Element | null | undefined} element */
function click(element) {
  if (element instanceof HTMLElement) element.click();
}

/** @param {string} number */
function mark(number) {
  for (const row of rows()) {
    if (row.dataset.number === number) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

/**
 * Goes to the next (1) or previous (-1) row and opens it.
 * @param {1 | -1} step
 * @param {KeyboardEvent} event
 */
function move(step, event) {
  const all = rows();
  const here = currentRow();
  const row = here ? all[all.indexOf(here) + step] : all[0];
  const link = row?.querySelector("a");
  if (!row || !link) return;
  mark(row.dataset.number ?? "");
  link.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  fetchCase(link.href, event.repeat ? HELD_MS : 0);
}

/** Another case is chosen, or none: what was meant for the one before is not done any more. */
function chooseAnew() {
  clearTimeout(timer);
  timer = 0;
  choice += 1;
  awaitsWords = null;
  ready = Promise.resolve();
}

/**
 * Fetches a case into the drawer.
 * @param {string} url
 * @param {number} [wait] ms
 */
function fetchCase(url, wait = 0) {
  chooseAnew();
  ready = new Promise((resolve) => {
    timer = setTimeout(() => {
      timer = 0;
      const source = byId("rows") ?? document.body;
      htmx.ajax("GET", url, { source, target: "#drawer", swap: "outerHTML" }).then(resolve, resolve);
    }, wait);
  });
}

/** @param {string} number */
function openCase(number) {
  const row = rowOf(number);
  mark(number);
  row?.scrollIntoView({ block: "nearest" });
  fetchCase((byId("map")?.dataset.case ?? "").replace("NUMBER", number));
}

/** Puts address, row and map in step with the drawer that has just arrived. */
function arrived() {
  const { number, url } = drawer().dataset;
  if (!number) return;
  if (!timer && !underWay.isOpening()) { // or another has been chosen since
    here = choice;
    mark(number);
  }
  if (url) history.replaceState(history.state, "", url);
  const box = /** @type {HTMLElement} */ (drawer().parentElement);
  box.dataset.open = "";
  const covers = getComputedStyle(drawer()).position === "absolute";
  map?.mark(openPin(), covers ? drawer().offsetWidth : 0);
  document.dispatchEvent(new Event("board:opened"));
}

/**
 * The open case as the map draws it; nothing where nobody knows its place.
 * @returns {import("../map/pins.js").Pin | undefined}
 */
function openPin() {
  const { number = "", lat, lon, standing } = drawer().dataset;
  if (!lat) return undefined;
  const title = byId("case-title")?.firstChild?.textContent?.trim() ?? "";
  const stands = /** @type {import("../map/map.js").Standing} */ (standing);
  return { number, point: [Number(lat), Number(lon)], standing: stands, title };
}

function closeDrawer() {
  const link = /** @type {HTMLAnchorElement | null} */ (drawer().querySelector("[data-close]"));
  if (!link) return;
  chooseAnew();
  here = choice;
  const list = byId("rows");
  if (list) htmx.trigger(list, "htmx:abort"); // what was about to open stays closed
  history.replaceState(history.state, "", link.href);
  const empty = document.createElement("aside");
  empty.className = "drawer";
  empty.id = "drawer";
  empty.hidden = true;
  delete /** @type {HTMLElement} */ (drawer().parentElement).dataset.open;
  drawer().replaceWith(empty);
  map?.mark(undefined, 0);
  currentRow()?.querySelector("a")?.focus();
}

/**
 * Opens one form of the drawer and closes the others; without a name closes all.
 * @param {string} [name]
 * @returns {boolean} whether anything was open before
 */
function toggle(name) {
  let wasOpen = false;
  for (const section of /** @type {NodeListOf<HTMLElement>} */ (drawer().querySelectorAll(".doing"))) {
    wasOpen ||= !section.hidden;
    const opens = section.id === `do-${name}` && section.hidden;
    section.hidden = !opens;
    const opener = drawer().querySelector(`[data-do="${section.id.slice(3)}"]`);
    opener?.setAttribute("aria-expanded", String(opens));
    if (!opens) continue;
    section.scrollIntoView({ block: "nearest" });
    const first = section.querySelector("button:not([disabled]), input:not([type=hidden]), textarea");
    if (first instanceof HTMLElement) first.focus({ preventScroll: true });
  }
  return wasOpen;
}

/**
 * Does it to the case that was chosen, once that is here and what was pressed before is done; to no other.
 * @param {() => void} work
 */
function inTurn(work) {
  const mine = choice;
  ready = ready.then(underWay.settled).then(() => {
    if (mine === choice && (here === choice || drawer().hidden)) work();
  });
  return ready;
}

/** @param {string} name */
function openForm(name) {
  const section = () => byId(`do-${name}`);
  const over = inTurn(() => {
    if (section()?.hidden) toggle(name);
  });
  if (!["note", "merge"].includes(name)) return;
  const mine = (awaitsWords = {});
  void over.then(() => {
    // Where the form did not come somebody may still be typing.
    const isHere = section()?.hidden === false;
    setTimeout(() => mine === awaitsWords && (awaitsWords = null), isHere ? 0 : WORDS_MS);
  });
}

/** @param {string} digit */
function choose(digit) {
  const press = (/** @type {Element | null | undefined} */ list) =>
    click(list?.querySelector(`[data-digit="${digit}"]:not([disabled])`));
  const panel = document.querySelector("#bulk details[open]");
  if (panel) return press(panel);
  return inTurn(() => press([byId("do-assign"), byId("do-close")].find((each) => each?.offsetParent)));
}

function escape() {
  awaitsWords = null;
  const inside = document.activeElement;
  if (cancelShape() || closePanel()) return;
  const panel = /** @type {HTMLDetailsElement | null} */ (document.querySelector("#choose[open], #filter[open]"));
  if (panel) {
    panel.open = false;
    return panel.querySelector("summary")?.focus();
  }
  if (toggle()) drawer().focus();
  else if (inside === byId("q")) byId("q")?.blur();
  else if (!drawer().hidden) closeDrawer();
  else if (count()) {
    clear();
    (currentRow()?.querySelector("a") ?? byId("queue-title"))?.focus();
  }
}

function help() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
  dialog.showModal();
}

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const COMMANDS = {
  j: (event) => move(1, event),
  k: (event) => move(-1, event),
  x: () => toggleCase((currentRow() ?? rows()[0])?.dataset.number ?? ""),
  X: () => toggleCase((currentRow() ?? rows()[0])?.dataset.number ?? "", true),
  a: () => (count() ? act("assign") : openForm("assign")),
  m: () => (count() ? act("merge") : openForm("merge")),
  c: () => (count() ? act("close") : openForm("close")),
  e: () => count() && act("accept"),
  w: () => count() && act("wait"),
  "!": () => count() && act("priority"),
  u: () => undo(),
  i: () => inView(),
  r: () => inTurn(() => near()),
  d: () => inTurn(() => beside()),
  l: () => lasso(),
  n: () => openForm("note"),
  p: () => inTurn(() => click(byId("public"))),
  t: () => {
    if (count()) return act("tag");
    inTurn(() => click(byId("apart")));
  },
  ".": () => live.show(),
  "/": () => /** @type {HTMLInputElement | null} */ (byId("q"))?.select(),
  "g v": () => /** @type {HTMLElement | null} */ (document.querySelector("#views [aria-current], #views a"))?.focus(),
  "?": help,
  Escape: escape,
};
for (const digit of "123456789") COMMANDS[digit] = () => choose(digit);
for (const [key, command] of Object.entries(COMMANDS)) {
  if (key !== "Escape") COMMANDS[key] = (event) => awaitsWords || command(event);
}

async function drawMap() {
  const box = byId("map");
  if (!box) return;
  map = await boardMap(box, openCase);
  useMap(map.leaflet);
  arrived();
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const opener = /** @type {HTMLElement | null} */ (target?.closest("[data-do]"));
  if (opener) {
    event.preventDefault();
    const seen = here;
    ready = ready.then(underWay.settled).then(() => here === seen && toggle(opener.dataset.do));
  }
  if (target?.closest("[data-close]")) {
    event.preventDefault();
    closeDrawer();
  }
  if (target?.closest("[data-key=help]")) help();
});
document.body.addEventListener("htmx:configRequest", (event) => {
  const { detail } = /** @type {CustomEvent} */ (event);
  detail.isUnasked = detail.elt.matches("[data-unasked]");
});
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = /** @type {CustomEvent} */ (event);
  if (detail.target.id !== "drawer") return;
  wasInside = drawer().contains(document.activeElement);
  // Shown anew without being asked: not over the words of whoever has begun to write since.
  if (detail.requestConfig.isUnasked && drawer().querySelector(".doing:not([hidden])")) detail.shouldSwap = false;
});
document.body.addEventListener("htmx:afterSettle", (event) => {
  const { elt, requestConfig } = /** @type {CustomEvent} */ (event).detail;
  if (elt.id === "drawer") arrived();
  // The link that was pressed is gone with the old page; whoever pressed it goes on from the next one.
  if (elt.id === "more" && document.activeElement === document.body) {
    const on = elt.querySelector("a[rel=next]") ?? rows().slice(-1)[0]?.querySelector("a");
    /** @type {HTMLElement | null | undefined} */ (on)?.focus({ preventScroll: true });
  }
  if (requestConfig?.verb === "post" && elt.id !== "told") map?.again(); // of a batch the map hears otherwise
  // The button that was pressed is gone with the old drawer; whoever was there goes on from the new one.
  const wasThere = wasInside || requestConfig?.verb === "post";
  if (elt.id === "drawer" && wasThere && document.activeElement === document.body) {
    drawer().focus({ preventScroll: true });
  }
});
const keysOn = /** @type {HTMLInputElement} */ (byId("keys-on"));
keysOn.checked = areOn();
keysOn.addEventListener("change", () => turn(keysOn.checked));

const underWay = turns({
  drawer,
  chosen: (number) => {
    chooseAnew();
    mark(number);
  },
  lost: (number) => document.dispatchEvent(new CustomEvent("board:lost", { detail: number })),
});
startAreas(() => drawer().dataset.number ?? currentRow()?.dataset.number ?? "");
startBulkActs();
recall();
const live = follow();
mindReplies();
listen(COMMANDS);
drawMap().catch(() => {
  const note = byId("map-fault");
  if (note) note.hidden = false;
});
