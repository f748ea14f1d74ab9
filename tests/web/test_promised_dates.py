"""The promised day on every screen: with its hour where working hours are promised, and whether it moved."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from factories import LAMP, Town
from flask import Flask
from flask.testing import FlaskClient
from wording import resident, shared, shown, staff

from city.cases import transitions
from city.cases.queries import public
from city.cases.transitions import Closing
from city.db.models import Subscription
from city.reports import intake
from city.settings import Settings
from sync import jobs

# Twelve hours of 7 to 15 from Tuesday 9:30.
WEDNESDAY, SHORT_WEDNESDAY = "Wednesday, May\u00a013 at 1:30\u00a0pm", "Wed,\u00a0May\u00a013 at 1:30\u00a0pm"


@pytest.fixture
def basket(town: Town, app: Flask) -> str:
    with town.at_work() as scene:
        return scene.report(service_code="basket-full", place=LAMP).case.number


def page_of(client: FlaskClient, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return shown(answer)


def test_residents_read_the_hour_where_hours_are_promised(basket: str, client: FlaskClient) -> None:
    assert resident.FIX_BY(day=WEDNESDAY) in page_of(client, f"/case/{basket}")
    assert shared.BY(day=SHORT_WEDNESDAY) in page_of(client, "/cases")
    assert "miércoles, 13\u00a0de\u00a0mayo, 1:30\u00a0p.m." in page_of(client, f"/es/case/{basket}")


def test_whoever_has_just_sent_it_reads_the_hour(
    town: Town, basket: str, settings: Settings, client: FlaskClient
) -> None:
    with town.at_work() as scene:
        report = scene.case(basket).reports[0]
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(intake.SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
    assert client.get(f"/s/{token}").status_code == 303
    sent = page_of(client, f"/sent/{basket}-A")
    assert resident.FIX_BY(day=WEDNESDAY) in sent
    assert resident.FIX_AND_PHOTO_BY(day=WEDNESDAY) in sent


def test_a_case_that_waits_names_no_day_and_one_that_waited_says_that_it_moved(
    town: Town, basket: str, app: Flask, client: FlaskClient, now: datetime
) -> None:
    with town.at_work() as scene:
        transitions.wait(scene.s, scene.case(basket), "utility", by=scene.actor("dispatcher"), at=now)
    assert "May\u00a013" not in page_of(client, f"/case/{basket}")
    later = now + timedelta(days=1)
    with town.at_work() as scene:
        transitions.resume(scene.s, scene.case(basket), by=scene.actor("dispatcher"), at=later)
    app.config["NOW"] = later
    page = page_of(client, f"/case/{basket}")
    assert resident.FIX_BY(day="Thursday, May\u00a014 at 1:30\u00a0pm") in page
    assert resident.FIRST_SAID(day=WEDNESDAY) in page


def test_a_wait_outside_working_hours_moves_nothing_and_says_nothing(
    town: Town, basket: str, client: FlaskClient, now: datetime
) -> None:
    with town.at_work() as scene:
        case, by = scene.case(basket), scene.actor("dispatcher")
        transitions.wait(scene.s, case, "resident", by=by, at=now + timedelta(hours=7))
        transitions.resume(scene.s, case, by=by, at=now + timedelta(hours=20))
    page = page_of(client, f"/case/{basket}")
    assert resident.FIX_BY(day=WEDNESDAY) in page
    assert resident.FIRST_SAID(day=WEDNESDAY) not in page


def test_letters_and_the_crews_phone_have_the_hour(
    town: Town, basket: str, app: Flask, settings: Settings, now: datetime
) -> None:
    with town.at_work() as scene:
        case = scene.case(basket)
        row = Subscription(
            report_id=case.reports[0].id, address="a@b.test", lang="en", asked_at=now, confirmed_at=now
        )
        scene.s.add(row)
        other = scene.report().case.number
        told = jobs.read(scene.s, {(1, basket), (1, other)})
        assert (told[1, basket]["hourly"], told[1, basket]["due"]) == (True, int(case.due_at.timestamp()))
        assert "hourly" not in told[1, other]
    with town.looking() as scene, app.test_request_context():
        (sight,) = public(scene.s, now=now, number=basket)
        assert app.jinja_env.filters["promise"](sight) == shared.BY(day=SHORT_WEDNESDAY)


def test_staff_read_the_hour_and_when_a_phones_time_was_bounded(
    town: Town, basket: str, log_in: Callable[..., FlaskClient], now: datetime
) -> None:
    with town.at_work() as scene:
        case = scene.case(basket)
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=now)
    drawer = page_of(log_in("dispatcher"), f"/dispatch/cases/{basket}")
    assert staff.DUE_AT(day="Wed,\u00a0May\u00a013", time="1:30\u00a0pm") in drawer
    with town.at_work() as scene:
        transitions.close(
            scene.s,
            scene.case(basket),
            Closing("not found"),
            by=scene.actor("rosa"),
            at=now + timedelta(minutes=9),
            at_device=now - timedelta(days=3),
        )
    drawer = page_of(log_in("dispatcher"), f"/dispatch/cases/{basket}")
    assert staff.PHONE_CLOCK_WRONG(moment="Today at 9:30\u00a0am") in drawer


@pytest.mark.parametrize(("minutes", "is_said"), [(2, False), (90, True)])
def test_staff_read_when_a_closing_was_done_that_arrived_later(
    town: Town, basket: str, log_in: Callable[..., FlaskClient], now: datetime, minutes: int, is_said: bool
) -> None:
    with town.at_work() as scene:
        case = scene.case(basket)
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=now)
        transitions.close(
            scene.s,
            case,
            Closing("not found"),
            by=scene.actor("rosa"),
            at=now + timedelta(hours=2),
            at_device=now + timedelta(hours=2, minutes=-minutes),
        )
    drawer = page_of(log_in("dispatcher"), f"/dispatch/cases/{basket}")
    assert (staff.DONE_BY_PHONE_CLOCK(moment="Today at 10\u00a0am") in drawer) is is_said
    anywhen = re.escape(staff.DONE_BY_PHONE_CLOCK(moment="MOMENT")).replace("MOMENT", "[^<]*")
    assert bool(re.search(anywhen, drawer)) is is_said
