"""Taking a phone's operations: each once, in order, by the same verbs as everybody else's.

The numbers are those of `docs/sync.md`. Step 1 (who is it?) is done by routes.py, as is step 10 (answer).

For now a phone sends its photos first: a closing whose photos are not here yet is answered `retry` and
keeps its place on the phone, with `want` naming what is missing. A later version takes the closing at once
and lets evidence count when the photo arrives. In the same way `held` is answered and not yet stored.
"""

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from city import cases, events, people
from city.db import reading, transaction
from city.events import Actor
from city.lifecycle import CLOSED, CREW, OPEN, Refused
from city.schema import Assignment, Case, Person, Photo
from city.schema import Operation as Row
from sync import merge, uploads
from sync.merge import KEEP, NOTHING, VERB_UNDER_OLD_JOB, Decision, Seen
from sync.protocol import (
    APPLIED,
    DEPOSITED,
    HELD,
    QUARANTINED,
    RETRY,
    Malformed,
    Operation,
    result,
)

TRIES = 3
QUARANTINE_ROWS, QUARANTINE_BYTES = 200, 2_000_000  # a device a day
NOT_TAKEN_YET = ("report", "withdraw")
log = logging.getLogger(__name__)


class Busy(Exception):
    """The database would not let us finish, three times. The phone comes back later."""


class QuarantineFull(Exception):
    """This phone sends too much that nobody can read. It keeps the rest."""


@dataclass(frozen=True)
class Sender:
    """Whose phone it is, and the folder of what it has uploaded."""

    device_id: str
    person_id: int
    var: Path


@dataclass
class Taken:
    """One result an operation, the photos still missing, and those that wait for the store."""

    results: list[dict[str, Any]] = field(default_factory=list)
    want: list[str] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)


class _NotYet(Exception):
    """Nothing is stored; the phone keeps the operation."""

    def __init__(self, answer: dict[str, Any], want: Sequence[str] = ()) -> None:
        super().__init__(answer)
        self.answer, self.want = answer, list(want)


class _Known(Exception):
    """The id is taken: this is a replay, or a twin that came a moment too late."""


def push(engine: Engine, sender: Sender, ops: Sequence[Operation | Malformed], at: datetime) -> Taken:
    """Takes the operations in the phone's own order; raises Busy or QuarantineFull."""
    if not ops:
        return Taken()
    _check_quarantine(engine, sender, at)
    for tries in range(1, TRIES + 1):
        try:
            return _take(engine, sender, sorted(ops, key=lambda op: op.n), at)
        except OperationalError:  # a deadlock or a lock that was waited for too long
            if tries == TRIES:
                raise Busy from None
    raise Busy


def _take(engine: Engine, sender: Sender, ops: Sequence[Operation | Malformed], at: datetime) -> Taken:
    taken = Taken()
    with transaction(engine) as s:  # 2 begin
        by = people.actor(s.get_one(Person, sender.person_id))
        for op in ops:
            taken.results.append(_one(s, op, sender, by, at, taken))
    return taken  # 8 flush, clock, log, feed and 9 commit: db.transaction() did it as we left


def _one(
    s: Session, op: Operation | Malformed, sender: Sender, by: Actor, at: datetime, taken: Taken
) -> dict[str, Any]:
    if isinstance(op, Malformed):
        return _quarantined(s, op, op.why, sender, at)
    if known := s.get(Row, op.id):
        return _replayed(s, op, known, sender, at)
    try:
        with events.savepoint(s):  # 3 a savepoint, so that one bug spoils one operation
            row = _claimed(s, op, sender, at)  # 4
            photos = _photos_of(s, op, sender)
            row.result = _settled(s, op, photos, by, at)  # 5, 6
            if row.result["result"] == DEPOSITED:
                row.raw = op.raw
            s.flush()  # 7 the result is stored with its effect
    except _NotYet as not_yet:
        taken.want += not_yet.want
        return not_yet.answer
    except _Known:
        return _replayed(s, op, s.get_one(Row, op.id, populate_existing=True), sender, at)
    except OperationalError:
        raise
    except Refused as refused:
        return _quarantined(s, op, refused.code, sender, at)
    except Exception:
        log.exception("operation %s of device %s", op.id, sender.device_id)
        return _quarantined(s, op, "fault", sender, at)
    taken.photos += [photo.id for photo in photos]
    return row.result


def _claimed(s: Session, op: Operation, sender: Sender, at: datetime) -> Row:
    """The operation's row. On PostgreSQL a twin waits here until the first is committed."""
    row = Row(
        id=op.id, device_id=sender.device_id, person_id=sender.person_id, n=op.n, t=op.t, case_ref=op.case,
        body_hash=op.hash, result={}, received_at=at,
    )  # fmt: skip
    try:
        with s.begin_nested():
            s.add(row)
    except IntegrityError:
        raise _Known from None
    return row


def _replayed(s: Session, op: Operation, known: Row, sender: Sender, at: datetime) -> dict[str, Any]:
    """The stored result; another body under the same id is a clone's or a forger's, and is set aside."""
    if known.body_hash == op.hash:
        return dict(known.result)
    return _quarantined(s, op, "another_body", sender, at)


def _photos_of(s: Session, op: Operation, sender: Sender) -> list[Photo]:
    """The staged photos of an operation, in its order."""
    found = [uploads.staged(s, sender.device_id, declared) for declared in op.photos]
    missing = [declared.id for declared, photo in zip(op.photos, found, strict=True) if photo is None]
    if missing:
        raise _NotYet(result(op.id, RETRY, "photos"), missing)
    return [photo for photo in found if photo]


