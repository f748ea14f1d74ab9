"""All that the city holds of one case, or of one person, as plain values: for whoever has a right to it.

Nothing is rendered here. `photos` in what is told are file names below `photos/` of the zip.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import queries
from city.cases.queries import ClosingEvidence, PublicCase, PublicReport, TimelineEntry
from city.db.models import (
    Caller,
    Case,
    CaseMessage,
    Closure,
    Contact,
    Device,
    DutyShift,
    Event,
    InboxEntry,
    Message,
    NotFixed,
    Person,
    Photo,
    Report,
    SavedView,
    Subscription,
)
from city.db.models import Session as LogIn
from city.lifecycle import WAITING, may
from city.notifications import danger_alarm, satisfaction
from city.people import accounts
from city.privacy import data_subjects
from city.privacy.data_subjects import Subject
from city.reports import conversation

Told = dict[str, Any]

# Of what a step's line of the log says, by its kind: what the page of a case tells everybody. Why a case was
# cancelled is not among it.
SHOWN_FACTS: Final = {"close": ("outcome",), "wait": ("reason", "owner")}


@dataclass(frozen=True)
class Record:
    """What is told, by section, and the photos that belong to it, by their file names."""

    name: str
    sections: dict[str, list[Told]]
    photos: dict[str, Photo] = field(default_factory=dict)
    unconfirmed: int = 0  # of a person: reports that name their address, which nobody confirmed
    has_unconfirmed: bool = False  # whether these are told all the same
    is_public: bool = False  # nothing but what strangers may know

    @property
    def is_case(self) -> bool:
        """Whether it is a case's, with all who told of it, or one person's alone."""
        return "cases" in self.sections


def of_case(s: Session, case: Case, *, by: Actor, at: datetime) -> Record:
    """A case with all that was merged into it: rows, story with words, photos, messages and calls.

    The log notes that it was taken out. Raises Refused `not_allowed`.
    """
    may("export record", by.roles)
    family = queries.family_of(s, case.id)
    whole = [found for number in _numbers(s, family) if (found := queries.load_full(s, number))]
    pictures = list(s.scalars(select(Photo).where(Photo.case_id.in_(family)).order_by(Photo.added_at)))
    told = [report for each in whole for report in each.reports]
    wishes = _wishes(
        s, Subscription.report_id.in_([report.id for report in told]) | Subscription.case_id.in_(family)
    )
    sections = {
        "cases": [_case(s, each) for each in whole],
        "reports": [_report(report) | _photos_of(pictures, report.id) for report in told],
        "addresses": [_wish(wish, number) for wish, number in wishes],
        "closings": [_closing(each, done, pictures) for each in whole for done in each.closures],
        "objections": _objections(s, family),
        "calls": _calls(s, s.scalars(select(Contact).where(Contact.case_id.in_(family))).all()),
        "messages": _messages(s, [wish.id for wish, _number in wishes]),
        "story": [line for each in whole for line in _story(s, each)],
    }
    for each in whole:
        events.record(s, events.of_case(each.id), "export record", by=by, at=at)
    return Record(case.number, sections, {file_of(photo): photo for photo in pictures})


def for_anybody(s: Session, case: Case, *, publish: str, at: datetime) -> Record | None:
    """What strangers may know of a case and of all that was merged into it; None where it is private itself.

    `publish` is as queries.public() takes it. The log notes nothing: everybody reads the same on the page.
    """
    numbers = _numbers(s, queries.family_of(s, case.id))
    sights = [
        sight for number in numbers for sight in queries.public(s, now=at, publish=publish, number=number)
    ]
    if case.number not in {sight.number for sight in sights}:
        return None
    ids = [photo for sight in sights for photo in _photos_in(sight)]
    files = {photo.id: photo for photo in s.scalars(select(Photo).where(Photo.id.in_(ids)))}
    sections = {
        "cases": [_sight(sight) for sight in sights],
        "reports": [_telling(sight, told, files) for sight in sights for told in sight.tellings],
        "closings": [_proof(sight, sight.proof, files) for sight in sights if sight.proof],
        "story": [_step(sight, step) for sight in sights for step in sight.steps],
    }
    pictures = [files[id_] for id_ in ids if id_ in files]
    return Record(case.number, sections, {file_of(photo): photo for photo in pictures}, is_public=True)


def of_person(s: Session, subject: Subject, *, unconfirmed: bool = False, by: Actor, at: datetime) -> Record:
    """What is held of one person, and of nobody else: not who else told of their case, nor what staff noted.

    A report under which nobody confirmed their address may be another person's, and comes only where
    `unconfirmed` says so. The log notes at each report, call and account that it was taken out. Raises
    Refused `not_allowed`.
    """
    may("export record", by.roles)
    told, calls = list(subject.reports), list(subject.calls)
    if unconfirmed:
        told += subject.unconfirmed
        calls += data_subjects.calls_of(s, subject.unconfirmed)
    ids = [report.id for report in told]
    pictures = list(s.scalars(select(Photo).where(Photo.report_id.in_(ids)).order_by(Photo.added_at)))
    # Of whoever is known by an address their own: others of the household have theirs.
    theirs: ColumnElement[bool] = (
        Subscription.address.in_(subject.addresses) if subject.addresses else Subscription.report_id.in_(ids)
    )
    if subject.staff:
        theirs |= Subscription.place == danger_alarm.place(subject.staff.id)
    wishes = _wishes(s, theirs)
    sections = {
        "reports": [_report(report) | _came_of(report) | _photos_of(pictures, report.id) for report in told],
        "addresses": [_wish(wish, number) for wish, number in wishes],
        "objections": _objections(s, [], ids),
        "satisfaction": _satisfaction(s, told),
        "calls": _calls(s, calls),
        "messages": _messages(s, [wish.id for wish, _number in wishes]),
        "conversation": [_written(line) for report in told for line in conversation.of_report(s, report)],
        "inbox": [_letter(entry) for entry in subject.letters],
        **(_account(s, subject.staff) if subject.staff else {}),
    }
    for report in told:
        facts = {"report": report.number}
        events.record(s, events.of_case(report.case_id), "export record", by=by, at=at, facts=facts)
    for call in calls:
        events.record(s, events.of_contact(call.id), "export record", by=by, at=at)
    if subject.staff:
        events.record(s, accounts.subject(subject.staff), "export record", by=by, at=at)
    return Record(
        "person", sections, {file_of(photo): photo for photo in pictures},
        unconfirmed=len(subject.unconfirmed), has_unconfirmed=unconfirmed,
    )  # fmt: skip


def file_of(photo: Photo) -> str:
    """What a photo's file is called within the zip."""
    return f"photos/{photo.sha256}.jpg"


