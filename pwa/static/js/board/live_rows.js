/** The board's rows as news comes: brought up to date, or greyed, where they stand. No row moves. */

/** @param {string} id */
const byId = (id) => document.getElementById(id);

/**
 * The rows of an answer by their number.
 * @param {string} html
 * @returns {Map<string, HTMLTableRowElement>}
 */
export function drawn(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const rows = /** @type {HTMLTableRowElement[]} */ ([...holder.content.querySelectorAll("tr")]);
  return new Map(rows.map((row) => [row.dataset["number"] ?? "", row]));
}

/**
 * Brings a row up to date where it stands. Its link and its box stay the same elements, and with them the focus
 * and the selection.
 * @param {string} number
 * @param {HTMLTableRowElement} newer
 */
export function renew(number, newer) {
  const row = /** @type {HTMLTableRowElement | null} */ (byId(`case-${number}`));
  if (!row) return;
  delete row.dataset["gone"];
  [...row.cells].forEach((cell, i) => {
    const box = cell.querySelector("input");
    const now = newer.cells[i];
    if (box && now?.querySelector("input")) box.disabled = false;
    if (!now || cell.innerHTML === now.innerHTML) return;
    const [from, to] = [cell.querySelector("a"), now.querySelector("a")];
    if (from && to) from.replaceChildren(...to.childNodes);
    else if (!box || !now.querySelector("input")) cell.replaceChildren(...now.childNodes);
  });
}

/**
 * Greys a row; `why` stands in the place of its address.
 * @param {string} number
 * @param {string} why
 */
export function leave(number, why) {
  const row = byId(`case-${number}`);
  if (!row) return;
  row.dataset["gone"] = "";
  const small = row.querySelector("small");
  if (small) small.textContent = `${number} · ${why}`;
  const box = /** @type {HTMLInputElement | null} */ (row.querySelector("input[name=case]"));
  if (box) box.disabled = true;
}

/**
 * Keeps the row that somebody is at where it is on the screen, whatever becomes higher above it.
 * @param {() => void} work
 */
export function still(work) {
  const box = document.querySelector(".scroll");
  const at = (/** @type {string} */ which) => document.querySelector(`#rows tr${which}`);
  const row = at(":hover") ?? at(":focus-within") ?? at("[aria-current]");
  const before = row?.getBoundingClientRect().top ?? 0;
  work();
  const moved = (row?.getBoundingClientRect().top ?? 0) - before;
  if (box && moved) box.scrollTop += moved;
}
