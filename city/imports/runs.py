"""Runs of `cityline import requests`: the list of them, and undoing one.

docs/decisions says why a case that is undone leaves its row and its lines of the log, and nothing else.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, String, cast, delete, literal, select, update
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import board_index, locks
from city.cases import search as case_search
from city.db.models import (
    Assignment,
    Case,
    Closure,
    Contact,
    Event,
    EventDetail,
    IdempotencyKey,
    ImportChange,
    Imported,
    ImportRun,
    Message,
    NotDuplicate,
    Pause,
    Report,
    SecretLink,
    Subscription,
)
from city.imports import deltas
from city.lifecycle import UNDONE, Refused
from city.people import accounts


@dataclass(frozen=True)
class Undone:
    """How many cases that a run brought are gone, and how many that it changed are as they were."""

    removed: int
    put_back: int


def newest(s: Session, limit: int) -> list[ImportRun]:
    """The last runs, the newest first."""
    return list(s.scalars(select(ImportRun).order_by(ImportRun.id.desc()).limit(limit)))


def undo(s: Session, number: int, *, at: datetime) -> Undone:
    """Removes what a run brought and puts back what it changed, all in this one transaction.

    Raises Refused: `unknown_run`, `run_undone`; `run_touched` with the `numbers` of the cases with which
    people here have done anything since, be it that they stopped its news or took a call about it; and
    `run_built_on` where a later `run` changed what this one brought: that one goes first.
    """
    run = s.scalars(select(ImportRun).where(ImportRun.id == number).with_for_update()).first()
    if run is None:
        raise Refused("unknown_run", run=number)
    if run.undone_at:
        raise Refused("run_undone", run=number)
    held = _lock(s, number)
    changes = list(s.scalars(select(ImportChange).where(ImportChange.run_id == number)))
    brought = {case_id: held[case_id] for case_id in s.scalars(_brought(number))}
    changed = {change.case_id: held[change.case_id] for change in changes}
    _refuse_touched(s, brought | changed)
    _refuse_built_on(s, number)
    _remove(s, number, at)
    for start in range(0, len(changes), deltas.AT_ONCE):
        part = changes[start : start + deltas.AT_ONCE]
        locks.lock_numbered(s, [changed[change.case_id] for change in part])
        for change in part:
            deltas.revert(s, change, at=at)
    run.undone_at = at
    undone = Undone(len(brought), len(changes))
    facts = {"run": number, "removed": undone.removed, "put_back": undone.put_back}
    events.record(s, f"import:{number}", "undo", by=accounts.THE_SYSTEM, at=at, origin="import", facts=facts)
    return undone


def _brought(number: int) -> Select[int]:
    return select(Imported.case_id).where(Imported.run_id == number)


def _changed(number: int) -> Select[int]:
    return select(ImportChange.case_id).where(ImportChange.run_id == number)


def _lock(s: Session, number: int) -> dict[int, str]:
    """Holds all cases that undoing changes, also what seems to repeat one of them, and gives their numbers.

    In the order in which everybody does, so that no verb deadlocks with it; and against whoever would point
    at them (FOR UPDATE), since their numbers change. Their ids are asked for before: each of the three
    questions has an index, and all in one would read every case there is.
    """
    marked = select(Case.id).where(Case.twin_id.in_(_brought(number)))
    ids = sorted({*s.scalars(_brought(number)), *s.scalars(_changed(number)), *s.scalars(marked)})
    held: dict[int, str] = {}
    for start in range(0, len(ids), deltas.AT_ONCE):
        ours = select(Case.id, Case.number).where(Case.id.in_(ids[start : start + deltas.AT_ONCE]))
        held |= dict(s.execute(ours.order_by(Case.id).with_for_update()).all())
    return held


def _refuse_touched(s: Session, numbers: dict[int, str]) -> None:
    alive = deltas.touched(s, numbers)
    ids = list(numbers)
    for start in range(0, len(ids), deltas.AT_ONCE):
        called = select(Contact.case_id).where(Contact.case_id.in_(ids[start : start + deltas.AT_ONCE]))
        alive |= {case_id for case_id in s.scalars(called) if case_id}
    if alive:
        raise Refused("run_touched", numbers=sorted(numbers[case_id] for case_id in alive))


def _refuse_built_on(s: Session, number: int) -> None:
    later = select(ImportChange.run_id).where(ImportChange.run_id > number)
    for cases in (_brought(number), _changed(number)):
        if run := s.scalar(later.where(ImportChange.case_id.in_(cases)).order_by(ImportChange.run_id.desc())):
            raise Refused("run_built_on", run=run)


def _remove(s: Session, number: int, at: datetime) -> None:
    """Takes away all that the run told of its cases, and leaves the bare case to the log."""
    cases = _brought(number)
    rows = s.execute(
        select(Case.id, Case.number, Case.state, Case.counted, Case.service_code, Case.opened_at)
        .add_columns(Assignment.crew_id)
        .outerjoin(Assignment, (Assignment.case_id == Case.id) & Assignment.ended_at.is_(None))
        .where(Case.id.in_(cases))
        .order_by(Case.id)
    ).all()
    for case_id, own, state, counted, service, opened_at, crew_id in rows:
        board_index.changed(s, counted, None)
        events.record(
            s, events.of_case(case_id), "undo", by=accounts.THE_SYSTEM, at=at, was=state, now=UNDONE,
            origin="import",
            facts={"run": number, "number": own, "service": service, "opened": opened_at.isoformat()},
        )  # fmt: skip
        if crew_id:
            events.publish_to_sync_feed(s, f"crew:{crew_id}", "job", own, present=False, why="cancelled")
    reports = select(Report.id).where(Report.case_id.in_(cases))
    wishes = select(Subscription.id).where(Subscription.report_id.in_(reports))
    subjects = select(literal("case:") + cast(Imported.case_id, String)).where(Imported.run_id == number)
    for gone in (
        delete(Message).where(Message.subscription_id.in_(wishes)),
        delete(Subscription).where(Subscription.report_id.in_(reports)),
        delete(SecretLink).where(SecretLink.report_id.in_(reports)),
        delete(IdempotencyKey).where(
            IdempotencyKey.key.in_(select(Report.key).where(Report.case_id.in_(cases)))
        ),
        delete(Report).where(Report.case_id.in_(cases)),
        delete(Closure).where(Closure.case_id.in_(cases)),
        delete(Pause).where(Pause.case_id.in_(cases)),
        delete(Assignment).where(Assignment.case_id.in_(cases)),
        delete(NotDuplicate).where(NotDuplicate.case_id.in_(cases) | NotDuplicate.other_id.in_(cases)),
        delete(EventDetail).where(EventDetail.seq.in_(select(Event.seq).where(Event.subject.in_(subjects)))),
    ):
        s.execute(gone.execution_options(synchronize_session=False))
    change = update(Case).execution_options(synchronize_session=False)
    # What it seemed to repeat was never here.
    s.execute(change.where(Case.twin_id.in_(cases)).values(twin_id=None))
    s.execute(
        change.where(Case.id.in_(cases)).values(
            number=literal("undone/") + cast(Case.id, String), state=UNDONE, version=Case.version + 1,
            lat=None, lon=None, accuracy_m=None, place_source="unknown", address="", cell=None,
            asset_id=None, closed_at=None, outcome=None, review=None, twin_id=None, **board_index.GONE,
        )
    )  # fmt: skip
    s.execute(delete(Imported).where(Imported.run_id == number))
    case_search.forget(s, *(row.id for row in rows))
    s.expire_all()
