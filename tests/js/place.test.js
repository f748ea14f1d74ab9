// The location card's own decisions: which fix goes before another, which is worth a new look, where a key leads.

import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { isNews, listen } from "../../pwa/static/js/lib/geolocation_watch.js";
import { led } from "../../pwa/static/js/lib/address_autocomplete.js";
import { apart, placed } from "../../pwa/static/js/map/things.js";

/** @param {number} metres */
const fix = (metres) => ({ lat: 39.6, lon: -71.2, metres });

/** A phone that can be told where it is; `watching` is what the page asked for. */
function phone() {
  const made = { watching: 0, /** @type {any} */ tell: null, /** @type {any} */ fail: null };
  const geolocation = {
    watchPosition(/** @type {any} */ found, /** @type {any} */ failed) {
      made.watching = 1;
      made.tell = (/** @type {number} */ accuracy, latitude = 39.6) => found({ coords: { latitude, longitude: -71.2, accuracy } });
      made.fail = (/** @type {number} */ code) => failed({ code, PERMISSION_DENIED: 1 });
      return 1;
    },
    clearWatch: () => void (made.watching = 0),
  };
  Object.defineProperty(globalThis, "navigator", { value: { geolocation }, configurable: true });
  return made;
}

afterEach(() => mock.timers.reset());

test("a better fix goes before a worse one, and never the other way", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const told = phone();
  /** @type {number[]} */ const found = [];
  listen(({ metres }) => found.push(metres), () => assert.fail());
  for (const accuracy of [120, 80, 95, 80, 79.4, 31, 30, 200]) told.tell(accuracy);
  assert.deepEqual(found, [120, 80, 79, 31, 30]);
});

test("the phone rests once it cannot get much better, or when the page was left open", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const good = phone();
  listen(() => {}, () => {});
  good.tell(6);
  assert.equal(good.watching, 1);
  good.tell(5);
  assert.equal(good.watching, 0);
  const left = phone();
  listen(() => {}, () => {});
  left.tell(60);
  mock.timers.tick(300_000);
  assert.equal(left.watching, 0);
});

test("a signal that is lost may come back; without permission, or without any fix, there is none", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let refused = 0;
  const begin = () => {
    const told = phone();
    listen(() => {}, () => void refused++);
    return told;
  };
  const lost = begin();
  lost.tell(40);
  lost.fail(3);
  assert.deepEqual([lost.watching, refused], [1, 0]);
  lost.fail(1);
  assert.deepEqual([lost.watching, refused], [0, 1]);
  const silent = begin();
  silent.fail(3);
  assert.deepEqual([silent.watching, refused], [0, 2]);
});

test("worth a new look is what is clearly better, or what the city begins to trust", () => {
  assert.equal(isNews(fix(400), null), true);
  assert.equal(isNews(fix(300), fix(400)), false);
  assert.equal(isNews(fix(280), fix(400)), true);
  assert.equal(isNews(fix(100), fix(101)), true);
  assert.equal(isNews(fix(30), fix(31)), true);
  assert.equal(isNews(fix(29), fix(30)), false);
});

test("arrows lead through the list and round again; other keys belong to the box", () => {
  assert.deepEqual(["ArrowDown", "ArrowUp"].map((key) => led(key, -1, 3)), [0, 2]);
  assert.deepEqual(["ArrowDown", "ArrowUp"].map((key) => led(key, 2, 3)), [0, 1]);
  assert.deepEqual(["ArrowDown", "ArrowUp"].map((key) => led(key, 0, 3)), [1, 2]);
  assert.deepEqual(["Home", "a", "Enter"].map((key) => led(key, 0, 3)), [null, null, null]);
  assert.equal(led("ArrowDown", -1, 0), null);
});

test("numbers on the map lie over no other: the nearest goes first, and what is hidden hides nothing", () => {
  const things = [{ x: 0, y: 0 }, { x: 40, y: 10 }, { x: 80, y: 20 }, { x: 0, y: 33 }, { x: 10, y: -31 }];
  assert.deepEqual(apart(things, (each) => each), [things[0], things[2], things[3]]);
});

test("a number makes room for the case that stands on its foot, and is left out where there is none", () => {
  const size = { x: 40, y: 16 };
  const [down, aside] = [{ x: 0, y: 12 }, { x: 34, y: -10 }];
  const moves = () => [down, aside];
  const pole = { x: 100, y: 10 }; // its number, below the foot at 100, 0
  const pin = { x: 100, y: 0, reach: 12 };
  const at = (/** @type {{x: number, y: number}} */ each) => each;
  const stays = { x: 0, y: 0 };
  assert.deepEqual(placed([pole], at, size, [], moves), [{ thing: pole, move: stays }]);
  assert.deepEqual(placed([pole], at, size, [pin], moves), [{ thing: pole, move: down }]);
  const below = { x: 100, y: 32, reach: 12 };
  assert.deepEqual(placed([pole], at, size, [pin, below], moves), [{ thing: pole, move: aside }]);
  assert.deepEqual(placed([pole], at, size, [{ x: 100, y: 10, reach: 60 }], moves), []);
  assert.deepEqual(placed([pole], at, size, [pin]), [], "a house's number isn't moved to another house");
  const next = { x: 100, y: 36 }; // lies where the first one was moved to, and no case stands there
  assert.deepEqual(placed([pole, next], at, size, [pin], moves), [{ thing: pole, move: down }]);
});
