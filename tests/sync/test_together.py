"""Phones that come at once share a transaction, and nobody pays for another's fault or waiting."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from phones import EACH_BY_ITSELF, Clock, Phone, actor, case_of, make_lamp, share
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import board_index, locks
from city.db.engine import read_session, transaction
from city.db.models import Event
from city.db.models import EventSequence as ClockRow
from sync import group_commit, protocol, push
from sync.protocol import Operation

pytestmark = pytest.mark.both_databases

COUNT = 6


@contextmanager
def together_at(
    engine: Engine,
) -> Iterator[Callable[[Callable[[Session], object], set[str]], Future[object]]]:
    """While this is open, whatever is given waits; at its end all of it is done."""
    begun, go_on = threading.Event(), threading.Event()

    def first(_s: Session) -> None:
        begun.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(COUNT + 2) as pool:  # the first, and one that fails
        pool.submit(share, engine, first, set())
        assert begun.wait(60)
        queue = group_commit._queues[engine][EACH_BY_ITSELF]

        def give(work: Callable[[Session], object], cases: set[str]) -> Future[object]:
            before = len(queue._waiting)
            given = pool.submit(share, engine, work, cases)
            while len(queue._waiting) == before:
                time.sleep(0.001)
            return given

        yield give
        go_on.set()


@pytest.fixture
def closings(engine: Engine, luis: Phone, clock: Clock) -> list[Operation]:
    told = [luis.op("close", luis.job(make_lamp(engine, clock)), outcome="not found") for _ in range(COUNT)]
    ops = [protocol.reread(json.dumps(op)) for op in told]
    return [op for op in ops if isinstance(op, Operation)]


def taking(engine: Engine, luis: Phone, op: Operation, clock: Clock) -> Callable[[Session], push.Taken]:
    sender = push.Sender(luis.device, actor(engine, "luis@city.test"))
    return lambda s: push.process(s, sender, [op], clock())


def closed(engine: Engine) -> int:
    with read_session(engine) as s:
        assert events.verify(s) == []
        assert board_index.differences(s) == []
        return s.scalar(select(func.count()).select_from(Event).where(Event.kind == "close")) or 0


def test_those_who_wait_share_one_transaction(
    engine: Engine, luis: Phone, clock: Clock, closings: list[Operation]
) -> None:
    seen: list[Session] = []

    def noted(work: Callable[[Session], push.Taken]) -> Callable[[Session], push.Taken]:
        return lambda s: seen.append(s) or work(s)  # type: ignore[func-returns-value]

    with together_at(engine) as give:
        given = [give(noted(taking(engine, luis, op, clock)), {op.case}) for op in closings]
    assert all(each.result().results[0]["result"] == "applied" for each in given)  # type: ignore[attr-defined]
    assert (len(seen), len(set(map(id, seen)))) == (COUNT, 1)
    assert closed(engine) == COUNT


def test_one_that_fails_spoils_nothing_for_those_who_shared(
    engine: Engine, luis: Phone, clock: Clock, closings: list[Operation]
) -> None:
    def fails(_s: Session) -> None:
        raise push.QuarantineFull

    with together_at(engine) as give:
        given = [give(taking(engine, luis, op, clock), {op.case}) for op in closings[:3]]
        bad = give(fails, {"26-000000"})
        given += [give(taking(engine, luis, op, clock), {op.case}) for op in closings[3:]]
    with pytest.raises(push.QuarantineFull):
        bad.result()
    assert all(each.result().results[0]["result"] == "applied" for each in given)  # type: ignore[attr-defined]
    assert closed(engine) == COUNT


def test_one_that_fails_makes_those_who_shared_try_once_more(
    engine: Engine, luis: Phone, clock: Clock, closings: list[Operation]
) -> None:
    runs: list[str] = []

    def counted(op: Operation) -> Callable[[Session], push.Taken]:
        work = taking(engine, luis, op, clock)
        return lambda s: runs.append(op.id) or work(s)  # type: ignore[func-returns-value]

    def fails(s: Session) -> None:
        push.process(s, push.Sender(luis.device, actor(engine, "luis@city.test")), closings[:1], clock())
        raise push.QuarantineFull

    with together_at(engine) as give:
        given = [give(counted(op), {op.case}) for op in closings[1:3]]
        bad = give(fails, {closings[0].case})
        given += [give(counted(op), {op.case}) for op in closings[3:]]
    with pytest.raises(push.QuarantineFull):
        bad.result()
    assert all(each.result().results[0]["result"] == "applied" for each in given)  # type: ignore[attr-defined]
    # The first two were done when it failed; then all that share have savepoints, and keep what they did.
    assert Counter(runs) == {op.id: 2 if op in closings[1:3] else 1 for op in closings[1:]}
    assert closed(engine) == COUNT - 1  # nothing of the one that failed


def test_what_was_put_by_in_great_number_is_done_by_itself(engine: Engine) -> None:
    told: list[tuple[str, bool]] = []

    def much(s: Session) -> None:
        told.append(("much", "room" in s.info))
        for _ in range(group_commit.MOST + 1):
            group_commit.charge_extra_work(s)

    def one(s: Session) -> None:
        told.append(("one", "room" in s.info))
        group_commit.charge_extra_work(s)  # what failed before it leaves the room that it found

    with together_at(engine) as give:
        given = [give(much, set()), give(one, set())]
    for each in given:
        each.result(60)
    # Together without savepoints, together with them, and by itself at last.
    assert sorted(told) == [("much", False), ("much", True), ("much", True), ("one", True)]


def test_who_has_the_clock_makes_nobody_do_their_work_again(
    engine: Engine, luis: Phone, clock: Clock, closings: list[Operation]
) -> None:
    runs: list[Session] = []
    work = taking(engine, luis, closings[0], clock)
    holds = threading.Event()

    def hold() -> None:
        with transaction(engine) as s:
            s.execute(select(ClockRow.n).with_for_update())
            holds.set()
            time.sleep(0.4)  # a slow disk, or as many before us

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert holds.wait(60)
        share(engine, lambda s: runs.append(s) or work(s), {closings[0].case})  # type: ignore[func-returns-value]
        holder.result(60)
    assert len(runs) == 1


def test_who_waits_for_a_case_keeps_nobody_else_waiting(
    engine: Engine, luis: Phone, clock: Clock, closings: list[Operation]
) -> None:
    held, others = closings[0], closings[1:]
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction(engine) as s:
            locks.lock(s, case_of(s, held.case))
            holds.set()
            assert may_end.wait(60)

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(hold)
        assert holds.wait(60)
        waits = pool.submit(share, engine, taking(engine, luis, held, clock), {held.case})
        if engine.dialect.name == "sqlite":  # it has one writer: all wait
            may_end.set()
        for op in others:
            share(engine, taking(engine, luis, op, clock), {op.case})
        if not may_end.is_set():
            assert not waits.done()
        may_end.set()
        holder.result(60)
        assert waits.result(60).results[0]["result"] == "applied"
    assert closed(engine) == COUNT


def test_a_shared_transaction_is_no_larger_than_what_one_phone_may_send(engine: Engine) -> None:
    seen: list[Session] = []
    half = {f"26-{n:06}" for n in range(group_commit.MOST // 2)}
    with together_at(engine) as give:
        for _ in range(COUNT):
            give(seen.append, half)
    assert [len([s for s in seen if s is each]) for each in seen] == [2] * COUNT


@pytest.mark.postgresql
def test_one_plan_for_any_list_serves_those_who_share_and_nobody_else(engine: Engine) -> None:
    def plans(s: Session) -> str:
        return str(s.execute(text("SHOW plan_cache_mode")).scalar_one())

    assert share(engine, plans, set()) == "force_generic_plan"
    with transaction(engine) as s, read_session(engine) as look:
        assert (plans(s), plans(look)) == ("auto", "auto")
