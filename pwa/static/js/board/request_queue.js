/**
 * What is under way for the drawer. A key waits for it, so that it acts on the case that it was meant for; an answer
 * that comes when another case is open is neither lost nor shown in that one's place.
 */

/**
 * @typedef {object} Going
 * @property {HTMLElement} target the drawer as it was when this was asked
 * @property {boolean} isOpening whether it brings the case that was chosen last
 */

/**
 * Begins to mind the requests whose answer is a drawer.
 * @param {object} board
 * @param {() => HTMLElement} board.drawer the one that stands there now
 * @param {(number: string) => void} board.chosen a row's case was asked for
 * @param {(number: string) => void} board.lost a verb came to nothing, and its case is not open any more to say so
 * @returns {{ settled: () => Promise<void>, over: () => Promise<void>, isOpening: () => boolean }}
 */
export function turns({ drawer, chosen, lost }) {
  /** @type {Set<Going>} */
  const going = new Set();
  let wake = () => {};
  /** Ends with whatever ends next. */
  let change = Promise.resolve();
  const renew = () => {
    wake();
    change = new Promise((resolve) => (wake = resolve));
  };
  renew();

  document.body.addEventListener("htmx:beforeSend", (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    const { xhr, target, elt, requestConfig } = detail;
    if (target.id !== "drawer") return;
    const isOpening = requestConfig.verb === "get" && elt.closest("#rows") !== null;
    const one = { target, isOpening };
    going.add(one);
    xhr.addEventListener("loadend", renew);
    const row = /** @type {HTMLElement | null} */ (elt.closest("#rows tr"));
    if (isOpening && row) chosen(row.dataset["number"] ?? "");
    // Before the answer is swapped in: htmx would put it in the place of the drawer that there was, or nowhere.
    xhr.addEventListener("readystatechange", () => {
      if (xhr.readyState !== XMLHttpRequest.DONE) return;
      going.delete(one);
      if (isOpening) detail.target = drawer();
      else if (!target.isConnected && requestConfig.verb === "post" && xhr.status !== 200) {
        lost(target.dataset["number"] ?? "");
      }
    });
  });
  // A verb's row comes as its own drawer would have it: mark and focus stay where they are.
  let held = "";
  document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = /** @type {CustomEvent} */ (event).detail;
    if (!target.matches("#rows tr")) return;
    const row = fragment.firstElementChild;
    if (target.hasAttribute("aria-current")) row?.setAttribute("aria-current", "true");
    else row?.removeAttribute("aria-current");
    if (target.contains(document.activeElement)) held = target.id;
  });
  document.body.addEventListener("htmx:oobAfterSwap", () => {
    const row = held ? document.getElementById(held) : null;
    held = "";
    if (document.activeElement === document.body) row?.querySelector("a")?.focus({ preventScroll: true });
  });

  /** Until nothing brings another drawer. A verb of a case that was left brings none. */
  async function settled() {
    while ([...going].some(({ target, isOpening }) => isOpening || target.isConnected)) await change;
  }

  /** Until nothing at all is under way, also of a case that was left. */
  async function over() {
    while (going.size) await change;
  }

  return { settled, over, isOpening: () => [...going].some((one) => one.isOpening) };
}
