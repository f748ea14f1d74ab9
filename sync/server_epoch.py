"""What the city remembers: how far its log goes and since which start, what it lost, what it may forget."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.orm import Session

from city.db.models import Backup, DailyRoot, Epoch, Event, EventSequence
from sync.protocol import Point

# Phones had so long to hear of a tombstone.
KEPT = timedelta(days=90)
# Without a backup, work that a phone has been told of is taken for kept after a week.
SAFE_AFTER = timedelta(days=7)

_EPOCH = func.coalesce(select(Epoch.id).order_by(Epoch.at.desc()).limit(1).scalar_subquery(), "")
_POINT = select(EventSequence.n, _EPOCH)
MARK = 16  # letters of a hash
# Asked at every exchange, so it is made once.
_MEMORY = select(
    EventSequence.n,
    _EPOCH,
    func.coalesce(
        select(func.substr(Event.hash, 1, MARK)).order_by(Event.seq.desc()).limit(1).scalar_subquery(), ""
    ),
    func.coalesce(
        select(Backup.seq).order_by(Backup.id.desc()).limit(1).scalar_subquery(),
        select(func.max(DailyRoot.seq)).where(DailyRoot.day < bindparam("safe_day")).scalar_subquery(),
        0,
    ),
    func.coalesce(
        select(func.max(DailyRoot.seq)).where(DailyRoot.day < bindparam("kept_day")).scalar_subquery(), 0
    ),
)
# In one text for any number of points. The clock may stand beyond the last line.
_MARKS = {
    "postgresql": text("""SELECT asked.upto, (
  SELECT substr(hash, 1, :letters) FROM events WHERE seq <= asked.upto ORDER BY seq DESC LIMIT 1
)
FROM (SELECT CAST(value AS bigint) AS upto FROM json_array_elements_text(CAST(:asked AS json))) AS asked"""),
    "sqlite": text("""SELECT asked.value, (
  SELECT substr(hash, 1, :letters) FROM events WHERE seq <= asked.value ORDER BY seq DESC LIMIT 1
)
FROM json_each(:asked) AS asked"""),
}


class WentBack(Exception):
    """The log ends before where this process saw it end. Whoever asks is answered anew."""


@dataclass(frozen=True)
class Memory:
    """One moment of it, read in one statement: no start after `epoch` lies before `log`."""

    log: int  # how far the log goes
    epoch: str  # the newest start of whoever writes
    mark: str  # of the log's last line: another past has another
    safe: int  # up to here a phone may forget what it sent: the newest complete backup has it
    horizon: int  # below here tombstones are dropped: a phone that has not read so far begins anew

    @property
    def point(self) -> Point:
        """Where the log stands."""
        return Point(self.epoch, self.log, self.mark)


def read(s: Session, at: datetime) -> Memory:
    """What the city remembers now."""
    days = {"safe_day": (at - SAFE_AFTER).date(), "kept_day": (at - KEPT).date()}
    return Memory(*s.execute(_MEMORY, days).one())


def now(s: Session) -> Point:
    """How far the log goes, and since which start; without its mark."""
    upto, epoch = s.execute(_POINT).one()
    return Point(epoch, upto)


def marks(s: Session, uptos: Collection[int]) -> dict[int, str]:
    """The mark of each of these points, as the log has it now."""
    if not uptos:
        return {}
    found = s.execute(
        _MARKS[s.get_bind().dialect.name], {"asked": json.dumps(sorted(uptos)), "letters": MARK}
    )
    return {int(upto): mark or "" for upto, mark in found}


def went_back(s: Session, to: Point, seen: Point, marks: Mapping[int, str]) -> int | None:
    """From which seq on the database lost what a phone has `seen`, as after a restore; None where nothing.

    `to` is where the log stands by now, `marks` what it has at the points that are remembered with one. Where
    the epoch is unknown, the log ends before that point or has another line there, nobody knows from where
    on: 0. Else the server that followed began to count below it.
    """
    lost = _lost(s, to.epoch, seen)
    if lost is None and (seen.upto > to.upto or (seen.mark and marks[seen.upto] != seen.mark)):
        return 0
    return lost


def _lost(s: Session, newest: str, seen: Point) -> int | None:
    if seen.epoch == newest:
        return None
    if not seen.epoch:
        return 0 if seen.upto else None
    known = s.get(Epoch, seen.epoch)
    if known is None:
        return 0
    follower = s.scalars(
        select(Epoch).where(Epoch.at > known.at).order_by(Epoch.at, Epoch.first_seq).limit(1)
    ).first()
    return follower.first_seq if follower and follower.first_seq <= seen.upto else None
