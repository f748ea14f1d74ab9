"""Whether a phone's cursor misses what others write meanwhile, and whether a simpler cursor would.

    bin/bench sync-gap [--cases=N]

Eight processes give cases to one crew, one transaction each, while four readers follow. Two read as Cityline
does, by the clock's row: a phone of that crew, and a reader of the log. Two are controls that read the same
rows by what everybody tries first: the row's own id, and the time it says it was written.

PostgreSQL hands ids out before commit, so there both controls can miss. SQLite lets one writer in at a time:
its ids cannot overtake each other, and only the time, taken before the writer waits for its turn, can.
"""

import argparse
import json
import multiprocessing
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from bench._databases import KINDS, database
from bench._site import ROOT, say
from city.audit import events
from city.audit.events import Actor
from city.cases import transitions
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Assignment, Case, Crew, Event, Service
from city.lifecycle import DISPATCHER
from city.people import accounts
from city.places.lookup import Place
from city.settings import DEFAULT_CITY
from sync import pull, server_epoch

WRITERS = 8
CASES = 800
DISPATCH = Actor("person:1", frozenset({DISPATCHER}))

barrier: Barrier


@dataclass
class Follower:
    """Reads what is new, again and again, and never looks back. `look` gets and returns its cursor."""

    look: Callable[[Session, Any], tuple[Any, set[Any]]]
    cursor: Any
    seen: set[Any] = field(default_factory=set)

    def follow(self, engine: Engine, quiet: threading.Event) -> None:
        while True:
            last_look = quiet.is_set()
            with db.read_session(engine) as s:
                self.cursor, new = self.look(s, self.cursor)
            self.seen |= new
            if last_look and not new:
                return


def main() -> int:
    """0 when the clock's cursor missed nothing and a control did, on every database."""
    asked = argparse.ArgumentParser(prog="bin/bench sync-gap")
    asked.add_argument("--quick", action="store_true", help="changes nothing: this bench is short")
    asked.add_argument("--cases", type=int, default=CASES, help="how many cases to write, at least 8")
    asked.add_argument("--db", choices=KINDS, help="run only this one")
    options = asked.parse_args()
    lines = []
    for kind in (options.db,) if options.db else KINDS:
        lines.append(_measured(kind, options.cases))
        print(json.dumps(lines[-1]), flush=True)
    return 1 if any(line["missed"] or not line["control_missed"] for line in lines) else 0


def _measured(kind: str, count: int) -> dict[str, Any]:
    say(f"sync-gap: {count} cases on {kind}")
    with database(kind, ROOT / "var" / "bench" / f"sync-gap-{kind}") as base:
        engine = db.connect(base.url)
        try:
            crew_id, ids = _furnish(engine, count)
            return {"bench": "sync-gap", "db": kind, "writers": WRITERS} | _followed(
                engine, base.url, crew_id, ids
            )
        finally:
            engine.dispose()


def _furnish(engine: Engine, count: int) -> tuple[int, list[int]]:
    """A crew, and the ids of so many cases that nobody has yet."""
    at = datetime.now(UTC)
    with db.transaction(engine) as s:
        config_versions.publish(
            s, city_file.read_with_logo(DEFAULT_CITY), "bench", by=accounts.THE_SYSTEM, at=at
        )
        crew = accounts.add_crew(s, "Bench 1")
        service = s.scalars(select(Service).order_by(Service.position).limit(1)).one()
        place = Place(39.6, -71.2, "pin", "214 Tansy Street")
        made = [transitions.open_case(s, service, place, by=DISPATCH, at=at) for _ in range(count)]
        return crew.id, [case.id for case in made]


def _followed(engine: Engine, url: str, crew_id: int, ids: list[int]) -> dict[str, Any]:
    """Lets everybody write and read, then counts what each reader has not seen."""
    quiet = threading.Event()
    with db.read_session(engine) as s:
        start = s.scalar(select(Event.seq).order_by(Event.seq.desc()).limit(1)) or 0
    phone = Follower(lambda s, cursor: _pulled(s, crew_id, cursor), start)
    log = Follower(_read, start)
    by_id = Follower(lambda s, cursor: _after(s, Assignment.id, cursor), 0)
    by_time = Follower(
        lambda s, cursor: _after(s, Assignment.given_at, cursor), datetime(2000, 1, 1, tzinfo=UTC)
    )
    followers = (phone, log, by_id, by_time)
    with ThreadPoolExecutor(len(followers)) as pool:
        following = [pool.submit(each.follow, engine, quiet) for each in followers]
        try:
            _write_all(url, crew_id, ids)
        finally:
            quiet.set()
        for each in following:
            each.result()
    with db.read_session(engine) as s:
        given = dict(s.execute(select(Assignment.id, Case.number).join(Case)).all())
        lines = set(s.scalars(select(Event.seq).where(Event.seq > start)))
    if len(given) != len(ids):
        raise RuntimeError(f"{len(given)} of {len(ids)} cases were written")
    not_by_id, not_by_time = set(given) - by_id.seen, set(given) - by_time.seen
    return {
        "missed": len(set(given.values()) - phone.seen) + len(lines - log.seen),
        "control_missed": len(not_by_id | not_by_time),
        "by_id": len(not_by_id), "by_time": len(not_by_time),
        "cases": len(given), "lines": len(lines),
    }  # fmt: skip


def _pulled(s: Session, crew_id: int, cursor: int) -> tuple[int, set[str]]:
    """As a phone of the crew: the numbers of its jobs."""
    scope = f"crew:{crew_id}"
    at = datetime.now(UTC)
    reader = pull.Reader([scope], {scope: cursor}, limit=250)
    (told,) = pull.changes(s, [reader], now=server_epoch.read(s, at).log, at=at)
    news = told.get(scope)
    if news is None:
        return cursor, set()
    return news["to"], {job["ref"] for job in news["set"]}


def _read(s: Session, cursor: int) -> tuple[int, set[int]]:
    lines = [line.seq for line in events.since(s, cursor)]
    return max([cursor, *lines]), set(lines)


def _after(s: Session, column: InstrumentedAttribute[Any], cursor: Any) -> tuple[Any, set[int]]:
    rows = s.execute(select(Assignment.id, column).where(column > cursor).order_by(column)).all()
    return max([cursor, *(at for _, at in rows)]), {each for each, _ in rows}


def _write_all(url: str, crew_id: int, ids: list[int]) -> None:
    """Eight processes that begin in the same moment. A process each, as no lock of Python's then helps."""
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(WRITERS)
    with ProcessPoolExecutor(
        WRITERS, mp_context=spawn, initializer=_prepare, initargs=(together,)
    ) as processes:
        writing: list[Future[None]] = [
            processes.submit(_write, url, crew_id, ids[n::WRITERS]) for n in range(WRITERS)
        ]
        wait(writing)
        for each in writing:
            each.result()


def _prepare(together: Barrier) -> None:
    global barrier
    barrier = together
    db.BUSY_SECONDS = 300  # SQLite lets one of many come again and again while others wait


def _write(url: str, crew_id: int, ids: list[int]) -> None:
    engine = db.connect(url)
    with db.read_session(engine) as s:
        s.get(Crew, crew_id)
    barrier.wait(60)
    for case_id in ids:
        at = datetime.now(UTC)  # when the request came in, as everywhere
        with db.transaction(engine) as s:
            transitions.assign(s, s.get_one(Case, case_id), s.get_one(Crew, crew_id), by=DISPATCH, at=at)
    engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
