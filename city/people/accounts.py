"""Persons, their roles and crews, and the keys of other programs. How people log in: sessions.py."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from city.audit import events
from city.audit.events import Actor
from city.db.models import ApiKey, ChainTip, Crew, CrewMember, Department, Person, PersonRole
from city.lifecycle import ADMINISTRATOR, CREW, MANAGER, PARTNER, RESIDENT, ROLES, SYSTEM, Refused, widened
from city.people import departments as managed

LONGEST_NAME = 100  # letters
DEMO = "demo"  # the log's subject that says so: no command but the demo's own ever writes it
# What a key of another program may open: sending reports, and telling what has become of them elsewhere.
SCOPES = (REPORT, UPDATE) = ("report", "update")
LONGEST_EMAIL = 320  # letters: more than there may be, with blanks around
HOURLY = 1000  # how often an hour a key may write where nobody says otherwise
MOST_HOURLY = 1_000_000
# What somebody who works for the city may be. Residents and partners need no account; the system is nobody.
STAFF = tuple(role for role in ROLES if role not in (RESIDENT, PARTNER, SYSTEM))

THE_SYSTEM = Actor("system", frozenset({SYSTEM}))
A_RESIDENT = Actor("resident", frozenset({RESIDENT}))


def actor(person: Person) -> Actor:
    """What a person is to a verb: name for the log, roles, crews, departments. A disabled person may nothing.

    The roles are those in which the person acts, which may be more than were given: see lifecycle.INCLUDES.
    """
    roles = frozenset() if person.disabled_at else widened(row.role for row in person.roles)
    departments = person.departments if MANAGER in roles else ()  # read for nobody else: phones ask often
    return Actor(
        f"person:{person.id}",
        roles,
        person.id,
        frozenset(crew.id for crew in person.crews),
        frozenset(each.code for each in departments),
    )


def reporter(report_id: int) -> Actor:
    """The resident who told a report, known by its secret link only."""
    return Actor(f"report:{report_id}", frozenset({RESIDENT}))


def subject(person: Person) -> str:
    """The person's name in the log, which holds no other."""
    return f"person:{person.id}"


def add(
    s: Session,
    email: str,
    name: str,
    roles: Iterable[str],
    *,
    crews: Iterable[Crew] = (),
    departments: Iterable[str] = (),
    lang: str = "en",
    by: Actor = THE_SYSTEM,
    at: datetime | None = None,
    origin: str = "live",
) -> Person:
    """A new person; raises Refused `bad_email`, `known_email`, `unknown_role`, `empty_name` or `long_name`.

    `departments` are the codes of those that a manager answers for: Refused `unknown_value` where one is not.
    The log hears of it where `at` is given; the cast of a demo needs no log.
    """
    email = address(email)
    roles = _known_roles(roles)
    if by_email(s, email):
        raise Refused("known_email", email=email)
    person = Person(email=email, name=_named(name), lang=lang)
    person.roles = [PersonRole(role=role) for role in roles]
    person.departments = managed.known(s, departments)
    for crew in crews:
        _join(person, crew)
    _insert(s, person, Refused("known_email", email=email))
    if at:
        facts = _facts(roles, person.crews, person.departments)
        events.record(s, subject(person), "add person", by=by, at=at, facts=facts, origin=origin)
    return person


def change(
    s: Session,
    person: Person,
    *,
    name: str,
    lang: str,
    roles: Iterable[str],
    crews: Iterable[Crew],
    departments: Iterable[str] | None = None,
    by: Actor,
    at: datetime,
) -> bool:
    """Gives a person another name, language, roles, crews and departments; False where all was so already.

    Without `departments` those of before remain.
    Raises Refused `unknown_role`, `unknown_value` (a department), `empty_name`, `long_name`, or
    `last_administrator`: somebody must be able to let others in.
    """
    s.refresh(person, with_for_update={"of": Person})
    name, wanted = _named(name), list(crews)
    answers_for = list(person.departments) if departments is None else managed.known(s, departments)
    roles = _known_roles([*roles, CREW] if wanted else roles)
    had = sorted(role.role for role in person.roles)
    was = _facts(had, person.crews, person.departments)
    now = _facts(roles, wanted, answers_for)
    if ADMINISTRATOR in had and ADMINISTRATOR not in roles:
        _check_others(s, person)
    if (was, person.name, person.lang) == (now, name, lang):
        return False
    person.name, person.lang = name, lang
    person.roles = [role for role in person.roles if role.role in roles] + [
        PersonRole(role=role) for role in roles if role not in had
    ]
    person.crews, person.departments = wanted, answers_for
    s.flush()
    events.record(s, subject(person), "change person", by=by, at=at, facts={"was": was, "now": now})
    return True


