// The photos of one form: each is kept on the phone, then goes ahead, one after the other; what could not goes along
// with Send.

import { endSilent, Late, within } from "../lib/timeout.js";

/** So long a phone may take to keep a photo before it goes ahead. */
const KEEP_MS = 60_000;
const READ_MS = 3_000;

/**
 * One photo. `file` is held until the server has it; `preview` is what the page shows of it; `kept` is its name on
 * this phone, null where the phone would not keep it; `ahead` whether it goes to the server before Send; `taken` where
 * and when that was, null where it does not tell, or not yet.
 * @typedef {import("../lib/photo_metadata.js").Taken} Taken
 * @typedef {{ file: File, small: Promise<File>, preview: string, state: "on its way" | "there" | "kept" | "refused",
 *   id: string, words: string, going: AbortController | null, kept: Promise<string | null>, ahead: boolean,
 *   taken: Taken | null }} Shot
 */

// By the form's key. It outlives the page's elements, since the form is drawn anew after a fault.
/** @type {Map<string, Shot[]>} */
const known = new Map();

export class Shots {
  /** @type {Shot[]} */ #shots;
  /** @type {Promise<unknown>} ends with the photo that goes ahead: side by side each would be silent for longer */
  #line = Promise.resolve();
  #silences = 0; // how often that line was dead

  /**
   * @param {HTMLFormElement} form
   * @param {DOMStringMap} words what to say: `uploading`, `kept`, `alone`, `nth`; and `most`, how many there may be
   * @param {() => void} changed called when there are more, fewer, or one arrived
   */
  constructor(form, words, changed) {
    this.form = form;
    this.words = words;
    this.changed = changed;
    const key = this.#hidden("key");
    this.#shots = known.get(key) ?? [];
    known.set(key, this.#shots);
    this.#recognize();
    for (const shot of this.#shots) this.#draw(shot);
  }

  get count() {
    return this.form.querySelectorAll(".shot").length;
  }

  /** What the server does not have and that goes along with Send. @returns {File[]} */
  get kept() {
    return this.#shots.filter((shot) => shot.state === "kept").map((shot) => shot.file);
  }

  /** Their names on this phone; null for one that it does not keep, though it was asked to once more. */
  async names() {
    const names = [];
    for (const shot of this.#shots.filter(({ state }) => state !== "refused")) {
      if ((await shot.kept) === null) shot.kept = kept(shot); // there may be room now
      names.push(await shot.kept);
    }
    return names;
  }

  /** Photos that this phone kept for a form that was begun earlier.
   * @param {{ id: string, file: File, taken: Taken | null }[]} photos */
  restore(photos) {
    for (const { id, file, taken } of photos) this.#put(file, { kept: Promise.resolve(id), taken });
    this.changed();
  }

  /** Where and when those were taken that tell it. @returns {Taken[]} */
  get taken() {
    return this.#shots.flatMap(({ taken }) => taken ?? []);
  }

  get onTheirWay() {
    return this.#shots.some((shot) => shot.state === "on its way");
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) {
      if (this.count >= Number(this.words["most"])) break;
      this.#put(file);
    }
    this.changed();
  }

  /** Photos that another app shared: none goes ahead. Whether this phone keeps them all. @param {File[]} files */
  async share(files) {
    const shared = files.map((file) => this.#put(file, { ahead: false }));
    this.changed();
    return (await Promise.all(shared.map((shot) => shot.kept))).every((name) => name !== null);
  }

  /** What is not kept yet is read, made small and kept. @param {File} file @param {Partial<Shot>} [more] */
  #put(file, more) {
    const shot = /** @type {Shot} */ ({
      file, small: Promise.resolve(file), preview: URL.createObjectURL(file), state: "on its way", id: "", words: "",
      going: null, ahead: true, taken: null, ...more,
    });
    if (!more?.kept) {
      shot.small = import("../lib/image_resize.js").then(({ shrink }) => shrink(file)).catch(() => file); // no signal for that code
      shot.kept = told(file).then((taken) => {
        shot.taken = taken;
        this.changed();
        return kept(shot);
      });
    }
    this.#shots.push(shot);
    this.#draw(shot);
    return shot;
  }

  /** What went along with a Send that had a fault is shown by the server's form now: it is not added once more. */
  #recognize() {
    const ours = this.#shots.map(({ id }) => id);
    const shown = [...this.form.querySelectorAll(".shot[data-id]")].map((row) => row.getAttribute("data-id") ?? "");
    const news = shown.filter((id) => !ours.includes(id));
    for (const shot of this.#shots.filter(({ state }) => state === "kept")) {
      const id = news.shift();
      if (id) Object.assign(shot, { id, state: "there" });
    }
  }

  /** @param {HTMLElement} row */
  remove(row) {
    const { id, preview } = row.dataset;
    const shot = this.#shots.find((one) => one.preview === preview || (id && one.id === id));
    if (shot) {
      shot.going?.abort();
      void shot.kept.then(async (name) => name && (await import("./pending_reports.js")).dropPhoto(name)).catch(() => {});
      this.#shots.splice(this.#shots.indexOf(shot), 1);
    }
    // Without network the server keeps it, and its form shows it again.
    if (id) void fetch(this.#address(`/${id}/remove`), { method: "POST", body: this.#body(), headers: this.#headers() }).catch(() => {});
    row.remove();
    this.#number();
    this.changed();
  }

  /** @param {Shot} shot */
  #draw(shot) {
    const there = shot.id ? this.form.querySelector(`.shot[data-id="${CSS.escape(shot.id)}"]`) : null;
    if (there) {
      /** @type {HTMLImageElement} */ (there.querySelector("img")).src = shot.preview;
    } else if (shot.state !== "there" && shot.state !== "refused") {
      void this.#upload(shot, this.#row(shot));
    }
  }

