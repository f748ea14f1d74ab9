"""One operation on one case: what the table says of it, and the verb or the fact that it becomes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.audit.events import Actor
from city.cases import locks, sla, transitions, waits
from city.cases.transitions import Closing
from city.db.models import Assignment, Case, Closure, ExpectedPhoto, Person, Photo
from city.db.models import SyncOperation as Row
from city.geo import Point
from city.lifecycle import (
    ACCEPTED,
    CLOSED,
    CREW,
    FIELD_OUTCOMES,
    MAX_WORDS,
    NEW,
    NO_PHOTO,
    OPEN,
    WAIT_REASONS,
    WAITING,
    Refused,
)
from city.people import accounts
from city.people.accounts import THE_SYSTEM
from city.places.resolve import Fix
from city.reports import proposals
from city.reports.proposals import Proposal
from sync import expected_photos, merge
from sync.merge import (
    ATTACH,
    RECORD_RECEIPT_ONLY,
    RULES,
    TRANSITION_AFTER_RESTORE,
    TRANSITION_UNDER_OLD_JOB,
    Decision,
    Rules,
    Situation,
)
from sync.protocol import APPLIED, DEPOSITED, HELD, MERGED, RECORDED, Operation, is_id, result

# Operations whose verb takes words and photos itself; those of any other are kept beside it.
WITH_EVIDENCE = ("close", "make_safe", "needs_parts")
MAX_MINUTES = 7 * 24 * 60  # of one `time`
# Facts go into the log for ever, so they are choices and never a person's own words.
CHOICES = {"outcome": FIELD_OUTCOMES, "no_photo": NO_PHOTO, "reason": WAIT_REASONS}


@dataclass(frozen=True)
class Work:
    """One operation under the lock of its case, with all that is needed to carry it out."""

    op: Operation
    case: Case
    root: Case  # the case itself, or the one that it was merged into
    job: Assignment | None
    decision: Decision
    by: Actor
    at: datetime


def decide(
    s: Session,
    op: Operation,
    case: Case,
    *,
    by: Actor,
    at: datetime,
    rules: Rules = RULES,
    only_look: bool = False,
) -> Work:
    """Asks the table of a locked case; `only_look` takes nothing on, where the operation must wait.

    Raises Refused for a job that is another case's.
    """
    job = _job(s, op, case, by, at, takes_on=not only_look)
    root = transitions.root_of(s, case)
    return Work(op, case, root, job, merge.decide(_situation(s, op, case, job, root, by, rules)), by, at)


def carry_out(s: Session, work: Work, photos: Sequence[ExpectedPhoto]) -> dict[str, Any]:
    """Calls the verb or keeps the facts, and says what became of it. Nothing that was said is dropped.

    Raises Refused where what was sent cannot be kept as it was meant.
    """
    op, decision = work.op, work.decision
    words = "" if decision.effect == RECORD_RECEIPT_ONLY else words_of(op)
    if decision.effect == RECORD_RECEIPT_ONLY:
        for row in photos:
            s.delete(row)
        photos = ()
    taken = expected_photos.arrived(s, photos)
    missing = [row for row in photos if row.photo_id is None]
    if decision.effect in (ATTACH, RECORD_RECEIPT_ONLY):
        _keep(s, work, words, taken, missing)
        return result(op.id, decision.result, decision.why, to=decision.to)
    moved = _moved(s, work, words, taken, missing)
    if (words or photos) and not (moved and op.t in WITH_EVIDENCE):
        _keep(s, work, words, taken, missing)
        if not moved:
            return result(op.id, MERGED, "done")
    return result(op.id, decision.result, decision.why)


def record_only(
    s: Session,
    op: Operation,
    case: Case,
    photos: Sequence[ExpectedPhoto],
    why: str,
    *,
    by: Actor,
    at: datetime,
) -> dict[str, Any]:
    """Keeps an operation as a fact of its case that a person must look at, whatever the table would say.

    Where the case's reports were erased, only that it came. Says what became of it.
    """
    locks.lock(s, case)
    bare = case.state not in OPEN and _is_erased(case)
    decision = Decision(RECORDED, *((RECORD_RECEIPT_ONLY, "erased") if bare else (ATTACH, why)), None, True)
    return carry_out(s, Work(op, case, transitions.root_of(s, case), None, decision, by, at), photos)


def words_of(op: Operation) -> str:
    """The operation's words, whole: longer ones are set aside, since half a sentence misleads."""
    words = text(op, "words").replace("\r\n", "\n").strip()
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    return words


def text(op: Operation, name: str) -> str:
    """A word of the operation's data, "" where there is none; raises Refused where it is no word."""
    value = op.data.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused("malformed")
    return value or ""


def fix(op: Operation) -> Fix | None:
    """The point in the operation's data; None without one. Raises Refused `malformed`."""
    lat, lon, accuracy = (_number(op, name) for name in ("lat", "lon", "accuracy"))
    if lat is None or lon is None:
        return None
    if abs(lat) > 90 or abs(lon) > 180:
        raise Refused("malformed")
    source = "pin" if accuracy is None else "gps"
    return Fix(Point(lat, lon), accuracy, "photo" if text(op, "source") == "photo" else source)


