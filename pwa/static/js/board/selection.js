/**
 * Which cases are selected on the board, shown or not, and the ways to choose many: by row, by range, by a shape
 * drawn on the map, and by the same without dragging. The server answers which cases lie within.
 */

import { isTyping } from "../lib/hotkeys.js";
import { locale } from "../lib/dom.js";

const MOST_CORNERS = 200; // of a shape on its way to the server
const KEPT = "cityline.chosen"; // of this tab, so that the selection outlives "Show more" and a reload
const LEAST_STEP = 4; // px between two corners of a line that is being drawn

/** @typedef {{x: number, y: number}} Spot */

/** @param {string} id */
const byId = (id) => document.getElementById(id);
/** A number as the page's language writes it. @param {number} n */
const figure = (n) => n.toLocaleString(locale());
const boxes = () => /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("#rows input[name=case]"));

/**
 * As many of a line's corners as are wanted, evenly spread.
 * @template T
 * @param {T[]} corners
 * @param {number} [most]
 * @returns {T[]}
 */
export function thinned(corners, most = MOST_CORNERS) {
  if (corners.length <= most) return corners;
  return Array.from({ length: most }, (_, i) => /** @type {T} */ (corners[Math.floor((i * corners.length) / most)]));
}

/**
 * The values from one to the other as they stand in a list, whichever comes first; only the last where the first
 * is not there.
 * @param {string[]} list
 * @param {string} from
 * @param {string} to
 * @returns {string[]}
 */
export function between(list, from, to) {
  const [a, b] = [list.indexOf(from), list.indexOf(to)];
  if (b < 0) return [];
  return a < 0 ? [to] : list.slice(Math.min(a, b), Math.max(a, b) + 1);
}

/**
 * Begins to mind the selection.
 * @param {object} board
 * @param {() => string} board.current the number of the case that is open or at hand, or ""
 * @returns {Selection}
 */
