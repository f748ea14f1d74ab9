"""The public list of cases: open or closed, by group, page by page, and what its map draws."""

import re
from typing import Any

import pytest
from factories import LAMP, Town
from flask import Flask
from flask.testing import FlaskClient
from wording import resident

from city.cases import queries, transitions
from city.cases.transitions import Closing
from city.db.models import Service
from city.geo import Point, distance
from city.places.lookup import Place
from city.reports import intake
from pwa.pages.resident.cases import ROWS

pytestmark = pytest.mark.both_databases


def numbers(page: str) -> list[str]:
    return re.findall(r'class="row" href="(?:/es)?/case/([^"]+)"', page)


def open_cases(town: Town, count: int, **changes: Any) -> list[str]:
    with town.at_work() as scene:
        return [scene.report(**changes).case.number for _ in range(count)]


def test_every_open_case_is_on_exactly_one_page_and_the_pages_say_how_many(
    town: Town, client: FlaskClient
) -> None:
    opened = open_cases(town, 2 * ROWS + 3)
    found, address, said = [], "/cases", []
    while address:
        page = client.get(address).get_data(as_text=True)
        found += numbers(page)
        said += re.findall(r'<h2 id="list">([^<]*)</h2>', page)
        older = re.search(r'href="(/cases\?before=\d+)"', page)
        address = older[1] if older else ""
    assert found == opened[::-1]
    total = len(opened)
    assert said == [
        resident.LISTED_OF(first=first, last=last, num=total)
        for first, last in ((1, ROWS), (ROWS + 1, 2 * ROWS), (2 * ROWS + 1, total))
    ]


def test_a_group_and_a_state_narrow_the_list(town: Town, client: FlaskClient) -> None:
    [lamp], [limb] = open_cases(town, 1), open_cases(town, 1, service_code="limb-down")
    with town.at_work() as scene:
        shut = scene.report().case
        transitions.close(
            scene.s, shut, Closing("not found", words="looked"), by=scene.actor("dispatcher"), at=town.now
        )
    wanted = {
        "/cases": [limb, lamp],
        "/cases?group=tree": [limb],
        "/cases?state=closed": [shut.number],
        "/cases?state=closed&group=tree": [],
        "/cases?group=no-such-group&state=odd&before=x": [limb, lamp],
        f"/cases?before={10**12}": [limb, lamp],
    }
    assert {address: numbers(client.get(address).get_data(as_text=True)) for address in wanted} == wanted


def test_a_kind_of_problem_that_is_not_there_is_said_above_all_others(
    client: FlaskClient, town: Town
) -> None:
    open_cases(town, 2)
    wrong = client.get("/es/cases?group=nope")
    assert (wrong.status_code, len(numbers(wrong.text))) == (422, 2)
    assert resident.UNKNOWN_TYPE.es(code="nope") in wrong.text
    assert "nope" not in client.get("/cases?group=tree").text


def test_a_case_below_the_list_is_found_where_it_is(client: FlaskClient, town: Town) -> None:
    [number] = open_cases(town, 1)
    found = client.get(f"/es/cases/{number}")
    assert (found.status_code, found.headers["Location"]) == (303, f"/es/case/{number}")


def test_the_empty_list_says_what_to_do(client: FlaskClient, town: Town) -> None:
    for address in ("/cases", "/es/cases", "/cases?state=closed", "/cases?group=tree", "/cases?before=1"):
        page = client.get(address).get_data(as_text=True)
        assert 'class="empty"' in page
        assert "<case-map" not in page
    open_cases(town, 1)
    assert 'class="empty"' not in client.get("/cases").get_data(as_text=True)


def test_search_engines_find_the_first_page_under_one_address(client: FlaskClient, town: Town) -> None:
    open_cases(town, 1)
    page = client.get("/cases?state=closed&utm=x&group=tree").get_data(as_text=True)
    canonical = re.search(r'rel="canonical" href="([^"]+)"', page)
    assert canonical
    assert canonical[1].endswith("/cases?state=closed&amp;group=tree")
    assert "noindex" not in page
    assert "noindex" in client.get("/cases?before=7").get_data(as_text=True)


def test_home_leads_to_all_cases(client: FlaskClient) -> None:
    assert 'href="/cases"' in client.get("/").get_data(as_text=True)
    assert 'href="/es/cases"' in client.get("/es/").get_data(as_text=True)


def test_the_map_draws_what_the_list_lists_and_no_place_too_exactly(
    town: Town, app: Flask, client: FlaskClient
) -> None:
    with town.at_work() as scene:
        private = scene.report(service_code="nuisance").case.number
        scene.s.get_one(Service, "limb-down").precision_m = 500
        coarse = scene.report(service_code="limb-down", place=Place(39.6013, -71.2017, "pin")).case.number
        lamp = scene.report().case.number
        closed = scene.report().case
        transitions.close(
            scene.s, closed, Closing("not found", words="looked"), by=scene.actor("dispatcher"), at=town.now
        )
    points = {row[0]: row[1:] for row in client.get("/cases/points").json["points"]}  # type: ignore[index]
    assert set(points) == {coarse, lamp}
    assert private not in points
    assert Point(*points[lamp][:2]) == LAMP.point
    assert distance(Point(*points[coarse][:2]), Point(39.6013, -71.2017)) > 30
    ended = client.get("/cases/points?state=closed").json["points"]  # type: ignore[index]
    assert [row[0] for row in ended] == [closed.number]
    assert client.get("/cases/points?group=trash").json == {"points": []}
    unknown = client.get("/cases/points?group=nope")
    assert (unknown.status_code, list(unknown.json or {})) == (422, ["error"])


def test_the_map_draws_the_newest_where_there_are_more_than_it_can(town: Town) -> None:
    opened = open_cases(town, 4)
    with town.looking() as scene:
        assert [p.number for p in queries.public_pins(scene.s, now=town.now, limit=2)] == opened[:1:-1]


@pytest.mark.parametrize(
    ("address", "most"), [("/cases", 12), ("/cases?state=closed", 12), ("/cases/points", 4)]
)
def test_a_long_list_asks_the_database_as_often_as_a_short_one(
    town: Town, client: FlaskClient, asked: list[str], address: str, most: int
) -> None:
    counts = []
    for rounds in (2, 9):
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            for n in range(rounds):
                scene.report(taken=[scene.photo("navy", f"form:{rounds}-{n}")])
                told = scene.report()
                intake.show(scene.s, told, by=by, at=town.now)
                shut = told.case
                transitions.accept(scene.s, shut, by=by, at=town.now)
                transitions.close(
                    scene.s,
                    shut,
                    Closing("fixed", words="done", photos=[scene.photo("gold", f"person:{rounds}{n}")]),
                    by=by,
                    at=town.now,
                )
        client.get(address)
        asked.clear()
        client.get(address)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= most
