// What became of reports that this phone keeps: the receipt of one, and the list at home.

import { drain, photoOf, reports } from "./pending_reports.js";
import { asked, claim, drawn, rowOf } from "./own_rows.js";
import { clone, element, fill, locale, part, when } from "../lib/dom.js";

/** @typedef {import("../sync/engine.js").Entry} Entry */

const SHOWN = 3;

/** Photos on this phone by their report's id: drawn anew, a row has the same address. @type {Map<string, string>} */
const pictures = new Map();

/** The number that this phone gives by itself, before the city has given one. @param {string} id of the operation */
export function numberOf(id) {
  return `${id.slice(0, 4)}-${id.slice(4, 8)}`.toUpperCase();
}

/**
 * Shows a report's receipt in place of the form, and keeps it up to date. Without signal it says that it waits; one
 * that this phone has forgotten is asked of the city. False where the id is none.
 * @param {string} id
 */
export async function show(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return false;
  if (!(await found(id))) {
    location.replace(`/sync/v1/receipts/${id}`);
    return true;
  }
  const screen = clone("kept-report");
  const form = part(document, "report-form");
  const title = document.querySelector("h1.title");
  title?.replaceWith(Object.assign(element("p", title.textContent ?? ""), { className: "title" })); // the receipt has its own
  form.replaceChildren(screen);
  fill(form, "receipt", numberOf(id));
  const sending = drain(() => void refresh(form, id));
  part(form, "[data-now]").addEventListener("click", () => void sending.now());
  await refresh(form, id);
  scrollTo(0, 0);
  part(form, "h1").focus();
  return true;
}

/** @param {HTMLElement} root @param {string} id */
async function refresh(root, id) {
  const { entries, photosLeft, problem } = await reports();
  const entry = entries.find(({ op }) => op.id === id);
  if (!entry) return;
  const state = stateOf(entry);
  when(root, {
    waiting: state === "waiting",
    sent: state === "sent",
    review: state === "review",
    photos: state !== "waiting" && photosLeft.has(id),
    urgent: entry.op.data["danger"] === true && state === "waiting",
    week: state === "waiting" && inTab(),
    portal: state === "waiting" && problem === "portal",
    busy: state === "waiting" && (problem === "busy" || problem === "server"),
  });
  fill(root, "city", entry.result?.to ?? "");
  const own = /** @type {HTMLAnchorElement} */ (part(root, "[data-sent]"));
  own.href = linkOf(entry);
  part(root, ".rows").replaceChildren((await sentRow(root, entry)) ?? (await row(entry, true)));
  const age = part(root, "[data-age]");
  age.textContent = (age.dataset["age"] ?? "").replace("#", ago(Date.parse(entry.op.device_time)));
}

/** The row that the city's list has of a report that went, with the promised day; null before. @param {HTMLElement} root @param {Entry} entry */
async function sentRow(root, entry) {
  if (stateOf(entry) !== "sent" || !entry.result?.to) return null;
  await claim(linkOf(entry));
  const list = await asked(part(root, ".rows").dataset["mine"] ?? "");
  return list && rowOf(list, entry.result.to);
}

/** The newest of this phone's reports, in the list at home. @param {HTMLElement} root */
export async function list(root) {
  const draw = async () => {
    const { entries } = await reports();
    const rows = await Promise.all(entries.slice(0, SHOWN).map((entry) => row(entry)));
    root.hidden = entries.length === 0;
    part(root, "h2").textContent = waitingIn(root, entries) || (root.dataset["none"] ?? "");
    part(root, "ul").replaceChildren(...rows);
  };
  drain(() => void draw());
  await draw();
}

/**
 * One list of what waits on this phone above what the city has. What went meanwhile is asked of the city: then its
 * row says the promised day.
 * @param {HTMLElement} own the city's list
 * @param {HTMLElement} told where it is said how many wait
 * @param {() => Promise<boolean>} renew asks the city for the list; false without signal
 */
export async function among(own, told, renew) {
  /** @type {Set<string>} */
  const claimed = new Set();
  const draw = async () => {
    const { entries } = await reports();
    const rows = [];
    for (const entry of entries) {
      const { op, result } = entry;
      if (result?.to && !rowOf(own, result.to) && !claimed.has(op.id)) {
        claimed.add(op.id);
        await claim(linkOf(entry));
        if (!(await renew())) claimed.delete(op.id);
      }
      if (!result?.to || !rowOf(own, result.to)) rows.push(await row(entry));
    }
    for (const old of own.querySelectorAll("[data-op]")) old.remove();
    own.prepend(...rows);
    told.textContent = waitingIn(told, entries);
    told.hidden = !told.textContent;
  };
  let drawing = draw();
  const again = () => (drawing = drawing.then(draw));
  drain(() => void again());
  await drawing;
}

/** How many wait, in words; "" where none does. @param {HTMLElement} root @param {Entry[]} entries */
function waitingIn(root, entries) {
  const waiting = entries.filter((entry) => stateOf(entry) === "waiting").length;
  const { one = "", some = "" } = root.dataset;
  if (!waiting) return "";
  return waiting === 1 ? one : some.replace("#", String(waiting));
}

/** @param {Entry} entry @param {boolean} [alone] where it leads nowhere: its own page is this one */
async function row({ op, result, at, label }, alone) {
  const state = stateOf({ result, at });
  const number = result?.to ?? numberOf(op.id);
  const { title } = label;
  const what = title[document.documentElement.lang] ?? Object.values(title)[0];
  const where = [what && number, String(op.data["address"] ?? ""), ago(Date.parse(op.device_time))];
  const form = part(document, "template#own-row").dataset["form"];
  const item = drawn({
    href: alone ? "" : `${form}#${op.id}`,
    what: what ?? number,
    where: where.filter(Boolean).join(" · "),
    words: String(op.data["words"] ?? ""),
    thumb: await pictureOf(op.id),
    icon: "",
    standing: "",
    promise: "",
    state,
  });
  when(item, { urgent: state === "waiting" && op.data["danger"] === true });
  item.dataset["op"] = op.id;
  return item;
}

/** @param {string} id of a report */
async function pictureOf(id) {
  const known = pictures.get(id);
  if (known !== undefined) return known;
  const photo = await photoOf(id);
  const address = photo ? URL.createObjectURL(photo) : "";
  pictures.set(id, address);
  return address;
}

/** What makes this browser the holder of a report that was sent. @param {Entry} entry */
function linkOf({ op, result }) {
  return /** @type {any} */ (result)?.link ?? `/sync/v1/receipts/${op.id}`;
}

/** @param {Pick<Entry, "result" | "at">} entry */
function stateOf({ result, at }) {
  if (at === undefined || !result) return "waiting";
  return result.to ? "sent" : "review";
}

/** @param {string} id */
async function found(id) {
  return (await reports()).entries.some(({ op }) => op.id === id);
}

/** An iPhone's browser clears what a tab keeps after a week without a visit; an installed app's it does not. */
function inTab() {
  return /** @type {any} */ (navigator)["standalone"] === false;
}

/** "25 minutes ago". @param {number} at ms */
function ago(at) {
  const words = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  const minutes = Math.round((at - Date.now()) / 60_000);
  if (minutes > -60) return words.format(minutes, "minute");
  return minutes > -1440 ? words.format(Math.round(minutes / 60), "hour") : words.format(Math.round(minutes / 1440), "day");
}
