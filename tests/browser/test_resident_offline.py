"""A resident on the pavement without signal: what was begun and what was sent survives, and arrives once."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import Site
from phone import Van
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from city import db, events
from city.schema import Operation, Photo, Report

KEPT = """async () => {
  await navigator.serviceWorker.ready;
  for (const name of await caches.keys()) {
    if (await (await caches.open(name)).match("/report")) return true;
  }
  return false;
}"""
WORDS = "Dark since Tuesday, by the school."


@pytest.fixture
def phone(browser: Browser, chromium: str, tmp_path: Path, site: Site) -> Iterator[Van]:
    van = Van(browser.browser_type, chromium, tmp_path / "phone", site)
    yield van
    van.kill()


def visited(van: Van, site: Site) -> None:
    """The phone has been at home once, with signal."""
    van.page.goto(site.path("/"))
    wait_for(lambda: bool(van.page.evaluate(KEPT)))


def picture(tmp_path: Path) -> Path:
    data = io.BytesIO()
    Image.effect_noise((1200, 900), 90).convert("RGB").save(data, "JPEG", quality=90)
    path = tmp_path / "lamp.jpg"
    path.write_bytes(data.getvalue())
    return path


def wait_for(what: Callable[[], bool], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def fill_in(page: Page) -> None:
    page.locator("label.tile").first.tap()
    page.fill("#place", "339 Heron Street")
    page.fill("#words", WORDS)


def told(site: Site) -> list[tuple[str, int]]:
    """The reports with these words: their numbers, and how many photos each has."""
    with db.reading(site.engine) as s:
        rows = s.scalars(select(Report).where(Report.words.contains(WORDS))).all()
        return [(row.number, sum(photo.stored_at is not None for photo in row.photos)) for row in rows]


def test_a_report_with_a_photo_survives_a_kill_and_arrives_exactly_once(
    phone: Van, site: Site, tmp_path: Path
) -> None:
    visited(phone, site)
    phone.kill()
    page = phone.start(signal=False, path="/")
    assert not page.evaluate("fetch('/healthz').then(() => true, () => false)"), "there is no signal"
    page.locator(".shutter input").set_input_files(picture(tmp_path))
    page.wait_for_url("**/report")
    expect(page.locator(".shot")).to_have_count(1)
    fill_in(page)
    page.locator("#send").tap()
    expect(page.locator("h1")).to_contain_text("Kept on this phone")
    receipt = page.locator('[data-fill="receipt"]').first.inner_text()
    address = page.url
    phone.kill()

    page = phone.start(signal=False, path="/")
    expect(page.locator("#kept-here h2")).to_have_text("1 report waits to be sent")
    expect(page.locator("#kept-here a")).to_contain_text(receipt)
    assert told(site) == []
    page.goto(address)
    expect(page.locator("h1")).to_contain_text("Kept on this phone")

    phone.context.set_offline(False)
    expect(page.locator("h1")).to_contain_text("Sent.", timeout=20_000)
    wait_for(lambda: [count for _number, count in told(site)] == [1])
    [(number, _photos)] = told(site)
    phone.kill()
    page = phone.start(
        signal=True, path="/"
    )  # the answer may have been lost with the power: it is sent again
    page.goto(address)
    expect(page.locator("main")).to_contain_text(receipt)
    page.locator("[data-sent]").tap()
    page.wait_for_url("**/case/**")
    expect(page.locator("main")).to_contain_text(WORDS)
    assert page.url.endswith(number.rpartition("-")[0])
    with db.reading(site.engine) as s:
        assert len(told(site)) == 1
        assert s.scalars(select(Operation.code).where(Operation.t == "report")).all() == ["applied"]
        sent = select(Photo.id).where(Photo.report_id.is_not(None), Photo.staged_for.startswith("device:"))
        assert len(s.scalars(sent).all()) == 1
        assert events.verify(s) == []
