"""What residents say of a closing: that it did mend it, or that it did not, and what that leads to."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, queries, transitions
from city.db.models import Case, Event, Message, NotFixed, Photo, Report, Subscription
from city.lifecycle import CLOSED, MAX_WORDS, OPEN, REOPEN_DAYS, REOPENINGS_BEFORE_SUPERVISOR, Refused
from city.photos import photos
from city.places.lookup import Place
from city.reports import intake


def not_fixed(
    s: Session,
    report: Report,
    closing: str,
    *,
    by: Actor,
    at: datetime,
    words: str = "",
    taken: Sequence[Photo] = (),
    key: str,
    token: str,
    origin: str = "live",
) -> str:
    """A resident says that the closing which closing_of() has named did not mend it. Returns what it led to.

    `reopened` once within 14 days of that person's notice; `joined` where it lives again already;
    `review` from the third time on; `new case` later than that, linked to the old one. Said again of the same
    closing, what it led to the first time.
    `taken` are the photos that show it: they stand with the report, up to as many as it may have.
    Raises Refused `wrong_state` where the case ended otherwise than closed, and `not_that_closing` where it
    was closed anew meanwhile: nobody sends back what they did not see.
    """
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    case = transitions.root_of(s, report.case)
    locks.lock(s, case)
    cycle = _last_closed(case)
    if said := _said_not_fixed(s, report, case, _cycle_of(closing) or cycle):
        _said_more(s, report, case, said, words=words, taken=taken, by=by, at=at, origin=origin)
        return said
    if not can_be_not_fixed(report, case):
        raise Refused("wrong_state", move="reopen", state=case.state)
    if case.state == CLOSED and closing != closing_of(case):
        raise Refused("not_that_closing")
    led_to = _led_to(s, case, report, at)
    s.add(NotFixed(case_id=case.id, report_id=report.id, cycle=cycle, said_at=at, led_to=led_to))
    events.record(
        s,
        transitions.subject(case),
        "not fixed",
        by=by,
        at=at,
        facts={"report": report.number, "led_to": led_to},
        photos=[photo.sha256 for photo in taken],
        words={"words": words} if words else None,
        origin=origin,
    )
    if led_to == "reopened":
        transitions.reopen(s, case, by=by, at=at, words=words, origin=origin)
    elif led_to == "review":
        transitions.ask_supervisor(s, case, by=by, at=at, words=words)
    if led_to == "new case":
        told = _told_anew(s, report, case, by=by, at=at, words=words, key=key, token=token, origin=origin)
    else:
        told = report
    _attach(s, told, taken, at)
    return led_to


def fixed(s: Session, report: Report, closing: str, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """A resident confirms that the closing did mend it, which closing_of() has named; kept once a report.

    Raises Refused `not_that_closing` where the case was opened again meanwhile, or closed anew: nobody
    confirms what they did not see.
    """
    case = transitions.root_of(s, report.case)
    locks.lock(s, case)
    if case.state != CLOSED or closing_of(case) != closing:
        raise Refused("not_that_closing")
    if confirmed(s, report, case):
        return False
    facts = {"report": report.number, "cycle": case.cycle}
    events.record(s, transitions.subject(case), "fixed confirmed", by=by, at=at, facts=facts, origin=origin)
    return True


def closing_of(case: Case) -> str:
    """What tells the case's closing from any other; empty while it is open.

    Its cycle alone does not: a closing that was taken back is followed by another of the same cycle.
    """
    return f"{case.cycle} {case.closed_at.isoformat()}" if case.closed_at else ""


def confirmed(s: Session, report: Report, case: Case) -> bool:
    """Whether the report's sender has said of the case's last closing that it did mend it."""
    said = {"report": report.number, "cycle": case.cycle}
    kinds = Event.kind.in_(("close", "fixed confirmed"))
    story = select(Event).where(Event.subject == transitions.subject(case), kinds).order_by(Event.n.desc())
    for line in s.scalars(story):
        if line.kind == "close":
            return False  # what was said before was said of one that was taken back
        if line.facts == said:
            return True
    return False


def unanswered(s: Session, reports: Sequence[Report], *, at: datetime) -> list[Report]:
    """Those whose closing waits for its reporter's yes or no, the newest first: closed within REOPEN_DAYS."""
    found = list[tuple[datetime, Report]]()
    for report in reports:
        case = transitions.root_of(s, report.case)
        if case.state != CLOSED or not case.closed_at or at - case.closed_at > timedelta(days=REOPEN_DAYS):
            continue
        if not confirmed(s, report, case) and not answered(s, report, case):
            found.append((case.closed_at, report))
    return [report for _, report in sorted(found, key=lambda each: each[0], reverse=True)]


def answered(s: Session, report: Report, case: Case) -> str:
    """What the report's "not fixed" about the case's last closing led to; empty where there was none."""
    return _said_not_fixed(s, report, case, _last_closed(case)) or ""


