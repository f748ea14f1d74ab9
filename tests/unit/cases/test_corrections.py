"""A wrong type or place is corrected, and all that hangs on it follows."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from city.audit import counters
from city.cases import batches, corrections, queries, sla, transitions
from city.cases import search as case_search
from city.cases.transitions import Closing
from city.config.routing import Rule
from city.db.models import Area, Asset, Case, Department, Owner, Service, SyncFeedRow
from city.lifecycle import Refused
from city.places.lookup import Place
from tests.factories import LAMP, Scene, Town

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)
THERE = Place(39.6100, -71.1900, "address", "9 Elm Street")
Correct = Callable[..., bool]


@pytest.fixture(autouse=True)
def services(town: Town) -> None:
    """One of another department, one that is danger by itself, and an office's."""
    with town.at_work() as scene:
        s = scene.s
        s.add(Department(code="parks", names={"en": "Parks"}, time_zone="America/New_York"))
        s.flush()
        base = s.get_one(Service, "limb-down")
        for code, more in (
            ("tree-fallen", {"department_code": "parks", "promise_days": 10}),
            ("wire-down", {"urgent": True, "promise_days": 1}),
            ("tax", {"office": True, "private": True}),
        ):
            told = {column.key: getattr(base, column.key) for column in Service.__table__.columns} | {
                "code": code,
                "position": 9,
                **more,
            }
            s.add(Service(**told))
        scene.crew("lights").department_code = "works"
        scene.crew("trees").department_code = "parks"


def reclassify(scene: Scene, case: Case, code: str, who: str = "dispatcher", **more: Any) -> bool:
    at = more.pop("at", scene.town.now)
    service = scene.s.get_one(Service, code)
    return corrections.reclassify(scene.s, case, service, by=scene.actor(who), at=at, **more)


def relocate(scene: Scene, case: Case, place: Place = THERE, who: str = "dispatcher", **more: Any) -> bool:
    at = more.pop("at", scene.town.now)
    return corrections.relocate(scene.s, case, place, by=scene.actor(who), at=at, **more)


