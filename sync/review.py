"""What a person must look at: work that was stored and not done, or that could not move its case.

Verbs for supervisors and dispatchers, and what the worker does by itself when nobody came.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, transitions
from city.cases.transitions import Closing
from city.db.in_list import is_in
from city.db.models import Assignment, Case, Crew, ExpectedPhoto, Person, SyncOperation
from city.lifecycle import CANCELLED, CREW, OPEN, Refused, may
from city.reports import proposals
from sync import expected_photos, operations, protocol, push
from sync.merge import RULES, Rules
from sync.protocol import APPLIED, DEPOSITED, HELD, QUARANTINED, RECORDED, result

WAITS = timedelta(hours=72)


@dataclass(frozen=True)
class Sent:
    """One operation with what belongs to it. `said` holds its choices, `root` what its case is now.

    `crew` is the name of the crew whose job it names, where a person sent it and it is a job of that case.
    `entered_at` is when the phone wrote it down, by its own clock; None where nobody can read it.
    """

    row: SyncOperation
    person: Person | None
    case: Case | None
    root: Case | None
    words: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    photos: Sequence[str] = ()  # ids of those that are here
    missing: int = 0
    crew: str = ""
    entered_at: datetime | None = None

    @property
    def may_count(self) -> bool:
        """Whether it is a closing that could still close its case."""
        recorded = self.row.code == RECORDED and self.row.t == "close"
        root = self.root
        return recorded and root is not None and root.state in (*OPEN, CANCELLED) and not root.service.office

    @property
    def may_release(self) -> bool:
        return self.row.code == DEPOSITED


def to_look_at(s: Session, limit: int) -> list[Sent]:
    """What somebody must look at, the oldest first."""
    asked = select(SyncOperation).where(push.TO_REVIEW).order_by(SyncOperation.received_at, SyncOperation.n)
    return _with_relations(s, list(s.scalars(asked.limit(limit))))


def count(s: Session) -> int:
    """How much somebody must look at."""
    return s.scalar(select(func.count()).select_from(SyncOperation).where(push.TO_REVIEW)) or 0


def release(s: Session, row: SyncOperation, *, by: Actor, at: datetime, rules: Rules = RULES) -> list[str]:
    """Lets deposited work be done as if its author were in that crew now, under the same table as any other.

    Returns the photos that wait for the store. Work that was done meanwhile is left alone.
    """
    may("release", by.roles)
    if row.code != DEPOSITED:
        return []
    _record(s, row, "release", by, at)
    row.review = None
    return push.reapply(s, row, by=_author(s, row), at=at, rules=rules)


def count_as_done(s: Session, row: SyncOperation, *, by: Actor, at: datetime) -> bool:
    """Closes the case as the crew said, though the table did not: a cancelled one is restored first, and of a
    merged one it is what it was merged into. Its author hears of it.

    Raises Refused `nothing_to_count` where it was no closing, or is an office's case, which no crew ends, and
    what cases.close() raises.
    """
    op = protocol.reread(row.raw or "")
    seen = row.review is None  # in another tab, and the case may have been reopened since
    if isinstance(op, protocol.Malformed) or op.t != "close" or row.case_id is None or seen:
        raise Refused("nothing_to_count")
    case = transitions.root_of(s, s.get_one(Case, row.case_id))
    locks.lock(s, case)
    if case.service.office:
        raise Refused("nothing_to_count")
    if case.state == CANCELLED:
        transitions.restore(s, case, by=by, at=at)
    if case.state not in OPEN:
        raise Refused("wrong_state", move="close", state=case.state)
    job = s.get(Assignment, op.assignment) if op.assignment else None
    photos = expected_photos.of(s, row.id)
    missing = [photo for photo in photos if photo.photo_id is None and photo.fault is None]
    transitions.close(
        s,
        case,
        Closing(
            operations.text(op, "outcome"),
            no_photo=operations.text(op, "no_photo") or None,
            words=operations.words_of(op),
            promised=len(missing),
            photos=[photo for photo in expected_photos.arrived(s, photos) if photo.case_id == case.id],
        ),
        by=by,
        at=at,
        under=job,
        look=(row.review or "counted") if job else None,
        # Done in an earlier cycle, it is no proof of when this one ended.
        at_device=op.device_time if job and job.cycle == case.cycle else None,
    )
    expected_photos.attach_to(missing, case_id=case.id, cycle=case.cycle, closure_id=case.closures[-1].id)
    dismiss(s, row, by=by, at=at)
    row.code, row.result = APPLIED, result(row.id, APPLIED, "counted")
    push.notify_result_changed(s, row)
    return True


def dismiss(s: Session, row: SyncOperation, *, by: Actor, at: datetime, rules: Rules = RULES) -> bool:
    """Somebody has looked at it, and nothing more is done. False where somebody has looked before.

    The author, whose phone still shows it, hears of work that never was; its photos are not waited for, and
    what was held for it goes on. Here its words go: with nobody to look at it, no erasure would find them.
    """
    may("review", by.roles)
    if row.review is None:
        return False
    _record(s, row, "dismiss", by, at)
    row.review = row.raw = None
    if row.code in (HELD, DEPOSITED, QUARANTINED):
        expected_photos.drop(s, row.id)
    if row.code in (HELD, DEPOSITED):
        row.code, row.result = RECORDED, result(row.id, RECORDED, "dismissed")
        push.notify_result_changed(s, row)
        push.release_dependents(s, row, at=at, rules=rules)
    elif row.case_id:
        case = s.get_one(Case, row.case_id)
        for each in {case.id: case, (root := transitions.root_of(s, case)).id: root}.values():
            proposals.reviewed(s, each, by=by, at=at)
    return True


def overdue(s: Session, at: datetime, rules: Rules = RULES) -> int:
    """Brings before a person what was held or deposited for three days, and does what was held for that.

    Returns how much came before a person; for the worker.
    """
    late = select(SyncOperation).where(push.NOT_DONE, SyncOperation.review.is_(None))
    brought = 0
    rows = s.scalars(
        late.where(SyncOperation.received_at <= at - WAITS).order_by(SyncOperation.n, SyncOperation.id)
    ).all()
    operations.lock_cases_of(s, rows)
    for row in rows:
        operations.locked(s, row.id)
        if row.code not in (HELD, DEPOSITED) or row.review:
            continue  # somebody has seen to it since, or it went on with one before it
        if row.code == DEPOSITED:
            row.review = DEPOSITED
        elif push.is_pending(s, row.prev, row.case_ref):
            continue  # whoever sees to that lets this go on too
        else:
            _give_up_waiting(s, row, at, rules)
        brought += 1
    return brought


def _give_up_waiting(s: Session, row: SyncOperation, at: datetime, rules: Rules) -> None:
    """What held work follows on never came: it is kept as a fact, where its case is known.

    What was held for it goes on.
    """
    op = protocol.reread(row.raw or "")
    found = operations.find_case(s, op.case) if isinstance(op, protocol.Operation) else None
    case = found if isinstance(found, Case) else None
    row.code, row.result, row.review = QUARANTINED, result(row.id, QUARANTINED, HELD), HELD
    if case and isinstance(op, protocol.Operation):
        try:
            with events.savepoint(s):
                told = operations.record_only(
                    s, op, case, expected_photos.of(s, row.id), HELD, by=_author(s, row), at=at
                )
                row.case_id = case.id
                row.code, row.result, row.review = RECORDED, told, told["why"]
                row.raw = row.raw if told["why"] == HELD else None  # what was erased is not kept here either
                s.flush()
        except Refused:  # it cannot be kept as it was meant, so it stays set aside
            s.refresh(row)
            row.code, row.result, row.review = QUARANTINED, result(row.id, QUARANTINED, HELD), HELD
    push.notify_result_changed(s, row)
    push.release_dependents(s, row, at=at, rules=rules)


def _author(s: Session, row: SyncOperation) -> Actor:
    """Whoever did the work, as somebody of the crew whose job it was."""
    op = protocol.reread(row.raw or "")
    number = op.assignment if isinstance(op, protocol.Operation) else None
    job = s.get(Assignment, number) if number else None
    person = s.get_one(Person, row.person_id)
    crews = {crew.id for crew in person.crews} | ({job.crew_id} if job else set())
    return Actor(f"person:{person.id}", frozenset({CREW}), person.id, frozenset(crews))


def _record(s: Session, row: SyncOperation, kind: str, by: Actor, at: datetime) -> None:
    facts = {"operation": row.id, "why": row.review}
    events.record(s, f"device:{row.device_id}", kind, by=by, at=at, facts=facts)


def _with_relations(s: Session, rows: Sequence[SyncOperation]) -> list[Sent]:
    """The rows with all that belongs to them, which is read for all of them at once."""
    known = _cases(s, rows)
    people = s.scalars(select(Person).where(Person.id.in_({row.person_id for row in rows} - {None})))
    names = {person.id: person for person in people}
    photos_of: dict[str, list[ExpectedPhoto]] = defaultdict(list)
    for photo in s.scalars(select(ExpectedPhoto).where(ExpectedPhoto.operation_id.in_(r.id for r in rows))):
        photos_of[photo.operation_id].append(photo)
    ops = {row.id: protocol.reread(row.raw or "") for row in rows}
    jobs = _jobs(s, [op for op in ops.values() if isinstance(op, protocol.Operation)])
    return [
        _sent(
            s, row, ops[row.id], names.get(row.person_id or 0), known.get(row.case_id or row.case_ref),
            photos_of[row.id], jobs,
        )
        for row in rows
    ]  # fmt: skip


def _jobs(s: Session, ops: Sequence[protocol.Operation]) -> dict[tuple[int, int], str]:
    """The name of the crew of each job that these operations name, by the ids of job and case."""
    named = {op.assignment for op in ops if op.assignment}
    asked = select(Assignment.id, Assignment.case_id, Crew.name).join(Crew, Crew.id == Assignment.crew_id)
    return {(row.id, row.case_id): row.name for row in s.execute(asked.where(is_in(Assignment.id, named)))}


def _cases(s: Session, rows: Sequence[SyncOperation]) -> dict[int | str, Case]:
    """The rows' cases by id and by number, those too that they were merged into."""
    ids, numbers = {row.case_id for row in rows} - {None}, {row.case_ref for row in rows}
    whole = select(Case).options(joinedload(Case.service))
    asked = whole.where(or_(Case.id.in_(ids), Case.number.in_(numbers)))
    found: dict[int | str, Case] = {}
    while level := list(s.scalars(asked)):
        for case in level:
            found[case.id] = found[case.number] = case
        asked = whole.where(Case.id.in_({case.merged_into_id for case in level} - {None, *found}))
    return found


def _sent(
    s: Session,
    row: SyncOperation,
    op: protocol.Operation | protocol.Malformed,
    person: Person | None,
    case: Case | None,
    told: Sequence[ExpectedPhoto],
    jobs: Mapping[tuple[int, int], str],
) -> Sent:
    root = transitions.root_of(s, case) if case else None
    here = [photo.photo_id for photo in told if photo.photo_id]
    missing = len(told) - len(here)
    if isinstance(op, protocol.Malformed):
        return Sent(row, person, case, root, photos=here, missing=missing)
    words = op.data.get("words")
    # What was refused may hold anything there, and must not hide the rest of the list.
    said = {
        name: said for name in ("outcome", "reason", "no_photo") if isinstance(said := op.data.get(name), str)
    }
    # Anybody may name anything: only what fits together is said.
    crew = jobs.get((op.assignment or 0, case.id), "") if case and person else ""
    return Sent(
        row, person, case, root, words if isinstance(words, str) else "", said, here, missing, crew,
        op.device_time,
    )  # fmt: skip
