"""What an old system changed since a case came from it: brought here as long as nobody here has touched it.

How the case was is kept, so that the run can be undone. Nobody is mailed: it is the past of another system.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import corrections, locks, not_duplicates, sla, transitions
from city.cases import search as case_search
from city.cases.transitions import Closing
from city.channels import EMAIL
from city.db.models import (
    Assignment,
    Case,
    ChainTip,
    Crew,
    Event,
    EventDetail,
    ImportChange,
    Imported,
    Message,
    Report,
    SecretLink,
    Service,
    Subscription,
    SyncOperation,
)
from city.imports.request_rows import Request
from city.lifecycle import CANCELLED, CLOSED, DISPATCHER, NEW, OPEN, SYSTEM, Refused
from city.people import accounts
from city.reports import intake

AT_ONCE = 500
# Who moves imported cases: the system, with a dispatcher's rights, since nobody here decided it.
IMPORTER: Final = Actor("system", frozenset({SYSTEM, DISPATCHER}))
# What residents do about their own news moves nothing of the case.
NEWS: Final = ("confirm news", "stop news")


@dataclass(frozen=True)
class Delta:
    """One run's changes to cases of `source`. `secret` makes the links that go to those who want news."""

    source: str
    run_id: int
    lang: str
    secret: str
    at: datetime


@dataclass(frozen=True)
class Applied:
    """Which requests changed their cases, which told nothing that a case holds, and which were left alone."""

    updated: list[Request]
    same: list[Request]
    left: list[tuple[Request, str]]  # with the numbers of cases that people here have touched


def apply_update(s: Session, delta: Delta, changed: Sequence[Request]) -> Applied:
    """Brings requests to the cases they came as."""
    brought = Applied([], [], [])
    for start in range(0, len(changed), AT_ONCE):
        part = {request.ref: request for request in changed[start : start + AT_ONCE]}
        asked = select(Imported.ref, Imported.digest, Case.number).join(Case, Case.id == Imported.case_id)
        rows = s.execute(asked.where(Imported.source == delta.source, Imported.ref.in_(part))).all()
        held = locks.lock_numbered(s, [row.number for row in rows])
        alive = touched(s, [case.id for case in held.values()], but=NEWS)
        names = [transitions.subject(case) for case in held.values()]
        lines = dict(s.execute(select(ChainTip.subject, ChainTip.n).where(ChainTip.subject.in_(names))).all())
        for ref, digest, number in rows:
            request, case = part[ref], held[number]
            if case.id in alive:
                brought.left.append((request, number))
                continue
            was = {"lines": lines[transitions.subject(case)], "digest": digest, **_snapshot(s, case)}
            is_new = _apply(s, delta, case, request)
            case.standing = sla.sla_status(case, delta.at)  # their moves lie in the past
            if is_new:
                case_search.mark_changed(s, case.id)
                s.add(ImportChange(run_id=delta.run_id, case_id=case.id, was=was))
                brought.updated.append(request)
            else:
                brought.same.append(request)
            about = Imported.source == delta.source, Imported.ref == ref
            s.execute(update(Imported).where(*about).values(digest=request.digest))
    return brought


def touched(s: Session, case_ids: Collection[int], *, but: Collection[str] = ()) -> set[int]:
    """Those of these cases with which anybody here did anything, save lines of the kinds `but`.

    An import tells of the past with its own origin, so every other line of a case's log is somebody's deed;
    and so is what a crew's phone sent, even where a person must still decide about it. That it is another
    problem than some case says nothing of the case itself.
    """
    found: set[int] = set()
    ids = list(case_ids)
    for start in range(0, len(ids), AT_ONCE):
        part = ids[start : start + AT_ONCE]
        lines = select(Event.subject).where(
            Event.subject.in_([events.of_case(case_id) for case_id in part]), Event.origin != "import",
            Event.kind.not_in((*not_duplicates.KINDS, *but)),
        )  # fmt: skip
        found |= {int(subject.partition(":")[2]) for subject in s.scalars(lines.distinct())}
        found |= set(s.scalars(select(SyncOperation.case_id).where(SyncOperation.case_id.in_(part))))
    return found


