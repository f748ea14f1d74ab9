/**
 * The call desk: the list under the box, its keys, the timer, and the draft that outlives a lost connection.
 * The form works without this file; htmx sends it and renews what follows from its fields.
 */

import { fieldsIn, keep, letGo, putBack, takeOver, takeUp } from "./draft.js";
import { changeByKey, startChange } from "./change.js";
import { suggestions } from "../lib/address_autocomplete.js";

const htmx = /** @type {any} */ (window).htmx;
const PAUSE_MS = 120;
const SECOND_MS = 1000;
const LETTERS_MS = 800; // letters that come sooner after one another are of one name
// Parts with fields that the caller's words decide: what was asked of the problem, which of several places, to whom.
const CHOSEN_IN = ["about", "spot", "to"];
const CHOSEN = "chosen"; // the call-taker said which language is spoken

/** When the first key of this call was pressed, by the page's own clock; 0 before. */
let began = 0;
/** How many seconds of it were counted before: in a draft, or until what was sent came back to be mended. */
let before = 0;
/**
 * A draft whose questions are not drawn yet: they are asked for, and filled in as they come.
 * @type {[string, string][] | null}
 */
let returning = null;
/** What is brought anew had the focus in this field. */
let held = "";
/** What is chosen there as a part is brought anew: it may have been chosen since that was asked for. @type {[string, string][]} */
let chosen = [];
/** @type {ReturnType<typeof setTimeout> | undefined} */ let pause;
/** @type {AbortController | null} */ let asking = null;
/** What was typed when the list was asked for that stands there. */
let listed = "";
/** What was typed of an office's name, and when. */
let letters = "";
let lettersAt = 0;
/** Arrows chose the marked line: a list that comes late leaves it marked. */
let arrowed = false;
/** What follows from the fields, on its way. @type {Set<XMLHttpRequest>} */
const renewing = new Set();
/** Enter came before the list did: what to do with its first line. @type {((line: HTMLElement) => void) | null} */
let waiting = null;

const form = () => /** @type {HTMLFormElement} */ (document.getElementById("call"));
/** @param {string} name */
const field = (name) => /** @type {HTMLInputElement} */ (form().querySelector(`[name="${name}"]`));
const box = () => /** @type {HTMLInputElement} */ (document.getElementById("sought"));
const list = () => /** @type {HTMLElement} */ (document.getElementById("found"));
const lines = () => /** @type {HTMLElement[]} */ ([...list().querySelectorAll('[role="option"]')]);
const joins = () => /** @type {NodeListOf<HTMLInputElement>} */ (form().querySelectorAll('[name="join"]'));
const offices = () => /** @type {HTMLInputElement[]} */ ([...form().querySelectorAll('[name="to"]')]);
const marked = () => lines().find((line) => line.getAttribute("aria-selected") === "true");

/** htmx takes a page up once it is whole; what is asked of it before that is lost. @type {Promise<unknown>} */
const whole = new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));

/** Everything that follows from the fields is asked for anew. */
const renew = () => htmx.trigger(document.body, "parts");

/** Another place is meant: which of several the last one was says nothing of it. */
const forgetPick = () => form().querySelector('[type="hidden"][name="pick"]')?.remove();

/** A form that has just come: the next call's, or the same with what must be mended. */
function begin() {
  began = 0;
  before = Number(field("seconds").value) || 0;
  suggestions(form(), form().dataset["several"] ?? "", () => {
    forgetPick();
    renew();
  });
  if (field("service").value || field("answer").value) close(); // what is chosen need not be looked for
  if (form().querySelector("#errors")) {
    takeOver(form());
    called();
  } else void takeUpDraft();
  showTimer();
}

/** What was typed before the page was closed, or the server went away, stands there again. */
async function takeUpDraft() {
  returning = await takeUp(form());
  if (!returning) return;
  before = Number(field("seconds").value) || 0; // not the time that the page was closed
  tell("back");
  await whole;
  renew();
}

/** Somebody is on the line: from the first key on the call is timed. */
function called() {
  began ||= performance.now();
  count();
}

/** How long the call takes so far, in seconds; the form tells it. */
function count() {
  const seconds = before + (began ? (performance.now() - began) / SECOND_MS : 0);
  if (began || before) field("seconds").value = seconds.toFixed(1);
  return Math.floor(seconds);
}

