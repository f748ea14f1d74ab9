/** The page of a pole or an address: its keys press the links that stand there, and its button prints. */

import { listen } from "../lib/hotkeys.js";

/** @param {string} key */
function press(key) {
  const link = document.querySelector(`[data-key="${key}"]`);
  if (link instanceof HTMLElement) link.click();
}

document.getElementById("print")?.addEventListener("click", () => window.print());
listen({
  j: () => press("j"),
  k: () => press("k"),
  n: () => press("n"),
  "/": () => document.getElementById("q")?.focus(),
});
