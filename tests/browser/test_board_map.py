"""The board's map: every case can be reached on it, by keyboard too, and it never keeps a hand waiting."""

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from live import DESK, Site, log_in
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import func, select
from wording import shared, staff

from city import geo
from city.cases import board_index, transitions
from city.db import bulk_insert
from city.db import engine as db
from city.db.models import Case, Crew
from city.geo import Point
from city.lifecycle import OPEN, WAITING
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake

Open = Callable[..., BrowserContext]
LONGEST = 200  # ms of work in one piece
MANY = 100_000 if os.environ.get("CITYLINE_LONG") else 20_000
SHOWN = """() => [...document.querySelectorAll('#map .clusterpin b')]
  .reduce((n, b) => n + Number(b.textContent), 0) + document.querySelectorAll('#map a.pin').length"""
TASKS = """() => { window.tasks = []; new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.tasks.push(task.duration);
}).observe({ type: 'longtask', buffered: false }); }"""


@pytest.fixture
def desk(site: Site, open_context: Open) -> Callable[[str], Page]:
    def at(address: str = "/dispatch") -> Page:
        page = open_context(**DESK).new_page()
        log_in(page, site, "dispatcher@demo.test", "/dispatch")
        if address != "/dispatch":
            page.goto(site.path(address))
        page.wait_for_selector("#map .clusterpin, #map a.pin")
        return page

    return at


def located(site: Site) -> int:
    with db.read_session(site.engine) as s:
        asked = select(func.count()).where(Case.state.in_(OPEN), Case.lat.is_not(None))
        return s.scalar(asked.select_from(Case)) or 0


def shows(page: Page, count: int | None) -> None:
    """Waits until the map shows so many cases."""
    deadline = time.monotonic() + 60
    while (shown := page.evaluate(SHOWN)) != count:
        assert time.monotonic() < deadline, f"{shown} of {count} are on the map"
        page.wait_for_timeout(100)


def crowd(site: Site, count: int) -> None:
    """So many open cases more, like those that are there, all over the city."""
    chance = Random(5)
    with db.transaction(site.engine) as s:
        asked = (
            select(Case).where(Case.state.in_(("new", "accepted", WAITING)), Case.lat.is_not(None)).limit(40)
        )
        models = [dict(row) for row in s.execute(select(Case.__table__).where(Case.id.in_(
            [case.id for case in s.scalars(asked)]
        ))).mappings()]  # fmt: skip
        last = s.scalar(select(func.max(Case.id))) or 0
        rows: list[dict[str, Any]] = []
        for n in range(count):
            row = SimpleNamespace(**chance.choice(models))
            row.id, row.number = last + 1 + n, f"99-{n:06d}"
            row.lat, row.lon = (each + chance.gauss(0, 0.004) for each in (row.lat, row.lon))
            row.cell, row.twin_id = geo.cell(Point(row.lat, row.lon)), None
            rows.append(vars(row))
        bulk_insert.put(s, Case, rows)
        board_index.recompute(s)


def test_every_open_case_of_the_view_is_on_the_map(site: Site, desk: Callable[[str], Page]) -> None:
    page = desk("/dispatch")
    wanted = located(site)
    shows(page, wanted)
    page.goto(site.path("/dispatch?state=waiting"))
    with db.read_session(site.engine) as s:
        asked = select(func.count()).select_from(Case).where(Case.state == WAITING, Case.lat.is_not(None))
        waiting = s.scalar(asked)
    shows(page, waiting)


def test_by_keyboard_one_comes_from_many_cases_to_one(site: Site, desk: Callable[[str], Page]) -> None:
    crowd(site, 2_000)
    page = desk("/dispatch")
    page.locator("#map .clusterpin").first.focus()
    focused = page.locator("#map :focus")
    for _ in range(40):
        label = focused.get_attribute("aria-label") or ""
        if number := focused.get_attribute("data-number"):
            break
        assert re.fullmatch(shared.CASES_AT_PIN(num=r"\d+", standing=".+"), label), label
        page.keyboard.press("Enter")
        page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    expect(page.locator(".drawer")).to_have_attribute("data-number", str(number))
    expect(page.locator(f'#map a.pin[data-number="{number}"]')).to_have_attribute("aria-current", "true")


