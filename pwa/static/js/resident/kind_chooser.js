// Many kinds of problem: looks for them while one types, and chooses one without a round trip. Fetched with the first
// touch; without it every line is a button of the form.

const PAUSE_MS = 150;

export class KindChooser {
  #form;
  #pause = 0;
  /** @type {AbortController | null} */ #asking = null;

  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.#form = form;
    this.#box.addEventListener("input", () => {
      clearTimeout(this.#pause);
      this.#pause = window.setTimeout(() => void this.look(), PAUSE_MS);
    });
    if (this.#box.value) void this.look(); // it was typed while this code was on its way
  }

  /** A button of the choice was pressed. @param {HTMLButtonElement} button */
  pressed(button) {
    const [, code = ""] = button.value.split(" ");
    if (button.value === "kinds") return void this.look();
    if (code) this.choose(code);
    else this.#open();
    return undefined;
  }

  /** The problem is of this kind. @param {string} code */
  choose(code) {
    const line = this.#line(code);
    if (!line) return;
    const { urgent, kind } = line.dataset;
    this.#field.value = code;
    this.#mark("urgent", urgent);
    this.#mark("kind", kind);
    const icon = line.querySelector(".icon");
    if (icon) this.#one(".kind__icon").replaceChildren(icon.cloneNode(true));
    this.#one("[data-name]").textContent = line.querySelector("b")?.textContent ?? "";
    this.#show(true);
    this.#one("#kind-chosen").focus();
  }

  /** What stands in the hidden field was put there by another hand: what was begun on this phone. */
  restore() {
    const code = this.#field.value;
    if (code) this.choose(code);
  }

  /** Another kind is to be chosen. */
  #open() {
    this.#field.value = "";
    this.#mark("urgent", undefined);
    this.#mark("kind", undefined);
    this.#show(false);
    this.#box.focus();
  }

  /** @param {boolean} isChosen */
  #show(isChosen) {
    this.#one("#kind-chosen").hidden = !isChosen;
    for (const part of ["#kind-choice", "#kind-all"]) this.#one(part).hidden = isChosen;
    for (const asked of this.#form.querySelectorAll("#kind-asks > [data-of]")) {
      const { dataset } = /** @type {HTMLElement} */ (asked);
      asked.toggleAttribute("hidden", dataset["of"] !== this.#field.value);
    }
    this.#field.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** Draws the lines for what stands in the box. Without signal those of before stay, and all groups are there. */
  async look() {
    clearTimeout(this.#pause);
    this.#asking?.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    const { lat = "", lon = "" } = /** @type {HTMLElement | null} */ (this.#form.querySelector("#place-card"))?.dataset ?? {};
    const asked = new URLSearchParams({ q: this.#box.value.trim(), ...(lat && lon ? { lat, lon } : {}) });
    try {
      const answer = await fetch(`${this.#one("#kind-choice").dataset["kinds"]}?${asked}`, { signal });
      const html = answer.ok ? await answer.text() : "";
      if (html && !signal.aborted) this.#one("#kind-lines").innerHTML = html; // our own server's; the policy lets no script run
    } catch {
      // no signal, or another letter
    }
  }

  /** The line in its group, which knows most of the kind. @param {string} code @returns {HTMLElement | null} */
  #line(code) {
    return this.#form.querySelector(`.kindgroup [value="kind ${CSS.escape(code)}"]`);
  }

  /** @param {string} name @param {string | undefined} value */
  #mark(name, value) {
    if (value === undefined) delete this.#field.dataset[name];
    else this.#field.dataset[name] = value;
  }

  get #box() {
    return /** @type {HTMLInputElement} */ (this.#one("#kind-words"));
  }

  get #field() {
    return /** @type {HTMLInputElement} */ (this.#one("[name=kind]"));
  }

  /** @param {string} selector */
  #one(selector) {
    return /** @type {HTMLElement} */ (this.#form.querySelector(selector));
  }
}
