/**
 * The dispatcher's board: moves through the queue, opens drawers, selects several cases, minds the map.
 * Every control works without this file; htmx fetches and swaps, this file only decides what and when.
 */

import { follow } from "./live.js";
import { boardMap } from "./map.js";
import { startFoot } from "./foot.js";
import { act, startBulkActs, undo } from "./bulk_acts.js";
import { mindReplies } from "./canned_replies.js";
import { startSpot } from "./map_spot.js";
import { startListControls } from "./list_controls.js";
import { clear, closePanel, count, recall, toggleCase } from "./selection.js";
import { beside, cancelShape, inView, lasso, near, startAreas, useMap } from "./selection_by_area.js";
import { turns } from "./request_queue.js";
import { lowNote, typedAhead } from "./typed_ahead.js";
import { areOn, isTyping, listen, turn } from "../lib/hotkeys.js";

const htmx = /** @type {any} */ (window).htmx;
const WORDS_MS = 1_000; // so long nothing that is typed is a command, where the form for it did not come
const HELD_MS = 150; // while j is held down, only the row it comes to rest on is fetched

/** @type {Awaited<ReturnType<typeof boardMap>> | undefined} */
let map;
/** The case that was chosen is on its way. @type {Promise<unknown>} */
let ready = Promise.resolve();
/** Ends the waiting for a case that nobody wants any more. @type {(nothing?: unknown) => void} */
let letGo = () => {};
/** The case that is about to be fetched; 0 where none is. */
let timer = 0;
/** Grows whenever somebody chooses another case, or none. */
let choice = 0;
/** The choice that the drawer shows, however often its own forms and links have drawn it anew. */
let here = 0;
/** A form for words is on its way: what is typed until it is here belongs into it. @type {{ typed: string } | null} */
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
  if (!row || !link) return event.repeat; // whoever holds the key down at the end of the list knows it
  mark(row.dataset.number ?? "");
  link.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  fetchCase(link.href, event.repeat ? HELD_MS : 0);
  return true;
}

