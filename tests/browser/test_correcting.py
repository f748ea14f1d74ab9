"""A wrong type or place is corrected with a few keys, and undone with one."""

from collections.abc import Callable

import pytest
from closings import wait_for
from live import DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import func, select
from wording import staff

from city.db import engine as db
from city.db.models import Case, Report
from city.lifecycle import OPEN

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


def test_four_keys_give_a_new_date(site: Site, open_context: Open) -> None:
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "supervisor@demo.test", "/dispatch?group=streetlight")
    page.keyboard.press("j")
    number = number_of(page)
    expect(page.locator(".drawer")).to_have_attribute("data-number", number)
    for key in ("e", "d", "1", "Enter"):
        page.keyboard.press(key)
    wait_for(lambda: case_of(site, number).rescheduled_to is not None, page)
    page.keyboard.press("u")
    wait_for(lambda: case_of(site, number).rescheduled_to is None, page)


def test_three_keys_split_a_report_off(site: Site, page: Page) -> None:
    """In the list of those that more than one have told of."""
    with db.read_session(site.engine) as s:
        told = select(Report.case_id).group_by(Report.case_id).having(func.count() > 1)
        number = s.scalars(select(Case.number).where(Case.id.in_(told), Case.state.in_(OPEN)).limit(1)).one()
    page.goto(site.path(f"/dispatch/cases/{number}"))
    expect(page.locator(".drawer")).to_have_attribute("data-number", number)
    for key in "es2":
        page.keyboard.press(key)
    expect(page.locator(".drawer")).not_to_have_attribute("data-number", number)
    own = page.locator(".drawer").get_attribute("data-number") or ""
    assert case_of(site, own).state == "new"
    page.keyboard.press("u")
    wait_for(lambda: case_of(site, own).state == "merged", page)


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
    page.set_viewport_size({"width": 1366, "height": 768})  # where the case lies over all of the map
    page.locator("#spot").press("Enter")
    expect(page.locator(".spot-told")).to_be_in_viewport()
    assert page.evaluate(
        """() => {
          const box = document.getElementById("map").getBoundingClientRect();
          const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
          return Boolean(middle?.closest("#map"));
        }"""
    )
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(400)  # the map glides
    page.keyboard.press("Enter")
    wait_for(lambda: case_of(site, number).place_source == "pin", page)
    assert lat is not None
    assert (case_of(site, number).lat or 0) > lat
