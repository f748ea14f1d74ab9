"""How much longer 5,000 cases take to be corrected at once than 500, and to be put back.

    bin/bench corrections [--db=sqlite]

In a city of 60,000 cases, one in ten of them open. `do` is reclassify, relocate or reschedule; `few_s` and
`many_s` are the seconds of the act with its commit, `undo_few_s` and `undo_many_s` of its Undo. `ratio` and
`undo_ratio` are those of many over those of few.
"""

import argparse
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Engine, select

from bench._databases import KINDS
from bench._grown import grown
from bench._targets import judge, printed
from city.audit.events import Actor
from city.cases import batches, corrections
from city.db import engine as db
from city.db.models import Case, Person, Service
from city.lifecycle import DISPATCHER, NEW_DATE_REASONS, OPEN, SUPERVISOR

CASES = 60_000
FEW, MANY = 500, 5_000
RUNS = 3


def main() -> int:
    """0 when everything that was asked for was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench corrections")
    asked.add_argument("--db", choices=KINDS, help="run only on this database")
    asked.add_argument("--quick", action="store_true", help="run once each")
    options = asked.parse_args()
    for kind in (options.db,) if options.db else KINDS:
        with grown(kind, CASES) as (_var, base):
            engine = db.connect(base.url)
            for line in _measured(engine, 1 if options.quick else RUNS):
                line = {"bench": "corrections", "db": kind, "cases": CASES} | line
                judge(line, [("ratio", "<=", 10), ("undo_ratio", "<=", 10)])
                print(printed(line), flush=True)
            engine.dispose()
    return 0


def _measured(engine: Engine, runs: int) -> Iterator[dict[str, Any]]:
    """A line for each correction. Of `runs` the fastest counts: the others waited for something else."""
    with db.read_session(engine) as s:
        person = s.scalars(select(Person.id)).first()
        codes = select(Service.code).where(Service.office.is_(False), Service.urgent.is_(False))
        to = s.scalars(codes.order_by(Service.code)).first()
        fitting = select(Case.number, Case.lat, Case.lon).where(
            Case.state.in_(OPEN), Case.service_code.in_(codes), Case.service_code != to, Case.lat.is_not(None)
        )
        found = s.execute(fitting.order_by(Case.id)).all()
    numbers = [row.number for row in Random(311).sample(found, MANY)]
    place = {"lat": found[0].lat, "lon": found[0].lon, "source": "pin", "label": "Elm Street"}
    what = {
        "service": to, "place": place, "reason": NEW_DATE_REASONS[0],
        "until": (datetime.now(UTC) + timedelta(days=20)).date().isoformat(),
    }  # fmt: skip
    by = Actor(f"person:{person}", frozenset({DISPATCHER, SUPERVISOR}), person)
    for name in corrections.ACTS:
        pairs = [[_took(engine, name, what, numbers[:n], by) for n in (FEW, MANY)] for _ in range(runs)]
        few, many = (min(pair[n][0] for pair in pairs) for n in (0, 1))
        undo_few, undo_many = (min(pair[n][1] for pair in pairs) for n in (0, 1))
        yield {
            "do": name, "few_s": few, "many_s": many, "ratio": many / few, "undo_few_s": undo_few,
            "undo_many_s": undo_many, "undo_ratio": undo_many / undo_few,
        }  # fmt: skip


def _took(
    engine: Engine, name: str, what: dict[str, Any], numbers: list[str], by: Actor
) -> tuple[float, float]:
    """The seconds of the act, and those of its Undo."""
    at, began = datetime.now(UTC), time.perf_counter()
    with db.transaction(engine) as s:
        batch = batches.act(s, numbers, name, what, by=by, at=at, sent=uuid.uuid4().hex)
        done, batch_id = batch.done, batch.id
    acted = time.perf_counter()
    if done < 0.9 * len(numbers):
        raise RuntimeError(f"of {len(numbers)} only {done} were corrected")
    with db.transaction(engine) as s:
        batches.undo(s, batch_id, by=by, at=at + timedelta(minutes=1))
    return acted - began, time.perf_counter() - acted


if __name__ == "__main__":
    sys.exit(main())
