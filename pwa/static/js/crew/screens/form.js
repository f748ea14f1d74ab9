// What the forms of a crew's phone have in common: their photos, and how they say what is wrong.

import { all, clone, fill, part, TWICE_MS, when } from "../../lib/dom.js";
import { engine, many, say } from "../session.js";
import { isHeic, shrink, thumbnail } from "../../lib/image_resize.js";
import { taken } from "../../lib/photo_metadata.js";

/** @typedef {import("../session.js").App} App */
/** @typedef {import("../../sync/engine.js").Shot} Shot */

const MOST_PHOTOS = 5;

/** What is done with photos, one thing after the other: a form that is opened again waits for what it was left with. */
let work = Promise.resolve();
let left = 0; // of it, to be done

/**
 * The form's photos: taken, shown, removed. Each is on the disk before anything else happens, since the camera may
 * end this page on a small phone.
 * @param {App} app
 * @param {HTMLFormElement} form
 * @param {string} ref what the photos belong to until the form is saved
 * @param {Shot[]} shots those that are there already; it grows and shrinks
 * @param {(added: boolean) => void | Promise<void>} changed
 * @returns {Promise<() => Promise<boolean>>} waits until all photos taken so far are on the disk; whether the form
 *   still stands then
 */
export async function photoStrip(app, form, ref, shots, changed) {
  const waits = left > 0; // a photo of this form as it stood here before is still on its way
  const camera = /** @type {HTMLInputElement} */ (part(form, "[data-camera]"));
  const photosKept = async () => {
    fill(form, "busy", say("keeping_photo"));
    for (let last; last !== work; ) await (last = work);
    fill(form, "busy", "");
    return form.isConnected;
  };
  const show = async () => {
    const rows = await Promise.all(shots.map((shot, i) => thumb(shot, i, drop)));
    part(form, "[data-shots]").replaceChildren(...rows);
    fill(form, "shots", many("photos", shots.length));
    when(form, { shots: shots.length > 0 });
    part(form, ".evidence").classList.toggle("evidence--some", shots.length > 0);
  };
  let dropped = -TWICE_MS;
  /** @type {Set<string>} */
  const going = new Set(); // names of those whose cross was tapped, until they have gone
  /** @param {Shot} shot */
  const drop = (shot) => {
    if (going.has(shot.id) || performance.now() - dropped < TWICE_MS) return;
    dropped = performance.now();
    going.add(shot.id);
    queued(async () => {
      await engine.dropPhoto(shot.id).finally(() => going.delete(shot.id));
      // By its name, and now: what waited before may have read all photos anew.
      shots.splice(0, shots.length, ...shots.filter(({ id }) => id !== shot.id));
      await show();
      dropped = performance.now();
      camera.focus();
      await changed(false);
    });
  };
  /** @param {File} file */
  const add = async (file) => {
    const photo = await made(file);
    if (!photo) return fault(form, say("bad_photo"));
    const keep = () => engine.keepPhoto(ref, photo.data, photo.type, photo.thumb, photo.taken);
    const shot = await app.kept(keep, form, say("photo_not_kept"));
    if (!shot) return;
    shots.push(shot);
    await changed(true);
  };
  /** @param {File[]} files */
  const take = async (files) => {
    fault(form, ""); // once: what is wrong with one photo is read also where the next is a good one
    for (const file of files) {
      if (shots.length >= MOST_PHOTOS) fault(form, say("enough_photos"));
      else await add(file);
    }
    await show();
    await changed(false);
  };
  camera.addEventListener("change", () => {
    const files = [...(camera.files ?? [])];
    camera.value = "";
    queued(() => take(files));
  });
  await show();
  if (waits) {
    queued(async () => {
      shots.splice(0, shots.length, ...(await engine.draftOf(ref)).shots);
      await show();
      await changed(shots.length > 0); // the form that was left kept its older words with its photo
    });
  }
  return photosKept;
}

/** @param {() => Promise<void>} what */
function queued(what) {
  left++;
  work = work.then(what).catch((failure) => console.error(failure)).finally(() => left--);
}

/** What is kept of a picture; null where it cannot be read, or has gone meanwhile. @param {File} file */
async function made(file) {
  try {
    const small = await shrink(file);
    if (small.type !== "image/jpeg" && !(await isHeic(small))) return null;
    const [data, thumb, told] = await Promise.all([small.arrayBuffer(), thumbnail(small), taken(file)]);
    return { data, type: small.type || "image/heic", thumb, taken: told };
  } catch (failure) {
    console.error(failure);
    return null;
  }
}

/** @param {Shot} shot @param {number} i @param {(shot: Shot) => void} drop */
async function thumb(shot, i, drop) {
  const item = clone("t-shot");
  const image = item.querySelector("img");
  const bytes = shot.thumb ? [shot.thumb] : await engine.bytesOf(shot);
  const url = URL.createObjectURL(new Blob(bytes, { type: shot.thumb ? "image/jpeg" : shot.type }));
  if (image) {
    image.alt = say("photo_n", { n: i + 1 });
    image.src = url;
    image.onload = () => URL.revokeObjectURL(url);
  }
  part(item, "[data-drop]").addEventListener("click", () => drop(shot));
  return item;
}

/**
 * Saves a form when it is submitted, and once: its buttons come back only where nothing was saved. A second tap that
 * came before the form had gone made a second piece of work. A form that was saved says so, and is shown no more.
 * @param {HTMLFormElement} form
 * @param {(pressed: HTMLButtonElement) => Promise<boolean>} save whether it was
 */
export function saveOnce(form, save) {
  const buttons = /** @type {HTMLButtonElement[]} */ (all(form, ".dock button"));
  let saving = false;
  /** @param {boolean} yes */
  const set = (yes) => {
    saving = yes;
    for (const button of buttons) button.disabled = yes;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (saving) return;
    set(true);
    const pressed = /** @type {HTMLButtonElement} */ (event.submitter ?? part(form, ".button--act"));
    const saved = await save(pressed).catch((failure) => console.error(failure));
    if (saved) return void (form.dataset["saved"] = "");
    set(false);
    if (document.activeElement === document.body) pressed.focus({ preventScroll: true });
  });
}

/**
 * Keeps what is filled in so far. Where the phone does not take it the form says so until the phone does; what else the
 * form has to say goes before.
 * @param {Element} form @param {() => Promise<void>} keep
 */
export async function keepFilled(form, keep) {
  const box = part(form, "[data-fill=fault]");
  const words = say("draft_not_kept");
  try {
    await keep();
    if (box.textContent === words) fault(form, "");
  } catch (failure) {
    console.error(failure);
    if (box.hidden) fault(form, words);
  }
}

/** Says what is wrong, and leads to where it is mended. @param {Element} form @param {string} words
 * @param {HTMLElement | null} [field] */
export function fault(form, words, field) {
  const box = part(form, "[data-fill=fault]");
  box.textContent = words;
  box.hidden = !words;
  if (words && field) {
    field.focus({ preventScroll: true });
    (field.closest("label") ?? field).scrollIntoView({ block: "nearest" }); // what else could be chosen stays in sight
  }
}