def address_of(request: Request) -> str:
    """The reporter's address, where there is one that can be written to."""
    try:
        return accounts.address(request.email) if request.email else ""
    except Refused:
        return ""


def revert(s: Session, change: ImportChange, *, at: datetime) -> None:
    """Makes a case what it was before a run changed it; the caller holds it, and has seen it untouched."""
    case, was = s.get_one(Case, change.case_id), change.was
    now = case.state
    for kind in ("assignments", "pauses", "closures"):  # of live assignments there may be only one
        kept = {row[0] for row in was[kind]}
        for row in [row for row in getattr(case, kind) if row.id not in kept]:
            if isinstance(row, Assignment):
                events.publish_to_sync_feed(
                    s, f"crew:{row.crew_id}", "job", case.number, present=False, why="cancelled"
                )
            getattr(case, kind).remove(row)
            s.delete(row)
    s.flush()
    for assignment, (_id, ended_at, ended_why) in zip(case.assignments, was["assignments"], strict=True):
        assignment.ended_at, assignment.ended_why = _instant(ended_at), ended_why
    for pause, (_id, ended_at) in zip(case.pauses, was["pauses"], strict=True):
        pause.ended_at = _instant(ended_at)
    case.state, case.cycle, case.outcome = was["state"], was["cycle"], was["outcome"]
    case.closed_at, case.promised_at = _instant(was["closed_at"]), _instant(was["promised_at"])
    if "place" in was:  # what was brought before places and services came along has neither
        case.service, case.promise_days = s.get_one(Service, was["service"]), was["promise_days"]
        case.service_code = was["service"]
        corrections.put(case, *was["place"])
    _put_news_back(s, case, was["news"])
    sla.refresh(case, at)
    _forget_words(s, case, was["lines"])
    facts = {"run": change.run_id, "since": was["lines"]}
    events.record(
        s,
        transitions.subject(case),
        "undo",
        by=IMPORTER,
        at=at,
        was=now,
        now=case.state,
        facts=facts,
        origin="import",
    )
    transitions.bump_version(s, case)
    case_search.forget(s, case.id)
    s.execute(update(Imported).where(Imported.case_id == case.id).values(digest=was["digest"]))
    s.delete(change)


def _snapshot(s: Session, case: Case) -> dict[str, Any]:
    return {
        "state": case.state, "cycle": case.cycle, "outcome": case.outcome,
        "closed_at": _iso(case.closed_at), "promised_at": _iso(case.promised_at),
        "assignments": [[row.id, _iso(row.ended_at), row.ended_why] for row in case.assignments],
        "pauses": [[row.id, _iso(row.ended_at)] for row in case.pauses],
        "closures": [[row.id] for row in case.closures],
        "service": case.service_code, "promise_days": case.promise_days,
        "place": [
            case.lat, case.lon, case.accuracy_m, case.place_source, case.address, case.asset_id,
        ],
        "news": [[row.id, _iso(row.confirmed_at), _iso(row.stopped_at)] for row in _news(s, case)],
    }  # fmt: skip


def _apply(s: Session, delta: Delta, case: Case, request: Request) -> bool:
    steps = (
        _classify(s, delta, case, request),
        _locate(s, delta, case, request),
        _move(s, case, request, delta.at),
        request.is_open and _give(s, case, request.crew_id, delta.at),
        case.state in OPEN and _promise(s, case, request, delta.at),
        _add_notes(s, delta, case, request),
        case.state in OPEN and _bring_news(s, delta, case.reports[0], request),
    )
    return any(steps)


def _classify(s: Session, delta: Delta, case: Case, request: Request) -> bool:
    """The service that it is there now; what is promised for that counts only while the case is open."""
    code = request.service_code(delta.source)
    if case.service_code == code:
        return False
    case.service, case.service_code = s.get_one(Service, code), code
    if case.state in OPEN:
        sla.start_clock(case, delta.at)
    _record(s, case, "service", delta.at, {"service": code})
    return True


