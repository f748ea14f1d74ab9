"""Somebody asks the city to erase all that it holds of them: whoever reported, called, or worked here."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import Left, Unfollowed
from city.audit.events import Actor
from city.cases import legal_holds, locks, queries
from city.db.models import (
    AccountLetter,
    Device,
    DutyShift,
    EnrolmentCode,
    LoginCode,
    Person,
    Report,
    SavedView,
    Subscription,
    Viewer,
)
from city.db.models import Session as LogIn
from city.inbox import entries
from city.lifecycle import may
from city.notifications import danger_alarm
from city.people import accounts
from city.photos.storage import Store
from city.privacy import caller_erasure
from city.privacy.data_subjects import Subject
from city.reports import intake


@dataclass(frozen=True)
class Gone:
    """How much went. `held` are the numbers of cases on hold, of which nothing did.

    `wishes` are for news, of reports and of what they followed without one. `account_stays` where whoever it
    belongs to may still log in.
    """

    reports: int
    calls: int
    account: bool
    held: tuple[str, ...]
    account_stays: bool = False
    wishes: int = 0
    letters: int = 0  # what they wrote to the desk

    @property
    def is_nothing(self) -> bool:
        """Whether all is as it was."""
        return not (self.reports or self.calls or self.wishes or self.account or self.letters)


def erase(s: Session, subject: Subject, store: Store, var: Path, *, by: Actor, at: datetime) -> Gone:
    """Erases their reports, forgets their number and words in every call, and takes name and address off an
    account that was shut out. Cases, calls and the log stay, with nobody behind them. Raises Refused
    `not_allowed`.

    A report under which nobody confirmed their address goes too: most people confirm nothing, and are to be
    forgotten all the same.
    """
    for act in ("erase", "forget"):
        may(act, by.roles)
    told = sorted([*subject.reports, *subject.unconfirmed], key=lambda report: (report.case_id, report.id))
    about = {report.case for report in told} | {wish.case for wish in subject.wishes if wish.case}
    # All cases before any caller, as a call that ends; and so that no hold is placed meanwhile.
    locks.lock_to_roots(s, about | caller_erasure.cases_of(s, subject.calls))
    wishes = _count_wishes(s, subject, told)
    called = caller_erasure.forget(s, subject.phones, store, var, by=by, at=at) if subject.phones else None
    on_hold = legal_holds.held_case_ids(s, {case.id for case in about})
    erased = sum(
        intake.erase(s, report, store, var, by=by, at=at) for report in told if report.case_id not in on_hold
    )
    for kept in (LoginCode, AccountLetter):
        s.execute(delete(kept).where(kept.email.in_(subject.addresses)))
    _forget_wishes(s, subject, on_hold, var, at=at)
    wishes -= _count_wishes(s, subject, told)
    for letter in subject.letters:
        entries.forget(s, letter, var, at=at)
    stays = subject.staff is not None and subject.staff.disabled_at is None
    account = subject.staff is not None and not stays and _forget_account(s, subject.staff, var, by=by, at=at)
    held = {*queries.numbers(s, on_hold).values(), *(called.held if called else ())}
    return Gone(
        erased + (called.reports if called else 0),
        called.calls if called else 0,
        account,
        tuple(sorted(held)),
        stays,
        max(0, wishes),  # one may have been made meanwhile
        len(subject.letters),
    )


def erase_again(s: Session, line: Left, *, at: datetime) -> bool:
    """Does once more what was decided before a restore; False where there is nothing to do."""
    person = s.get(Person, line.person)
    if person is None or not line.names(person.id, person.email):
        return False
    person.disabled_at = person.disabled_at or at
    return _take_off(s, person, by=accounts.THE_SYSTEM, at=at)


def unfollow_again(s: Session, line: Unfollowed) -> bool:
    """Forgets once more what an address followed before a restore; False where there is nothing to forget.

    Ids are given anew: whoever asked later, or is somebody else, keeps their wish.
    """
    then = datetime.fromisoformat(line.at)
    asked = select(Subscription.id, Subscription.address)
    rows = s.execute(asked.where(Subscription.id.in_(line.wishes), Subscription.asked_at <= then)).all()
    theirs = {address for address in {row.address for row in rows} if line.names(address)}
    return intake.forget_wishes(s, [row.id for row in rows if row.address in theirs]) > 0


def _forget_wishes(
    s: Session, subject: Subject, on_hold: Collection[int], var: Path, *, at: datetime
) -> None:
    """Their addresses go wherever they were left, save at cases on hold."""
    told = select(Report.id).where(Report.case_id.in_(on_hold))
    kept = select(Subscription.id).where(
        Subscription.report_id.in_(told) | Subscription.case_id.in_(on_hold),
    )
    wanted = select(Subscription.id, Subscription.address).where(
        Subscription.address.in_(subject.addresses), Subscription.id.not_in(kept)
    )
    rows = s.execute(wanted.order_by(Subscription.id).with_for_update()).all()
    for address in sorted({row.address for row in rows}):
        salt = secrets.token_hex(16)
        ids = tuple(row.id for row in rows if row.address == address)
        key = erasure_ledger.slowly_hashed(address, salt)
        # Before the commit: one begun is carried out again after a restore, and never one forgotten.
        erasure_ledger.append(var, Unfollowed(ids, salt, key, at.isoformat()))
    intake.forget_wishes(s, [row.id for row in rows])


def _count_wishes(s: Session, subject: Subject, told: Sequence[Report]) -> int:
    """For news at their addresses, and of their reports to whatever address."""
    ids = [report.id for report in told]
    theirs = Subscription.address.in_(subject.addresses) | Subscription.report_id.in_(ids)
    return s.scalar(select(func.count()).select_from(Subscription).where(theirs)) or 0


def _forget_account(s: Session, person: Person, var: Path, *, by: Actor, at: datetime) -> bool:
    """The log knows them as "person:7" and stays; nothing here says any more who that was."""
    if person.name == _nameless(person):
        return False
    salt = secrets.token_hex(16)
    key = erasure_ledger.slowly_hashed(person.email, salt)
    # Before the commit: one begun is carried out again after a restore, and never one forgotten.
    erasure_ledger.append(var, Left(person.id, salt, key, at.isoformat()))
    return _take_off(s, person, by=by, at=at)


def _take_off(s: Session, person: Person, *, by: Actor, at: datetime) -> bool:
    theirs = update(Device).where(Device.person_id == person.id)
    for change in (
        delete(LoginCode).where(LoginCode.email == person.email),
        delete(AccountLetter).where(AccountLetter.email == person.email),
        delete(LogIn).where(LogIn.person_id == person.id),
        delete(EnrolmentCode).where(EnrolmentCode.person_id == person.id),
        delete(Viewer).where(Viewer.person_id == person.id),
        delete(DutyShift).where(DutyShift.person_id == person.id),
        delete(SavedView).where(SavedView.person_id == person.id, SavedView.shared.is_(False)),
        theirs.where(Device.revoked_at.is_(None)).values(revoked_at=at),
        theirs.values(token_hash="", next_hash=None, signed_in_at=None, release="", waiting={}, pack={}),
    ):
        s.execute(change.execution_options(synchronize_session=False))
    intake.forget_wishes(s, danger_alarm.wish_ids(s, person.id))
    person.name, person.email = _nameless(person), f"person-{person.id}@erased.invalid"
    person.roles, person.crews, person.departments = [], [], []
    person.wants_late, person.late_told_on = False, None
    events.record(s, accounts.subject(person), "erase person", by=by, at=at)
    return True


def _nameless(person: Person) -> str:
    return f"#{person.id}"
