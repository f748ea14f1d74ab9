// Outbox: everything that was done on this phone, with what became of it.

import { othersWork, PROTOCOL } from "../../sync/engine.js";
import { endingOf } from "../../sync/jobs.js";
import { clone, fill, once, part, when } from "../../lib/dom.js";
import { engine, enrol, leftWords, many, moment, named, say, store, takeBack, who } from "../session.js";
import { endingWords } from "./close.js";
import { proposedWords } from "./propose.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../session.js").View} View */
/** @typedef {import("../../sync/engine.js").Entry} Entry */

/** @param {App} app @param {View} view */
export async function outbox(app, view) {
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
    work: waiting.length > 0 || sent.length > 0,
  });
  part(screen, "[data-save]").addEventListener("click", async () => {
    const name = await app.kept(saveToFile);
    if (name) app.announce(say("file_saved", { name }));
  });
  fill(screen, "others", leftWords(await othersWork(store, who.person)));
  when(screen, { others: part(screen, "[data-fill=others]").textContent !== "" });
  const code = /** @type {HTMLInputElement} */ (part(screen, "#again"));
  part(screen, "[data-again]").addEventListener("submit", (event) => {
    event.preventDefault();
    void enrolAgain(app, code);
  });
  part(screen, "[data-waiting]").append(...waiting.map((entry) => item(app, entry, view)));
  part(screen, "[data-attention]").append(...attention.map((entry) => item(app, entry, view)));
  part(screen, "[data-sent]").append(...quiet.map((entry) => item(app, entry, view)));
  return screen;
}

/** The phone is told anew whose it is, by a supervisor's code. @param {App} app @param {HTMLInputElement} code */
async function enrolAgain(app, code) {
  const found = await enrol(code.value);
  if (found.who && found.who.person !== who.person) return location.reload();
  if (found.who) return app.send(true);
  app.announce(found.words);
  code.focus();
}

/** @param {App} app @param {Entry} entry @param {View} view */
function item(app, entry, view) {
  const row = clone("t-entry");
  const { op, label, result } = entry;
  part(row, "li").dataset["op"] = op.id; // rows have the same buttons: by this the one with the focus is found again
  const all = [...view.outbox, ...view.sent];
  const photos = op.photos.length ? [many("photos", op.photos.length)] : [];
  fill(row, "what", [whatOf(op), ...photos].join(", "));
  fill(row, "label", [named(label.title), label.address].filter(Boolean).join(" · "));
  const arrived = entry.at !== undefined;
  const settled = result?.result === "applied" || result?.result === "merged" || result?.why === "withdrawn";
  const lacks = view.shots.some((shot) => shot.op === op.id && shot.refused);
  const mark = !arrived ? "wait" : settled && !lacks ? "done" : "risk";
  part(row, ".promise").dataset["promise"] = mark;
  part(row, ".promise use").setAttribute("href", `#m-${mark}`);
  const asked = all.some((each) => each.op.data["op"] === op.id); // to be taken back
  fill(row, "state", arrived ? answer(entry, view) : asked ? say("state.asked") : waitingState(entry, view));
  const back = part(row, "[data-withdraw]");
  back.hidden = !engine.mayWithdraw(entry, all);
  const tapped = async () => {
    const came = await app.kept(() => takeBack(op.id));
    if (came === "late" || (came === "gone" && arrived)) app.announce(say("too_late"));
    await app.draw(false);
    void app.send();
  };
  back.addEventListener("click", tapped, { once: true }); // a second tap would ask the city twice
  const seen = part(row, "[data-dismiss]");
  seen.hidden = !arrived || Boolean(entry.seen);
  const putAway = async () => {
    await app.kept(() => engine.dismiss(entry, view.shots));
    await app.draw(false);
  };
  seen.addEventListener("click", () => void once(putAway));
  return row;
}

/** @param {Entry["op"]} op */
function whatOf(op) {
  if (op.t === "wait") return say(`wait.${op.data["reason"]}`);
  return op.t === "propose" ? proposedWords(op.data) : endingWords(endingOf(op));
}

/** @param {Entry} entry @param {View} view */
function answer({ op, result, at }, { shots }) {
  const own = shots.filter((shot) => shot.op === op.id);
  const exact = result?.why ? say(`state.${result.result}.${result.why}`, { to: result.to ?? "" }) : "";
  const kind = result?.result === "applied" && result.to ? "reported" : result?.result;
  const said = exact || say(`state.${kind}`, { time: moment(at ?? 0, Date.now()), to: result?.to ?? "" });
  const left = own.filter((shot) => !shot.uploaded && !shot.refused).length;
  return [said, ...refusals(own), ...(left ? [many("photos_left", left)] : [])].join(" ");
}

/** @param {Entry} entry @param {View} view */
function waitingState(entry, { jobs, names, shots }) {
  const own = shots.filter((shot) => shot.op === entry.op.id);
  const job = jobs.find(({ ref }) => ref === (names.get(entry.op.case) ?? entry.op.case));
  return [waitsFor(entry, job, own), ...refusals(own)].join(" ");
}

/** @param {Entry} entry @param {View["jobs"][number] | undefined} job @param {View["shots"]} own */
function waitsFor({ result, too_large }, job, own) {
  if (too_large) return say("state.too_large");
  const exact = result?.why ? say(`state.${result.result}.${result.why}`) : "";
  if (exact) return exact;
  if (!job) return say("state.no_job");
  if (result) return say(`state.${result.result}`);
  return own.some((shot) => !shot.uploaded && !shot.refused) ? say("state.photos") : say("state.waiting");
}

/** Why the city did not take photos, each reason once. @param {View["shots"]} own */
function refusals(own) {
  const refused = own.filter((shot) => shot.refused);
  return new Set(refused.map((shot) => say(`refused.${shot.refused}`) || say("state.refused")));
}

/** All work on this phone as one file, should it never find signal again: `cityline device import` reads it.
 * @returns {Promise<string>} its name */
async function saveToFile() {
  const { ops, photos, device } = await engine.saved();
  const told = photos.map(({ data, thumb: _thumb, taken: _taken, ...shot }) => ({ ...shot, data: base64(data) }));
  const file = { cityline: "outbox", protocol: PROTOCOL, device, person: who.person, ops, photos: told };
  const url = URL.createObjectURL(new Blob([JSON.stringify(file)], { type: "application/json" }));
  // Several phones' files may come to lie in one folder; field work calls a phone by the same eight letters.
  const today = new Intl.DateTimeFormat("en-CA").format(); // 2026-11-29, on this phone's own clock
  const name = `cityline-outbox-${device.slice(0, 8)}-${today}.json`;
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return name;
}

/** @param {ArrayBuffer[]} pieces */
function base64(pieces) {
  const bytes = pieces.flatMap((piece) => [...new Uint8Array(piece)].map((byte) => String.fromCharCode(byte)));
  return btoa(bytes.join(""));
}
