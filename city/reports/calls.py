"""A call that ends: the report it became and the conversation itself, kept together or not at all."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.channels import EMAIL, SMS
from city.db.models import Contact, Report, Service
from city.lifecycle import Refused, may
from city.people import accounts, callers, contacts
from city.people.contacts import CASE, CHANNELS, Conversation
from city.reports import intake
from city.reports.intake import NewReport


@dataclass(frozen=True)
class Call:
    """What the desk knows of a call as it ends.

    `said` has neither case nor caller yet. `telling` is the report that it becomes where it ends as a case,
    under the same key. `phone` is callers.normal()'s, "" where nobody knows it; `email` is for news.
    Without `texts` somebody at the city writes them.
    """

    said: Conversation
    phone: str = ""
    telling: NewReport | None = None
    email: str = ""
    texts: bool = False  # whether the city can send any


def finish_call(
    s: Session, call: Call, *, by: Actor, at: datetime, secret: str
) -> tuple[Contact, Report | None]:
    """Keeps the call. The same key twice gives what it gave the first time.

    Raises Refused: what contacts.log(), intake.submit() and intake.subscribe() raise, and `phone_missing`
    where the caller wants to be called or texted and nobody knows the number; `way_back_missing` where an
    office is to answer and nobody knows how; `kept_already` where the key belongs to a call that was told
    otherwise.
    """
    may("contact", by.roles)
    said = call.said
    if found := s.scalars(select(Contact).where(Contact.key == said.key)).first():
        report = s.scalars(select(Report).where(Report.key == said.key)).first()
        if not _is_same(s, found, report, call, by):
            raise Refused("kept_already", outcome=found.outcome)
        return found, report
    if said.channel not in CHANNELS:  # before a report is kept under it
        raise Refused("unknown_value", name="channel", value=said.channel)
    if said.reply_by in ("call", "sms") and not call.phone:
        raise Refused("phone_missing")
    if said.reply_by == "email" and not call.email:
        raise Refused("bad_email")
    if said.outcome == CASE and said.reply_by == "none" and _is_office(s, call):
        raise Refused("way_back_missing")
    report = None
    if said.outcome == CASE:
        report = _reported(s, call, by=by, at=at, secret=secret)
        said = replace(said, case=report.case.number)
    if call.phone:
        said = replace(said, caller_id=_caller(s, call, at))
    contact = contacts.log(s, said, by=by, at=at)
    # Its twin, told otherwise, came in the same moment: then nothing of this one stays.
    if contact.outcome != said.outcome:
        raise Refused("kept_already", outcome=contact.outcome)
    return contact, report


def _is_same(s: Session, kept: Contact, report: Report | None, call: Call, by: Actor) -> bool:
    """Whether what is sent again is what was kept: a lost answer, and not another call or a corrected one."""
    said = call.said
    ended = (kept.person_id, kept.outcome, kept.topic_code, kept.transferred_to, kept.instead_of)
    if ended != (by.person_id, said.outcome, said.topic, said.to, said.instead):
        return False
    caller = callers.known(s, call.phone) if call.phone else None
    who = (kept.caller_id, kept.channel, kept.lang, kept.reply_by)
    if who != (caller.id if caller else None, said.channel, said.lang, said.reply_by):
        return False
    if report is not None and call.telling is not None:
        return _is_told(report, call)
    (_line, words), *_ = events.of(s, events.of_contact(kept.id))
    return bool(words.get("words", "") == said.words.strip())


def _is_told(report: Report, call: Call) -> bool:
    """Whether the report is what the call tells."""
    telling, place = call.telling, None
    assert telling is not None  # noqa: S101 a report has one
    if not report.service.office and telling.place:
        place = (telling.place.lat, telling.place.lon)
    words = intake.kept_words(report.service, telling)
    if (report.service_code, report.words) != (telling.service_code, words):
        return False
    if not intake.answers_alike(report, telling):
        return False
    if place and place != (report.lat, report.lon):
        return False
    written = {each.address for each in report.subscriptions if each.channel == EMAIL}
    return call.said.reply_by != "email" or accounts.address(call.email) in written


def _is_office(s: Session, call: Call) -> bool:
    service = s.get(Service, call.telling.service_code) if call.telling else None
    return service is not None and service.office


def _reported(s: Session, call: Call, *, by: Actor, at: datetime, secret: str) -> Report:
    if call.telling is None:
        raise Refused("unknown_service")
    report = intake.submit(s, call.telling, by=by, at=at, token=intake.token_for(secret, call.telling.key))
    if call.said.reply_by == "email":
        intake.subscribe(s, report, call.email, lang=call.said.lang, at=at)
    if call.said.reply_by == "sms" and call.texts:
        intake.subscribe(s, report, call.phone, channel=SMS, lang=call.said.lang, at=at)
    return report


def _caller(s: Session, call: Call, at: datetime) -> int:
    caller = callers.record_call(s, call.phone, lang=call.said.lang, at=at)
    s.flush()
    return caller.id
