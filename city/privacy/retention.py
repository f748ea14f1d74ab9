"""What the city file's records schedule removes when its time is over: words, photos, addresses, numbers.
Addresses are those of whoever told of a case and of whoever follows it without.

A case stays as its own tombstone: number, kind, state, dates, area, and its lines of the log, of which every
figure is made and which verify as before. What is on hold stays whole: cases/legal_holds.py.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Boolean, ColumnElement, Engine, Select, delete, func, literal_column, select, update
from sqlalchemy.orm import Session

from city import geo
from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import Cleared
from city.cases import board_index, legal_holds, locks, queries, transitions
from city.cases import search as case_search
from city.config.retention_schedule import EXACT, STREET, Schedule
from city.db import engine as db
from city.db.models import (
    Case,
    CaseMessage,
    CaseTag,
    Closure,
    Contact,
    Device,
    Erasure,
    Event,
    EventDetail,
    ExpectedPhoto,
    Message,
    Photo,
    PhotoDownload,
    RemoteRequest,
    Report,
    SecretLink,
    Service,
    Subscription,
    SyncOperation,
)
from city.db.models import Session as LogIn
from city.geo import Point
from city.lifecycle import CANCELLED, CLOSED, MERGED, OPEN
from city.notifications import satisfaction
from city.people import accounts, callers
from city.photos import photos as pictures
from city.places import areas
from city.places.areas import Areas
from city.privacy import caller_erasure
from city.reports import intake

# Rows of one transaction: whoever wants one of them meanwhile waits for a blink, and one that is killed has
# done all before it.
AT_ONCE: Final = 20
IDS_AT_ONCE: Final = 500  # in one statement
# An address that nobody confirmed may be anybody's: it stays for as long as a receipt's link works. So does
# one that follows no area or street any more, where the city file does not say how long.
UNWANTED: Final = timedelta(days=30)
FOLLOWERS: Final = "followers"  # a class that no file names
SUBJECT: Final = "records"  # in the log, where no single case is meant
SQUARE_M: Final = 500  # what is left of an exact place, with the street's name
_SMALLER_M: Final = (SQUARE_M, 250, 125, 60)  # beside the edge of an area, so that it stays the same one
# As the index of those that wait has it.
_NOT_DONE: Final = literal_column("sync_operations.code IN ('held', 'deposited')", Boolean)

T = TypeVar("T")

Told = Callable[[int, int], object]  # how much is done, and of how much


@dataclass
class Done:
    """By class how much went, and how much is left for the next time."""

    gone: dict[str, int] = field(default_factory=dict)
    left: int = 0


@dataclass(frozen=True)
class _Work:
    """What a class removes by: what began or ended before `before` goes."""

    name: str
    before: datetime
    schedule: Schedule
    var: Path
    at: datetime


def due(s: Session, schedule: Schedule, now: datetime) -> dict[str, int]:
    """By class how many cases, calls, messages, phones and followers would go now. Changes nothing."""
    return {work.name: len(_CLASSES[work.name][0](s, work)) for work in _works(schedule, Path(), now)}


def carry_out(
    engine: Engine,
    var: Path,
    schedule: Schedule,
    now: datetime,
    *,
    most: int | None = None,
    told: Told = lambda *_: None,
) -> Done:
    """Removes what is due, of each class `most` at most. The bytes of photos follow by photos.purge_owed().

    Whatever is killed or done by two at once is done once: every part looks again under its lock.
    """
    done = Done()
    for work in _works(schedule, var, now):
        find, remove = _CLASSES[work.name]
        with db.read_session(engine) as s:
            found = find(s, work)
        wanted = found[:most]
        done.gone[work.name], done.left = 0, done.left + len(found) - len(wanted)
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            with db.transaction(engine) as s:
                done.gone[work.name] += remove(s, part, work)
            told(start + len(part), len(wanted))
    return done


def clear_again(engine: Engine, var: Path, lines: Sequence[Cleared], *, at: datetime) -> int:
    """Does once more what was decided before a restore; returns how many cases were not cleared any more.

    The list goes back to the first day, so it is asked in parts which of its cases are as they should be.
    """
    again = 0
    for part in _parts(lines):
        asked = select(Case.number, Case.cleared_at).where(Case.number.in_([line.case for line in part]))
        with db.read_session(engine) as s:
            is_now = dict(s.execute(asked).all())
        for line in part:
            if line.case in is_now and _is_owed(line, is_now[line.case]):
                with db.transaction(engine) as s:
                    again += _clear_line(s, line, var, at)
    return again


def _is_owed(line: Cleared, cleared_at: datetime | None) -> bool:
    return cleared_at is None or cleared_at < datetime.fromisoformat(line.at)


def _clear_line(s: Session, line: Cleared, var: Path, at: datetime) -> bool:
    case = locks.lock_numbered(s, [line.case])[line.case]
    # What the backup has as open is still to be mended.
    is_another = erasure_ledger.first_key(s, case.id) != line.key
    if is_another or case.state in OPEN or not _is_owed(line, case.cleared_at):
        return False
    _clear(s, [case], var, coarse=line.places == STREET, at=at)
    return True


def _works(schedule: Schedule, var: Path, now: datetime) -> list[_Work]:
    """The classes that the schedule names, and what goes whatever it says."""
    classes = [(name, period.before(now)) for name, period in schedule.classes()]
    return [
        _Work(name, before, schedule, var, now) for name, before in (*classes, (FOLLOWERS, now - UNWANTED))
    ]


def _cases_with_addresses(s: Session, work: _Work) -> list[int]:
    of_reports = select(Report.case_id).join(Subscription, Subscription.report_id == Report.id)
    followed = select(Subscription.case_id).where(Subscription.case_id.is_not(None))
    return _over(s, Case.id.in_(of_reports) | Case.id.in_(followed), work.before)


def _forget_addresses(s: Session, case_ids: Sequence[int], work: _Work) -> int:
    _lock(s, case_ids)
    over = _over(s, Case.id.in_(case_ids), work.before)
    told = s.scalars(select(Report.id).where(Report.case_id.in_(over))).all()
    intake.forget_subscriptions(s, told, over)
    for case_id in over:
        case_search.forget(s, case_id)
        events.record(s, events.of_case(case_id), "forget addresses", by=accounts.THE_SYSTEM, at=work.at)
    return len(over)


def _cases_with_words(s: Session, work: _Work) -> list[int]:
    return _over(s, _with_words(work), work.before)


def _clear_cases(s: Session, case_ids: Sequence[int], work: _Work) -> int:
    found = _lock(s, case_ids)
    over = set(_over(s, _with_words(work) & Case.id.in_(case_ids), work.before))
    wanted = sorted((case for case in found.values() if case.id in over), key=lambda case: case.id)
    if wanted:
        _clear(s, wanted, work.var, coarse=work.schedule.places == STREET, at=work.at)
    return len(wanted)


def _lock(s: Session, case_ids: Sequence[int]) -> dict[str, Case]:
    """Locks the cases with all that they were merged into, and returns all of them by number."""
    family = {id_ for chain in queries.merge_chains(s, case_ids).values() for id_ in chain}
    found = s.scalars(select(Case).where(Case.id.in_(family))).all()
    locks.lock_to_roots(s, found)
    return {case.number: case for case in found}


def _with_words(work: _Work) -> ColumnElement[bool]:
    """Cases of the class that were not cleared since they ended last."""
    still = Case.cleared_at.is_(None) | (Case.cleared_at < Case.closed_at)
    if work.schedule.private is None:
        return still
    theirs = select(Service.code).where(Service.private.is_(work.name == "private"))
    return still & Case.service_code.in_(theirs)


def _calls(s: Session, work: _Work) -> list[int]:
    numbered = select(Contact.id, Contact.case_id).where(
        Contact.began_at < work.before, Contact.caller_id.is_not(None)
    )
    found = {row.id: row.case_id for row in s.execute(numbered)}
    lines = select(Event.subject).join(EventDetail, EventDetail.seq == Event.seq)
    lines = lines.where(Event.kind == "log", Event.subject.like("contact:%"))
    spoken = [int(subject.partition(":")[2]) for subject in s.scalars(lines)]
    for part in _parts(spoken):
        asked = select(Contact.id, Contact.case_id).where(Contact.id.in_(part))
        found |= {row.id: row.case_id for row in s.execute(asked.where(Contact.began_at < work.before))}
    on_hold = legal_holds.held_case_ids(s, {case_id for case_id in found.values() if case_id})
    return sorted(id_ for id_, case_id in found.items() if case_id not in on_hold)


def _forget_calls(s: Session, contact_ids: Sequence[int], work: _Work) -> int:
    return caller_erasure.forget_calls(s, contact_ids, work.var, by=accounts.THE_SYSTEM, at=work.at)


def _old_messages(s: Session, work: _Work) -> list[int]:
    """Sent ones and those that were given up, by when that happened which they told of."""
    asked = _about().join(Event, Event.seq == Message.event_seq)
    asked = asked.where(Message.next_try_at.is_(None), Event.at < work.before)
    found = {row.id: row.case_id for row in s.execute(asked)}
    on_hold = legal_holds.held_case_ids(s, {case_id for case_id in found.values() if case_id})
    return [id_ for id_, case_id in found.items() if case_id not in on_hold]


def _forget_messages(s: Session, message_ids: Sequence[int], work: _Work) -> int:
    found = {row.id: row.case_id for row in s.execute(_about().where(Message.id.in_(message_ids)))}
    about = {case_id for case_id in found.values() if case_id}
    _lock(s, list(about))
    on_hold = legal_holds.held_case_ids(s, about)
    free = [id_ for id_, case_id in found.items() if case_id not in on_hold]
    old = Message.id.in_(free), Message.next_try_at.is_(None)
    gone = len(s.scalars(delete(Message).where(*old).returning(Message.id)).all())
    if gone:
        facts = {"messages": gone}
        events.record(s, SUBJECT, "forget messages", by=accounts.THE_SYSTEM, at=work.at, facts=facts)
    return gone


def _about() -> Any:
    """Messages, and the cases that they told of."""
    asked = select(Message.id, func.coalesce(Report.case_id, Subscription.case_id).label("case_id"))
    asked = asked.join(Subscription, Subscription.id == Message.subscription_id)
    return asked.outerjoin(Report, Report.id == Subscription.report_id).order_by(Message.id)


def _silent_phones(s: Session, work: _Work) -> list[str]:
    asked = select(Device.id).where(Device.seen_at < work.before, Device.token_hash != "")
    return list(s.scalars(asked.order_by(Device.id)))


def _forget_phones(s: Session, device_ids: Sequence[str], work: _Work) -> int:
    """Shut out, without what they said of themselves; what they sent still names them."""
    asked = select(Device).where(Device.id.in_(device_ids), Device.seen_at < work.before)
    phones = s.scalars(asked.where(Device.token_hash != "").order_by(Device.id).with_for_update()).all()
    for phone in phones:
        s.execute(delete(LogIn).where(LogIn.device_id == phone.id))
        phone.token_hash, phone.next_hash, phone.signed_in_at = "", None, None
        phone.release, phone.waiting, phone.pack = "", {}, {}
        phone.revoked_at = phone.revoked_at or work.at
        events.record(s, f"device:{phone.id}", "forget device", by=accounts.THE_SYSTEM, at=work.at)
    return len(phones)


def _followers(s: Session, work: _Work) -> list[int]:
    """Addresses that follow something without a report and that no case's end takes.

    Those that nobody confirmed, unless their case is on hold. Those that follow no area or street any more
    stay as long as the class `contacts` says, counted from when they stopped. Those of cases go with the
    addresses of whoever told of them.
    """
    return _free(s, s.execute(_unwanted(work)).all())


def _forget_followers(s: Session, ids: Sequence[int], work: _Work) -> int:
    asked = _unwanted(work).where(Subscription.id.in_(ids))
    _lock(s, [row.case_id for row in s.execute(asked) if row.case_id])
    # Held, so that nobody says yes to one that goes.
    found = s.execute(asked.with_for_update()).all()
    return intake.forget_wishes(s, _free(s, found))


def _free(s: Session, found: Sequence[Any]) -> list[int]:
    """The ids of those rows that are about no case on hold."""
    on_hold = legal_holds.held_case_ids(s, {row.case_id for row in found if row.case_id})
    return [row.id for row in found if row.case_id not in on_hold]


def _unwanted(work: _Work) -> Select[int, int | None]:
    """Those that were asked before, of which nobody confirmed it or somebody stopped.

    Younger ones have a question on its way, also of whoever stopped once and wants it again.
    """
    contacts = work.schedule.contacts
    stopped = Subscription.stopped_at < (contacts.before(work.at) if contacts else work.before)
    no_more = Subscription.place.is_not(None) & stopped
    asked = select(Subscription.id, Subscription.case_id).where(
        Subscription.report_id.is_(None),
        Subscription.asked_at < work.before,
        Subscription.confirmed_at.is_(None) | no_more,
    )
    return asked.order_by(Subscription.id)


_CLASSES: Final[dict[str, tuple[Callable[..., Sequence[Any]], Callable[..., int]]]] = {
    "contacts": (_cases_with_addresses, _forget_addresses),
    "words": (_cases_with_words, _clear_cases),
    "private": (_cases_with_words, _clear_cases),
    "calls": (_calls, _forget_calls),
    "messages": (_old_messages, _forget_messages),
    "phones": (_silent_phones, _forget_phones),
    FOLLOWERS: (_followers, _forget_followers),
}


def _over(s: Session, asked: ColumnElement[bool], before: datetime) -> list[int]:
    """The ids of those cases that ended before `before` and are not on hold; a merged one ends with its root.

    Ascending.
    """
    ended = Case.state.in_((CLOSED, CANCELLED)) & (queries.ended_at() < before)
    found = list(s.scalars(select(Case.id).where(asked, ended)))
    merged = list(s.scalars(select(Case.id).where(asked, Case.state == MERGED)))
    root_of = queries.roots_of(s, merged)
    over: set[int] = set()
    for part in _parts(sorted(set(root_of.values()))):
        over |= set(s.scalars(select(Case.id).where(ended, Case.id.in_(part))))
    found += [case_id for case_id, root in root_of.items() if root in over]
    return sorted(set(found) - legal_holds.held_case_ids(s, found))


def _clear(s: Session, wanted: Sequence[Case], var: Path, *, coarse: bool, at: datetime) -> None:
    """Makes tombstones of these cases, which are locked."""
    ids = [case.id for case in wanted]
    asked = select(Report.id, Report.key, Report.case_id).where(Report.case_id.in_(ids))
    told = s.execute(asked.order_by(Report.id)).all()
    first = {row.case_id: row.key for row in reversed(told)}
    _append_to_ledger(var, {case.number: first.get(case.id, "") for case in wanted}, coarse=coarse, at=at)
    intake.forget_subscriptions(s, [row.id for row in told], ids)
    satisfaction.untie(s, [row.id for row in told])
    _forget_callers(s, [row.key for row in told])
    names = _forget_photos(s, ids, [row.id for row in told])
    _forget_operations(s, wanted, [row.key for row in told])
    seqs = _forget_words(s, ids, [row.id for row in told], at)
    s.add(Erasure(at=at, seqs=seqs, photos=names, gone_at=None if names else at))
    ground = areas.known(s)
    for case in wanted:
        if coarse:
            _make_coarse(s, case, ground)
        case.cleared_at, case.version = at, case.version + 1
        case_search.forget(s, case.id)
        # A phone that was away since has it still, and hears that it is done with.
        if held := case.assignments[-1:]:
            events.publish_to_sync_feed(
                s, f"crew:{held[0].crew_id}", "job", case.number, present=False, why="done"
            )
        facts = {"places": STREET} if coarse else {}
        events.record(s, transitions.subject(case), "clear", by=accounts.THE_SYSTEM, at=at, facts=facts)


def _append_to_ledger(var: Path, keys: Mapping[str, str], *, coarse: bool, at: datetime) -> None:
    """Writes cases into the list of erasures: before the commit, so that none is ever forgotten.

    `keys` are those of their first reports: by these a case is told from another one that a restored
    database gave the same number.
    """
    places, then = STREET if coarse else EXACT, at.isoformat()
    erasure_ledger.append(
        var, *(Cleared(number, erasure_ledger.hashed(key), places, then) for number, key in keys.items())
    )


def _forget_callers(s: Session, keys: Sequence[str]) -> None:
    """Whoever reported by phone is not known by their number at this case any more."""
    asked = select(Contact.key, Contact.caller_id).where(Contact.key.in_(keys))
    rows = s.execute(asked.where(Contact.caller_id.is_not(None))).all()
    callers.hold(s, {row.caller_id for row in rows})
    for row in rows:
        callers.forget(s, row.key)


def _forget_photos(s: Session, case_ids: Sequence[int], report_ids: Sequence[int]) -> list[str]:
    """Returns the hashes of bytes that are to follow."""
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.report_id.in_(report_ids)))
    s.execute(delete(PhotoDownload).where(PhotoDownload.report_id.in_(report_ids)))
    closings = select(Closure.id).where(Closure.case_id.in_(case_ids))
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.closure_id.in_(closings)))
    asked = select(Photo).where(Photo.case_id.in_(case_ids)).order_by(Photo.id)
    return pictures.detach(s, s.scalars(asked.with_for_update()).all())


def _forget_words(s: Session, case_ids: Sequence[int], report_ids: Sequence[int], at: datetime) -> list[int]:
    """Returns the lines of the log whose words went."""
    subjects = [events.of_case(case_id) for case_id in case_ids]
    for change in (
        update(Report)
        .where(Report.id.in_(report_ids))
        .values(
            words="", answers={}, lat=None, lon=None, accuracy_m=None, address="", shown_at=None,
            erased_at=func.coalesce(Report.erased_at, at),
        ),
        update(SecretLink)
        .where(SecretLink.report_id.in_(report_ids), SecretLink.revoked_at.is_(None))
        .values(revoked_at=at),
        update(Closure).where(Closure.case_id.in_(case_ids)).values(words=""),
        update(CaseMessage)
        .where(CaseMessage.case_id.in_(case_ids) | CaseMessage.report_id.in_(report_ids))
        .values(words="", choices=None, key=None),
        update(RemoteRequest)
        .where(RemoteRequest.case_id.in_(case_ids))
        .values(words="", notes="", fault=None),
        delete(CaseTag).where(CaseTag.case_id.in_(case_ids)),
    ):  # fmt: skip
        s.execute(change.execution_options(synchronize_session=False))
    lines = select(Event.seq).where(Event.subject.in_(subjects), Event.detail.is_not(None))
    gone = delete(EventDetail).where(EventDetail.seq.in_(lines)).returning(EventDetail.seq)
    return sorted(s.scalars(gone))


def _forget_operations(s: Session, wanted: Sequence[Case], keys: Sequence[str]) -> None:
    """What phones sent of them goes where it is kept as it came: a person must look at it, or it still waits.

    Such work may have no case yet: it says which it means, by its number or by one of its reports (`keys`),
    or came under the id of one of these. Photos that it promised are not asked for any more.
    """
    named = SyncOperation.case_ref.in_([case.number for case in wanted] + intake.operation_ids(keys))
    theirs = SyncOperation.case_id.in_([case.id for case in wanted]) | named | intake.sent(keys)
    is_whole = SyncOperation.review.is_not(None) | _NOT_DONE
    whole = select(SyncOperation.id).where(theirs, is_whole)
    gone = delete(ExpectedPhoto).where(ExpectedPhoto.operation_id.in_(whole), ExpectedPhoto.case_id.is_(None))
    s.execute(gone.execution_options(synchronize_session=False))
    change = update(SyncOperation).where(theirs, is_whole).values(raw=None, review=None)
    s.execute(change.execution_options(synchronize_session=False))


def _make_coarse(s: Session, case: Case, ground: Areas) -> None:
    case.address, case.asset_id = _street(case.address), None
    if case.lat is None or case.lon is None:
        return
    area_id = board_index.area_of(s, case)
    seen = _square(Point(case.lat, case.lon), area_id, ground)
    case.lat, case.lon = (seen.lat, seen.lon) if seen else (None, None)
    case.accuracy_m, case.cell = float(SQUARE_M), geo.cell(seen) if seen else None
    # Its area stays, so nothing has to be looked up when the rest is derived as the transaction ends.
    case.quad, case.area_id = geo.quad(seen) if seen else None, area_id if seen else None


def _square(point: Point, area_id: int | None, ground: Areas) -> Point | None:
    """The middle of the square that holds the point, or of a smaller or next one, so that the area stays."""
    for metres in _SMALLER_M:
        step = metres / geo.METRES_A_DEGREE
        middles = [
            geo.rounded(Point(point.lat + north * step, point.lon + east * step), metres)
            for north in (0, -1, 1)
            for east in (0, -1, 1)
        ]
        if found := next((each for each in middles if ground.of(each) == area_id), None):
            return found
    return None


def _street(address: str) -> str:
    """The street alone; nothing where another figure in it may be a house's. "5th Street" keeps its own."""
    street = queries.street_only(address)
    return "" if re.search(r"(?<!\d)\d++(?!(?:st|nd|rd|th)\b)", street) else street


def _parts(all_: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_), IDS_AT_ONCE):
        yield all_[start : start + IDS_AT_ONCE]
