// The crew's screens: drawn from the phone's own copy by cloning the page's templates. Nothing here waits for
// the network; engine.js keeps and sends.

import { createEngine, introduce, leave, UNDO_MS, whoIs } from "./engine.js";
import { net } from "./exchange.js";
import { endingOf, isDone, metres, ordered, standing } from "./jobs.js";
import { shrink } from "./photo.js";
import { speaker } from "./say.js";
import { openStore } from "./store.js";
import { keepShell, newer, restart, takeWaiting } from "./worker.js";

/**
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {import("./engine.js").Entry} Entry
 * @typedef {import("./engine.js").Shot} Shot
 * @typedef {Awaited<ReturnType<import("./engine.js").Engine["view"]>>} View
 */

const POLL = 60_000;
const MOST_PHOTOS = 5;
const LATE_ROWS = 2; // so many done jobs are shown before they fold up

const page = document.body.dataset;
const lang = document.documentElement.lang;
const main = part(document, "#main");
const tabs = part(document, "#tabs");
const { say, many, moment, promise, place, named, distance } = speaker(template("words"), lang, page["zone"] ?? "UTC");
const store = openStore();
await takeWaiting();
const who = (await whoIs(store)) ?? (await welcome());
const engine = createEngine({
  store,
  net,
  clock: Date.now,
  random: { id: () => randomId(), fraction: Math.random },
  digest: async (data) => hex(await crypto.subtle.digest("SHA-256", data)),
  user: who.person,
  release: page["release"] ?? "",
});

/** @type {"due" | "priority" | "nearest"} */
let order = "due";
/** @type {{ lat: number, lon: number } | null} */
let here = null;
let hint = "";
let earlier = false;
let drawn = "";
let sending = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let undoOver;

await draw();
void send();
void keepShell(page["release"] ?? "");
newer(() => {
  const box = part(document, "#newer");
  box.hidden = false;
  part(box, "button").onclick = () => void restart();
});
window.addEventListener("hashchange", () => location.hash !== "#main" && void draw());
window.addEventListener("online", () => void send());
window.addEventListener("offline", () => void draw(false));
window.addEventListener("pageshow", (event) => event.persisted && void send());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void send());
document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("[data-sync]")) void send();
});

/** The first screen of a phone that nobody uses yet. Ends when the city says whose it is.
 * @returns {Promise<import("./engine.js").Who>} */
function welcome() {
  const screen = clone("t-welcome");
  main.replaceChildren(screen);
  fill(document, "said", say("nobody"));
  return new Promise((resolve) => {
    /** @param {string} [code] */
    const look = async (code) => {
      const box = part(main, "[data-fill=welcome]");
      try {
        resolve((await introduce({ store, net }, code)).who);
      } catch (fault) {
        const problem = String(/** @type {Error} */ (fault).message);
        box.hidden = code === undefined && problem === "login";
        fill(main, "welcome", say(`trouble.${problem}`));
        if (code !== undefined) part(main, "#code").focus();
      }
    };
    part(main, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      void look(/** @type {HTMLInputElement} */ (part(main, "#code")).value);
    });
    window.addEventListener("online", () => void look());
    void look();
  });
}

/** Sends and fetches, shows what came of it, and sets the next time. */
async function send() {
  if (sending) return;
  sending = true;
  const slow = setTimeout(() => void bar(), 400);
  try {
    await engine.sync();
  } finally {
    clearTimeout(slow);
    sending = false;
  }
  if ((await engine.view()).problem === "switched") return location.reload();
  // A form that is being filled in stays as it is; only the bar above it changes.
  await draw(false, !location.hash.startsWith("#close/"));
  await plan();
}

async function plan() {
  clearTimeout(timer);
  const due = await engine.due();
  const wait = Math.max(500, Math.min(POLL, due === null ? POLL : due - Date.now()));
  timer = setTimeout(() => (document.visibilityState === "visible" ? void send() : void plan()), wait);
}

