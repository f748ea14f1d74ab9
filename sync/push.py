"""Taking a phone's operations: each once, in order, by the same verbs as everybody else's.

The numbers are those of `docs/sync.md`. Step 1 (who is it?) is done by routes.py, as is step 10 (answer).

For now a phone sends its photos first: a closing whose photos are not here yet is answered `retry` and
keeps its place on the phone, with `want` naming what is missing. A later version takes the closing at once
and lets evidence count when the photo arrives. In the same way `held` is answered and not yet stored, and
work whose author may not act for the crew is `retry`: only a phone keeps photos for as long as that takes.
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

from city import cases, events, people, promises
from city.db import reading, transaction
from city.events import Actor
from city.lifecycle import (
    CLOSED,
    CREW,
    MAX_WORDS,
    NO_PHOTO,
    OPEN,
    OUTCOMES,
    WAIT_REASONS,
    WAITING,
    Refused,
)
from city.schema import Assignment, Case, Person, Photo
from city.schema import Operation as Row
from sync import merge, uploads
from sync.merge import BARE, KEEP, VERB_UNDER_OLD_JOB, Decision, Seen
from sync.protocol import APPLIED, HELD, MERGED, QUARANTINED, RETRY, Malformed, Operation, result

TRIES = 3
QUARANTINE_ROWS, QUARANTINE_BYTES = 200, 2_000_000  # a device a day
NOT_TAKEN_YET = ("report", "withdraw")
# Operations whose verb takes words and photos itself; those of any other are kept beside it.
WITH_EVIDENCE = ("close", "make_safe", "needs_parts")
# Facts go into the log for ever, so they are choices and never a person's own words.
CHOICES = {"outcome": OUTCOMES, "no_photo": NO_PHOTO, "reason": WAIT_REASONS}
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


@dataclass(frozen=True)
class _Work:
    """One operation under the lock of its case, with all that is needed to carry it out."""

    op: Operation
    case: Case
    root: Case  # the case itself, or the one that it was merged into
    job: Assignment | None
    decision: Decision
    words: str
    photos: list[Photo]
    by: Actor
    at: datetime


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
            work = _decided(s, op, sender, by, at)  # 5
            row.result = _settled(s, work)  # 6
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
    taken.photos += [photo.id for photo in work.photos]
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


def _decided(s: Session, op: Operation, sender: Sender, by: Actor, at: datetime) -> _Work:
    """Finds the case, locks it and asks the table. Raises _NotYet or Refused."""
    if op.t in NOT_TAKEN_YET:
        raise _NotYet(result(op.id, RETRY, "not_taken_yet"))
    case = s.scalars(select(Case).where(Case.number == op.case)).first()
    if case is None:
        raise Refused("unknown_case")
    cases.lock(s, case)
    job = s.get(Assignment, op.assignment) if op.assignment else None
    if job and job.case_id != case.id:
        raise Refused("unknown_assignment")
    root = cases.root_of(s, case)
    decision = merge.decide(_seen(op, case, job, root, by))
    # Before `prev` and photos: what follows on it waits for the same reason, and asks for no upload.
    if decision.result == RETRY:
        raise _NotYet(result(op.id, RETRY, decision.why))
    if op.prev and s.get(Row, op.prev) is None:
        raise _NotYet(result(op.id, HELD, "prev"))
    bare = decision.effect == BARE
    words, photos = ("", []) if bare else (_words(op), _photos_of(s, op, sender))
    return _Work(op, case, root, job, decision, words, photos, by, at)


def _settled(s: Session, work: _Work) -> dict[str, Any]:
    """Calls the verb or keeps the facts, and says what became of it. Nothing that was said is dropped."""
    op, decision = work.op, work.decision
    if decision.effect in (KEEP, BARE):
        _keep(s, work)
        return result(op.id, decision.result, decision.why, to=decision.to)
    moved = _moved(s, work)
    if (work.words or work.photos) and not (moved and op.t in WITH_EVIDENCE):
        _keep(s, work)
        if not moved:
            return result(op.id, MERGED, "done")
    return result(op.id, decision.result, decision.why)


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
        waits_otherwise=(
            op.t == "wait" and case.state == WAITING and promises.waits_for(case) != _text(op, "reason")
        ),
    )


def _moved(s: Session, work: _Work) -> bool:
    """Calls the verb; False where it had been done already."""
    op, case = work.op, work.case
    told: dict[str, Any] = {"by": work.by, "at": work.at, "at_device": op.device_time}
    evidence: dict[str, Any] = {"words": work.words, "photos_taken": work.photos}
    if op.t == "close":
        if work.decision.effect == VERB_UNDER_OLD_JOB:
            told |= {"under": work.job, "why": work.decision.why}
        outcome, no_photo = _text(op, "outcome"), _text(op, "no_photo") or None
        return cases.close(s, case, outcome=outcome, no_photo=no_photo, **evidence, **told)
    if op.t == "make_safe":
        return cases.make_safe(s, case, **evidence, **told)
    if op.t == "needs_parts":
        return cases.needs_parts(s, case, **evidence, **told)
    if op.t == "wait":
        return cases.wait(s, case, _text(op, "reason"), **told)
    return {"start": cases.start, "pause": cases.pause, "resume": cases.resume}[op.t](s, case, **told)


def _keep(s: Session, work: _Work) -> None:
    """Adds what the crew said to the case's history. A note is a note, its photos come beside it."""
    op, root, job, words = work.op, work.root, work.job, work.words
    told: dict[str, Any] = {"by": work.by, "at": work.at, "at_device": op.device_time}
    if op.t == "note" and work.decision.result == APPLIED:
        if words or not work.photos:
            cases.note(s, root, words, **told)
            words = ""
        if not work.photos:
            return
    cases.keep(
        s, root, op.t, words=words, photos_taken=work.photos, facts=_facts(work),
        why=work.decision.why if work.decision.review else None,
        cycle=job.cycle if job and root is work.case else None, **told,
    )  # fmt: skip
    if op.t == "close" and work.decision.result == MERGED:
        for photo in work.photos:  # the other phone's photo proves the closing as well
            photo.closure_id = root.closures[-1].id


def _facts(work: _Work) -> dict[str, Any]:
    """What an operation says besides words and photos; raises Refused where that cannot be."""
    op = work.op
    facts: dict[str, Any] = {"operation": op.id}
    if work.decision.effect == BARE:
        return facts
    for name, choices in CHOICES.items():
        value = _text(op, name)
        if value and value not in choices:
            raise Refused("unknown_value", name=name, value=value)
        if value:
            facts[name] = value
    if op.t == "time":
        minutes = op.data.get("minutes")
        if not isinstance(minutes, int) or isinstance(minutes, bool):
            raise Refused("malformed")
        facts["minutes"] = minutes
    return facts


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
    """The operation's words, whole: longer ones are set aside, since half a sentence misleads."""
    words = _text(op, "words").replace("\r\n", "\n").strip()
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    return words


def _text(op: Operation, name: str) -> str:
    value = op.data.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused("malformed")
    return value or ""


def _storable(raw: str) -> str:
    """PostgreSQL keeps neither NUL nor half a character."""
    return raw if "\\u0000" not in raw and _is_whole(raw) else json.dumps(raw)


def _is_whole(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True
