"""The board on a desk's smallest screen, where the list, the map and what floats are in each other's way."""

from collections.abc import Callable

import pytest
from live import DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from wording import shared, staff

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


def bottom_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box
    return box["y"] + box["height"]


def test_the_row_at_hand_is_never_under_what_floats_and_the_end_is_reached(desk: Desk) -> None:
    page = desk()
    nth = 7
    for _ in range(nth + 1):
        page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page, nth))
    page.keyboard.press("y")
    expect(page.locator("#told .told__line")).to_be_visible()
    row = "#rows tr:has(:focus)"
    page.wait_for_function(f"document.querySelector('{row}').getBoundingClientRect().bottom <= {FLOATS_AT}")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk")).to_be_visible()
    page.wait_for_function(f"document.querySelector('{row}').getBoundingClientRect().bottom <= {FLOATS_AT}")
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
