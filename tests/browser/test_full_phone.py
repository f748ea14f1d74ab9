"""A phone that is full says so, has room left for words, and loses nothing of what it held."""

import base64
from pathlib import Path

import pytest
from closings import CREW, arrived, close_all, give_jobs, kept, pictures, wait_for
from live import Site, log_in
from phone import Van
from playwright.sync_api import Page, expect
from sqlalchemy import select
from wording import crew

from city.db import engine as db
from city.db.models import SyncOperation

pytestmark = pytest.mark.one_database
USAGE = "async () => (await navigator.storage.estimate()).usage"
# Random bytes under a name that is nobody's, until the browser refuses even a kilobyte.
STUFF = """async () => {
  const base = await new Promise((resolve) => {
    const request = indexedDB.open("outbox", 1);
    request.onsuccess = () => resolve(request.result);
  });
  const put = (bytes, key) => new Promise((resolve) => {
    const tx = base.transaction("chunks", "readwrite");
    tx.objectStore("chunks").put(crypto.getRandomValues(new Uint8Array(bytes)), key);
    tx.oncomplete = () => resolve(true);
    tx.onabort = () => resolve(false);
  });
  for (let bytes = 65536, n = 0; bytes >= 1024; ) {
    if (!(await put(bytes, `stuff-${n++}`))) bytes /= 2;
  }
  base.close();
}"""
RESERVED = """async () => new Promise((resolve) => {
  indexedDB.open("outbox", 1).onsuccess = ({ target: { result: base } }) => {
    base.transaction("chunks").objectStore("chunks").count("reserve").onsuccess = ({ target }) => {
      base.close();
      resolve(target.result);
    };
  };
})"""


def test_a_full_phone_refuses_photos_and_keeps_words(van: Van, site: Site, tmp_path: Path) -> None:
    refs = give_jobs(site, 3)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector(f'a.job[href="#job/{refs[-1]}"]')
    van.wait_until_kept()
    wait_for(lambda: van.page.evaluate(RESERVED) == 1, van.page)
    van.context.set_offline(True)
    ops = close_all(van.page, refs[:1])
    usage = int(van.page.evaluate(USAGE))
    assert usage > 2_000_000, "the reserve takes the room that it is to set free"
    van.context.close()

    page = van.start(signal=False, quota=usage + 200_000)
    page.wait_for_selector("a.job")
    page.evaluate(STUFF)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/sync/v1/exchange")):
        page.evaluate("dispatchEvent(new Event('online'))")
    photo = tmp_path / "after.jpg"
    photo.write_bytes(base64.b64decode(pictures(refs)[refs[0]]))
    page.evaluate(f"location.hash = '#close/{refs[1]}'")
    refuse(page, photo)
    assert page.evaluate(RESERVED) == 1, "neither a photo nor a try that failed gives it up"
    save_dark(page)
    assert page.evaluate(RESERVED) == 0, "the words took its place"
    page.evaluate(f"location.hash = '#close/{refs[2]}'")
    page.wait_for_selector(f'a[data-back][href="#job/{refs[2]}"]')
    refuse(page, photo)  # what the first words have set free is for words
    save_dark(page)
    here = kept(page)
    assert here.closed() == dict.fromkeys(refs, 1)
    assert [op for op in here.ops() if op["case"] == refs[0]] == ops
    assert here.hashes[ops[0]["photos"][0]["id"]] == ops[0]["photos"][0]["sha256"]

    van.context.set_offline(False)  # as full as before

    def has_sent_all() -> bool:
        page.evaluate("dispatchEvent(new Event('online'))")  # the first may have met a try
        return arrived(site, refs) == 3 and not kept(page).waiting

    wait_for(has_sent_all, page)
    with db.read_session(site.engine) as s:
        sent = s.scalars(select(SyncOperation.case_ref).where(SyncOperation.case_ref.in_(refs)))
        assert sorted(sent) == sorted(refs)


def refuse(page: Page, photo: Path) -> None:
    page.locator("[data-camera]").set_input_files(photo)
    expect(page.locator("[data-fill=fault]")).to_contain_text(crew.PHOTO_NOT_KEPT)


def save_dark(page: Page) -> None:
    page.locator('label:has(input[value="fixed:dark"])').tap()
    page.locator("form .button--act").tap()
    page.wait_for_selector("#main [data-list]")
    page.wait_for_selector("#undo:not([hidden])")