/**
 * @param {boolean} [moved] whether the crew went to another screen: focus goes to its title
 * @param {boolean} [body]
 */
async function draw(moved = true, body = true) {
  const view = await engine.view();
  await bar(view);
  if (!body) return;
  const [name = "today", ref = ""] = decodeURIComponent(location.hash.slice(1)).split("/");
  const job = view.jobs.find((each) => each.ref === ref);
  /** @type {Record<string, () => DocumentFragment | Promise<DocumentFragment>>} */
  const screens = {
    today: () => today(view),
    job: () => (job ? jobScreen(job) : clone("t-gone")),
    close: () => (job && !isDone(job) ? closeScreen(job) : job ? jobScreen(job) : clone("t-gone")),
    outbox: () => outbox(view),
    setup: () => setup(view),
  };
  const screen = await (screens[name] ?? screens["today"])?.();
  if (!screen) return;
  const key = location.hash;
  const again = key === drawn;
  const focus = again ? focused() : "";
  const reached = again ? (main.querySelector(".scroller")?.scrollTop ?? 0) : 0;
  main.replaceChildren(screen);
  if (reached) part(main, ".scroller").scrollTop = reached;
  drawn = key;
  tabs.hidden = name === "close" || name === "job";
  for (const tab of tabs.querySelectorAll("a")) {
    if (tab.hash === `#${name}` || (tab.hash === "#today" && !screens[name])) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const title = main.querySelector("h1");
  document.title = `${title?.firstChild?.textContent?.trim() ?? ""} · Cityline`;
  if (focus) /** @type {HTMLElement | null} */ (main.querySelector(focus))?.focus();
  else if (moved && !again) {
    if (performance.now() > 3_000) title?.focus({ preventScroll: true });
  }
}

/** The bar above everything: what waits, and how fresh the jobs are. @param {View} [view] */
async function bar(view) {
  const { outbox, sent, problem, updated } = view ?? (await engine.view());
  const box = part(document, "#sync");
  const n = outbox.length;
  const answered = sent.filter((entry) => !entry.seen).length;
  const away = problem === "offline" || !navigator.onLine;
  let said = n ? say("some", { n }) : say("online");
  if (away) said = n ? say("offline_some", { n }) : say("offline");
  else if (problem === "login") said = n ? say("login_some", { n }) : say("login");
  else if (sending && n) said = say("sending");
  else if (answered) said = say("look", { n: answered });
  box.classList.toggle("sync--offline", away || problem !== "");
  const mark = away ? "wifi-off" : n || problem ? "send" : answered ? "triangle-alert" : "check";
  part(box, ".sync__mark use").setAttribute("href", `#i-${mark}`);
  fill(box, "said", said);
  fill(box, "updated", updated === null ? say("never") : say("updated", { time: moment(updated, Date.now()) }));
  const waiting = n + answered;
  fill(tabs, "outbox", waiting ? say("outbox_some", { n: waiting }) : say("outbox"));
}

/** @param {View} view */
function today(view) {
  const screen = clone("t-today");
  const now = Date.now();
  const { done, open } = ordered(view.jobs, order, now / 1000, here);
  const jobs = many("jobs", done.length + open.length);
  fill(screen, "crews", crewNames());
  fill(screen, "count", done.length ? say("jobs_done", { jobs, n: done.length }) : jobs);
  fill(screen, "hint", hint);
  for (const button of all(screen, "[data-order]")) {
    button.setAttribute("aria-pressed", String(button.dataset["order"] === order));
    button.addEventListener("click", () => void reorder(button.dataset["order"] ?? "due"));
  }
  const list = part(screen, "[data-list]");
  const folded = !earlier && done.length > LATE_ROWS ? done.splice(0, done.length - LATE_ROWS) : [];
  if (folded.length) {
    const row = clone("t-earlier");
    fill(row, "title", many("earlier", folded.length));
    part(row, "[data-earlier]").addEventListener("click", () => {
      earlier = true;
      void draw(false);
    });
    list.append(row);
  }
  const current = open.find((job) => job.state === "underway") ?? open.find((job) => job.state !== "waiting");
  for (const job of [...done, ...open]) list.append(row(job, job === current, now));
  if (!list.children.length) list.replaceWith(clone(view.empty ? "t-loading" : "t-empty"));
  return screen;
}

/** @param {Job} job @param {boolean} current @param {number} now */
function row(job, current, now) {
  const item = clone("t-row");
  part(item, "li").dataset["stop"] = isDone(job) ? "done" : current ? "now" : "next";
  part(item, "a").setAttribute("href", `#job/${job.ref}`);
  fill(item, "title", named(job.title));
  const far = here && order === "nearest" && !isDone(job) ? metres(job, here) : Infinity;
  fill(item, "place", place(job) + (far < Infinity ? ` ·\u00a0${distance(far)}` : ""));
  shown(item, job, now);
  return item;
}

/** The promise: shape and words. @param {ParentNode} root @param {Job} job @param {number} now */
function shown(root, job, now) {
  const stands = standing(job, now / 1000);
  part(root, ".promise").dataset["promise"] = stands;
  part(root, ".promise use").setAttribute("href", `#m-${stands}`);
  fill(root, "promise", promise(job, now));
}

/** @param {string} how */
async function reorder(how) {
  order = /** @type {typeof order} */ (how);
  hint = how === "nearest" && !here ? say("locating") : "";
  await draw(false);
  if (how !== "nearest") return;
  here = await located();
  if (order !== "nearest") return;
  if (!here) order = "due";
  hint = here ? "" : say("no_location");
  await draw(false);
}

/** @returns {Promise<{ lat: number, lon: number } | null>} */
function located() {
  return new Promise((resolve) => {
    if (!navigator.geolocation) return resolve(null);
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve({ lat: coords.latitude, lon: coords.longitude }),
      () => resolve(null),
      { enableHighAccuracy: true, timeout: 10_000, maximumAge: 60_000 },
    );
  });
}

