"""A wrong type or place is corrected with a few keys, and undone with one."""

from collections.abc import Callable

import pytest
from closings import wait_for
from live import DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import staff

from city.db import engine as db
from city.db.models import Case

Open = Callable[..., BrowserContext]


@pytest.fixture
def page(site: Site, open_context: Open) -> Page:
    """The queue of streetlights, its first case open."""
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch?group=streetlight")
    page.keyboard.press("j")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number_of(page))
    return page


def number_of(page: Page) -> str:
    return page.locator("#rows tr").first.get_attribute("data-number") or ""


def case_of(site: Site, number: str) -> Case:
    with db.read_session(site.engine) as s:
        return s.scalars(select(Case).where(Case.number == number)).one()


def test_three_keys_change_the_type_and_one_takes_that_back(site: Site, page: Page) -> None:
    number = number_of(page)
    was = case_of(site, number).service_code
    for key in "et1":
        page.keyboard.press(key)
    expect(page.locator(".drawer .said")).to_have_text(staff.TYPE_CHANGED)
    assert case_of(site, number).service_code != was
    page.keyboard.press("u")
    wait_for(lambda: case_of(site, number).service_code == was, page)


def test_letters_narrow_the_types_and_enter_takes_the_first(site: Site, page: Page) -> None:
    number = number_of(page)
    page.keyboard.press("e")
    page.keyboard.press("t")
    field = page.locator("#do-type input[data-narrows]")
    expect(field).to_be_focused()
    field.press_sequentially("pothole")
    expect(page.locator("#do-type .crews li:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".drawer .said")).to_have_text(staff.TYPE_CHANGED)
    assert case_of(site, number).service_code == "pothole"


def test_the_place_is_typed_or_chosen_on_the_map_by_keys_alone(site: Site, page: Page) -> None:
    number = number_of(page)
    page.keyboard.press("e")
    page.keyboard.press("l")
    field = page.locator("#new-place")
    expect(field).to_be_focused()
    field.press_sequentially("214 Tansy Street")
    page.keyboard.press("Enter")
    expect(page.locator(".drawer .said")).to_have_text(staff.LOCATION_CHANGED)
    assert case_of(site, number).address == "214 Tansy Street"
    lat = case_of(site, number).lat
    page.keyboard.press("e")
    page.keyboard.press("l")
    page.locator("#spot").press("Enter")
    expect(page.locator(".cross")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".cross")).to_have_count(0)
    page.locator("#spot").press("Enter")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(400)  # the map glides
    page.keyboard.press("Enter")
    wait_for(lambda: case_of(site, number).place_source == "pin", page)
    assert lat is not None
    assert (case_of(site, number).lat or 0) > lat
