"""How long a look for duplicates takes in a city of a million cases, at the places where people tell.

Only the table that a look reads is filled, by rows past the verbs: eight years of a city as busy as Boston at
its places, in Larkhaven's services. SQLite's stays under var/bench/ for the next time.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from bench._databases import Database, database
from bench._pairs import HalfYear
from bench._site import ROOT, say
from city import geo
from city.cases import duplicates
from city.config import city_file
from city.config import versions as config_versions
from city.db import bulk_insert
from city.db import engine as db
from city.db.models import Case, Service
from city.geo import Point
from city.lifecycle import ACCEPTED, ASSIGNED, CLOSED, MERGED, NEW, OPEN
from city.people import accounts
from city.places.lookup import Place
from city.settings import DEFAULT_CITY

NOW = datetime(2026, 11, 2, 15, tzinfo=UTC)
YEARS = 8
OPEN_OF_LATE, OPEN_BEFORE, MERGED_SHARE = 0.35, 0.02, 0.04
AT_ONCE = 50_000
LOOKS = 500
JITTER = 0.0003  # degrees: nobody stands twice on the same spot

Look = Callable[[Session, str, Place], object]


def timed(kind: str, half: HalfYear, count: int, metres: tuple[int, ...]) -> dict[str, float]:
    """The 95th percentile in milliseconds of our look ("ours"), and of one by each fixed distance."""
    points = [one.problem.point for one in half.told]
    folder = ROOT / "var" / "bench" / f"duplicates-{count}"
    stamp = folder / "made"
    wanted = f"{count} {NOW} {sorted(column.name for column in Case.__table__.columns)}"
    if kind == "sqlite" and stamp.is_file() and stamp.read_text() == wanted:
        return _looks(Database(f"sqlite:///{folder / 'cityline.db'}"), points, metres)
    with database(kind, folder if kind == "sqlite" else folder.with_name("duplicates-postgresql")) as base:
        _fill(base, points, count, kind)
        if kind == "sqlite":
            stamp.write_text(wanted)
        return _looks(base, points, metres)


def _fill(base: Database, points: list[Point], count: int, kind: str) -> None:
    engine, began = db.connect(base.url), time.monotonic()
    with db.transaction(engine) as s:
        config_versions.publish(
            s, city_file.read_with_logo(DEFAULT_CITY), "bench", by=accounts.THE_SYSTEM, at=NOW
        )
    with db.read_session(engine) as s:
        codes = list(s.scalars(select(Service.code).order_by(Service.code)))
    rows = _rows(points, codes, count)
    for done in range(0, count, AT_ONCE):
        with db.transaction(engine) as s:
            bulk_insert.put(s, Case, [next(rows) for _ in range(min(AT_ONCE, count - done))])
    engine.dispose()
    owner = db.connect(base.owner_url or base.url)  # PostgreSQL lets nobody else
    with owner.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    owner.dispose()
    say(f"duplicates: {count} cases on {kind} in {time.monotonic() - began:.0f} s")


def _rows(points: list[Point], codes: list[str], count: int) -> Iterator[dict[str, Any]]:
    """Cases in the order of time; what was merged was merged into an earlier one of the same spot."""
    random = Random(311)
    nothing: dict[str, Any] = {column.name: None for column in Case.__table__.columns}
    last: dict[int, int] = {}
    for n in range(count):
        at = NOW - timedelta(days=365 * YEARS * (count - n) / count)
        spot = random.randrange(len(points))
        lat, lon = (each + random.uniform(-JITTER, JITTER) for each in points[spot])
        state = CLOSED
        if random.random() < (OPEN_OF_LATE if NOW - at < timedelta(days=60) else OPEN_BEFORE):
            state = random.choice((NEW, ACCEPTED, ASSIGNED))
        elif spot in last and random.random() < MERGED_SHARE:
            state = MERGED
        yield nothing | {
            "id": n + 1, "number": f"{at:%y}-{n + 1:07d}", "state": state,
            "service_code": random.choice(codes),
            "cycle": 1, "version": 1, "lat": lat, "lon": lon, "accuracy_m": random.uniform(4, 40),
            "place_source": random.choice(("gps", "pin", "address")), "address": "",
            "cell": geo.cell(Point(lat, lon)), "urgent": False, "origin": "import", "opened_at": at,
            "clock_from": at, "promise_days": 5, "due_at": at + timedelta(days=5),
            "risk_at": at + timedelta(days=4), "follow_on": False,
            "raised": False, "standing": "done", "rank": 4,
            "closed_at": at + timedelta(days=2) if state == CLOSED else None,
            "merged_into_id": last[spot] if state == MERGED else None,
            "merged_from": NEW if state == MERGED else None,
        }  # fmt: skip
        if state != MERGED:
            last[spot] = n + 1


def _looks(base: Database, points: list[Point], metres: tuple[int, ...]) -> dict[str, float]:
    engine = db.connect(base.url)
    looks: dict[str, Look] = {
        "ours": lambda s, code, place: duplicates.candidates_near(s, code, place, at=NOW)
    }
    for each in metres:
        looks[str(each)] = lambda s, code, place, each=each: _by_rule(s, code, place, each)  # type: ignore[misc]
    found = {name: _p95(engine, look, points) for name, look in looks.items()}
    engine.dispose()
    return found


def _p95(engine: Engine, look: Look, points: list[Point]) -> float:
    random, took = Random(7), []
    with db.read_session(engine) as s:
        codes = list(s.scalars(select(Service.code).order_by(Service.code)))
    for n in range(LOOKS + 20):
        code, (lat, lon) = random.choice(codes), random.choice(points)
        began = time.perf_counter()
        with db.read_session(engine) as s:
            look(s, code, Place(lat, lon, "gps", accuracy_m=12.0))
        if n >= 20:  # those before were to warm up
            took.append((time.perf_counter() - began) * 1000)
    return statistics.quantiles(took, n=20)[-1]


def _by_rule(s: Session, code: str, place: Place, metres: float) -> list[tuple[float, int]]:
    """The nearest three open cases of the service within so many metres, as a fixed rule would look."""
    rows = s.execute(
        select(Case.id, Case.lat, Case.lon).where(
            Case.cell.in_(geo.cells_around(place.point, metres)),
            Case.opened_at.between(NOW - timedelta(days=60), NOW),
            Case.state.in_(OPEN),
            Case.service_code == code,
        )
    )
    near = ((geo.flat_distance(place.point, Point(row.lat, row.lon)), row.id) for row in rows)
    return sorted(pair for pair in near if pair[0] <= metres)[: duplicates.MOST]