export function selecting({ current }) {
  /** The list that the selection belongs to: the view, however much of it is shown. */
  const list = byId("live")?.dataset["list"] ?? "";
  const before = recalled(list);
  /** @type {Set<string>} */
  const chosen = new Set(before.numbers);
  /** @type {import("leaflet").Map | undefined} */
  let map;
  let last = ""; // where a range begins
  let seen = before.since; // the revision as of which the chosen cases were seen
  /** @type {string[]} those that an act under way is about; others may be chosen meanwhile */
  let sent = [];
  /** @type {(() => void) | undefined} */
  let stopLasso;

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
  function show() {
    let shown = 0;
    for (const box of boxes()) {
      box.checked = chosen.has(box.value);
      if (box.checked) shown += 1;
      box.closest("tr")?.toggleAttribute("data-selected", box.checked);
    }
    const since = asOf();
    remember(list, [...chosen], since);
    const bulk = byId("bulk");
    const label = byId("bulk-count");
    if (!bulk || !label) return;
    const n = chosen.size;
    const words = n === 1 ? label.dataset["one"] : label.dataset["many"]?.replace("#", figure(n));
    if (n && label.textContent !== words) label.textContent = words ?? "";
    if (!n) label.textContent = "";
    bulk.hidden = n === 0;
    if (!n) close();
    /** @type {HTMLInputElement} */ (byId("bulk-cases")).value = unseen().join(" ");
    /** @type {HTMLInputElement} */ (byId("bulk-since")).value = since;
    const all = /** @type {HTMLInputElement | null} */ (byId("all"));
    if (!all) return;
    all.checked = n > 0 && shown === boxes().length;
    all.indeterminate = n > 0 && !all.checked;
  }

  function clear() {
    letGo([...chosen]);
  }

  /** @param {string[]} numbers what is done with */
  function letGo(numbers) {
    const whole = /** @type {HTMLInputElement | null} */ (byId("bulk-all"));
    if (whole) whole.checked = false;
    put(numbers, false);
  }

  /**
   * Adds numbers, or takes them out.
   * @param {string[]} numbers
   * @param {boolean} on
   */
  function put(numbers, on) {
    for (const number of numbers) {
      if (on) chosen.add(number);
      else chosen.delete(number);
    }
    show();
  }

  /** @param {string} number @param {boolean} range also all from the one before to this */
  function toggle(number, range = false) {
    const list = [...boxes()].filter((box) => !box.disabled).map((box) => box.value);
    if (!list.includes(number)) return;
    const on = range || !chosen.has(number);
    put(range ? between(list, last || number, number) : [number], on);
    last = number;
  }

  /**
   * Asks the server which cases lie there, and selects them.
   * @param {Record<string, string>} where
   */
  async function choose(where) {
    const control = byId("choose");
    if (!control) return;
    say("");
    const url = new URL(control.dataset["url"] ?? "", location.href);
    for (const [name, value] of Object.entries(where)) url.searchParams.set(name, value);
    const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" }).catch(() => null);
    const told = await answer?.json().catch(() => null);
    if (!answer?.ok || !told) return say(told?.error ?? control.dataset["fault"] ?? "");
    put(told.numbers, true);
    const { none = "", more = "" } = control.dataset;
    if (!told.total) say(none);
    else if (told.total > told.numbers.length) {
      say(more.replace("#", figure(told.numbers.length)).replace("$", figure(told.total)));
    }
  }

  /** @param {string} words */
  function say(words) {
    const place = byId("choose-said");
    if (place) place.textContent = words;
  }

  function inView() {
    if (!map) return;
    const bounds = map.getBounds();
    const box = [bounds.getSouth(), bounds.getWest(), bounds.getNorth(), bounds.getEast()];
    void choose({ box: box.map((each) => each.toFixed(6)).join(",") });
  }

  function near() {
    if (current()) void choose({ near: current() });
    else say(byId("choose")?.dataset["first"] ?? "");
  }

  function beside() {
    if (current()) void choose({ beside: current() });
    else say(byId("choose")?.dataset["first"] ?? "");
  }

  /** Draws a line on the map as long as the pointer is down, and chooses what lies within. */
  function lasso() {
    if (!map) return;
    if (stopLasso) return stopLasso();
    const on = map;
    const box = on.getContainer();
    const button = byId("choose-lasso");
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawing.setAttribute("class", "lasso");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    drawing.append(line);
    box.append(drawing);
    /** @type {Spot[]} */
    let corners = [];
    const spot = (/** @type {PointerEvent} */ event) => {
      const at = box.getBoundingClientRect();
      return { x: event.clientX - at.left, y: event.clientY - at.top };
    };
    const swallow = (/** @type {Event} */ event) => event.stopPropagation();
    const down = (/** @type {PointerEvent} */ event) => {
      event.preventDefault();
      event.stopPropagation();
      drawing.setPointerCapture(event.pointerId);
      corners = [spot(event)];
    };
    const move = (/** @type {PointerEvent} */ event) => {
      const before = corners[corners.length - 1];
      if (!before) return;
      const now = spot(event);
      if (Math.hypot(now.x - before.x, now.y - before.y) < LEAST_STEP) return;
      corners.push(now);
      line.setAttribute("points", corners.map(({ x, y }) => `${x},${y}`).join(" "));
    };
    const up = () => {
      const shape = thinned(corners).map(({ x, y }) => on.containerPointToLatLng([x, y]));
      stop();
      if (shape.length > 2) {
        void choose({ polygon: shape.map(({ lat, lng }) => `${lat.toFixed(6)},${lng.toFixed(6)}`).join(";") });
      }
    };
    const stop = () => {
      drawing.remove();
      stopLasso = undefined;
      button?.setAttribute("aria-pressed", "false");
      say("");
    };
    drawing.addEventListener("pointerdown", down);
    drawing.addEventListener("pointermove", move);
    drawing.addEventListener("pointerup", up);
    drawing.addEventListener("pointercancel", stop);
    for (const kind of ["mousedown", "touchstart", "click", "dblclick"]) drawing.addEventListener(kind, swallow);
    stopLasso = stop;
    button?.setAttribute("aria-pressed", "true");
    say(byId("choose")?.dataset["draw"] ?? "");
  }

  /**
   * Opens the panel of an act, or presses its button where it asks for nothing.
   * @param {string} name
   */
  function act(name) {
    const panel = byId(`bulk-${name}`);
    if (panel instanceof HTMLButtonElement) return panel.click();
    if (!(panel instanceof HTMLDetailsElement)) return;
    const opens = !panel.open;
    close();
    panel.open = opens;
    if (!opens) return;
    const first = panel.querySelector(".bulk__panel :is(button, input, textarea)");
    if (first instanceof HTMLElement) first.focus();
  }

  /**
   * Closes the open panel.
   * @param {boolean} [goesOn] whether the keyboard goes on from what opened it
   * @returns {boolean} whether one was open
   */
  function close(goesOn = true) {
    const open = /** @type {HTMLDetailsElement | null} */ (document.querySelector("#bulk details[open]"));
    if (!open) return false;
    open.open = false;
    if (goesOn && !byId("bulk")?.hidden) open.querySelector("summary")?.focus();
    return true;
  }

  /** The numbers of the rows that an answer must bring up to date. */
  const shown = () => [...document.querySelectorAll("#rows tr")].map((row) => /** @type {any} */ (row).dataset.number);

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const box = target instanceof HTMLInputElement && target.name === "case" ? target : null;
    if (box && event.shiftKey) {
      event.preventDefault();
      // After this the browser puts the box back as it was before the click.
      queueMicrotask(() => toggle(box.value, true));
      setTimeout(show);
    }
    const way = target?.closest("[data-choose]");
    if (way instanceof HTMLElement) ways[way.dataset["choose"] ?? ""]?.();
    if (target?.closest("[data-no]")) {
      event.preventDefault();
      byId("told")?.replaceChildren();
    }
    const summary = target?.closest("#bulk summary");
    for (const open of document.querySelectorAll("#bulk details[open]")) {
      if (summary && open !== summary.parentElement) /** @type {HTMLDetailsElement} */ (open).open = false;
    }
  });
  document.addEventListener("change", (event) => {
    const box = event.target instanceof HTMLInputElement ? event.target : null;
    if (box?.id === "all") {
      put([...boxes()].filter((each) => !each.disabled).map((each) => each.value), box.checked);
    } else if (box?.name === "case") {
      last = box.value;
      put([box.value], box.checked);
    } else if (!box) show(); // the list was read anew
  });
  byId("bulk-clear")?.addEventListener("click", clear);
  byId("bulk")?.addEventListener("keydown", (event) => {
    const field = /** @type {HTMLElement} */ (event.target);
    if (event.key !== "Enter" || field.tagName !== "INPUT") return;
    event.preventDefault();
    const acts = [...(field.closest(".bulk__panel")?.querySelectorAll("button") ?? [])];
    acts.find((act) => field.compareDocumentPosition(act) & Node.DOCUMENT_POSITION_FOLLOWING)?.click(); // its own
  });
  document.body.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters } = /** @type {CustomEvent} */ (event).detail;
    if (elt.closest("#bulk, #told")) parameters["shown"] = shown().join(" ");
    if (elt.closest("#bulk")) sent = [...chosen];
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    const { elt, requestConfig } = /** @type {CustomEvent} */ (event).detail;
    if (requestConfig?.verb === "post" && elt.id === "told") {
      const asks = byId("ask-batch") !== null;
      const isDone = !asks && !document.querySelector("#told .told__no:first-child");
      const at = document.activeElement;
      const isHere = at === document.body || byId("bulk")?.contains(at) === true;
      if (asks || isDone) close(isHere);
      if (isDone) {
        letGo(sent);
        sent = [];
        document.dispatchEvent(new Event("board:acted"));
      }
      // Whoever writes elsewhere keeps the keyboard: the next space would press "Yes".
      const next = asks ? "#told button.button--act" : "#rows [aria-current] a";
      const goesOn = asks ? isHere || !isTyping(at) : isDone && isHere && byId("bulk")?.hidden;
      if (goesOn) /** @type {HTMLElement | null} */ (document.querySelector(next))?.focus({ preventScroll: true });
      document.dispatchEvent(new CustomEvent("board:changed", { detail: { numbers: [], many: true } }));
    }
    show();
  });

  /** @type {Record<string, () => void>} */
  const ways = { lasso, view: inView, near, beside };
  show();
  return {
    act,
    clear,
    close,
    cancel: () => {
      const drew = stopLasso !== undefined;
      stopLasso?.();
      return drew;
    },
    count: () => chosen.size,
    drop: (numbers) => {
      const were = numbers.filter((number) => chosen.delete(number));
      if (were.length) show();
      return were;
    },
    on: (found) => {
      map = found;
    },
    show,
    toggle,
    undo: () => /** @type {HTMLElement | null} */ (document.querySelector("#undo-batch button"))?.click(),
    ways,
  };
}

