"""A resident on the pavement without signal: what was begun and what was sent survives, and arrives once."""

import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import PHONE_WITHOUT_WORKER, Site, outbox, wait_until_begun
from phone import Van
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from sqlalchemy import select
from wording import resident, shared

from city.audit import events
from city.db import engine as db
from city.db.models import Photo, Report, SyncOperation

UPLOADED = re.compile(resident.UPLOADED(size=r"[\d,.]+"))
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


def wait_for(what: Callable[[], bool], within: float = 90) -> None:
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
    with db.read_session(site.engine) as s:
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
    expect(page.locator("h1")).to_contain_text(resident.KEPT_TITLE)
    receipt = page.locator('[data-fill="receipt"]').first.inner_text()
    address = page.url
    phone.kill()

    page = phone.start(signal=False, path="/")
    expect(page.locator("#kept-here h2")).to_have_text(resident.ONE_WAITING)
    expect(page.locator("#kept-here a")).to_contain_text(receipt)
    assert told(site) == []
    page.goto(address)
    expect(page.locator("h1")).to_contain_text(resident.KEPT_TITLE)

    phone.context.set_offline(False)

    def has_sent() -> bool:
        page.evaluate("dispatchEvent(new Event('online'))")  # the first may have met a try
        return [count for _number, count in told(site)] == [1]

    wait_for(has_sent, within=90)
    expect(page.locator('main [data-if="sent"]').first).to_be_visible()
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
    with db.read_session(site.engine) as s:
        assert len(told(site)) == 1
        assert s.scalars(select(SyncOperation.code).where(SyncOperation.t == "report")).all() == ["applied"]
        sent = select(Photo.id).where(Photo.report_id.is_not(None), Photo.staged_for.startswith("device:"))
        assert len(s.scalars(sent).all()) == 1
        assert events.verify(s) == []


