"""What is forgotten with time: jobs that are done, tombstones, and all of an operation but what became of it.

For the worker. Each takes so many at a time, so that nobody waits behind it.
"""

from datetime import datetime

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from city.audit import events
from city.db.models import Case, ExpectedPhoto, SyncFeedRow, SyncOperation
from city.lifecycle import CLOSED
from sync import server_epoch
from sync.protocol import DEPOSITED, HELD
from sync.pull import DONE_STAYS
from sync.server_epoch import KEPT

AT_ONCE = 500


def take_done_away(s: Session, at: datetime) -> int:
    """Jobs that were closed a day ago leave the phones. Returns how many."""
    done = (
        select(SyncFeedRow.scope, SyncFeedRow.ref)
        .join(Case, Case.number == SyncFeedRow.ref)
        .where(SyncFeedRow.kind == "job", SyncFeedRow.present, Case.state == CLOSED)
        .where(Case.closed_at <= at - DONE_STAYS)
        .limit(AT_ONCE)
    )
    rows = s.execute(done).all()
    for scope, ref in rows:
        events.publish_to_sync_feed(s, scope, "job", ref, present=False, why="done")
    return len(rows)


def drop_tombstones(s: Session, at: datetime) -> int:
    """Forgets what is gone from a scope, and changed results, once phones had 90 days to hear of it."""
    old = server_epoch.read(s, at).horizon
    gone = and_(SyncFeedRow.seq <= old, or_(~SyncFeedRow.present, SyncFeedRow.kind == "result"))
    dropped = s.execute(delete(SyncFeedRow).where(gone)) if old else None
    return int(getattr(dropped, "rowcount", 0))


def compact(s: Session, at: datetime) -> int:
    """Keeps of an old operation its id, the hash of its body and its result's name: a replay changes nothing.

    What is still to be done or looked at stays whole. Returns how many were compacted.
    """
    old = list(
        s.scalars(
            select(SyncOperation)
            .where(SyncOperation.received_at < at - KEPT)
            .where(
                or_(SyncOperation.case_ref != "", SyncOperation.raw.is_not(None))
            )  # what was no entry has no case
            .where(SyncOperation.code.not_in((HELD, DEPOSITED)), SyncOperation.review.is_(None))
            .limit(AT_ONCE)
        )
    )
    ids = [row.id for row in old]
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.operation_id.in_(ids)))
    for row in old:
        row.result = {"id": row.result.get("id", row.id), "result": row.code}
        row.case_ref, row.raw, row.prev, row.case_id, row.version = "", None, None, None, None
    return len(old)
