// <notify-me>: notifications about this report, or what is followed, on this device. Asks the browser for leave only when pressed.

import { within } from "../lib/timeout.js";

const PATIENCE = 20_000; // some browsers never answer a wish for notifications

/** What the city has to know of this browser, by the number that its page is about. */
const REMEMBERED = "cityline-notified";

class NotifyMe extends HTMLElement {
  connectedCallback() {
    if (!("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) return;
    this.hidden = false;
    this.#button("on").addEventListener("click", () => void this.#try(() => this.#begin()));
    this.#button("off").addEventListener("click", () => void this.#try(() => this.#stop()));
    this.#show(this.#remembered().includes(this.#to));
  }

  async #begin() {
    if ((await Notification.requestPermission()) !== "granted") return this.#say("refused");
    await navigator.serviceWorker.register("/sw.js"); // nothing did where this page is the first that is opened
    const { pushManager } = await within(navigator.serviceWorker.ready, PATIENCE);
    const options = { userVisibleOnly: true, applicationServerKey: bytes(this.dataset["key"] ?? "") };
    const had = await pushManager.getSubscription();
    const fits = had && isSame(had.options?.applicationServerKey, options.applicationServerKey);
    if (had && !fits) await had.unsubscribe(); // of a city that had another key: nobody can send by it any more
    const made = had && fits ? had : await within(pushManager.subscribe(options), PATIENCE);
    const often = /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=often]:checked"))?.value;
    const fault = await post(this.#to, { ...made.toJSON(), often });
    if (fault) return this.#say("fault", fault);
    this.#remember([...this.#remembered(), this.#to]);
    this.#show(true);
    this.#say("on");
  }

  /** Only for this report: the browser may be told of others. */
  async #stop() {
    const registration = await within(navigator.serviceWorker.ready, PATIENCE);
    const made = await registration.pushManager.getSubscription();
    if (made) await post(`${this.#to}/stopped`, { endpoint: made.endpoint });
    this.#remember(this.#remembered().filter((each) => each !== this.#to));
    this.#show(false);
    this.#say("off");
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    for (const button of this.querySelectorAll("button")) button.disabled = true;
    try {
      await act();
    } catch {
      this.#say("fault");
    } finally {
      for (const button of this.querySelectorAll("button")) button.disabled = false;
    }
  }

  /** @param {boolean} on */
  #show(on) {
    this.#button("on").hidden = on;
    this.#button("off").hidden = !on;
  }

  /** @param {"on" | "off" | "refused" | "fault"} word @param {string} [more] */
  #say(word, more) {
    const line = /** @type {HTMLElement} */ (this.querySelector("[data-says]"));
    line.textContent = more || (line.dataset[word] ?? "");
  }

  /** @param {"on" | "off"} what @returns {HTMLButtonElement} */
  #button(what) {
    return /** @type {HTMLButtonElement} */ (this.querySelector(`[data-do="${what}"]`));
  }

  get #to() {
    return this.dataset["to"] ?? "";
  }

  /** @returns {string[]} */
  #remembered() {
    try {
      return JSON.parse(localStorage.getItem(REMEMBERED) ?? "[]");
    } catch {
      return [];
    }
  }

  /** @param {string[]} addresses */
  #remember(addresses) {
    try {
      localStorage.setItem(REMEMBERED, JSON.stringify([...new Set(addresses)]));
    } catch {
      // A full or closed store: then the button offers it again, which changes nothing.
    }
  }
}

customElements.define("notify-me", NotifyMe);

/** The fault in words, "" where there is none. @param {string} url @param {unknown} told @returns {Promise<string>} */
async function post(url, told) {
  const token = document.querySelector("meta[name=csrf]")?.getAttribute("content") ?? "";
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
  const answer = await within(fetch(url, { method: "POST", headers, body: JSON.stringify(told) }), PATIENCE);
  if (answer.ok) return "";
  if (answer.status !== 422) throw new Error(String(answer.status));
  return (await answer.json()).fault;
}

/** @param {ArrayBuffer | null | undefined} one @param {Uint8Array} other */
function isSame(one, other) {
  const found = new Uint8Array(one ?? []);
  return found.length === other.length && found.every((byte, n) => byte === other[n]);
}

/** @param {string} base64url */
function bytes(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