def _numbers(s: Session, ids: Collection[int]) -> list[str]:
    found = queries.numbers(s, ids)
    return [found[id_] for id_ in ids if id_ in found]


def _sight(sight: PublicCase) -> Told:
    service, place = sight.service, sight.point
    due_at = None if sight.state == WAITING else sight.due_at  # its page promises no day meanwhile
    return {
        "number": sight.number, "old_number": sight.old_number or None, "service": service.names,
        "department": service.department.names, "state": sight.state, "address": sight.address,
        "lat": place.lat if place else None, "lon": place.lon if place else None,
        "opened_at": sight.opened_at, "due_at": due_at, "closed_at": sight.closed_at,
        "merged_into": sight.merged_into, "cleared_at": sight.cleared_at,
    }  # fmt: skip


def _telling(sight: PublicCase, told: PublicReport, files: Mapping[str, Photo]) -> Told:
    return {
        "case": sight.number, "number": told.number, "taken_at": told.at, "words": told.words,
        "photos": [file_of(files[id_]) for id_ in told.photos if id_ in files],
    }  # fmt: skip


def _proof(sight: PublicCase, proof: ClosingEvidence, files: Mapping[str, Photo]) -> Told:
    return {
        "number": sight.number, "outcome": proof.outcome, "done_at": proof.at, "words": proof.words,
        "reply": proof.reply or None, "no_photo": proof.no_photo, "crew": proof.crew,
        "photos": [file_of(files[id_]) for id_ in proof.photos if id_ in files],
    }  # fmt: skip


def _step(sight: PublicCase, step: TimelineEntry) -> Told:
    return {
        "number": sight.number, "what": step.kind, "at": step.at,
        "facts": {name: step.facts[name] for name in SHOWN_FACTS.get(step.kind, ()) if name in step.facts},
    }  # fmt: skip


