"""The board on a desk's smallest screen, where what floats, the list and the map are in each other's way."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from live import DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import shared, staff

from city.db import engine as db
from city.db.models import Service
from city.reports import intake
from pwa.board import batch_summary

Open = Callable[..., BrowserContext]
Desk = Callable[..., Page]
# Where the highest of what floats over the list begins; news alone moves no row and is no part of it.
FLOATS_AT = """Math.min(innerHeight, ...[...document.querySelectorAll('.panel__foot > :not(.live)')]
  .filter((each) => each.offsetHeight).map((each) => each.getBoundingClientRect().top))"""


@pytest.fixture
def desk(site: Site, open_context: Open) -> Desk:
    """Opens the board, as wide as asked for."""

    def sit_down(to: str = "/dispatch?crew=none", width: int = 1024) -> Page:
        page = open_context(**DESK_WITHOUT_WORKER | {"viewport": {"width": width, "height": 768}}).new_page()
        log_in(page, site, "dispatcher@demo.test", to)
        return page

    return sit_down


def number_of(page: Page, nth: int) -> str:
    return page.locator("#rows tr").nth(nth).get_attribute("data-number") or ""


def until(page: Page, true: str) -> None:
    """Waits until the page says so; its own rules let it evaluate nothing that would wait by itself."""
    deadline = time.monotonic() + 10
    while not page.evaluate(true):
        assert time.monotonic() < deadline, true
        page.wait_for_timeout(50)


def bottom_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box
    return box["y"] + box["height"]


def test_the_row_at_hand_is_never_under_what_floats_and_the_end_is_reached(desk: Desk) -> None:
    page = desk()
    for _ in range(8):
        page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page, 7))
    page.keyboard.press("a")  # whatever its state is, a case that no crew has can be given to one
    page.keyboard.press("1")
    expect(page.locator("#told .told__line")).to_be_visible()
    row = "#rows tr:has(:focus)"
    until(page, f"document.querySelector('{row}').getBoundingClientRect().bottom <= {FLOATS_AT}")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk")).to_be_visible()
    until(page, f"document.querySelector('{row}').getBoundingClientRect().bottom <= {FLOATS_AT}")
    for _ in range(3):
        page.keyboard.press("j")
        assert bottom_of(page, row) <= page.evaluate(FLOATS_AT)
    page.evaluate("document.querySelector('.scroll').scrollTo(0, 1e6)")
    assert bottom_of(page, "#rows tr:last-child") <= page.evaluate(FLOATS_AT)
    assert bottom_of(page, "#more") <= page.evaluate(FLOATS_AT)


def test_the_key_of_undo_leaves_what_was_done_a_while_ago_to_its_button(desk: Desk, site: Site) -> None:
    page = desk()
    page.clock.install()
    page.goto(site.path("/dispatch?state=new"))
    first = number_of(page, 0)
    page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", first)
    page.keyboard.press("y")
    told = page.locator("#told")
    expect(told.locator("kbd")).to_be_visible()
    expect(told.locator("#undo-when")).to_be_hidden()
    page.clock.fast_forward(batch_summary.SHOWN_FOR.seconds * 1000)
    expect(told.locator("#undo-when")).to_be_visible()
    expect(told.locator("kbd")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.locator("#live")).to_contain_text(staff.KEY_CANT)
    told.get_by_role("button", name=shared.UNDO).click()
    expect(told).to_contain_text(shared.CASE_PUT_BACK(number=first))


def test_what_is_in_the_map_view_is_chosen_only_while_the_map_can_be_seen(desk: Desk, site: Site) -> None:
    with db.transaction(site.engine) as s:
        service = s.scalars(select(Service.code).where(Service.group == "streetlight")).first() or ""
        nowhere = intake.NewReport(key=uuid.uuid4().hex, service_code=service, channel="web", place=None)
        intake.submit(s, nowhere, at=datetime.now(UTC), token="t" * 40)
    page = desk()
    page.wait_for_selector("#map .clusterpin, #map a.pin")
    page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page, 0))
    for key in ("i", "l"):
        page.keyboard.press(key)
        expect(page.locator("#live")).to_contain_text(staff.KEY_CANT)
        expect(page.locator("#bulk")).to_be_hidden()
        expect(page.locator(".lasso")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    expect(page.locator("#live")).to_contain_text(staff.OTHERS_OUTSIDE.removeprefix("%(num)s"))
    expect(page.locator("#bulk")).to_be_visible()


def test_the_list_that_was_read_anew_begins_at_its_top(desk: Desk) -> None:
    page = desk()
    for _ in range(10):
        page.keyboard.press("j")
    number = page.locator("#rows tr[aria-current]").get_attribute("data-number")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number or "")
    assert page.evaluate("document.querySelector('.scroll').scrollTop") > 0
    page.keyboard.press("a")
    page.keyboard.press("1")
    expect(page.locator("#live a")).to_be_visible()
    held = page.locator("#views [aria-current] data").inner_text()
    expect(page.locator("#shown")).to_have_text(re.compile(rf"\b{held}$"))
    page.keyboard.press(".")
    expect(page.locator("#live a")).to_have_count(0)
    assert page.evaluate("document.querySelector('.scroll').scrollTop") == 0
    expect(page.locator("#shown")).to_have_text(re.compile(rf"\b{held}$"))


@pytest.mark.parametrize("width", [1440, 1024])
def test_the_map_is_where_it_was_once_the_case_is_closed(desk: Desk, width: int) -> None:
    page = desk(width=width)
    page.wait_for_selector("#map .clusterpin, #map a.pin")
    stands = "document.querySelector('#map .leaflet-map-pane').style.transform"
    before = page.evaluate(stands)
    for nth in range(6):
        page.keyboard.press("j")
        expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page, nth))
        page.wait_for_timeout(400)
    moved = page.evaluate(stands)
    assert (moved != before) == (width > 1024), "the case stayed under the drawer"
    page.keyboard.press("Escape")
    until(page, f"{stands} === {before!r}")
    page.keyboard.press("k")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page, 4))
    page.wait_for_timeout(400)
    if width > 1024:
        page.locator("#map").focus()
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(400)
        theirs = page.evaluate(stands)
        page.keyboard.press("Escape")
        page.wait_for_timeout(400)
        assert page.evaluate(stands) == theirs


def test_the_legend_stays_off_the_edge_and_all_keys_are_in_sight(desk: Desk) -> None:
    page = desk()
    legend = page.locator(".legend").bounding_box()
    assert legend
    assert legend["x"] + legend["width"] <= 1024 - 12
    page.keyboard.press("?")
    keys = page.locator("#keys")
    expect(keys).to_be_visible()
    assert keys.evaluate("each => each.scrollHeight <= each.clientHeight")
    assert bottom_of(page, "#keys > p") < 768
    page.set_viewport_size({"width": 360, "height": 400})
    page.locator("#keys > p").scroll_into_view_if_needed()
    assert bottom_of(page, "#keys > p") < 400
