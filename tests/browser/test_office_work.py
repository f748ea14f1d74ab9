"""Office work by keyboard alone: taken at the desk in few keys, and answered from the board."""

from collections.abc import Callable

from live import DESK, Site, log_in
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import select
from test_call_desk import PHONE, Keys
from wording import staff

from city.db import engine as db
from city.db.models import Case, Contact, Report

Open = Callable[..., BrowserContext]


def test_a_follow_up_is_taken_and_answered(site: Site, open_context: Open) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "desk@demo.test", "/desk")
    expect(page.locator("#phone")).to_be_focused()
    keys = Keys(page)
    keys.type(PHONE)
    keys.press("Enter")
    with page.expect_response("**/desk/found?q=tax+call*"):
        keys.type("tax call")
    expect(page.locator('#found [data-service="tax-question"]')).to_be_visible()
    mine = page.locator('#found [data-service="tax-question"]')
    keys.press("ArrowUp")  # behind the answers, and before an office that is closed by now
    if mine.get_attribute("aria-selected") != "true":
        keys.press("ArrowUp")
    expect(mine).to_have_attribute("aria-selected", "true")
    keys.press("Enter")
    expect(page.locator("#note")).to_be_focused()
    expect(page.locator("#say blockquote")).to_contain_text("When can we call you back?")
    expect(page.locator('[name="reply_by"][value="call"]')).to_be_checked()
    keys.type("too high")
    keys.press("Control+Enter")
    expect(page.locator("#kept .num")).to_be_visible()
    assert keys.pressed <= 30, keys.pressed
    number = page.locator("#kept .num").inner_text()
    with db.read_session(site.engine) as s:
        report = s.scalars(
            select(Report).join(Case, Case.id == Report.case_id).where(Case.number == number)
        ).one()
        contact = s.scalars(select(Contact).where(Contact.case_id == report.case_id)).one()
        assert (report.words, report.service_code) == ("too high", "tax-question")
        assert (contact.outcome, contact.topic_code, contact.reply_by) == ("case", "taxes", "call")

    page.goto(site.path("/dispatch?work=office"))
    expect(page.locator(f"#case-{number}")).to_contain_text("Taxes and payments")
    page.goto(site.path(f"/dispatch/cases/{number}?work=office"))
    expect(page.locator("#drawer")).to_contain_text(staff.WANTS_CALL(number="555-0142"))
    page.keyboard.press("c")
    expect(page.locator("#do-close")).to_be_visible()
    page.keyboard.press("1")  # the first ready reply, and its outcome with it
    expect(page.locator('#do-close [name="outcome"][value="answered"]')).to_be_checked()
    page.locator("#f-close button.button").last.press("Enter")
    expect(page.locator("#drawer .said")).to_be_visible()
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        assert (case.state, case.outcome) == ("closed", "answered")
        assert case.closures[-1].reply["code"] == "tax-told"
