"""A wrong type or place is corrected on the board, and those who told of it hear that once."""

import re
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from factories import LAMP, SECRET, Town
from filled import Tell
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse
from wording import city, resident, shared, shown, staff

from city.cases import transitions
from city.db.models import Address, Case, Message
from city.geo import Point, cell
from city.lifecycle import OPEN
from city.notifications import fan_out
from city.reports import intake
from city.settings import Settings

pytestmark = pytest.mark.both_databases
FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def lamp(town: Town) -> str:
    with town.at_work() as scene:
        for label, lat in (("9 Elm Street", 39.61), ("9 Elm Court", 39.605)):
            here = Point(lat, -71.19)
            scene.s.add(Address(label=label, lat=here.lat, lon=here.lon, cell=cell(here)))
        return scene.report(words="Dark since Sunday").case.number


@pytest.fixture
def sender(
    log_in: Callable[[str], FlaskClient], token: Callable[[], str]
) -> Callable[[str], Callable[..., TestResponse]]:
    """Of a role what sends its forms."""

    def of(role: str) -> Callable[..., TestResponse]:
        client = log_in(role)

        def send(url: str, **fields: Any) -> TestResponse:
            return client.post(url, data={"csrf_token": token(), **fields}, headers=FRAGMENT)

        return send

    return of


@pytest.fixture
def post(sender: Callable[[str], Callable[..., TestResponse]]) -> Callable[..., TestResponse]:
    return sender("dispatcher")


def test_each_state_offers_what_may_be_done(
    town: Town, lamp: str, log_in: Callable[[str], FlaskClient]
) -> None:
    dispatcher = log_in("dispatcher")
    for do, field in (("change", "do-type"), ("type", 'name="service"'), ("place", 'name="place"')):
        page = dispatcher.get(f"/dispatch/cases/{lamp}?do={do}").get_data(as_text=True)
        shown = re.search(rf'<section class="doing card" id="do-{do}">(.*?)</section>', page, re.DOTALL)
        assert shown
        assert field in shown[1]
    assert staff.LOSES_IT(crew="lights") not in page


def test_the_type_is_changed_said_in_the_story_and_undone(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        crew = scene.crew("lights")
        crew.department_code = "lights"
        transitions.assign(scene.s, scene.case(lamp), crew, by=scene.actor("dispatcher"), at=town.now)
    answer = post(f"/dispatch/cases/{lamp}/type", service="pothole")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert staff.WAS_TO_NOW(was=city.STREETLIGHT_OUT, now=city.POTHOLE) in page
    with town.looking() as scene:
        case = scene.case(lamp)
        assert (case.service_code, case.state) == ("pothole", "accepted")
    batch = re.search(r"/dispatch/batch/(\d+)/undo", page)
    assert batch
    post(f"/dispatch/batch/{batch[1]}/undo")
    with town.looking() as scene:
        case = scene.case(lamp)
        assert (case.service_code, case.state) == ("light-out", "assigned")


@pytest.mark.parametrize("code", ["", "zeal", "tax-question"])
def test_a_type_that_there_is_not_is_said_and_changes_nothing(
    town: Town, lamp: str, post: Callable[..., TestResponse], code: str
) -> None:
    answer = post(f"/dispatch/cases/{lamp}/type", service=code)
    assert answer.status_code == 422
    with town.looking() as scene:
        assert scene.case(lamp).service_code == "light-out"


def test_the_place_is_changed_by_words_by_one_of_several_and_by_a_spot(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    url = f"/dispatch/cases/{lamp}/place"
    assert post(url, place="9 Elm Street").status_code == 200
    with town.looking() as scene:
        assert (scene.case(lamp).address, scene.case(lamp).lat) == ("9 Elm Street", 39.61)
    unclear = post(url, place="9 Elm")
    assert unclear.status_code == 422
    page = unclear.get_data(as_text=True)
    assert 'value="9 Elm"' in page  # nothing that was typed is lost
    picks = re.findall(r'name="pick" value="([^"]+)"', page)
    assert len(picks) == 2
    chosen = next(pick for pick in picks if "Court" in pick)
    assert post(url, place="9 Elm", pick=chosen).status_code == 200
    with town.looking() as scene:
        assert scene.case(lamp).address == "9 Elm Court"
    assert post(url, lat="39.6001", lon="-71.2001").status_code == 200
    with town.looking() as scene:
        assert (scene.case(lamp).lat, scene.case(lamp).place_source) == (39.6001, "pin")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"place": "Nowhere at all"},
        {"lat": "0", "lon": "0"},
        {"lat": "x", "lon": "nan"},
        {"lat": "91", "lon": "0"},
    ],
)
def test_a_place_that_there_is_not_is_said_and_changes_nothing(
    town: Town, lamp: str, post: Callable[..., TestResponse], fields: dict[str, str]
) -> None:
    assert post(f"/dispatch/cases/{lamp}/place", **fields).status_code == 422
    with town.looking() as scene:
        assert scene.case(lamp).lat == LAMP.lat


