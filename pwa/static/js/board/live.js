/**
 * Keeps an open board true: asks what has changed, brings rows up to date where they stand, and says what is new.
 *
 * No row moves until somebody asks for the list as it is now: new ones are counted, and those that have left the
 * view stay where they are, greyed, with the reason. Other modules hear "board:changed" on the document, with
 * `{ numbers, many }` of the cases that changed.
 */

import { drawn, leave, renew, still } from "./live_rows.js";
import { drop, show as showSelection } from "./selection.js";
import { locale } from "../lib/dom.js";

const EVERY = 4_500; // ms while the page is looked at: what is new is to be told within six seconds
const HIDDEN = 60_000;
const SOON = 300; // after a case was opened; while a key is held down, one question is enough
const JITTER = 0.1; // boards that were opened together must not ask together
const READ = 12_000; // so long it says what left the selection, and what of an act came to nothing
const PATIENCE = 15_000; // for one answer; also how old the list may be before that is said

/**
 * @typedef {{ rev?: string, at?: string, reset?: boolean, many?: boolean, rows?: string, fresh?: string[],
 *   gone?: Record<string, string>, else?: string[], n?: number }} News `else` and `n` are of the case that is open
 */

/** @type {HTMLElement | null} where news is said */
let place = null;
/** @type {Record<string, string>} */
let words = {};
let since = "";
let timer = 0;
let failed = 0;
let heardAt = 0;
let heardClock = "";
let asking = false;
/** Whether the next question is due although this one is not answered yet. */
let hurried = false;
let over = false;
let many = false;
/** @type {Set<string>} what came into the view and has no row */
const fresh = new Set();
/** Grows with every list: what was asked of the one before is no news of this one. */
let era = 0;
/** Whether many cases were changed here since the last question. */
let acted = false;
/** The case that the last question named as open. */
let open = "";
/** @type {string[]} what is said for a while: what left the selection without being asked, what failed */
let passing = [];

/** A number as the page's language writes it. @param {number} n */
const figure = (n) => n.toLocaleString(locale());
/** @param {string} id */
const byId = (id) => document.getElementById(id);

/** An address that the page names. @param {"changes" | "list" | "views"} name */
const url = (name) => place?.dataset[name] ?? "";

/**
 * Begins to follow the log from where the page was read.
 * @returns {{ show: () => void }} reads the list anew, by a key
 */
export function follow() {
  place = byId("live");
  if (!place) return { show: () => {} };
  words = JSON.parse(place.dataset["words"] ?? "{}");
  since = place.dataset["since"] ?? "";
  heardAt = Date.now();
  heardClock = place.dataset["at"] ?? "";
  // A key or a button that came to nothing must not look as if it had worked.
  for (const [fault, word] of [["htmx:sendError", "lost"], ["htmx:timeout", "lost"], ["htmx:responseError", "failed"]]) {
    document.body.addEventListener(fault ?? "", () => mention(words[word ?? ""] ?? ""));
  }

  document.addEventListener("board:lost", (event) => {
    mention((words["undone"] ?? "").replace("#", /** @type {CustomEvent} */ (event).detail));
  });
  document.addEventListener("board:said", (event) => mention(/** @type {CustomEvent} */ (event).detail));
  document.addEventListener("board:refused", () => mention(words["refused"] ?? ""));
  document.body.addEventListener("htmx:oobAfterSwap", total);
  document.addEventListener("board:opened", () => next(SOON));
  document.addEventListener("board:acted", () => {
    acted = true;
    next(0);
  });
  document.addEventListener("visibilitychange", () => next(document.hidden ? undefined : SOON));
  next();
  return { show: () => place?.querySelector("a")?.click() };
}

/** @param {number} [soon] ms from now instead of the usual */
function next(soon) {
  clearTimeout(timer);
  if (over) return;
  const usual = document.hidden ? HIDDEN : Math.min(EVERY * 2 ** failed, HIDDEN);
  timer = setTimeout(ask, soon ?? usual * (1 - JITTER + 2 * JITTER * Math.random()));
}

