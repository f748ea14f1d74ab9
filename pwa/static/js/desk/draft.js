/**
 * Drafts of calls, kept in this browser as they are typed: for a server that is away, or a page that was closed.
 * Each tab has its own, and holds a lock on it, so that another tab takes up only what nobody has open. A draft is
 * gone once its call is kept, or when its person logs out.
 */

/** @typedef {[string, string][]} Fields */

const NAME = "cityline.call.";
const ENTRY = "inbox."; // the draft of an entry of the inbox comes back to that entry alone
// What belongs to one visit of the page. The key stays: a call that was kept after all is not kept twice.
const OURS = ["csrf_token", "do"];

/** Lets go of the draft that this tab holds. */
let release = () => {};

/** @param {HTMLFormElement} form */
const nameOf = (form) => `${NAME}${form.dataset["person"]}.${form.dataset["entry"] ? ENTRY : ""}${new FormData(form).get("key")}`;

/** Storage may be blocked or full: then the form itself is all there is. @template T @param {() => T} act @param {T} otherwise */
function trying(act, otherwise) {
  try {
    return act();
  } catch {
    return otherwise;
  }
}

/** Keeps the form as it stands. @param {HTMLFormElement} form */
export function keep(form) {
  const fields = [...new FormData(form)].filter(([name]) => !OURS.includes(name));
  trying(() => localStorage.setItem(nameOf(form), JSON.stringify({ at: Date.now(), fields })), undefined);
}

/** Keeps the form as this tab's own: its key may be another than before. @param {HTMLFormElement} form */
export function takeOver(form) {
  release();
  keep(form);
  hold(nameOf(form));
}

/** The form's call is kept by the city. @param {HTMLFormElement} form */
export function letGo(form) {
  trying(() => localStorage.removeItem(nameOf(form)), undefined);
}

/** Whoever logs out leaves nothing of a caller behind. @param {string} person */
export function forget(person) {
  trying(() => named(person).forEach((name) => localStorage.removeItem(name)), undefined);
}

/**
 * Fills an empty form in with the newest draft that no other tab has open; its fields, null where there was none.
 * @param {HTMLFormElement} form
 * @returns {Promise<Fields | null>}
 */
export async function takeUp(form) {
  const open = await heldElsewhere();
  const names = trying(() => named(form.dataset["person"] ?? ""), []);
  const typedMeanwhile = !form.dataset["entry"] && names.includes(nameOf(form)); // then nothing older comes over it
  const own = form.dataset["entry"] ? [nameOf(form)] : names.filter((name) => !name.includes(`.${ENTRY}`));
  const kept = (typedMeanwhile ? [] : own)
    .filter((name) => !open.has(name))
    .map((name) => trying(() => JSON.parse(localStorage.getItem(name) ?? ""), null))
    .filter((each) => Array.isArray(each?.fields))
    .sort((one, other) => other.at - one.at)[0];
  if (kept) putBack(form, kept.fields);
  hold(nameOf(form));
  return kept?.fields ?? null;
}

/** @param {string} person */
function named(person) {
  return Object.keys(localStorage).filter((name) => name.startsWith(`${NAME}${person}.`));
}

/** The form's fields that lie in a part of it. @param {HTMLFormElement} form @param {Element} part @returns {Fields} */
export function fieldsIn(form, part) {
  const names = new Set([...part.querySelectorAll("[name]")].map((each) => each.getAttribute("name")));
  return /** @type {Fields} */ ([...new FormData(form)].filter(([name]) => names.has(name)));
}

/** @param {HTMLFormElement} form @param {Fields} fields */
export function putBack(form, fields) {
  for (const [name, value] of fields) {
    for (const each of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (each instanceof HTMLInputElement && ["radio", "checkbox"].includes(each.type)) each.checked = fields.some(([other, chosen]) => other === name && chosen === each.value);
      else /** @type {HTMLInputElement} */ (each).value = value;
    }
  }
}

/** Names of the drafts that tabs have open, this one's last call among them no more. */
async function heldElsewhere() {
  release();
  const state = await navigator.locks?.query();
  return new Set((state?.held ?? []).map(({ name }) => name));
}

/** @param {string} name */
function hold(name) {
  const held = new Promise((resolve) => {
    release = () => resolve(undefined);
  });
  navigator.locks?.request(name, () => held);
}