/** Another case is chosen, or none: what was meant for the one before is not done any more. */
function chooseAnew() {
  clearTimeout(timer);
  timer = 0;
  choice += 1;
  awaitsWords = null;
  letGo();
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
    letGo = resolve;
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
  typed.drop(); // it was meant for the case before
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
  map?.mark(openPin(), drawer().offsetWidth);
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
  typed.drop();
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

/** Until the case that was chosen is here, and nothing is under way for it. */
async function settled() {
  for (let awaited; awaited !== ready;) await (awaited = ready);
  await underWay.settled();
}

/** Whether the drawer shows the case that was chosen, or none was. */
const isHere = () => here === choice || drawer().hidden;

function refuse() {
  lowNote();
  document.dispatchEvent(new Event("board:refused"));
}

/**
 * Opens a form of the case, and puts into it what was typed until it came.
 * @param {string} name
 */
function openForm(name) {
  const section = byId(`do-${name}`);
  const words = awaitsWords?.typed ?? "";
  if (!isHere() || !section) {
    setTimeout(() => (awaitsWords = null), awaitsWords ? WORDS_MS : 0); // somebody may still be typing
    return false;
  }
  awaitsWords = null;
  if (section.hidden) toggle(name);
  const field = /** @type {HTMLInputElement | null} */ (section.querySelector("textarea, input:not([type=hidden])"));
  if (field && words) field.value += words;
  return true;
}

/** @param {string} selector what stands for a verb in the drawer: a link that opens its form, or a button */
function press(selector) {
  const control = isHere() ? drawer().querySelector(selector) : null;
  click(control);
  return control !== null;
}

/** Whether the menu of corrections is open, whose letters come next. */
const isChanging = () => Boolean(byId("do-change")?.offsetParent);

/** @param {string} digit */
function choose(digit) {
  const panel = document.querySelector("#bulk details[open]");
  const form = panel ?? ["assign", "close", "wait", "cancel", "type", "place", "date", "split"].map((name) => byId(`do-${name}`)).find((one) => one?.offsetParent);
  const control = form?.querySelector(`[data-digit="${digit}"]:not([disabled])`);
  click(control);
  if (control?.matches("input")) {
    const send = /** @type {HTMLElement | null} */ (control.closest("form, .bulk__panel")?.querySelector("button:not([hidden])"));
    send?.focus();
  }
  return control != null;
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

/**
 * What a key does: to the selected cases where there are any, otherwise to the case that is open.
 * @param {string} name of the act on many @param {() => unknown} single
 * @returns {() => unknown}
 */
const each = (name, single) => () => (count() ? act(name) : single());

/** What each key does to the case that is open, or the selected ones; false where it can do nothing.
 * @type {Record<string, () => unknown>} */
const VERBS = {
  a: each("assign", () => openForm("assign")),
  A: () => count() > 0 && act("usual"),
  c: each("close", () => openForm("close")),
  h: each("wait", () => press("[data-verb=resume]") || openForm("wait")),
  m: each("merge", () => openForm("merge")),
  n: () => openForm("note"),
  o: () => openForm("reopen"),
  p: () => press("#public"),
  e: each("type", () => openForm("change")),
  E: () => count() > 0 && act("place"),
  D: () => count() > 0 && act("date"),
  t: each("tag", () => (isChanging() ? openForm("type") : press("#apart"))),
  l: () => (isChanging() ? openForm("place") : lasso()),
  v: () => openForm("cancel"),
  w: () => press("[data-verb=reviewed]"),
  y: each("accept", () => press("[data-verb=accept]")),
  "!": () => count() > 0 && act("priority"),
  u: () => undo(),
  r: () => openForm("ask"),
  U: () => openForm("update"),
  P: () => openForm("forward"),
  R: () => near(),
  s: () => isChanging() && openForm("split"),
  d: () => (isChanging() ? openForm("date") : beside()),
};
for (const digit of "1234567890") VERBS[digit] = () => choose(digit);

/** What a key does at once, in its turn: it needs no case. @type {Record<string, (event: KeyboardEvent) => unknown>} */
const MOVES = {
  j: (event) => move(1, event),
  k: (event) => move(-1, event),
  x: () => toggleCase((currentRow() ?? rows()[0])?.dataset.number ?? ""),
  X: () => toggleCase((currentRow() ?? rows()[0])?.dataset.number ?? "", true),
  f: () => click(document.querySelector("#filter > summary")),
  i: () => inView(),
  ".": () => live.show(),
};

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const COMMANDS = {
  "/": () => /** @type {HTMLInputElement | null} */ (byId("q"))?.select(),
  "g v": () => /** @type {HTMLElement | null} */ (document.querySelector("#views [aria-current], #views a"))?.focus(),
  "g n": () => click(document.querySelector("#views a")),
  "?": help,
  Escape: escape,
};
for (const [key, run] of Object.entries(VERBS)) {
  COMMANDS[key] = () => {
    if (["n", "m", "r", "U"].includes(key) && !count()) awaitsWords = { typed: "" };
    typed.push({ after: key === "u" ? underWay.over : settled, run });
  };
}
for (const [key, run] of Object.entries(MOVES)) {
  COMMANDS[key] = (event) => typed.push({ run: () => run(event) });
}
// Before the commands hear of it: these letters are the beginning of a note.
document.addEventListener("keydown", (event) => {
  if (!awaitsWords || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key.length !== 1) return;
  awaitsWords.typed += event.key;
  event.preventDefault();
  event.stopImmediatePropagation();
});

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
    void settled().then(() => here === seen && toggle(opener.dataset.do));
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

document.body.addEventListener("htmx:afterRequest", (event) => {
  const { failed, requestConfig } = /** @type {CustomEvent} */ (event).detail;
  if (failed && requestConfig?.verb === "post") typed.drop(); // it was meant for what did not come to be
});
const typed = typedAhead(refuse);
const underWay = turns({
  drawer,
  chosen: (number) => {
    typed.drop();
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
startListControls();
startSpot(() => map?.leaflet);
startFoot();
listen(COMMANDS);
drawMap().catch(() => {
  const note = byId("map-fault");
  if (note) note.hidden = false;
});
