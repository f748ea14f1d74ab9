"""Which phone this is, and who uses it."""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from itsdangerous import Signer
from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.db.models import Device, Person
from city.people import accounts, sessions
from sync import uploads
from sync.protocol import Exchange

TOKEN_DAYS = 90  # from its last use
ROTATE_AFTER_DAYS = 7  # a token this old is exchanged for the next
# What a phone says it still holds: operations, photos, and since when (seconds since 1970, UTC).
WAITING = ("ops", "photos", "oldest")
# The receipt of its pack: when it was whole (seconds since 1970, UTC), for how many jobs, photos of how many,
# and whether the map is there (1).
PACK = ("at", "jobs", "photos", "of", "map")
# A phone with work on it that says nothing for so long, half a shift, lies in a drawer, or worse.
SILENT = timedelta(hours=4)
MOST = 2**40  # a larger number is none, and JSON columns keep none above 2**64
# A phone that says nothing new of itself is written down this often: asking must not cost a write.
SEEN_AGAIN = timedelta(minutes=5)


# Asked at every exchange, so it is made once.
_BY_TOKEN = select(Device).where(
    or_(Device.token_hash == bindparam("hashed"), Device.next_hash == bindparam("hashed"))
)
# "Key share": rows that name the phone are still written beside us.
_BY_TOKEN_LOCKED = _BY_TOKEN.with_for_update(key_share=True)


def of_crews(s: Session, limit: int | None = None) -> list[tuple[Device, Person]]:
    """The crews' phones and whose they are, the last one seen first and those shut out at the end."""
    asked = select(Device, Person).join(Person, Person.id == Device.person_id)
    shut_out_last = (Device.revoked_at.is_not(None), Device.seen_at.desc())
    return [(device, person) for device, person in s.execute(asked.order_by(*shut_out_last).limit(limit))]


def count(s: Session) -> int:
    """How many phones crews have; those of residents are nobody's."""
    return s.scalar(select(func.count(Device.id)).where(Device.person_id.is_not(None))) or 0


def enrol(
    s: Session, person: Person, token: str | None, at: datetime, *, secret: str, attempt: str = ""
) -> tuple[Device, str | None]:
    """The device of this person on this phone, and its token where it is a new one.

    A phone that somebody else used becomes another device: work is bound to the one it was done on. Where the
    phone gave an `attempt`, first_token() makes the same token again.
    """
    known = by_token(s, token, at, locked=True)
    if known and known.person_id == person.id and known.revoked_at is None:
        known.seen_at = at
        return known, None
    device_id = str(uuid.uuid4())
    token = _first_token(device_id, attempt or secrets.token_urlsafe(32), secret)
    device = Device(
        id=device_id, person_id=person.id, token_hash=_hashed(token), token_at=at, enrolled_at=at,
        seen_at=at,
    )  # fmt: skip
    device.next_hash = _hashed(_next_token(device, secret))
    s.add(device)
    s.flush()
    events.record(s, f"device:{device.id}", "enrol device", by=accounts.actor(person), at=at)
    return device, token


def first_token(device: Device, attempt: str, secret: str) -> str | None:
    """What enrol() gave for this `attempt`; None where the phone had one before, or has another since."""
    token = _first_token(device.id, attempt, secret)
    return token if device.token_hash == _hashed(token) else None


def report_lost(s: Session, device_id: str, person: Person, at: datetime) -> Device:
    """A phone of this person that a restore has lost. It is shut out: its work waits for a supervisor."""
    device = Device(
        id=device_id, person_id=person.id, token_hash=_hashed(secrets.token_urlsafe(32)), enrolled_at=at,
        seen_at=at, revoked_at=at,
    )  # fmt: skip
    s.add(device)
    s.flush()
    for kind in ("enrol device", "revoke device"):
        events.record(s, f"device:{device.id}", kind, by=accounts.THE_SYSTEM, at=at)
    return device


def by_token(s: Session, token: str | None, at: datetime, *, locked: bool = False) -> Device | None:
    """The crew's device with this token or with the one that follows it, a revoked one too.

    None once it is over, and for the token of a resident, which is residents.py's. Where `locked`, nobody can
    shut it out or sign it out before our transaction ends.
    """
    if not token:
        return None
    device = s.scalars(_BY_TOKEN_LOCKED if locked else _BY_TOKEN, {"hashed": _hashed(token)}).first()
    if device is None or device.person_id is None:
        return None
    return device if at < device.seen_at + timedelta(days=TOKEN_DAYS) else None


def is_ours(token: str | None, device_id: str, secret: str) -> bool:
    """Whether we made this token for that device: by our signature on it, which needs no database.

    False for one that an earlier release made, or another secret. Whether it still counts, by_token() says:
    one that was exchanged since, or is over, is ours too.
    """
    return _signer(device_id, secret).validate(token or "")


