// Browsers that never answer: what a person waits for ends all the same.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

const never = () => new Promise(() => {});
const put = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
put("window", Object.assign(new EventTarget(), { addEventListener() {}, removeEventListener() {} }));

/** What comes of it when so much time passes as a person would not wait. */
async function inTime(work) {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let end;
    const began = work();
    began.then((value) => (end = { value }), (fault) => (end = { fault }));
    for (let i = 0; i < 70 && !end; i++) {
      await new Promise(setImmediate);
      mock.timers.tick(1_000);
    }
    await new Promise(setImmediate);
    return end;
  } finally {
    mock.timers.reset();
  }
}

test("a picture that the browser never opens is kept as it came, without a small one", async () => {
  const { shrink, thumbnail } = await import("../../pwa/static/js/lib/image_resize.js");
  put("createImageBitmap", never);
  const file = new File(["x"], "a.jpg", { type: "image/jpeg" });
  assert.equal((await inTime(() => shrink(file)))?.value, file);
  assert.deepEqual(await inTime(() => thumbnail(file)), { value: undefined });
});

test("a picture that the browser never packs is kept as it came", async () => {
  const { shrink } = await import("../../pwa/static/js/lib/image_resize.js");
  put("createImageBitmap", async () => ({ width: 9, height: 9, close() {} }));
  put("document", { createElement: () => ({ getContext: () => ({ fillRect() {}, drawImage() {} }), toBlob() {} }) });
  const file = new File(["x"], "a.jpg", { type: "image/jpeg" });
  assert.equal((await inTime(() => shrink(file)))?.value, file);
});

test("a lock that is never given ends the round, and the next may go", async () => {
  const { oneTab } = await import("../../pwa/static/js/lib/web_lock.js");
  put("navigator", { locks: { request: never } });
  assert.deepEqual(await inTime(() => oneTab(never)), { value: false });
});

test("without locks too a round that never ends holds up no other", async () => {
  const { oneTab } = await import("../../pwa/static/js/lib/web_lock.js");
  put("navigator", {});
  assert.deepEqual(await inTime(() => oneTab(never)), { value: true });
});

test("an answer whose body stops half-way is no signal, and not a hotel's", async () => {
  const { net } = await import("../../pwa/static/js/sync/http.js");
  put("fetch", async (_path, { signal }) => {
    const json = () => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    return { status: 200, headers: new Headers({ "Content-Type": "application/json" }), json };
  });
  assert.equal((await inTime(() => net.exchange({})))?.fault?.name, "AbortError");
});

/** A disk of which requests are answered at once, or, while it is stuck, never. */
function disk() {
  const here = { stuck: "", opened: 0, closed: 0, aborted: 0, rows: new Map() };
  const answer = (result, at) => {
    const request = { result };
    if (here.stuck !== at) setImmediate(() => request.onsuccess?.());
    return request;
  };
  const base = () => ({
    close: () => here.closed++,
    transaction: () => {
      const tx = {
        error: null,
        abort: () => here.aborted++,
        objectStore: (name) => ({
          get: (key) => answer(here.rows.get(`${name}/${key}`), "get"),
          put: (value, key) => here.rows.set(`${name}/${key}`, value),
        }),
      };
      // A transaction ends once nothing more is asked of it.
      if (here.stuck !== "write") setTimeout(() => setImmediate(() => tx.oncomplete?.()), 100);
      return tx;
    },
  });
  put("indexedDB", { open: () => answer((here.opened++, base()), "open") });
  return here;
}

for (const stuck of ["open", "get", "write"]) {
  test(`a disk that never answers (${stuck}) is no save, and is opened anew for the next`, async () => {
    const { openStore } = await import("../../pwa/static/js/sync/indexeddb.js");
    const here = disk();
    const store = openStore();
    here.stuck = stuck;
    const save = () => store.write("outbox", [["put", "ops", "a", 1]]);
    assert.equal((await inTime(save))?.fault?.message, "no answer");
    assert.equal(here.aborted, stuck === "open" ? 0 : 1);
    here.stuck = "";
    assert.deepEqual(await inTime(save), { value: undefined });
    assert.equal(here.opened, 2);
  });
}
