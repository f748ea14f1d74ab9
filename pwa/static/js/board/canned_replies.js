/** Ready replies in the form that closes a case: reply and outcome are kept in step. */

/** A reply brings its outcome; another outcome lets go of a reply that does not fit it. */
export function mindReplies() {
  document.addEventListener("change", (event) => {
    const input = event.target instanceof HTMLInputElement ? event.target : null;
    const form = input?.form;
    if (!form || !input.checked) return;
    if (input.name === "reply" && input.dataset.outcome) {
      const outcome = form.querySelector(`input[name="outcome"][value="${CSS.escape(input.dataset.outcome)}"]`);
      if (outcome instanceof HTMLInputElement) outcome.checked = true;
    }
    if (input.name === "outcome") {
      const reply = form.querySelector('input[name="reply"]:checked');
      const none = form.querySelector('input[name="reply"][value=""]');
      const misfits = reply instanceof HTMLInputElement && reply.dataset.outcome !== input.value;
      if (misfits && none instanceof HTMLInputElement) none.checked = true;
    }
  });
}
