{% set pages = ["/offline"] %}
{% for code in city.languages[1:] %}{{ pages.append("/" ~ code ~ "/offline") or "" }}{% endfor %}
// Keeps static files and the "no signal" page. Answers GET only; it never touches, keeps or repeats a POST.
const RELEASE = {{ release|tojson }};
const CACHE = `cityline-${RELEASE}`;
const OFFLINE = {{ pages|tojson }};
const STATIC = `/static/${RELEASE}/`;

self.addEventListener("install", (event) => {
  // "reload": a copy from the browser's own cache could be of an older release.
  const pages = OFFLINE.map((url) => new Request(url, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([...pages, {{ css('public')|tojson }}, {{ css('crew')|tojson }}])));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then((names) =>
      Promise.all(names.filter((name) => name.startsWith("cityline-") && name !== CACHE).map((name) => caches.delete(name))),
    ),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith(STATIC)) event.respondWith(kept(request));
  else if (request.mode === "navigate") event.respondWith(page(request, url));
});

/** A file whose address names its release never changes. */
async function kept(request) {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request);
  if (found) return found;
  const fresh = await fetch(request);
  if (fresh.ok && fresh.status === 200) await cache.put(request, fresh.clone());
  return fresh;
}

/** Pages come from the network; no copy of a personal page is ever kept here. */
async function page(request, url) {
  try {
    return await fetch(request);
  } catch (fault) {
    const wanted = OFFLINE.find((each) => each !== "/offline" && url.pathname.startsWith(each.replace("offline", "")));
    const found = await caches.match(wanted ?? "/offline");
    if (found) return found;
    throw fault;
  }
}
