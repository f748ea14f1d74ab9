// Keeps what opens without signal: home, the report, one's own reports and the "no signal" page for everybody and, on a
// crew's phone, the crew's shell with all its files. Answers GET only, and what another app shares into this one; it
// never touches, keeps or repeats another POST. Shows the city's notes where the browser does not do it by itself.
const RELEASE = {{ release|tojson }};
const EVERYBODY = `cityline-${RELEASE}`;
const CREW = `cityline-crew-${RELEASE}`;
const OFFLINE = {{ offline|tojson }};
const FORMS = {{ forms|tojson }};
const FORM_FILES = {{ form_files|tojson }};
const SHELLS = {{ shells|tojson }};
const FILES = {{ files|tojson }};
const SHARES = {{ shares|tojson }};
const SHARED = "shared-into-cityline"; // no release in its name: a photo outlives one. resident/share_target.js reads it
const ICON = {{ icon|tojson }};
const STATIC = `/static/${RELEASE}/`;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => event.waitUntil(told(event)));
self.addEventListener("sync", (event) => event.waitUntil(wake()));
self.addEventListener("push", (event) => event.waitUntil(show(event.data)));
self.addEventListener("notificationclick", (event) => event.waitUntil(open(event.notification)));
self.addEventListener("notificationclose", (event) => event.waitUntil(count()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.method === "POST" && SHARES.includes(url.pathname) && !isForeign(request)) event.respondWith(share(request, url));
  if (request.method !== "GET") return;
  if (url.pathname.startsWith(STATIC)) event.respondWith(file(request));
  else if (request.mode === "navigate") event.respondWith(page(request, url));
});

/** A new release is whole or not there: the old worker serves the old one until then. */
async function install() {
  await fill(EVERYBODY, FORM_FILES);
  await fill(EVERYBODY, [...OFFLINE, ...FORMS]);
  if ((await caches.keys()).some((name) => name.startsWith("cityline-crew-"))) await keepCrew();
}

async function activate() {
  const names = (await caches.keys()).filter((name) => name.startsWith("cityline-"));
  await Promise.all(names.filter((name) => name !== EVERYBODY && name !== CREW).map((name) => caches.delete(name)));
}

/**
 * What the crew's page asks for: "keep" the shell on this phone (answered true once it is here), or that a worker
 * that waits takes over, "alone" only if no other page runs, "now" because somebody tapped.
 */
async function told({ data: { word, release }, ports: [port] }) {
  try {
    const keeps = word === "keep" && release === RELEASE;
    if (keeps) {
      await keepCrew();
      await clients.claim(); // the page that asked is of this release: a newer one waits for it
    }
    const alone = (await clients.matchAll({ type: "window", includeUncontrolled: true })).length <= 1;
    const goes = word === "now" || (word === "alone" && alone);
    if (goes) await self.skipWaiting();
    port?.postMessage(keeps || goes);
  } catch {
    port?.postMessage(false);
  }
}

/** The shells come last, one a language: where all are, all that they load is there. */
async function keepCrew() {
  const cache = await caches.open(CREW);
  if ((await Promise.all(SHELLS.map((shell) => cache.match(shell)))).every(Boolean)) return;
  await fill(CREW, FILES);
  await fill(CREW, SHELLS);
}

/** Keeps only what the city itself sent, and of this very release: neither a hotel's page nor a newer file. */
async function fill(name, urls) {
  const cache = await caches.open(name);
  const added = urls.map(async (url) => {
    const response = await fetch(url, { credentials: "omit", redirect: "error", headers: { "X-Cityline-Keep": "1" } });
    if (!response.ok || response.headers.get("X-Cityline-Release") !== RELEASE) throw new Error(`no ${url}`);
    await cache.put(url, response);
  });
  await Promise.all(added);
}

/** Signal is back: the page itself sends, since a POST that is repeated here would be empty on some phones. */
async function wake() {
  for (const page of await clients.matchAll({ type: "window" })) page.postMessage("sync");
}

/** A declarative push message (its mark is 8030), in a browser that hands it to us instead of showing it. */
async function show(data) {
  const { web_push: mark, notification } = data?.json() ?? {};
  if (mark !== 8030) return;
  const { title, navigate, ...options } = notification;
  await self.registration.showNotification(title, { ...options, icon: ICON, data: { navigate } });
  await count();
}

/** The number on the app's icon is that of the notes nobody has looked at; badge.js counts them too. */
async function count() {
  const unread = (await self.registration.getNotifications()).length;
  await (unread ? navigator.setAppBadge?.(unread) : navigator.clearAppBadge?.())?.catch(() => {});
}

/** The page that stands open with it comes to the front, or a new one opens; never another site's. */
async function open(notification) {
  notification.close();
  await count();
  const url = new URL(notification.data?.navigate ?? "/", location.origin);
  if (url.origin !== location.origin) return;
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = pages.find((page) => page.url === url.href);
  if (there) await there.focus();
  else await clients.openWindow(url.href);
}

/**
 * What another app shares lies on this phone until the form has it, which opens next, with signal or without. Nothing
 * goes to the city before its person has seen it and pressed Send. Where the phone has no room the city takes it.
 */
async function share(request, url) {
  const form = url.pathname.replace("share", "report");
  const again = request.clone();
  try {
    const sent = await request.formData();
    const cache = await caches.open(SHARED);
    const files = sent.getAll("photo").filter((file) => file instanceof File && file.size);
    const told = ["title", "text", "url"].map((name) => String(sent.get(name) ?? ""));
    await Promise.all(files.map((file) => cache.put(piece(), new Response(file, { headers: named(file) }))));
    if (told.some(Boolean)) await cache.put(piece("words"), new Response(JSON.stringify(told)));
    return Response.redirect(`${form}#shared`, 303);
  } catch {
    return fetch(again).catch(() => Response.redirect(`${form}#not-shared`, 303));
  }
}

/** An address for one piece, after all that lie there. @param {string} [kind] */
function piece(kind = "photo") {
  return `/shared/${Date.now()}-${Math.random()}/${kind}`;
}

/** @param {File} file */
function named(file) {
  return { "Content-Type": file.type || "application/octet-stream", "X-Name": encodeURIComponent(file.name) };
}

/** Whether a page elsewhere says that it sends this; the city refuses it. @param {Request} request */
function isForeign({ referrer }) {
  return referrer.startsWith("http") && new URL(referrer).origin !== location.origin;
}

/** A file whose address names its release never changes. */
async function file(request) {
  const found = await kept(request.url);
  if (found) return found;
  const fresh = await fetch(request);
  if (fresh.status === 200 && fresh.headers.get("X-Cityline-Release") === RELEASE) {
    await (await caches.open(EVERYBODY)).put(request.url, fresh.clone());
  }
  return fresh;
}

/** The crew's shell comes from the phone, with signal too; all other pages from the network, and no copy is kept. */
async function page(request, url) {
  const shell = SHELLS.includes(url.pathname) && (await kept(url.pathname));
  if (shell) return shell;
  try {
    return await fetch(request);
  } catch (fault) {
    const wanted = OFFLINE.find((each) => each !== "/offline" && url.pathname.startsWith(each.replace("offline", "")));
    const form = FORMS.includes(url.pathname) ? await kept(url.pathname) : undefined;
    const found = form ?? (await kept(wanted ?? "/offline"));
    if (found) return found;
    throw fault;
  }
}

/** Of this worker's own release, never of another that waits. */
async function kept(url) {
  const options = { ignoreVary: true };
  return (await (await caches.open(CREW)).match(url, options)) ?? (await caches.open(EVERYBODY)).match(url, options);
}
