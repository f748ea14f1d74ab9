"""Residents' phones: a token without an account, good for reports and their photos only, within limits.

Nothing of theirs is lost because the phone keeps it, not because the city must take it: what is over a limit
is refused before anything of it is stored.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from city.db.in_list import is_in
from city.db.models import Device, SyncOperation
from city.people import rate_limits
from sync.devices import TOKEN_DAYS

TOKENS_AN_HOUR = 60  # a network
UNUSED_LIFE = timedelta(days=1)


@dataclass(frozen=True)
class Limits:
    """Reports an hour: of one token, of one network, of all together; 0 for as many as they like."""

    token: int
    network: int
    everybody: int


class TooMany(Exception):
    """Over a limit. Nothing was stored; the phone comes back after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def begin(s: Session, source: str, at: datetime) -> tuple[Device, str]:
    """A new token for a phone that nobody knows; raises TooMany for a network that asks for very many."""
    if rate_limits.counted(s, "token", source, at) >= TOKENS_AN_HOUR:
        raise TooMany(3600)
    rate_limits.count_one(s, "token", source, at)
    token = secrets.token_urlsafe(32)
    device = Device(
        id=str(uuid.uuid4()),
        person_id=None,
        token_hash=_hashed(token),
        token_at=at,
        enrolled_at=at,
        seen_at=at,
    )
    s.add(device)
    s.flush()
    return device, token


def by_token(s: Session, token: str | None, at: datetime) -> Device | None:
    """The resident's phone with this token."""
    if not token:
        return None
    found = s.scalars(select(Device).where(Device.token_hash == _hashed(token))).first()
    lives = found is not None and at < found.seen_at + timedelta(days=TOKEN_DAYS)
    return found if found and lives and found.person_id is None and found.revoked_at is None else None


def admit(s: Session, device: Device, new: int, source: str, limits: Limits, at: datetime) -> None:
    """Counts `new` reports against every limit; raises TooMany and counts nothing where one is reached."""
    own = f"device:{device.id}"
    for most, who in ((limits.token, own), (limits.network, source), (limits.everybody, "all")):
        if most and rate_limits.counted(s, "report", who, at) + new > most:
            raise TooMany(rate_limits.wait(s, "report", who, at))
    for who in (own, source, "all"):
        for _ in range(new):
            rate_limits.count_one(s, "report", who, at)


def sweep(s: Session, at: datetime) -> int:
    """Forgets phones that sent nothing within a day; returns how many."""
    used = select(SyncOperation.device_id).where(SyncOperation.device_id == Device.id).exists()
    unused = delete(Device).where(Device.person_id.is_(None), Device.enrolled_at < at - UNUSED_LIFE, ~used)
    return int(getattr(s.execute(unused), "rowcount", 0))


def new_ones(s: Session, device: Device, hashes: list[str]) -> int:
    """How many of these operations are not here yet: a replay costs nothing, another body under a known id
    does."""
    known = select(func.count(SyncOperation.body_hash.distinct()))
    known = known.where(SyncOperation.device_id == device.id, is_in(SyncOperation.body_hash, hashes))
    return len(set(hashes)) - (s.scalar(known) or 0)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
