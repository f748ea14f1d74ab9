"""What a transaction holds it need not read again, and what it waited for is as the other left it."""

import threading
from concurrent.futures import ThreadPoolExecutor

from factories import Town
from sqlalchemy import event

from city import cases, db, locks
from city.schema import Case


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
            assert cases.live(case)
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
            waits.wait(10)
            threading.Event().wait(0.2)  # until the other has come to the lock
            cases.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)

    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(give)
        assert held.wait(10)
        waits.set()
        with db.transaction(town.engine) as s:
            case = locks.lock_numbered(s, [number])[number]
            live = cases.live(case)
            assert live is not None
            assert live.crew_id == town.ids["lights"]
        giving.result()


def _asked(town: Town) -> list[str]:
    """The statements from now on that read cases, or rows that hang on them."""
    asked: list[str] = []
    tables = [Case.__tablename__, "assignments", "closures", "pauses", "services", "departments"]

    def heard(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and any(f"FROM {name}" in statement for name in tables):
            asked.append(statement)

    event.listen(town.engine, "before_cursor_execute", heard)
    return asked
