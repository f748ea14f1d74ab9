"""During a call a case's type or place is corrected by keys, and nothing of the call is lost by it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from closings import wait_for
from live import DESK, DESK_WITHOUT_WORKER, PHONE, Site, Slow, log_in
from places import choose_second
from places import elm as elm
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from test_screens import IN_EACH_LANGUAGE, looked_at, prefix, watched
from test_screens import faults as faults
from test_screens import keep as keep
from wording import staff

from city.cases import transitions
from city.db import engine as db
from city.db.models import Address, Case, Person, PersonRole, Service
from city.lifecycle import CALL_TAKER
from city.people import accounts
from city.places.lookup import Place

Open = Callable[..., BrowserContext]
Keep = Callable[[Page, str], None]
NOTE = "He calls from the bus stop"


@pytest.fixture
def number(site: Site) -> str:
    """A streetlight at an address, that no crew has."""
    with db.transaction(site.engine) as s:
        taker = s.scalars(select(Person).join(PersonRole).where(PersonRole.role == CALL_TAKER)).first()
        assert taker
        spot = s.scalars(select(Address).where(Address.label.like("% Street")).order_by(Address.id)).first()
        assert spot
        place = Place(spot.lat, spot.lon, "address", spot.label)
        service, by = s.get_one(Service, "light-out"), accounts.actor(taker)
        return transitions.open_case(s, service, place, by=by, at=datetime.now(UTC)).number


def case_of(site: Site, number: str) -> Case:
    with db.read_session(site.engine) as s:
        return s.scalars(select(Case).where(Case.number == number)).one()


def begin_call(page: Page, site: Site, number: str, lang: str = "en") -> None:
    """A call about that streetlight, its note half written."""
    log_in(page, site, "desk@demo.test", prefix(lang) + "/desk")
    page.locator("#sought").fill("streetlight" if lang == "en" else "luz")
    page.locator('#found [data-service="light-out"]').first.click()
    page.locator("#place").fill(case_of(site, number).address)
    page.locator("#place").press("Enter")
    expect(page.locator("#near [data-change=type]").first).to_be_visible()
    page.locator("#note").fill(NOTE)


@pytest.fixture
def page(site: Site, elm: list[str], number: str, open_context: Open) -> Page:
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    begin_call(page, site, number)
    return page


def expect_call(page: Page) -> None:
    """The call stands as it was, and the keyboard goes on in its note."""
    expect(page.locator("#change-box")).to_be_hidden()
    expect(page.locator("#note")).to_be_focused()
    expect(page.locator("#note")).to_have_value(NOTE)


def nearest(page: Page) -> str:
    return (page.locator("#near [data-change=type]").first.get_attribute("href") or "").split("/")[-2]


def test_three_keys_change_the_type_and_the_call_goes_on(site: Site, page: Page) -> None:
    number = nearest(page)
    was = case_of(site, number).service_code
    page.keyboard.press("Alt+t")
    expect(page.locator("#change input[data-narrows]")).to_be_focused()
    page.keyboard.press("1")
    expect(page.get_by_role("button", name=staff.BACK_TO_CALL)).to_be_focused()
    assert case_of(site, number).service_code != was
    page.keyboard.press("Enter")
    expect_call(page)
    page.keyboard.type(" now")
    expect(page.locator("#note")).to_have_value(f"{NOTE} now")


def test_four_keys_and_an_address_move_it(site: Site, page: Page, elm: list[str]) -> None:
    number = nearest(page)
    page.keyboard.press("Alt+l")
    expect(page.locator("#change-place")).to_be_focused()
    page.keyboard.type("9 Elm")
    page.keyboard.press("Enter")
    label = choose_second(page, page.locator("#change [name=pick]"), elm)
    expect(page.get_by_role("button", name=staff.BACK_TO_CALL)).to_be_focused()
    assert case_of(site, number).address == label
    page.keyboard.press("Enter")
    expect_call(page)


def test_other_words_are_looked_up_anew_and_undo_is_at_hand(site: Site, page: Page, elm: list[str]) -> None:
    number = nearest(page)
    was = case_of(site, number).address
    page.keyboard.press("Alt+l")
    field = page.locator("#change-place")
    field.fill("9 Elm")
    field.press("Enter")
    expect(page.locator("#change [name=pick]").first).to_be_focused()
    field.fill(elm[0])
    field.press("Enter")
    expect(page.get_by_role("button", name=staff.BACK_TO_CALL)).to_be_focused()
    assert case_of(site, number).address == elm[0]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    wait_for(lambda: case_of(site, number).address == was, page)
    page.keyboard.press("Escape")
    expect_call(page)


def test_a_fault_is_said_beside_the_place_and_loses_nothing(page: Page) -> None:
    page.keyboard.press("Alt+l")
    expect(page.locator("#change-place")).to_be_focused()
    page.keyboard.type("Nowhere at all 999")
    page.keyboard.press("Enter")
    expect(page.locator("#change-fault")).to_be_visible()
    expect(page.locator("#change-place")).to_be_focused()
    expect(page.locator("#change-place")).to_have_value("Nowhere at all 999")
    page.keyboard.press("Escape")
    expect_call(page)


def test_letters_typed_before_the_form_comes_stay_out_of_the_call(page: Page) -> None:
    slow = Slow(page, "**/desk/cases/*/type", "GET")
    page.keyboard.press("Alt+t")
    slow.wait()
    expect(page.locator("#change-said")).to_have_text(staff.JUST_A_MOMENT)
    page.keyboard.type("pot")
    page.keyboard.press("Escape")
    slow.go()
    page.wait_for_timeout(500)
    expect_call(page)


@pytest.mark.parametrize("status", [500, 403])
def test_what_fails_on_its_way_is_said_and_can_be_sent_again(site: Site, page: Page, status: int) -> None:
    number = nearest(page)
    page.keyboard.press("Alt+l")
    expect(page.locator("#change-place")).to_be_focused()
    slow = Slow(page, "**/desk/cases/*/place")
    page.keyboard.type("9 Elm Court")
    page.keyboard.press("Enter")
    slow.wait()
    expect(page.locator("#change-said")).to_have_text(staff.JUST_A_MOMENT)
    slow.go(status)
    said = staff.LOG_IN_ON_ANOTHER_TAB if status == 403 else staff.CLOSE_AND_TRY
    expect(page.locator("#change-said")).to_have_text(said)
    expect(page.locator("#change-place")).to_have_value("9 Elm Court")
    page.locator("#change-place").press("Enter")
    wait_for(lambda: case_of(site, number).address == "9 Elm Court", page)


def test_without_a_line_or_a_login_it_says_so_at_once(page: Page) -> None:
    page.context.set_offline(True)
    page.keyboard.press("Alt+t")
    expect(page.locator("#change-said")).to_have_text(staff.NO_ANSWER)
    page.keyboard.press("Escape")
    expect_call(page)
    page.context.set_offline(False)
    page.context.clear_cookies()
    page.keyboard.press("Alt+t")
    expect(page.locator("#change-said")).to_have_text(staff.LOG_IN_ON_ANOTHER_TAB)
    page.keyboard.press("Escape")
    expect_call(page)


@pytest.mark.every_variant
@IN_EACH_LANGUAGE
@pytest.mark.parametrize(("size", "options"), [("desk", DESK), ("phone", PHONE)])
def test_nothing_is_wrong_with_what_is_seen(
    site: Site, elm: list[str], number: str, open_context: Open, keep: Keep, faults: list[str], lang: str,
    size: str, options: dict[str, object],
) -> None:  # fmt: skip
    page = watched(open_context(**options).new_page(), faults)
    begin_call(page, site, number, lang)
    page.keyboard.press("Alt+t")
    expect(page.locator("#change ol")).to_be_visible()
    looked_at(page, f"change-type-{size}-{lang}", keep)
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+l")
    page.locator("#change-place").fill("9 Elm")
    page.locator("#change-place").press("Enter")
    expect(page.locator("#change [name=pick]")).to_have_count(len(elm))
    looked_at(page, f"change-places-{size}-{lang}", keep)
    page.locator("#change [name=pick]").first.click()
    expect(page.locator("#change form[action*=undo]")).to_be_visible()
    looked_at(page, f"change-done-{size}-{lang}", keep)


def test_nothing_is_wrong_with_the_page_without_javascript(
    site: Site, number: str, open_context: Open, keep: Keep, faults: list[str]
) -> None:
    """Also where somebody opens it in a tab of its own, with scripts that it has not: no dead control."""
    page = watched(open_context(**PHONE).new_page(), faults)
    log_in(page, site, "desk@demo.test", f"/es/desk/cases/{number}/type")
    expect(page.locator("input[data-narrows], [method=dialog]")).to_have_count(0)
    looked_at(page, "change-page-es", keep)
