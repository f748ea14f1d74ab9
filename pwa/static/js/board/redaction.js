// Parts of a photo to be covered: a part drawn on the picture fills its numbers in, and numbers move their part.

import { all, part } from "../lib/dom.js";

const SLIP = 0.5; // percent; less is a click

const form = /** @type {HTMLFormElement} */ (part(document, "#redaction"));
const picture = part(form, ".cover");
const sheet = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (part(picture, "svg")));
const boxes = part(form, "#boxes");
/** @type {{ x: number, y: number, fields: HTMLInputElement[] } | null} */
let drawing = null;

picture.dataset["drawn"] = "";
boxes.addEventListener("input", draw);
boxes.addEventListener("click", ({ target }) => {
  const row = /** @type {HTMLElement} */ (target).closest("[data-clear]")?.closest(".part");
  if (!row) return;
  const fields = numbers(/** @type {HTMLElement} */ (row));
  for (const field of fields) field.value = "";
  draw();
  fields[0]?.focus();
});
sheet.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  const fields = free();
  if (!fields) return;
  sheet.setPointerCapture(event.pointerId);
  drawing = { ...at(event), fields };
});
sheet.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  const { x, y, fields } = drawing;
  const now = at(event);
  const [left, top] = [Math.min(x, now.x), Math.min(y, now.y)];
  const box = [left, top, Math.max(x, now.x) - left, Math.max(y, now.y) - top];
  box.forEach((value, n) => { if (fields[n]) fields[n].value = value.toFixed(1); });
  draw();
});
sheet.addEventListener("pointerup", () => end(false));
sheet.addEventListener("pointercancel", () => end(true));
draw();

/** Ends a part; one that is too small to be meant goes. @param {boolean} given_up */
function end(given_up) {
  const fields = drawing?.fields ?? [];
  drawing = null;
  if (given_up || Number(fields[2]?.value) < SLIP || Number(fields[3]?.value) < SLIP) {
    for (const field of fields) field.value = "";
  }
  draw();
}

/** Where the pointer is, in percent of the picture. @param {PointerEvent} event */
function at(event) {
  const { left, top, width, height } = sheet.getBoundingClientRect();
  const within = (/** @type {number} */ share) => Math.min(100, Math.max(0, Number((share * 100).toFixed(1))));
  return { x: within((event.clientX - left) / width), y: within((event.clientY - top) / height) };
}

/** The numbers of the first part that has none; a new one where all have. */
function free() {
  const rows = all(boxes, ".part");
  const empty = rows.map(numbers).find((fields) => fields.every(({ value }) => value === ""));
  if (empty) return empty;
  const last = rows[rows.length - 1];
  if (!last || rows.length >= Number(form.dataset["most"])) return undefined;
  const row = /** @type {HTMLElement} */ (last.cloneNode(true));
  const legend = part(row, "legend");
  legend.textContent = (legend.textContent ?? "").replace(String(rows.length), String(rows.length + 1));
  for (const field of numbers(row)) field.value = "";
  boxes.append(row);
  return numbers(row);
}

/** @param {HTMLElement} row */
function numbers(row) {
  return /** @type {HTMLInputElement[]} */ (all(row, "input"));
}

/** Shows every part that has its four numbers, and what takes a part away. */
function draw() {
  for (const row of all(boxes, ".part")) {
    part(row, "[data-clear]").hidden = numbers(row).every(({ value }) => value === "");
  }
  const rects = all(boxes, ".part").map(numbers).filter((fields) => fields.every(({ value }) => value !== ""));
  sheet.replaceChildren(...rects.map((fields) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    ["x", "y", "width", "height"].forEach((name, n) => rect.setAttribute(name, fields[n]?.value ?? "0"));
    return rect;
  }));
}
