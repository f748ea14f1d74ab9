"""At the call desk by keyboard alone: a case, an answer, a Spanish script, and a server that goes away."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from live import DESK_WITHOUT_WORKER, Site, Slow, log_in
from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import select
from wording import shared, staff

from city.db import engine as db
from city.db.models import Address, Contact, Person, PersonRole, Report
from city.lifecycle import CALL_TAKER
from city.people import accounts
from city.people.contacts import Conversation
from city.reports import calls
from city.reports.calls import Call

Open = Callable[..., BrowserContext]
PHONE = "5550142"


class Keys:
    """Hands on a keyboard: every key and every chord's key counts."""

    def __init__(self, page: Page) -> None:
        self.page, self.pressed = page, 0

    def type(self, words: str) -> None:
        self.page.keyboard.type(words, delay=20)
        self.pressed += len(words)

    def press(self, chord: str) -> None:
        self.page.keyboard.press(chord)
        self.pressed += chord.count("+") + 1


@pytest.fixture
def desk(site: Site, open_context: Open) -> Page:
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "desk@demo.test", "/desk")
    expect(page.locator("#phone")).to_be_focused()
    return page


@pytest.fixture
def address(site: Site) -> str:
    with db.read_session(site.engine) as s:
        return (
            s.scalars(
                select(Address.label).where(Address.label.like("% Street")).order_by(Address.id)
            ).first()
            or ""
        )


def contacts(site: Site) -> list[Contact]:
    """What the desk has kept here; the demo's own calls are not."""
    with db.read_session(site.engine) as s:
        return list(s.scalars(select(Contact).where(Contact.origin == "live").order_by(Contact.id)))


def suggested_for(url: str) -> str:
    """For which words a list of places was asked; empty where it was something else."""
    asked = urlsplit(url)
    return parse_qs(asked.query).get("q", [""])[0] if asked.path.endswith("/suggest") else ""


def test_a_case_takes_at_most_thirty_keys(site: Site, desk: Page, address: str) -> None:
    keys = Keys(desk)
    keys.type(PHONE)
    keys.press("Enter")
    keys.type("light")
    keys.press("Enter")
    expect(desk.locator("#place")).to_be_focused()
    typed = address.removesuffix(" Street")
    with desk.expect_response(lambda answer: suggested_for(answer.url) == typed):
        keys.type(typed)
    expect(desk.locator("#place-lines > li").first).to_have_text(address)
    lines, box = desk.locator("#place-lines").bounding_box(), desk.locator("#place").bounding_box()
    assert lines
    assert box
    assert 0 <= lines["y"] - (box["y"] + box["height"]) < 8, "right below what is typed"
    keys.press("ArrowDown")
    keys.press("Enter")
    keys.press("Control+Enter")
    expect(desk.locator("#kept .num")).to_be_visible()
    expect(desk.locator("#phone")).to_be_focused()
    expect(desk.locator("#phone")).to_have_value("")
    assert keys.pressed <= 30, keys.pressed
    with db.read_session(site.engine) as s:
        (contact,) = contacts(site)
        report = s.scalars(select(Report).where(Report.case_id == contact.case_id)).one()
        assert (report.service_code, report.address, contact.outcome) == ("light-out", address, "case")


def test_a_list_that_comes_late_leaves_the_mark_where_arrows_put_it(site: Site, open_context: Open) -> None:
    page = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(page, site, "desk@demo.test", "/desk")
    page.locator("#sought").focus()
    page.keyboard.type("tax")
    expect(page.locator('#found [data-service="tax-question"]')).to_be_visible()
    with page.expect_response("**/desk/found?q=tax+call*"):
        page.keyboard.type(" call")
        page.keyboard.press("ArrowUp")  # from the first to the last
    page.wait_for_timeout(300)
    expect(page.locator("#found [data-service=tax-question]")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.locator("#note")).to_be_focused()