def disable(s: Session, person: Person, *, by: Actor, at: datetime) -> bool:
    """The person may do nothing from now on. Raises Refused `last_administrator`.

    Whoever calls this ends the sessions too: see sessions.end_all().
    """
    if person.disabled_at:
        return False
    _check_others(s, person)
    person.disabled_at = at
    events.record(s, subject(person), "disable person", by=by, at=at)
    return True


def enable(s: Session, person: Person, *, by: Actor, at: datetime) -> bool:
    """The person may work again, with the roles and crews of before."""
    if person.disabled_at is None:
        return False
    person.disabled_at = None
    events.record(s, subject(person), "enable person", by=by, at=at)
    return True


def add_crew(
    s: Session,
    name: str,
    members: Iterable[str] = (),
    *,
    department: str | None = None,
    by: Actor = THE_SYSTEM,
    at: datetime | None = None,
) -> Crew:
    """A new crew of people known by e-mail; raises Refused `empty_name`, `known_crew`, `unknown_person`."""
    crew = Crew(name=_free_name(s, name), department_code=department)
    _insert(s, crew, Refused("known_crew", name=crew.name))
    for email in members:
        person = by_email(s, email)
        if person is None:
            raise Refused("unknown_person", email=email)
        _join(person, crew)
    s.flush()
    if at:
        events.record(s, f"crew:{crew.id}", "add crew", by=by, at=at, facts={"department": department})
    return crew


def change_crew(
    s: Session,
    crew: Crew,
    *,
    name: str,
    department: str | None,
    members: Collection[int],
    by: Actor,
    at: datetime,
) -> bool:
    """Gives a crew another name, department and members (ids of persons, who become crew).

    False where all was so already. Raises Refused `empty_name` or `known_crew`.
    """
    name = name.strip() if name.strip() == crew.name else _free_name(s, name)
    old = sorted(s.scalars(select(CrewMember.person_id).where(CrewMember.crew_id == crew.id)))
    new = sorted(set(members))
    if (crew.name, crew.department_code, old) == (name, department, new):
        return False
    crew.name, crew.department_code = name, department
    for person in s.scalars(select(Person).where(Person.id.in_({*old, *new}))):
        if person.id not in new:
            person.crews.remove(crew)
        elif person.id not in old:
            _join(person, crew)
    s.flush()
    facts = {"department": department, "was": old, "now": new}
    events.record(s, f"crew:{crew.id}", "change crew", by=by, at=at, facts=facts)
    return True


def make_key(
    s: Session,
    name: str,
    *,
    key: str,
    by: Actor,
    at: datetime,
    scopes: Iterable[str] = (REPORT,),
    hourly: int = HOURLY,
) -> str:
    """Makes `key`, which nobody can guess, an API key, and returns it to be shown; twice is no fault.

    It may write `hourly` times an hour. Raises Refused `empty_name`, `no_scope`, `bad_hourly`, or
    `changed_meanwhile` for one that was revoked since.
    """
    opens = [scope for scope in SCOPES if scope in set(scopes)]
    if not opens:
        raise Refused("no_scope")
    if not 1 <= hourly <= MOST_HOURLY:
        raise Refused("bad_hourly", most=MOST_HOURLY)
    row = ApiKey(
        name=_named(name), key_hash=_hashed(key), made_at=at, made_by_id=by.person_id, scopes=opens,
        hourly=hourly,
    )  # fmt: skip
    try:
        with s.begin_nested():
            s.add(row)
    except IntegrityError:
        if by_key(s, key) is None:
            raise Refused("changed_meanwhile") from None
        return key
    events.record(s, of_key(row), "make key", by=by, at=at, facts={"scopes": opens, "hourly": hourly})
    return key


def revoke_key(s: Session, row: ApiKey, *, by: Actor, at: datetime) -> bool:
    """The key opens nothing from now on."""
    if row.revoked_at:
        return False
    row.revoked_at = at
    events.record(s, of_key(row), "revoke key", by=by, at=at)
    return True


def of_key(row: ApiKey) -> str:
    """A key's name in the log."""
    return f"key:{row.id}"


