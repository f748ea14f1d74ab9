"""When somebody began to write to this database. By these rows a phone notices that its memory went back."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.db import transaction
from city.schema import Boot, Clock

_NEWEST = select(Boot).order_by(Boot.at.desc()).limit(1)


def boot(engine: Engine, at: datetime) -> str:
    """Notes a start, before whoever starts writes anything else. Returns the new epoch.

    The row's `first_seq` is what makes a restore visible: lines that a phone has seen beyond it were lost.
    """
    epoch = secrets.token_hex(8)
    with transaction(engine) as s:
        last = s.scalar(select(Clock.n)) or 0
        before = newest(s)
        if before:  # starts are read in their order, also where the machine's clock went back
            at = max(at, before.at + timedelta(microseconds=1))
        s.add(Boot(id=epoch, first_seq=last + 1, at=at))
    return epoch


def newest(s: Session) -> Boot | None:
    """The last start: its id is the epoch that answers name."""
    return s.scalars(_NEWEST).first()
