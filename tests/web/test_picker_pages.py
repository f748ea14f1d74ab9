"""What the map picker asks for: the name of the place under the pin, and what is drawn around it."""

from dataclasses import replace
from typing import Any

import pytest
from factories import LAMP, Town
from flask.testing import FlaskClient
from wording import resident, shared, shown

from city import geo
from city.db.models import Address, Asset
from city.geo import METRES_A_DEGREE, Point

HERE = {"lat": "39.6", "lon": "-71.2", "group": "streetlight"}


def north(metres: float) -> Point:
    """A point so far north of HERE."""
    return Point(39.6 + metres / METRES_A_DEGREE, -71.2)


@pytest.fixture
def street(town: Town) -> Town:
    """Two poles, a tree and a house."""
    with town.at_work() as scene:
        for kind, number, metres in (("pole", "20-118", 4), ("pole", "20-119", 40), ("tree", "20-118", 2)):
            point = north(metres)
            scene.s.add(
                Asset(kind=kind, number=number, lat=point.lat, lon=point.lon, cell=geo.cell(point),
                      address="214 Tansy Street")
            )  # fmt: skip
        point = north(0)
        label, cell = "214 Tansy Street", geo.cell(point)
        scene.s.add(Address(label=label, lat=point.lat, lon=point.lon, cell=cell))
    return town


def spot(client: FlaskClient, prefix: str = "", **asked: str) -> str:
    return shown(client.get(f"{prefix}/report/spot", query_string=HERE | asked).get_data(as_text=True))


def around(client: FlaskClient, **asked: str) -> Any:
    return client.get("/report/around", query_string=HERE | asked).json


def told(town: Town, metres: float, **changes: Any) -> str:
    """The number of a case so far north."""
    point = north(metres)
    with town.at_work() as scene:
        place = replace(LAMP, lat=point.lat, lon=point.lon)
        return scene.report(place=place, **changes).case.number


def test_the_place_under_the_pin_is_called_as_on_the_form(street: Town, client: FlaskClient) -> None:
    page = spot(client, pinned="1")
    assert "<h2>Near 214 Tansy Street</h2>" in page
    assert resident.CHOSEN_ON_MAP in page
    assert "data-known" in page
    assert resident.WITHIN_FROM_PHONE(distance="50\u00a0ft") in spot(client, accuracy="15")
    assert resident.CHOSEN_ON_MAP.es in spot(client, "/es", pinned="1")


def test_a_number_that_was_chosen_names_the_place_of_its_kind(street: Town, client: FlaskClient) -> None:
    assert f"<h2>{shared.POLE(number='20-118')}</h2>" in spot(client, pinned="1", asset="20-118")
    without_kind = spot(client, pinned="1", asset="20-118", group="other")
    assert f"<h2>{shared.POLE(number='20-118')}</h2>" in without_kind
    assert f"<h2>{resident.TREE_BY(address='214 Tansy Street')}</h2>" in spot(
        client, pinned="1", asset="20-118", group="tree"
    )


def test_words_lead_to_a_place_to_several_or_to_none(street: Town, client: FlaskClient) -> None:
    found = spot(client, place="214 Tansy Street", lat="", lon="")
    assert 'data-lat="39.6"' in found
    several = spot(client, place="20-118", lat="", lon="", group="other")
    assert several.count("data-pick=") == 2
    assert "data-lat" not in several
    none = spot(client, place="zeppelin", lat="", lon="")
    assert shared.PLACE_UNKNOWN in none
    assert "data-lat" not in none


def test_outside_the_city_no_spot_is_known_and_no_report_is_offered(
    street: Town, client: FlaskClient
) -> None:
    page = spot(client, lat="41.76", lon="-72.67", pinned="1")
    assert "data-outside" in page
    assert shared.OUTSIDE_CITY in page
    assert "data-known" not in page


def test_the_nearest_open_report_is_told_before_anything_is_sent(street: Town, client: FlaskClient) -> None:
    assert "nearby" not in spot(client, pinned="1")
    far, near = told(street, 60), told(street, 27)
    page = spot(client, pinned="1")
    assert f'data-case="{near}"' in page
    assert resident.REPORTED_AWAY(distance="90\u00a0ft") in page
    assert 'name="join"' not in page
    chosen = spot(client, pinned="1", case=far)
    assert f'name="join" value="{far}"' in chosen
    assert 'data-service="light-out"' in chosen
    assert f'name="join" value="{near}"' in spot(client, lat=str(north(27).lat), pinned="1")


def test_a_report_of_another_kind_is_not_the_same_problem(street: Town, client: FlaskClient) -> None:
    number = told(street, 27)
    assert f'data-case="{number}"' in spot(client, pinned="1", group="streetlight")
    assert [case[0] for case in around(client, group="streetlight")["cases"]] == [number]
    assert "nearby" not in spot(client, pinned="1", group="tree")
    assert around(client, group="tree")["cases"] == []


@pytest.mark.parametrize("hidden", ["private", "precision_m"])
def test_of_what_strangers_do_not_know_exactly_nothing_is_told(
    street: Town, client: FlaskClient, hidden: str
) -> None:
    number = told(street, 20)
    with street.at_work() as scene:
        setattr(scene.case(number).service, hidden, True if hidden == "private" else 200)
    assert around(client)["cases"] == []
    for page in (spot(client, pinned="1"), spot(client, pinned="1", case=number)):
        assert number not in page


def test_what_has_ended_is_neither_drawn_nor_offered(street: Town, client: FlaskClient) -> None:
    number = told(street, 20)
    assert [case[0] for case in around(client)["cases"]] == [number]
    with street.at_work() as scene:
        scene.case(number).state = "closed"
    assert around(client)["cases"] == []
    assert number not in spot(client, pinned="1", case=number)


def test_what_is_drawn_is_what_the_kind_of_problem_is_about(street: Town, client: FlaskClient) -> None:
    pole = ["20-118", north(4).lat, -71.2, shared.POLE(number="20-118")]
    assert around(client)["things"][0] == pytest.approx(pole)
    assert [thing[0] for thing in around(client)["things"]] == ["20-118", "20-119"]
    assert [thing[3] for thing in around(client, group="tree")["things"]] == ["Tree 20-118"]
    assert [thing[0] for thing in around(client, group="other")["things"]] == ["20-118", "20-119"]
    assert client.get("/report/around").json == {"cases": [], "things": []}


@pytest.mark.parametrize("extra", [0, 12])
def test_the_database_is_asked_as_often_for_many_reports_as_for_few(
    street: Town, client: FlaskClient, asked: list[str], extra: int
) -> None:
    for n in range(1 + extra):
        told(street, 20 + n)
    spot(client, pinned="1")
    asked.clear()
    spot(client, pinned="1")
    assert len(asked) <= 12
    asked.clear()
    around(client)
    assert len(asked) <= 10


def test_the_picker_speaks_the_visitors_language(client: FlaskClient) -> None:
    assert shown(client.get("/report/picker").get_data(as_text=True)).count(resident.USE_SPOT) == 1
    assert resident.USE_SPOT.es in shown(client.get("/es/report/picker").get_data(as_text=True))