/** @param {Job} job */
function jobScreen(job) {
  const screen = clone("t-job");
  heading(screen, job);
  shown(screen, job, Date.now());
  const told = job.told ?? [];
  const photos = told.flatMap((telling) => telling.photos ?? []);
  const strip = part(screen, "[data-photos]");
  photos.forEach((id, i) => strip.append(reportPhoto(id, i)));
  const tellings = part(screen, "[data-tellings]");
  for (const each of told) {
    if (!each.words && !each.answers?.length) continue;
    const telling = clone("t-telling");
    when(telling, { words: Boolean(each.words) });
    const quote = telling.querySelector("blockquote");
    if (quote && each.lang) quote.lang = each.lang;
    if (quote) quote.textContent = each.words ?? "";
    const list = part(telling, "[data-answers]");
    for (const [question = "", ...answers] of each.answers ?? []) {
      const pair = document.createElement("div");
      pair.append(element("dt", named(question)), element("dd", answers.map(named).join(", ")));
      list.append(pair);
    }
    tellings.append(telling);
  }
  fill(screen, "asset", job.asset ?? "");
  fill(screen, "reports", many("reports", job.reports ?? 0));
  fill(screen, "ref", job.ref);
  const open = !isDone(job);
  when(screen, {
    urgent: Boolean(job.urgent),
    asset: Boolean(job.asset),
    reports: (job.reports ?? 0) > 1,
    open,
    startable: job.state === "assigned",
    pausable: job.state === "underway",
    resumable: job.state === "waiting",
  });
  if (!open) return screen;
  const way = part(screen, "[data-navigate]");
  if (job.lat === undefined || job.lon === undefined) way.remove();
  else way.setAttribute("href", route(job));
  part(screen, "[data-done]").setAttribute("href", `#close/${job.ref}`);
  for (const button of all(screen, "[data-act]")) {
    button.addEventListener("click", () => void act(button.dataset["act"] ?? "", job));
  }
  return screen;
}

