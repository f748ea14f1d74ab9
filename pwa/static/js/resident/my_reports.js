// My reports: what still waits on this phone above those that this browser has links of. Without signal, as they were
// seen last.

import { anything } from "./has_pending.js";
import { part } from "../lib/dom.js";
import { asked, drawn, lastSeen, remember } from "./own_rows.js";

const own = part(document, "#own");
const said = document.querySelector("#last-seen"); // on the page that the phone itself keeps
const kept = said instanceof HTMLElement ? said : null;

/** Asks the city for the list, and shows it; false without signal. */
async function renew() {
  const fresh = await asked(location.pathname);
  if (!fresh) return false;
  const waiting = own.querySelectorAll("[data-op]");
  own.replaceChildren(...waiting, ...fresh.children);
  own.dataset["when"] = fresh.dataset["when"] ?? "";
  for (const notice of document.querySelectorAll("#last-seen, #unseen-yet")) notice.remove();
  await remember(own);
  return true;
}

/** @param {HTMLElement} notice */
async function showLastSeen(notice) {
  const seen = await lastSeen();
  if (!seen) return;
  own.append(...seen.rows.map(drawn));
  notice.textContent = (notice.dataset["said"] ?? "").replace("#", seen.when);
  notice.hidden = false;
  part(document, "#unseen-yet").hidden = true;
}

if (kept) {
  await showLastSeen(kept);
  window.addEventListener("online", () => void renew());
} else if ("caches" in window) {
  void remember(own).catch(() => {}); // a full phone keeps what it saw before
}
if (await anything()) await (await import("./pending_list.js")).among(own, part(document, "#kept-here"), renew);