class TestTheType:
    def test_department_and_promise_are_those_of_the_new_one_from_the_first_report(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            assert reclassify(scene, case, "limb-down", at=town.now + DAY)
            plain = scene.report(service_code="limb-down").case
            assert (case.service_code, case.due_at, case.promise_days) == ("limb-down", plain.due_at, 5)
            assert not case.corrected_late
            assert not reclassify(scene, case, "limb-down")  # twice is harmless
            number = case.number
        with town.looking() as scene:
            told, _ = queries.case_events(scene.s, scene.case(number))[-1]
            assert (told.kind, told.was, told.now, told.facts["service"], told.facts["from"]) == (
                "reclassify", "new", "new", "limb-down", "light-out",
            )  # fmt: skip
            assert [each.service_code for each in scene.case(number).reports] == [
                "light-out"
            ]  # as it was told
        town.is_right()

    def test_a_promise_that_is_over_already_counts_from_the_correction(self, town: Town) -> None:
        late = town.now + 4 * DAY
        with town.at_work() as scene:
            case = scene.report(service_code="limb-down").case
            reclassify(scene, case, "light-out", at=late)
            assert (case.restarted_at, case.corrected_late, case.standing) == (late, True, "ok")
            assert case.due_at == scene.report(at=late).case.due_at

    def test_what_was_late_is_never_on_time_in_the_figures(self, town: Town) -> None:
        late = town.now + 4 * DAY
        with town.at_work() as scene:
            case = scene.report().case
            due = scene.report(service_code="tree-fallen").case.due_at
            reclassify(scene, case, "tree-fallen", at=late)
            assert (case.due_at, case.restarted_at, case.corrected_late) == (due, None, True)
            transitions.close(scene.s, case, Closing("not found"), by=scene.actor("dispatcher"), at=late)
            other = scene.report(at=late).case
            transitions.close(scene.s, other, Closing("not found"), by=scene.actor("dispatcher"), at=late)
        with town.looking() as scene:
            rows = scene.s.execute(
                select(counters.Tally.what, counters.Tally.n).where(
                    counters.Tally.facet == "city",
                    counters.Tally.what.in_(("closed", "timely", "restarted", "kept again")),
                )
            ).all()
            assert dict(map(tuple, rows)) == {"closed": 2, "timely": 1, "restarted": 1, "kept again": 1}
        town.is_right()

    @pytest.mark.parametrize(("code", "keeps"), [("limb-down", True), ("tree-fallen", False)])
    def test_a_crew_that_does_not_serve_it_loses_the_job(self, town: Town, code: str, keeps: bool) -> None:
        with town.at_work() as scene:
            case = scene.assigned()
            number, crew = case.number, scene.crew("lights").id
            reclassify(scene, case, code)
            assert (transitions.live(case) is not None) is keeps
            assert case.state == ("assigned" if keeps else "accepted")
            assert keeps or case.assignments[-1].ended_why == "reclassified"
        with town.looking() as scene:
            fed = scene.s.get_one(SyncFeedRow, (f"crew:{crew}", "job", number))
            assert (fed.present, fed.why) == ((True, None) if keeps else (False, "reclassified"))
        town.is_right()

    def test_a_crew_that_a_rule_names_keeps_it(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.assigned()
            reclassify(
                scene, case, "tree-fallen", rules=[Rule("parks", crew="lights", service="tree-fallen")]
            )
            assert case.state == "assigned"

    def test_danger_of_the_new_type_is_first_and_ends_a_wait(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            transitions.wait(scene.s, case, "weather", by=scene.actor("dispatcher"), at=town.now)
            reclassify(scene, case, "wire-down")
            assert (case.urgent, case.state) == (True, "accepted")
            reclassify(scene, case, "light-out")
            assert not case.urgent
            told = scene.report(danger=True).case
            reclassify(scene, told, "limb-down")
            assert told.urgent  # somebody said so, whatever the type
        town.is_right()

    def test_private_hides_at_once_and_public_shows_nothing_until_staff_do(self, town: Town) -> None:
        with town.at_work() as scene:
            report = scene.report(words="A word of mine")
            case = report.case
            assert queries.is_public(report, case, "at_once")
            reclassify(scene, case, "nuisance")
            assert not any(queries.is_public(report, case, how) for how in ("at_once", "on_accept", "staff"))
            reclassify(scene, case, "light-out")
            transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=town.now)
            assert not any(queries.is_public(report, case, how) for how in ("at_once", "on_accept", "staff"))
            for how in ("at_once", "on_accept", "staff"):
                shown = scene.s.scalars(
                    select(Case.number).join(Case.reports).where(queries.shown_column(how))
                ).all()
                assert shown == []
            report.shown_at = town.now
            assert all(queries.is_public(report, case, how) for how in ("at_once", "on_accept", "staff"))

    @pytest.mark.parametrize(
        ("code", "who", "ready", "fault"),
        [
            ("limb-down", "rosa", "new", "not_allowed"),
            ("limb-down", "manager", "new", "not_allowed"),
            ("limb-down", "call-taker", "assigned", "crew_has_it"),
            ("tax", "dispatcher", "new", "office_misfits"),
            ("limb-down", "dispatcher", "closed", "wrong_state"),
        ],
    )
    def test_what_cannot_be_is_said_and_changes_nothing(
        self, town: Town, code: str, who: str, ready: str, fault: str
    ) -> None:
        with town.at_work() as scene:
            case = scene.assigned() if ready == "assigned" else scene.report().case
            if ready == "closed":
                by = scene.actor("dispatcher")
                transitions.close(scene.s, case, Closing("not found"), by=by, at=town.now)
            version = case.version
            with pytest.raises(Refused, match=fault):
                reclassify(scene, case, code, who)
            assert (case.service_code, case.version) == ("light-out", version)

    def test_a_call_taker_may_before_a_crew_has_it(self, town: Town) -> None:
        with town.at_work() as scene:
            assert reclassify(scene, scene.report().case, "limb-down", "call-taker")


class TestThePlace:
    def test_area_and_cell_are_those_of_the_new_one_and_the_old_one_stays_in_the_story(
        self, town: Town
    ) -> None:
        with town.at_work() as scene:
            scene.s.add(Area(kind="area", name="Hill", geometry=around(THERE)))
        with town.at_work() as scene:
            case = scene.report().case
            number = case.number
            assert relocate(scene, case)
            assert not relocate(scene, case)
        with town.looking() as scene:
            case = scene.case(number)
            assert (case.lat, case.address, case.place_source) == (THERE.lat, "9 Elm Street", "address")
            assert case.area_id == scene.s.scalars(select(Area.id).where(Area.name == "Hill")).one()
            assert (case.reports[0].lat, case.reports[0].address) == (LAMP.lat, LAMP.label)
            line, words = queries.case_events(scene.s, case)[-1]
            assert (line.kind, words["was"], words["address"]) == ("relocate", LAMP.label, "9 Elm Street")
            assert "Elm" not in str(line.facts)  # a place is somebody's, so it can be erased
            assert case_search.at(scene.s, "9 Elm Street", limit=5) == [case.id]
        town.is_right()

    def test_what_it_probably_repeats_is_asked_anew(self, town: Town) -> None:
        with town.at_work() as scene:
            first, second = scene.report().case, scene.report(place=THERE).case
            assert second.twin_id is None
            relocate(scene, second, LAMP)
            assert second.twin_id == first.id
            relocate(scene, first)
            assert second.twin_id is None

    def test_a_crew_whose_area_it_leaves_loses_it(self, town: Town) -> None:
        rules = [Rule("works", crew="trees", area="Hill"), Rule("works", crew="lights")]
        with town.at_work() as scene:
            scene.s.add(Area(kind="area", name="Hill", geometry=around(THERE)))
        with town.at_work() as scene:
            case, by_hand = scene.assigned(), scene.assigned("trees")
            relocate(scene, case, rules=rules)
            relocate(scene, by_hand, rules=rules)
            assert (case.state, case.assignments[-1].ended_why) == ("accepted", "relocated")
            assert by_hand.state == "assigned"
        town.is_right()

    def test_it_waits_for_the_owner_of_what_stands_there(self, town: Town) -> None:
        with town.at_work() as scene:
            scene.s.add(Owner(code="heco", names=["heco"]))
            pole = Asset(kind="pole", number="7", owner="HECO", address="", lat=39.61, lon=-71.19, cell="x")
            scene.s.add(pole)
            scene.s.flush()
            case = scene.report().case
            relocate(scene, case, Place(39.61, -71.19, "asset", "Elm", None, pole.id))
            assert (case.state, sla.waits_for(case)) == ("waiting", "utility")
            relocate(scene, case, LAMP)
            assert case.state == "accepted"

    def test_outside_the_city_is_refused(self, town: Town) -> None:
        with town.at_work() as scene:
            case = scene.report().case
            with pytest.raises(Refused, match="outside_city"):
                relocate(scene, case, Place(0.0, 0.0, "pin", "The sea"))
            assert case.lat == LAMP.lat


@pytest.mark.parametrize("crew", [True, False])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("reclassify", {"service": "tree-fallen"}),
        ("reclassify", {"service": "nuisance"}),
        ("reclassify", {"service": "wire-down"}),
        ("relocate", {"place": {"lat": 39.61, "lon": -71.19, "source": "pin", "label": "9 Elm Street"}}),
    ],
)
def test_an_undo_puts_everything_back_and_writes_its_own_line(
    town: Town, name: str, what: dict[str, Any], crew: bool
) -> None:
    with town.at_work() as scene:
        case = scene.assigned() if crew else scene.report().case
        number = case.number
    with town.looking() as scene:
        before = facts(scene.case(number))
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        batch = batches.act(scene.s, [number], name, what, by=by, at=town.now, sent="once")
        assert batch.done == 1
        id_ = batch.id
    with town.looking() as scene:
        assert facts(scene.case(number)) != before
    with town.at_work() as scene:
        batches.undo(scene.s, id_, by=scene.actor("dispatcher"), at=town.now + timedelta(minutes=29))
    with town.looking() as scene:
        assert facts(scene.case(number)) == before
        line, _ = queries.case_events(scene.s, scene.case(number))[-1]
        assert (line.kind, line.facts["what"]) == ("undo batch", name)
    town.is_right()