/** @param {string} id @param {number} i */
function reportPhoto(id, i) {
  const image = new Image();
  image.src = `/photos/${id}/page.jpg`;
  image.alt = i ? say("photo_n", { n: i + 1 }) : say("photo_of");
  image.loading = i ? "lazy" : "eager";
  image.width = 1200;
  image.height = 900;
  image.addEventListener("error", () => image.remove()); // no signal: the words are still there
  return image;
}

/** The phone's own way to navigate. @param {Job} job */
function route(job) {
  const at = `${job.lat},${job.lon}`;
  if (/iPhone|iPad|Macintosh/.test(navigator.userAgent)) return `maps://?daddr=${at}`;
  return `geo:${at}?q=${at}(${encodeURIComponent(job.address || job.ref)})`;
}

/** @param {string} t @param {Job} job */
async function act(t, job) {
  await kept(() => engine.add(t, job, {}));
  await draw(false);
  void send();
}

/** @param {Job} job */
async function closeScreen(job) {
  const { draft, shots } = await engine.draftOf(job.ref);
  const screen = clone("t-close");
  heading(screen, job);
  part(screen, "[data-back]").setAttribute("href", `#job/${job.ref}`);
  const form = /** @type {HTMLFormElement} */ (part(screen, "form"));
  const camera = /** @type {HTMLInputElement} */ (part(screen, "[data-camera]"));
  const notes = document.querySelector(`template[data-notes="${CSS.escape(job.group)}"]`);
  const chips = /** @type {HTMLTemplateElement | null} */ (notes)?.content.cloneNode(true);
  if (chips) part(screen, "[data-notes] .chips").append(chips);
  part(screen, "[data-notes]").hidden = !notes;
  for (const input of inputs(form)) {
    if (input.name === "ending") input.checked = input.value === draft?.ending;
    if (input.name === "note") input.checked = draft?.notes.includes(input.value) ?? false;
  }

  const summary = () => {
    const { ending, notes: chosen } = choice(form);
    const told = [
      ending ? endingWords(ending) : say("choose"),
      ...(shots.length ? [many("photos", shots.length)] : []),
      ...(chosen.length ? [many("notes", chosen.length)] : []),
    ];
    fill(form, "summary", told.join(", "));
    fill(form, "shots", many("photos", shots.length));
    when(form, { shots: shots.length > 0 });
    part(form, ".evidence").classList.toggle("evidence--some", shots.length > 0);
  };
  const show = async () => {
    const strip = part(form, "[data-shots]");
    strip.replaceChildren(...(await Promise.all(shots.map((shot, i) => thumb(shot, i, drop)))));
    summary();
  };
  /** @param {Shot} shot */
  const drop = async (shot) => {
    await engine.dropPhoto(shot.id);
    shots.splice(shots.indexOf(shot), 1);
    await show();
  };
  form.addEventListener("change", (event) => {
    if (event.target === camera) return;
    fault(form, "");
    summary();
    void engine.keepDraft(job.ref, choice(form)); // the camera may end this page on a small phone
  });
  const lead = inputs(form).find((input) => input.value === "fixed:photo");
  lead?.addEventListener("click", (event) => {
    // One tap chooses and opens the camera; the keyboard, which clicks as it passes, has its own button.
    if (/** @type {PointerEvent} */ (event).detail > 0 && !shots.length) camera.click();
  });
  camera.addEventListener("change", async () => {
    for (const file of [...(camera.files ?? [])]) {
      if (shots.length >= MOST_PHOTOS) fault(form, say("enough_photos"));
      else await add(file);
    }
    camera.value = "";
    await show();
  });
  /** @param {File} file */
  const add = async (file) => {
    const small = await shrink(file);
    if (small.type !== "image/jpeg") return fault(form, say("bad_photo"));
    const data = await small.arrayBuffer();
    const shot = await kept(() => engine.keepPhoto(job.ref, data, small.type), form);
    if (!shot) return;
    shots.push(shot);
    fault(form, "");
    const chosen = choice(form);
    if (!chosen.ending && lead) lead.checked = true;
    await engine.keepDraft(job.ref, choice(form));
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = choice(form);
    const wrong = !chosen.ending
      ? say("choose")
      : chosen.ending === "fixed:photo" && !shots.length
        ? say("need_photo")
        : "";
    if (wrong) return fault(form, wrong);
    const save = /** @type {HTMLButtonElement} */ (part(form, ".button--act"));
    if (save.disabled) return;
    save.disabled = true;
    const { t, data } = told(chosen);
    const entry = await kept(() => engine.add(t, job, data, { photos: shots, undo: UNDO_MS, draft: chosen }), form);
    save.disabled = false;
    if (!entry) return;
    location.hash = "#today";
    offerUndo(entry);
    void plan();
  });
  await show();
  return screen;
}

