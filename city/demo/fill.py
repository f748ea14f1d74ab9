"""Fills an empty database with Larkhaven, the invented city: ground, people, cases, calls, from one seed."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine, exists, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import duplicates
from city.config import city_file
from city.config import versions as config_versions
from city.db.engine import transaction
from city.db.models import Case, Crew, Department, Person
from city.demo import desk as demo_desk
from city.demo import residents as demo_residents
from city.demo.cases import tell as cases
from city.demo.ground import ground
from city.lifecycle import (
    ADMINISTRATOR,
    CALL_TAKER,
    CREW,
    DISPATCHER,
    MANAGER,
    OPEN,
    SUPERVISOR,
    Refused,
)
from city.people import accounts as persons
from city.settings import Settings

__all__ = ["cases", "fill", "ground", "people"]

# Listed by name everywhere, so that each crew's number is the key that assigns to it on the board.
CREWS = {
    "Clean 1": "clean", "Lights 2": "lights", "Trees 3": "trees", "Wardens 4": "homes", "Works 5": "streets",
}  # fmt: skip
KEY = "demo-key"  # of another city's app; everybody knows it, so it exists in the demo only
# e-mail → name, role, crews
CAST: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "dispatcher@demo.test": ("Dana Whitlock", DISPATCHER, ()),
    "supervisor@demo.test": ("Sam Okafor", SUPERVISOR, ()),
    "desk@demo.test": ("Rosa Medina", CALL_TAKER, ()),
    "manager@demo.test": ("Mae Lindqvist", MANAGER, ()),
    "admin@demo.test": ("Alex Brandt", ADMINISTRATOR, ()),
    "crew1@demo.test": ("Luis Ferrer", CREW, ("Lights 2",)),
    "crew2@demo.test": ("Toni Vance", CREW, ("Trees 3", "Clean 1")),
    "crew3@demo.test": ("Imani Cole", CREW, ("Works 5", "Wardens 4")),
}


def fill(
    engine: Engine,
    settings: Settings,
    count: int = 200,
    seed: int = 311,
    now: datetime | None = None,
    *,
    step: Callable[[str], object] = lambda _step: None,
) -> None:
    """Services, ground, people, `count` cases, answers and contacts. `step` hears what begins.

    Raises Refused `not_empty` where somebody is at home.
    """
    with transaction(engine) as s:
        if s.scalar(select(exists().select_from(Person))):
            raise Refused("not_empty")
        text = city_file.read_with_logo(settings.city)
        config_versions.publish(
            s, text, settings.city.name, by=persons.THE_SYSTEM, at=now or datetime.now(UTC)
        )
        step("streets and addresses")
        ground(s, seed)
        people(s)
        persons.make_key(
            s, "Demo app", key=KEY, scopes=persons.SCOPES, by=persons.THE_SYSTEM, at=now or datetime.now(UTC)
        )
        events.record(
            s, persons.DEMO, "seed", by=persons.THE_SYSTEM, at=now or datetime.now(UTC), origin="demo"
        )
    cases(engine, settings, count, seed, now, step=step)
    step("duplicates")
    with transaction(engine) as s:
        duplicates.store_learned(s, duplicates.refit_service_weights(s))
        duplicates.flag_probable(s, s.scalars(select(Case).where(Case.state.in_(OPEN)).order_by(Case.id)))
    step("thanks and letters")
    demo_residents.fill(engine, settings, seed, now)
    step("answers and calls")
    demo_desk.fill(engine, settings, seed, now)


def people(s: Session) -> None:
    """The cast: somebody for every role, and three who share the work of five crews."""
    departments = set(s.scalars(select(Department.code)))
    crews = {
        name: Crew(name=name, department_code=code if code in departments else None)
        for name, code in CREWS.items()
    }
    s.add_all(crews.values())
    s.flush()
    for email, (name, role, teams) in CAST.items():
        persons.add(s, email, name, [role], crews=[crews[team] for team in teams])