def test_what_was_nowhere_is_nowhere_again_after_an_undo(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.add(Area(kind="area", name="Hill", geometry=around(THERE)))
        number = scene.report(place=None).case.number
    with town.at_work() as scene:
        place = {"lat": THERE.lat, "lon": THERE.lon, "source": "pin", "label": THERE.label}
        by = scene.actor("dispatcher")
        id_ = batches.act(scene.s, [number], "relocate", {"place": place}, by=by, at=town.now, sent="once").id
    with town.at_work() as scene:
        assert scene.case(number).area_id
        batches.undo(scene.s, id_, by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.lat, case.quad, case.area_id) == (None, None, None)
    town.is_right()


def test_an_undo_leaves_alone_what_somebody_has_touched(town: Town) -> None:
    with town.at_work() as scene:
        case, by = scene.report().case, scene.actor("dispatcher")
        number = case.number
        batch = batches.act(
            scene.s, [number], "reclassify", {"service": "limb-down"}, by=by, at=town.now, sent="once"
        )
        transitions.accept(scene.s, case, by=by, at=town.now)
        batches.undo(scene.s, batch.id, by=by, at=town.now)
        assert (batch.left, case.service_code) == ([number], "limb-down")


def around(place: Place) -> dict[str, Any]:
    west, east, south, north = place.lon - 0.001, place.lon + 0.001, place.lat - 0.001, place.lat + 0.001
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def facts(case: Case) -> dict[str, Any]:
    held = transitions.live(case)
    names = (
        "service_code", "lat", "lon", "address", "place_source", "asset_id", "state", "due_at", "risk_at",
        "standing", "urgent", "follow_on", "promise_days", "restarted_at", "corrected_late", "rank",
        "area_id", "quad", "twin_id", "review",
    )  # fmt: skip
    told = {name: getattr(case, name) for name in names}
    shown = [(report.shown_at, report.shown_by_hand) for report in case.reports]
    return told | {"crew": held.crew_id if held else None, "shown": shown}


def test_a_wait_before_a_restart_moves_nothing_and_one_that_outlasts_it_counts_from_there(town: Town) -> None:
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        for resumed, moved in ((10, 0), (32, 2)):
            case = scene.report(service_code="tree-fallen").case
            transitions.wait(scene.s, case, "utility", until=town.now + 60 * DAY, by=by, at=town.now + DAY)
            if resumed < 30:
                transitions.resume(scene.s, case, by=by, at=town.now + resumed * DAY)
            reclassify(scene, case, "light-out", at=town.now + 30 * DAY)
            if resumed > 30:
                case.restarted_at = town.now + 30 * DAY
                transitions.resume(scene.s, case, by=by, at=town.now + resumed * DAY)
            fresh = scene.report(at=town.now + 30 * DAY).case
            assert case.due_at == fresh.due_at + moved * DAY
