// Rows of one's own reports: as the city's page lists them, as this phone saw them last, and as they wait here.

import { clone, fill, part, when } from "../lib/dom.js";

/**
 * What one row shows. `icon` is the address of a symbol; `promise` is empty where the state alone is told.
 * @typedef {{ href: string, what: string, where: string, words: string, thumb: string, icon: string, standing: string,
 *   promise: string, state: string }} Own
 */

const SEEN = "seen-on-this-phone"; // no release in its name: what was seen outlives one
const LIST = "/mine";
const PHOTOS = 12; // of the newest: what a phone may keep without being asked

/** @param {Own} own @returns {HTMLElement} a row as the city's page draws it */
export function drawn(own) {
  const item = part(clone("own-row"), "li");
  const link = /** @type {HTMLAnchorElement} */ (part(item, "a"));
  if (own.href) link.href = own.href;
  else link.removeAttribute("href");
  for (const name of /** @type {const} */ (["what", "where", "words", "promise"])) fill(item, name, own[name]);
  part(item, ".said").hidden = !own.words;
  when(item, { [own.state]: true });
  if (own.icon) part(item, ".thumb use").setAttribute("href", own.icon);
  if (own.standing) {
    const told = part(item, '[data-if="told"]');
    told.dataset["promise"] = own.standing;
    part(told, "use").setAttribute("href", `#m-${own.standing}`);
  }
  if (own.thumb) show(item, own.thumb);
  return item;
}

/** A picture that this browser cannot show, as a HEIC, leaves the symbol in its place. @param {HTMLElement} item @param {string} address */
function show(item, address) {
  const image = /** @type {HTMLImageElement} */ (part(item, "img"));
  image.onload = () => {
    image.hidden = false;
    part(item, ".thumb--icon").hidden = true;
  };
  image.src = address;
}

/** The city's list of one's own reports; null without signal. @param {string} address @returns {Promise<HTMLElement | null>} */
export async function asked(address) {
  try {
    const answer = await fetch(address);
    const page = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
    return page.querySelector("#own"); // a network's log-in page has none
  } catch {
    return null;
  }
}

/** The row of a case in the list. @param {ParentNode} list @param {string} number @returns {HTMLElement | null} */
export function rowOf(list, number) {
  return list.querySelector(`li:has(a[href$="/case/${CSS.escape(number)}"])`);
}

/** Makes this browser the holder of a report that was sent without signal. @param {string} link */
export async function claim(link) {
  await fetch(link).catch(() => {});
}

/** Keeps what the city's list says, with the photos of the newest, for a time without signal. @param {HTMLElement} list */
export async function remember(list) {
  const rows = [...list.querySelectorAll("li:not([data-op])")].map(read);
  const cache = await caches.open(SEEN);
  const photos = rows.slice(0, PHOTOS).flatMap(({ thumb }) => thumb || []);
  for (const { url } of await cache.keys()) {
    const { pathname } = new URL(url);
    if (!photos.includes(pathname)) await cache.delete(url);
  }
  await cache.put(LIST, new Response(JSON.stringify({ when: list.dataset["when"], rows })));
  for (const photo of photos) {
    if (!(await cache.match(photo))) await cache.add(photo).catch(() => {});
  }
}

/** What this phone saw last, its photos as addresses that need no signal; null where it saw nothing.
 * @returns {Promise<{ when: string, rows: Own[] } | null>} */
export async function lastSeen() {
  const cache = await caches.open(SEEN);
  /** @type {{ when: string, rows: Own[] } | undefined} */
  const seen = await (await cache.match(LIST))?.json();
  if (!seen?.rows.length) return null;
  for (const row of seen.rows) {
    const photo = row.thumb && (await cache.match(row.thumb));
    row.thumb = photo ? URL.createObjectURL(await photo.blob()) : "";
  }
  return seen;
}

/** @param {Element} item @returns {Own} */
function read(item) {
  const promise = item.querySelector(".promise");
  /** @param {string} selector */
  const words = (selector) => item.querySelector(selector)?.textContent?.trim() ?? "";
  /** @param {string} selector @param {string} name */
  const named = (selector, name) => item.querySelector(selector)?.getAttribute(name) ?? "";
  return {
    href: named("a", "href"),
    what: words("b"),
    where: words("small"),
    words: words(".said"),
    thumb: named("img", "src"),
    icon: named(".thumb--icon use", "href"),
    standing: promise?.getAttribute("data-promise") ?? "",
    promise: words(".promise"),
    state: "told",
  };
}
