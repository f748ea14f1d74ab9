"""Larkhaven grown to so many cases, one in ten of them open, with a true log, written by `bulk`.

SQLite's lies under var/bench/ and is used again while the tables are the same; PostgreSQL's is made anew.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench._databases import Database, database
from bench._site import ROOT, fill, say
from city.audit.events import Actor
from city.cases import sla_sweep
from city.config import city_file
from city.db import engine as db
from city.db.models import Area, Base, Case, Crew, Person, Service, Street
from city.demo import by_verbs
from city.demo.by_verbs import Act
from city.demo.phrases import WORDS
from city.geo import METRES_A_DEGREE
from city.imports.history_writer import CaseHistory, Move, ReportRow
from city.lifecycle import CREW
from city.people import accounts
from city.places.lookup import Place
from city.settings import DEFAULT_CITY

YEARS = 8
OPEN_SHARE = 0.1
OPEN_DAYS = 90  # what is open was told within so many days
CREWS = 24
SIDE_M = 18_000  # the grown city is a square of so many metres around the old one …
WARDS = 6  # … cut into so many times as many
SPREAD_M = 4_500  # most of it happens near the middle
AT_ONCE = 5_000
# A word that nearly every third case has, and one that one in 20,000 has.
COMMON, COMMON_SHARE = "corner", 0.3
RARE, RARE_EVERY = "zeppelin", 20_000


@contextmanager
def grown(kind: str, cases: int) -> Iterator[tuple[Path, Database]]:
    """The folder and the database of a city with so many cases."""
    var = ROOT / "var" / "bench" / f"grown-{cases}-{kind}"
    stamp = var / "made"
    wanted = f"{Path(__file__).read_bytes()!r} {_tables()}"
    if kind == "sqlite" and stamp.is_file() and stamp.read_text() == wanted:
        yield var, Database(f"sqlite:///{var / 'cityline.db'}")
        return
    with database(kind, var) as base:
        began = time.monotonic()
        fill(var, 200, **base.settings)
        _grow(base, cases)
        say(f"a city of {cases} cases on {kind} in {time.monotonic() - began:.0f} s")
        if kind == "sqlite":
            stamp.write_text(wanted)
        yield var, base


def _tables() -> list[str]:
    """All columns and indexes: a database without one of them is no measure."""
    tables = Base.metadata.sorted_tables
    columns = [str(column) for table in tables for column in table.columns]
    return columns + sorted(str(index.name) for table in tables for index in table.indexes)


def _grow(base: Database, count: int) -> None:
    engine = db.connect(base.url)
    with db.transaction(engine) as s:
        teller = _Teller(s, Random(311), datetime.now(UTC))
    for start in range(0, count, AT_ONCE):
        with db.gc_paused(), db.transaction(engine) as s:
            numbers = range(start, min(start + AT_ONCE, count))
            by_verbs.tell(s, [teller.story(n, count) for n in numbers], now=teller.now)
    # What time has done to its promises meanwhile: a city is never found with years of that still to be said.
    sla_sweep.sweep(engine, datetime.now(UTC), city_file.load(DEFAULT_CITY).late_days)
    engine.dispose()
    owner = db.connect(base.owner_url or base.url)  # PostgreSQL lets nobody else
    with owner.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    owner.dispose()


@dataclass(frozen=True)
class _Spot:
    lat: float
    lon: float
    address: str


class _Teller:
    """Invents one case after the other, in the order of time. Adds the wards and crews it needs."""

    def __init__(self, s: Session, chance: Random, now: datetime) -> None:
        self.chance, self.now = chance, now
        self.services = [
            code for code in s.scalars(select(Service.code).order_by(Service.code)) if code in WORDS
        ]
        self.streets = sorted(set(s.scalars(select(Street.name))))
        self.dispatcher = accounts.actor(_person(s, "dispatcher@demo.test"))
        case = s.scalars(select(Case).where(Case.lat.is_not(None)).limit(1)).one()
        self.lat, self.lon = case.lat or 0.0, case.lon or 0.0
        self.a_metre = (1 / METRES_A_DEGREE, 1.35 / METRES_A_DEGREE)
        s.add_all(self._wards())
        self.crews = [self._crew(s, n) for n in range(CREWS)]

    def story(self, n: int, count: int) -> CaseHistory:
        """The case number `n` of `count`: closed long ago, or open and one of the last."""
        is_open = n >= count * (1 - OPEN_SHARE)
        share = (n / count) if not is_open else 0.0
        opened = self.now - timedelta(days=365 * YEARS * (1 - share))
        if is_open:
            into = (n - count * (1 - OPEN_SHARE)) / (count * OPEN_SHARE)
            opened = self.now - timedelta(days=OPEN_DAYS * (1 - into), minutes=5)
        code, spot = self.chance.choice(self.services), self._spot()
        told = ReportRow(
            opened, str(UUID(int=self.chance.getrandbits(128), version=4)), words=self._words(n, code),
            place=Place(spot.lat, spot.lon, "address", spot.address),
        )  # fmt: skip
        return CaseHistory(code, [told], self._life(opened) if is_open else self._end(opened))

    def _end(self, opened: datetime) -> list[Move]:
        done = min(opened + timedelta(hours=self.chance.expovariate(1 / 60)), self.now)
        return [Move("close", done, self.dispatcher, outcome="fixed", no_photo="nothing to see")]

    def _life(self, opened: datetime) -> list[Move]:
        """How far an open case has come: a third new, four in ten with a crew, one in ten waiting."""
        at = min(opened + timedelta(minutes=30), self.now)
        state = self.chance.choices(("new", "accept", "assign", "start", "wait"), (30, 20, 33, 7, 10))[0]
        if state == "new":
            return []
        moves = [Move("accept", at, self.dispatcher)]
        if state in ("assign", "start"):
            crew, member = self.chance.choice(self.crews)
            moves.append(Move("assign", at, self.dispatcher, crew=crew))
            moves += [Move("start", at, member)] if state == "start" else []
        if state == "wait":
            moves.append(Act("wait", at, self.dispatcher, reason=self.chance.choice(("utility", "weather"))))
        return moves

    def _words(self, n: int, code: str) -> str:
        words = self.chance.choice(WORDS[code]["en"])
        if self.chance.random() < COMMON_SHARE:
            words += f" At the {COMMON}."
        return f"{words} Like a {RARE}." if n % RARE_EVERY == RARE_EVERY - 1 else words

    def _spot(self) -> _Spot:
        lat_m, lon_m = (
            max(-SIDE_M / 2, min(SIDE_M / 2 - 1, self.chance.gauss(0, SPREAD_M))) for _axis in range(2)
        )
        lat, lon = self.lat + lat_m * self.a_metre[0], self.lon + lon_m * self.a_metre[1]
        return _Spot(lat, lon, f"{self.chance.randrange(1, 900)} {self.chance.choice(self.streets)}")

    def _wards(self) -> Iterator[Area]:
        side = SIDE_M / WARDS
        for row in range(WARDS):
            for column in range(WARDS):
                south, west = (-SIDE_M / 2 + step * side for step in (row, column))
                corners = (
                    (south, west),
                    (south, west + side),
                    (south + side, west + side),
                    (south + side, west),
                )
                ring = [
                    [self.lon + x * self.a_metre[1], self.lat + y * self.a_metre[0]]
                    for y, x in (*corners, corners[0])
                ]
                name = f"Ward {row * WARDS + column + 1}"
                yield Area(kind="ward", name=name, geometry={"type": "Polygon", "coordinates": [ring]})

    def _crew(self, s: Session, n: int) -> tuple[int, Actor]:
        crew: Crew = accounts.add_crew(s, f"Field {n + 1}")
        person = accounts.add(s, f"field{n + 1}@bench.test", f"Field {n + 1}", [CREW], crews=[crew])
        s.flush()
        return crew.id, accounts.actor(person)


def _person(s: Session, email: str) -> Person:
    return s.scalars(select(Person).where(Person.email == email)).one()
