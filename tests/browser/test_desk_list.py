"""The desk's list and its transfers by keyboard alone: nothing unsure is chosen, a key for each office."""

from collections.abc import Callable

import pytest
from live import DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select
from wording import staff

from city.db import engine as db
from city.db.models import Case, Contact, Report

Open = Callable[..., BrowserContext]
BOXES = "#call, #found li, .numbers > label, .tile > span, .save"
SIZES = ((1024, 768), (1280, 800), (1440, 900))


@pytest.fixture
def desk(site: Site, open_context: Open) -> Page:
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "desk@demo.test", "/desk")
    expect(page.locator("#phone")).to_be_focused()
    page.keyboard.press("Enter")
    return page


def kept(site: Site) -> list[Contact]:
    with db.read_session(site.engine) as s:
        return list(s.scalars(select(Contact).where(Contact.origin == "live").order_by(Contact.id)))


def chosen(page: Page, name: str) -> str:
    return str(page.locator(f'[name="{name}"]:checked').input_value())


def test_enter_takes_nothing_where_no_line_is_sure_and_an_arrow_does(desk: Page) -> None:
    desk.keyboard.type("its broken")
    expect(desk.locator("#found")).to_contain_text(staff.NO_CLEAR_MATCH)
    expect(desk.locator('#found [aria-selected="true"]')).to_have_count(0)
    desk.keyboard.press("Enter")
    desk.wait_for_timeout(300)
    assert desk.locator('[name="answer"]').input_value() == ""
    expect(desk.locator('[name="ends"]:checked')).to_have_count(0)
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("Enter")
    expect(desk.locator('[name="ends"][value="case"]')).to_be_checked()
    assert desk.locator('[name="service"]').input_value() != ""


def test_a_call_is_transferred_by_the_line_that_names_the_office(site: Site, desk: Page) -> None:
    desk.keyboard.type("parking ticket")
    expect(desk.locator('#found [data-office="parking"]')).to_have_attribute("aria-selected", "true")
    desk.keyboard.press("Enter")
    expect(desk.locator('[name="to"][value="parking"]')).to_be_focused()
    expect(desk.locator("#say blockquote")).to_contain_text(staff.TRANSFER_NUMBER(number="(555) 555-0124"))
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#phone")).to_be_focused()
    (contact,) = kept(site)
    assert (contact.outcome, contact.transferred_to, contact.topic_code) == (
        "transferred",
        "parking",
        "parking",
    )


def test_alt_3_leads_to_whom_and_a_digit_or_a_letter_chooses(site: Site, desk: Page) -> None:
    desk.keyboard.press("Alt+3")
    expect(desk.locator('[name="to"]').first).to_be_focused()
    desk.keyboard.press("2")
    second = desk.locator('[name="to"]').nth(1)
    expect(second).to_be_checked()
    desk.keyboard.press("u")
    expect(desk.locator('[name="to"][value="utility"]')).to_be_checked()
    expect(desk.locator("#say blockquote")).to_contain_text("1-800-555-0100")
    expect(desk.locator('[name="to"][value="utility"]')).to_be_focused()
    desk.wait_for_timeout(900)  # the next letters are of another name
    desk.keyboard.type("wat")
    assert chosen(desk, "to") == "water"
    expect(desk.locator('[name="to"][value="water"]')).to_be_visible()


def test_the_answer_is_offered_before_the_transfer(site: Site, desk: Page) -> None:
    desk.keyboard.type("property tax")
    expect(desk.locator('#found [data-answer="pay-property-tax"]')).to_be_visible()
    desk.keyboard.press("Alt+3")
    expect(desk.locator("#say .notice")).to_contain_text(staff.TRY_ANSWER_FIRST)
    desk.keyboard.press("Alt+Enter")
    expect(desk.locator('[name="ends"][value="answered"]')).to_be_checked()
    expect(desk.locator("#say blockquote")).to_contain_text("January")
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#kept .said")).to_have_text(staff.CALL_ANSWERED)
    (contact,) = kept(site)
    assert (contact.outcome, contact.topic_code) == ("answered", "taxes")


def test_a_caller_joins_an_open_case_by_its_line_and_hears_its_day(site: Site, desk: Page) -> None:
    with db.read_session(site.engine) as s:
        is_open = (
            Case.state.in_(("new", "accepted")) & (Case.service_code == "light-out") & (Case.address != "")
        )
        number = s.scalars(select(Case.number).where(is_open).order_by(Case.id.desc())).first() or ""
    desk.keyboard.type(number)
    expect(desk.locator(f'#found [data-case="{number}"]')).to_have_attribute("aria-selected", "true")
    desk.keyboard.press("Enter")
    expect(desk.locator("#note")).to_be_focused()
    expect(desk.locator(f'#near [name="join"][value="{number}"]')).to_be_checked()
    expect(desk.locator("#say blockquote")).to_contain_text("Someone already reported this.")
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#kept .num")).to_be_visible()
    with db.read_session(site.engine) as s:
        joined = s.scalars(select(Report).order_by(Report.id.desc())).first()
        assert joined is not None
        assert joined.case.number == number


@pytest.mark.parametrize("size", SIZES)
def test_nothing_breaks_at_a_desks_sizes(desk: Page, size: tuple[int, int]) -> None:
    width, height = size
    desk.set_viewport_size({"width": width, "height": height})
    desk.keyboard.type("light out")
    expect(desk.locator("#found li").first).to_be_visible()
    over = (
        f"[...document.querySelectorAll('{BOXES}')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert desk.evaluate(over) == 0
    desk.keyboard.press("Alt+3")
    expect(desk.locator(".numbers").first).to_be_visible()
    assert desk.evaluate(over) == 0
    assert desk.evaluate("document.documentElement.scrollWidth") <= width
    expect(desk.locator("#oncall")).to_be_visible()
    expect(desk.locator("#save")).to_be_in_viewport()