def test_enter_takes_nothing_from_a_list_of_fewer_letters(desk: Page) -> None:
    keys = Keys(desk)
    keys.press("Enter")
    keys.type("tax")
    expect(desk.locator('#found [role="option"]').first).to_be_visible()
    slow = Slow(desk, "**/desk/found**", "GET")
    keys.type(" bill never came")
    slow.wait()
    keys.press("Enter")
    assert desk.locator('[name="service"]').input_value() == ""
    assert desk.locator('[name="answer"]').input_value() == ""
    slow.go()
    expect(desk.locator("#found")).to_be_hidden()


def test_enter_takes_nothing_from_an_old_list_where_the_new_one_did_not_come(desk: Page) -> None:
    keys = Keys(desk)
    keys.press("Enter")
    keys.type("tax")
    expect(desk.locator('#found [role="option"]').first).to_be_visible()
    desk.route("**/desk/found**", lambda route: route.abort())
    keys.type(" streetlight")
    desk.wait_for_timeout(400)
    keys.press("Enter")
    desk.wait_for_timeout(200)
    assert desk.locator('[name="service"]').input_value() == ""
    assert desk.locator('[name="answer"]').input_value() == ""


def test_same_problem_stays_ticked_when_a_late_answer_comes(desk: Page, address: str) -> None:
    keys = Keys(desk)
    for call in (1, 2):
        keys.press("Enter")
        keys.type("streetlight out")
        expect(desk.locator('#found [data-service="light-out"]')).to_be_visible()
        keys.press("Enter")
        expect(desk.locator("#place")).to_be_focused()
        keys.type(address)
        keys.press("Enter")
        if call == 1:
            keys.press("Control+Enter")
            expect(desk.locator("#kept .num")).to_be_visible()
    join = desk.locator('#near [name="join"]').first
    join.wait_for()
    slow = Slow(desk, "**/desk/parts**")
    desk.locator('label:has([name="lang"][value="es"])').click()
    slow.wait()
    keys.press("Alt+d")
    expect(join).to_be_checked()
    with desk.expect_response("**/desk/parts**"):
        slow.go()
    desk.wait_for_timeout(200)
    expect(join).to_be_checked()


def test_the_last_caller_is_not_drawn_into_the_next_call(desk: Page) -> None:
    keys = Keys(desk)
    slow = Slow(desk, "**/desk/parts**")
    keys.type(PHONE)
    keys.press("Enter")
    slow.wait()
    keys.type("tax bill")
    expect(desk.locator('#found [data-answer="tax-bill-missing"]')).to_be_visible()
    keys.press("Enter")
    expect(desk.locator('[name="ends"][value="answered"]')).to_be_checked()
    keys.press("Control+Enter")
    expect(desk.locator("#kept .said")).to_have_text(staff.CALL_ANSWERED)
    slow.go()
    desk.wait_for_timeout(500)
    expect(desk.locator("#caller")).not_to_contain_text(PHONE[-4:])


def test_an_answer_takes_at_most_fifteen_keys(site: Site, desk: Page) -> None:
    keys = Keys(desk)
    keys.press("Enter")
    keys.type("tax bill")
    expect(desk.locator('#found [data-answer="tax-bill-missing"]')).to_be_visible()
    keys.press("Enter")
    expect(desk.locator("#say blockquote")).to_be_visible()
    keys.press("Control+Enter")
    expect(desk.locator("#kept .said")).to_have_text(staff.CALL_ANSWERED)
    assert keys.pressed <= 15, keys.pressed
    (contact,) = contacts(site)
    assert (contact.outcome, contact.topic_code) == ("answered", "taxes")


