"""Taking back what was sent by mistake a moment ago."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, transitions
from city.db.models import Case
from city.db.models import SyncOperation as Row
from city.lifecycle import Refused
from city.reports import proposals
from sync import expected_photos, operations
from sync.merge import PROPOSES
from sync.protocol import APPLIED, DEPOSITED, HELD, RECORDED, Operation, is_id, result

# A wrong tap is noticed at once; the phone may have lost its signal just then.
MINUTES = 15
MOVES = {"close": "close", "make_safe": "make safe", "needs_parts": "needs parts"}


def withdraw(
    s: Session, op: Operation, *, by: Actor, at: datetime, received: datetime
) -> tuple[dict[str, Any], Case | None] | None:
    """Takes back the operation that `data.op` names; None while that one is not here.

    `received` is when this one arrived: it may have waited here itself, with what it takes back. Where that
    can be no more, it is recorded and a person looks. Raises Refused `unknown_operation` for somebody else's.
    """
    named = operations.text(op, "op")
    if not is_id(named):
        raise Refused("malformed")
    row = operations.locked(s, named)
    if row is None:
        return None
    if row.person_id != by.person_id:
        raise Refused("unknown_operation")
    if row.code in (HELD, DEPOSITED):  # it never was done, and never will be
        row.code, row.result = RECORDED, result(row.id, RECORDED, "withdrawn")
        row.raw = row.review = None
        expected_photos.drop(s, row.id)
        # Its phone was told that it waits, and shows it as pending.
        events.publish_to_sync_feed(s, f"user:{row.person_id}", "result", row.id, present=True)
        return result(op.id, APPLIED), None
    case = s.get(Case, row.case_id) if row.case_id else None
    if case is None:
        return result(op.id, RECORDED, "too_late"), None
    locks.lock(s, case)
    if row.code == APPLIED and row.t in MOVES and row.version == case.version and received <= _until(row):
        # Refused where the crew may act no more, or had closed under a job that was another's by then.
        with suppress(Refused):
            transitions.undo_own_completion(s, case, MOVES[row.t], by=by, at=at, at_device=op.device_time)
            return result(op.id, APPLIED), case
    if row.code == APPLIED and row.t == PROPOSES and received <= _until(row):
        with suppress(Refused):
            if proposals.withdraw(s, case, row.id, by=by, at=at, at_device=op.device_time):
                return result(op.id, APPLIED), case
    transitions.record_fact(
        s, transitions.root_of(s, case), "withdraw", by=by, at=at, at_device=op.device_time, why="too_late",
        facts={"operation": op.id, "of": row.id},
    )  # fmt: skip
    return result(op.id, RECORDED, "too_late"), case


def _until(row: Row) -> datetime:
    return row.received_at + timedelta(minutes=MINUTES)