def test_two_who_correct_at_once_are_told_of_each_other(
    town: Town, lamp: str, post: Callable[..., TestResponse], log_in: Callable[[str], FlaskClient]
) -> None:
    page = log_in("dispatcher").get(f"/dispatch/cases/{lamp}").get_data(as_text=True)
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen
    assert post(f"/dispatch/cases/{lamp}/type", service="pothole", seen=seen[1]).status_code == 200
    answer = post(f"/dispatch/cases/{lamp}/place", place="9 Elm Street", seen=seen[1])
    assert answer.status_code == 409
    told = answer.get_data(as_text=True)
    assert staff.WANTED_TO_RELOCATE in told
    assert 'value="9 Elm Street"' in told
    with town.looking() as scene:
        assert scene.case(lamp).lat == LAMP.lat


def test_strangers_read_that_it_was_corrected_and_not_from_what(
    town: Town, lamp: str, post: Callable[..., TestResponse], client: FlaskClient
) -> None:
    post(f"/dispatch/cases/{lamp}/type", service="home-nuisance")
    assert client.get(f"/case/{lamp}").status_code == 404  # private: hidden at once
    post(f"/dispatch/cases/{lamp}/type", service="pothole")
    page = client.get(f"/case/{lamp}").get_data(as_text=True)
    assert shared.TYPE_CORRECTED in page
    assert city.STREETLIGHT_OUT not in page
    assert "Dark since Sunday" not in page
    for address in (
        "/open311/v2/requests.json",
        "/open311/v2/servicerequestupdates.json",
        f"/open311/v2/requests/{lamp}.json",
    ):
        told = client.get(address).get_data(as_text=True)
        assert "home-nuisance" not in told
        assert "Dark since Sunday" not in told


def test_each_reporter_hears_once_of_several_corrections_and_not_of_undone_ones(
    town: Town, lamp: str, post: Callable[..., TestResponse], tell: Tell, settings: Settings
) -> None:
    def deliver(minutes: int) -> list[Any]:
        tell(timedelta(minutes=minutes))
        files = sorted((settings.var / "mail" / "new").glob("*"))
        found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        for file in files:
            file.unlink()
        return found

    with town.at_work() as scene:
        case = scene.case(lamp)
        for n, report in enumerate((case.reports[0], scene.report(join=lamp))):
            row = intake.subscribe(scene.s, report, f"ana{n}@town.test", lang="en", at=town.now)
            row.confirmed_at = town.now
    post(f"/dispatch/cases/{lamp}/type", service="pothole")
    post(f"/dispatch/cases/{lamp}/place", place="9 Elm Street")
    letters = (deliver(0), deliver(30))[1]
    assert sorted(letter["To"] for letter in letters) == ["ana0@town.test", "ana1@town.test"]
    body = letters[0].get_body(("plain",)).get_content()
    assert shared.CORRECTED(what=city.POTHOLE, where="9 Elm Street") in " ".join(body.split())
    page = post(f"/dispatch/cases/{lamp}/type", service="light-out").get_data(as_text=True)
    batch = re.search(r"/dispatch/batch/(\d+)/undo", page)
    assert batch
    post(f"/dispatch/batch/{batch[1]}/undo")
    assert deliver(45) + deliver(90) == []
    with town.looking() as scene:
        sent = scene.s.scalars(select(Message.kind).where(Message.sent_at.is_not(None)))
        assert sent.all().count("corrected") == 2