def _settled(s: Session, op: Operation, photos: list[Photo], by: Actor, at: datetime) -> dict[str, Any]:
    """5 decide, and 6 call the verb."""
    if op.t in NOT_TAKEN_YET:
        raise _NotYet(result(op.id, RETRY, "not_taken_yet"))
    if op.prev and s.get(Row, op.prev) is None:
        raise _NotYet(result(op.id, HELD, "prev"))
    case = s.scalars(select(Case).where(Case.number == op.case)).first()
    if case is None:
        raise Refused("unknown_case")
    cases.lock(s, case)
    job = s.get(Assignment, op.assignment) if op.assignment else None
    if job and job.case_id != case.id:
        raise Refused("unknown_assignment")
    root = cases.root_of(s, case)
    decision = merge.decide(_seen(op, case, job, root, by))
    if decision.effect == KEEP:
        cycle = job.cycle if job and root is case else None
        _keep(s, op, decision, root, cycle, photos, by, at)
    elif decision.effect != NOTHING:
        under = job if decision.effect == VERB_UNDER_OLD_JOB else None
        _do(s, op, case, under, photos, by, at)
    return result(op.id, decision.result, decision.why, to=decision.to)


def _seen(op: Operation, case: Case, job: Assignment | None, root: Case, by: Actor) -> Seen:
    live = cases.live(case)
    ours = {job.crew_id} if job else set(by.crew_ids)
    closure = case.closures[-1] if case.closures and case.state == CLOSED else None
    return Seen(
        t=op.t,
        cycle=job.cycle if job else op.cycle,
        job=job.id if job else None,
        state=case.state,
        case_cycle=case.cycle,
        live=live.id if live else None,
        live_is_ours=live is not None and job is not None and live.crew_id == job.crew_id,
        live_started=live is not None and live.started_at is not None,
        author_may=CREW in by.roles and (job is None or job.crew_id in by.crew_ids),
        # While the problem is still there, a crew must be able to mend it, whoever asked to be forgotten.
        erased=case.state not in OPEN and bool(case.reports) and all(r.erased_at for r in case.reports),
        root=root.number if root.id != case.id else None,
        job_ended=job.ended_why if job else None,
        closed_by_us=closure is not None and closure.crew_id in ours,
    )


def _do(
    s: Session,
    op: Operation,
    case: Case,
    under: Assignment | None,
    photos: list[Photo],
    by: Actor,
    at: datetime,
) -> None:
    told: dict[str, Any] = {"by": by, "at": at, "at_device": op.device_time}
    words = _words(op)
    if op.t == "close":
        cases.close(
            s, case, outcome=_text(op, "outcome"), no_photo=_text(op, "no_photo") or None, words=words,
            photos_taken=photos, under=under, **told,
        )  # fmt: skip
    elif op.t == "make_safe":
        cases.make_safe(s, case, photos_taken=photos, words=words, **told)
    elif op.t == "needs_parts":
        cases.needs_parts(s, case, photos_taken=photos, words=words, **told)
    elif op.t == "wait":
        cases.wait(s, case, _text(op, "reason"), **told)
    else:
        {"start": cases.start, "pause": cases.pause, "resume": cases.resume}[op.t](s, case, **told)


def _keep(
    s: Session,
    op: Operation,
    decision: Decision,
    root: Case,
    cycle: int | None,
    photos: list[Photo],
    by: Actor,
    at: datetime,
) -> None:
    if op.t == "note" and decision.result == APPLIED:
        cases.note(s, root, _words(op), by=by, at=at, at_device=op.device_time)
        return
    facts = {"operation": op.id, "outcome": _text(op, "outcome"), "no_photo": _text(op, "no_photo")}
    if op.t == "time" and isinstance(op.data.get("minutes"), int):
        facts["minutes"] = op.data["minutes"]
    cases.keep(
        s, root, op.t, by=by, at=at, at_device=op.device_time, words=_words(op), photos_taken=photos,
        why=decision.why if decision.review else None, cycle=cycle,
        facts={name: value for name, value in facts.items() if value},
    )  # fmt: skip


def _quarantined(
    s: Session, op: Operation | Malformed, why: str, sender: Sender, at: datetime
) -> dict[str, Any]:
    """Sets an operation aside with its raw body; the same body sent again finds the same row."""
    answer = result(op.id, QUARANTINED, why)
    held = s.scalars(
        select(Row).where(Row.device_id == sender.device_id, Row.body_hash == op.hash).limit(1)
    ).first()
    if held:
        return dict(held.result)
    free = op.id and s.get(Row, op.id) is None
    s.add(
        Row(
            id=op.id if free else str(uuid.uuid4()), device_id=sender.device_id, person_id=sender.person_id,
            n=op.n, t=op.t if isinstance(op, Operation) else "", body_hash=op.hash, result=answer,
            case_ref=op.case if isinstance(op, Operation) else "", raw=_storable(op.raw), received_at=at,
        )
    )  # fmt: skip
    s.flush()
    return answer


def _check_quarantine(engine: Engine, sender: Sender, at: datetime) -> None:
    with reading(engine) as s:
        rows, size = s.execute(
            select(func.count(), func.coalesce(func.sum(func.length(Row.raw)), 0)).where(
                Row.device_id == sender.device_id,
                Row.received_at > at - timedelta(days=1),
                Row.result["result"].as_string() == QUARANTINED,
            )
        ).one()
    if rows >= QUARANTINE_ROWS or size >= QUARANTINE_BYTES:
        raise QuarantineFull


def _words(op: Operation) -> str:
    return _text(op, "words").strip()[:4000]


def _text(op: Operation, name: str) -> str:
    value = op.data.get(name)
    return value if isinstance(value, str) else ""


def _storable(raw: str) -> str:
    """PostgreSQL keeps neither NUL nor half a character."""
    return raw if "\\u0000" not in raw and _is_whole(raw) else json.dumps(raw)


def _is_whole(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True