/**
 * What was selected in this list before the page was loaded anew.
 * @param {string} list
 * @returns {{ numbers: string[], since: string }} `since` is the revision as of which they were seen
 */
function recalled(list) {
  try {
    const { list: of, numbers = [], since = "" } = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    if (of === list) return { numbers, since };
  } catch {
    // Storage is blocked: the selection holds until the page is left.
  }
  return { numbers: [], since: "" };
}

/**
 * @param {string} list
 * @param {string[]} numbers
 * @param {string} since
 */
function remember(list, numbers, since) {
  try {
    if (numbers.length) sessionStorage.setItem(KEPT, JSON.stringify({ list, numbers, since }));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // See recalled().
  }
}

/**
 * @typedef {object} Selection
 * @property {(name: string) => void} act opens an act's panel
 * @property {() => void} clear
 * @property {() => boolean} close the open panel
 * @property {() => boolean} cancel the shape that is being drawn
 * @property {() => number} count
 * @property {(numbers: string[]) => string[]} drop takes out what belongs to the view no more; which of them were in
 * @property {(map: import("leaflet").Map) => void} on the map is there
 * @property {() => void} show
 * @property {(number: string, range?: boolean) => void} toggle
 * @property {() => void} undo
 * @property {Record<string, () => void>} ways
 */
