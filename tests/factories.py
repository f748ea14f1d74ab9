"""The cast of the tests: one small town, its people and crews, and reports made with defaults."""

import io
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import Flask
from PIL import Image
from sqlalchemy import JSON, Engine, String, Text, cast, event, select, text
from sqlalchemy.orm import Session

from city.audit import counters
from city.audit.events import Actor
from city.cases import board_index, legal_holds, transitions
from city.cases import search as case_search
from city.db import engine as db
from city.db.models import Area, Asset, Base, Case, Crew, Department, Person, Photo, Report, Service
from city.people import accounts
from city.photos import photos
from city.places.lookup import Place
from city.reports import intake
from city.settings import Settings

SECRET = "a secret of the tests, long enough to be one"
LAMP = Place(39.6000, -71.2000, "pin", "214 Tansy Street", 5.0)
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[-71.3, 39.5], [-71.1, 39.5], [-71.1, 39.7], [-71.3, 39.7], [-71.3, 39.5]]],
}


_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@dataclass(frozen=True)
class Furnishing:
    """What a test's database is filled with before the test begins; `fill` returns what the test is told."""

    name: str
    fill: Callable[[Engine], Any]


@dataclass
class Town:
    """A database with two services, three crews and somebody for every role."""

    engine: Engine
    settings: Settings
    now: datetime
    ids: dict[str, int]

    @contextmanager
    def at_work(self) -> Iterator["Scene"]:
        """One transaction with everybody in it."""
        with db.transaction(self.engine) as s:
            yield Scene(self, s)

    @contextmanager
    def looking(self) -> Iterator["Scene"]:
        with db.read_session(self.engine) as s:
            yield Scene(self, s)

    def is_right(self) -> None:
        """What is derived of cases is as a recount says."""
        with db.transaction(self.engine) as s:
            assert board_index.differences(s) == []
            assert board_index.recompute(s) == 0
            assert case_search.recompute(s) == 0
            assert counters.differences(s) == []

    def await_waiting(self) -> None:
        """Returns when another transaction has come to a lock; at once on SQLite, where none begins."""
        if self.engine.dialect.name == "sqlite":
            return
        for _ in range(1000):
            with db.read_session(self.engine) as s:  # a transaction sees no news of the others
                if s.scalar(_WAITING):
                    return
            time.sleep(0.01)
        raise AssertionError("nobody waits")


@dataclass
class Scene:
    town: Town
    s: Session

    def actor(self, name: str) -> Actor:
        return accounts.actor(self.s.get_one(Person, self.town.ids[name]))

    def crew(self, name: str) -> Crew:
        return self.s.get_one(Crew, self.town.ids[name])

    def case(self, number: str) -> Case:
        return self.s.scalars(select(Case).where(Case.number == number)).one()

    def pole(self) -> Place:
        """A pole where LAMP stands: whatever is told of it is told of one thing."""
        pole = Asset(kind="pole", number="20-118", lat=39.6, lon=-71.2, cell="x", address="Tansy Street")
        self.s.add(pole)
        self.s.flush()
        return replace(LAMP, source="asset", asset_id=pole.id)

    def report(self, **changes: Any) -> Report:
        """A report taken now; `at`, `taken` and `key` may be given beside what a Telling holds."""
        at = changes.pop("at", self.town.now)
        taken: Sequence[Photo] = changes.pop("taken", ())
        told = {
            "key": uuid.uuid4().hex,
            "service_code": "light-out",
            "channel": "web",
            "place": LAMP,
        } | changes
        telling = intake.NewReport(**told)
        token = intake.token_for(SECRET, telling.key)
        return intake.submit(self.s, telling, at=at, token=token, taken=taken)

    def hold(self, case: Case) -> bool:
        """As legal_holds.place() says."""
        by, var = self.actor("manager"), self.town.settings.var
        return legal_holds.place(self.s, case, "Lawsuit", var, by=by, at=self.town.now)

    def photo(self, colour: str = "navy", staged_for: str = "form:test") -> Photo:
        return photos.stage(
            self.s, self.town.settings.var, jpeg(colour), staged_for=staged_for, at=self.town.now
        )

    def assigned(self, crew: str = "lights", **changes: Any) -> Case:
        case = self.report(**changes).case
        transitions.assign(self.s, case, self.crew(crew), by=self.actor("dispatcher"), at=self.town.now)
        return case


def furnish(engine: Engine) -> dict[str, int]:
    """Fills an empty database with the town; returns the ids of its crews and people by their names."""
    ids: dict[str, int] = {}
    with db.transaction(engine) as s:
        s.add(Department(code="works", names={"en": "Works", "es": "Obras"}, time_zone="America/New_York"))
        s.add_all(
            [
                _service("light-out", "streetlight", "Streetlight out", "Farol apagado", 3, 1),
                _service("limb-down", "tree", "Limb down", "Rama caída", 5, 2),
                _service("nuisance", "other", "Nuisance", "Molestia", 5, 3, private=True, precision_m=200),
            ]
        )
        s.add(Area(kind="boundary", name="Town", geometry=SQUARE))
        for name in ("lights", "trees"):
            crew = Crew(name=name)
            s.add(crew)
            s.flush()
            ids[name] = crew.id
        s.flush()
        for name, role, crews in (
            ("dispatcher", "dispatcher", []),
            ("supervisor", "supervisor", []),
            ("call-taker", "call-taker", []),
            ("manager", "manager", []),
            ("administrator", "administrator", []),
            ("rosa", "crew", ["lights"]),
            ("tom", "crew", ["trees"]),
        ):
            members = [s.get_one(Crew, ids[c]) for c in crews]
            ids[name] = accounts.add(s, f"{name}@town.test", name.title(), [role], crews=members).id
    return ids


def jpeg(colour: str = "navy", size: tuple[int, int] = (640, 480)) -> bytes:
    """A small picture, its bytes different for every colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


def _service(
    code: str,
    group: str,
    en: str,
    es: str,
    days: int,
    position: int,
    *,
    private: bool = False,
    precision_m: int = 0,
) -> Service:
    return Service(
        code=code, group=group, names={"en": en, "es": es}, chips={"en": en, "es": es}, is_default=True,
        position=position, department_code="works", promise_days=days, questions=(), asset_kind=None,
        precision_m=precision_m, private=private, urgent=False,
    )  # fmt: skip


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """Every statement that the application sends to its database meanwhile."""
    with statements(app.extensions["cityline"].engine) as sent:
        yield sent


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Every statement that is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def texts(s: Session) -> Iterator[tuple[str, str]]:
    """Every value of every column that can hold somebody's words, each with the column's name."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, String | JSON):
                for value in s.scalars(select(cast(column, Text)).where(column.is_not(None))):
                    yield f"{table.name}.{column.name}", str(value)
