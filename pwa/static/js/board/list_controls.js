/** Two small controls: how dense the rows are, which this browser keeps, and finding one choice among many by its name. */

const DENSITY = "cityline.rows";

/** Begins to mind them. */
export function startListControls() {
  const button = document.getElementById("density");
  const isCompact = kept() === "compact";
  if (button) button.addEventListener("click", () => dense(button, button.getAttribute("aria-pressed") !== "true"));
  if (button && isCompact) dense(button, true);
  document.addEventListener("input", (event) => {
    const field = narrowing(event.target);
    const words = field?.value.trim().toLocaleLowerCase() ?? "";
    for (const choice of field ? choices(field) : []) {
      /** @type {HTMLElement} */ (choice.closest("li")).hidden = !choice.textContent?.toLocaleLowerCase().includes(words);
    }
  });
  // Before the bar of selected cases hears of it: there Enter presses the first button of all.
  document.addEventListener("keydown", (event) => {
    const field = narrowing(event.target);
    if (!field || event.ctrlKey || event.metaKey || event.altKey) return;
    const numbered = field.value || !/^[0-9]$/.test(event.key) ? undefined : numberedChoice(field, event.key);
    if (numbered) {
      event.preventDefault();
      numbered.click();
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (field.value.trim()) choices(field).find((choice) => !choice.disabled && !choice.closest("li")?.hidden)?.click();
  }, true);
}

/** @param {HTMLElement} button @param {boolean} on */
function dense(button, on) {
  button.setAttribute("aria-pressed", String(on));
  document.querySelector(".scroll > .queue")?.toggleAttribute("data-compact", on);
  try {
    if (on) localStorage.setItem(DENSITY, "compact");
    else localStorage.removeItem(DENSITY);
  } catch {
    // Storage is blocked: it holds until the page is left.
  }
}

function kept() {
  try {
    return localStorage.getItem(DENSITY);
  } catch {
    return null;
  }
}

/** @param {EventTarget | null} target */
function narrowing(target) {
  return target instanceof HTMLInputElement && target.matches("[data-narrows]") ? target : null;
}

/** What a digit chooses while nothing is typed: the digits stand on the buttons. @param {HTMLInputElement} field @param {string} digit */
function numberedChoice(field, digit) {
  return choices(field).find((choice) => choice.dataset["digit"] === digit && !choice.disabled);
}

/** The buttons below a field that narrows them. @param {HTMLInputElement} field */
function choices(field) {
  const list = field.closest("label")?.nextElementSibling;
  return /** @type {HTMLButtonElement[]} */ ([...(list?.querySelectorAll("button") ?? [])]);
}
