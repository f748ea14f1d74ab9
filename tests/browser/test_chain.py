"""The whole chain in a real browser: report, assign, close with proof, see it, say "not fixed"."""

import io
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from live import DESK, PHONE, PHONE_WITHOUT_WORKER, Site, log_in_by_form, send_without_script
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import crew, resident, shared, staff
from wording.city import STREETLIGHT

from city.audit import events
from city.cases import transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Case, Photo, Report
from city.people import accounts
from city.photos import photos, processing, storage

TANSY = {"latitude": 39.5975, "longitude": -71.2056, "accuracy": 9}
CREW_EMAIL, DISPATCHER = "crew1@demo.test", "dispatcher@demo.test"


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    """A photo as a phone writes it: lying on its side (orientation 6) and telling where it was taken."""
    picture = Image.new("RGB", (1600, 1200), "midnightblue")
    picture.paste("gold", (0, 0, 1600, 300))  # the top of the sensor, which is the right side of the scene
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Canary Phones"
    exif.get_ifd(0x8825).update({1: "N", 2: (39.0, 36.0, 0.0), 3: "W", 4: (71.0, 12.0, 0.0)})
    path = tmp_path / "IMG_0001.jpg"
    picture.save(path, "JPEG", exif=exif, comment=b"canary comment", quality=92)
    assert b"Canary Phones" in path.read_bytes()
    return path


@pytest.fixture
def mended(tmp_path: Path) -> Path:
    path = tmp_path / "after.jpg"
    Image.new("RGB", (1200, 900), "khaki").save(path, "JPEG")
    return path


def test_the_chain_on_an_emulated_phone(
    site: Site, open_context: Callable[..., BrowserContext], lamp: Path, mended: Path
) -> None:
    phone = open_context(**PHONE, geolocation=TANSY, permissions=["geolocation"]).new_page()
    number = report_with_three_taps(phone, site, lamp)

    desk = open_context(**DESK).new_page()
    log_in_by_form(desk, site, DISPATCHER, "/dispatch")
    assert assign_by_keyboard(desk, site, number) <= 4

    van = open_context(**PHONE).new_page()
    log_in_by_form(van, site, CREW_EMAIL, "/crew")
    close_on_the_phone(van, number, mended)
    wait_for_state(site, number, "closed")

    phone.goto(site.path(f"/case/{number}"))
    expect(phone.locator("h1")).to_contain_text(resident.FIXED_TITLE)
    expect(phone.locator(".twin > a:last-of-type img")).to_be_visible()
    drawn = "() => document.querySelector('.twin > a:last-of-type img').naturalWidth > 0"
    phone.wait_for_function(drawn)  # the picture itself, not the box that is kept for it
    phone.get_by_role("link", name=resident.NOT_FIXED).click()
    phone.wait_for_selector("not-fixed:defined")  # before that, the form goes without an Undo
    phone.get_by_role("button", name=resident.NO_NOT_FIXED_BUTTON).click()
    expect(phone.locator("[data-undo]")).to_be_visible()
    phone.wait_for_url("**/case/*said=reopened", timeout=20_000)
    wait_for_state(site, number, "accepted")

    assert_photos_are_clean(site, number)
    with db.read_session(site.engine) as s:
        assert events.verify(s) == []