def test_every_type_can_become_every_other_and_no_page_breaks(
    app: Flask,
    town: Town,
    client: FlaskClient,
    log_in: Callable[[str], FlaskClient],
    token: Callable[[], str],
) -> None:
    services = [each for each in app.extensions["cityline"].city.services if not each.office]
    dispatcher = log_in("dispatcher")
    with town.at_work() as scene:
        number = scene.report(service_code=services[0].code, answers={}, unasked=True).case.number
    for first in services:
        for other in (first, services[(services.index(first) + 7) % len(services)]):
            dispatcher.post(
                f"/dispatch/cases/{number}/type",
                data={"csrf_token": token(), "service": other.code}, headers=FRAGMENT,
            )  # fmt: skip
            assert dispatcher.get(f"/dispatch/cases/{number}").status_code == 200
            assert client.get(f"/case/{number}").status_code == (404 if other.private else 200)
    with town.looking() as scene:
        assert scene.case(number).state in OPEN


@pytest.fixture
def supervise(sender: Callable[[str], Callable[..., TestResponse]]) -> Callable[..., TestResponse]:
    return sender("supervisor")


def undo_of(page: str) -> str:
    found = re.search(r"/dispatch/batch/\d+/undo", page)
    assert found
    return found[0]


def test_a_new_date_is_told_with_its_reason_and_undone(
    app: Flask, town: Town, lamp: str, supervise: Callable[..., TestResponse]
) -> None:
    day = town.now + timedelta(days=9)
    page = supervise(f"/dispatch/cases/{lamp}/date", reason="parts", day=f"{day:%Y-%m-%d}").text
    with town.looking() as scene:
        assert scene.case(lamp).rescheduled_to is not None
    seen = app.test_client().get(f"/case/{lamp}").text
    assert resident.GAVE_NEW_DATE in seen
    assert shared.WAITING_FOR_PARTS in seen
    told = app.test_client().get(f"/open311/v2/requests/{lamp}.json").json
    assert told
    assert told[0]["expected_datetime"].startswith(f"{day:%Y-%m-%d}")
    supervise(undo_of(page))
    with town.looking() as scene:
        assert scene.case(lamp).rescheduled_to is None
    assert shared.WAITING_FOR_PARTS not in app.test_client().get(f"/case/{lamp}").text


def test_residents_read_the_new_date_first_and_once_the_old_one(
    app: Flask, town: Town, lamp: str, supervise: Callable[..., TestResponse]
) -> None:
    day = town.now + timedelta(days=9)
    supervise(f"/dispatch/cases/{lamp}/date", reason="parts", day=f"{day:%Y-%m-%d}")
    with town.looking() as scene:
        case = scene.case(lamp)
        own = f"/s/{intake.token_for(SECRET, case.reports[0].key)}"
        first, new = (f"{at:%A, %B}\N{NO-BREAK SPACE}{at.day}" for at in (case.due_at, day))
    client = app.test_client()
    page = shown(client.get(own, follow_redirects=True))
    assert f"<h1>{resident.FIX_BY(day=new)}</h1>" in page
    for each in (page, shown(client.get(f"/case/{lamp}"))):
        assert resident.FIX_BY(day=new) in each
        assert resident.WE_FIRST_SAID(day=first) in each
        assert each.count(first) == 1


