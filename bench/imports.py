"""What becomes of real cities' requests, how fast, and a cut-over rehearsed: import, delta, undo, import.

    bin/bench imports [--quick] [--db=sqlite]

A line a table: its counts add up, its times are those of the table on its own clocks, a second run changes
nothing. Then a line a step of the cut-over, with New Haven's table as it stood on two days; `differences` are
cases that stand otherwise than the old system's own columns say. `--quick` leaves Boston out.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from bench import _realtables as realtables
from bench import _rehearsal as rehearsal
from bench._databases import KINDS, database
from bench._realtables import TABLES, Table
from bench._site import ROOT, say
from city.audit import events
from city.config import city_file
from city.db import engine as db
from city.db.models import Crew
from city.imports import mapping
from city.imports import requests as request_imports
from city.imports import runs as import_runs
from city.imports.readers import Outcome
from city.settings import DEFAULT_CITY

WORK = ROOT / "var" / "bench" / "imports"
# The parts that every row of a file is in exactly one of.
PARTS = ("imported", "rejected", "unchanged", "updated", "touched")


def main() -> int:
    """0 when everything that was asked for was measured and is as it must be."""
    asked = argparse.ArgumentParser(prog="bin/bench imports")
    asked.add_argument("--quick", action="store_true", help="skip the largest table")
    asked.add_argument("--db", choices=KINDS, help="run only this one")
    options = asked.parse_args()
    data = os.environ.get("CITYLINE_BENCH_DATA", "")
    if not data:
        skipped = "CITYLINE_BENCH_DATA isn't a folder with real data"
        print(json.dumps({"bench": "imports", "skipped": skipped}))
        return 0
    real, right = Path(data), True
    for kind in (options.db,) if options.db else KINDS:
        for table in TABLES[1:] if options.quick else TABLES:
            say(f"imports: {table.name} on {kind}")
            with database(kind, WORK / "database") as base, _connected(base.url) as engine:
                line = {"bench": "imports", "db": kind, "table": table.name, **_taken(engine, table, real)}
            print(json.dumps(line), flush=True)
            right &= line["adds_up"] and line["second_changed"] == 0 and line["times_ok"] == line["times"]
            right &= line["log_faults"] == 0
        say(f"imports: a cut-over on {kind}")
        with database(kind, WORK / "database") as base, _connected(base.url) as engine:
            for step in _cut_over(engine, rehearsal.table(real)):
                print(json.dumps({"bench": "imports.cutover", "db": kind, **step}), flush=True)
                right &= step["differences"] == step["log_faults"] == 0 and step["adds_up"]
    return 0 if right else 1


class _connected:
    """An engine that lets go of its database at the end."""

    def __init__(self, url: str) -> None:
        self._engine = db.connect(url)

    def __enter__(self) -> Engine:
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()


def _taken(engine: Engine, table: Table, real: Path) -> dict[str, Any]:
    file = WORK / table.file  # what is rejected is written beside it
    shutil.copyfile(table.path(real), file)
    how, now = str(mapping.MAPPINGS / f"{table.name}.toml"), datetime.now(UTC)
    first, seconds, cpu = _imported(engine, file, how, now)
    second, again, _cpu = _imported(engine, file, how, now)
    with db.read_session(engine) as s:
        checked, wrong = realtables.times(s, table, real)
        faults = events.verify(s)
    for line in [*wrong[:5], *faults[:5]]:
        say(line)
    return {
        **first.counts(), "adds_up": _adds_up(first, table.rows), "seconds": seconds, "cpu_seconds": cpu,
        "rows_per_s": round(first.read / seconds), "second_changed": second.read - second.unchanged,
        "second_seconds": again, "times": checked, "times_ok": checked - len(wrong),
        "log_faults": len(faults),
    }  # fmt: skip


def _imported(engine: Engine, file: Path, how: str, at: datetime) -> tuple[Outcome, float, float]:
    """One run as the command makes it: what came of it, its seconds by the clock and of work."""
    city, mapped = city_file.load(DEFAULT_CITY), mapping.load(how)
    began, worked = time.perf_counter(), time.process_time()
    with db.gc_paused(), db.transaction(engine) as s:
        outcome = request_imports.import_file(s, file, mapped, city, at=at, secret="a secret of the bench")
    return outcome, round(time.perf_counter() - began, 2), round(time.process_time() - worked, 2)


def _adds_up(outcome: Outcome, rows: int) -> bool:
    counts = outcome.counts()
    return rows == outcome.read == sum(counts.get(part, 0) for part in PARTS)


def _cut_over(engine: Engine, rows: Sequence[rehearsal.Row]) -> Iterator[dict[str, Any]]:
    with db.transaction(engine) as s:
        s.add_all(Crew(name=name) for name in rehearsal.CREWS)
    how = str(rehearsal.mapping(WORK))
    first = list(rehearsal.as_of(rows, rehearsal.FIRST))
    second = list(rehearsal.as_of(rows, rehearsal.SECOND))

    def step(name: str, export: list[rehearsal.Row], day: datetime) -> dict[str, Any]:
        file = rehearsal.export(export, WORK / "export.csv")
        outcome, seconds, _cpu = _imported(engine, file, how, day)
        told = {part: outcome.counts().get(part, 0) for part in PARTS}
        adds_up = _adds_up(outcome, len(export)) and (name != "again" or outcome.unchanged == len(export))
        return looked({"step": name, "read": outcome.read, **told, "seconds": seconds}, export, adds_up)

    def undo(run: int, export: list[rehearsal.Row], expected: tuple[int, int]) -> dict[str, Any]:
        began = time.perf_counter()
        with db.transaction(engine) as s:
            undone = import_runs.undo(s, run, at=rehearsal.SECOND)
        seconds = round(time.perf_counter() - began, 2)
        told = {"step": "undo", "run": run, "removed": undone.removed, "put_back": undone.put_back}
        adds_up = (undone.removed, undone.put_back) == expected
        return looked({**told, "seconds": seconds}, export, adds_up)

    def looked(told: dict[str, Any], export: list[rehearsal.Row], adds_up: bool) -> dict[str, Any]:
        with db.read_session(engine) as s:
            differences, faults = rehearsal.differences(s, export), events.verify(s)
        for line in [*differences[:5], *faults[:5]]:
            say(line)
        return {**told, "adds_up": adds_up, "differences": len(differences), "log_faults": len(faults)}

    one, two = rehearsal.FIRST, rehearsal.SECOND
    yield step("import", first, one)
    yield step("again", first, one)
    delta = step("delta", second, two)
    yield delta
    yield step("again", second, two)
    yield undo(3, first, (delta["imported"], delta["updated"]))
    yield step("delta", second, two)
    yield undo(5, first, (delta["imported"], delta["updated"]))
    yield undo(1, [], (len(first), 0))
    yield step("import", second, two)


if __name__ == "__main__":
    raise SystemExit(main())
