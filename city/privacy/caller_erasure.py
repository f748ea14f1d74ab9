"""Somebody asks that the city forget them: their number, and what they said when they called.

Every call stays and goes on counting, without number and words; a report that came of one is erased whole.
What is on hold stays as it is, and is told to whoever asked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import Forgotten
from city.audit.events import Actor
from city.cases import legal_holds, locks, queries
from city.db.models import Case, Contact, Erasure, Event, EventDetail, Report
from city.lifecycle import may
from city.people import accounts, callers
from city.photos.storage import Store
from city.reports import intake

AT_ONCE = 500


@dataclass(frozen=True)
class Done:
    """How many calls stay without number and words, and how many reports of theirs were erased.

    `held` are the numbers of cases on hold, of which nothing went.
    """

    calls: int
    reports: int
    held: tuple[str, ...] = ()


def forget(
    s: Session, phones: Sequence[str], store: Store, var: Path, *, by: Actor, at: datetime
) -> Done | None:
    """Forgets whoever called from these numbers, in their normal form; None where nobody did.

    The list of erasures is what a restored backup will be told to forget again. Raises Refused
    `not_allowed`.
    """
    may("forget", by.roles)
    known = [caller for phone in sorted(phones) if (caller := callers.known(s, phone))]
    if not known:
        return None
    calls, told = _held(s, [caller.id for caller in known])
    on_hold = legal_holds.held_case_ids(
        s, {call.case_id for call in calls if call.case_id} | {r.case_id for r in told}
    )
    calls = [call for call in calls if call.case_id not in on_hold]
    told = [report for report in told if report.case_id not in on_hold]
    _forget_all(s, calls, var, by=by, at=at)
    erased = sum(intake.erase(s, report, store, var, by=by, at=at) for report in told)
    return Done(len(calls), erased, tuple(sorted(queries.numbers(s, on_hold).values())))


def forget_calls(s: Session, contact_ids: Collection[int], var: Path, *, by: Actor, at: datetime) -> int:
    """Forgets number and words of these calls, and none of what was reported in them; returns of how many.

    Those about a case on hold stay as they are.
    """
    asked = select(Contact).where(Contact.id.in_(contact_ids)).order_by(Contact.id)
    calls = list(s.scalars(asked.execution_options(populate_existing=True)))
    # Against a hold that somebody places in this very moment, as forget() locks: cases before callers.
    locks.lock_to_roots(s, cases_of(s, calls))
    on_hold = legal_holds.held_case_ids(s, {call.case_id for call in calls if call.case_id})
    callers.hold(s, {call.caller_id for call in calls if call.caller_id})
    return _forget_all(s, [call for call in calls if call.case_id not in on_hold], var, by=by, at=at)


def forget_again(s: Session, lines: Sequence[Forgotten], *, at: datetime) -> int:
    """Does once more what was decided before a restore; returns of how many calls something was still here.

    Reports have lines of their own in the list. Looks through all calls: the list does not say their keys.
    """
    if not lines:
        return 0
    wanted, again = {line.contact for line in lines}, 0
    keys = s.execute(
        select(Contact.id, Contact.key).order_by(Contact.id).execution_options(yield_per=AT_ONCE)
    )
    for contact_id in [id_ for id_, key in keys if erasure_ledger.hashed(key) in wanted]:
        again += _forget(s, s.get_one(Contact, contact_id), by=accounts.THE_SYSTEM, at=at)
    return again


def cases_of(s: Session, calls: Sequence[Contact]) -> set[Case]:
    """The cases that these calls were about."""
    ids = sorted({call.case_id for call in calls if call.case_id})
    parts = (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
    return {case for part in parts for case in s.scalars(select(Case).where(Case.id.in_(part)))}


def _held(s: Session, caller_ids: Sequence[int]) -> tuple[list[Contact], list[Report]]:
    """All their calls and what was told in these, when nobody can add to them any more.

    Cases are locked before callers, as a call that ends does. One may end while we wait for either: then all
    is let go and locked anew, with its case.
    """
    while True:
        about = _about(s, _calls_of(s, caller_ids))
        with locks.attempt(s):
            locks.lock_to_roots(s, about)
            callers.hold(s, caller_ids)
            calls = _calls_of(s, caller_ids)
            if _about(s, calls) <= about:
                return calls, intake.reports_from_calls(s, calls)
            raise locks.Moved


def _about(s: Session, calls: Sequence[Contact]) -> set[Case]:
    return cases_of(s, calls) | {report.case for report in intake.reports_from_calls(s, calls)}


def _calls_of(s: Session, caller_ids: Sequence[int]) -> list[Contact]:
    asked = select(Contact).where(Contact.caller_id.in_(caller_ids)).order_by(Contact.id)
    return list(s.scalars(asked.execution_options(populate_existing=True)))


def _forget_all(s: Session, calls: Sequence[Contact], var: Path, *, by: Actor, at: datetime) -> int:
    erasure_ledger.append(
        var, *(Forgotten(erasure_ledger.hashed(call.key), at.isoformat()) for call in calls)
    )
    return sum(_forget(s, call, by=by, at=at) for call in calls)


def _forget(s: Session, call: Contact, *, by: Actor, at: datetime) -> bool:
    """Takes number and words off a call; False where it had neither."""
    subject = events.of_contact(call.id)
    spoken = select(Event.seq).where(Event.subject == subject, Event.detail.is_not(None))
    seqs = list(s.scalars(select(EventDetail.seq).where(EventDetail.seq.in_(spoken))))
    had_number = callers.forget(s, call.key)
    if not seqs and not had_number:
        return False
    s.execute(delete(EventDetail).where(EventDetail.seq.in_(seqs)))
    s.add(Erasure(at=at, seqs=seqs, photos=[], gone_at=at))
    events.record(s, subject, "forget", by=by, at=at)
    return True
