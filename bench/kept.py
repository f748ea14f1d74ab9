"""Whether the counts of map and figures are what a recomputation says, after many operations and kills.

    bin/bench kept [--operations=N] [--db=KIND]

Four processes do by chance what people at a city do, some operations a transaction, some of them taken back;
at random moments one is killed, wherever it is, and another takes its place. At the end every kept column and
every count is derived from the facts.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bench._databases import KINDS, database
from bench._site import ROOT, say
from city.audit import events
from city.audit.events import Actor
from city.cases import batches, board_index, locks, priorities, sla_sweep, tags, transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Area, Batch, Case, Crew, Service, Tally, Topic
from city.imports import history_writer
from city.imports.history_writer import CaseHistory, ReportRow
from city.lifecycle import (
    CALL_TAKER,
    CANCEL_REASONS,
    CREW,
    DISPATCHER,
    ELSEWHERE,
    OPEN,
    OUTCOMES,
    SUPERVISOR,
    SYSTEM,
    WAIT_REASONS,
    Refused,
    outcomes,
)
from city.people import accounts, contacts
from city.people.contacts import CHANNELS, Conversation
from city.places.lookup import Place
from city.reports import intake
from city.settings import DEFAULT_CITY

OPERATIONS = 100_000
WORKERS = 4
# Operations of all on average until somebody is killed: none dies before it has begun, and of many operations
# most are work and not beginnings.
A_LIFE, MOST_KILLS = 120, 250
PATIENCE = 60  # seconds without any
BEGAN = datetime(2026, 5, 1, 12, tzinfo=UTC)
WEST = {"type": "Polygon", "coordinates": [[[-72, 41], [-71.2, 41], [-71.2, 42], [-72, 42], [-72, 41]]]}
OFFICE = Actor("person:1", frozenset({DISPATCHER, SUPERVISOR, SYSTEM}))


def main() -> int:
    """0 when nothing differs, on every database."""
    asked = argparse.ArgumentParser(prog="bin/bench kept")
    asked.add_argument("--quick", action="store_true", help="use a tenth of the operations")
    asked.add_argument("--operations", type=int, default=OPERATIONS)
    asked.add_argument("--db", choices=KINDS, help="run only this one")
    asked.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.worker:
        _work(options.worker[0], int(options.worker[1]))
        return 0
    count = options.operations // (10 if options.quick else 1)
    wrong = 0
    for kind in (options.db,) if options.db else KINDS:
        say(f"kept: {count} operations on {kind}")
        with database(kind, ROOT / "var" / "bench" / f"kept-{kind}") as base:
            engine = db.connect(base.url)
            found = walked(engine, base.url, count)
            engine.dispose()
        wrong += found["differences"]
        print(json.dumps({"bench": "kept", "db": kind} | found), flush=True)
    return 1 if wrong else 0


def walked(engine: Engine, url: str, operations: int, seed: int = 311) -> dict[str, Any]:
    """So many operations and more on an empty database, with kills, and how much is kept wrong then."""
    _furnish(engine)
    chance, done, kills = Random(seed), 0, 0
    a_life = max(A_LIFE, operations / MOST_KILLS)
    workers: list[subprocess.Popen[str]] = []
    listeners: list[threading.Thread] = []
    told = threading.Condition()

    def listen(worker: subprocess.Popen[str]) -> None:
        nonlocal done
        assert worker.stdout
        with worker.stdout as lines:
            for line in lines:
                with told:
                    done += int(line)
                    told.notify()

    def begin() -> None:
        command = [sys.executable, "-m", "bench.kept", "--worker", url, str(chance.randrange(1 << 30))]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        listener = threading.Thread(target=listen, args=(worker,))
        listener.start()
        workers.append(worker)
        listeners.append(listener)

    for _ in range(WORKERS):
        begin()
    try:
        while done < operations:
            until = done + 1 + chance.expovariate(1 / a_life)
            with told:
                while done < until:
                    if not told.wait(PATIENCE):
                        raise RuntimeError("nobody works any more")
            time.sleep(chance.uniform(0, 0.03))  # not where an operation has just ended
            victim = workers.pop(chance.randrange(len(workers)))
            if victim.poll() not in (None, -signal.SIGKILL):
                raise RuntimeError("a worker gave up")
            victim.kill()
            victim.wait()
            kills += 1
            begin()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for listener in listeners:
            listener.join()
    with db.read_session(engine) as s:
        wrong = board_index.differences(s) + _backlog(s)
        asked = s.scalar(select(func.sum(Tally.n)).where(Tally.facet == "line", Tally.what != "seconds")) or 0
        count = s.scalar(select(func.count()).select_from(Case)) or 0
        taken_back = func.count().filter(Batch.undone_at.is_not(None))
        made, undone = s.execute(select(func.count(), taken_back).where(Batch.done > 0)).one()
    for line in wrong[:20]:
        say(line)
    return {
        "operations": done,
        "kills": kills,
        "cases": count,
        "contacts": int(asked),
        "batches": made,
        "undone": undone,
        "differences": len(wrong),
    }


def _backlog(s: Session) -> list[str]:
    """Whether as many cases are open as the figures say."""
    there = s.scalar(select(func.count()).where(Case.state.in_(OPEN))) or 0
    told = s.scalar(select(func.sum(Tally.n)).where(Tally.facet == "cohort")) or 0
    return [] if there == told else [f"{there} cases are open, and the figures say {told}"]


def _furnish(engine: Engine) -> None:
    with db.transaction(engine) as s:
        config_versions.publish(
            s, city_file.read_with_logo(DEFAULT_CITY), "bench", by=accounts.THE_SYSTEM, at=BEGAN
        )
        s.add_all(Crew(name=name) for name in ("Lights", "Trees", "Streets"))
        s.add(Area(kind="area", name="West", geometry=WEST))
        accounts.add(s, "ana@bench.test", "Ana", ["dispatcher"])


def _work(url: str, seed: int) -> None:
    """Works until it is killed; prints how many operations each transaction did."""
    parent, engine, chance = os.getppid(), db.connect(url), Random(seed)
    while os.getppid() == parent:
        try:
            with db.transaction(engine) as s:
                done = _transaction(s, chance)
            print(done, flush=True)
            if chance.random() < 0.01:
                print(sla_sweep.sweep(engine, _at(chance)), flush=True)
        except OperationalError as fault:  # two who deadlocked: one of them begins again
            if "deadlock" not in str(fault) and "locked" not in str(fault):
                raise


def _transaction(s: Session, chance: Random) -> int:
    if chance.random() < 0.1:
        return _batch(s, chance)
    done, count = 0, chance.choice((1, 1, 1, 2, 5))
    known = list(locks.lock_numbered(s, _some(s, chance, 2 * count)).values())
    for _ in range(count):
        try:
            with events.savepoint(s):
                _operation(s, chance, known)
                if chance.random() < 0.1:
                    raise Refused("taken_back")
            done += 1
        except Refused:
            pass
    return done


def _some(s: Session, chance: Random, count: int) -> list[str]:
    """Numbers of some of the newest cases. On PostgreSQL ids have gaps: an import takes many at once."""
    newest = s.scalars(select(Case.number).order_by(Case.id.desc()).limit(300)).all()
    return sorted(set(chance.choices(newest, k=count))) if newest else []


def _batch(s: Session, chance: Random) -> int:
    """Something done to several at once, or the undoing of such a batch."""
    by, at = Actor("person:1", OFFICE.roles, 1), BEGAN  # at one time: what is long ago is undone no more
    waiting = select(Batch.id).where(Batch.undone_at.is_(None)).order_by(Batch.id.desc()).limit(5)
    undoable = list(s.scalars(waiting))
    try:
        if undoable and chance.random() < 0.5:
            with events.savepoint(s):
                batches.undo(s, chance.choice(undoable), by=by, at=at)
            return 1
        numbers = _some(s, chance, 10)
        what = {
            "crew": chance.randint(1, 3), "reason": chance.choice(list(WAIT_REASONS)), "tag": "storm",
            "into": "",
            "service": chance.choice(list(s.scalars(select(Service.code)))),
            "place": {
                "lat": 41.76 + chance.gauss(0, 0.01), "lon": -71.2, "source": "pin", "label": "Elm Street",
            },
            "outcome": chance.choice(OUTCOMES), "no_photo": "dark",
        }  # fmt: skip
        sent, name = uuid.uuid4().hex, chance.choice(batches.ACTS)
        with events.savepoint(s):
            return batches.act(s, numbers, name, what, by=by, at=at, sent=sent).done
    except Refused:
        return 0


def _operation(s: Session, chance: Random, known: list[Case]) -> None:
    at = _at(chance)
    if not known or chance.random() < 0.2:
        _tell(s, chance, at)
        return
    if chance.random() < 0.2:
        _ask(s, chance, at, chance.choice(known))
        return
    case, other = chance.choice(known), chance.choice(known)
    crew = s.get_one(Crew, chance.randint(1, 3))
    by, held = OFFICE, transitions.live(case)
    hand = Actor("person:1", frozenset({CREW}), 1, frozenset({held.crew_id if held else crew.id}))
    outcome = chance.choice(outcomes(office=case.service.office))
    verbs: list[Callable[[], object]] = [
        lambda: transitions.accept(s, case, by=by, at=at),
        lambda: transitions.assign(s, case, crew, by=by, at=at),
        lambda: transitions.assign(s, case, crew, by=by, at=at),
        lambda: transitions.unassign(s, case, by=by, at=at),
        lambda: transitions.start(s, case, by=hand, at=at),
        lambda: transitions.wait(s, case, chance.choice(list(WAIT_REASONS)), by=by, at=at),
        lambda: transitions.resume(s, case, by=by, at=at),
        lambda: transitions.make_safe(s, case, by=hand, at=at),
        lambda: transitions.needs_parts(s, case, by=hand, at=at),
        lambda: transitions.close(s, case, Closing(outcome, no_photo="dark", words="Done."), by=by, at=at),
        lambda: transitions.reopen(s, case, by=by, at=at),
        lambda: transitions.merge(s, case, other, by=by, at=at, keep_crew=held.crew_id if held else None),
        lambda: transitions.unmerge(s, case, by=by, at=at),
        lambda: transitions.cancel(s, case, chance.choice(CANCEL_REASONS), by=by, at=at),
        lambda: transitions.restore(s, case, by=by, at=at),
        lambda: transitions.note(s, case, "Looked at it", by=by, at=at),
        lambda: _join(s, case, chance, at),
        lambda: tags.tag(s, case, "school", by=by, at=at),
        lambda: tags.untag(s, case, "school", by=by, at=at),
        lambda: transitions.ask_supervisor(s, case, by=by, at=at),
        lambda: transitions.reviewed(s, case, by=by, at=at),
        lambda: priorities.raise_priority(s, case, by=by, at=at),
        lambda: priorities.lower_priority(s, case, by=by, at=at),
    ]
    chance.choice(verbs)()


def _tell(s: Session, chance: Random, at: datetime) -> None:
    """A new case, by a form or from another system."""
    place = Place(41.76 + chance.gauss(0, 0.01), -71.2 + chance.gauss(0, 0.01), "pin", "", 5.0)
    told_at = None if chance.random() < 0.1 else place
    code, key = chance.choice(list(s.scalars(select(Service.code)))), uuid.uuid4().hex
    if chance.random() < 0.3:
        history_writer.write(
            s, [CaseHistory(code, [ReportRow(at, key, place=told_at, danger=chance.random() < 0.1)])]
        )
        return
    telling = intake.NewReport(key=key, service_code=code, channel="web", place=told_at)
    by = OFFICE if s.get_one(Service, code).office else accounts.A_RESIDENT
    intake.submit(s, telling, by=by, at=at, token=key)


def _ask(s: Session, chance: Random, at: datetime, case: Case) -> None:
    """Somebody asks the line."""
    topic = chance.choice(list(s.scalars(select(Topic.code))))
    outcome = chance.choice(contacts.OUTCOMES)
    told = Conversation(
        uuid.uuid4().hex, chance.choice(CHANNELS), at - timedelta(minutes=9), chance.randint(5, 500), topic,
        outcome, chance.choice(("en", "es")), case=case.number if outcome == contacts.CASE else None,
        to=chance.choice(ELSEWHERE) if outcome == contacts.TRANSFERRED else None,
    )  # fmt: skip
    contacts.log(s, told, by=Actor("person:1", frozenset({CALL_TAKER})), at=at)


def _join(s: Session, case: Case, chance: Random, at: datetime) -> None:
    """Somebody more tells of a case; many raise its priority, one in danger makes it urgent."""
    key, where = uuid.uuid4().hex, None
    if case.lat is not None and case.lon is not None:
        where = Place(case.lat, case.lon, "pin", "", 5.0)
    danger = chance.random() < 0.2
    telling = intake.NewReport(key, case.service_code, "web", place=where, join=case.number, danger=danger)
    intake.submit(s, telling, at=at, token=key)


def _at(chance: Random) -> datetime:
    return BEGAN + timedelta(minutes=chance.randint(0, 60 * 24 * 20))


if __name__ == "__main__":
    sys.exit(main())