def test_after_a_verb_the_pin_says_how_the_case_stands_now(site: Site, desk: Callable[[str], Page]) -> None:
    with db.read_session(site.engine) as s:
        accepted = (Case.state == "accepted", Case.lat.is_not(None), ~Case.urgent)  # danger waits for nothing
        asked = select(Case.number).where(*accepted)
        number = s.scalars(asked.order_by(Case.id.desc())).first()
    page = desk(f"/dispatch/cases/{number}")
    pin = page.locator(f'#map a.pin[data-number="{number}"]')
    expect(pin).to_be_visible()
    page.locator('.drawer [data-do="wait"]').click()
    page.locator("#do-wait label:has([name=reason])").first.click()
    page.locator("#do-wait .button").last.click()
    expect(pin).to_have_attribute("data-promise", "wait")


def test_a_case_that_is_not_in_the_list_changes_without_an_error(
    site: Site, desk: Callable[[str], Page]
) -> None:
    with db.read_session(site.engine) as s:
        number = s.scalars(select(Case.number).where(Case.state == "accepted", ~Case.urgent)).first()
    page = desk(f"/dispatch/cases/{number}?state=waiting")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    expect(page.locator(f"#case-{number}")).to_have_count(0)
    page.locator('.drawer [data-do="assign"]').click()
    page.locator("#do-assign .crews button").first.click()
    expect(page.locator(".drawer .said")).to_be_visible()
    assert said == []


def test_the_buttons_of_a_conflict_stand_in_line(site: Site, desk: Callable[[str], Page]) -> None:
    with db.read_session(site.engine) as s:
        number = s.scalars(select(Case.number).where(Case.state == "accepted", ~Case.urgent)).first()
    page = desk(f"/dispatch/cases/{number}")
    page.locator('.drawer [data-do="assign"]').click()
    with db.transaction(site.engine) as s:
        case = s.scalars(select(Case).where(Case.number == number)).one()
        chief = accounts.actor(accounts.by_email(s, "supervisor@demo.test"))
        crews = s.scalars(select(Crew).order_by(Crew.id)).all()
        transitions.assign(s, case, crews[0], by=chief, at=datetime.now(UTC))
        other = crews[1].id
    page.locator(f'#do-assign .crews button[value="{other}"]').click()
    first, second = (page.locator("#errors .pair .button").nth(n).bounding_box() for n in (0, 1))
    assert first
    assert second
    assert first["y"] == second["y"]
    assert first["height"] == second["height"]
    assert first["x"] == page.locator("#errors .versions").bounding_box()["x"]  # type: ignore[index]


def test_what_words_find_and_no_map_can_show_is_said_and_linked(
    site: Site, desk: Callable[[str], Page]
) -> None:
    def tell(*places: Place | None) -> None:
        with db.transaction(site.engine) as s:
            service = s.scalars(select(Case.service_code).limit(1)).one()
            for place in places:
                key = uuid4().hex
                telling = intake.NewReport(key, service, "phone", words="zephyr", place=place)
                intake.submit(s, telling, at=datetime.now(UTC), token=key)

    with db.read_session(site.engine) as s:
        lat, lon = s.execute(select(Case.lat, Case.lon).where(Case.lat.is_not(None)).limit(1)).one()
    tell(Place(lat, lon, "pin", "", 5.0), None)
    page = desk("/dispatch?words=zephyr")
    lost = page.locator("#map-unlocated")
    expect(lost).to_have_text(shared.WITH_NO_LOCATION(num=1))
    tell(None)
    page.evaluate("document.dispatchEvent(new CustomEvent('board:changed', { detail: { numbers: [] } }))")
    expect(lost).to_have_text(shared.WITH_NO_LOCATION(num=2))
    lost.click()
    page.wait_for_url("**place=none**")
    expect(page.locator("#rows tr")).to_have_count(2)


