"""Strangers look for reports by number, street, kind and words that were shown; what is hidden stays so."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from factories import LAMP, Town
from flask.testing import FlaskClient
from wording import resident

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Street
from city.reports import intake


def found(client: FlaskClient, words: str, **more: str) -> list[str]:
    page = client.get("/cases", query_string={"q": words, **more})
    assert page.status_code == 200
    return re.findall(r'class="row" href="(?:/es)?/case/([^"]+)"', page.text)


@pytest.fixture
def number(town: Town) -> str:
    with town.at_work() as scene:
        scene.s.add(Street(name="Tansy Street", line=[[-71.2, 39.59], [-71.2, 39.61]], kind="street"))
        return scene.report(place=LAMP, words="the zephyr blew it down, ask Ana").case.number


@pytest.mark.parametrize(
    "words",
    [
        "tansy street",
        "Tansy",
        "tasny street",
        "light",
        "streetligth",
        "luz apagada",
        "light tansy",
        "214 tansy",
        "214 Tansy Street",
    ],
)
def test_streets_and_kinds_are_found_with_a_slip_and_in_either_language(
    client: FlaskClient, number: str, words: str
) -> None:
    assert found(client, words) == [number]


def test_a_number_leads_to_its_case(client: FlaskClient, town: Town, number: str) -> None:
    assert client.get("/cases", query_string={"q": number.lower()}).headers["Location"] == f"/case/{number}"
    with town.at_work() as scene:
        private = scene.report(service_code="nuisance", place=LAMP).case.number
    assert found(client, private) == []


def test_words_are_found_only_once_they_were_shown(client: FlaskClient, town: Town, number: str) -> None:
    assert found(client, "zephyr") == []
    assert resident.NO_REPORTS_FIT(words="zephyr") in client.get("/cases?q=zephyr").text
    with town.at_work() as scene:
        report = scene.case(number).reports[0]
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
    assert found(client, "zephyr") == [number]
    assert found(client, "zephyr nonsense") == []


def test_the_house_of_a_coarse_case_is_not_found(client: FlaskClient, town: Town, number: str) -> None:
    with town.at_work() as scene:
        scene.case(number).service.precision_m = 500
    assert found(client, "tansy") == [number]
    assert found(client, "214 tansy") == []
    assert found(client, "214 Tansy Street") == []


def test_closed_ones_are_found_among_the_closed(client: FlaskClient, town: Town, number: str) -> None:
    with town.at_work() as scene:
        by, closing = scene.actor("dispatcher"), Closing("fixed", no_photo="dark")
        transitions.close(scene.s, scene.case(number), closing, by=by, at=town.now)
    assert found(client, "tansy") == []
    assert found(client, "tansy", state="closed") == [number]


def test_near_a_place_the_nearest_come_first(client: FlaskClient, town: Town, number: str) -> None:
    with town.at_work() as scene:
        further = replace(LAMP, lat=LAMP.lat + 0.002)
        second = scene.report(place=further).case.number
    near = f"{LAMP.lat:.5f},{LAMP.lon:.5f}"
    page = client.get("/cases", query_string={"near": near}).text
    assert re.findall(r'class="row" href="/case/([^"]+)"', page) == [number, second]
    assert client.get("/cases?near=nowhere").status_code == 200
    assert client.get("/cases?near=0.0,0.0").status_code == 200


@pytest.mark.parametrize("words", ["%", "_", "' OR 1=1", "\\", "x" * 500, "🙂", "\u202e"])
def test_odd_words_find_nothing_and_break_nothing(client: FlaskClient, number: str, words: str) -> None:
    assert found(client, words) == []


def test_the_map_shows_what_the_list_shows(
    client: FlaskClient, town: Town, number: str, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        scene.report(service_code="limb-down", place=LAMP)
    points = client.get("/cases/points", query_string={"q": "light"}).get_json()["points"]
    assert [point[0] for point in points] == [number]
