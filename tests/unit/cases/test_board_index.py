"""What is kept of the cases for the board is what their facts say, whoever changed them and however."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from factories import LAMP, SQUARE, Scene, Town, statements
from sqlalchemy import select

from city.audit import events
from city.audit.events import Actor
from city.cases import board_index, transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Area, Case, MapCellCount, Service
from city.imports import history_writer
from city.imports.history_writer import CaseHistory, Move, ReportRow
from city.lifecycle import DISPATCHER, Refused

pytestmark = pytest.mark.both_databases

WEST = {
    "type": "Polygon",
    "coordinates": [[[-71.3, 39.5], [-71.2, 39.5], [-71.2, 39.7], [-71.3, 39.7], [-71.3, 39.5]]],
}
EAST_OF_LAMP = replace(LAMP, lon=-71.15)


@pytest.fixture
def divided(town: Town) -> Town:
    """The town with a neighborhood in its west."""
    with town.at_work() as scene:
        scene.s.add(Area(kind="water", name="Lake", geometry=SQUARE))
        scene.s.add(Area(kind="area", name="Westside", geometry=WEST))
    return town


def counts(scene: Scene, facet: str, value: str = "") -> dict[str, int]:
    """How many by standing."""
    rows = scene.s.execute(
        select(MapCellCount.quad, MapCellCount.standing, MapCellCount.n).where(
            MapCellCount.facet == facet, MapCellCount.value == value
        )
    )
    found: dict[str, int] = {}
    together: dict[str, int] = {}
    for quad, standing, n in rows:
        where = together if quad == board_index.CELL_ALL else found
        where[standing] = where.get(standing, 0) + n
    assert together == found
    return {standing: n for standing, n in found.items() if n}


@contextmanager
def taken_back(scene: Scene) -> Iterator[None]:
    """A savepoint to which one goes back."""
    with suppress(Refused), events.savepoint(scene.s):
        yield
        raise Refused("wrong_state")


def test_a_case_is_counted_by_where_it_lies_what_it_is_and_who_has_it(divided: Town) -> None:
    with divided.at_work() as scene:
        case = scene.assigned()
        scene.report(place=EAST_OF_LAMP, service_code="limb-down")
        scene.report(place=None)
    with divided.looking() as scene:
        west = scene.s.scalars(select(Area.id).where(Area.name == "Westside")).one()
        held = scene.s.get_one(Case, case.id)
        assert (held.crew_id, held.area_id, held.rank) == (scene.crew("lights").id, west, board_index.NORMAL)
        assert counts(scene, "all") == {"ok": 3}
        assert counts(scene, "area", str(west)) == {"ok": 1}
        assert counts(scene, "crew", str(held.crew_id)) == {"ok": 1}
        assert counts(scene, "crew", "none") == {"ok": 2}
        assert counts(scene, "service", "limb-down") == {"ok": 1}
        nowhere = select(MapCellCount.n).where(
            MapCellCount.facet == "all", MapCellCount.quad == board_index.CELL_NO_LOCATION
        )
        assert scene.s.scalars(nowhere).one() == 1
        assert board_index.differences(scene.s) == []


def test_what_ended_is_in_no_count(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        by = scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("not ours"), by=by, at=town.now)
    with town.looking() as scene:
        assert not any(scene.s.scalars(select(MapCellCount.n)))
        ended = scene.s.get_one(Case, case.id)
        assert (ended.standing, ended.rank, ended.crew_id) == ("done", board_index.ENDED, None)
        assert ended.quad is not None


def test_what_waits_or_is_urgent_has_a_rank_of_its_own(town: Town) -> None:
    with town.at_work() as scene:
        urgent = scene.report(danger=True).case
        waiting = scene.report().case
        transitions.wait(scene.s, waiting, "weather", by=scene.actor("dispatcher"), at=town.now)
    with town.looking() as scene:
        ranks = [scene.s.get_one(Case, case.id).rank for case in (urgent, waiting)]
        assert ranks == [board_index.URGENT, board_index.WAITS]
        assert counts(scene, "state", "waiting") == {"wait": 1}


def test_a_verb_takes_over_how_the_promise_stands_at_its_moment(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
    with town.at_work() as scene:
        case = scene.s.get_one(Case, case.id)
        transitions.accept(scene.s, case, by=scene.actor("dispatcher"), at=case.due_at + timedelta(seconds=1))
    with town.looking() as scene:
        assert scene.s.get_one(Case, case.id).standing == "late"
        assert counts(scene, "all") == {"late": 1}


def test_what_a_savepoint_took_back_is_not_counted(town: Town) -> None:
    with town.at_work() as scene:
        before = scene.report().case
        by = scene.actor("dispatcher")
        transitions.accept(scene.s, before, by=by, at=town.now)
        with taken_back(scene):
            transitions.close(scene.s, before, Closing("not ours"), by=by, at=town.now)
            scene.report(service_code="limb-down")
            history_writer.write(
                scene.s, [CaseHistory("light-out", [ReportRow(town.now, uuid.uuid4().hex, place=LAMP)])]
            )
        other = scene.report(place=EAST_OF_LAMP).case
        with taken_back(scene):
            transitions.accept(scene.s, other, by=by, at=town.now)
    with town.looking() as scene:
        assert counts(scene, "all") == {"ok": 2}
        assert counts(scene, "state", "accepted") == {"ok": 1}
        assert board_index.differences(scene.s) == []


def test_a_transaction_that_fails_counts_nothing(town: Town) -> None:
    with suppress(Refused), town.at_work() as scene:
        scene.report()
        raise Refused("wrong_state")
    with town.looking() as scene:
        assert counts(scene, "all") == {}


def test_bulk_counts_what_it_writes(divided: Town) -> None:
    office = Actor("system", frozenset({DISPATCHER}))
    with db.transaction(divided.engine) as s:
        told = [ReportRow(divided.now, uuid.uuid4().hex, place=place) for place in (LAMP, EAST_OF_LAMP, None)]
        stories = [CaseHistory("light-out", [each]) for each in told]
        stories[0].moves = [Move("close", divided.now, office, outcome="not ours")]
        history_writer.write(s, stories)
    with divided.looking() as scene:
        assert counts(scene, "all") == {"ok": 2}
        assert board_index.differences(scene.s) == []


def test_recounting_mends_what_was_written_past_the_verbs(divided: Town) -> None:
    with divided.at_work() as scene:
        case = scene.assigned()
        scene.report()
    with divided.engine.begin() as connection:
        connection.execute(Case.__table__.update().values(crew_id=None, quad=1, rank=0))  # type: ignore[attr-defined]
        connection.execute(MapCellCount.__table__.update().values(n=7))  # type: ignore[attr-defined]
    with divided.looking() as scene:
        assert len(board_index.differences(scene.s)) > 3
    with divided.at_work() as scene:
        assert board_index.recompute(scene.s) == 2
    with divided.looking() as scene:
        assert board_index.differences(scene.s) == []
        assert scene.s.get_one(Case, case.id).crew_id == divided.ids["lights"]
    with divided.at_work() as scene:
        assert board_index.recompute(scene.s, at=divided.now) == 0
        assert board_index.recompute(scene.s, at=divided.now + timedelta(days=30)) == 2


def test_a_move_costs_one_statement_more_than_without_counts(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
    with statements(town.engine) as sent, town.at_work() as scene:
        rosa = scene.actor("rosa")
        transitions.start(scene.s, scene.s.get_one(Case, case.id), by=rosa, at=town.now)
    assert sum("cell_counts" in statement for statement in sent) == 1
    assert sum(statement.startswith("UPDATE cases") for statement in sent) == 1
    assert not any("areas" in statement for statement in sent)


@pytest.mark.slow
def test_eight_who_move_neighboring_cases_at_once_count_them_all_and_nobody_waits_for_ever(
    town: Town,
) -> None:
    with town.at_work() as scene:
        family = [scene.report().case.id for _ in range(16)]
    faults: list[BaseException] = []

    def work(seed: int) -> None:
        chance = Random(seed)
        try:
            for step in range(12):
                with town.at_work() as scene:
                    by = scene.actor("dispatcher")
                    for case_id in sorted(chance.sample(family, 2)):
                        case = scene.s.get_one(Case, case_id)
                        at = town.now + timedelta(hours=step)
                        with events.savepoint(scene.s):
                            if chance.random() < 0.5:
                                transitions.assign(
                                    scene.s,
                                    case,
                                    scene.crew(chance.choice(("lights", "trees"))),
                                    by=by,
                                    at=at,
                                )
                            elif case.state in ("new", "accepted"):
                                transitions.wait(scene.s, case, "weather", by=by, at=at)
        except Refused:
            pass
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert not any(thread.is_alive() for thread in threads)
    with town.looking() as scene:
        assert sum(counts(scene, "all").values()) == 16
        assert board_index.differences(scene.s) == []


@pytest.mark.postgresql
def test_what_was_let_go_of_again_is_counted_by_whoever_changes_it(town: Town) -> None:
    """Locking a case with its root begins anew where both were moved; what it held before is not its own."""
    with town.at_work() as scene:
        moved, former, into, root = (scene.report().case for _ in range(4))
        transitions.merge(scene.s, moved, former, by=scene.actor("dispatcher"), at=town.now)
        ids = [case.id for case in (moved, former, into, root)]
    with town.at_work() as late:
        known, _former, aim, _root = (late.s.get_one(Case, id_) for id_ in ids)
        with town.at_work() as scene:
            s, by = scene.s, scene.actor("dispatcher")
            transitions.unmerge(s, s.get_one(Case, ids[0]), by=by, at=town.now)
            transitions.merge(s, s.get_one(Case, ids[2]), s.get_one(Case, ids[3]), by=by, at=town.now)
        assert transitions.locks.lock_with_root(late.s, known, aim).id == ids[3]
        with town.at_work() as scene:
            former = scene.s.get_one(Case, ids[1])
            transitions.assign(
                scene.s, former, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now
            )
    with town.looking() as scene:
        assert board_index.differences(scene.s) == []


def test_a_service_that_an_import_changes_moves_the_count(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.report().case
        transitions.locks.lock(scene.s, case)
        case.service, case.service_code = scene.s.get_one(Service, "limb-down"), "limb-down"
    with town.looking() as scene:
        assert counts(scene, "service", "light-out") == {}
        assert counts(scene, "service", "limb-down") == {"ok": 1}
