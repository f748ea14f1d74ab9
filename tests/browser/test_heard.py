"""What a screen reader is given of the pages that matter most: the tree is kept and compared.

With CITYLINE_GOLDEN=write the files in tests/golden/ are written anew; read the difference before keeping it.
"""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from closings import CREW, give_jobs
from live import DESK, PHONE, Site, log_in
from playwright.sync_api import BrowserContext, Page
from sqlalchemy import select
from wording.city import STREETLIGHT

from city.cases import transitions
from city.db import engine as db
from city.db.models import Asset, Person
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake

GOLDEN = Path(__file__).parents[1] / "golden"
# What differs from day to day. The names of days and months are those that a page writes in English.
CHANGING = (
    (re.compile(r"\d days? left"), "DAYS left"),
    (re.compile(r"\d\d-\d{6}"), "NUMBER"),
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun),\W[A-Z][a-z]{2}\W\d{1,2}\b"), "DAY"),
    (re.compile(r"\b[A-Z][a-z]{2}\W\d{1,2},\W\d{4}\b"), "DAY"),
    (re.compile(r"\b\d+(:\d\d)?\W[ap]m\b"), "TIME"),
    (re.compile(r"/static/\w+/"), "/static/"),
)

Open = Callable[..., BrowserContext]


@pytest.fixture
def lamp(site: Site) -> str:
    """A dead lamp that nobody else told of, given to the first crew: its number."""
    now = datetime.now(UTC)
    with db.transaction(site.engine) as s:
        place = Place(39.6011, -71.2049, "pin", "214 Tansy Street")
        telling = intake.NewReport(
            key="heard", service_code="light-out", channel="web", place=place, words="Dark since Sunday, hums"
        )  # fmt: skip
        case = intake.submit(s, telling, at=now, token="heard").case
        dispatcher = s.scalars(select(Person).where(Person.email == "dispatcher@demo.test")).one()
        worker = s.scalars(select(Person).where(Person.email == "crew1@demo.test")).one()
        transitions.assign(s, case, worker.crews[0], by=accounts.actor(dispatcher), at=now)
        return case.number


def heard(page: Page, name: str, part: str = "main") -> None:
    """A part of the page is told as tests/golden/ keeps it."""
    told = page.locator(part).aria_snapshot() + "\n"
    for pattern, word in CHANGING:
        told = pattern.sub(word, told)
    file = GOLDEN / f"{name}.yml"
    if os.environ.get("CITYLINE_GOLDEN") == "write":
        file.write_text(told)
    assert told == file.read_text()


def test_the_report_as_it_is_heard(site: Site, open_context: Open) -> None:
    page = open_context(**PHONE).new_page()
    page.goto(site.path("/report"))
    page.wait_for_selector("report-form:defined")
    heard(page, "report", "report-form")
    page.get_by_role("radio", name="Tree", exact=True).check()
    page.fill("#place", "no such street")
    page.locator("#send").click()
    page.wait_for_selector("#errors")
    heard(page, "report-error", "report-form")


def test_the_location_card_as_it_is_heard(site: Site, open_context: Open) -> None:
    """By the first pole of the demo, where a good fix means it; and with a fix that wants a yes."""
    with db.read_session(site.engine) as s:
        pole = s.scalars(select(Asset).where(Asset.kind == "pole").order_by(Asset.id)).first()
        assert pole
    for name, accuracy in (("place", 5), ("place-vague", 300)):
        here = {"latitude": pole.lat, "longitude": pole.lon, "accuracy": accuracy}
        page = open_context(**PHONE, geolocation=here, permissions=["geolocation"]).new_page()
        page.goto(site.path("/report"))
        page.get_by_role("radio", name=STREETLIGHT, exact=True).check()
        page.wait_for_selector("#things")
        heard(page, name, "#place-card")


def test_the_queue_as_it_is_heard(site: Site, open_context: Open, lamp: str) -> None:
    page = open_context(**DESK).new_page()
    log_in(page, site, "dispatcher@demo.test", "/dispatch")
    page.wait_for_selector("#rows tr")
    page.goto(site.path("/dispatch?words=hums"))
    page.wait_for_selector(f"#case-{lamp}")
    heard(page, "queue")


def test_closing_a_job_as_it_is_heard(site: Site, open_context: Open, lamp: str) -> None:
    page = open_context(**PHONE).new_page()
    log_in(page, site, "crew1@demo.test", "/crew")
    page.wait_for_selector("a.job")
    page.locator(f'a.job[href*="{lamp}"]').click()
    page.wait_for_selector("[data-done]")
    page.locator("[data-done]").click()
    page.wait_for_selector("form .tiles")
    heard(page, "close")


def test_the_crews_report_and_a_dangerous_job_as_they_are_heard(site: Site, open_context: Open) -> None:
    [wire] = give_jobs(site, 1, "wire-down")
    page = open_context(**PHONE).new_page()
    log_in(page, site, CREW, "/crew")
    page.locator(f'a.job[href="#job/{wire}"]').tap()
    page.wait_for_selector(".hazards")
    heard(page, "job-danger")
    page.goto(site.path("/crew#report"))
    page.get_by_role("radio", name=STREETLIGHT, exact=True).check()
    page.get_by_role("radio", name="Out", exact=True).wait_for()
    page.locator("form .button--act").tap()
    page.wait_for_selector(".dock .errors:not([hidden])")
    heard(page, "crew-report")