def first_told(s: Session, report: Report) -> Report:
    """The report that this one tells again, since its closing was none; itself where it tells something new.

    Where a call was the first, that still says how its caller wants to hear.
    """
    while before := _told_before(s, report):
        report = before
    return report


def can_be_not_fixed(report: Report, case: Case) -> bool:
    """Whether there is a closing that `report` can speak against; `case` is the root of its own.

    Of an open root that was merged with a closed case, its reporters were told of that one's closing.
    """
    was_closed = case.cycle > 1 or bool(report.case.closures)
    return case.state == CLOSED or (case.state in OPEN and was_closed)


def told_at(s: Session, report: Report, case: Case) -> datetime | None:
    """When the reporter was told of the last closing; where nobody wrote, when the case was closed.

    Of several reports of one person only one is written to: what counts is the address.
    """
    if not case.closures:
        return None
    done = case.closures[-1]
    addresses = select(Subscription.address).where(Subscription.report_id == report.id)
    sent = s.scalar(
        select(func.max(Message.sent_at))
        .join(Subscription, Subscription.id == Message.subscription_id)
        .where(Message.closure_id == done.id, Subscription.address.in_(addresses))
    )
    return sent or done.closed_at


def _last_closed(case: Case) -> int:
    """The cycle of the case's last closing."""
    return case.cycle if case.state == CLOSED else case.cycle - 1


def _said_more(
    s: Session,
    report: Report,
    case: Case,
    led_to: str,
    *,
    words: str,
    taken: Sequence[Photo],
    by: Actor,
    at: datetime,
    origin: str,
) -> None:
    """Keeps what another tab said of the same closing; the same form sent twice adds nothing."""
    subject, facts = transitions.subject(case), {"report": report.number, "led_to": led_to}
    known = [said for line, said in events.of(s, subject) if (line.kind, line.facts) == ("not fixed", facts)]
    told = {"words": words}
    if words and told not in known:
        events.record(s, subject, "not fixed", by=by, at=at, facts=facts, words=told, origin=origin)
    _attach(s, report, taken, at)


def _cycle_of(closing: str) -> int:
    """The cycle that closing_of() has named; 0 where it named none."""
    cycle = closing.partition(" ")[0]
    return int(cycle) if cycle.isascii() and cycle.isdecimal() and len(cycle) < 10 else 0


def _said_not_fixed(s: Session, report: Report, case: Case, cycle: int) -> str | None:
    about = (NotFixed.report_id == report.id, NotFixed.case_id == case.id, NotFixed.cycle == cycle)
    return s.scalar(select(NotFixed.led_to).where(*about))


def _led_to(s: Session, case: Case, report: Report, at: datetime) -> str:
    if case.state != CLOSED:
        return "joined"
    told = told_at(s, report, case)
    if told is None or at > told + timedelta(days=REOPEN_DAYS):
        return "new case"
    return "review" if case.cycle > REOPENINGS_BEFORE_SUPERVISOR else "reopened"


def _told_before(s: Session, report: Report) -> Report | None:
    """The report whose "not fixed" this one is: the two were kept in the same moment."""
    if report.case.linked_to_id is None:
        return None
    said = (
        NotFixed.case_id == report.case.linked_to_id,
        NotFixed.led_to == "new case",
        NotFixed.said_at == report.taken_at,
        NotFixed.report_id != report.id,
    )
    return s.scalars(select(Report).join(NotFixed, NotFixed.report_id == Report.id).where(*said)).first()


def _told_anew(
    s: Session,
    report: Report,
    old: Case,
    *,
    by: Actor,
    at: datetime,
    words: str,
    key: str,
    token: str,
    origin: str,
) -> Report:
    place = None
    if not queries.knows_place(old, report):  # the sender of the new case would read the first one's door
        if report.lat is not None and report.lon is not None:
            place = Place(report.lat, report.lon, report.place_source, report.address, report.accuracy_m)
    elif old.lat is not None and old.lon is not None:
        place = Place(old.lat, old.lon, old.place_source, old.address, old.accuracy_m, old.asset_id)
    telling = intake.NewReport(key, old.service_code, "web", report.lang, words, place, report.answers)
    again = intake.submit(s, telling, by=by, at=at, token=token, linked_to=old, origin=origin)
    for known in report.subscriptions:
        s.add(
            Subscription(
                report_id=again.id, channel=known.channel, address=known.address, keys=known.keys,
                lang=known.lang, asked_at=at, confirmed_at=known.confirmed_at, receipt_at=known.receipt_at,
                stopped_at=known.stopped_at,
            )
        )  # fmt: skip
    return again


def _attach(s: Session, report: Report, taken: Sequence[Photo], at: datetime) -> None:
    """Gives the photos to the report, behind those that it has. Somebody looks before strangers see them."""
    if taken:
        intake.hide_until_reviewed(s, report, at=at)
    first = len(report.photos)
    for position, photo in enumerate(taken, start=first):
        photos.attach(s, photo, case_id=report.case_id, report_id=report.id, position=position)
