"""Codes that make a phone a crew's: made by staff, typed into the installed app, good once.

A link would open the browser, whose storage on some phones is not the installed app's; a code can be typed.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from city import events, people
from city.events import Actor
from city.lifecycle import ADMINISTRATOR, CREW, Refused
from city.schema import EnrolCode, Person
from sync import tries

CODE_MINUTES = 10
CODE_LENGTH = 8
# Read out over the phone and typed with gloves: nothing here looks or sounds like 0, 1, 2, 5, 8 or V.
LETTERS = "34679ACDEFGHJKMNPQRTWXY"
# 23 ** 8 codes are 78 thousand million, of which a handful work at a time: a hundred guesses are harmless.
# Whole networks of phones come from one address, so that a few would shut out a city's crews.
GUESSES_AN_HOUR = 100


def make_code(s: Session, person: Person, *, by: Actor, at: datetime) -> str:
    """A code for this person's next phone, ten minutes old at most and good once. Only its hash is kept.

    A newer code makes the older one useless. Raises Refused `not_crew` for somebody who may not work in a
    crew, or may more than whoever makes the code: it logs in.
    """
    roles = people.actor(person).roles
    if CREW not in roles or not (ADMINISTRATOR in by.roles or roles <= {CREW} | by.roles):
        raise Refused("not_crew")
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    s.execute(delete(EnrolCode).where(EnrolCode.person_id == person.id, EnrolCode.used_at.is_(None)))
    s.add(EnrolCode(person_id=person.id, code_hash=_hashed(code), made_at=at))
    events.record(s, people.subject(person), "make phone code", by=by, at=at)
    return code


def use_code(s: Session, code: str, source: str, at: datetime) -> Person:
    """Whose phone this becomes. Raises Refused `wrong_code`, or `too_many_tries` for a caller who guesses.

    `source` is where the caller is. A wrong guess is counted in the caller's transaction, which must
    therefore commit either way.
    """
    if tries.counted(s, "enrol", source, at) >= GUESSES_AN_HOUR:
        raise Refused("too_many_tries")
    row = s.scalars(
        select(EnrolCode)
        .where(EnrolCode.code_hash == _hashed(_typed(code)), EnrolCode.used_at.is_(None))
        .where(EnrolCode.made_at > at - timedelta(minutes=CODE_MINUTES))
        .with_for_update()
    ).first()
    person = s.get(Person, row.person_id) if row else None
    if row is None or person is None or CREW not in people.actor(person).roles:
        tries.note(s, "enrol", source, at)
        raise Refused("wrong_code")
    row.used_at = at
    return person


def sweep(s: Session, at: datetime) -> int:
    """Forgets codes that are over; returns how many."""
    gone = s.execute(delete(EnrolCode).where(EnrolCode.made_at < at - timedelta(days=1)))
    return int(getattr(gone, "rowcount", 0))


def _typed(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter.isalnum())


def _hashed(code: str) -> str:
    return hashlib.sha256(f"enrol\n{code}".encode()).hexdigest()