def find_case(s: Session, ref: str) -> Case | str | None:
    """The case with that number, or the one that a `report` operation of that id came to.

    "case" while that report is not here or not taken yet; its row is locked then. None where there is no such
    case for a phone: an office's is answered like a number that never was, so that nobody in the field learns
    of it.
    """
    if not is_id(ref):
        return _in_the_field(locks.numbered(s, ref))
    report = as_it_stands(s, ref)
    if report is None or report.code in (HELD, DEPOSITED):
        return "case"
    return _in_the_field(s.get(Case, report.case_id)) if report.case_id and report.t == "report" else None


def locked(s: Session, op_id: str) -> Row | None:
    """An operation's row, locked and read anew: nobody else sees to it until the transaction ends.

    Its case is locked before it, as when it came.
    """
    row = s.get(Row, op_id)
    if row:
        lock_cases_of(s, [row])
    s.flush()  # it may be our own work of a moment ago
    return s.get(Row, op_id, with_for_update=True, populate_existing=True)


def lock_cases_of(s: Session, rows: Collection[Row]) -> None:
    """Locks the cases that these operations name, by number or report, and all these were merged into."""
    named = list[Case]()
    for refs in locks.parts(sorted({row.case_ref for row in rows})):
        reported = select(Row.case_id).where(Row.id.in_(refs), Row.t == "report")
        named += s.scalars(select(Case).where(Case.number.in_(refs) | Case.id.in_(reported)))
    locks.lock_to_roots(s, named)


def as_it_stands(s: Session, op_id: str) -> Row | None:
    """An operation's row, locked and read anew where it waits.

    Whoever sees to it at this moment is then through with it, or will find what we are about to hold for it.
    """
    row = s.get(Row, op_id)
    if row and row.code in (HELD, DEPOSITED):
        s.flush()  # it may be our own work of a moment ago
        s.refresh(row, with_for_update={"read": True})
    return row


def _number(op: Operation, name: str) -> float | None:
    value = op.data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise Refused("malformed")
    return float(value)


def _in_the_field(case: Case | None) -> Case | None:
    return case if case and not case.service.office else None


def _job(
    s: Session, op: Operation, case: Case, by: Actor, at: datetime, *, takes_on: bool
) -> Assignment | None:
    """The job that an operation was done under.

    What a crew did about its own report, before it heard of the case's number, is its job where the case is
    theirs already; nobody's case they take on.
    """
    if op.assignment:
        job = s.get(Assignment, op.assignment)
        if job is None or job.case_id != case.id:
            raise Refused("unknown_assignment")
        return job
    report = s.get(Row, op.case) if is_id(op.case) else None
    if report is None or report.person_id != by.person_id or op.t not in merge.ASKS:
        return None
    if takes_on and transitions.live(case) is None and case.state in (NEW, ACCEPTED) and by.crew_ids:
        transitions.self_assign(s, case, min(by.crew_ids), by=by, at=at)
    held = transitions.live(case)
    return held if held and held.crew_id in by.crew_ids else None


def _situation(
    s: Session, op: Operation, case: Case, job: Assignment | None, root: Case, by: Actor, rules: Rules
) -> Situation:
    live = transitions.live(case)
    ours = {job.crew_id} if job else set(by.crew_ids)
    closure = case.closures[-1] if case.closures and case.state == CLOSED else None
    return Situation(
        kind=op.t,
        rules=rules,
        cycle=job.cycle if job else op.cycle,
        job=job.id if job else None,
        state=case.state,
        case_cycle=case.cycle,
        live=live.id if live else None,
        live_is_ours=live is not None and job is not None and live.crew_id == job.crew_id,
        live_started=live is not None and live.started_at is not None,
        author_may=CREW in by.roles and (job is None or job.crew_id in by.crew_ids),
        theirs=op.t not in (*merge.FACTS, merge.PROPOSES) or job is not None or _is_theirs(s, case, by),
        # While the problem is still there, a crew must be able to mend it, whoever asked to be forgotten.
        erased=case.state not in OPEN and _is_erased(case),
        root=root.number if root.id != case.id else None,
        job_ended=job.ended_why if job else None,
        closed_by_us=closure is not None and closure.crew_id in ours and _is_the_crew_s(s, closure),
        waits_otherwise=(
            op.t == "wait" and case.state == WAITING and sla.waits_for(case) != text(op, "reason")
        ),
        danger=sla.in_danger(case),
        corrected=op.base is not None and op.base < case.corrected_version,
        is_so=op.t == merge.PROPOSES and proposals.is_so(case, _proposal(op)),
    )


