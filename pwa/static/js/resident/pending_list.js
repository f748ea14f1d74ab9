// What became of reports that this phone keeps: the receipt of one, and the list at home.

import { drain, reports } from "./pending_reports.js";
import { clone, element, fill, locale, part, when } from "../lib/dom.js";

/** @typedef {import("../sync/engine.js").Entry} Entry */

const SHOWN = 3;

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
  own.href = /** @type {any} */ (entry.result)?.link ?? `/sync/v1/receipts/${id}`;
  const age = part(root, "[data-age]");
  age.textContent = (age.dataset["age"] ?? "").replace("#", ago(Date.parse(entry.op.device_time)));
}

/** The newest of this phone's reports, in the list at home. @param {HTMLElement} root */
export async function list(root) {
  const draw = async () => {
    const { entries } = await reports();
    const waiting = entries.filter((entry) => stateOf(entry) === "waiting").length;
    root.hidden = entries.length === 0;
    const { none = "", one = "", some = "" } = root.dataset;
    part(root, "h2").textContent = waiting === 0 ? none : waiting === 1 ? one : some.replace("#", String(waiting));
    const rows = entries.slice(0, SHOWN).map((entry) => row(root, entry));
    part(root, "ul").replaceChildren(...rows);
  };
  drain(() => void draw());
  await draw();
}

/** @param {HTMLElement} root @param {Entry} entry */
function row(root, entry) {
  const made = /** @type {HTMLTemplateElement} */ (part(root, "template")).content.cloneNode(true);
  const item = /** @type {DocumentFragment} */ (made);
  const state = stateOf(entry);
  const link = /** @type {HTMLAnchorElement} */ (part(item, "a"));
  link.href = `${link.getAttribute("href")}#${entry.op.id}`;
  when(item, { waiting: state === "waiting", sent: state === "sent", review: state === "review" });
  when(item, { urgent: state === "waiting" && entry.op.data["danger"] === true });
  fill(item, "number", entry.result?.to ?? numberOf(entry.op.id));
  fill(item, "age", ago(Date.parse(entry.op.device_time)));
  return item;
}

/** @param {Entry} entry */
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
