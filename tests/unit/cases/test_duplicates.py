"""Which cases may be the same: near, alike, recent and open, and nothing that somebody must not know."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import LAMP, Scene, Town
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from city import geo
from city.cases import duplicates, not_duplicates, transitions
from city.cases.duplicates import Problem
from city.cases.transitions import Closing
from city.db.models import Asset, Service
from city.geo import Point
from city.lifecycle import Refused

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 5, 12, 12, tzinfo=UTC)
SPOT = Point(39.6, -71.2)
NEXT_DOOR = replace(LAMP, lat=LAMP.lat + 0.0001)  # 11 m

places = st.builds(
    Point, st.floats(39.59, 39.61, allow_subnormal=False), st.floats(-71.21, -71.19, allow_subnormal=False)
)
problems = st.builds(
    Problem,
    service=st.sampled_from(["light-out", "light-flickers", "limb-down"]),
    group=st.sampled_from(["streetlight", "tree"]),
    department=st.sampled_from(["works", "parks"]),
    point=places,
    at=st.datetimes(datetime(2026, 3, 1), datetime(2026, 5, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    accuracy_m=st.none() | st.floats(0, 200),
    source=st.sampled_from(["gps", "pin", "address", "asset", "photo"]),
    asset_id=st.none() | st.integers(1, 3),
)


@given(problems, problems, st.integers(0, 50))
def test_whoever_of_the_two_asks_gets_the_same_answer(one: Problem, other: Problem, crowd: int) -> None:
    there = duplicates.likely(one, other, crowd)
    assert there == pytest.approx(duplicates.likely(other, one, crowd))
    assert 0 < there < 1


@given(problems, problems, st.floats(0, 150), st.floats(0, 150), st.integers(0, 50))
def test_what_is_further_away_is_never_likelier(
    one: Problem, other: Problem, near: float, far: float, crowd: int
) -> None:
    near, far = sorted((near, far))

    def at(metres: float) -> float:
        point = Point(one.point.lat + metres / geo.METRES_A_DEGREE, one.point.lon)
        return duplicates.likely(one, replace(other, point=point), crowd)

    assert at(near) >= at(far) - 1e-12


@given(problems, problems, st.integers(0, 50))
def test_a_crowded_spot_and_a_long_time_make_it_less_likely(one: Problem, other: Problem, crowd: int) -> None:
    here = duplicates.likely(one, other, crowd)
    assert duplicates.likely(one, other, crowd + 5) < here
    later = one.at + abs(other.at - one.at) + timedelta(days=9)
    assert duplicates.likely(one, replace(other, at=later), crowd) < here


def test_a_badly_known_place_says_less_both_ways() -> None:
    sure = Problem("light-out", "streetlight", "works", SPOT, NOON, 3.0, "gps")
    unsure = replace(sure, accuracy_m=80.0)
    far = replace(sure, point=Point(SPOT.lat + 0.001, SPOT.lon))
    assert duplicates.likely(sure, sure, 0) > duplicates.likely(sure, unsure, 0)
    assert duplicates.likely(far, sure, 0) < duplicates.likely(far, unsure, 0)


def test_one_pole_is_one_problem_and_the_next_pole_another() -> None:
    pole = Problem("light-out", "streetlight", "works", SPOT, NOON, None, "asset", asset_id=7)
    moved = replace(pole, point=Point(SPOT.lat + 0.0003, SPOT.lon), source="gps", accuracy_m=30.0)
    assert duplicates.likely(pole, moved, 1) > duplicates.MARKED
    assert duplicates.likely(pole, replace(moved, asset_id=8), 0) < duplicates.OFFERED


def test_a_city_that_merges_nothing_learns_nothing() -> None:
    assert duplicates.often(0, 10_000, 0, 100_000) == 1
    assert duplicates.often(0, 0, 0, 0) == 1
    assert duplicates.often(300, 1_000, 400, 100_000) > 10
    assert duplicates.often(0, 50_000, 400, 100_000) < 0.1


def test_every_cell_within_reach_is_looked_into() -> None:
    for metres in (40.0, 99.0, 150.0):
        cells = geo.cells_around(SPOT, metres)
        box = geo.box_around(SPOT, metres * 0.999)
        for lat in (box.south, SPOT.lat, box.north):
            for lon in (box.west, SPOT.lon, box.east):
                assert geo.cell(Point(lat, lon)) in cells
        assert len(cells) == len(set(cells)) <= 25


def test_flat_metres_are_nearly_those_on_the_ellipsoid() -> None:
    there = Point(39.61, -71.19)
    assert geo.flat_distance(SPOT, there) == pytest.approx(geo.distance(SPOT, there), rel=0.01)


def offered(scene: Scene, **changes: Any) -> list[str]:
    """The numbers that somebody is offered who tells of a dark lamp now."""
    asked = {"service_code": "light-out", "place": LAMP, "at": scene.town.now} | changes
    code, place = asked.pop("service_code"), asked.pop("place")
    return [c.number for c in duplicates.candidates_near(scene.s, code, place, **asked)]


def test_an_open_case_close_by_is_offered_the_nearest_first(town: Town) -> None:
    with town.at_work() as scene:
        near, here = scene.report(place=NEXT_DOOR).case, scene.report().case
        scene.report(place=replace(LAMP, lat=LAMP.lat + 0.01))
        assert offered(scene) == [here.number, near.number]
        assert offered(scene, but=here.id) == [near.number]


def test_three_are_the_most_that_are_offered(town: Town) -> None:
    with town.at_work() as scene:
        for _ in range(5):
            scene.report()
        assert len(offered(scene)) == 3


def test_what_ended_or_was_told_long_ago_or_afterwards_is_not_offered(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        closed, cancelled = scene.report().case, scene.report().case
        transitions.close(scene.s, closed, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        transitions.cancel(scene.s, cancelled, "spam", by=by, at=town.now)
        scene.report(at=town.now - timedelta(days=61))
        scene.report(at=town.now + timedelta(minutes=1))
        assert offered(scene) == []


def test_what_was_merged_is_offered_as_the_case_it_belongs_to(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        root = scene.report(place=replace(LAMP, lat=LAMP.lat + 0.002)).case
        between, twin = scene.report(place=replace(LAMP, lat=LAMP.lat + 0.002)).case, scene.report().case
        transitions.merge(scene.s, twin, between, by=by, at=town.now)
        transitions.merge(scene.s, between, root, by=by, at=town.now)
        assert offered(scene) == [root.number]
        assert duplicates.candidates_for_case(scene.s, root) == []
        transitions.close(scene.s, root, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        assert offered(scene) == []


def test_strangers_are_offered_nothing_private_nor_what_is_shown_coarsely(town: Town) -> None:
    with town.at_work() as scene:
        scene.report(service_code="nuisance")
        assert offered(scene, service_code="nuisance") == []
        public, private = scene.report().case, scene.report().case
        transitions.merge(scene.s, public, private, by=scene.actor("dispatcher"), at=town.now)
        private.service = scene.s.get_one(Service, "nuisance")  # as an import may say afterwards
        scene.s.flush()
        assert offered(scene) == []
        assert offered(scene, strangers=False, least=0.0) != []
        lamp = scene.report().case
        assert offered(scene) == [lamp.number]
        lamp.service.precision_m = 100
        scene.s.flush()
        assert offered(scene) == []


def test_private_cases_do_not_even_crowd_a_spot_for_strangers(town: Town) -> None:
    with town.at_work() as scene:
        scene.report()
        alone = duplicates.candidates_near(scene.s, "light-out", LAMP, at=town.now)
        for _ in range(4):
            scene.report(service_code="nuisance")
        assert duplicates.candidates_near(scene.s, "light-out", LAMP, at=town.now) == alone


def test_two_poles_side_by_side_are_two_problems(town: Town) -> None:
    with town.at_work() as scene:
        poles = [
            Asset(kind="pole", number=f"20-{n}", lat=39.6, lon=-71.2, cell="x", address="Tansy Street")
            for n in range(2)
        ]
        scene.s.add_all(poles)
        scene.s.flush()
        one, next_one = (replace(LAMP, source="asset", asset_id=pole.id) for pole in poles)
        number = scene.report(place=one).case.number
        assert offered(scene, place=one) == [number]
        assert offered(scene, place=next_one) == []


def test_the_later_of_two_cases_at_one_pole_is_marked_until_somebody_says_they_are_two(town: Town) -> None:
    with town.at_work() as scene:
        place = scene.pole()
        first, later = scene.report(place=place).case, scene.report(place=place).case
        assert (first.twin, later.twin) == (None, first)
        by = scene.actor("dispatcher")
        transitions.merge(scene.s, later, first, by=by, at=town.now)
        transitions.unmerge(scene.s, later, by=by, at=town.now)
        third = scene.report(place=place).case
        not_duplicates.mark_not_duplicate(scene.s, later, third, by=by, at=town.now)
        assert later.twin_id is None
        transitions.merge(scene.s, later, first, by=by, at=town.now)
        assert duplicates.is_not_duplicate(scene.s, first) == set()
        assert duplicates.is_not_duplicate(scene.s, later) == {third.id}
        with pytest.raises(Refused, match="merge_cycle"):
            not_duplicates.mark_not_duplicate(scene.s, later, first, by=by, at=town.now)


def test_who_was_told_apart_is_not_marked_again_though_the_next_likely_one_may_be(town: Town) -> None:
    with town.at_work() as scene:
        place = scene.pole()
        first, second, third = (scene.report(place=place).case for _ in range(3))
        seen = third.twin
        assert seen in (first, second)
        left = second if seen is first else first
        by = scene.actor("dispatcher")
        assert not_duplicates.mark_not_duplicate(scene.s, seen, third, by=by, at=town.now)
        assert not not_duplicates.mark_not_duplicate(scene.s, third, seen, by=by, at=town.now)
        assert third.twin_id == left.id
        assert not_duplicates.mark_not_duplicate(scene.s, third, left, by=by, at=town.now)
        assert third.twin_id is None
        assert duplicates.is_not_duplicate(scene.s, third) == {first.id, second.id}
        assert not_duplicates.unmark_not_duplicate(scene.s, seen, third, by=by, at=town.now)
        assert not not_duplicates.unmark_not_duplicate(scene.s, seen, third, by=by, at=town.now)
        assert third.twin_id == seen.id


def test_the_city_learns_from_its_merges_which_services_are_told_twice(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        root = scene.report().case
        for _ in range(4):
            transitions.merge(scene.s, scene.report().case, root, by=by, at=town.now)
            limb = scene.report(service_code="limb-down").case
            transitions.close(scene.s, limb, Closing("fixed", no_photo="dark"), by=by, at=town.now)
        scene.s.flush()
        duplicates.store_learned(scene.s, duplicates.refit_service_weights(scene.s))
        known = dict(scene.s.execute(select(Service.code, Service.often)).all())
        assert known["limb-down"] < known["nuisance"] == 1 < known["light-out"]


def test_looking_takes_the_same_few_statements_however_many_lie_there(town: Town) -> None:
    sent: list[int] = []
    statements: list[str] = []
    event.listen(town.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for rounds in (1, 4):
        with town.at_work() as scene:
            root = scene.report().case
            for _ in range(rounds):
                transitions.merge(
                    scene.s, scene.report().case, root, by=scene.actor("dispatcher"), at=town.now
                )
        with town.looking() as scene:
            statements.clear()
            assert offered(scene)
            sent.append(sum(sql.startswith("SELECT") for sql in statements))
    assert sent[0] == sent[1] <= 3


def test_a_spot_with_very_many_cases_is_not_read_to_its_end(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MOST_LOOKED_AT", 2)
    with town.at_work() as scene:
        told = [scene.report(at=town.now - timedelta(hours=n)).case.number for n in range(3)]
        assert sorted(offered(scene)) == told[:2]


def test_the_index_over_cell_and_time_is_what_is_read(town: Town) -> None:
    with town.at_work() as scene:
        asked: list[tuple[str, Any]] = []
        event.listen(town.engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        offered(scene)
        (look,) = [(sql, values) for sql, values in asked if "cases.cell IN" in sql]
        if town.engine.dialect.name == "postgresql":
            scene.s.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")  # the table is tiny
        explain = "EXPLAIN " if town.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        plan = str(scene.s.connection().exec_driver_sql(explain + look[0], look[1]).all())
    assert "ix_cases_cell_opened_at" in plan


@pytest.mark.parametrize("metres_off", [3.0, 15.0, 30.0])
def test_one_limb_told_twice_within_the_hour_is_marked_however_rough_the_phones(
    town: Town, metres_off: float
) -> None:
    spot = replace(LAMP, source="gps", accuracy_m=metres_off)
    with town.at_work() as scene:
        for _ in range(4):  # what is told there often is no reason to be less sure
            scene.report(place=spot)
        again = scene.report(place=spot, at=town.now + timedelta(minutes=15)).case
        assert again.twin_id is not None
        [first, *_] = duplicates.candidates_near(
            scene.s, "light-out", spot, at=town.now + timedelta(minutes=20)
        )
        assert first.plain
        assert first.marked


def test_only_one_service_at_one_spot_within_a_day_is_plain(town: Town) -> None:
    asked = Problem("light-out", "streetlight", "works", SPOT, NOON, 5.0, "gps")
    assert duplicates.is_plain(asked, asked)
    for other in (
        replace(asked, service="pole-damaged"),
        replace(asked, at=NOON - timedelta(hours=25)),
        replace(asked, point=Point(SPOT.lat + 0.0003, SPOT.lon), accuracy_m=500.0),  # 33 m
        replace(asked, asset_id=2),
    ):
        assert not duplicates.is_plain(replace(asked, asset_id=1) if other.asset_id else asked, other)


def test_the_only_case_at_a_spot_is_likelier_than_the_same_one_beyond_the_crowd(town: Town) -> None:
    with town.at_work() as scene:
        scene.report(at=town.now - timedelta(days=3))

        def seen_from(metres: float) -> float:
            here = replace(LAMP, lat=LAMP.lat + metres / geo.METRES_A_DEGREE)
            [found] = duplicates.candidates_near(scene.s, "light-out", here, at=town.now)
            return found.likely

        likely = [seen_from(metres) for metres in (0, 10, 20, 24, 26, 40)]
    assert likely == sorted(likely, reverse=True)