def test_not_fixed_is_said_though_its_photo_never_arrives(
    site: Site, open_context: Callable[..., BrowserContext], lamp: Path, mended: Path
) -> None:
    phone = open_context(**PHONE_WITHOUT_WORKER, geolocation=TANSY, permissions=["geolocation"]).new_page()
    number = report_with_three_taps(phone, site, lamp)
    with db.transaction(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        by = accounts.actor(accounts.by_email(s, DISPATCHER))
        transitions.close(s, case, Closing("not found"), by=by, at=datetime.now(UTC))
    phone.route("**/report/photos", lambda _route: None)  # is on its way for ever
    phone.goto(site.path(f"/case/{number}/not-fixed"))
    phone.fill("#words", "still dark")
    phone.set_input_files("#photo", mended)
    phone.get_by_role("button", name=resident.NO_NOT_FIXED_BUTTON).click()
    expect(phone.locator(".undo-bar")).to_be_visible()
    expect(phone.locator(".undo-bar")).to_be_hidden(timeout=20_000)
    expect(phone.locator("[data-says]")).to_contain_text(resident.PHOTO_UPLOADING)
    phone.goto("about:blank")  # whoever waits no longer
    wait_for_state(site, number, "accepted")


def test_a_report_without_javascript(
    site: Site, open_context: Callable[..., BrowserContext], lamp: Path, mended: Path
) -> None:
    """Two screens before the receipt; the dispatcher, without it too, assigns and closes with proof."""
    page = open_context(**PHONE, java_script_enabled=False).new_page()
    page.goto(site.path("/"))
    page.locator("input[type=file][capture]").set_input_files(lamp)
    page.get_by_role("button", name=resident.CONTINUE_WITH_PHOTO).click()
    page.locator("label.tile", has_text=STREETLIGHT).click()
    page.fill("#place", "214 Tansy Street")
    send_without_script(page)
    number = number_on(page)

    desk = open_context(**DESK, java_script_enabled=False).new_page()
    log_in_by_form(desk, site, DISPATCHER, "/dispatch")
    desk.goto(site.path(f"/dispatch/cases/{number}?do=assign"))
    desk.locator("#do-assign").get_by_role("button", name="Lights 2").click()
    wait_for_state(site, number, "assigned")
    desk.goto(site.path(f"/dispatch/cases/{number}?do=close"))
    closing = desk.locator("#do-close")
    closing.locator("label.chip", has_text=re.compile(rf"^\s*{shared.FIXED}\s*\d?\s*$")).click()
    closing.locator("input[type=file]").set_input_files(mended)
    closing.get_by_role("button", name=staff.CLOSE_CASE).click()
    wait_for_state(site, number, "closed")

    page.goto(site.path(f"/case/{number}"))
    expect(page.locator("h1")).to_contain_text(resident.FIXED_TITLE)
    expect(page.locator(".twin > a:last-of-type img")).to_be_visible()
    page.get_by_role("link", name=resident.NOT_FIXED).click()
    page.get_by_role("button", name=resident.NO_NOT_FIXED_BUTTON).click()
    wait_for_state(site, number, "accepted")
    assert_photos_are_clean(site, number)


def test_a_report_with_location_refused(
    site: Site, open_context: Callable[..., BrowserContext], lamp: Path, mended: Path
) -> None:
    page = open_context(**PHONE, permissions=[]).new_page()
    page.goto(site.path("/"))
    page.locator("input[type=file][capture]").set_input_files(lamp)
    page.locator("label.tile", has_text=STREETLIGHT).click()
    page.click("#send")
    expect(page.locator("#errors")).to_be_focused()
    page.fill("#place", "Tansy Street & Pell Street")
    page.click("#send")
    number = number_on(page)
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        assert (case.address, case.place_source) == ("Pell Street & Tansy Street", "address") or (
            case.address == "Tansy Street & Pell Street"
        )
        assert len(s.scalars(select(Report).where(Report.case_id == case.id)).one().photos) == 1

    desk = open_context(**DESK, permissions=[]).new_page()
    log_in_by_form(desk, site, DISPATCHER, "/dispatch")
    assign_by_keyboard(desk, site, number)
    van = open_context(**PHONE, permissions=[]).new_page()
    log_in_by_form(van, site, CREW_EMAIL, "/crew")
    close_on_the_phone(van, number, mended)
    wait_for_state(site, number, "closed")
    page.goto(site.path(f"/case/{number}"))
    expect(page.locator(".twin > a:last-of-type img")).to_be_visible()
    page.get_by_role("link", name=resident.NOT_FIXED).tap()
    page.get_by_role("button", name=resident.NO_NOT_FIXED_BUTTON).tap()
    wait_for_state(site, number, "accepted")


def test_the_chain_by_keyboard_alone(
    site: Site, open_context: Callable[..., BrowserContext], lamp: Path, mended: Path
) -> None:
    page = open_context(**DESK, permissions=[]).new_page()
    page.goto(site.path("/"))
    page.wait_for_load_state("networkidle")
    tab_to(page, "input[type=file]")
    choose_by_keyboard(page, lamp)
    page.wait_for_selector("input[name=group]")
    # The phone's answer may move the focus to the box for the address.
    expect(page.locator("#place-news")).to_contain_text(resident.NOT_LOCATED)
    tab_to(page, "input[name=group]")
    page.keyboard.press("Space")
    tab_to(page, "#place")
    page.keyboard.type("214 Tansy Street")
    tab_to(page, "#send")
    page.keyboard.press("Enter")
    number = number_on(page)
    with db.read_session(site.engine) as s:
        assert s.scalars(select(Case).where(Case.number == number)).one().address == "214 Tansy Street"

    desk = open_context(**DESK).new_page()
    log_in_by_form(desk, site, DISPATCHER, "/dispatch")
    assign_by_keyboard(desk, site, number)
    van = open_context(**PHONE | {"has_touch": False, "is_mobile": False}).new_page()
    log_in_by_form(van, site, CREW_EMAIL, "/crew")
    close_by_keyboard(van, number, mended)
    wait_for_state(site, number, "closed")
    page.goto(site.path(f"/case/{number}"))
    expect(page.locator(".twin > a:last-of-type img")).to_be_visible()
    tab_to(page, ".verify a[href$=not-fixed]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/not-fixed")
    tab_to(page, "form[action$=not-fixed] .button--act")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the focus is on Undo
    expect(page.locator("[data-undo]")).to_be_hidden()
    page.keyboard.press("Enter")  # and back on the button
    wait_for_state(site, number, "accepted")


def report_with_three_taps(page: Page, site: Site, photo: Path) -> str:
    """Camera, tile, Send: three taps on the page, and no more."""
    page.goto(site.path("/"))
    with page.expect_file_chooser() as chooser:
        page.locator("label.shutter").tap()
    chooser.value.set_files(photo)
    page.locator("label.tile", has_text=STREETLIGHT).tap()
    page.wait_for_selector("#place-card[data-known]")
    page.locator("#send").tap()
    return number_on(page)


def number_on(page: Page) -> str:
    """The case's number on the receipt."""
    page.wait_for_url(re.compile(r"/sent/"))
    found = re.search(r"/sent/(\d\d-\d+)-", page.url)
    assert found
    return found[1]


def assign_by_keyboard(page: Page, site: Site, number: str) -> int:
    """Points at nothing: moves to the first case of a view and assigns it. Returns the keys pressed."""
    with db.read_session(site.engine) as s:
        address = s.scalars(select(Case.address).where(Case.number == number)).one()
    page.goto(site.path("/dispatch?" + urlencode({"state": "new", "words": address})))
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows tr")).to_contain_text(number)
    lights = '#do-assign button:has-text("Lights 2")'
    page.keyboard.press("j")
    page.wait_for_selector(lights, state="attached")
    page.keyboard.press("a")
    page.wait_for_selector(lights)
    keys = ["j", "a", page.get_attribute(lights, "data-digit") or ""]
    page.keyboard.press(keys[2])
    expect(page.locator("#rows tr").first).to_contain_text("Lights 2")
    return len(keys)


def close_on_the_phone(page: Page, number: str, photo: Path) -> None:
    page.locator("a.job", has_text=re.compile(".")).first.wait_for()
    page.locator(f'a.job[href*="{number}"]').tap()
    page.locator("[data-done]").tap()
    page.locator("label.tile", has_text=shared.FIXED).tap()
    page.locator("input[type=file]").first.set_input_files(photo)
    page.get_by_text(crew.PHOTOS(1)).first.wait_for()
    page.get_by_role("button", name=re.compile(f"^{shared.SAVE}")).tap()


def choose_by_keyboard(page: Page, photo: Path) -> None:
    """Opens the file chooser of the focused input with Enter."""
    with page.expect_file_chooser() as chooser:
        # "Hand choosers to the test" and the key press reach the browser by two ways that can overtake each
        # other, and a chooser that opens first is lost. An answer from the page in between keeps their order.
        page.evaluate("document.activeElement.type")
        page.keyboard.press("Enter")
    chooser.value.set_files(photo)


def close_by_keyboard(page: Page, number: str, photo: Path) -> None:
    job = f'a.job[href*="{number}"]'
    page.wait_for_selector(job)
    for selector, next_ in ((job, "[data-done]"), ("[data-done]", "label.tile input")):
        tab_to(page, selector)
        page.keyboard.press("Enter")
        page.wait_for_selector(next_, state="attached")
    tab_to(page, "label.tile input")
    page.keyboard.press("Space")
    tab_to(page, "input[type=file]")
    choose_by_keyboard(page, photo)
    page.get_by_text(crew.PHOTOS(1)).first.wait_for()
    tab_to(page, "button.button--act")
    page.keyboard.press("Enter")


def wait_for_state(site: Site, number: str, state: str) -> None:
    """Until the case is there; a closed one until its proof has come after it and is stored."""
    for _ in range(1200):  # a closing can be undone for ten seconds before it is sent
        with db.read_session(site.engine) as s:
            case = s.scalars(select(Case).where(Case.number == number)).one()
            unstored = select(Photo.id).where(Photo.case_id == case.id, Photo.stored_at.is_(None))
            proof = select(Photo.id).where(Photo.case_id == case.id, Photo.report_id.is_(None))
            proven = state != "closed" or s.scalar(proof.limit(1)) is not None
            if case.state == state and proven and s.scalar(unstored.limit(1)) is None:
                return
        time.sleep(0.1)
    raise AssertionError(f"{number} is {case.state}, not {state}, or its photos are not stored")


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")


def assert_photos_are_clean(site: Site, number: str) -> None:
    """Every stored size is upright and carries nothing but the picture."""
    store = storage.open_store(site.settings)
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        rows = list(s.scalars(select(Photo).where(Photo.case_id == case.id)))
        assert len(rows) >= 2
        for photo in rows:
            assert photo.stored_at, "evidence counts when it is stored"
            for size in processing.SIZES:
                data = photos.read(store, site.settings.var, photo, size)
                for mark in (b"Exif", b"http://ns.adobe.com", b"ICC_PROFILE", b"anary", b"GPS"):
                    assert mark not in data
        first = Image.open(io.BytesIO(photos.read(store, site.settings.var, rows[0], "page")))
        if rows[0].report_id:
            assert first.height > first.width, "upright"
