// What a photo tells of where and when it was taken, and what a spoilt or hostile one may not do.

import assert from "node:assert/strict";
import { test } from "node:test";

import { doubts, taken } from "../../pwa/static/js/lib/photo_metadata.js";

const [ASCII, SHORT, LONG, RATIO] = [2, 3, 4, 5];
const HERE = { lat: 39.6, lon: -71.2 };
const NOON = Date.parse("2026-12-01T12:00:00-05:00");

/**
 * A TIFF file's bytes as Exif has them: lists of [tag, type, values], of which one may lead to another.
 * @param {boolean} isLittle
 * @param {Record<string, [number, number, any][]>} lists the first is the main one; a LONG whose value is a name leads there
 */
function tiff(isLittle, lists) {
  const view = new DataView(new ArrayBuffer(2_000));
  const put16 = (/** @type {number} */ at, /** @type {number} */ n) => view.setUint16(at, n, isLittle);
  const put32 = (/** @type {number} */ at, /** @type {number} */ n) => view.setUint32(at, n, isLittle);
  put16(0, isLittle ? 0x4949 : 0x4d4d);
  put16(2, 42);
  put32(4, 8);
  let free = 8;
  /** @type {Record<string, number>} */
  const at = {};
  for (const [name, entries] of Object.entries(lists)) {
    at[name] = free;
    free += 6 + entries.length * 12;
  }
  for (const [name, entries] of Object.entries(lists)) {
    const begins = at[name] ?? 0;
    put16(begins, entries.length);
    entries.forEach(([tag, type, value], i) => {
      const entry = begins + 2 + i * 12;
      put16(entry, tag);
      put16(entry + 2, type);
      if (type === ASCII) {
        const bytes = [...value, "\0"].map((letter) => letter.charCodeAt(0));
        put32(entry + 4, bytes.length);
        const to = bytes.length > 4 ? free : entry + 8;
        if (bytes.length > 4) put32(entry + 8, free);
        bytes.forEach((byte, n) => view.setUint8(to + n, byte));
        if (bytes.length > 4) free += bytes.length;
      } else if (type === RATIO) {
        put32(entry + 4, value.length);
        put32(entry + 8, free);
        for (const [over, under] of value) {
          put32(free, over);
          put32(free + 4, under);
          free += 8;
        }
      } else {
        put32(entry + 4, 1);
        if (type === SHORT) put16(entry + 8, value);
        else put32(entry + 8, at[value] ?? value);
      }
    });
  }
  return new Uint8Array(view.buffer, 0, free);
}

/** 39.6 north, 71.2 west, at noon, five metres wrong at most. @param {boolean} [isLittle] */
function lamp(isLittle = false) {
  return tiff(isLittle, {
    first: [[0x0112, SHORT, 6], [0x8769, LONG, "details"], [0x8825, LONG, "gps"]],
    details: [[0x9003, ASCII, "2026:12:01 12:00:00"], [0x9011, ASCII, "-05:00"]],
    gps: [
      [1, ASCII, "N"], [2, RATIO, [[39, 1], [36, 1], [0, 1]]], [3, ASCII, "W"], [4, RATIO, [[71, 1], [12, 1], [0, 1]]],
      [0x1f, RATIO, [[49, 10]]],
    ],
  });
}

/** As the head of a JPEG has it. @param {...BlobPart} exif */
const jpeg = (...exif) => new Blob(["\xff\xd8\xff\xe1\0\0", "Exif\0\0", ...exif, "\xff\xdb and the picture"]);

for (const isLittle of [true, false]) {
  test(`where and when is read in ${isLittle ? "Intel's" : "Motorola's"} order of bytes`, async () => {
    assert.deepEqual(await taken(jpeg(lamp(isLittle))), { ...HERE, metres: 5, at: NOON });
  });
}

test("a HEIC that has it behind its picture tells it too", async () => {
  const picture = new Uint8Array(2_500_000).fill(7);
  const heic = new Blob(["\0\0\0\x18ftypheic", picture, "\0\0\0\x06Exif\0\0", lamp()]);
  assert.deepEqual(await taken(heic), { ...HERE, metres: 5, at: NOON });
  for (const before of [999_990, 999_995, 1_000_000]) { // across what is read at a time
    assert.ok(await taken(new Blob([new Uint8Array(before), "Exif\0\0", lamp()])), String(before));
  }
});