/** @param {HTMLFormElement} form */
function choice(form) {
  const data = new FormData(form);
  return { ending: String(data.get("ending") ?? ""), notes: data.getAll("note").map(String) };
}

/** The operation behind a choice. @param {{ ending: string, notes: string[] }} chosen */
function told({ ending, notes }) {
  const words = notes.map((note) => `${note}.`).join(" ");
  const said = words ? { words } : {};
  if (ending === "make_safe" || ending === "needs_parts") return { t: ending, data: said };
  const [outcome = "", because] = ending.split(":");
  const reason = because && because !== "photo" ? { no_photo: because } : {};
  return { t: "close", data: { outcome, ...reason, ...said } };
}

/** @param {string} ending */
function endingWords(ending) {
  const [outcome = "", because] = ending.split(":");
  const reason = because && because !== "photo" ? say(`because.${because}`) : "";
  return [say(`did.${outcome}`), reason].filter(Boolean).join(", ");
}

/** @param {Shot} shot @param {number} i @param {(shot: Shot) => void} drop */
async function thumb(shot, i, drop) {
  const item = clone("t-shot");
  const image = item.querySelector("img");
  const url = URL.createObjectURL(new Blob(await engine.bytesOf(shot), { type: shot.type }));
  if (image) {
    image.alt = say("photo_n", { n: i + 1 });
    image.src = url;
    image.onload = () => URL.revokeObjectURL(url);
  }
  part(item, "[data-drop]").addEventListener("click", () => drop(shot));
  return item;
}

/** @param {Element} form @param {string} words */
function fault(form, words) {
  const box = part(form, "[data-fill=fault]");
  box.textContent = words;
  box.hidden = !words;
  if (words) box.scrollIntoView({ block: "nearest" });
}

/** @param {Entry} entry */
function offerUndo(entry) {
  const box = part(document, "#undo");
  clearTimeout(undoOver);
  const button = /** @type {HTMLButtonElement} */ (part(box, "[data-undo]"));
  fill(box, "said", say("saved"));
  box.hidden = false;
  button.hidden = false;
  undoOver = setTimeout(() => (box.hidden = true), UNDO_MS - 200);
  button.onclick = async () => {
    clearTimeout(undoOver);
    if (await engine.undo(entry.op.id)) {
      box.hidden = true;
      location.hash = `#close/${entry.op.case}`; // with all that was chosen, which says enough
      return;
    }
    fill(box, "said", say("too_late"));
    button.hidden = true;
    setTimeout(() => (box.hidden = true), 4_000);
    await draw(false);
  };
}

/** @param {string} words */
function announce(words) {
  const box = part(document, "#undo");
  part(box, "[data-undo]").hidden = true;
  fill(box, "said", words);
  box.hidden = false;
}