def test_who_spoke_spanish_is_spoken_to_in_spanish(site: Site, desk: Page) -> None:
    now = datetime.now(UTC)
    with db.transaction(site.engine) as s:
        role = select(PersonRole.person_id).where(PersonRole.role == CALL_TAKER)
        taker = accounts.actor(s.scalars(select(Person).where(Person.id.in_(role))).first())
        said = Conversation("f" * 32, "phone", now - timedelta(hours=1), 60, "taxes", "answered", lang="es")
        calls.finish_call(s, Call(said, f"+1{PHONE}"), by=taker, at=now, secret="s")
    keys = Keys(desk)
    keys.type(PHONE)
    keys.press("Enter")
    expect(desk.locator("#caller")).to_contain_text(staff.HAS_CALLED_BEFORE(1))
    expect(desk.locator('[name="lang"][value="es"]')).to_be_checked()
    keys.type("tax bill")
    expect(desk.locator('#found [data-answer="tax-bill-missing"]')).to_be_visible()
    keys.press("Alt+Enter")  # reads it
    expect(desk.locator('#say blockquote[lang="es"]')).to_contain_text("recibo")
    expect(desk.locator('[name="ends"]:checked')).to_have_count(0)
    keys.press("Enter")  # logs it
    expect(desk.locator('[name="ends"][value="answered"]')).to_be_checked()


def test_a_draft_outlives_a_server_that_goes_and_comes_back(site: Site, desk: Page, address: str) -> None:
    desk.keyboard.type(PHONE)
    desk.keyboard.press("Enter")
    desk.keyboard.type("pothole")
    desk.keyboard.press("Enter")
    expect(desk.locator("#place")).to_be_focused()
    site.stop()
    desk.keyboard.type(address)
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#lost")).to_contain_text(staff.CALL_NOT_SAVED)
    expect(desk.locator("#place")).to_have_value(address)
    site.start()
    desk.reload()  # as somebody does who trusts no page that failed
    expect(desk.locator("#lost")).to_contain_text(staff.CALL_DRAFT_RESTORED)
    expect(desk.locator("#place")).to_have_value(address)
    expect(desk.locator("#phone")).to_have_value(PHONE)
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#kept .num")).to_be_visible()
    desk.reload()
    expect(desk.locator("#phone")).to_have_value("")
    assert [contact.outcome for contact in contacts(site)] == ["case"]


def test_one_of_several_places_is_chosen_by_keyboard(desk: Page) -> None:
    desk.fill("#place", "Street")
    desk.keyboard.press("Escape")
    desk.keyboard.press("Tab")
    choices = desk.locator('[name="pick"]')
    expect(choices.nth(3)).to_be_attached()
    wanted = desk.locator("#spot label").nth(choices.count() - 3).inner_text().strip()
    desk.locator("#note").focus()  # where Tab led, unless the choices had come before it
    desk.keyboard.press("Shift+Tab")  # to the last of them
    desk.keyboard.press("ArrowUp")
    desk.keyboard.press("ArrowUp")
    desk.keyboard.press("Enter")
    expect(desk.locator("#spot .okline")).to_have_text(wanted)
    expect(desk.locator("#note")).to_be_focused()


def test_a_fault_is_in_sight_and_its_line_leads_there(desk: Page) -> None:
    desk.fill("#sought", "pothole")
    desk.wait_for_selector('#found [data-service="pothole"]')
    desk.keyboard.press("Enter")
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#errors")).to_be_focused()
    expect(desk.locator("#found")).to_be_hidden()
    expect(desk.locator("#place-e")).to_be_in_viewport()
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(desk.locator("#place")).to_be_focused()


def answer_and_lose_the_answer(desk: Page) -> None:
    """An answered call that the city has kept, and the desk does not know it."""
    desk.keyboard.press("Enter")
    desk.keyboard.type("tax bill")
    desk.keyboard.press("Enter")
    expect(desk.locator('[name="ends"][value="answered"]')).to_be_checked()

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    desk.route("**/desk/calls", lose)
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#lost")).to_contain_text(staff.CALL_NOT_SAVED)
    desk.unroute("**/desk/calls")


