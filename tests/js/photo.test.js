// Which photos a phone sends although its browser cannot show them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isHeic } from "../../pwa/static/js/lib/image_resize.js";

/** How a file of that coding begins, as a phone gives it that knows no type for it. @param {string} brand */
const photo = (brand) => new Blob(["\0\0\0\x18ftyp", brand, "\0\0\0\0mif1heic"]);

// city/photos/processing.py, HEIC_BRANDS and AVIF_BRANDS; a phone may also name the family alone.
for (const brand of ["heic", "heix", "heim", "heis", "avif", "avis", "mif1"]) {
  test(`a photo coded as ${brand} is sent`, async () => assert.ok(await isHeic(photo(brand))));
}

test("a film and a JPEG are not taken for one", async () => {
  for (const brand of ["isom", "qt  ", "hevc"]) assert.ok(!(await isHeic(photo(brand))));
  assert.ok(!(await isHeic(new Blob(["\xff\xd8\xff\xe0 heic"]))));
  assert.ok(!(await isHeic(new Blob([]))));
});
