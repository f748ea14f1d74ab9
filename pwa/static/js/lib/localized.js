// Days, clocks and distances as pwa/web/localization.py writes them on pages: by the patterns that it hands over.

/**
 * @typedef {object} Unit
 * @property {number} meters how long it is
 * @property {[number, number][] | null} steps from which length on it is rounded to which
 * @property {Record<string, string>} words by plural form, with {n} where the number goes
 *
 * @typedef {object} Formats what `for_scripts` in pwa/web/localization.py gives
 * @property {string} tag "es-US"
 * @property {string} row a day of this year, a pattern of the CLDR
 * @property {string} otherYear a day of any other year
 * @property {string} clock
 * @property {string} hour a clock on the hour
 * @property {Record<string, string[]>} weekdays short, from Sunday: as they stand in a date ("format") and alone
 * @property {Record<string, string[]>} months the same
 * @property {string[]} periods before and after noon
 * @property {Unit[]} units a small one and a large one
 * @property {number} mostSmall where the large one begins, in the small one
 */

const FIELD = /'([^']*)'|E+|c+|M+|L+|d+|y+|h+|H+|K+|k+|m+|a|B+|[^'a-zA-Z]+/g;

/** @param {Formats} formats @param {string} zone */
export function localized(formats, zone) {
  const numbers = new Intl.NumberFormat(`${formats.tag}-u-nu-latn`, { maximumFractionDigits: 1 });
  const fields = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", weekday: "short",
    hour: "numeric", minute: "numeric",
  });
  const plural = new Intl.PluralRules(formats.tag);
  const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

  /** The instant on the city's own clocks. @param {number} ms */
  function local(ms) {
    const found = Object.fromEntries(fields.formatToParts(ms).map(({ type, value }) => [type, value]));
    /** @param {string} name */
    const number = (name) => Number(found[name]);
    return {
      year: number("year"), month: number("month"), day: number("day"), hour: number("hour"),
      minute: number("minute"), weekday: weekdays.indexOf(found["weekday"] ?? ""),
    };
  }

  /** @param {string} pattern @param {number} ms */
  function write(pattern, ms) {
    const at = local(ms);
    const half = at.hour < 12 ? 0 : 1;
    /** @type {Record<string, (width: number) => string | number | undefined>} */
    const told = {
      E: () => formats.weekdays["format"]?.[at.weekday],
      c: () => formats.weekdays["stand-alone"]?.[at.weekday],
      M: (width) => (width < 3 ? wide(at.month, width) : formats.months["format"]?.[at.month - 1]),
      L: (width) => (width < 3 ? wide(at.month, width) : formats.months["stand-alone"]?.[at.month - 1]),
      d: (width) => wide(at.day, width),
      y: () => at.year,
      h: (width) => wide(at.hour % 12 || 12, width),
      H: (width) => wide(at.hour, width),
      K: (width) => wide(at.hour % 12, width),
      k: (width) => wide(at.hour || 24, width),
      m: (width) => wide(at.minute, width),
      a: () => formats.periods[half],
      B: () => formats.periods[half],
    };
    const words = pattern.replace(FIELD, (field, quoted) => {
      if (quoted !== undefined) return quoted || "'";
      return String(told[field.charAt(0)]?.(field.length) ?? field);
    });
    return words.replace(/[ \u202f]/g, "\u00a0");
  }

  /** "Fri, Dec 4"; "Dec 4, 2025" where it is another year. Never broken. @param {number} ms @param {number} now */
  function day(ms, now) {
    return write(local(ms).year === local(now).year ? formats.row : formats.otherYear, ms);
  }

  /** "5:12 pm", "8 pm"; "17:12" in a region that counts hours to 24. @param {number} ms */
  function clock(ms) {
    return write(local(ms).minute ? formats.clock : formats.hour, ms).toLowerCase();
  }

  /** @param {number} ms @param {number} other */
  function isSameDay(ms, other) {
    const [a, b] = [local(ms), local(other)];
    return a.year === b.year && a.month === b.month && a.day === b.day;
  }

  /** "130 ft", "0.4 mi"; "40 m", "1.2 km" outside the US. @param {number} meters */
  function distance(meters) {
    const [small, large] = formats.units;
    if (!small || !large) return "";
    const length = meters / small.meters;
    const [, step] = small.steps?.find(([from]) => length >= from) ?? [0, 1];
    const rounded = even(length / step) * step;
    if (rounded < formats.mostSmall) return count(small, rounded);
    return count(large, even((meters / large.meters) * 10) / 10);
  }

  /** @param {Unit} unit @param {number} n */
  function count({ words }, n) {
    return (words[plural.select(n)] ?? words["other"] ?? "{n}").replace("{n}", numbers.format(n));
  }

  return { day, clock, isSameDay, distance };
}

/** @param {number} n @param {number} width */
function wide(n, width) {
  return String(n).padStart(width, "0");
}

/** To the nearest whole number, halves to the even one, as Python rounds. @param {number} n */
function even(n) {
  const floor = Math.floor(n);
  return n - floor === 0.5 ? floor + (floor % 2) : Math.round(n);
}
