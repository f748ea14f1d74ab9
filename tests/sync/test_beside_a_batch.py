"""While a dispatcher changes very many cases at once, the crews' phones go on: none fails, and few wait."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from phones import Clock, Phone, actor, make_lamp
from sqlalchemy import Engine, func, select

from city.audit import events
from city.cases import batches, board_index, transitions
from city.db.engine import read_session, transaction
from city.db.models import Case, Event, Service
from city.people import accounts
from sync import protocol, push
from sync.protocol import Operation

pytestmark = pytest.mark.both_databases

CLOSINGS, THREADS = 20, 4


def lamps(engine: Engine, clock: Clock, count: int) -> list[str]:
    """The numbers of cases of which nobody knows where they are."""
    with transaction(engine) as s:
        service = s.scalars(select(Service).where(Service.code == "light-out")).one()
        return [
            transitions.open_case(s, service, None, by=accounts.THE_SYSTEM, at=clock()).number
            for _ in range(count)
        ]


def closed_by_phone(engine: Engine, luis: Phone, clock: Clock, jobs: list[dict[str, str]]) -> list[float]:
    """Closes each job by an exchange of its own, some at the same time; how long each took, in seconds."""
    sender = push.Sender(luis.device, actor(engine, "luis@city.test"))
    ops = [protocol.reread(json.dumps(luis.op("close", job, outcome="not found"))) for job in jobs]

    def close(op: Operation) -> float:
        began = time.monotonic()
        while True:
            try:
                work = partial(push.process, sender=sender, ops=[op], at=clock())
                (told,) = push.in_transaction(engine, work).results
                assert told["result"] == "applied"
                return time.monotonic() - began
            except push.Busy:  # as the phone does: it comes back
                continue

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(close, ops))


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.full])])
def test_phones_close_their_jobs_while_a_batch_holds_its_cases(
    engine: Engine, luis: Phone, clock: Clock, count: int
) -> None:
    jobs = [luis.job(make_lamp(engine, clock)) for _ in range(CLOSINGS)]
    numbers = lamps(engine, clock, count)
    with transaction(engine) as s:
        accounts.add(s, "dana@city.test", "Dana", ["dispatcher"])
    dana = actor(engine, "dana@city.test")
    holds, may_end = threading.Event(), threading.Event()

    def act() -> tuple[float, int]:
        began = time.monotonic()
        with transaction(engine) as s:
            batch = batches.act(s, numbers, "wait", {"reason": "weather"}, by=dana, at=clock(), sent="a form")
            done, worked = batch.done, time.monotonic() - began
            holds.set()
            assert may_end.wait(300)
            ends = time.monotonic()
        return worked + time.monotonic() - ends, done

    with ThreadPoolExecutor(2) as pool:
        batch = pool.submit(act)
        assert holds.wait(300)
        phones = pool.submit(closed_by_phone, engine, luis, clock, jobs)
        if (
            engine.dialect.name == "sqlite"
        ):  # which has one writer: they wait, and no longer than the batch takes
            may_end.set()
        waits = phones.result(300)
        may_end.set()  # elsewhere nobody waits for it at all
        own, done = batch.result(300)
    assert done == count
    if engine.dialect.name == "sqlite":
        assert max(waits) < own + 5, "somebody waited longer than the batch took"
    with read_session(engine) as s:
        kinds = dict(s.execute(select(Event.kind, func.count()).group_by(Event.kind)).all())
        assert (kinds["close"], kinds["wait"]) == (CLOSINGS, count)
        first, last = (
            s.scalar(select(which(Event.seq)).where(Event.kind == kind)) or 0
            for kind, which in (("wait", func.min), ("close", func.max))
        )
        if engine.dialect.name == "postgresql":
            assert last < first
        assert s.scalar(select(func.count()).select_from(Case).where(Case.state == "closed")) == CLOSINGS
        assert events.verify(s) == []
        assert board_index.differences(s) == []