  /** @param {Shot} shot */
  #row(shot) {
    const pattern = /** @type {HTMLTemplateElement} */ (this.form.querySelector("#shot"));
    const row = /** @type {HTMLElement} */ (pattern.content.querySelector("li")?.cloneNode(true));
    const image = /** @type {HTMLImageElement} */ (row.querySelector("img"));
    const later = /** @type {HTMLElement} */ (row.querySelector(".thumb--later"));
    for (const end of ["load", "error"]) {
      // Many browsers cannot show a HEIC: the city's copy comes in its place.
      image.addEventListener(end, () => (image.hidden = !(later.hidden = end === "load")));
    }
    image.src = shot.preview;
    row.dataset["preview"] = shot.preview;
    this.form.querySelector("#photos")?.append(row);
    this.#number();
    return row;
  }

  /** The form names what it shows. @param {HTMLElement} row @param {string} id */
  #name(row, id) {
    row.dataset["id"] = id;
    /** @type {HTMLInputElement} */ (row.querySelector("[name=staged]")).value = id;
  }

  /** One is "Photo added"; several are told apart by their number, for those who listen too. */
  #number() {
    const rows = [...this.form.querySelectorAll(".shot")];
    rows.forEach((row, n) => {
      const words = rows.length === 1 ? this.words["alone"] : this.words["nth"]?.replace("#", String(n + 1));
      for (const title of row.querySelectorAll("b, .unseen")) title.textContent = ` ${words ?? ""}`;
    });
  }

  /**
   * @param {Shot} shot
   * @param {HTMLElement} row
   */
  async #upload(shot, row) {
    this.#tell(row, this.words["uploading"] ?? "");
    shot.state = "on its way";
    const going = new AbortController();
    shot.going = going;
    try {
      const { id, url, words, fault } = await this.#ahead(shot, going.signal);
      Object.assign(shot, fault ? { state: "refused", words: fault } : { state: "there", id, words });
      if (fault) row.classList.add("shot--refused");
      else this.#name(row, id);
      const image = row.querySelector("img");
      if (url && image && !image.naturalWidth) image.src = shot.preview = url; // this browser cannot show its own
      this.#tell(row, shot.words);
    } catch {
      if (going.signal.aborted) return;
      going.abort();
      shot.state = "kept";
      this.#tell(row, this.words["kept"] ?? "");
    } finally {
      shot.going = null;
      this.changed();
    }
  }

  /** What the server says of a photo. Throws where it cannot go ahead. @param {Shot} shot @param {AbortSignal} signal */
  async #ahead(shot, signal) {
    shot.file = await within(shot.small, KEEP_MS);
    await within(shot.kept, KEEP_MS);
    if (!shot.ahead || this.form.dataset["kept"] !== undefined) throw new Error("it goes with Send");
    const silences = this.#silences;
    const answer = this.#line.then(() => {
      if (signal.aborted || silences !== this.#silences) throw new Error("the line is dead");
      return this.#send(shot.file, signal);
    });
    this.#line = answer.catch((fault) => void (fault instanceof Late && !signal.aborted && this.#silences++));
    return answer;
  }

  /** @param {File} photo @param {AbortSignal} signal @returns {Promise<any>} */
  async #send(photo, signal) {
    const xhr = new XMLHttpRequest(); // fetch does not tell how much has gone up
    const ended = new Promise((resolve, reject) => {
      xhr.onload = resolve;
      xhr.onerror = () => reject(new Error("no signal"));
      xhr.onabort = () => reject(new Late("silence"));
    });
    signal.addEventListener("abort", () => xhr.abort());
    const body = this.#body();
    body.set("photo", photo, photo.name);
    xhr.open("POST", this.#address(""));
    for (const [name, value] of Object.entries(this.#headers())) xhr.setRequestHeader(name, value);
    endSilent(xhr);
    xhr.send(body);
    await ended;
    return JSON.parse(xhr.responseText);
  }

  /**
   * @param {HTMLElement} row
   * @param {string} words
   */
  #tell(row, words) {
    for (const place of [row.querySelector("small"), this.form.querySelector("#photo-news")]) {
      if (place) place.textContent = words;
    }
  }

  /** @param {string} path */
  #address(path) {
    return `${this.form.action}/photos${path}`;
  }

  #body() {
    const body = new FormData();
    body.set("key", this.#hidden("key"));
    return body;
  }

  #headers() {
    return { "X-CSRFToken": this.#hidden("csrf_token") };
  }

  /** @param {string} name */
  #hidden(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name)).value;
  }
}

/** Its name on this phone, null where there is no room. @param {Shot} shot @returns {Promise<string | null>} */
async function kept({ small, taken }) {
  try {
    return await (await import("./pending_reports.js")).keepPhoto(await small, taken);
  } catch {
    return null;
  }
}

/** Where and when a photo was taken. @param {File} file @returns {Promise<Taken | null>} */
async function told(file) {
  try {
    return await within(import("../lib/photo_metadata.js").then(({ taken }) => taken(file)), READ_MS);
  } catch {
    return null; // a poor signal, for that code: the photo is kept first of all
  }
}
