// Set-up: the phone itself, what is packed on it, and who uses it.

import { leave } from "../../sync/engine.js";
import { installed } from "../offline_pack.js";
import { all, clone, fill, locale, part } from "../../lib/dom.js";
import { crewNames, engine, lang, many, moment, say, store, who } from "../session.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../session.js").View} View */

let refused = "";

/** @param {App} app @param {View} view */
export async function setup(app, view) {
  const screen = clone("t-setup");
  const theme = document.documentElement.dataset["theme"] ?? "";
  for (const button of all(screen, "[data-theme-choice]")) {
    const chosen = button.dataset["themeChoice"] ?? "";
    button.setAttribute("aria-pressed", String(chosen === theme));
    button.addEventListener("click", () => lit(app, chosen));
  }
  const isInstalled = installed();
  const persisted = (await navigator.storage?.persisted?.()) ?? false;
  check(screen, "installed", isInstalled, say(isInstalled ? "installed.yes" : "installed.no"));
  check(screen, "kept", persisted, say(persisted ? "kept.yes" : "kept.no"));
  const { jobs, photos, of, map, bytes } = await engine.packed();
  const receipt = say("pack", {
    jobs: many("jobs", jobs),
    photos: photos < of ? say("some_photos", { n: photos, of }) : many("photos", photos),
    map: say(map ? "map.yes" : "map.no"),
    size: `${Math.max(0.1, bytes / 1_000_000).toLocaleString(locale(), { maximumFractionDigits: 1 })}\u00a0MB`,
    time: view.updated === null ? "" : moment(view.updated, Date.now()),
  });
  check(screen, "jobs", !view.empty && photos === of && (map || !document.body.dataset["basemap"]), view.empty ? say("never") : receipt);
  part(screen, "[data-install]").hidden = isInstalled;
  const packs = part(screen, "[data-pack]");
  packs.hidden = !isInstalled;
  packs.addEventListener("click", () => void app.packUp());
  const keep = part(screen, "[data-keep]");
  fill(screen, "refused", persisted ? "" : refused);
  keep.hidden = persisted || !navigator.storage?.persist;
  keep.addEventListener("click", async () => {
    refused = (await navigator.storage.persist().catch(() => false)) ? "" : say("kept.refused");
    await app.draw(false);
  });
  fill(screen, "name", who.name);
  fill(screen, "crews", crewNames());
  part(screen, "[data-leave]").addEventListener("click", () => void logOut(app));
  const n = view.outbox.length;
  fill(screen, "logout", n ? say("logout_some", { n }) : say("logout"));
  return screen;
}

/** @param {ParentNode} screen @param {string} name @param {boolean} good @param {string} words */
function check(screen, name, good, words) {
  const row = part(screen, `[data-check=${name}]`);
  row.dataset["promise"] = good ? "ok" : "risk";
  part(row, "use").setAttribute("href", good ? "#m-done" : "#m-risk");
  fill(row, name, words);
}

/** @param {App} app @param {string} theme */
function lit(app, theme) {
  if (theme) document.documentElement.dataset["theme"] = theme;
  else delete document.documentElement.dataset["theme"];
  try {
    if (theme) localStorage.setItem("cl-theme", theme);
    else localStorage.removeItem("cl-theme");
  } catch {
    // The choice then lasts as long as the page.
  }
  void app.draw(false);
}

/** Ends the session at the city first: otherwise the phone would open for the same person again. 
 * @param {App} app */
async function logOut(app) {
  try {
    const page = await (await fetch("/login", { redirect: "error" })).text();
    const token = new DOMParser().parseFromString(page, "text/html").querySelector("meta[name=csrf]");
    const headers = { "X-CSRFToken": token?.getAttribute("content") ?? "" };
    const answer = await fetch("/logout", { method: "POST", headers });
    if (!answer.ok) throw new Error(String(answer.status));
  } catch {
    return app.announce(say("leave_offline"));
  }
  await leave(store);
  location.hash = "";
  location.reload();
}
