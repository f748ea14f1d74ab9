// The questions of a form that shows only those that what was chosen leads to.

import { all } from "./dom.js";

/** @param {HTMLElement} field whether it shows: a choice that was not taken hides its questions */
const isAsked = (field) => field.offsetParent !== null;

/** The ids of those that must be answered. @param {HTMLFormElement} form */
export const requiredIn = (form) => all(form, "[data-required]").filter(isAsked).map(({ id }) => id);

/** The first answer that its type does not take. @param {HTMLFormElement} form @param {string} service */
export const wrongIn = (form, service) =>
  all(form, `[id^="answer-${CSS.escape(service)}-"]:invalid`).find((field) => field.matches("input") && isAsked(field));
