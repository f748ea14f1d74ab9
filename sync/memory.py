"""What the city remembers: how far its log goes and since which start, what it lost, what it may forget."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from city import boots
from city.schema import Backup, Boot, Clock, Root

# Phones had so long to hear of a tombstone.
KEPT = timedelta(days=90)
# Without a backup, work that a phone has been told of is taken for kept after a week.
SAFE_AFTER = timedelta(days=7)

# Asked at every exchange, so it is made once.
_MEMORY = select(
    Clock.n,
    func.coalesce(select(Boot.id).order_by(Boot.at.desc()).limit(1).scalar_subquery(), ""),
    func.coalesce(
        select(Backup.seq).order_by(Backup.id.desc()).limit(1).scalar_subquery(),
        select(func.max(Root.seq)).where(Root.day < bindparam("safe_day")).scalar_subquery(),
        0,
    ),
    func.coalesce(select(func.max(Root.seq)).where(Root.day < bindparam("kept_day")).scalar_subquery(), 0),
)


@dataclass(frozen=True)
class Memory:
    """One moment of it, read in one statement: no start after `epoch` lies before `log`."""

    log: int  # how far the log goes
    epoch: str  # the newest start of whoever writes
    safe: int  # up to here a phone may forget what it sent: the newest complete backup has it
    horizon: int  # below here tombstones are dropped: a phone that has not read so far begins anew


def read(s: Session, at: datetime) -> Memory:
    """What the city remembers now."""
    days = {"safe_day": (at - SAFE_AFTER).date(), "kept_day": (at - KEPT).date()}
    return Memory(*s.execute(_MEMORY, days).one())


def epoch(s: Session) -> str:
    """The newest start of whoever writes; "" where none was noted."""
    newest = boots.newest(s)
    return newest.id if newest else ""


def went_back(s: Session, newest: str, *seen: tuple[str, int]) -> list[int | None]:
    """From which seq on the database lost what this phone has seen, as after a restore; None where nothing.

    `newest` is the epoch by now. Answers for each epoch with how far the log went in it. The epoch is unknown
    then (and nobody knows from where on: 0), or the server that followed began to count below that.
    """
    return [_lost(s, newest, *each) for each in seen]


def _lost(s: Session, newest: str, epoch: str, reached: int) -> int | None:
    if epoch == newest:
        return None
    if not epoch:
        return 0 if reached else None
    known = s.get(Boot, epoch)
    if known is None:
        return 0
    follower = s.scalars(
        select(Boot).where(Boot.at > known.at).order_by(Boot.at, Boot.first_seq).limit(1)
    ).first()
    return follower.first_seq if follower and follower.first_seq <= reached else None