def must_rotate_token(device: Device, token: str | None, secret: str) -> bool:
    """Whether rotate_token() has something to write."""
    return device.next_hash in (None, _hashed(token or "")) or not _was_given_next_token(device, secret)


def rotate_token(device: Device, token: str | None, secret: str, at: datetime) -> str | None:
    """Makes the next token the one that counts once the phone uses it; until then the old one does too.

    Returns the token that the phone should show from now on, where that is another. It follows from the old
    one and the city's secret: two tabs that ask at once, or ask again because the answer was lost, are given
    the same, and a database from last week's backup still knows it.
    """
    if device.next_hash == _hashed(token or ""):
        device.token_hash, device.token_at, device.next_hash = device.next_hash, at, None
    if not _was_given_next_token(device, secret):  # none yet, or made by another secret or release
        device.token_at = device.token_at or at
        device.next_hash = _hashed(_next_token(device, secret))
    used_since = device.token_at or device.enrolled_at
    return _next_token(device, secret) if at >= used_since + timedelta(days=ROTATE_AFTER_DAYS) else None


def is_signed_in(device: Device, at: datetime, days: int) -> bool:
    """Whether the phone may show itself for its person: so many days after they last signed in on it."""
    return device.signed_in_at is not None and at < device.signed_in_at + timedelta(days=days)


def reports_change(device: Device, asked: Exchange, at: datetime, *, arrived: int = 0) -> bool:
    """Whether a phone says of itself what is worth a write.

    It counts what it sends among what waits; `arrived` of that wait no more. From a phone that is put away
    after its last closing nobody would hear that.
    """
    known = (device.release, device.waiting, device.pack)
    # Also where our clock ran ahead once, and what it wrote lies before us.
    return _reported(asked, arrived) != known or abs(at - device.seen_at) >= SEEN_AGAIN


def record_exchange(device: Device, asked: Exchange, at: datetime, *, arrived: int = 0) -> None:
    """Notes that a phone was here and what it says of itself, where reports_change() says so."""
    if reports_change(device, asked, at, arrived=arrived):
        device.seen_at, (device.release, device.waiting, device.pack) = at, _reported(asked, arrived)


def photo_arrived(device: Device) -> None:
    """Notes that one photo less waits on a phone."""
    device.waiting = _without(device.waiting, "photos", 1)


def waits_since(device: Device) -> datetime | None:
    """When the oldest thing that waits on a phone was entered, by that phone's clock."""
    return _moment(device.waiting.get("oldest"))


def packed_at(device: Device) -> datetime | None:
    """When all that its jobs need was last packed on a phone, by that phone's clock."""
    return _moment(device.pack.get("at"))


def is_silent(device: Device, at: datetime) -> bool:
    """Whether work waits on a phone that has said nothing for hours."""
    waits = device.waiting.get("ops") or device.waiting.get("photos")
    return bool(waits) and at - device.seen_at >= SILENT


def revoke(s: Session, var: Path, device: Device, *, by: Actor, at: datetime) -> bool:
    """Shuts a phone out: its token opens nothing, and its person is logged out everywhere.

    What it had begun to upload is thrown away. An exchange that is under way ends first, and what it renewed
    ends here. False where it was shut out already.
    """
    if not sessions.shut_out(s, device, var, by=by, at=at):
        return False
    uploads.forget(var, device.id)
    return True


def _reported(asked: Exchange, arrived: int) -> tuple[str, dict[str, int], dict[str, int]]:
    return (
        asked.release,
        _without(_whole_numbers(asked.waiting, WAITING), "ops", arrived),
        _whole_numbers(asked.pack, PACK),
    )


def _without(waiting: Mapping[str, int], name: str, arrived: int) -> dict[str, int]:
    left = {**waiting, name: max(0, waiting.get(name, 0) - arrived)}
    return left if left.get("ops") or left.get("photos") else {}


def _whole_numbers(told: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, int]:
    return {name: n for name in names if type(n := told.get(name)) is int and 0 <= n < MOST}


def _moment(told: object) -> datetime | None:
    # A clock far off the calendar is no reason not to show the page.
    return datetime.fromtimestamp(told, UTC) if isinstance(told, int) and 0 < told < 2**32 else None


def _first_token(device_id: str, attempt: str, secret: str) -> str:
    told = f"first token:{device_id}:{attempt}"
    made = hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()
    return _signer(device_id, secret).sign(made).decode()


def _next_token(device: Device, secret: str) -> str:
    told = f"token:{device.id}:{device.token_hash}"
    made = hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()
    return _signer(device.id, secret).sign(made).decode()


def _was_given_next_token(device: Device, secret: str) -> bool:
    return device.next_hash == _hashed(_next_token(device, secret))


def _signer(device_id: str, secret: str) -> Signer:
    """Signs tokens for one phone: on another's they are worth nothing."""
    return Signer(secret, salt=f"phone:{device_id}", key_derivation="hmac", digest_method=hashlib.sha256)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