def _locate(s: Session, delta: Delta, case: Case, request: Request) -> bool:
    """The place that it has there now, or none; the report keeps the one that was told."""
    if (case.lat, case.lon, case.address) == (request.lat, request.lon, request.address):
        return False
    source = "unknown" if request.lat is None else "address"
    corrections.put(case, request.lat, request.lon, None, source, request.address, None)
    told = {"address": request.address, "lat": request.lat, "lon": request.lon}
    _record(s, case, "place", delta.at, {"report": case.reports[0].number}, words=told)
    return True


def _move(s: Session, case: Case, request: Request, at: datetime) -> bool:
    """Brings the case to the state that the request has over there."""
    closed = case.closed_at
    again = request.again if request.again and closed and request.again >= closed else None
    if request.state == CLOSED:
        if case.state == CLOSED and not (again and request.closed and request.closed >= again):
            return False  # a closing whose time or words were edited is the same closing
        _open_again(s, case, again or at)
        return _close(s, case, request, request.closed or at)
    if request.state == CANCELLED:
        if case.state == CANCELLED:
            return False
        _open_again(s, case, at)
        return transitions.cancel(
            s, case, "withdrawn", by=IMPORTER, at=request.cancelled or at, origin="import"
        )
    last = case.closures[-1].closed_at if case.closures else case.opened_at
    if case.state in OPEN and request.closed and request.reopened and request.closed > last:
        _close(s, case, request, request.closed)
        return transitions.reopen(s, case, by=IMPORTER, at=request.reopened, origin="import")
    moved = _open_again(s, case, again or at)
    if request.accepted and case.state == NEW:
        moved = transitions.accept(s, case, by=IMPORTER, at=request.accepted, origin="import")
    return moved


def _close(s: Session, case: Case, request: Request, at: datetime) -> bool:
    outcome, words = request.outcome, request.closure
    return transitions.close(s, case, Closing(outcome, words=words), by=IMPORTER, at=at, origin="import")


def _open_again(s: Session, case: Case, at: datetime) -> bool:
    if case.state == CLOSED:
        return transitions.reopen(s, case, by=IMPORTER, at=at, origin="import")
    return case.state == CANCELLED and transitions.restore(s, case, by=IMPORTER, at=at, origin="import")


def _give(s: Session, case: Case, crew_id: int | None, at: datetime) -> bool:
    held = transitions.live(case)
    if held and crew_id is None:
        return transitions.unassign(s, case, by=IMPORTER, at=at, origin="import")
    if crew_id is None or (held and held.crew_id == crew_id):
        return False
    return transitions.assign(s, case, s.get_one(Crew, crew_id), by=IMPORTER, at=at, origin="import")


def _promise(s: Session, case: Case, request: Request, at: datetime) -> bool:
    """The day that they promise over there, whatever the clock here has done so far."""
    given = sla.take_over_promise(request.due, request.opened, sla.zone_of(case.service))
    counted = given - sla.paused_time(case.pauses, at) if given else None
    if counted == case.promised_at:
        return False
    case.promised_at = counted
    sla.refresh(case, at)
    _record(s, case, "promise", at, {"due": _iso(given)})
    return True


def _add_notes(s: Session, delta: Delta, case: Case, request: Request) -> bool:
    """What was added over there to the words of the resident, or to those of staff, becomes a note each."""
    report, subject = case.reports[0], transitions.subject(case)
    lines = events.of(s, subject) if request.words or request.staff_notes else []
    notes = [words["note"] for line, words in lines if line.kind == "note" and "note" in words]
    own = _added(request.words, [report.words, *notes]), {"run": delta.run_id, "report": report.number}
    staff = _added(request.staff_notes, notes), {"run": delta.run_id}
    said = [(added, facts) for added, facts in (own, staff) if added]
    for added, facts in said:
        events.record(
            s, subject, "note", by=IMPORTER, at=delta.at, facts=facts, words={"note": added}, origin="import"
        )
    if said:
        transitions.bump_version(s, case)
    return bool(said)


