"""What a transaction holds it need not read again, and what it waited for is as the other left it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import Scene, Town
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from city.cases import locks, transitions
from city.db import engine as db
from city.db.models import Case

pytestmark = pytest.mark.both_databases

AT_ONCE = text("SET LOCAL lock_timeout = '500ms'")


def test_a_held_case_is_not_read_again(town: Town) -> None:
    asked = _asked(town)
    with town.at_work() as scene:
        case = scene.report().case
        locks.lock(scene.s, case)
        before = len(asked)
        locks.lock(scene.s, case)
        assert len(asked) == before


def test_a_lock_that_went_with_its_savepoint_is_taken_again(town: Town) -> None:
    asked = _asked(town)
    with town.at_work() as scene:
        case = scene.report().case
        scene.s.flush()
        attempt = scene.s.begin_nested()
        locks.lock(scene.s, case)
        attempt.rollback()
        before = len(asked)
        locks.lock(scene.s, case)
        assert len(asked) == before + 1


def test_many_cases_are_held_at_once(town: Town) -> None:
    with town.at_work() as scene:
        numbers = [scene.assigned().number for _ in range(3)]
    asked = _asked(town)
    with town.at_work() as scene:
        found = locks.lock_numbered(scene.s, [*numbers, "26-999999"])
        assert sorted(found) == sorted(numbers)
        before = len(asked)
        for case in found.values():
            locks.lock(scene.s, case)
            assert transitions.live(case)
            assert (case.closures, case.pauses, case.service.department.code) == ([], [], "works")
        assert len(asked) == before
        assert locks.lock_numbered(scene.s, []) == {}


def test_whoever_waited_for_a_case_finds_what_was_done_to_it(town: Town) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    held, waits = threading.Event(), threading.Event()

    def give() -> None:
        with town.at_work() as scene:
            case = scene.case(number)
            locks.lock(scene.s, case)
            held.set()
            waits.wait(60)
            town.await_waiting()
            transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)

    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(give)
        assert held.wait(60)
        waits.set()
        with db.transaction(town.engine) as s:
            case = locks.lock_numbered(s, [number])[number]
            live = transitions.live(case)
            assert live is not None
            assert live.crew_id == town.ids["lights"]
        giving.result()


def test_what_is_locked_to_its_root_costs_nothing_again(town: Town) -> None:
    with town.at_work() as scene:
        twin, root = scene.report().case, scene.report().case
        transitions.merge(scene.s, twin, root, by=scene.actor("dispatcher"), at=town.now)
        number = twin.number
    asked = _asked(town)
    with town.at_work() as scene:
        twin = scene.case(number)
        before = len(asked)
        locks.lock_to_roots(scene.s, [twin])
        assert len(asked) == before + 4  # what it was merged into is not known yet
        before = len(asked)
        locks.lock_to_roots(scene.s, [twin])
        locks.lock(scene.s, scene.s.get_one(Case, twin.merged_into_id))
        assert len(asked) == before


def test_whoever_waits_for_a_case_that_is_being_merged_holds_its_new_root_too(town: Town) -> None:
    with town.at_work() as scene:
        numbers = [scene.report().case.number for _ in range(3)]
    first, second, _third = numbers

    def hold() -> set[str]:
        with town.at_work() as scene:
            locks.lock_to_roots(scene.s, [scene.case(second)])
            return {number for number in numbers if scene.s.info["held"].get(number)}

    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            by = scene.actor("dispatcher")
            transitions.merge(scene.s, scene.case(second), scene.case(first), by=by, at=town.now)
            scene.s.flush()
            holding = pool.submit(hold)
            town.await_waiting()
        assert holding.result(60) == {first, second}


HOLDS: dict[str, Callable[[Scene, str], object]] = {
    "one": lambda scene, number: locks.lock(scene.s, scene.case(number)),
    "many": lambda scene, number: locks.lock_numbered(scene.s, [number]),
}


@pytest.mark.postgresql
@pytest.mark.parametrize("hold", HOLDS)
def test_a_new_case_that_seems_to_repeat_a_held_one_does_not_wait_for_it(town: Town, hold: str) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    with town.at_work() as scene:
        HOLDS[hold](scene, number)
        with town.at_work() as other:
            other.s.execute(AT_ONCE)
            other.report().case.twin_id = other.case(number).id
            other.s.flush()


@pytest.mark.postgresql
@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("other_hold", HOLDS)
def test_two_verbs_on_one_case_come_one_after_the_other(town: Town, hold: str, other_hold: str) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    with town.at_work() as scene:
        HOLDS[hold](scene, number)
        with town.at_work() as other:
            other.s.execute(AT_ONCE)
            with pytest.raises(OperationalError, match="lock timeout"):
                HOLDS[other_hold](other, number)
            other.s.rollback()  # nothing can be committed after that


def _asked(town: Town) -> list[str]:
    """The statements from now on that read cases, or rows that hang on them."""
    asked: list[str] = []
    tables = [Case.__tablename__, "assignments", "closures", "pauses", "services", "departments"]

    def heard(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and any(f"FROM {name}" in statement for name in tables):
            asked.append(statement)

    event.listen(town.engine, "before_cursor_execute", heard)
    return asked
