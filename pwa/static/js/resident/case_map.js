// <case-map> on the public list: the button fetches the map and its pins, and nothing is fetched before; where there
// is room beside the list the map is there at once. <near-me> asks the phone where it is.

import { once } from "../lib/geolocation.js";

/** @typedef {import("../map/map.js").Standing} Standing */

class CaseMap extends HTMLElement {
  connectedCallback() {
    const button = /** @type {HTMLButtonElement} */ (document.querySelector("#show-map"));
    const box = /** @type {HTMLElement} */ (this.querySelector(".map"));
    const trouble = /** @type {HTMLElement} */ (this.querySelector("[role=alert]"));
    const shown = /** @type {HTMLElement | null} */ (this.querySelector("[data-shown]"));
    let isDrawn = false;
    const toggle = async () => {
      const opens = box.hidden;
      box.hidden = !opens;
      if (shown) shown.hidden = !opens;
      button.setAttribute("aria-expanded", String(opens));
      trouble.hidden = true;
      if (!opens || isDrawn) return;
      isDrawn = true;
      try {
        await this.#draw(box);
      } catch {
        isDrawn = false;
        box.hidden = true;
        button.setAttribute("aria-expanded", "false");
        trouble.hidden = false;
      }
    };
    button.addEventListener("click", () => void toggle());
    if (matchMedia("(min-width: 64em)").matches) {
      button.hidden = true;
      void toggle();
    }
  }

  /** @param {HTMLElement} box */
  async #draw(box) {
    const { lat, lon, bounds, basemap, raster, points, around, thing, case: address, words, zoomIn, zoomOut } = this.dataset;
    const [south = 0, west = 0, north = 0, east = 0] = (bounds ?? "").split(",").map(Number);
    const [{ showMap }, { pinLayer }, { thingLayer }, answer] = await Promise.all([
      import("../map/map.js"),
      import("../map/pins.js"),
      import("../map/things.js"),
      fetch(points ?? "", { headers: { Accept: "application/json" } }).then((response) => response.json()),
    ]);
    const { map, L } = await showMap(box, {
      centre: [Number(lat), Number(lon)],
      bounds: [[south, west], [north, east]],
      basemapUrl: basemap,
      rasterUrl: raster || undefined,
      words: { zoomIn, zoomOut },
    });
    /** @param {string} number */
    const href = (number) => (address ?? "").replace("NUMBER", number);
    const said = JSON.parse(words ?? "{}");
    const pins = pinLayer(map, L, {
      href,
      open: (number) => location.assign(href(number)),
      words: said,
      several: said.several,
    });
    const all = /** @type {[string, number, number, Standing, string][]} */ (answer.points);
    if (this.dataset["near"] === undefined && all.length) {
      map.fitBounds(L.latLngBounds(all.map(([, y, x]) => [y, x])), { padding: [32, 32], maxZoom: 16, animate: false });
    }
    thingLayer(map, L, { around: around ?? "", page: thing ?? "" });
    pins.set(all.map(([number, y, x, standing, title]) => ({ number, point: [y, x], standing, title })));
  }
}

customElements.define("case-map", CaseMap);

customElements.define(
  "near-me",
  class extends HTMLElement {
    connectedCallback() {
      const button = /** @type {HTMLButtonElement} */ (this.querySelector("button"));
      const trouble = /** @type {HTMLElement} */ (document.querySelector("#no-fix"));
      button.addEventListener("click", async () => {
        trouble.textContent = "";
        button.setAttribute("aria-busy", "true");
        const fix = await once();
        button.removeAttribute("aria-busy");
        if (fix) location.assign((this.dataset["to"] ?? "").replace("PLACE", `${fix.lat.toFixed(5)},${fix.lon.toFixed(5)}`));
        else trouble.textContent = this.dataset["refused"] ?? "";
      });
    }
  },
);