/** @param {View} view */
function outbox(view) {
  const screen = clone("t-outbox");
  const { outbox: waiting, sent, problem } = view;
  const attention = sent.filter((entry) => !entry.seen);
  const quiet = sent.filter((entry) => entry.seen).slice(0, 30);
  fill(screen, "count", waiting.length ? say("some", { n: waiting.length }) : "");
  const trouble = navigator.onLine ? problem : "offline";
  fill(screen, "trouble", trouble ? say(`trouble.${trouble}`) : "");
  fill(screen, "retry", waiting.length ? say("send_now") : say("look_again"));
  when(screen, {
    trouble: Boolean(trouble),
    login: problem === "login",
    attention: attention.length > 0,
    waiting: waiting.length > 0,
    sent: quiet.length > 0,
    nothing: !waiting.length && !sent.length,
  });
  part(screen, "[data-waiting]").append(...waiting.map((entry) => item(entry, view)));
  part(screen, "[data-attention]").append(...attention.map((entry) => item(entry, view)));
  part(screen, "[data-sent]").append(...quiet.map((entry) => item(entry, view)));
  return screen;
}

/** @param {Entry} entry @param {View} view */
function item(entry, view) {
  const row = clone("t-entry");
  const { op, label, result } = entry;
  const photos = op.photos.length ? [many("photos", op.photos.length)] : [];
  fill(row, "what", [endingWords(endingOf(op)), ...photos].join(", "));
  fill(row, "label", [named(label.title), label.address].filter(Boolean).join(" · "));
  const arrived = entry.at !== undefined;
  const mark = !arrived ? "wait" : result?.result === "applied" || result?.result === "merged" ? "done" : "risk";
  part(row, ".promise").dataset["promise"] = mark;
  part(row, ".promise use").setAttribute("href", `#m-${mark}`);
  fill(row, "state", arrived ? answer(entry) : waitingState(entry, view));
  const seen = part(row, "[data-dismiss]");
  seen.hidden = !arrived || Boolean(entry.seen);
  seen.addEventListener("click", async () => {
    await engine.dismiss(op.id);
    await draw(false);
  });
  return row;
}

/** @param {Entry} entry */
function answer({ result, at }) {
  const exact = result?.why ? say(`state.${result.result}.${result.why}`, { to: result.to ?? "" }) : "";
  return exact || say(`state.${result?.result}`, { time: moment(at ?? 0, Date.now()) });
}

/** @param {Entry} entry @param {View} view */
function waitingState({ op, result, too_large }, { jobs, shots }) {
  const own = shots.filter((shot) => shot.op === op.id);
  if (own.some((shot) => shot.refused)) return say("state.refused");
  if (too_large) return say("state.too_large");
  const exact = result?.why ? say(`state.${result.result}.${result.why}`) : "";
  if (exact) return exact;
  if (!jobs.some((job) => job.ref === op.case)) return say("state.no_job");
  if (result) return say(`state.${result.result}`);
  return own.some((shot) => !shot.uploaded) ? say("state.photos") : say("state.waiting");
}

/** @param {View} view */
async function setup(view) {
  const screen = clone("t-setup");
  const theme = document.documentElement.dataset["theme"] ?? "";
  for (const button of all(screen, "[data-theme-choice]")) {
    const chosen = button.dataset["themeChoice"] ?? "";
    button.setAttribute("aria-pressed", String(chosen === theme));
    button.addEventListener("click", () => lit(chosen));
  }
  const installed = matchMedia("(display-mode: standalone)").matches;
  const persisted = (await navigator.storage?.persisted?.()) ?? false;
  check(screen, "installed", installed, say(installed ? "installed.yes" : "installed.no"));
  check(screen, "kept", persisted, say(persisted ? "kept.yes" : "kept.no"));
  const jobs = many("jobs", view.jobs.length);
  const time = view.updated === null ? "" : moment(view.updated, Date.now());
  check(screen, "jobs", !view.empty, view.empty ? say("never") : say("ready", { jobs, time }));
  const keep = part(screen, "[data-keep]");
  keep.hidden = persisted || !navigator.storage?.persist;
  keep.addEventListener("click", async () => {
    await navigator.storage.persist();
    await draw(false);
  });
  fill(screen, "name", who.name);
  fill(screen, "crews", crewNames());
  part(screen, "[data-leave]").addEventListener("click", () => void logOut());
  const n = view.outbox.length;
  fill(screen, "logout", n ? say("logout_some", { n }) : say("logout"));
  return screen;
}