def _is_theirs(s: Session, case: Case, by: Actor) -> bool:
    """Whether their crew ever had the case, or they reported it."""
    if any(job.crew_id in by.crew_ids for job in case.assignments):
        return True
    told = select(Row.id).where(Row.case_id == case.id, Row.t == "report", Row.person_id == by.person_id)
    return s.scalar(told.limit(1)) is not None


def _is_the_crew_s(s: Session, closure: Closure) -> bool:
    """Whether somebody of its crew made the closing. A dispatcher's counts for the crew whose job it was, and
    may say another thing than what the crew found."""
    closer = s.get(Person, closure.person_id) if closure.person_id else None
    by = accounts.actor(closer) if closer else None
    return by is not None and CREW in by.roles and closure.crew_id in by.crew_ids


def _is_erased(case: Case) -> bool:
    """Whether nothing that was told of it may be kept any more."""
    return bool(case.cleared_at or (case.reports and all(report.erased_at for report in case.reports)))


def _moved(
    s: Session, work: Work, words: str, taken: Sequence[Photo], missing: Sequence[ExpectedPhoto]
) -> bool:
    """Calls the verb; False where it had been done already."""
    op, case = work.op, work.case
    told: dict[str, Any] = {"by": work.by, "at": work.at, "at_device": op.device_time}
    cycle = case.cycle
    if op.t == "close":
        if work.decision.effect == TRANSITION_AFTER_RESTORE:
            transitions.restore(s, case, by=THE_SYSTEM, at=work.at)
        if work.decision.effect in (TRANSITION_UNDER_OLD_JOB, TRANSITION_AFTER_RESTORE):
            told |= {"under": work.job}
        told["look"] = work.decision.why if work.decision.review else None
        closing = Closing(
            text(op, "outcome"), text(op, "no_photo") or None, words, photos=taken, promised=len(missing)
        )
        moved = transitions.close(s, case, closing, **told)
        if moved:
            closure_id = case.closures[-1].id
            expected_photos.attach_to(missing, case_id=case.id, cycle=cycle, closure_id=closure_id)
        return moved
    if op.t in WITH_EVIDENCE:
        verb = {"make_safe": transitions.make_safe, "needs_parts": transitions.needs_parts}[op.t]
        moved = verb(s, case, words=words, photos_taken=taken, **told)
        if moved:
            expected_photos.attach_to(missing, case_id=case.id, cycle=cycle)
        return moved
    if op.t == "wait":
        until = waits.on_day(case, text(op, "until"))
        return transitions.wait(s, case, text(op, "reason"), until=until, **told)
    return {"start": transitions.start, "pause": transitions.pause, "resume": transitions.resume}[op.t](
        s, case, **told
    )


def _keep(
    s: Session, work: Work, words: str, taken: Sequence[Photo], missing: Sequence[ExpectedPhoto]
) -> None:
    """Adds what the crew said to the case's history. A note is a note, its photos come beside it."""
    op, root, job = work.op, work.root, work.job
    told: dict[str, Any] = {"by": work.by, "at": work.at, "at_device": op.device_time}
    cycle = job.cycle if job and root is work.case else root.cycle
    # The other phone's photo proves the closing as well.
    proves = op.t == "close" and work.decision.result == MERGED
    closing = root.closures[-1].id if proves else None
    expected_photos.attach_to(missing, case_id=root.id, cycle=cycle, closure_id=closing)
    if op.t == merge.PROPOSES and work.decision.effect == ATTACH:
        proposals.propose(
            s, root, _proposal(op), cycle=cycle, photos_taken=taken, why=work.decision.why,
            look=work.decision.result != MERGED, **told,
        )  # fmt: skip
        return
    if op.t == "note" and work.decision.result == APPLIED:
        if words or not (taken or missing):
            transitions.note(s, root, words, **told)
            words = ""
        if not taken:
            return
    transitions.record_fact(
        s, root, op.t, words=words, photos_taken=taken, facts=_facts(work),
        why=work.decision.why if work.decision.review else None, cycle=cycle, **told,
    )  # fmt: skip
    for photo in taken if closing else ():
        photo.closure_id = closing


def _proposal(op: Operation) -> Proposal:
    """What the operation says is wrong. Raises Refused `malformed`, `words_too_long`."""
    said = fix(op)
    return Proposal(
        text(op, "service") or None, said.point if said else None, said.metres if said else None,
        words_of(op), op.id,
    )  # fmt: skip


def _facts(work: Work) -> dict[str, Any]:
    """What an operation says besides words and photos; raises Refused where that cannot be."""
    op = work.op
    facts: dict[str, Any] = {"operation": op.id}
    if work.decision.effect == RECORD_RECEIPT_ONLY:
        return facts
    for name, choices in CHOICES.items():
        value = text(op, name)
        if value and value not in choices:
            raise Refused("unknown_value", name=name, value=value)
        if value:
            facts[name] = value
    if op.t == "time":
        minutes = op.data.get("minutes")
        if type(minutes) is not int or not 0 <= minutes <= MAX_MINUTES:
            raise Refused("malformed")
        facts["minutes"] = minutes
    return facts
