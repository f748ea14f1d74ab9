"""A dispatcher asks by keyboard, the reporter answers on a phone with a photo, and the crew reads it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from closings import wait_for
from factories import jpeg
from live import DESK_WITHOUT_WORKER, Site, log_in
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import select
from wording import resident, staff

from city.cases import transitions
from city.db import engine as db
from city.db.models import Case, CaseMessage, Crew
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake
from city.reports.intake import NewReport
from sync import jobs

pytestmark = pytest.mark.one_database
Open = Callable[..., BrowserContext]
TOKEN = "conversation"


@pytest.fixture
def number(site: Site) -> str:
    """A crew's job, whose reporter has the page's link."""
    with db.transaction(site.engine) as s:
        telling = NewReport(
            "k" * 32, "light-out", "web", "en", "Dark.", Place(39.6, -71.2, "pin", "100 Tansy Street")
        )
        dana, now = accounts.actor(accounts.by_email(s, "dispatcher@demo.test")), datetime.now(UTC)
        report = intake.submit(s, telling, at=now, token=TOKEN)
        crew = s.scalars(select(Crew).where(Crew.name == "Lights 2")).one()
        transitions.assign(s, report.case, crew, by=dana, at=now)
        return report.case.number


def state_of(site: Site, number: str) -> str:
    with db.read_session(site.engine) as s:
        return s.scalars(select(Case.state).where(Case.number == number)).one()


def test_a_question_by_keys_is_answered_by_touch(site: Site, open_context: Open, number: str) -> None:
    desk = open_context(**DESK_WITHOUT_WORKER).new_page()
    log_in(desk, site, "dispatcher@demo.test", f"/dispatch/cases/{number}")
    expect(desk.locator(".drawer")).to_have_attribute("data-number", number)
    desk.keyboard.press("r")
    desk.keyboard.type("Is it one light?")
    desk.keyboard.press("Tab")
    desk.keyboard.type("Yes, No")
    desk.keyboard.press("Enter")
    expect(desk.locator(".drawer .said")).to_have_text(staff.QUESTION_SENT)
    assert state_of(site, number) == "assigned"

    phone = open_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    phone.goto(site.path(f"/s/{TOKEN}"))
    expect(phone.locator(".promise--pill").first).to_have_text(resident.ON_HOLD_UNTIL_YOU_ANSWER)
    assert state_of(site, number) == "waiting"
    phone.locator(".chip", has_text="No").tap()
    phone.locator(".answer input[type=file]").set_input_files(
        {"name": "corner.jpg", "mimeType": "image/jpeg", "buffer": jpeg(size=(3000, 2000))}
    )
    expect(phone.locator(".answer [data-says]")).not_to_be_empty()
    phone.locator(".answer .button--act").tap()
    expect(phone.locator(".says--you")).to_contain_text("No")
    wait_for(lambda: state_of(site, number) == "assigned", phone)
    with db.read_session(site.engine) as s:
        answer = s.scalars(select(CaseMessage).where(CaseMessage.kind == "answer")).one()
        assert max(answer.photos[0].width, answer.photos[0].height) <= 2048
        case = s.get_one(Case, answer.case_id)
        crew = case.assignments[-1].crew_id
        told = jobs.read(s, {(crew, number)})[crew, number]["told"]
        assert told[-1]["answers"] == [["Is it one light?", "No"]]
    desk.reload()
    expect(desk.locator(".drawer .notice blockquote")).to_have_text("No")