ASKED = """() => { window.asked = 0;
  const own = navigator.geolocation.watchPosition.bind(navigator.geolocation);
  navigator.geolocation.watchPosition = (...all) => { window.asked += 1; return own(...all); }; }"""


def test_the_own_position_is_asked_for_on_a_press_and_drawn_with_its_ring(
    site: Site, desk: Callable[[str], Page]
) -> None:
    page = desk("/dispatch")
    page.context.grant_permissions(["geolocation"])
    page.context.set_geolocation({"latitude": 39.6, "longitude": -71.2, "accuracy": 60})
    page.add_init_script(f"({ASKED})()")
    page.reload()
    button = page.get_by_role("button", name=staff.MY_LOCATION)
    expect(button).to_be_visible()
    assert page.evaluate("window.asked") == 0
    button.click()
    expect(page.locator("#map .fixring")).to_be_visible()
    expect(page.locator("#map .youdot")).to_be_in_viewport()
    expect(page.locator("#my-location-said")).to_have_text(staff.MY_LOCATION_SHOWN)
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("window.asked") == 1
    button.press("Enter")
    expect(page.locator("#map .fixring")).to_have_count(0)
    expect(page.locator("#my-location-said")).to_be_hidden()


def test_a_position_outside_the_map_is_said(site: Site, desk: Callable[[str], Page]) -> None:
    page = desk("/dispatch")
    page.context.grant_permissions(["geolocation"])
    page.context.set_geolocation({"latitude": 12.0, "longitude": 3.0, "accuracy": 60})
    page.get_by_role("button", name=staff.MY_LOCATION).click()
    expect(page.locator("#my-location-said")).to_have_text(staff.MY_LOCATION_OUTSIDE)


def test_a_refused_position_is_said_in_words(site: Site, desk: Callable[[str], Page]) -> None:
    page = desk("/es/dispatch")
    page.context.clear_permissions()
    button = page.get_by_role("button", name=staff.MY_LOCATION.es)
    button.click()
    expect(page.locator("#my-location-said")).to_have_text(staff.MY_LOCATION_REFUSED.es)
    expect(button).to_have_attribute("aria-pressed", "false")


def test_what_lies_far_outside_is_said_and_drawn_when_it_is_wanted(
    site: Site, desk: Callable[[str], Page]
) -> None:
    wanted = located(site)
    with db.transaction(site.engine) as s:
        near = s.scalars(select(Case).where(Case.lat.is_not(None))).first()
        assert near
        away = Place((near.lat or 0) + 0.5, near.lon or 0, "pin", "", 5.0)
        transitions.open_case(s, near.service, away, by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    page = desk("/dispatch")
    shows(page, wanted)
    note = page.locator("#map-outside")
    expect(note).to_contain_text(staff.FAR_OUTSIDE(num=1))
    show = note.get_by_role("button")
    show.click()
    shows(page, wanted + 1)
    expect(show).to_have_attribute("aria-pressed", "true")
    expect(note).to_be_visible()
    show.click()
    shows(page, wanted)


@pytest.mark.full
def test_many_open_cases_pan_and_zoom_without_a_long_task(site: Site, desk: Callable[[str], Page]) -> None:
    crowd(site, MANY)
    page = desk("/dispatch")
    page.wait_for_load_state("networkidle")
    box = page.locator("#map").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def walked() -> list[float]:
        page.evaluate(TASKS)
        for way in ((-300, 0), (0, 200), (300, 100), (0, -300)):
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + way[0], y + way[1], steps=8)
            page.mouse.up()
            page.wait_for_timeout(250)
        for turn in (-1, -1, -1, 1, -1, -1, 1, 1, 1):
            page.mouse.wheel(0, 240 * turn)
            page.wait_for_timeout(450)
        page.wait_for_load_state("networkidle")
        assert page.evaluate(SHOWN) > 0
        tasks: list[float] = page.evaluate("window.tasks")
        return tasks

    # Other tests share the machine: what takes us long does so every time.
    walks: list[list[float]] = []
    while len(walks) < 3 and (not walks or max(walks[-1], default=0) > LONGEST):
        walks.append(walked())
    assert max(walks[-1], default=0) <= LONGEST, walks
