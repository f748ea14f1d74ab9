/**
 * The dispatcher's board: moves through the queue, opens drawers, selects several cases, minds the map.
 * Every control works without this file; htmx fetches and swaps, this file only decides what and when.
 */

import { areOn, listen, turn } from "./keys.js";
import { showMap } from "./map.js";
import { pinLayer } from "./pins.js";

const htmx = /** @type {any} */ (window).htmx;
const HELD_MS = 150; // while j is held down, only the row it comes to rest on is fetched

/** @type {ReturnType<typeof pinLayer> | undefined} */
let pins;
/** What is being fetched: a key pressed meanwhile waits for it. @type {Promise<unknown>} */
let ready = Promise.resolve();
let timer = 0;

/** @param {string} id */
const byId = (id) => document.getElementById(id);
const drawer = () => /** @type {HTMLElement} */ (byId("drawer"));
const rows = () => /** @type {HTMLTableRowElement[]} */ ([...document.querySelectorAll("#rows tr")]);
const currentRow = () => rows().find((row) => row.hasAttribute("aria-current"));
const picked = () => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("#rows input:checked")]);

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

/**
 * Fetches a case into the drawer.
 * @param {string} url
 * @param {number} [wait] ms
 */
function fetchCase(url, wait = 0) {
  clearTimeout(timer);
  ready = new Promise((resolve) => {
    timer = setTimeout(() => {
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
  const { number, url, lat } = drawer().dataset;
  if (!number) return;
  mark(number);
  if (url) history.replaceState(history.state, "", url);
  const box = /** @type {HTMLElement} */ (drawer().parentElement);
  box.dataset.open = "";
  const covers = getComputedStyle(drawer()).position === "absolute";
  pins?.mark(lat ? number : "", covers ? drawer().offsetWidth : 0);
}

function closeDrawer() {
  const link = /** @type {HTMLAnchorElement | null} */ (drawer().querySelector("[data-close]"));
  if (!link) return;
  history.replaceState(history.state, "", link.href);
  const empty = document.createElement("aside");
  empty.className = "drawer";
  empty.id = "drawer";
  empty.hidden = true;
  delete /** @type {HTMLElement} */ (drawer().parentElement).dataset.open;
  drawer().replaceWith(empty);
  pins?.mark("", 0);
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

/** @param {string} name */
function openForm(name) {
  ready = ready.then(() => {
    const section = byId(`do-${name}`);
    if (section?.hidden) toggle(name);
  });
}

function count() {
  const bulk = byId("bulk");
  const label = byId("bulk-count");
  if (!bulk || !label) return;
  for (const row of rows()) row.toggleAttribute("data-selected", Boolean(row.querySelector("input:checked")));
  const n = picked().length;
  label.textContent = n === 1 ? label.dataset.one ?? "" : (label.dataset.many ?? "").replace("#", String(n));
  bulk.hidden = n === 0;
  if (n === 0) expand(false);
  const all = /** @type {HTMLInputElement | null} */ (byId("all"));
  if (all) {
    all.checked = n > 0 && n === document.querySelectorAll("#rows input").length;
    all.indeterminate = n > 0 && !all.checked;
  }
}

/** @param {boolean} open */
function expand(open) {
  const crews = byId("bulk-crews");
  if (!crews) return;
  crews.hidden = !open;
  byId("bulk-assign")?.setAttribute("aria-expanded", String(open));
  const first = crews.querySelector("button");
  if (open) first?.focus();
}

function clearSelection() {
  for (const box of picked()) box.checked = false;
  count();
  (currentRow()?.querySelector("a") ?? byId("queue-title"))?.focus();
}

/** @param {string} digit */
function choose(digit) {
  ready = ready.then(() => {
    const list = [byId("bulk-crews"), byId("do-assign")].find((each) => each && each.offsetParent !== null);
    click(list?.querySelector(`[data-digit="${digit}"]:not([disabled])`));
  });
}

function escape() {
  const inside = document.activeElement;
  if (byId("bulk-crews")?.offsetParent) {
    expand(false);
    byId("bulk-assign")?.focus();
  } else if (toggle()) drawer().focus();
  else if (inside === byId("q")) byId("q")?.blur();
  else if (!drawer().hidden) closeDrawer();
  else if (picked().length) clearSelection();
}

function help() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
  dialog.showModal();
}

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const COMMANDS = {
  j: (event) => move(1, event),
  k: (event) => move(-1, event),
  x: () => click((currentRow() ?? rows()[0])?.querySelector("input")),
  a: () => (picked().length ? expand(true) : openForm("assign")),
  m: () => openForm("merge"),
  c: () => openForm("close"),
  n: () => openForm("note"),
  p: () => {
    ready = ready.then(() => click(byId("public")));
  },
  t: () => {
    ready = ready.then(() => click(byId("apart")));
  },
  "/": () => /** @type {HTMLInputElement | null} */ (byId("q"))?.select(),
  "g v": () => /** @type {HTMLElement | null} */ (document.querySelector("#views [aria-current], #views a"))?.focus(),
  "?": help,
  Escape: escape,
};
for (const digit of "123456789") COMMANDS[digit] = () => choose(digit);

async function drawMap() {
  const box = byId("map");
  if (!box) return;
  const { lat, lon, bounds, basemap, raster, points, case: address, words, zoomIn, zoomOut } = box.dataset;
  const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
  const [{ map, L }, answer] = await Promise.all([
    showMap(box, {
      centre: [Number(lat), Number(lon)],
      bounds: [[south, west], [north, east]],
      basemapUrl: basemap,
      rasterUrl: raster || undefined,
      words: { zoomIn, zoomOut },
    }),
    fetch(points ?? "", { headers: { Accept: "application/json" } }).then((response) => response.json()),
  ]);
  const said = JSON.parse(words ?? "{}");
  pins = pinLayer(map, L, {
    href: (number) => (address ?? "").replace("NUMBER", number),
    open: openCase,
    words: said,
    several: said.several,
  });
  const all = /** @type {[string, number, number, import("./map.js").Standing, string][]} */ (answer.points);
  if (all.length) {
    map.fitBounds(L.latLngBounds(all.map(([, y, x]) => [y, x])), { padding: [32, 32], maxZoom: 16, animate: false });
  }
  pins.set(all.map(([number, y, x, standing, title]) => ({ number, point: [y, x], standing, title })));
  arrived();
}

/** Takes over how the rows and the drawer say that cases stand now. */
function updatePins() {
  /** @type {Map<string, string>} */
  const standings = new Map();
  for (const row of rows()) {
    const promise = /** @type {HTMLElement | null} */ (row.querySelector("[data-promise]"));
    if (row.dataset.number && promise?.dataset.promise) standings.set(row.dataset.number, promise.dataset.promise);
  }
  const { number, standing } = drawer().dataset;
  if (number && standing) standings.set(number, standing);
  pins?.update(standings);
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const opener = /** @type {HTMLElement | null} */ (target?.closest("[data-do]"));
  if (opener) {
    event.preventDefault();
    toggle(opener.dataset.do);
  }
  if (target?.closest("[data-close]")) {
    event.preventDefault();
    closeDrawer();
  }
  if (target?.closest("[data-key=help]")) help();
});
document.addEventListener("change", (event) => {
  const box = event.target instanceof HTMLInputElement ? event.target : null;
  if (box?.id === "all") {
    for (const each of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#rows input"))) {
      each.checked = box.checked;
    }
  }
  if (box?.id === "all" || box?.name === "case") count();
});
document.body.addEventListener("htmx:afterSettle", (event) => {
  const { elt, requestConfig } = /** @type {CustomEvent} */ (event).detail;
  count();
  if (elt.id === "drawer") arrived();
  if (requestConfig?.verb === "post") updatePins();
  // The button that was pressed is gone with the old drawer; whoever pressed it goes on from the new one.
  if (elt.id === "drawer" && requestConfig?.verb === "post" && document.activeElement === document.body) {
    drawer().focus({ preventScroll: true });
  }
});
byId("bulk-assign")?.addEventListener("click", () => expand(Boolean(byId("bulk-crews")?.hidden)));
byId("bulk-clear")?.addEventListener("click", clearSelection);
const keysOn = /** @type {HTMLInputElement} */ (byId("keys-on"));
keysOn.checked = areOn();
keysOn.addEventListener("change", () => turn(keysOn.checked));

count();
expand(false);
listen(COMMANDS);
drawMap().catch(() => {
  const note = byId("map-fault");
  if (note) note.hidden = false;
});
