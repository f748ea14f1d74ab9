// Logging out on a page other than the crew's own: what the city told this phone goes with it. Without this, or where the
// phone keeps nothing, the form logs out as any other.

import { forget } from "../desk/draft.js";

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form[data-logout]"))) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void logOut(form);
  });
}

/** What the city told goes first, since no answer may come; and again after, for what another tab heard till then.
 * @param {HTMLFormElement} form */
async function logOut(form) {
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  forget(form.dataset["logout"] ?? "");
  try {
    // Fetched before anything is done: half a log-out would keep what it should take away.
    const [{ leave, whoIs }, { openStore }] = await Promise.all([import("../sync/engine.js"), import("../sync/indexeddb.js")]);
    const store = openStore();
    // A colleague who logged in and out in this browser takes nobody's jobs away.
    const own = String((await whoIs(store))?.person) === form.dataset["logout"];
    if (own) await leave(store);
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (!answer.ok) throw new Error(String(answer.status));
    if (own) await leave(store);
    location.assign(answer.url);
  } catch {
    form.submit(); // says what is wrong, or leads on
  }
}
