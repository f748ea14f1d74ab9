"""What everybody may read of one pole, tree or trash can."""

import re
from collections.abc import Callable

import pytest
from factories import LAMP, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from wording import resident

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Asset, Service
from city.geo import Point, cell
from city.places.lookup import Place

pytestmark = pytest.mark.both_databases

PAGE = "/assets/pole/20-118"
CANARY = "my blue door at 9"


@pytest.fixture
def pole(town: Town) -> Place:
    with town.at_work() as scene:
        return scene.pole()


def numbers(page: str) -> list[str]:
    return re.findall(r'class="row" href="(?:/es)?/case/([^"]+)"', page)


def closed(town: Town, pole: Place) -> str:
    with town.at_work() as scene:
        case = scene.report(place=pole).case
        closing = Closing("not found", words=CANARY)
        transitions.close(scene.s, case, closing, by=scene.actor("dispatcher"), at=town.now)
        return case.number


def test_what_stands_there_and_what_is_open_comes_first(client: FlaskClient, town: Town, pole: Place) -> None:
    shut = closed(town, pole)
    with town.at_work() as scene:
        still = scene.report(place=pole).case.number
        scene.report(place=LAMP)  # beside it, about nothing of the city's
    for _ in range(2):
        closed(town, pole)
    page = client.get(PAGE).text
    assert "Pole 20-118" in page
    assert "Tansy Street" in page
    assert numbers(page)[0] == still
    assert len(numbers(page)) == 4
    assert shut in numbers(page)
    assert f'action="/case/{still}/join"' in page
    assert f'action="/case/{shut}/join"' not in page
    assert 'href="/a/pole/20-118"' in page
    assert CANARY not in page


def test_a_report_of_one_s_own_is_opened_and_not_joined(
    client: FlaskClient, town: Town, pole: Place, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        number = scene.report(place=pole).case.number
    assert f'action="/case/{number}/join"' in client.get(PAGE).text
    assert client.post(f"/case/{number}/join", data={"csrf_token": token()}).status_code == 303
    page = client.get(PAGE).text
    assert f'action="/case/{number}/join"' not in page
    assert resident.SEE_YOUR_REPORT in page


def test_an_empty_one_leads_to_the_report(client: FlaskClient, pole: Place) -> None:
    page = client.get(f"/es{PAGE}").text
    assert resident.NOTHING_REPORTED_HERE.es in page
    assert 'href="/es/a/pole/20-118"' in page


def test_nothing_hidden_coarse_or_private_is_there(client: FlaskClient, town: Town, pole: Place) -> None:
    with town.at_work() as scene:
        taken = [scene.photo()]
        told = scene.report(place=pole, words=CANARY, taken=taken)
        shown, photo = told.case.number, taken[0].id
        private = scene.report(place=pole, service_code="nuisance").case.number
        coarse = scene.report(place=pole, service_code="limb-down").case.number
        merged = scene.report(place=pole).case
        transitions.merge(scene.s, merged, into=told.case, by=scene.actor("dispatcher"), at=town.now)
        gone = scene.report(place=pole).case
        transitions.cancel(scene.s, gone, "spam", by=scene.actor("dispatcher"), at=town.now)
        hidden = [private, coarse, merged.number, gone.number]
    assert coarse in numbers(client.get(PAGE).text), "the test's own cases are about the pole"
    with town.at_work() as scene:
        scene.s.get_one(Service, "limb-down").precision_m = 500
    page = client.get(PAGE).text
    assert numbers(page) == [shown]
    assert CANARY not in page
    assert photo not in page
    assert [number for number in hidden if number in page] == []
    case = client.get(f"/case/{coarse}").text
    assert "20-118" not in case, "its pole would tell where it is"
    assert PAGE in client.get(f"/case/{shown}").text


@pytest.mark.parametrize(
    "path", ["/assets/pole/nothing", "/assets/house/20-118", "/assets/pole/", "/assets/pole"]
)
def test_of_nothing_there_is_no_page(client: FlaskClient, pole: Place, path: str) -> None:
    assert client.get(path).status_code == 404


def test_many_reports_ask_the_database_no_more_than_two(
    app: Flask, client: FlaskClient, town: Town, pole: Place
) -> None:
    sent = []
    for more in (2, 9):
        for _ in range(more):
            closed(town, pole)
            with town.at_work() as scene:
                scene.report(place=pole)
        client.get(PAGE)
        with counted(app) as statements:
            client.get(PAGE)
        sent.append(len(statements))
    assert sent[0] == sent[1] <= 20


def test_the_map_draws_what_stands_around_and_nothing_further(client: FlaskClient, town: Town) -> None:
    with town.at_work() as scene:
        for kind, number, lat in (("tree", "T-1", 39.6002), ("pole", "20-118", 39.6), ("pole", "99", 39.61)):
            address = "9 Elm Street"
            square = cell(Point(lat, -71.2))
            scene.s.add(Asset(kind=kind, number=number, lat=lat, lon=-71.2, cell=square, address=address))
    near = client.get("/es/assets/around?lat=39.6&lon=-71.2").get_json()["things"]
    assert near == [
        ["pole", "20-118", 39.6, -71.2, "Poste 20-118"],
        ["tree", "T-1", 39.6002, -71.2, "Árbol junto a 9 Elm Street"],
    ]
    assert client.get("/assets/around?lat=39.7&lon=-71.2").get_json() == {"things": []}
    assert client.get("/assets/around?lat=x").get_json() == {"things": []}
