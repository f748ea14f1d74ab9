// <share-button>: the phone's own sheet where it has one; elsewhere its link leads to the page with link and code.

customElements.define(
  "share-button",
  class extends HTMLElement {
    connectedCallback() {
      const { url, title } = this.dataset;
      if (!navigator.share) return;
      this.querySelector("a")?.addEventListener("click", (event) => {
        event.preventDefault();
        void navigator.share({ url, title }).catch(() => {}); // closed without a choice
      });
    }
  },
);
