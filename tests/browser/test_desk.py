"""At the dispatcher's desk, by keyboard: two cases that look alike, and a photo whose parts are covered."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from live import DESK, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session
from wording import shared, staff

from city.cases import transitions
from city.db import engine as db
from city.db.models import Asset, Case, Photo, Service
from city.geo import Point, cells_around
from city.people import accounts
from city.places import nearby_assets

Open = Callable[..., BrowserContext]


@pytest.fixture
def pair(site: Site) -> tuple[str, str]:
    """Two cases at one pole with no other case around it, the earlier first."""
    with db.transaction(site.engine) as s:
        told_twice = select(Service).where(Service.asset_kind == "pole").order_by(Service.often.desc())
        service, pole = s.scalars(told_twice).first(), lonely(s)
        assert service
        first, later = (
            transitions.open_case(
                s, service, nearby_assets.place_of(pole), by=accounts.THE_SYSTEM, at=datetime.now(UTC)
            )
            for _ in range(2)
        )
        assert later.twin_id == first.id
        return first.number, later.number


def lonely(s: Session) -> Asset:
    """A pole of the city's with no case near it: where many are, being near says less."""
    for pole in s.scalars(select(Asset).where(Asset.kind == "pole", Asset.owner == "")):
        near = select(Case.id).where(Case.cell.in_(cells_around(Point(pole.lat, pole.lon), 50)))
        if s.scalars(near).first() is None:
            return pole
    raise AssertionError("no such pole in Larkhaven")


def at_the_desk(site: Site, open_context: Open, number: str) -> Page:
    """The board with this case in its drawer, found by its number."""
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.keyboard.press("/")
    page.keyboard.type(number)
    with page.expect_navigation():  # before its scripts are there no key is a command
        page.keyboard.press("Enter")
    expect(page.locator(".drawer")).to_have_attribute("data-number", number)
    return page


def test_two_cases_are_told_apart_by_one_key_and_are_one_again_by_a_button(
    site: Site, open_context: Open, pair: tuple[str, str]
) -> None:
    first, later = pair
    page = at_the_desk(site, open_context, later)
    page.goto(site.path(f"/dispatch/cases/{later}?sort=newest"))  # with its row on the first page
    row, drawer = page.locator(f"#case-{later}"), page.locator(".drawer")
    expect(row).to_contain_text(staff.LIKELY_DUPLICATE_OF(number=first))
    expect(drawer).to_contain_text(staff.LIKELY_DUPLICATES)
    page.keyboard.press("t")
    expect(drawer).to_contain_text(staff.MARKED_APART)
    expect(row).not_to_contain_text(staff.LIKELY_DUPLICATE_OF(number=""))
    expect(drawer).not_to_contain_text(staff.LIKELY_DUPLICATES)
    drawer.get_by_role("button", name=shared.UNDO).press("Enter")
    expect(drawer).to_contain_text(staff.DUPLICATES_AGAIN)
    expect(row).to_contain_text(staff.LIKELY_DUPLICATE_OF(number=first))


def test_the_key_does_nothing_where_nothing_looks_alike(
    site: Site, open_context: Open, pair: tuple[str, str]
) -> None:
    page = at_the_desk(site, open_context, pair[1])
    for _ in range(3):
        page.keyboard.press("t")
    expect(page.locator(".drawer")).to_contain_text(staff.MARKED_APART)
    assert page.locator("#apart").count() == 0


def test_a_part_that_was_meant_otherwise_is_taken_away_again(site: Site, open_context: Open) -> None:
    with db.read_session(site.engine) as s:
        shown = select(Photo.id, Case.number).join(Case, Case.id == Photo.case_id)
        photo, number = s.execute(shown.where(Photo.report_id.is_not(None))).first() or ("", "")
    page = at_the_desk(site, open_context, number)
    page.goto(site.path(f"/dispatch/cases/{number}/photos/{photo}/redaction"))
    takes_away = page.get_by_role("button", name=shared.REMOVE)
    expect(takes_away).to_have_count(0)
    fields = page.get_by_role("group", name=staff.AREA(n=1)).get_by_role("spinbutton")
    for n, value in enumerate(("10", "20", "30", "25")):
        fields.nth(n).fill(value)
    expect(page.locator(".cover rect")).to_have_count(1)
    takes_away.press("Enter")
    expect(page.locator(".cover rect")).to_have_count(0)
    expect(fields.first).to_be_focused()
    expect(takes_away).to_have_count(0)