def test_what_was_taken_a_second_ago_is_not_called_begun_and_its_place_and_its_report_are_shown(
    phone: Van, site: Site, tmp_path: Path
) -> None:
    visited(phone, site)
    phone.context.grant_permissions(["geolocation"])
    phone.context.set_geolocation({"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9})
    phone.context.set_offline(True)
    page = phone.page
    page.goto(site.path("/"))
    page.locator(".shutter input").set_input_files(picture(tmp_path))
    page.wait_for_url("**/report")
    expect(page.locator(".shot")).to_have_count(1)
    expect(page.locator("#place-held")).to_have_text(resident.LOCATION_SAVED)
    expect(page.locator("#begun")).to_be_hidden()
    page.locator("label.tile").first.tap()
    page.fill("#words", WORDS)
    wait_until_begun(page, WORDS)
    page.reload()
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#place-held")).to_have_text(resident.LOCATION_SAVED)
    page.locator("#send").tap()
    expect(page.locator("h1")).to_contain_text(resident.KEPT_TITLE)
    page.goto(site.path("/es/mine"))
    expect(page.locator("#own a")).to_have_count(1)
    expect(page.locator("main")).to_contain_text(resident.SENT_REPORTS_LATER.es)
    phone.context.set_offline(False)
    wait_for(lambda: [count for _number, count in told(site)] == [1])
    page.goto(site.path("/mine"))
    expect(page.locator("#own a")).to_have_count(1)
    expect(page.get_by_role("heading", name=resident.NO_REPORTS_HERE)).to_be_hidden()


def test_own_reports_are_one_list_with_and_without_signal(phone: Van, site: Site, tmp_path: Path) -> None:
    page = phone.page
    page.goto(site.path("/report"))
    fill_in(page)
    page.fill("#words", "Sent with signal.")
    page.locator("#send").tap()
    page.wait_for_selector("form.same, #link")
    if "/sent/" not in page.url:
        page.locator('form.same button[value="send"]').last.tap()
        page.wait_for_url("**/sent/**")
    page.goto(site.path("/mine"))
    row = page.locator("#own li")
    expect(row).to_have_count(1)
    promised = row.locator(".promise").inner_text()
    wait_for(lambda: bool(page.evaluate("caches.has('seen-on-this-phone')")))
    wait_for(lambda: bool(page.evaluate(KEPT)))

    phone.context.set_offline(True)
    page.goto(site.path("/mine"))
    expect(row := page.locator("#own li")).to_have_count(1)
    expect(row).to_contain_text("Sent with signal.")
    expect(row).to_contain_text(promised)
    expect(page.locator("#last-seen")).to_have_text(re.compile(resident.LAST_SEEN(when=r".+ at .+")))
    page.goto(site.path("/report"))
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    expect(page.locator(".shot")).to_have_count(1)
    fill_in(page)
    page.locator("#send").tap()
    receipt = page.locator("main .rows .row")
    expect(receipt).to_contain_text(WORDS)
    expect(receipt.locator("img")).to_be_visible()
    page.goto(site.path("/mine"))
    expect(page.locator("#own li")).to_have_count(2)
    expect(page.locator("#own li").first).to_contain_text(WORDS)
    expect(page.locator("#own li").first.locator("img")).to_be_visible()
    expect(page.locator("#kept-here")).to_have_text(resident.ONE_WAITING)

    phone.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#kept-here")).to_be_hidden(timeout=60_000)
    expect(page.locator("#last-seen")).to_have_count(0, timeout=60_000)
    first = page.locator("#own li").first
    expect(first.locator('a[href*="/case/"]')).to_contain_text(WORDS, timeout=60_000)
    expect(first.locator(".promise")).to_contain_text("By ")
    expect(page.locator("#own li")).to_have_count(2)
    assert len(told(site)) == 1


def test_what_was_begun_survives_the_camera_ending_the_page(phone: Van, site: Site, tmp_path: Path) -> None:
    phone.page.goto(site.path("/report"))
    fill_in(phone.page)
    phone.page.locator("#more-photos").set_input_files(picture(tmp_path))
    wait_for(lambda: bool(outbox(phone.page, "chunks", "getAllKeys")))
    wait_until_begun(phone.page, WORDS)
    phone.kill()

    page = phone.start(signal=True, path="/report")
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator(".shot small")).to_contain_text(UPLOADED)
    assert (page.input_value("#place"), page.input_value("#words")) == ("339 Heron Street", WORDS)
    assert page.locator("label.tile input").first.is_checked()
    page.locator("#send").tap()
    page.wait_for_selector("form.same, #link")
    if "/sent/" not in page.url:
        page.locator('form.same button[value="send"]').last.tap()
        page.wait_for_url("**/sent/**")
    wait_for(lambda: [count for _number, count in told(site)] == [1])
    page.goto(site.path("/report"))
    page.wait_for_timeout(600)
    expect(page.locator("#begun")).to_be_hidden()
    expect(page.locator(".shot")).to_have_count(0)


def test_what_only_its_author_can_say_is_asked_for_without_signal_too(phone: Van, site: Site) -> None:
    visited(phone, site)
    phone.context.set_offline(True)
    page = phone.page
    page.goto(site.path("/es/report"))
    page.locator("#send").tap()
    expect(page.locator("#trouble")).to_have_text(shared.CHOOSE_TYPE.es)
    page.locator("label.tile").first.tap()
    page.locator("#send").tap()
    expect(page.locator("#trouble")).to_contain_text(shared.PLACE_MISSING.es)
    page.fill("#place", "Heron y Mill, junto a la escuela")
    page.locator(".danger label").first.tap()
    page.locator(".danger > button").tap()
    expect(page.locator("main .stop-back")).to_be_visible()
    expect(page.locator("main .stop-back")).to_contain_text("911")
    expect(page.locator("main .stop-back [data-age]")).to_contain_text(
        re.compile(resident.URGENT_NOT_SENT.es(age=".+"))
    )
    page.goto(site.path("/es/"))
    expect(page.locator('#kept-here a [data-if="urgent"]')).to_be_visible()
    expect(page.locator('#kept-here a [data-if="urgent"]')).to_contain_text(
        resident.URGENT_WAITING.es(number=911)
    )


def hotel(route: Route) -> None:
    """A network's log-in page in place of the city's answer."""
    route.fulfill(status=200, content_type="text/html", body="<h1>Welcome to our Wi-Fi</h1>")


def lost(route: Route) -> None:
    """The report arrives, and its answer does not."""
    route.fetch(max_redirects=0)
    route.abort()


@pytest.mark.parametrize("meets", [lost, hotel])
def test_with_signal_the_form_goes_and_what_came_in_between_loses_and_doubles_nothing(
    site: Site, open_context: Callable[..., BrowserContext], tmp_path: Path, meets: Callable[[Route], None]
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.goto(site.path("/report"))
    fill_in(page)
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    expect(page.locator(".shot small")).to_contain_text(UPLOADED)
    page.wait_for_selector("#near-cases [name=seen]", state="attached")
    page.route("**/report", meets)
    page.route("**/sync/**", hotel)
    page.locator("#send").tap()
    expect(page.locator("main h1")).to_contain_text(resident.KEPT_TITLE)
    expect(page.locator('main [data-if="portal"]')).to_be_visible()
    assert len(told(site)) == (1 if meets is lost else 0)
    page.unroute("**/sync/**")
    page.locator("[data-now]").dispatch_event("click")  # hidden where it has gone by itself
    expect(page.locator('main [data-if="sent"]').first).to_be_visible()
    wait_for(lambda: [count for _number, count in told(site)] == [1])


@pytest.mark.one_database
def test_a_phone_without_room_for_the_photo_says_so_and_sends_no_report_without_it(
    phone: Van, site: Site, tmp_path: Path
) -> None:
    visited(phone, site)
    usage = int(phone.page.evaluate("async () => (await navigator.storage.estimate()).usage"))
    phone.context.close()
    page = phone.start(signal=False, path="/report", quota=usage + 1_500_000)
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    fill_in(page)
    page.locator("#send").tap()
    expect(page.locator("#trouble")).to_contain_text(resident.NO_ROOM_FOR_PHOTO)
    expect(page.locator(".shot")).to_have_count(1)
    assert outbox(page, "ops") == []
    page.locator(".shot button").tap()
    page.locator("#send").tap()
    expect(page.locator("h1")).to_contain_text(resident.KEPT_TITLE)
    phone.context.set_offline(False)
    wait_for(lambda: [count for _number, count in told(site)] == [0])


SENT_AGAIN = """
  // A thumb that is not sure: Send once more in the moment in which the report is on the phone.
  const put = IDBObjectStore.prototype.put;
  let again = true;
  IDBObjectStore.prototype.put = function (...told) {
    if (this.name === "ops" && again) {
      again = false;
      this.transaction.addEventListener("complete", () => document.querySelector("#send")?.click());
    }
    return put.apply(this, told);
  };
"""


def test_send_pressed_twice_without_signal_keeps_the_photos(phone: Van, site: Site, tmp_path: Path) -> None:
    visited(phone, site)
    phone.context.set_offline(True)
    phone.context.add_init_script(SENT_AGAIN)
    page = phone.page
    page.goto(site.path("/report"))
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    fill_in(page)
    expect(page.locator(".shot small")).to_contain_text(resident.PHOTO_NOT_UPLOADED)
    page.locator("#send").tap()
    expect(page.locator("main h1")).to_contain_text(resident.KEPT_TITLE)
    page.wait_for_timeout(300)  # so that what the second press did has happened
    phone.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator('main [data-if="sent"]').first).to_be_visible(timeout=90_000)
    wait_for(lambda: [count for _number, count in told(site)] == [1])


def slow(route: Route) -> None:
    """A line on which no more than 128 KB arrives in the 30 seconds after which the phone breaks off."""
    if len(route.request.post_data_buffer or b"") > 131_072:
        route.abort("timedout")
    else:
        route.continue_()


def test_a_photo_arrives_on_a_line_that_is_too_slow_for_a_whole_piece_of_it(
    site: Site, open_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.goto(site.path("/report"))
    page.route("**/report/photos", lambda route: route.abort())
    page.route("**/report", lambda route: route.abort())
    page.route("**/sync/v1/photos/*", slow)
    fill_in(page)
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    expect(page.locator(".shot small")).to_contain_text(resident.PHOTO_NOT_UPLOADED)
    page.locator("#send").tap()
    expect(page.locator('main [data-if="sent"]').first).to_be_visible()
    expect(page.locator('main [data-if="photos"]')).to_be_hidden()
    assert [count for _number, count in told(site)] == [1]


SLOW_DISK = """
  // A phone that takes its time over what it keeps.
  const databases = indexedDB.databases.bind(indexedDB);
  indexedDB.databases = () => new Promise((resolve) => setTimeout(() => resolve(databases()), 2000));
"""
HELD_DISK = """
  const databases = indexedDB.databases.bind(indexedDB);
  const open = new Promise((done) => (window.openDisk = done));
  indexedDB.databases = () => open.then(databases);
"""


def test_what_is_filled_in_before_the_begun_report_was_read_stays_and_so_does_what_was_begun(
    site: Site, open_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.goto(site.path("/report"))
    fill_in(page)
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    expect(page.locator(".shot small")).to_contain_text(UPLOADED)
    wait_until_begun(page, WORDS)
    page.add_init_script(SLOW_DISK)
    for opened in range(2):
        page.reload()
        if not opened:
            page.fill("#words", "It is broken.")
            page.wait_for_timeout(600)  # so that it would have been kept by now
            page.locator("#more-photos").set_input_files(picture(tmp_path))
        expect(page.locator("#begun")).to_be_visible()
        expect(page.locator(".shot")).to_have_count(2)
        assert (page.input_value("#place"), page.input_value("#words")) == (
            "339 Heron Street",
            "It is broken.",
        )
        wait_until_begun(page, "It is broken.")
        wait_for(lambda: len(outbox(page, "photos", "getAllKeys")) == 2)


def test_where_i_am_asked_before_the_begun_report_was_read_keeps_its_old_place_away(
    site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.goto(site.path("/report"))
    fill_in(page)
    page.fill("#words", WORDS)
    wait_until_begun(page, WORDS)
    page.add_init_script(HELD_DISK)
    page.reload()
    page.locator("[data-locate]").tap()
    page.evaluate("openDisk()")
    expect(page.locator("#begun")).to_be_visible()
    expect(page.locator("#words")).to_have_value(WORDS)
    expect(page.locator("#place")).to_have_value("")


def silence(_route: Route) -> None:
    """A line that is dead and does not say so."""


def test_send_does_not_wait_for_ever_on_a_line_that_is_dead(
    site: Site, open_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.clock.install()
    page.goto(site.path("/report"))
    page.route("**/report/photos", silence)
    fill_in(page)
    with page.expect_request("**/report/photos"):
        page.locator("#more-photos").set_input_files(picture(tmp_path))
    expect(page.locator(".shot small")).to_contain_text(resident.PHOTO_UPLOADING)
    wait_for(lambda: bool(outbox(page, "chunks", "getAllKeys")))
    page.locator("#send").tap()
    expect(page.locator("#send")).to_contain_text(resident.SENDING_PHOTO)
    page.route("**/report", silence)
    with page.expect_request("**/report"):
        page.clock.fast_forward(61_000)
    page.clock.fast_forward(61_000)
    expect(page.locator('main [data-if="sent"]').first).to_be_visible()
    wait_for(lambda: [count for _number, count in told(site)] == [1])


def slowly(page: Page, bytes_a_second: int, *refused: str) -> None:
    """From now on a slow line; addresses of which some are refused."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.setBlockedURLs", {"urls": list(refused)})
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    line.send("Network.emulateNetworkConditions", limits)


PASSING = """(() => {
  // Forty seconds pass whenever more of what is sent has gone up, once `passes` says so. No others do.
  const { setTimeout, clearTimeout } = window, long = new Map();
  window.setTimeout = (what, ms, ...told) => {
    if (!(ms >= 30_000)) return setTimeout(what, ms, ...told);
    const name = setTimeout(() => {}, 0);
    long.set(name, { what, ms });
    return name;
  };
  window.clearTimeout = (name) => {
    long.delete(name);
    clearTimeout(name);
  };
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...told) {
    this.upload.addEventListener("progress", () => {
      if (!window.passes) return;
      sessionStorage.passed = Number(sessionStorage.passed ?? 0) + 40;
      for (const [name, each] of [...long]) {
        if ((each.ms -= 40_000) > 0) continue;
        long.delete(name);
        each.what();
      }
    });
    return send.apply(this, told);
  };
})()"""


def passed(page: Page) -> int:
    """Seconds that PASSING let go by."""
    return int(page.evaluate("Number(sessionStorage.passed ?? 0)"))


def test_photos_go_ahead_for_minutes_while_something_of_them_arrives(
    site: Site, open_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.add_init_script(PASSING)
    page.goto(site.path("/report"))
    slowly(page, 100_000)
    page.locator("#more-photos").set_input_files([picture(tmp_path)] * 2)
    rows = page.locator(".shot small")
    expect(rows).to_have_text([resident.PHOTO_UPLOADING] * 2)
    wait_for(lambda: len(outbox(page, "photos", "getAllKeys")) == 2)  # keeping them has a limit of its own
    page.evaluate("window.passes = true")
    expect(page.locator(".shot[data-id]")).to_have_count(2, timeout=240_000)
    assert passed(page) > 120
    expect(rows).to_contain_text([UPLOADED] * 2)


def test_send_takes_minutes_while_something_arrives(
    site: Site, open_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.add_init_script(PASSING)
    page.goto(site.path("/report"))
    page.evaluate("htmx.config.timeout = 2000")  # the browser's own clock, which no test sets
    fill_in(page)
    slowly(page, 100_000, "*/report/photos")
    page.locator("#more-photos").set_input_files(picture(tmp_path))
    expect(page.locator(".shot small")).to_contain_text(resident.PHOTO_NOT_UPLOADED)
    page.evaluate("window.passes = true")
    page.locator("#send").tap()
    page.wait_for_url(lambda address: "/report" not in address, timeout=240_000)
    assert passed(page) > 60
    wait_for(lambda: [count for _number, count in told(site)] == [1])


def test_a_report_is_tried_at_once_where_the_page_had_looked_already_whether_anything_waits(
    site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context(**PHONE_WITHOUT_WORKER).new_page()
    page.goto(site.path("/report"))
    fill_in(page)
    wait_until_begun(page, WORDS)
    with page.expect_response("**/sync/v1/exchange"):  # what was begun is here: it looks whether more is
        page.reload()
    expect(page.locator("#begun")).to_be_visible()
    page.wait_for_timeout(600)
    page.route("**/report", lambda route: route.abort())
    page.locator("#send").tap()
    expect(page.locator('main [data-if="sent"]').first).to_be_visible()
    assert len(told(site)) == 1
