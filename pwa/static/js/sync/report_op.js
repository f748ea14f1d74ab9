// A report form as a report operation says it: a resident's that cannot be sent, and a crew's. Pure.

/** @typedef {[string, string][]} Fields names and values as the form has them, in its order */

/**
 * What was filled in, as `docs/reference/sync.md` names it. An address goes before what the phone says of its place, and the
 * number of a pole that was chosen before both, as in the form; whoever called 911 just now need not say what to call it.
 * @param {Fields} fields
 * @param {string} lang
 * @param {string} last the last tile's group, which has what fits nowhere else
 */
export function told(fields, lang, last) {
  const form = Object.fromEntries(fields);
  const danger = form["danger"] === "1";
  const group = form["group"] || (danger ? last : "");
  const service = form["kind"] || (form[`service-${group}`] ?? "");
  const address = (form["place"] ?? "").trim();
  const join = form["join"] ?? "";
  const asset = form["asset"] ?? "";
  return {
    service,
    words: (form["words"] ?? "").replaceAll("\r\n", "\n").trim(),
    lang,
    ...(address ? { address } : fix(form)),
    ...(asset ? { asset } : {}),
    answers: answersOf(fields, service),
    ...(danger ? { danger } : {}),
    ...(join ? { join } : {}),
  };
}

/** Something like "20-118" or "4711": what is painted on a pole, and no address. */
const NUMBER_ON_SITE = /^[^\s\d]*\d\S*$/;

/**
 * The same for a crew, which stands there: the words name the point where the phone is, and do not replace it. The
 * number of a pole goes before both, where the city knows it.
 * @param {Fields} fields
 * @param {string} lang
 * @param {string} last
 */
export function toldOnSite(fields, lang, last) {
  const form = Object.fromEntries(fields);
  const address = (form["place"] ?? "").trim();
  return {
    ...told(fields.filter(([name]) => name !== "place"), lang, last),
    group: form["group"] || last,
    ...(address ? { address } : {}),
    ...(NUMBER_ON_SITE.test(address) ? { asset: address } : {}),
  };
}

/**
 * What is missing, as the ids of the fields where it is mended.
 * @param {ReturnType<typeof told>} data
 * @param {string[]} required the ids of the questions that must be answered
 */
export function missing(data, required) {
  const prefix = `answer-${data.service}-`;
  const questions = required.filter((id) => id.startsWith(prefix) && !data.answers[id.slice(prefix.length)]);
  const known = "address" in data || "lat" in data;
  return [...(data.service ? [] : ["kind"]), ...questions, ...(known ? [] : ["place"])];
}

/** @param {Record<string, string>} form */
function fix(form) {
  const { lat = "", lon = "", accuracy = "", pinned = "" } = form;
  if (!lat || !lon) return {};
  return {
    lat: Number(lat),
    lon: Number(lon),
    ...(accuracy ? { accuracy: Number(accuracy) } : {}),
    ...(pinned === "photo" ? { source: pinned } : {}),
  };
}

/** @param {Fields} fields @param {string} service */
function answersOf(fields, service) {
  /** @type {Record<string, string>} */
  const answers = {};
  for (const [name, value] of fields) {
    const prefix = `answer-${service}-`;
    if (service && name.startsWith(prefix) && value.trim()) {
      const code = name.slice(prefix.length); // several choices come under one name
      answers[code] = [...(answers[code] ? [answers[code]] : []), value.trim()].join(",");
    }
  }
  return answers;
}