async function ask() {
  if (asking) {
    hurried = true;
    return;
  }
  asking = true;
  const own = acted;
  const of = era;
  acted = false;
  const stop = new AbortController();
  const patience = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const question = new URL(url("changes"), location.href);
    question.searchParams.set("since", since);
    open = document.hidden ? "" : (byId("drawer")?.dataset["number"] ?? "");
    if (open) question.searchParams.set("open", open);
    const answer = await fetch(question, { redirect: "manual", signal: stop.signal, cache: "no-store" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return end("out");
    if (!answer.ok) throw new Error(String(answer.status));
    const news = /** @type {News} */ (await answer.json());
    if (of === era) heard(news, own);
    else {
      acted ||= own;
      hurried = true;
    }
  } catch {
    acted ||= own; // what was done here is still to be shown
    failed += 1;
    say();
    setTimeout(say, Math.max(0, heardAt + PATIENCE + 1 - Date.now())); // the next question may be long after that
  } finally {
    clearTimeout(patience);
    asking = false;
    next(hurried && !failed ? SOON : undefined);
    hurried = false;
  }
}

/** @param {News} news @param {boolean} own whether it was asked because somebody acted here */
function heard(news, own) {
  failed = 0;
  heardAt = Date.now();
  heardClock = news.at ?? heardClock;
  if (news.reset || !news.rev) return end("reset");
  const asOf = byId("as-of");
  if (asOf && news.at) asOf.textContent = (words["as_of"] ?? "").replace("#", news.at);
  company(open, news, own);
  if (news.rev === since) return say();
  since = news.rev;
  many ||= news.many === true;
  const rows = drawn(news.rows ?? "");
  still(() => {
    for (const [number, row] of rows) renew(number, row);
    for (const [number, why] of Object.entries(news.gone ?? {})) leave(number, why);
  });
  if (!many) place?.setAttribute("data-since", since); // as of which the rows stand
  unselect(news.gone ?? {});
  showSelection();
  for (const number of news.fresh ?? []) if (!byId(`case-${number}`)) fresh.add(number);
  for (const number of Object.keys(news.gone ?? {})) fresh.delete(number);
  say();
  const numbers = [...new Set([...rows.keys(), ...(news.fresh ?? []), ...Object.keys(news.gone ?? {})])];
  if (!numbers.length && !news.many) return;
  void count();
  document.dispatchEvent(new CustomEvent("board:changed", { detail: { numbers, many: news.many === true } }));
}

/** @param {"reset" | "out"} why */
function end(why) {
  over = true;
  place?.replaceChildren(link(words[why] ?? "", location.href));
}

/** Says in one line what there is to see, and since when nothing was heard. */
function say() {
  if (!place || over) return;
  const parts = [];
  const greyed = document.querySelector("#rows [data-gone]");
  if (many || fresh.size || greyed) {
    const one = many ? "many" : fresh.size === 1 ? "one" : fresh.size ? "some" : "gone";
    const show = link((words[one] ?? "").replace("#", String(fresh.size)), url("list"));
    show.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      void again();
    });
    parts.push(show);
  }
  if (failed && Date.now() - heardAt > PATIENCE && heardClock) parts.push(said(words["late"], heardClock));
  parts.push(...passing.map((line) => said(line)));
  const now = parts.map((part) => part.textContent).join("");
  if (place.textContent === now) return; // what is read aloud is read once
  place.replaceChildren(...parts);
}

/** Reads the list as it is now, and puts it where it stands; what was selected stays so. */
async function again() {
  const answer = await fetch(url("list"), { cache: "no-store" }).catch(() => null);
  const html = await answer?.text().catch(() => "");
  if (!answer?.ok || !html) return mention(words["lost"] ?? "");
  const page = new DOMParser().parseFromString(html, "text/html");
  const parts = [...document.querySelectorAll("[data-again]")];
  const live = page.getElementById("live");
  if (!live || !page.getElementById("rows") || !parts.every((part) => page.getElementById(part.id))) {
    return location.assign(url("list"));
  }
  const current = document.querySelector("#rows [aria-current]")?.id;
  const wasThere = document.activeElement?.closest("#rows, #live, #more") != null;
  for (const part of parts) part.replaceChildren(...(page.getElementById(part.id)?.childNodes ?? []));
  for (const part of parts) /** @type {any} */ (window).htmx?.process(part);
  document.querySelector(".scroll")?.scrollTo(0, 0); // it is another list, to be read from its beginning
  if (current) byId(current)?.setAttribute("aria-current", "true");
  since = live.dataset["since"] ?? since;
  era += 1;
  fresh.clear();
  many = false;
  passing = [];
  place?.setAttribute("data-since", since);
  say();
  showSelection();
  const row = current ? byId(current) : null;
  if (wasThere) (row?.querySelector("a") ?? byId("queue-title"))?.focus({ preventScroll: true });
}