def test_a_draft_comes_back_with_what_was_asked_of_the_problem(site: Site, desk: Page) -> None:
    desk.locator("#sought").fill("fallen branch")
    desk.wait_for_selector('#found [data-service="limb-down"]')
    desk.keyboard.press("Enter")
    answer = '[name="answer-limb-down-blocked"]'
    desk.locator(f"label:has({answer})").first.click()
    desk.locator('label:has([name="reply_by"][value="email"])').click()
    desk.fill("#email", "ana@mail.test")
    desk.reload()
    expect(desk.locator("#lost")).to_contain_text(staff.CALL_DRAFT_RESTORED)
    expect(desk.locator(answer).first).to_be_checked()
    expect(desk.locator("#email")).to_have_value("ana@mail.test")
    desk.reload()  # and what was kept meanwhile is whole too
    expect(desk.locator("#email")).to_have_value("ana@mail.test")
    expect(desk.locator(answer).first).to_be_checked()


def test_a_draft_that_is_found_before_the_page_is_whole_comes_with_its_questions(
    site: Site, desk: Page
) -> None:
    desk.locator("#sought").fill("fallen branch")
    desk.wait_for_selector('#found [data-service="limb-down"]')
    desk.keyboard.press("Enter")
    question = desk.locator('label:has([name="answer-limb-down-blocked"])').first
    expect(question).to_be_visible()
    desk.add_init_script("navigator.locks.query = () => Promise.resolve({ held: [] })")
    desk.reload()
    expect(desk.locator("#lost")).to_contain_text(staff.CALL_DRAFT_RESTORED)
    expect(question).to_be_visible()


def test_what_is_corrected_after_a_lost_answer_is_a_call_of_its_own(site: Site, desk: Page) -> None:
    answer_and_lose_the_answer(desk)
    desk.keyboard.press("Alt+4")
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#errors")).to_contain_text(shared.CALL_ALREADY_SAVED(outcome=shared.ANSWERED))
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#kept .said")).to_have_text(staff.CALL_DROPPED)
    assert [contact.outcome for contact in contacts(site)] == ["answered", "dropped"]
    desk.reload()  # nothing of either comes back as a third
    expect(desk.locator("#sought")).to_have_value("")
    expect(desk.locator("#lost")).to_be_hidden()


def test_a_call_whose_answer_was_lost_is_kept_once(site: Site, desk: Page) -> None:
    answer_and_lose_the_answer(desk)
    desk.keyboard.press("Control+Enter")
    expect(desk.locator("#kept .said")).to_be_visible()
    assert len(contacts(site)) == 1


def test_whoever_types_at_once_is_not_interrupted_by_an_older_draft(site: Site, desk: Page) -> None:
    desk.fill("#note", "of before")
    context = desk.context
    desk.close()
    page = context.new_page()
    page.add_init_script("""(() => {
      const query = navigator.locks.query.bind(navigator.locks);
      navigator.locks.query = () => new Promise((done) => setTimeout(done, 800)).then(query);
    })()""")
    page.goto(site.path("/desk"))
    page.keyboard.type(PHONE)
    page.wait_for_timeout(1_500)
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#note")).to_have_value("")
    expect(page.locator("#phone")).to_have_value(PHONE)
    page.close()
    third = context.new_page()
    third.goto(site.path("/desk"))  # the newer one comes first, the older one is not lost
    expect(third.locator("#phone")).to_have_value(PHONE)


def test_two_tabs_keep_two_drafts(site: Site, desk: Page) -> None:
    other = desk.context.new_page()
    for page, words in ((desk, "first"), (other, "second")):
        page.goto(site.path("/desk"))
        page.fill("#note", words)
    other.close()
    third = desk.context.new_page()
    third.goto(site.path("/desk"))
    expect(third.locator("#note")).to_have_value("second")
    desk.reload()
    expect(desk.locator("#note")).to_have_value("first")


def test_whoever_logs_out_leaves_no_caller_behind(site: Site, desk: Page) -> None:
    desk.keyboard.type(PHONE)
    assert PHONE in desk.evaluate("() => JSON.stringify(localStorage)")
    desk.click("form[data-logout] button")
    desk.wait_for_url(site.path("/"))
    assert PHONE not in desk.evaluate("() => JSON.stringify(localStorage)")