def by_key(s: Session, key: str) -> ApiKey | None:
    """The live row of an API key."""
    found = s.scalars(select(ApiKey).where(ApiKey.key_hash == _hashed(key))).first()
    return found if found and found.revoked_at is None else None


def is_demo(s: Session) -> bool:
    """Whether this is the invented city: only then may a log-in code be shown on the page."""
    return s.get(ChainTip, DEMO) is not None


def crew(s: Session) -> list[Person]:
    """Everybody who may work in a crew, with their crews, by name."""
    asked = select(Person).where(Person.disabled_at.is_(None))
    asked = asked.join(PersonRole, PersonRole.person_id == Person.id).where(PersonRole.role == CREW)
    return list(s.scalars(asked.options(selectinload(Person.crews)).order_by(Person.name)))


def members(s: Session) -> dict[int, list[tuple[int, str]]]:
    """Who belongs to every crew, by its id: ids and names of those who may log in, in the order of names."""
    rows = s.execute(
        select(CrewMember.crew_id, Person.id, Person.name)
        .join(Person, Person.id == CrewMember.person_id)
        .where(Person.disabled_at.is_(None))
        .order_by(Person.name, Person.id)
    )
    found: dict[int, list[tuple[int, str]]] = {}
    for crew_id, person_id, name in rows:
        found.setdefault(crew_id, []).append((person_id, name))
    return found


def named(s: Session, actors: Iterable[str]) -> dict[str, str]:
    """What the people among these are called, by the name that the log has for each: "person:7"."""
    ids = {int(actor.removeprefix("person:")) for actor in actors if actor.startswith("person:")}
    rows = s.execute(select(Person.id, Person.name).where(Person.id.in_(sorted(ids))))
    return {f"person:{number}": name for number, name in rows}


def by_email(s: Session, email: str) -> Person | None:
    """The person with this address, whatever its capitals."""
    return s.scalars(select(Person).where(Person.email == email.strip().lower())).first()


def address(email: str) -> str:
    """The address in lower case; raises Refused `bad_email`. Looks at its form only, never at the network."""
    if len(email) > LONGEST_EMAIL:
        raise Refused("bad_email", email=email[:LONGEST_EMAIL])
    try:
        return validate_email(
            email.strip(), check_deliverability=False, test_environment=True
        ).normalized.lower()
    except EmailNotValidError as fault:
        raise Refused("bad_email", email=email) from fault


def _facts(roles: list[str], crews: Iterable[Crew], departments: Iterable[Department]) -> dict[str, Any]:
    """What the log says of somebody: what was given, not what it includes."""
    return {
        "roles": roles, "crews": sorted(crew.id for crew in crews),
        "departments": sorted(each.code for each in departments),
    }  # fmt: skip


def _known_roles(roles: Iterable[str]) -> list[str]:
    wanted = sorted(set(roles))
    if unknown := [role for role in wanted if role not in STAFF]:
        raise Refused("unknown_role", role=unknown[0])
    return wanted


def _check_others(s: Session, person: Person) -> None:
    """Raises Refused `last_administrator` unless another one remains who can log in."""
    if all(role.role != ADMINISTRATOR for role in person.roles):
        return
    others = (
        select(Person.id)
        .join(PersonRole, PersonRole.person_id == Person.id)
        .where(PersonRole.role == ADMINISTRATOR, Person.id != person.id, Person.disabled_at.is_(None))
    )
    # Locked, so that of two administrators who remove each other in one moment only one succeeds.
    if not list(s.scalars(others.with_for_update(of=Person))):
        raise Refused("last_administrator")


def _named(name: str) -> str:
    """The name without what nobody sees; raises Refused `empty_name` or `long_name`."""
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not name:
        raise Refused("empty_name")
    if len(name) > LONGEST_NAME:
        raise Refused("long_name", most=LONGEST_NAME)
    return name


def _insert(s: Session, row: Person | Crew, twin: Refused) -> None:
    """Adds a row; raises `twin` where the same was added in the same moment, by a double click perhaps."""
    try:
        with s.begin_nested():
            s.add(row)
    except IntegrityError:
        raise twin from None


def _free_name(s: Session, name: str) -> str:
    name = _named(name)
    if s.scalar(select(Crew.id).where(Crew.name == name)):
        raise Refused("known_crew", name=name)
    return name


def _join(person: Person, crew: Crew) -> None:
    """Whoever belongs to a crew is crew."""
    person.crews.append(crew)
    if all(role.role != CREW for role in person.roles):
        person.roles.append(PersonRole(role=CREW))


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
