"""A phone that stands somewhere with a report form, and what became of the report."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from live import PHONE_WITHOUT_WORKER, Site
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import select

from city.db import engine as db
from city.db.models import Address, Asset, Case
from city.geo import METRES_A_DEGREE, Point, cell

Open = Callable[..., BrowserContext]


def at(pole: Asset, accuracy: float, north: float = 3) -> Any:
    """Where a phone says it is: so many metres north of a pole."""
    lat = pole.lat + north / METRES_A_DEGREE
    return {"latitude": lat, "longitude": pole.lon, "accuracy": accuracy}


def begun(open_context: Open, site: Site, where: Any, path: str = "/report") -> Page:
    """The form with a streetlight chosen, on a phone that is `where`."""
    context = open_context(**PHONE_WITHOUT_WORKER, geolocation=where, permissions=["geolocation"])
    page = context.new_page()
    page.goto(site.path(path))
    page.locator("label.tile").first.tap()
    return page


def moved(page: Page, where: Any) -> None:
    """Moves the phone, and waits until this page was told: a watch of ours hears it with the form's own."""
    page.evaluate(
        """(metres) => {
          window.heard = new Promise((done) => {
            navigator.geolocation.watchPosition(({ coords }) => coords.accuracy === metres && done());
          });
        }""",
        where["accuracy"],
    )
    page.context.set_geolocation(where)
    page.evaluate("() => window.heard")


def the_case(site: Site, page: Page) -> tuple[str, float | None, str]:
    """Source, accuracy and asset of the case that was sent."""
    page.wait_for_url(re.compile("/sent/"))
    number = page.url.rpartition("/")[2].rpartition("-")[0]
    with db.read_session(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        return case.place_source, case.accuracy_m, case.asset.number if case.asset else ""


def send(page: Page) -> None:
    page.wait_for_selector("#near-cases [name=seen]", state="attached")
    page.locator("#send").tap()


def choose_second(page: Page, picks: Locator, labels: list[str]) -> str:
    """Presses the digit of the second of the places that are offered, and returns its words."""
    expect(picks).to_have_count(len(labels))
    expect(picks.first).to_be_focused()
    label = picks.nth(1).locator("span").inner_text()
    page.keyboard.press("2")
    return label


@pytest.fixture
def elm(site: Site) -> list[str]:
    """Three addresses that begin alike: their labels."""
    labels = ["9 Elm Street", "9 Elm Court", "9 Elm Avenue"]
    with db.transaction(site.engine) as s:
        for n, label in enumerate(labels):
            here = Point(39.597 + n * 0.003, -71.2)
            s.add(Address(label=label, lat=here.lat, lon=here.lon, cell=cell(here)))
    return labels