function showTimer() {
  const line = document.getElementById("oncall");
  const clock = document.getElementById("timer");
  if (!line || !clock) return;
  const seconds = count();
  line.hidden = !began && !before;
  clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** What a line leads to, in whichever list. @param {HTMLElement | undefined} line */
function whatIs(line) {
  const { service = "", answer = "", office = "", case: number = "" } = line?.dataset ?? {};
  return [service, answer, office, number].join(" ");
}

/** @param {HTMLElement | undefined} line */
function mark(line) {
  for (const each of lines()) each.setAttribute("aria-selected", String(each === line));
  if (line) box().setAttribute("aria-activedescendant", line.id);
  else box().removeAttribute("aria-activedescendant");
  line?.scrollIntoView({ block: "nearest" });
}

function close() {
  clearTimeout(pause);
  pause = undefined;
  waiting = null;
  asking?.abort();
  asking = null;
  list().hidden = true;
  box().setAttribute("aria-expanded", "false");
  box().removeAttribute("aria-activedescendant");
}

async function look() {
  clearTimeout(pause);
  pause = undefined;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const typed = box().value.trim();
  if (!typed) return close();
  const lang = new FormData(form()).get("lang");
  try {
    const answer = await fetch(`${form().dataset["found"]}?${new URLSearchParams({ q: typed, lang: String(lang) })}`, { signal });
    if (!answer.ok) return;
    const html = await answer.text();
    if (signal.aborted) return;
    const place = document.getElementById("found-box");
    if (!place) return;
    const meant = arrowed ? whatIs(marked()) : "";
    listed = typed;
    place.innerHTML = html; // our own server's lines; the page's policy lets no script in them run
    box().setAttribute("aria-expanded", String(lines().length > 0));
    const first = list().dataset["sure"] === undefined ? undefined : lines()[0]; // none is better than a wrong one
    const line = lines().find((each) => whatIs(each) === meant) ?? first;
    mark(line);
    if (line && waiting) waiting(line);
  } catch {
    // No answer, or another letter: what was typed still stands there, and Save says more.
  } finally {
    if (!signal.aborted) [asking, waiting] = [null, null];
  }
}

/** Takes a line: the call is about that, or goes there. @param {HTMLElement} line */
function choose(line) {
  const { service = "", answer, topic, name, office, place, case: number } = line.dataset;
  field("service").value = service;
  field("answer").value = answer ?? field("answer").value;
  const about = /** @type {HTMLSelectElement} */ (form().querySelector("#topic"));
  if (topic) about.value = topic;
  if (number) join(number, place ?? "");
  end(service ? "case" : office ? "transferred" : "answered");
  box().value = name ?? box().value;
  close();
  if (office) sendTo(office);
  renew();
  if (!office) afterwards(line);
  keep(form());
}

/** Where the call goes on. @param {HTMLElement} line */
function afterwards({ dataset }) {
  const isPlaced = dataset["case"] && dataset["place"];
  // An office asks for no place, and a case has one.
  const next = !dataset["service"] ? "#sought" : "officeWork" in dataset || isPlaced ? "#note" : "#place";
  /** @type {HTMLElement} */ (form().querySelector(next)).focus();
}

/** The caller has the problem of a case that stands open. @param {string} number @param {string} place */
function join(number, place) {
  if (place) field("place").value = place;
  forgetPick();
  const same = Object.assign(document.createElement("input"), { type: "checkbox", name: "join", value: number, checked: true, hidden: true });
  document.getElementById("near")?.replaceChildren(same);
}

/** @param {string} office */
function sendTo(office) {
  const way = offices().find((each) => each.value === office);
  if (!way) return;
  way.closest("details")?.setAttribute("open", "");
  way.checked = true;
  way.focus();
}

/** The call goes to the office whose number or first letters are typed. @param {KeyboardEvent} event */
function inOffices(event) {
  if (event.key.length !== 1 || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = offices();
  const isNumber = /^[1-9]$/.test(event.key);
  letters = isNumber || event.timeStamp - lettersAt > LETTERS_MS ? "" : letters;
  lettersAt = event.timeStamp;
  if (!isNumber) letters += event.key.toLocaleLowerCase();
  const way = isNumber ? all[Number(event.key) - 1] : all.find((each) => nameOfOffice(each).startsWith(letters));
  if (!way || (event.key === " " && letters === " ")) return;
  event.preventDefault();
  way.closest("details")?.setAttribute("open", "");
  way.focus();
  if (!way.checked) way.click();
}

/** @param {HTMLInputElement} office */
const nameOfOffice = (office) => (office.labels?.[0]?.querySelector("b")?.textContent ?? "").toLocaleLowerCase();

/** Shows a line's script and takes nothing. @param {HTMLElement} line */
function read(line) {
  const { service = "", answer = "", office = "" } = line.dataset;
  const ends = service ? "case" : office ? "transferred" : "answered";
  const values = { ...Object.fromEntries(new FormData(form())), service, answer, to: office, ends };
  htmx.ajax("POST", form().dataset["script"], { target: "#say", swap: "outerHTML", values });
}

/** @param {string} how */
function end(how) {
  const way = /** @type {HTMLInputElement | null} */ (form().querySelector(`[name="ends"][value="${how}"]`));
  if (!way) return;
  way.checked = true;
  way.dispatchEvent(new Event("change", { bubbles: true }));
}

/** @param {"lost" | "shut" | "back" | ""} what */
function tell(what) {
  const notice = /** @type {HTMLElement} */ (document.getElementById("lost"));
  const words = what ? form().dataset[what] ?? "" : "";
  notice.hidden = !words;
  notice.classList.toggle("errors", what !== "back");
  /** @type {HTMLElement} */ (notice.firstElementChild).textContent = words;
}

/** Whether a key was pressed outside of fields, by itself. @param {KeyboardEvent} event */
function isPlain({ target, altKey, ctrlKey, metaKey }) {
  return !altKey && !ctrlKey && !metaKey && !(target instanceof Element && target.closest("input, textarea, select"));
}

/** What the key stands beside. @param {Event} event @param {HTMLElement | null} link */
function follow(event, link) {
  if (!link) return;
  event.preventDefault();
  link.click();
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (document.querySelector("dialog[open]") || event.isComposing) return;
  if (isPlain(event) && ["j", "k"].includes(event.key)) return follow(event, document.querySelector(`.inbox [data-go="${event.key}"]`));
  if (event.key === "?" && isPlain(event)) return help(event);
  if (!(event.target instanceof Element) || !form()) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    close();
    return form().requestSubmit(/** @type {HTMLElement} */ (document.getElementById("save")));
  }
  if (event.altKey && /^Digit[1-4]$/.test(event.code)) {
    event.preventDefault();
    const way = ["answered", "case", "transferred", "dropped"][Number(event.code.slice(5)) - 1] ?? "";
    end(way);
    if (way === "transferred") (offices().find((each) => each.checked) ?? offices()[0])?.focus();
    return undefined;
  }
  if (event.altKey && event.code === "KeyI") return follow(event, document.getElementById("switch"));
  if (event.altKey && event.code === "KeyQ") return follow(event, document.getElementById("ask"));
  if (event.altKey && event.code === "KeyD") {
    event.preventDefault();
    /** @type {HTMLElement | null} */ (form().querySelector('[name="join"]'))?.click();
    return undefined;
  }
  if (changeByKey(event)) return undefined;
  if (event.target.id === "sought") return inBox(event);
  const instead = event.key === "Enter" && event.altKey && form().querySelector("#say [data-answer]");
  if (instead instanceof HTMLElement) {
    event.preventDefault();
    return instead.click();
  }
  if (event.target.matches('[name="to"]')) inOffices(event);
  if (event.key === "Enter" && event.target instanceof HTMLInputElement) {
    event.preventDefault(); // only Save sends: a call is not over because a field is
    if (event.target.id === "phone") box().focus();
    else if (event.target.name === "pick") renew();
    else event.target.dispatchEvent(new Event("change", { bubbles: true }));
  }
  return undefined;
}

/** @param {KeyboardEvent} event */
function inBox(event) {
  const all = list().hidden ? [] : lines();
  const at = marked();
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!all.length) return;
    arrowed = true;
    const step = event.key === "ArrowDown" ? 1 : -1;
    mark(all[((at ? all.indexOf(at) : -1) + step + all.length) % all.length]);
  } else if (event.key === "Enter") {
    const act = event.altKey ? read : choose;
    const isOfThese = arrowed || listed === box().value.trim(); // or the list is of fewer letters than stand there
    if (at && !list().hidden && isOfThese) act(at);
    else if (box().value.trim()) {
      waiting = act;
      if (pause || !asking) void look();
    }
  } else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
}

