"""A photo that was taken elsewhere or earlier: the form asks which place is meant before it sends one."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from live import PHONE, PHONE_WITHOUT_WORKER, Site, Slow, log_in
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import resident

from city.db import engine as db
from city.db.models import Case, Report
from city.geo import METRES_A_DEGREE, Point

Open = Callable[..., BrowserContext]
HERE: dict[str, Any] = {"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9}
THERE = Point(39.6, -71.2)


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """A photo as a camera writes it, taken so many minutes ago at a point, or nowhere that it would tell."""

    def take(minutes: float, at: Point | None) -> Path:
        exif = Image.Exif()
        when = datetime.now(UTC) - timedelta(minutes=minutes)
        exif.get_ifd(0x8769).update({0x9003: f"{when:%Y:%m:%d %H:%M:%S}", 0x9011: "+00:00"})
        if at:
            lat, lon = ((float(int(abs(x))), abs(x) % 1 * 60, 0.0) for x in at)
            exif.get_ifd(0x8825).update({1: "N", 2: lat, 3: "W", 4: lon})
        path = tmp_path / "IMG_0036.jpg"
        Image.new("RGB", (64, 64), "gray").save(path, "JPEG", exif=exif)
        return path

    return take


def begun(open_context: Open, site: Site, photo: Path, path: str = "/report") -> Page:
    """The form with that photo and a streetlight chosen, on a phone that has said where it is."""
    phone = PHONE_WITHOUT_WORKER | {"geolocation": HERE, "permissions": ["geolocation"]}
    page = open_context(**phone).new_page()
    page.goto(site.path(path))
    page.locator("label.tile").first.tap()
    page.locator("#more-photos").set_input_files(photo)
    expect(page.locator(".shot[data-id]")).to_have_count(1)
    expect(page.locator("#place-card[data-known]")).to_have_count(1)
    return page


def sent(site: Site, page: Page) -> tuple[str, Point]:
    """Source and point of the case that was sent."""
    page.wait_for_url(re.compile("/sent/"))
    number = page.url.rpartition("/")[2].rpartition("-")[0]
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        assert case.lat is not None
        assert case.lon is not None
        return case.place_source, Point(round(case.lat, 4), round(case.lon, 4))


def test_the_photos_own_place_is_meant_by_keyboard_and_send_leads_to_the_question_once(
    site: Site, open_context: Open, photo: Callable[..., Path]
) -> None:
    page = begun(open_context, site, photo(120, THERE))
    asks = page.get_by_role("group", name=resident.WHERE_PROBLEM)
    expect(asks).to_be_visible()
    expect(asks).to_contain_text(resident.PHOTO_OLD)
    page.locator("#send").tap()
    expect(asks.get_by_role("button", name=resident.PHOTO_PLACE)).to_be_focused()
    assert "/report" in page.url
    page.keyboard.press("Enter")
    expect(asks).to_be_hidden()
    expect(page.locator("#place-change")).to_contain_text(resident.FROM_PHOTO)
    expect(page.locator("#place-change")).to_be_focused()
    page.locator("#send").tap()
    assert sent(site, page) == ("photo", THERE)


def test_where_one_is_now_is_meant(site: Site, open_context: Open, photo: Callable[..., Path]) -> None:
    page = begun(open_context, site, photo(1, THERE), "/es/report")
    asks = page.get_by_role("group", name=resident.WHERE_PROBLEM.es)
    expect(asks).to_contain_text(resident.PHOTO_TAKEN_ELSEWHERE.es)
    page.get_by_role("button", name=resident.WHERE_I_AM.es).tap()
    expect(asks).to_be_hidden()
    page.locator("#send").tap()
    assert sent(site, page) == ("gps", Point(HERE["latitude"], HERE["longitude"]))


def test_here_and_just_now_nobody_is_asked_and_a_place_that_was_said_goes_before_the_photos(
    site: Site, open_context: Open, photo: Callable[..., Path]
) -> None:
    near = Point(HERE["latitude"] + 40 / METRES_A_DEGREE, HERE["longitude"])
    page = begun(open_context, site, photo(1, near))
    page.wait_for_timeout(500)  # so that it would have asked by now
    expect(page.locator("#photo-place")).to_be_hidden()
    page.locator("#more-photos").set_input_files(photo(60 * 24, THERE))
    expect(page.locator("#photo-place")).to_be_visible()
    page.locator("#place-change").tap()
    page.fill("#place", "214 Tansy Street")
    expect(page.locator("#photo-place")).to_be_hidden()


def test_an_old_photo_that_does_not_say_where_leads_to_the_address(
    site: Site, open_context: Open, photo: Callable[..., Path]
) -> None:
    page = begun(open_context, site, photo(31, None))
    page.get_by_role("button", name=resident.PHOTO_PLACE).tap()
    expect(page.locator("#place-news")).to_have_text(resident.PHOTO_SAYS_NO_PLACE)
    expect(page.locator("#place")).to_be_focused()
    assert page.input_value("[name=lat]") == ""
    page.locator("#send").tap()
    expect(page.locator("#errors")).to_be_visible()
    # The form is drawn anew, and asks the phone where it is: that is not what was said.
    expect(page.locator("#photo-place")).to_be_visible()


def test_a_phone_that_was_not_asked_where_it_is_takes_the_photos_place_with_one_tap(
    site: Site, open_context: Open, photo: Callable[..., Path]
) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/"))
    page.locator("input[type=file]:not([capture])").set_input_files(photo(300, THERE))
    page.get_by_role("button", name=resident.PHOTO_PLACE).tap()
    expect(page.locator("#place-change")).to_contain_text(resident.FROM_PHOTO)


def test_a_photo_that_this_browser_cannot_show_says_when_it_will_be_seen(
    site: Site, open_context: Open, tmp_path: Path
) -> None:
    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "lamp.heic")
    page = open_context(**PHONE_WITHOUT_WORKER, permissions=[]).new_page()
    slow = Slow(page, "**/report/photos")
    page.goto(site.path("/report"))
    page.locator("#more-photos").set_input_files(tmp_path / "lamp.heic")
    slow.wait()
    expect(page.locator(".thumb--later")).to_have_text(resident.PREVIEW_LATER)
    expect(page.locator(".thumb--later")).to_be_visible()
    expect(page.locator(".shot img")).to_be_hidden()
    slow.go()
    expect(page.locator(".shot img")).to_be_visible()
    expect(page.locator(".thumb--later")).to_be_hidden()


def test_a_crew_s_own_report_asks_the_same(
    site: Site, open_context: Open, photo: Callable[..., Path]
) -> None:
    page = open_context(**PHONE, geolocation=HERE, permissions=["geolocation"]).new_page()
    log_in(page, site, "crew1@demo.test", "/crew")
    page.wait_for_selector("a.job")
    page.locator('a[href="#report"]').tap()
    expect(page.locator('[data-if="now"]')).to_be_visible()
    page.locator('label.tile:has(input[name="group"])').first.tap()
    page.locator("[data-camera]").set_input_files(photo(120, THERE))
    page.get_by_role("button", name=resident.PHOTO_PLACE).tap()
    expect(page.locator('b[data-if="taken"]')).to_be_visible()
    expect(page.locator("#photo-place")).to_be_hidden()
    page.locator("form .button--act").tap()
    page.wait_for_selector("#undo:not([hidden])")
    page.evaluate("location.reload()")  # what is not undone goes with the next start

    def told() -> list[tuple[str, float | None]]:
        with db.read_session(site.engine) as s:
            asked = select(Report).where(Report.channel == "crew", Report.place_source == "photo")
            return [(each.place_source, each.case.lat) for each in s.scalars(asked)]

    for _ in range(300):
        if told():
            break
        page.wait_for_timeout(200)
    assert told() == [("photo", THERE.lat)]