def _photos_in(sight: PublicCase) -> list[str]:
    return [photo for told in (*sight.tellings, sight.proof) if told for photo in told.photos]


def _case(s: Session, case: Case) -> Told:
    root = queries.root_of(s, case)
    return {
        "number": case.number, "old_number": queries.old_number(s, case.id), "service": case.service.names,
        "department": case.service.department.names, "state": case.state, "outcome": case.outcome,
        "address": case.address, "lat": case.lat, "lon": case.lon, "accuracy_m": case.accuracy_m,
        "asset": case.asset.number if case.asset else None, "opened_at": case.opened_at,
        "due_at": case.due_at, "closed_at": case.closed_at, "urgent": case.urgent, "cycle": case.cycle,
        "merged_into": root.number if root is not case else None, "tags": [each.tag for each in case.tags],
        "crews": [
            {"crew": job.crew.name, "given_at": job.given_at, "started_at": job.started_at,
             "ended_at": job.ended_at, "ended_why": job.ended_why}
            for job in case.assignments
        ],
        "waits": [
            {"reason": pause.why, "began_at": pause.began_at, "ended_at": pause.ended_at}
            for pause in case.pauses
        ],
        "on_hold": case.hold and (case.hold.reason or True), "cleared_at": case.cleared_at,
    }  # fmt: skip


def _report(report: Report) -> Told:
    return {
        "number": report.number, "taken_at": report.taken_at, "channel": report.channel, "lang": report.lang,
        "service": report.service.names, "words": report.words, "answers": report.answers,
        "address": report.address, "lat": report.lat, "lon": report.lon, "danger": report.danger,
        "shown_at": report.shown_at, "erased_at": report.erased_at,
    }  # fmt: skip


def _came_of(report: Report) -> Told:
    """What their case came to, as it was told to everybody who reported it."""
    case = report.case
    return {
        "state": case.state, "outcome": case.outcome, "opened_at": case.opened_at, "due_at": case.due_at,
        "closed_at": case.closed_at,
    }  # fmt: skip


def _photos_of(pictures: Iterable[Photo], report_id: int) -> Told:
    return {"photos": [file_of(photo) for photo in pictures if photo.report_id == report_id]}


def _wishes(s: Session, which: ColumnElement[bool]) -> list[tuple[Subscription, str | None]]:
    """Wishes for news, each with the number of the report that it is about, if it is about one."""
    asked = select(Subscription, Report.number).outerjoin(Report, Report.id == Subscription.report_id)
    return [(wish, number) for wish, number in s.execute(asked.where(which).order_by(Subscription.id))]


def _wish(wish: Subscription, report: str | None) -> Told:
    return {
        "report": report, "case": wish.case.number if wish.case else None,
        "place": wish.place_name or None, "channel": wish.channel, "address": wish.address, "lang": wish.lang,
        "asked_at": wish.asked_at, "confirmed_at": wish.confirmed_at, "stopped_at": wish.stopped_at,
    }  # fmt: skip


def _closing(case: Case, done: Closure, pictures: Iterable[Photo]) -> Told:
    reply = done.reply["words"] if done.reply else None
    return {
        "number": case.number, "cycle": done.cycle, "outcome": done.outcome, "done_at": done.done_at,
        "closed_at": done.closed_at, "words": done.words, "reply": reply,
        "no_photo": done.no_photo, "crew": done.crew.name if done.crew else None,
        "photos": [file_of(photo) for photo in pictures if photo.closure_id == done.id],
    }  # fmt: skip


def _objections(s: Session, case_ids: Sequence[int], report_ids: Sequence[int] = ()) -> list[Told]:
    asked = select(NotFixed, Report.number).join(Report, Report.id == NotFixed.report_id)
    asked = asked.where(NotFixed.case_id.in_(case_ids) | NotFixed.report_id.in_(report_ids))
    rows = s.execute(asked.order_by(NotFixed.said_at)).all()
    return [{"report": number, "said_at": row.said_at, "led_to": row.led_to} for row, number in rows]


