"""Which pole is meant: the nearest things of the city's, and when a phone's fix may choose one by itself."""

import pytest
from factories import Town
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from city import geo
from city.db.models import Asset
from city.geo import Point, distance
from city.places import nearby_assets
from city.places.nearby_assets import Near

HERE = Point(39.6, -71.2)
METRE = 1 / geo.METRES_A_DEGREE


def stand(town: Town, kind: str, *norths: float) -> None:
    """Things of a kind so many metres north of HERE, numbered from 1 in that order."""
    with town.at_work() as scene:
        for n, north in enumerate(norths, 1):
            lat = HERE.lat + north * METRE
            scene.s.add(
                Asset(
                    kind=kind, number=f"{kind}-{n}", lat=lat, lon=HERE.lon, address="",
                    cell=geo.cell(Point(lat, HERE.lon)),
                )
            )  # fmt: skip


def found(town: Town, kind: str = "pole") -> list[Near]:
    with town.looking() as scene:
        return nearby_assets.nearest(scene.s, kind, HERE)


def test_the_nearest_of_a_kind_come_first_and_none_from_further_than_150_metres(town: Town) -> None:
    stand(town, "pole", 90, -20, 149, -152, 40)
    stand(town, "tree", 1)
    near = found(town)
    assert [n.asset.number for n in near] == ["pole-2", "pole-5", "pole-1", "pole-3"]
    assert [round(n.metres) for n in near] == [20, 40, 90, 149]
    assert found(town, "basket") == []


def test_what_the_register_has_no_more_is_neither_offered_nor_found_by_its_number(town: Town) -> None:
    stand(town, "pole", 5, 40)
    with town.at_work() as scene:
        scene.s.scalars(select(Asset).where(Asset.number == "pole-1")).one().retired_at = town.now
    assert [n.asset.number for n in found(town)] == ["pole-2"]
    with town.looking() as scene:
        assert nearby_assets.named(scene.s, "pole-1", "pole") is None


@pytest.mark.parametrize(
    ("poles", "accuracy", "meant"),
    [
        ((3, -33), 10, "pole-1"),
        ((3,), 30, "pole-1"),
        ((3, -33), 30, None),  # as exact as asked for, but the other may be nearer all the same
        ((3,), 31, None),
        ((3,), 80, None),
        ((3,), None, None),  # a phone that does not say how sure it is
        ((14,), 5, "pole-1"),
        ((16,), 5, None),  # further than the phone may be wrong and a step or two
        ((30,), 1, None),
        ((39,), 30, "pole-1"),
        ((41,), 30, None),
        ((3, 4), 5, None),
        ((), 5, None),
    ],
)
def test_a_fix_means_a_pole_only_where_it_can_be_no_other(
    town: Town, poles: tuple[float, ...], accuracy: float | None, meant: str | None
) -> None:
    stand(town, "pole", *poles)
    chosen = nearby_assets.asset_at_fix(found(town), accuracy)
    assert (chosen.asset.number if chosen else None) == meant


def test_a_number_is_found_as_written_or_in_capitals_and_of_the_services_own_kind(town: Town) -> None:
    with town.at_work() as scene:
        for kind, number in (("basket", "A-7"), ("pole", "A-7"), ("tree", "oak 3")):
            scene.s.add(Asset(kind=kind, number=number, lat=39.6, lon=-71.2, cell="", address=""))
    assert kind_named(town, "a-7", "pole") == "pole"
    assert kind_named(town, "oak 3", None) == "tree"
    assert kind_named(town, "oak 3", "pole") is None
    assert kind_named(town, "A-8", "pole") is None


def test_of_several_with_one_number_the_nearest_is_meant_and_none_across_town(town: Town) -> None:
    stand(town, "tree", 240)
    stand(town, "pole", 90, 2000)
    with town.at_work() as scene:
        for thing in scene.s.scalars(select(Asset)):
            thing.number, thing.owner = "12", thing.number  # a utility may number as the city does
    assert kind_named(town, "12", None, HERE) == "pole"
    assert kind_named(town, "12", "tree", HERE) == "tree"
    assert kind_named(town, "12", "basket", HERE) is None
    there = Point(HERE.lat - 200 * METRE, HERE.lon)
    assert kind_named(town, "12", "pole", there) is None
    assert kind_named(town, "12", "tree") == "tree"
    assert kind_named(town, "12", "pole") is None, "two have it, and nobody says which"


def kind_named(town: Town, number: str, kind: str | None, near: Point | None = None) -> str | None:
    with town.looking() as scene:
        asset = nearby_assets.named(scene.s, number, kind, near)
        return asset.kind if asset else None


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-1, 1), st.floats(-1, 1))
def test_the_cells_around_a_point_hold_all_that_is_near_it(
    lat: float, lon: float, dy: float, dx: float
) -> None:
    point = Point(lat, lon)
    box = geo.box_around(point, nearby_assets.REACH_METRES)
    other = Point(lat + dy * (box.north - lat), lon + dx * (box.east - lon))
    if distance(point, other) <= nearby_assets.REACH_METRES:
        assert geo.cell(other) in geo.cells_around(point, nearby_assets.REACH_METRES)
