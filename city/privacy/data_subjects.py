"""Whose data: all that is known by one person's address, number, report, or name in the log."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.config.city_file import CityFile
from city.db.models import Caller, Contact, InboxEntry, Person, Report, Subscription
from city.lifecycle import Refused
from city.people import accounts, callers
from city.reports import intake

_REPORT = re.compile(r"\d\d-\d{6,}-[A-Z]+")
_ACCOUNT = re.compile(r"person:\d{1,18}")


@dataclass(frozen=True)
class Subject:
    """One person, as far as they are known here.

    `addresses` are what they are known by: a mailbox, or all forms of a number. `staff` is their own account.
    `reports` are those that are surely theirs: they confirmed that the news of these comes to them, or staff
    noted the call in which they were told. `unconfirmed` are those under which somebody left their address,
    whoever that was.
    """

    addresses: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    staff: Person | None = None
    reports: Sequence[Report] = field(default_factory=list)
    unconfirmed: Sequence[Report] = field(default_factory=list)
    calls: Sequence[Contact] = field(default_factory=list)
    wishes: Sequence[Subscription] = field(default_factory=list)  # for news, on these addresses
    letters: Sequence[InboxEntry] = field(default_factory=list)  # what they wrote to the desk

    @property
    def is_known(self) -> bool:
        """Whether anything is held of them."""
        return bool(self.staff or self.reports or self.calls or self.wishes or self.letters)


def is_name(words: str) -> bool:
    """Whether these words can name a person only, and no case: an address, a report, "person:7"."""
    words = words.strip()
    return "@" in words or bool(_REPORT.fullmatch(words.upper()) or _ACCOUNT.fullmatch(words))


def find(s: Session, words: str, city: CityFile) -> Subject:
    """The person behind an e-mail address, a phone number, a report's number ("26-000007-A"), or "person:7".

    Whoever left no address for news is known by their report's number alone. Raises Refused `bad_email`,
    `bad_phone`.
    """
    words = words.strip()
    if _ACCOUNT.fullmatch(words):
        return Subject(staff=s.get(Person, int(words.partition(":")[2])))
    if "@" in words:
        address = accounts.address(words)
        wishes = _wishes(s, [address])
        told, unconfirmed = _followed(s, wishes)
        return Subject(
            (address,), staff=accounts.by_email(s, address), reports=told, unconfirmed=unconfirmed,
            calls=calls_of(s, told), wishes=wishes, letters=_letters(s, [address]),
        )  # fmt: skip
    if _REPORT.fullmatch(words.upper()):
        told = list(s.scalars(select(Report).where(Report.number == words.upper())))
        return Subject(reports=told, calls=calls_of(s, told))
    return _by_phone(s, callers.kept_as(words, city.region, city.area_code))


def calls_of(s: Session, told: Sequence[Report]) -> Sequence[Contact]:
    """The calls in which these reports were told."""
    keys = [report.key for report in told]
    return s.scalars(select(Contact).where(Contact.key.in_(keys)).order_by(Contact.began_at)).all()


def _by_phone(s: Session, phones: Sequence[str]) -> Subject:
    if not phones:
        raise Refused("bad_phone")
    asked = select(Contact).join(Caller, Caller.id == Contact.caller_id).where(Caller.phone.in_(phones))
    calls = s.scalars(asked.order_by(Contact.began_at, Contact.id)).all()
    wishes = _wishes(s, phones)
    confirmed, others = _followed(s, wishes)
    told = {report.id: report for report in (*confirmed, *intake.reports_from_calls(s, calls))}
    return Subject(
        tuple(phones), tuple(phones), None, [told[id_] for id_ in sorted(told)],
        [report for report in others if report.id not in told], calls, wishes, _letters(s, phones),
    )  # fmt: skip


def _wishes(s: Session, addresses: Sequence[str]) -> Sequence[Subscription]:
    asked = select(Subscription).where(Subscription.address.in_(addresses))
    return s.scalars(asked.order_by(Subscription.id)).all()


def _letters(s: Session, addresses: Sequence[str]) -> Sequence[InboxEntry]:
    asked = select(InboxEntry).where(InboxEntry.sender.in_(addresses))
    return s.scalars(asked.order_by(InboxEntry.id)).all()


def _followed(s: Session, wishes: Sequence[Subscription]) -> tuple[list[Report], list[Report]]:
    """The reports whose news go there: those where that was confirmed, and the others.

    Only whoever told a report can ask for its news, and so who confirmed them told it.
    """
    ids = [wish.report_id for wish in wishes]
    told = s.scalars(select(Report).where(Report.id.in_(ids)).order_by(Report.id)).all()
    sure = {wish.report_id for wish in wishes if wish.confirmed_at}
    return [each for each in told if each.id in sure], [each for each in told if each.id not in sure]