def _satisfaction(s: Session, told: Sequence[Report]) -> list[Told]:
    """How satisfied they said they were; only the person's own record has it, no case's."""
    numbers = {report.id: report.number for report in told}
    return [
        {
            "report": numbers[row.report_id or 0],
            "month": row.month,
            "score": row.score,
            "said_at": row.said_at,
        }
        for row in satisfaction.answered(s, list(numbers))
    ]


def _calls(s: Session, calls: Sequence[Contact]) -> list[Told]:
    phones: dict[int, str] = {}
    if wanted := {call.caller_id for call in calls if call.caller_id}:
        phones = dict(s.execute(select(Caller.id, Caller.phone).where(Caller.id.in_(wanted))).all())
    numbers = queries.numbers(s, {call.case_id for call in calls if call.case_id})
    return [
        {
            "began_at": call.began_at, "seconds": call.seconds, "channel": call.channel,
            "topic": call.topic_code, "lang": call.lang, "outcome": call.outcome,
            "case": numbers.get(call.case_id or 0), "phone": phones.get(call.caller_id or 0),
            "reply_by": call.reply_by,
            "words": " ".join(
                str(words["words"])
                for _line, words in events.of(s, events.of_contact(call.id))
                if words.get("words")
            ),
        }
        for call in calls
    ]  # fmt: skip


def _messages(s: Session, wish_ids: Sequence[int]) -> list[Told]:
    asked = select(Message.kind, Subscription.channel, Subscription.address, Message.sent_at, Message.fault)
    asked = asked.join(Subscription, Subscription.id == Message.subscription_id)
    rows = s.execute(asked.where(Subscription.id.in_(wish_ids)).order_by(Message.id))
    return [dict(row._mapping) for row in rows]


def _written(line: CaseMessage) -> Told:
    """What the city and they wrote each other about a report."""
    return {
        "report": line.report.number if line.report else None, "what": line.kind, "at": line.at,
        "channel": line.channel, "words": line.words, "choices": line.choices,
    }  # fmt: skip


def _letter(entry: InboxEntry) -> Told:
    """What they wrote to the desk, as long as it is kept."""
    return {
        "channel": entry.channel, "at": entry.came_at, "from": entry.sender, "name": entry.sender_name,
        "subject": entry.subject, "words": entry.words, "quoted": entry.rest, "replies": entry.replies,
    }  # fmt: skip


def _story(s: Session, case: Case) -> list[Told]:
    lines = queries.case_events(s, case)
    names = queries.names(s, {line.actor for line, _words in lines})
    return [
        {
            "number": case.number, "n": line.n, "what": line.kind, "at": line.at, "was": line.was,
            "now": line.now, "who": names.get(line.actor, line.actor), "facts": line.facts, "words": words,
            "erased": bool(line.detail and not words),
        }
        for line, words in lines
    ]  # fmt: skip


def _account(s: Session, person: Person) -> dict[str, list[Told]]:
    logins = s.scalars(select(LogIn).where(LogIn.person_id == person.id).order_by(LogIn.began_at))
    phones = s.scalars(select(Device).where(Device.person_id == person.id).order_by(Device.enrolled_at))
    shift = s.get(DutyShift, person.id)
    views = s.scalars(select(SavedView).where(SavedView.person_id == person.id).order_by(SavedView.id))
    lines = select(Event.subject, Event.kind, Event.at).where(Event.actor == accounts.subject(person))
    return {
        "account": [
            {
                "name": person.name, "email": person.email, "lang": person.lang,
                "roles": sorted(role.role for role in person.roles), "crews": [c.name for c in person.crews],
                "departments": sorted(each.code for each in person.departments),
                "disabled_at": person.disabled_at,
            }
        ],
        "logins": [{"began_at": row.began_at, "until": row.until} for row in logins],
        "phones": [
            {"enrolled_at": row.enrolled_at, "seen_at": row.seen_at, "release": row.release,
             "revoked_at": row.revoked_at}
            for row in phones
        ],
        "duty": [{"began_at": shift.began_at, "until": shift.until}] if shift else [],
        "views": [{"name": row.name, "args": row.args, "shared": row.shared} for row in views],
        "deeds": [
            {"subject": row.subject, "what": row.kind, "at": row.at}
            for row in s.execute(lines.order_by(Event.seq))
        ],
    }  # fmt: skip