function crewNames() {
  return who.crews.map(({ name }) => name).join(", ");
}

/** Ends the session at the city first: otherwise the phone would open for the same person again. */
async function logOut() {
  try {
    const page = await (await fetch("/login", { redirect: "error" })).text();
    const token = new DOMParser().parseFromString(page, "text/html").querySelector("meta[name=csrf]");
    const headers = { "X-CSRFToken": token?.getAttribute("content") ?? "" };
    const answer = await fetch("/logout", { method: "POST", headers });
    if (!answer.ok) throw new Error(String(answer.status));
  } catch {
    return announce(say("leave_offline"));
  }
  await leave(store);
  location.hash = "";
  location.reload();
}

/** @param {ParentNode} screen @param {string} name @param {boolean} good @param {string} words */
function check(screen, name, good, words) {
  const row = part(screen, `[data-check=${name}]`);
  row.dataset["promise"] = good ? "ok" : "risk";
  part(row, "use").setAttribute("href", good ? "#m-done" : "#m-risk");
  fill(row, name, words);
}

/** @param {string} theme */
function lit(theme) {
  if (theme) document.documentElement.dataset["theme"] = theme;
  else delete document.documentElement.dataset["theme"];
  try {
    if (theme) localStorage.setItem("cl-theme", theme);
    else localStorage.removeItem("cl-theme");
  } catch {
    // The choice then lasts as long as the page.
  }
  void draw(false);
}

/**
 * Something put on the disk, or the crew is told that it was not.
 * @template T @param {() => Promise<T>} keep @param {Element} [form] @returns {Promise<T | null>}
 */
async function kept(keep, form) {
  try {
    return await keep();
  } catch (failure) {
    console.error(failure);
    if (form) fault(form, say("not_kept"));
    else announce(say("not_kept"));
    return null;
  }
}

/** @param {ParentNode} screen @param {Job} job */
function heading(screen, job) {
  fill(screen, "title", named(job.title));
  fill(screen, "place", place(job));
}

/** What has the focus, as a selector that finds it again after a redraw. */
function focused() {
  const at = document.activeElement;
  if (!at || !main.contains(at)) return "";
  const name = [...at.attributes].find((each) => each.name.startsWith("data-") || each.name === "href");
  return name ? `[${name.name}="${CSS.escape(name.value)}"]` : "";
}

/** Shows and hides the parts that have a condition. @param {ParentNode} root @param {Record<string, boolean>} facts */
function when(root, facts) {
  for (const each of all(root, "[data-if]")) {
    const fact = facts[each.dataset["if"] ?? ""];
    if (fact !== undefined) each.hidden = !fact;
  }
}

/** @param {ParentNode} root @param {string} name @param {string} words */
function fill(root, name, words) {
  for (const each of all(root, `[data-fill="${name}"]`)) {
    if (each.textContent !== words) each.textContent = words;
  }
}

/** @param {string} id */
function clone(id) {
  return /** @type {DocumentFragment} */ (template(id).content.cloneNode(true));
}

/** @param {string} id */
function template(id) {
  return /** @type {HTMLTemplateElement} */ (part(document, `template#${id}`));
}

/** @param {ParentNode} root @param {string} selector */
function part(root, selector) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`no ${selector}`);
  return /** @type {HTMLElement} */ (found);
}

/** @param {ParentNode} root @param {string} selector */
function all(root, selector) {
  return /** @type {HTMLElement[]} */ ([...root.querySelectorAll(selector)]);
}

/** @param {HTMLFormElement} form */
function inputs(form) {
  return /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input")]);
}

/** @param {string} name @param {string} words */
function element(name, words) {
  const made = document.createElement(name);
  made.textContent = words;
  return made;
}

/** A random UUID; crypto.randomUUID is younger than the oldest browser served. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const text = hex(bytes.buffer);
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

/** @param {ArrayBuffer | ArrayBufferLike} data */
function hex(data) {
  return [...new Uint8Array(data)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
