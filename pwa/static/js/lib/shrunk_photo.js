// <shrunk-photo> around a file input: what is chosen is made small on the phone and goes with its form. Without
// this the form sends the photo as it is.

import { part } from "./dom.js";
import { shrink } from "./image_resize.js";

class ShrunkPhoto extends HTMLElement {
  connectedCallback() {
    const input = /** @type {HTMLInputElement} */ (part(this, "input"));
    const said = part(this, "[data-says]");
    input.addEventListener("change", async () => {
      const [file] = input.files ?? [];
      said.textContent = file ? (this.dataset["there"] ?? "") : "";
      if (!file) return;
      const small = await shrink(file);
      if (input.files?.[0] !== file) return; // another was chosen meanwhile
      const one = new DataTransfer();
      one.items.add(small);
      input.files = one.files;
    });
  }
}

customElements.define("shrunk-photo", ShrunkPhoto);