def test_a_date_that_is_over_is_said_and_a_dispatcher_has_no_such_form(
    town: Town,
    lamp: str,
    log_in: Callable[[str], FlaskClient],
    post: Callable[..., TestResponse],
    token: Callable[[], str],
) -> None:
    assert post(f"/dispatch/cases/{lamp}/date", reason="parts").status_code == 422
    supervisor = log_in("supervisor")
    assert 'id="do-date"' in supervisor.get(f"/dispatch/cases/{lamp}?do=date").text
    form = {"csrf_token": token(), "reason": "parts", "day": "2020-01-01"}
    answer = supervisor.post(f"/dispatch/cases/{lamp}/date", data=form, headers=FRAGMENT)
    assert answer.status_code == 422
    assert 'value="2020-01-01"' in answer.text  # what was typed is not lost
    assert 'id="do-date"' not in log_in("dispatcher").get(f"/dispatch/cases/{lamp}?do=date").text
    with town.looking() as scene:
        assert scene.case(lamp).rescheduled_to is None


def test_a_report_gets_its_own_case_and_goes_back(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    url = f"/dispatch/cases/{lamp}/split"
    assert post(url, report=f"{lamp}-A").status_code == 422  # it is the only one
    with town.at_work() as scene:
        scene.report(join=lamp, words="A bench is broken too")
    answer = post(url, report=f"{lamp}-B")
    assert answer.status_code == 200
    with town.looking() as scene:
        (told,) = [each for each in scene.case(lamp).reports if each.words.startswith("Dark")]
        own = scene.s.scalars(select(Case).where(Case.number != lamp, Case.state == "new")).one()
        assert [each.words for each in own.reports] == ["A bench is broken too"]
        assert told.number == f"{lamp}-A"
    assert f'data-number="{own.number}"' in answer.text  # that is what stands open now
    assert staff.SPLIT_FROM(number=lamp) in answer.text
    post(undo_of(answer.text))
    with town.looking() as scene:
        assert len(scene.case(lamp).reports) == 2
        assert scene.case(own.number).state == "merged"


def test_whoever_told_of_something_else_hears_of_the_own_case(
    town: Town, lamp: str, post: Callable[..., TestResponse], settings: Settings
) -> None:
    with town.at_work() as scene:
        for address, report in (
            ("rosa@town.test", scene.case(lamp).reports[0]),
            ("tom@town.test", scene.report(join=lamp, words="A bench")),
        ):
            row = intake.subscribe(scene.s, report, address, lang="en", at=town.now)
            row.confirmed_at = town.now
    post(f"/dispatch/cases/{lamp}/split", report=f"{lamp}-B")
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    with town.looking() as scene:
        rows = scene.s.scalars(select(Message).where(Message.kind == "corrected")).all()
        assert [each.subscription.address for each in rows] == ["tom@town.test"]
        assert fan_out.is_still_valid(scene.s, rows[0])


def test_a_merge_a_separation_and_a_reopening_are_undone(
    town: Town, lamp: str, post: Callable[..., TestResponse]
) -> None:
    with town.at_work() as scene:
        other = scene.report().case.number

    def state() -> str:
        with town.looking() as scene:
            return scene.case(lamp).state

    page = post(f"/dispatch/cases/{lamp}/merge", into=other).text
    assert state() == "merged"
    post(undo_of(page))
    assert state() == "new"
    post(f"/dispatch/cases/{lamp}/merge", into=other)
    page = post(f"/dispatch/cases/{lamp}/unmerge").text
    assert state() == "new"
    post(undo_of(page))
    assert state() == "merged"
    post(f"/dispatch/cases/{lamp}/unmerge")
    post(f"/dispatch/cases/{lamp}/closure", outcome="not found")
    page = post(f"/dispatch/cases/{lamp}/reopening").text
    assert state() == "accepted"
    post(undo_of(page))
    assert state() == "closed"
