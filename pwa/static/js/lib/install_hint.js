// <install-hint>: how this browser puts the app on the home screen. It shows itself only where something was done
// already, and never again once it was dismissed.

const DISMISSED = "cityline-no-install";

/** Chromium's own question, which a page may ask once. @type {any} */
let offer = null;
window.addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault(); // asked by our button, after the work
  offer = event;
  for (const hint of document.querySelectorAll("install-hint")) /** @type {InstallHint} */ (hint).show();
});

class InstallHint extends HTMLElement {
  connectedCallback() {
    this.#part("[data-install]").onclick = () => void this.#install();
    this.#part("[data-dismiss]").onclick = () => this.#dismiss();
    this.show();
  }

  show() {
    const way = isInstalled() || isDismissed() ? "" : wayOf(navigator);
    for (const each of this.querySelectorAll("[data-way]")) {
      /** @type {HTMLElement} */ (each).hidden = each.getAttribute("data-way") !== way;
    }
    this.hidden = !way;
  }

  async #install() {
    await offer?.prompt();
    offer = null; // it can be asked once; whoever says no has said it
    this.#dismiss();
  }

  #dismiss() {
    this.hidden = true;
    try {
      localStorage.setItem(DISMISSED, "1");
    } catch {
      // A private window: it is gone with this page.
    }
  }

  /** @param {string} selector */
  #part(selector) {
    return /** @type {HTMLElement} */ (this.querySelector(selector));
  }
}

/** "prompt", "ios", "firefox", or "" where there is no way that we know.
 * @param {Navigator} browser */
function wayOf({ userAgent, platform, maxTouchPoints }) {
  const isIpad = platform === "MacIntel" && maxTouchPoints > 1; // it calls itself a Mac
  if (/iPhone|iPad|iPod/.test(userAgent) || isIpad) return "ios";
  if (/Android/.test(userAgent) && /Firefox/.test(userAgent)) return "firefox";
  return offer ? "prompt" : "";
}

function isInstalled() {
  return matchMedia("(display-mode: standalone)").matches || /** @type {any} */ (navigator)["standalone"] === true;
}

function isDismissed() {
  try {
    return localStorage.getItem(DISMISSED) !== null;
  } catch {
    return false;
  }
}

customElements.define("install-hint", InstallHint);
