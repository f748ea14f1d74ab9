// <copy-link>: puts the link beside its button on the clipboard.

customElements.define(
  "copy-link",
  class extends HTMLElement {
    connectedCallback() {
      const field = this.querySelector("input");
      const button = this.querySelector("button");
      if (!field || !button) return;
      field.addEventListener("focus", () => field.select());
      button.addEventListener("click", async () => {
        field.select();
        try {
          await navigator.clipboard.writeText(field.value);
        } catch {
          document.execCommand("copy"); // without https there is no clipboard of the new kind
        }
        button.textContent = button.dataset["done"] ?? "";
      });
    }
  },
);
