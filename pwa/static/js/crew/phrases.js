// Puts the page's own sentences together: words from the template, dates on the city's clocks.

import { isDone, standing } from "../sync/jobs.js";
import { localized } from "../lib/localized.js";

/** @typedef {import("../sync/jobs.js").Job} Job */

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/**
 * @param {HTMLTemplateElement} template the sentences, and how the city's region writes @param {string} lang
 * @param {string} zone
 */
export function speaker(template, lang, zone) {
  /** @type {Map<string, string>} */
  const words = new Map();
  for (const each of template.content.querySelectorAll("[data-word]")) {
    words.set(each.getAttribute("data-word") ?? "", each.textContent ?? "");
  }
  const plural = new Intl.PluralRules(lang);
  const { day, clock, distance: length, isSameDay } = localized(JSON.parse(template.dataset["formats"] ?? ""), zone);

  /** @param {string} key @param {Record<string, string | number>} [values] */
  function say(key, values = {}) {
    const said = words.get(key) ?? "";
    return said.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  }

  /** @param {string} key @param {number} n @param {Record<string, string | number>} [values] */
  function many(key, n, values = {}) {
    const form = `${key}.${plural.select(n)}`;
    return say(words.has(form) ? form : `${key}.other`, { ...values, n });
  }

  /** The clock today, the day before that. @param {number} ms @param {number} now */
  function moment(ms, now) {
    return isSameDay(ms, now) ? clock(ms) : day(ms, now);
  }

  /** The promise in words, and the new date that residents were told. @param {Job} job @param {number} now ms @returns {string} */
  function promise(job, now) {
    const told = job.new && !isDone(job) ? say("new_date", { day: day(job.new * 1000, now) }) : "";
    return [promised(job, now), told].filter(Boolean).join(" ·\u00a0");
  }

  /** Never a status code. @param {Job} job @param {number} now ms @returns {string} */
  function promised(job, now) {
    if (isDone(job)) {
      const what = say(`did.${job.ended ?? job.done?.outcome ?? "no action"}`);
      if (job.pending) return say("to_send", { what });
      return job.done ? `${what}\u00a0${moment(job.done.at * 1000, now)}` : what;
    }
    if (job.own) return say("no_number");
    if (job.state === "waiting") {
      const what = say(`wait.${job.wait}`) || say("wait");
      const waits = job.until ? say("until", { what, day: day(job.until * 1000, now) }) : what;
      return standing(job, now / 1000) === "late" ? `${promised({ ...job, state: "assigned" }, now)} ·\u00a0${waits}` : waits;
    }
    const late = now / 1000 - job.due;
    if (late > 86_400) return many("late_days", Math.floor(late / 86_400));
    if (late > 0) return many("late_hours", Math.max(1, Math.floor(late / 3600)));
    const due = job.due * 1000;
    if (isSameDay(due, now)) return say("by_time", { time: clock(due) });
    return job.hourly ? say("by_hour", { day: day(due, now), time: clock(due) }) : say("by_day", { day: day(due, now) });
  }

  /** Where to go: address and the asset's number. @param {Job} job */
  function place(job) {
    const number = job.asset?.replaceAll("-", "\u2011"); // never broken in two
    const unnamed = job.own && job.lat !== undefined ? "own_place" : "no_place";
    const told = job.address ? where(job.address) : "";
    return [told || say(unnamed), number && apart(number)].filter(Boolean).join(" ·\u00a0");
  }

  /** What the city told as "near 12 Elm St" (city/places/reverse_geocoder.py), in the crew's language. @param {string} told */
  function where(told) {
    const [, metres, off, beside, street, other] =
      /^about (\d+) m from (.+)|^near (.+)|^(.+?) at (.+)/.exec(told) ?? [];
    if (off) return say("off", { distance: distance(Number(metres)), place: apart(off) });
    if (beside) return say("near", { place: apart(beside) });
    return street && other ? say("corner", { street: apart(street), other: apart(other) }) : apart(told);
  }

  /** Words of the city, in the crew's language. @param {string | Record<string, string>} named */
  function named(named) {
    return typeof named === "string" ? named : (named[lang] ?? Object.values(named)[0] ?? "");
  }

  /** An answer to a question: words, or a moment as the city keeps it. @param {string | Record<string, string>} given */
  function answered(given) {
    const at = typeof given === "string" && MOMENT.test(given) ? Date.parse(given) : NaN;
    return Number.isNaN(at) ? named(given) : `${day(at, Date.now())}, ${clock(at)}`;
  }

  /** "130 ft", "0.4 mi" @param {number} metres */
  function distance(metres) {
    return apart(length(metres));
  }

  return { say, many, moment, promise, place, named, answered, distance };
}

/** A name or number that keeps its own direction in a page from right to left, as `apart` in localization.py has it.
 * @param {string} text */
function apart(text) {
  return globalThis.document?.dir === "rtl" ? `\u2068${text}\u2069` : text;
}

/** @typedef {ReturnType<typeof speaker>} Speaker */
