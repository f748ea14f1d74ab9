"""Codes that make a phone a crew's: made by staff, typed into the installed app, good once.

A phone whose answer was lost sends the same code again, with what only it knows: it is the same phone.

A link would open the browser, whose storage on some phones is not the installed app's; a code can be typed.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.db.models import Device, EnrolmentCode, Person
from city.lifecycle import ADMINISTRATOR, CREW, Refused
from city.people import accounts, rate_limits
from sync import devices

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
    roles = accounts.actor(person).roles
    if CREW not in roles or not (ADMINISTRATOR in by.roles or roles <= {CREW} | by.roles):
        raise Refused("not_crew")
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    s.execute(
        delete(EnrolmentCode).where(EnrolmentCode.person_id == person.id, EnrolmentCode.used_at.is_(None))
    )
    s.add(EnrolmentCode(person_id=person.id, code_hash=_hashed(code), made_at=at))
    events.record(s, accounts.subject(person), "make phone code", by=by, at=at)
    return code


def use_code(
    s: Session, code: str, attempt: str, token: str | None, source: str, at: datetime, *, secret: str
) -> tuple[Person, Device, str | None]:
    """Whose phone this becomes, its device, and its token where it is a new one.

    The same again for the phone that used the code within CODE_MINUTES: `attempt` is what only that one
    knows, "" for an older app, whose code works once. `token` is what it shows already, if any, and `source`
    where the caller is. Raises Refused `wrong_code`, or `too_many_tries` for a caller who guesses. A wrong
    guess is counted in the caller's transaction, which must therefore commit either way.
    """
    if rate_limits.counted(s, "enrol", source, at) >= GUESSES_AN_HOUR:
        raise Refused("too_many_tries")
    since, known = at - timedelta(minutes=CODE_MINUTES), _hashed(attempt) if attempt else ""
    fresh = EnrolmentCode.used_at.is_(None) & (EnrolmentCode.made_at > since)
    again = (EnrolmentCode.used_at > since) & (EnrolmentCode.attempt_hash == known)
    mine = EnrolmentCode.code_hash == _hashed(_typed(code))
    row = s.scalars(select(EnrolmentCode).where(mine, fresh | again).with_for_update()).first()
    person = s.get(Person, row.person_id) if row else None
    device = s.get(Device, row.device_id) if row and row.device_id else None
    is_shut_out = device is not None and device.revoked_at is not None
    if row is None or person is None or is_shut_out or CREW not in accounts.actor(person).roles:
        rate_limits.count_one(s, "enrol", source, at)
        raise Refused("wrong_code")
    if device:
        return person, device, devices.first_token(device, attempt, secret)
    device, made = devices.enrol(s, person, token, at, secret=secret, attempt=attempt)
    row.used_at, row.attempt_hash, row.device_id = at, known or None, device.id
    return person, device, made


def sweep(s: Session, at: datetime) -> int:
    """Forgets codes that are over; returns how many."""
    gone = s.execute(delete(EnrolmentCode).where(EnrolmentCode.made_at < at - timedelta(days=1)))
    return int(getattr(gone, "rowcount", 0))


def _typed(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter.isalnum())


def _hashed(code: str) -> str:
    return hashlib.sha256(f"enrol\n{code}".encode()).hexdigest()