def _added(told: str, known: Sequence[str]) -> str:
    """What `told` says beyond what is known already, piece after piece."""
    rest = told.strip()
    for piece in known:
        if piece and rest.startswith(piece.removesuffix("…").strip()):
            rest = rest[len(piece.removesuffix("…").strip()) :].strip()
    return "" if rest == "…" else rest


def _bring_news(s: Session, delta: Delta, report: Report, request: Request) -> bool:
    """Who wants to hear of the case, as the old system knows it.

    What its reader stopped here stays stopped: a file does not say when a consent was given. What only the
    old system had withdrawn, it may give again.
    """
    email = address_of(request)
    changed = False
    for wish in [each for each in report.subscriptions if each.channel == EMAIL]:
        if wish.stopped_at is None and (
            wish.address != email or (wish.confirmed_at and not request.consented)
        ):
            wish.stopped_at = delta.at
            changed = _record_news(s, report, wish, "stop news", delta.at)
    if not email:
        return changed
    known = next((wish for wish in report.subscriptions if wish.address == email), None)
    if known and (not request.consented or (known.confirmed_at and known.stopped_at is None)):
        return changed
    if known and known.stopped_at and intake.stopped_here(s, known):
        return changed
    wish = known or Subscription(report_id=report.id, address=email, lang=delta.lang, asked_at=delta.at)
    if known is None:
        report.subscriptions.append(wish)
        s.flush()
    if request.consented:
        wish.confirmed_at, wish.stopped_at = delta.at, None
        _link(s, delta, report)
    return _record_news(s, report, wish, "subscribe", delta.at)


def _record_news(s: Session, report: Report, wish: Subscription, kind: str, at: datetime) -> bool:
    facts = {"report": report.number, "subscription": wish.id}
    subject = events.of_case(report.case_id)
    events.record(s, subject, kind, by=IMPORTER, at=at, facts=facts, origin="import")
    return True


def _link(s: Session, delta: Delta, report: Report) -> None:
    """The secret link that a letter about the case leads to."""
    token = intake.hashed(intake.token_for(delta.secret, report.key))
    if s.get(SecretLink, token) is None:
        s.add(SecretLink(token_hash=token, report_id=report.id, made_at=delta.at))


def _news(s: Session, case: Case) -> Iterator[Subscription]:
    asked = select(Subscription).join(Report, Report.id == Subscription.report_id)
    return iter(s.scalars(asked.where(Report.case_id == case.id).order_by(Subscription.id)))


def _put_news_back(s: Session, case: Case, was: Sequence[Sequence[Any]]) -> None:
    kept = {row[0]: row for row in was}
    for wish in list(_news(s, case)):
        if wish.id in kept:
            _id, confirmed_at, stopped_at = kept[wish.id]
            wish.confirmed_at, wish.stopped_at = _instant(confirmed_at), _instant(stopped_at)
        else:
            s.execute(delete(Message).where(Message.subscription_id == wish.id))
            s.delete(wish)


def _forget_words(s: Session, case: Case, since: int) -> None:
    """Whatever words and places imports told after line `since`: the log keeps that they did.

    A later run may add them again.
    """
    told = Event.subject == transitions.subject(case), Event.n > since, Event.origin == "import"
    added = select(Event.seq).where(*told)
    s.execute(delete(EventDetail).where(EventDetail.seq.in_(added)))


def _record(
    s: Session,
    case: Case,
    kind: str,
    at: datetime,
    facts: dict[str, Any],
    words: dict[str, Any] | None = None,
) -> None:
    subject = transitions.subject(case)
    events.record(s, subject, kind, by=IMPORTER, at=at, facts=facts, words=words, origin="import")
    transitions.bump_version(s, case)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _instant(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None
