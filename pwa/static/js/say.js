// Puts the page's own sentences together: words from the template, dates on the city's clocks.

import { isDone } from "./jobs.js";
import { latin } from "./page.js";

/** @typedef {import("./jobs.js").Job} Job */

/** @param {HTMLTemplateElement} template @param {string} lang @param {string} zone */
export function speaker(template, lang, zone) {
  /** @type {Map<string, string>} */
  const words = new Map();
  for (const each of template.content.querySelectorAll("[data-word]")) {
    words.set(each.getAttribute("data-word") ?? "", each.textContent ?? "");
  }
  const plural = new Intl.PluralRules(lang);
  const tongue = latin(lang);
  const days = new Intl.DateTimeFormat(tongue, { weekday: "short", day: "numeric", month: "short", timeZone: zone });
  const times = new Intl.DateTimeFormat(tongue, { hour: "numeric", minute: "2-digit", timeZone: zone });
  const { hour12 } = times.resolvedOptions();
  const dates = new Intl.DateTimeFormat("en-CA", { timeZone: zone });

  /** @param {string} key @param {Record<string, string | number>} [values] */
  function say(key, values = {}) {
    const said = words.get(key) ?? "";
    return said.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  }

  /** @param {string} key @param {number} n */
  function many(key, n) {
    const form = `${key}.${plural.select(n)}`;
    return say(words.has(form) ? form : `${key}.other`, { n });
  }

  /** "Thu 26 Nov", never broken. @param {number} ms */
  function day(ms) {
    const parts = Object.fromEntries(days.formatToParts(ms).map(({ type, value }) => [type, value]));
    return `${parts["weekday"]}\u00a0${parts["day"]}\u00a0${parts["month"]}`;
  }

  /** "5:12 pm", "8 pm"; "17:12" where the language counts to 24. @param {number} ms */
  function clock(ms) {
    const parts = Object.fromEntries(times.formatToParts(ms).map(({ type, value }) => [type, value]));
    if (!hour12) return `${Number(parts["hour"])}:${parts["minute"]}`;
    const minute = parts["minute"] === "00" ? "" : `:${parts["minute"]}`;
    return `${parts["hour"]}${minute}\u00a0${parts["dayPeriod"]?.toLowerCase()}`;
  }

  /** The clock today, the day before that. @param {number} ms @param {number} now */
  function moment(ms, now) {
    return dates.format(ms) === dates.format(now) ? clock(ms) : day(ms);
  }

  /** The promise in words: never a status code. @param {Job} job @param {number} now ms */
  function promise(job, now) {
    if (isDone(job)) {
      const what = say(`did.${job.ended ?? job.done?.outcome ?? "no action"}`);
      if (job.pending) return say("to_send", { what });
      return job.done ? `${what}\u00a0${moment(job.done.at * 1000, now)}` : what;
    }
    if (job.own) return say("no_number");
    if (job.state === "waiting") return say(`wait.${job.wait}`) || say("wait");
    const late = now / 1000 - job.due;
    if (late > 86_400) return many("late_days", Math.floor(late / 86_400));
    if (late > 0) return many("late_hours", Math.max(1, Math.floor(late / 3600)));
    const due = job.due * 1000;
    if (dates.format(due) === dates.format(now)) return say("by_time", { time: clock(due) });
    return job.hourly ? say("by_hour", { day: day(due), time: clock(due) }) : say("by_day", { day: day(due) });
  }

  /** Where to go: address and the asset's number. @param {Job} job */
  function place(job) {
    const number = job.asset?.replaceAll("-", "\u2011"); // never broken in two
    const unnamed = job.own && job.lat !== undefined ? "own_place" : "no_place";
    const told = job.address ? where(job.address) : "";
    return [told || say(unnamed), number && apart(number)].filter(Boolean).join(" ·\u00a0");
  }

  /** What the city told as "near 12 Elm St" (city/whereabouts.py), in the crew's language. @param {string} told */
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

  /** "40 m", "1.2 km" @param {number} metres */
  function distance(metres) {
    if (metres >= 1000) return apart(`${(metres / 1000).toLocaleString(tongue, { maximumFractionDigits: 1 })}\u00a0km`);
    return apart(`${metres >= 100 ? Math.round(metres / 10) * 10 : Math.round(metres)}\u00a0m`);
  }

  return { say, many, day, clock, moment, promise, place, named, distance };
}

/** A name or number that keeps its own direction in a page from right to left, as `apart` in filters.py has it.
 * @param {string} text */
function apart(text) {
  return globalThis.document?.dir === "rtl" ? `\u2068${text}\u2069` : text;
}

/** @typedef {ReturnType<typeof speaker>} Speaker */
