// Finding, filling and cloning parts of a page. Knows nothing of what they mean.

/** @param {ParentNode} root @param {string} selector */
export function part(root, selector) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`no ${selector}`);
  return /** @type {HTMLElement} */ (found);
}

/** @param {ParentNode} root @param {string} selector */
export function all(root, selector) {
  return /** @type {HTMLElement[]} */ ([...root.querySelectorAll(selector)]);
}

/** So soon after one tap the next means no other thing, which has taken its place under the finger. */
export const TWICE_MS = 400;
let tapped = -TWICE_MS;
let busy = false;

/**
 * Does what a tap asks for, unless another one is just being done or was: the screen may have been drawn anew under the
 * finger.
 * @param {() => Promise<void>} what
 */
export async function once(what) {
  if (busy || performance.now() - tapped < TWICE_MS) return;
  busy = true;
  try {
    await what();
  } finally {
    busy = false;
    tapped = performance.now();
  }
}

/** @param {HTMLFormElement} form */
export function inputs(form) {
  return /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input")]);
}

/** What was filled in, as text. @param {HTMLFormElement} form @returns {[string, string][]} */
export function fieldsOf(form) {
  const fields = [...new FormData(form)].filter(([name, value]) => typeof value === "string" && name !== "csrf_token");
  return /** @type {[string, string][]} */ (fields);
}

/** Fills a form in with what fieldsOf() gave. @param {HTMLFormElement} form @param {[string, string][]} fields */
export function putIn(form, fields) {
  for (const [name, value] of fields) {
    for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (field instanceof HTMLTextAreaElement) field.value = value;
      if (!(field instanceof HTMLInputElement)) continue;
      if (field.type !== "radio" && field.type !== "checkbox") field.value = value;
      else if (field.value === value) field.checked = true;
    }
  }
}

/** @param {string} id */
export function clone(id) {
  return /** @type {DocumentFragment} */ (template(id).content.cloneNode(true));
}

/** @param {string} id */
export function template(id) {
  return /** @type {HTMLTemplateElement} */ (part(document, `template#${id}`));
}

/** @param {ParentNode} root @param {string} name @param {string} words */
export function fill(root, name, words) {
  for (const each of all(root, `[data-fill="${name}"]`)) {
    if (each.textContent !== words) each.textContent = words;
  }
}

/** Shows and hides the parts that have a condition. @param {ParentNode} root @param {Record<string, boolean>} facts */
export function when(root, facts) {
  for (const each of all(root, "[data-if]")) {
    const fact = facts[each.dataset["if"] ?? ""];
    if (fact !== undefined) each.hidden = !fact;
  }
}

/** @param {string} name @param {string} words */
export function element(name, words) {
  const made = document.createElement(name);
  made.textContent = words;
  return made;
}

/** The parts of `#name/ref/from`; none where a hand or another program has spoiled the address.
 * @param {string} hash @returns {string[]} */
export function parts(hash) {
  try {
    const told = decodeURIComponent(hash.slice(1));
    return told ? told.split("/") : [];
  } catch {
    return [];
  }
}

/** The reader's language in the city's region, with the digits in which the server writes numbers: a page never mixes
 * two kinds. */
export function locale() {
  const { dataset, lang } = document.documentElement;
  return `${dataset["locale"] ?? lang}-u-nu-latn`;
}