/** Where a field is found again. @param {HTMLInputElement} field */
function nameOf({ name, type, value }) {
  const which = ["radio", "checkbox"].includes(type) ? `[value="${CSS.escape(value)}"]` : "";
  return `[name="${CSS.escape(name)}"]${which}:not([type="hidden"])`;
}

/** The field that had the focus has it again; or if it went, what follows the place. */
function focusAgain() {
  const field = form().querySelector(held) ?? form().querySelector("#note");
  held = "";
  /** @type {HTMLElement | null} */ (field)?.focus();
}

/** What is said aloud to others is written to whoever wrote. */
function quote() {
  const reply = /** @type {HTMLTextAreaElement} */ (document.getElementById("reply"));
  const lines = [...document.querySelectorAll("#say .say p")].map((line) => line.textContent?.trim());
  reply.value = [reply.value.trim(), ...lines].filter(Boolean).join("\n\n");
  reply.dispatchEvent(new Event("input", { bubbles: true }));
  reply.focus();
}

/** @param {Event} event */
function help(event) {
  event.preventDefault();
  /** @type {HTMLDialogElement} */ (document.getElementById("keys")).showModal();
}

document.addEventListener("keydown", pressed);
document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  if (event.target.closest("[data-help]")) return help(event);
  if (event.target.closest("[data-quote]")) return quote();
  const instead = /** @type {HTMLElement | null} */ (event.target.closest("#say [data-answer]"));
  if (instead) {
    event.preventDefault();
    return choose(instead);
  }
  const line = /** @type {HTMLElement | null} */ (event.target.closest('#found [role="option"]'));
  if (line && !event.target.closest("button")) choose(line);
});
document.addEventListener("input", (event) => {
  if (!(event.target instanceof Element) || !form()?.contains(event.target)) return;
  if (event.target.id === "place") forgetPick();
  called();
  keep(form());
  if (event.target.id !== "sought") return;
  arrowed = false;
  waiting = null;
  clearTimeout(pause);
  pause = setTimeout(() => void look(), PAUSE_MS);
});
document.addEventListener("change", (event) => {
  const { target } = event;
  if (!(target instanceof HTMLElement) || !form()?.contains(target)) return;
  if (target.matches('[name="lang"]')) form().dataset["spoken"] = CHOSEN;
  if (target.matches('[name="join"]')) {
    for (const other of joins()) if (other !== target) other.checked = false;
  }
  keep(form());
  // Arrows choose as they move: a place that they pass is not taken before Enter, or before the keys leave it.
  if (target.matches('[name="pick"]') && form().querySelector('[name="pick"]:focus-visible')) return;
  if (target.matches('#phone, #place, [name="lang"], [name="pick"], [name="ends"], [name="join"], [name="to"], #topic')) renew();
});
document.addEventListener("focusout", (event) => {
  const { target, relatedTarget } = event;
  const leaves = !(relatedTarget instanceof Element && relatedTarget.matches('[name="pick"]'));
  if (target instanceof HTMLInputElement && target.name === "pick" && target.checked && leaves) renew();
  if (!(target instanceof HTMLElement) || target.id !== "sought") return;
  if (!(relatedTarget instanceof Element && relatedTarget.closest("#found"))) setTimeout(close, PAUSE_MS);
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = /** @type {CustomEvent} */ (event).detail;
  // Kept, or handed back under the key that it has from now on.
  if (target?.id === "call" && [200, 422].includes(xhr.status)) letGo(form());
});
document.addEventListener("htmx:afterSwap", (event) => {
  const { target } = /** @type {CustomEvent} */ (event).detail;
  if (target?.id !== "call") return;
  for (const xhr of renewing) xhr.abort(); // or the last caller would be drawn into the next call
  begin();
});
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target } = /** @type {CustomEvent} */ (event).detail;
  const field = document.activeElement;
  held = field instanceof HTMLInputElement && target?.contains(field) ? nameOf(field) : "";
  if ([...CHOSEN_IN, "near"].includes(target?.id)) chosen = fieldsIn(form(), target);
});
// The caller's language, until somebody chooses another.
document.addEventListener("htmx:oobAfterSwap", (event) => {
  const { target } = /** @type {CustomEvent} */ (event).detail;
  if (CHOSEN_IN.includes(target?.id)) putBack(form(), chosen);
  if (target?.id === "near") {
    const same = chosen.map(([, value]) => value);
    for (const box of joins()) box.checked = same.includes(box.value); // or was unticked since
  }
  if (held && document.activeElement === document.body) focusAgain();
  if (returning && ["about", "spot", "near"].includes(target?.id)) putBack(form(), returning);
  if (target?.id !== "caller") return;
  const lang = /** @type {HTMLElement | null} */ (document.getElementById("caller"))?.dataset["lang"];
  const way = /** @type {HTMLInputElement | null} */ (form().querySelector(`[name="lang"][value="${lang}"]`));
  if (!way || way.checked || [lang, CHOSEN].includes(form().dataset["spoken"])) return;
  form().dataset["spoken"] = lang;
  way.checked = true;
  renew();
});
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const { xhr, elt } = /** @type {CustomEvent} */ (event).detail;
    if (elt?.id === "call") tell([400, 401, 403].includes(xhr?.status) ? "shut" : "lost");
  });
}
document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, successful } = /** @type {CustomEvent} */ (event).detail;
  if (elt?.id !== "call" && successful) returning = null;
});
document.addEventListener("htmx:beforeSend", (event) => {
  const { elt, xhr } = /** @type {CustomEvent} */ (event).detail;
  if (elt?.id === "call") return tell("");
  renewing.add(xhr);
  xhr.addEventListener("loadend", () => renewing.delete(xhr));
});
setInterval(showTimer, SECOND_MS);
startChange(renew);
begin();