test("south and west are below zero, north and east above", async () => {
  const at = async (/** @type {string} */ ns, /** @type {string} */ ew) =>
    taken(jpeg(tiff(true, { first: [[0x8825, LONG, "gps"]], gps: [[1, ASCII, ns], [2, RATIO, [[1, 2], [30, 1], [36, 1]]], [3, ASCII, ew], [4, RATIO, [[70, 1], [0, 1], [0, 1]]]] })));
  assert.deepEqual(await at("S", "E"), { lat: -1.01, lon: 70 });
  assert.deepEqual(await at("N", "W"), { lat: 1.01, lon: -70 });
});

test("without a zone the clock is this phone's", async () => {
  const told = await taken(jpeg(tiff(true, { first: [[0x8769, LONG, "details"]], details: [[0x9003, ASCII, "2026:12:01 12:00:00"]] })));
  assert.deepEqual(told, { at: new Date(2026, 11, 1, 12).getTime() });
});

const gps = (/** @type {any} */ lat, /** @type {any} */ lon) =>
  jpeg(tiff(true, { first: [[0x8825, LONG, "gps"]], gps: [[1, ASCII, "N"], [2, RATIO, lat], [3, ASCII, "W"], [4, RATIO, lon]] }));
const whole = (/** @type {number} */ n) => [[n, 1], [0, 1], [0, 1]];
const silent = {
  "nothing": new Blob([]),
  "no exif": new Blob(["\xff\xd8\xff\xdb"]),
  "exif and nothing in it": jpeg(tiff(true, { first: [] })),
  "a camera that knew nothing": gps(whole(0), whole(0)),
  "fractions of nothing": gps([[0, 0], [0, 0], [0, 0]], whole(71)),
  "beyond the pole": gps(whole(91), whole(71)),
  "beyond the date line": gps(whole(39), whole(181)),
  "two fractions": gps([[39, 1], [36, 1]], whole(71)),
  "no day": jpeg(tiff(true, { first: [[0x8769, LONG, "details"]], details: [[0x9003, ASCII, "    :  :     :  :  "]] })),
  "a day that is none": jpeg(tiff(true, { first: [[0x8769, LONG, "details"]], details: [[0x9003, ASCII, "2026:13:41 12:00:00"]] })),
  "a list that leads to itself": jpeg(tiff(true, { first: [[0x8769, LONG, 8], [0x8825, LONG, 8]] })),
  "a list that leads out of it": jpeg(tiff(true, { first: [[0x8825, LONG, 0xfffffff0]] })),
  "a list without end": jpeg("II*\0\x08\0\0\0\xff\xff"),
  "its beginning alone": jpeg("II*\0"),
};
for (const [what, photo] of Object.entries(silent)) {
  test(`${what} tells nothing`, async () => assert.equal(await taken(photo), null));
}

test("a photo that is spoilt anywhere throws nothing and tells no place off the globe", async () => {
  const good = lamp(true);
  let seed = 36;
  const random = (/** @type {number} */ below) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  for (let i = 0; i < 3_000; i++) {
    const bytes = good.slice(0, i % 3 ? good.length : random(good.length));
    for (let n = 0; n < 1 + random(4); n++) bytes[random(bytes.length || 1)] = random(256);
    const told = await taken(jpeg(bytes));
    const { lat = 0, lon = 0, metres = 1, at = 0 } = told ?? {};
    assert.ok(Math.abs(lat) <= 90 && Math.abs(lon) <= 180 && metres >= 1 && Number.isFinite(metres + at), JSON.stringify(told));
  }
});

test("no photo is looked through beyond what the city takes of one", async () => {
  const at = (/** @type {number} */ before) => taken(new Blob([new Uint8Array(before), "Exif\0\0", lamp()]));
  assert.ok(await at(19_000_000));
  assert.equal(await at(20_000_100), null);
});

test("another place, or earlier, leaves open what is meant; here and just now does not", () => {
  const asks = (/** @type {any} */ photo, /** @type {any} */ here = HERE) => doubts(photo, here, NOON).any;
  const north = (/** @type {number} */ metres) => ({ lat: HERE.lat + metres / 111_320, lon: HERE.lon });
  assert.equal(asks({ ...north(49), at: NOON - 60_000 }), false);
  assert.equal(asks({ ...north(51), at: NOON - 60_000 }), true);
  assert.equal(asks({ ...north(51) }), true);
  assert.equal(asks({ at: NOON - 29 * 60_000 }), false);
  assert.equal(asks({ at: NOON - 31 * 60_000 }), true);
  assert.equal(asks({ at: NOON + 86_400_000 }), false, "a clock that goes fast tells nothing");
  assert.equal(asks({ ...north(0), at: NOON }, null), true, "who has not said where it is may take the photo's");
  assert.equal(asks({ at: NOON - 31 * 60_000 }, null), false, "which has none: they say it anyway");
});
