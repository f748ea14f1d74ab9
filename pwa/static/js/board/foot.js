/** What floats over the list's end, such as Undo and the bar of selected cases: the row somebody is at stays in sight. */

/** Tells the list how high it is, as --foot; one line of news is left out, since for news no row moves. */
export function startFoot() {
  const foot = /** @type {HTMLElement | null} */ (document.querySelector(".panel__foot"));
  const list = document.querySelector(".scroll");
  if (!foot || !list) return;
  const watch = new ResizeObserver(() => {
    const row = document.activeElement?.closest("#rows tr");
    const isInSight = row && sees(list, row);
    const line = /** @type {HTMLElement | null} */ (document.querySelector("#live > *"));
    const news = line ? line.offsetHeight + parseFloat(getComputedStyle(foot).rowGap) : 0;
    foot.parentElement?.style.setProperty("--foot", `${Math.max(0, foot.offsetHeight - news)}px`);
    if (isInSight) row.scrollIntoView({ block: "nearest" });
  });
  watch.observe(foot);
}

/** @param {Element} list @param {Element} row */
function sees(list, row) {
  const [outer, inner] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
  return inner.bottom > outer.top && inner.top < outer.bottom;
}
