// Places as one types: a list under the box, by keyboard as by finger. The box alone finds a place too.

/** @typedef {{ words: string, place: string, pick: string, vague: boolean }} Place */

const PAUSE_MS = 150;
const LEAST_LETTERS = 2;

/**
 * Which of `count` lines a key leads to; -1 is the box itself. Null for a key that leads nowhere.
 * @param {string} key
 * @param {number} at
 * @param {number} count
 */
export function led(key, at, count) {
  if (!count) return null;
  if (key === "ArrowDown") return at + 1 < count ? at + 1 : 0;
  if (key === "ArrowUp") return at > 0 ? at - 1 : count - 1;
  return null;
}

/**
 * Offers places under the form's place box, whichever element that is by then: the server draws it anew. The box is
 * #place, or has the id that the form's data-box says.
 * @param {HTMLFormElement} form
 * @param {string} several how many there are, in words, with # for the number
 * @param {(pick: string) => void} chosen called when one stands in the box, with what tells it from others of that name
 */
export function suggestions(form, several, chosen) {
  const id = form.dataset["box"] ?? "place";
  /** @type {Place[]} */ let places = [];
  let at = -1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let pause;
  /** @type {AbortController | null} */ let asking = null;

  /** @param {Event} event @returns {HTMLInputElement | null} */
  const boxOf = ({ target }) => (target instanceof HTMLInputElement && target.id === id ? target : null);

  const close = () => {
    clearTimeout(pause);
    asking?.abort();
    places = [];
    show(form.querySelector(`#${id}`));
  };

  /** @param {HTMLInputElement | null} box */
  const show = (box) => {
    if (!box) return;
    const list = listOf(box);
    at = -1;
    box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-expanded", String(places.length > 0));
    list.hidden = !places.length;
    list.replaceChildren(...places.map(({ words }, i) => lineOf(words, `${id}-${i}`, i)));
    const said = form.querySelector(`#${id}-said`);
    if (said && places.length) said.textContent = several.replace("#", String(places.length));
  };

  /** @param {HTMLInputElement} box @param {number} line */
  const mark = (box, line) => {
    at = line;
    [...listOf(box).children].forEach((each, i) => {
      each.setAttribute("aria-selected", String(i === at));
      if (i === at) each.scrollIntoView({ block: "nearest" });
    });
    if (at < 0) box.removeAttribute("aria-activedescendant");
    else box.setAttribute("aria-activedescendant", `${id}-${at}`);
  };

  /** @param {HTMLInputElement} box @param {number} line */
  const choose = (box, line) => {
    const { place, pick, vague } = places[line] ?? { place: box.value, pick: "", vague: false };
    close();
    box.value = vague ? `${place} ` : place;
    if (!vague) chosen(pick); // a street is something to go on from
  };

  /** @param {HTMLInputElement} box */
  const ask = async (box) => {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const fields = new FormData(form);
    const query = new URLSearchParams({ q: box.value.trim(), lat: String(fields.get("lat") ?? ""), lon: String(fields.get("lon") ?? "") });
    try {
      const answer = await fetch(`${form.dataset["suggest"] ?? `${form.action}/suggest`}?${query}`, { signal });
      const found = answer.ok ? (await answer.json()).places : [];
      if (signal.aborted || document.activeElement !== box) return;
      places = found;
      show(box);
    } catch {
      // no signal, or another letter: the box is still a box
    }
  };

  form.addEventListener("focusin", (event) => {
    const box = boxOf(event);
    if (box) listOf(box);
  });
  /** @param {HTMLInputElement} box */
  const typed = (box) => {
    clearTimeout(pause);
    if (box.value.trim().length < LEAST_LETTERS) return close();
    pause = setTimeout(() => void ask(box), PAUSE_MS);
  };
  form.addEventListener("input", (event) => {
    const box = boxOf(event);
    if (box) typed(box);
  });
  // Before the form's own word on Enter, which looks up what stands in the box.
  form.addEventListener("keydown", (event) => {
    const box = boxOf(event);
    if (!box) return;
    const line = led(event.key, at, places.length);
    if (line !== null) mark(box, line);
    else if (event.key === "Enter" && at >= 0) choose(box, at);
    else if (event.key === "Escape" && places.length) close();
    else {
      if (event.key === "Enter" || event.key === "Tab") close();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
  form.addEventListener("mousedown", (event) => {
    if (lineUnder(event)) event.preventDefault(); // the box keeps the focus
  });
  form.addEventListener("click", (event) => {
    const line = lineUnder(event);
    const box = /** @type {HTMLInputElement | null} */ (form.querySelector(`#${id}`));
    if (line && box) choose(box, Number(line.dataset["line"]));
  });
  form.addEventListener("focusout", (event) => {
    if (boxOf(event)) close();
  });
  // What was typed while this was fetched.
  const box = form.querySelector(`#${id}:focus`);
  if (box instanceof HTMLInputElement) {
    listOf(box);
    typed(box);
  }
}

/** The list of a box; a box that is new is told of it. @param {HTMLInputElement} box */
function listOf(box) {
  const known = box.parentElement?.querySelector("ul");
  if (known) return known;
  const list = document.createElement("ul");
  Object.assign(list, { id: `${box.id}-lines`, className: "lines", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", box.labels?.[0]?.textContent ?? "");
  box.after(list);
  box.autocomplete = "off"; // the browser's own list would lie over ours
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"]]) {
    box.setAttribute(String(name), String(value));
  }
  return list;
}

/** @param {string} words @param {string} id @param {number} i */
function lineOf(words, id, i) {
  const line = document.createElement("li");
  Object.assign(line, { id, textContent: words });
  line.setAttribute("role", "option");
  line.setAttribute("aria-selected", "false");
  line.dataset["line"] = String(i);
  return line;
}

/** @param {Event} event @returns {HTMLElement | null} */
function lineUnder({ target }) {
  return /** @type {HTMLElement} */ (target).closest("[data-line]");
}
