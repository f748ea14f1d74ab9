"""Persons, their roles and crews, and how they log in."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.events import Actor
from city.lifecycle import CREW, RESIDENT, ROLES, SYSTEM, Refused
from city.schema import Crew, Head, LoginCode, Person, PersonRole

DEMO = "demo"  # the log's subject that says so: no command but the demo's own ever writes it
CODE_MINUTES = 10
# Six digits, five guesses, ten codes an hour: about 1 chance in 20,000 an hour for somebody who guesses.
GUESSES_A_CODE = 5
CODES_AN_HOUR = 10

THE_SYSTEM = Actor("system", frozenset({SYSTEM}))
A_RESIDENT = Actor("resident", frozenset({RESIDENT}))


def actor(person: Person) -> Actor:
    """What a person is to a verb: name for the log, roles, crews. A disabled person may nothing."""
    roles = frozenset() if person.disabled_at else frozenset(r.role for r in person.roles)
    return Actor(f"person:{person.id}", roles, person.id, frozenset(c.id for c in person.crews))


def reporter(report_id: int) -> Actor:
    """The resident who told a report, known by its secret link only."""
    return Actor(f"report:{report_id}", frozenset({RESIDENT}))


def add(
    s: Session, email: str, name: str, roles: Iterable[str], *, crews: Iterable[Crew] = (), lang: str = "en"
) -> Person:
    """A new person; raises Refused `bad_email`, `known_email` or `unknown_role`."""
    email = address(email)
    roles = list(roles)
    if unknown := [role for role in roles if role not in ROLES or role == SYSTEM]:
        raise Refused("unknown_role", role=unknown[0])
    if by_email(s, email):
        raise Refused("known_email", email=email)
    person = Person(email=email, name=name, lang=lang)
    person.roles = [PersonRole(role=role) for role in roles]
    person.crews = list(crews)
    s.add(person)
    s.flush()
    return person


def add_crew(s: Session, name: str, members: Iterable[str] = ()) -> Crew:
    """A new crew of people known by e-mail; raises Refused `known_crew` or `unknown_person`."""
    if s.scalar(select(Crew.id).where(Crew.name == name)):
        raise Refused("known_crew", name=name)
    crew = Crew(name=name)
    s.add(crew)
    for email in members:
        person = by_email(s, email)
        if person is None:
            raise Refused("unknown_person", email=email)
        person.crews.append(crew)
        if all(role.role != CREW for role in person.roles):
            person.roles.append(PersonRole(role=CREW))
    s.flush()
    return crew


def is_demo(s: Session) -> bool:
    """Whether this is the invented city: only then may a log-in code be shown on the page."""
    return s.get(Head, DEMO) is not None


def by_email(s: Session, email: str) -> Person | None:
    """The person with this address, whatever its capitals."""
    return s.scalars(select(Person).where(Person.email == email.strip().lower())).first()


def address(email: str) -> str:
    """The address in lower case; raises Refused `bad_email`. Looks at its form only, never at the network."""
    try:
        return validate_email(
            email.strip(), check_deliverability=False, test_environment=True
        ).normalized.lower()
    except EmailNotValidError as fault:
        raise Refused("bad_email", email=email) from fault


def ask_code(s: Session, email: str, at: datetime) -> str | None:
    """A new log-in code for this address; None for a stranger. Raises Refused `too_many_codes`.

    The caller answers alike in both cases, so that nobody can learn who works for the city.
    """
    email = email.strip().lower()
    asked = s.scalar(
        select(func.count())
        .select_from(LoginCode)
        .where(LoginCode.email == email, LoginCode.made_at > at - timedelta(hours=1))
    )
    if (asked or 0) >= CODES_AN_HOUR:
        raise Refused("too_many_codes")
    code = f"{secrets.randbelow(1_000_000):06d}"
    s.add(LoginCode(email=email, code_hash=_hashed(email, code), made_at=at))
    person = by_email(s, email)
    return code if person and not person.disabled_at else None


def use_code(s: Session, email: str, code: str, at: datetime) -> Person:
    """The person who logs in with `code`; raises Refused `wrong_code`. A code works once.

    A wrong guess is counted in the caller's transaction, which must therefore commit either way.
    """
    email = email.strip().lower()
    row = s.scalars(
        select(LoginCode)
        .where(LoginCode.email == email, LoginCode.used_at.is_(None))
        .where(LoginCode.made_at > at - timedelta(minutes=CODE_MINUTES))
        .order_by(LoginCode.id.desc())
        .limit(1)
        .with_for_update()
    ).first()
    if row is None or row.tries >= GUESSES_A_CODE:
        raise Refused("wrong_code")
    if not hmac.compare_digest(row.code_hash, _hashed(email, "".join(code.split()))):
        row.tries += 1
        raise Refused("wrong_code")
    person = by_email(s, email)
    if person is None or person.disabled_at:
        raise Refused("wrong_code")
    row.used_at = at
    return person


def _hashed(email: str, code: str) -> str:
    return hashlib.sha256(f"{email}\n{code}".encode()).hexdigest()
