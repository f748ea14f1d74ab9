"""What strangers may see, and where: never nearer than a service allows, never what was not shown."""

import pytest
from factories import LAMP, Town

from city.cases import queries, transitions
from city.db.models import Service
from city.geo import Point, distance, rounded
from city.lifecycle import Refused
from city.places.lookup import Place

pytestmark = pytest.mark.both_databases


def test_nobody_measures_a_place_more_exactly_than_its_service_allows(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").precision_m = 500
        scene.report()
    with town.looking() as scene:
        near = Point(39.601, -71.2)
        [sight] = queries.public(scene.s, now=town.now, near=near)
        assert sight.point != LAMP.point
        assert sight.point is not None
        assert sight.metres == distance(near, sight.point)
        assert sight.address == "Tansy Street"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("214 Tansy Street", "Tansy Street"),
        ("near 214B Tansy Street", "Tansy Street"),
        ("about 40 m from 214-216 Tansy Street", "Tansy Street"),
        ("12 1/2 Elm Street", "Elm Street"),
        ("near 12 5th Avenue", "5th Avenue"),
        ("5th Avenue at Elm Street", "5th Avenue at Elm Street"),
        ("near Elm Street", "near Elm Street"),
        ("", ""),
    ],
)
def test_no_house_is_named_where_a_place_is_told_coarsely(address: str, told: str) -> None:
    assert queries.street_only(address) == told


def test_the_nearest_come_first_however_many_there_are(town: Town) -> None:
    with town.at_work() as scene:
        nearest = scene.report(place=Place(39.6001, -71.2, "pin")).case.number
        for n in range(12):
            scene.report(place=Place(39.602 + n / 10_000, -71.2, "pin"))
        scene.report(place=Place(39.65, -71.2, "pin"))
    with town.looking() as scene:
        found = queries.public(scene.s, now=town.now, near=LAMP.point, metres=400, limit=5)
        assert found[0].number == nearest
        assert len(found) == 5
        assert [s.metres for s in found] == sorted(s.metres or 0 for s in found)
        everything = queries.public(scene.s, now=town.now, near=LAMP.point, metres=400, limit=50)
        assert len(everything) == 13, "what lies beyond the circle is not near"


def test_publishing_on_acceptance_publishes_no_spam(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        spam, merged, read = scene.report(), scene.report(), scene.report()
        transitions.cancel(scene.s, spam.case, "spam", by=by, at=town.now)
        transitions.accept(scene.s, read.case, by=by, at=town.now)
        transitions.merge(scene.s, merged.case, read.case, by=by, at=town.now)
        told = [queries.is_public(r, r.case, "on_accept") for r in (spam, merged, read)]
        assert told == [False, False, True]


def test_no_walk_of_questions_finds_the_exact_place(town: Town) -> None:
    """Whether a case is near changes where its rounded place comes near, and nowhere else."""
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").precision_m = 500
        scene.report()
    with town.looking() as scene:
        [sight] = queries.public(scene.s, now=town.now, near=LAMP.point)
        assert sight.point is not None
        for n in range(-30, 31):
            near = Point(LAMP.lat + n / 2000, LAMP.lon)
            found = queries.public(scene.s, now=town.now, near=near, metres=1000)
            assert bool(found) == (distance(near, sight.point) <= 1000), n


def test_joining_tells_nobody_where_a_case_exactly_is(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "light-out").precision_m = 500
        number = scene.report().case.number
    shown = rounded(LAMP.point, 500)
    for n in range(-12, 13):
        place = Place(LAMP.lat + n / 2000, LAMP.lon, "pin")
        with town.at_work() as scene:
            try:
                joined = scene.report(place=place, join=number).case.number == number
            except Refused:
                joined = False
        assert joined == (distance(rounded(place.point, 500), shown) <= 150), n
