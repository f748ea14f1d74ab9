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

/** @param {HTMLFormElement} form */
export function inputs(form) {
  return /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input")]);
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