/** How many cases the saved views hold now. */
async function count() {
  const answer = await fetch(url("views"), { cache: "no-store" }).catch(() => null);
  const nav = byId("views");
  if (!answer?.ok || !nav) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const counts = new Map([...page.querySelectorAll("#views a")].map((view) => [address(view), view]));
  for (const view of nav.querySelectorAll("a")) {
    const now = counts.get(address(view))?.querySelector("data");
    if (now) view.querySelector("data")?.replaceWith(now);
  }
  const nobody = page.getElementById("nobody-on-duty");
  if (nobody) byId("nobody-on-duty")?.replaceChildren(...nobody.childNodes);
  nav.dataset["total"] = page.getElementById("views")?.dataset["total"] ?? "";
  total();
}

/** Says beside the list and in the bar of selected cases how many the view holds, as its name does. */
function total() {
  const n = Number(byId("views")?.dataset["total"] || NaN);
  const whole = /** @type {HTMLInputElement | null} */ (byId("bulk-all"));
  for (const line of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-total]:not(#views)"))) {
    const last = Math.min(n, Number(line.dataset["last"] ?? n));
    if (!(n > 0 && last >= Number(line.dataset["first"] ?? 0))) continue; // too many to be counted, or none is left
    if (line.parentElement?.contains(whole) && whole?.checked) continue; // those that were seen are meant
    line.textContent = (line.dataset["total"] ?? "").replace("$", figure(last)).replace("#", figure(n));
    if (whole && line.parentElement?.contains(whole)) whole.value = String(n);
  }
}

/**
 * Takes what has left the view out of the selection, rows that are not shown included, and says so for a while.
 * @param {Record<string, string>} gone why, by number
 */
function unselect(gone) {
  const were = drop(Object.keys(gone));
  if (!were.length) return;
  const [first = ""] = were;
  const line =
    were.length > 1
      ? (words["left_many"] ?? "").replace("#", String(were.length))
      : (words["left"] ?? "").replace("#", first).replace("$", gone[first] ?? "");
  mention(line);
}

/**
 * Says a line for a while.
 * @param {string} line
 */
function mention(line) {
  if (passing.includes(line)) return;
  passing.push(line);
  say();
  setTimeout(() => {
    passing = passing.filter((each) => each !== line);
    say();
  }, READ);
}

/**
 * Says in the drawer who else is at its case, and when the case has changed behind it; shows it anew where that was
 * done here and nothing is being written.
 * @param {string} number which the answer is about
 * @param {News} news
 * @param {boolean} own
 */
function company(number, news, own) {
  const drawer = byId("drawer");
  const place = byId("looking");
  if (!drawer || !place || drawer.dataset["number"] !== number) return;
  const names = news.else ?? [];
  const words = (names.length > 1 ? place.dataset["many"] : place.dataset["one"]) ?? "";
  const parts = names.length ? [said(words, names.join(", "))] : [];
  if (news.n !== undefined) place.dataset["n"] = String(news.n);
  if (Number(place.dataset["n"] ?? 0) > Number(drawer.dataset["seen"])) {
    const anew = link(place.dataset["changed"] ?? "", drawer.dataset["url"] ?? "");
    anew.setAttribute("hx-get", anew.href);
    parts.push(anew);
  }
  if (place.textContent !== parts.map((part) => part.textContent).join("")) {
    place.replaceChildren(...parts);
    /** @type {any} */ (window).htmx?.process(place);
  }
  const again = place.querySelector("a");
  if (!own || !again || drawer.querySelector(".doing:not([hidden])")) return;
  again.dataset["unasked"] = "";
  again.click();
  delete again.dataset["unasked"];
}

/** @param {Element} view */
const address = (view) => view.getAttribute("href");

/** @param {string} words @param {string} url */
function link(words, url) {
  const made = document.createElement("a");
  made.href = url;
  made.textContent = words;
  return made;
}

/** @param {string | undefined} words @param {string} [value] */
function said(words, value = "") {
  const made = document.createElement("span");
  made.textContent = (words ?? "").replace("#", value);
  return made;
}
