"""Cases as lists for other programs tell them: many at once, and only what strangers may know.

Which cases these are, which words and photos are public and how exactly a place is told is decided in
queries.py. What is here reads columns instead of whole stories: a thousand cost six statements.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, select, union_all
from sqlalchemy import case as when
from sqlalchemy.orm import Session

from city.audit import events
from city.cases.queries import PUBLIC_STEPS, public_cases, roots_of, shown_column, street_only
from city.db.models import (
    HAS_ENDED,
    IS_OPEN,
    Case,
    CaseHop,
    Closure,
    Department,
    Event,
    Photo,
    Report,
    Service,
)
from city.geo import Point, rounded
from city.lifecycle import CANCELLED, CLOSED, OPEN, STATES, UNDONE
from city.questions import Question

# A problem is listed once: what was merged is listed as the case that goes on, and found by its own number.
LISTED: Final = tuple(name for name, state in STATES.items() if state.status)
API: Final = "api"  # the channel of reports that other programs sent
_COLUMNS = (
    Case.id, Case.number, Case.state, Case.service_code, Case.opened_at, Case.due_at, Case.rescheduled_to,
    Case.closed_at, Case.address, Case.lat, Case.lon, Case.outcome,
)  # fmt: skip
_SUBJECT: Final = "case:"
_NEWEST_FIRST = (Case.opened_at.desc(), Case.id.desc())


class Kind(NamedTuple):
    """A service as a list names it. `names` and `department` are by language."""

    code: str
    names: dict[str, str]
    department: dict[str, str]
    precision_m: int
    questions: Sequence[Question]


class Stop(NamedTuple):
    """One public step of a case's story."""

    kind: str
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outline:
    """A case or a report under its number, as strangers may know it.

    `words`, `answers` and `photos` (ids) are those of the first report that was shown. `closing` has the
    words for the residents, and `reply` the ready reply's by language, where a report was shown. `stops`, and
    the `hops` by which it came from other machines, are there where they were asked for.
    """

    number: str
    state: str
    outcome: str | None
    kind: Kind
    opened_at: datetime
    updated_at: datetime
    due_at: datetime
    rescheduled_to: datetime | None  # the new date that was told since
    closed_at: datetime | None
    address: str
    point: Point | None
    words: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
    photos: Sequence[str] = ()
    closing: str = ""
    reply: dict[str, str] = field(default_factory=dict)
    stops: Sequence[Stop] = ()
    hops: Sequence[str] = ()


class Change(NamedTuple):
    """One public step of one case, for whoever keeps a copy: under its number, or under a report's."""

    seq: int
    number: str
    kind: str
    at: datetime
    state: str | None  # in which it left the case, where it moved it
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cases a list wants. Times are inclusive; `changed…` are of the last public step."""

    services: Collection[str] = ()
    states: Collection[str] = LISTED
    since: datetime | None = None
    until: datetime | None = None
    changed_since: datetime | None = None
    changed_until: datetime | None = None
    offset: int = 0
    limit: int = 1000


def kinds(s: Session) -> dict[str, Kind]:
    """Every service that a case may have, by its code."""
    rows = s.execute(
        select(Service.code, Service.names, Department.names, Service.precision_m, Service.questions).join(
            Department, Department.code == Service.department_code
        )
    )
    return {row[0]: Kind(*row) for row in rows}


def listed(
    s: Session, asked: Asked, of: Mapping[str, Kind], *, publish: str, stops: bool = False
) -> list[Outline]:
    """The cases that are asked for, newest first. `of` are the kinds(); five statements."""
    newest = select(Case).where(Case.id.in_(_newest(asked))).order_by(*_NEWEST_FIRST)
    return list(_outlines(s, newest, of, publish, stops).values())


def latest(
    s: Session, of: Mapping[str, Kind], *, closed: bool, group: str, publish: str, limit: int
) -> list[Outline]:
    """The open cases that were told last, or those closed last; of one group of services or of all."""
    stands, at = (HAS_ENDED, Case.closed_at) if closed else (IS_OPEN, Case.opened_at)
    # Of open ones the index says which they are: with their states beside it, all of them would be sorted.
    found = public_cases((CLOSED,) if closed else (), group).where(stands)
    newest = found.order_by(at.desc(), Case.id.desc()).limit(limit)
    return list(_outlines(s, newest, of, publish, stops=False).values())


def named(
    s: Session, numbers: Sequence[str], of: Mapping[str, Kind], *, publish: str, stops: bool = False
) -> list[Outline]:
    """The cases and reports of these numbers, in their order; what is unknown or private is left out.

    Each has its own number, service and time of telling, and the state of the case that it came to. A report
    has its own words and photos, where they were shown.
    """
    asked = list(dict.fromkeys(number.upper() for number in numbers))
    own = {row.number: row for row in s.execute(_reports_by_number(asked))} | {
        row.number: row for row in s.execute(_cases(asked))
    }
    ends = roots_of(s, {row.case_id for row in own.values()})
    found = _outlines(s, public_cases().where(Case.id.in_(sorted(set(ends.values())))), of, publish, stops)
    shown = _shown(s, [row.report_id for row in own.values() if row.report_id], publish)
    outlines = []
    for row in (own[number] for number in asked if number in own):
        whole = found.get(ends[row.case_id])
        if whole is None or whole.state == UNDONE:
            continue
        outline = replace(
            whole, number=row.number, kind=of[row.service_code], opened_at=row.at,
            updated_at=max(whole.updated_at, row.at),
        )  # fmt: skip
        if row.report_id:
            outline = replace(outline, **shown.get(row.report_id, _NOTHING_SHOWN))
        outlines.append(outline)
    return outlines


def changes(
    s: Session, since: datetime, until: datetime, *, offset: int = 0, limit: int = 1000
) -> list[Change]:
    """What strangers may know to have happened from `since` to `until`, in that order.

    Each under the number of its case and, as other programs know their own reports by these, under the
    number of every report that came from one.
    """
    case_id = _case_of_line()
    rows = s.execute(
        public_cases((*LISTED, "merged"))
        .join(Event, case_id == Case.id)
        .where(Event.at >= since, Event.at <= until, Event.kind.in_((*PUBLIC_STEPS, "merge")))
        .order_by(Event.at, Event.seq)
        .offset(offset)
        .limit(limit)
        .with_only_columns(Event.seq, Case.id, Case.number, Event.kind, Event.at, Event.now, Event.facts)
    ).all()
    sent: dict[int, list[str]] = {}
    for row in s.execute(
        select(Report.case_id, Report.number)
        .where(Report.case_id.in_({row.id for row in rows}), Report.channel == API)
        .order_by(Report.id)
    ):
        sent.setdefault(row.case_id, []).append(row.number)
    return [
        Change(row.seq, number, row.kind, row.at, row.now, row.facts)
        for row in rows
        for number in (row.number, *sent.get(row.id, ()))
    ]


def last_moved(s: Session, ids: Sequence[int]) -> dict[int, datetime]:
    """When each case had its last public step."""
    rows = s.execute(
        select(Event.subject, func.max(Event.at))
        .where(Event.subject.in_([events.of_case(i) for i in ids]), Event.kind.in_(PUBLIC_STEPS))
        .group_by(Event.subject)
    )
    return {int(subject.removeprefix(_SUBJECT)): at for subject, at in rows}


_NOTHING_SHOWN: dict[str, Any] = {"words": "", "answers": {}, "photos": ()}


def _changed(since: datetime | None, until: datetime | None) -> Select[Any]:
    """Ids of the cases whose last public step lies between the two."""
    case_id = _case_of_line()
    asked = select(case_id).where(Event.kind.in_(PUBLIC_STEPS), case_id.is_not(None)).group_by(case_id)
    if since:
        asked = asked.where(Event.at >= since)
    return asked.having(func.max(Event.at) <= until) if until else asked


def _newest(asked: Asked) -> Select[int]:
    """The ids of the cases that a list wants.

    The newest of those that are open and of each ended state are looked up apart and put in order together:
    so each has an index, and none is needed over all cases, which other looks would fall for.
    """
    parts = []
    for stands, states in ((IS_OPEN, OPEN), (HAS_ENDED, (CLOSED,)), (HAS_ENDED, (CANCELLED,))):
        wanted = sorted(set(states).intersection(asked.states))
        if wanted:
            # All that are open need no word of their states: it would lead to an index without times.
            found = _wished(asked, () if stands is IS_OPEN and set(wanted) == set(OPEN) else wanted)
            found = found.where(stands).order_by(*_NEWEST_FIRST).limit(asked.offset + asked.limit)
            parts.append(select(found.with_only_columns(Case.id, Case.opened_at).subquery()))
    all_ = union_all(*parts).subquery()
    newest = select(all_.c.id).order_by(all_.c.opened_at.desc(), all_.c.id.desc())
    return newest.offset(asked.offset).limit(asked.limit)


def _wished(asked: Asked, states: Sequence[str]) -> Select[Case]:
    found = public_cases(states)
    if asked.services:
        found = found.where(Case.service_code.in_(sorted(asked.services)))
    if asked.since:
        found = found.where(Case.opened_at >= asked.since)
    if asked.until:
        found = found.where(Case.opened_at <= asked.until)
    if asked.changed_since or asked.changed_until:
        found = found.where(Case.id.in_(_changed(asked.changed_since, asked.changed_until)))
    return found


def _case_of_line() -> ColumnElement[int | None]:
    """The id of the case that a line of the log is about; null for any other line."""
    number = cast(func.substr(Event.subject, len(_SUBJECT) + 1), BigInteger)
    return when((Event.subject.like(f"{_SUBJECT}%"), number), else_=None)


def _cases(numbers: Sequence[str]) -> Any:
    nothing = func.nullif(Case.id, Case.id).label("report_id")
    at = Case.opened_at.label("at")
    asked = public_cases().where(Case.number.in_(numbers), Case.state != UNDONE)
    return asked.with_only_columns(Case.number, Case.id.label("case_id"), Case.service_code, at, nothing)


def _reports_by_number(numbers: Sequence[str]) -> Any:
    """Reports by their numbers; not those of private kinds that joined a case which is none."""
    private = select(Service.code).where(Service.private)
    asked = public_cases().join(Report, Report.case_id == Case.id)
    asked = asked.where(Report.number.in_(numbers), Case.state != UNDONE, Report.service_code.not_in(private))
    at, report_id = Report.taken_at.label("at"), Report.id.label("report_id")
    return asked.with_only_columns(
        Report.number, Case.id.label("case_id"), Report.service_code, at, report_id
    )


def _outlines(
    s: Session, asked: Select[Any], of: Mapping[str, Kind], publish: str, stops: bool
) -> dict[int, Outline]:
    """What is known of the cases of `asked`, by their ids, in its order."""
    rows = s.execute(asked.with_only_columns(*_COLUMNS)).all()
    ids = [row.id for row in rows]
    tellings = _tellings(s, ids, publish)
    endings = _endings(s, [row.id for row in rows if row.state == CLOSED and row.id in tellings])
    steps, last = _steps(s, ids) if stops else {}, {} if stops else last_moved(s, ids)
    hops = _hops(s, ids) if stops else {}
    found = {}
    for row in rows:
        kind, theirs = of[row.service_code], steps.get(row.id, [])
        moved = theirs[-1].at if theirs else last.get(row.id, row.opened_at)
        place = Point(row.lat, row.lon) if row.lat is not None and row.lon is not None else None
        found[row.id] = Outline(
            number=row.number, state=row.state, outcome=row.outcome, kind=kind, opened_at=row.opened_at,
            updated_at=max(moved, row.opened_at), due_at=row.due_at, rescheduled_to=row.rescheduled_to,
            closed_at=row.closed_at,
            address=street_only(row.address) if kind.precision_m else row.address,
            point=rounded(place, kind.precision_m) if place else None,
            stops=theirs, hops=hops.get(row.id, ()), **tellings.get(row.id, {}), **endings.get(row.id, {}),
        )  # fmt: skip
    return found


def _hops(s: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in s.scalars(select(CaseHop).where(CaseHop.case_id.in_(ids)).order_by(CaseHop.hop)):
        found.setdefault(row.case_id, []).append(row.hop)
    return found


def _tellings(s: Session, ids: Sequence[int], publish: str) -> dict[int, dict[str, Any]]:
    """Of each case the first report that was shown."""
    first: dict[int, int] = {}
    rows = s.execute(
        select(Report.case_id, Report.id)
        .join(Case, Case.id == Report.case_id)
        .where(Report.case_id.in_(ids), shown_column(publish))
        .order_by(Report.id)
    )
    for row in rows:
        first.setdefault(row.case_id, row.id)
    shown = _shown(s, list(first.values()), publish)
    return {case_id: shown[report_id] for case_id, report_id in first.items()}


def _shown(s: Session, ids: Sequence[int], publish: str) -> dict[int, dict[str, Any]]:
    """Words, answers and photos of those of these reports that were shown."""
    if not ids:
        return {}
    rows = s.execute(
        select(Report.id, Report.words, Report.answers)
        .join(Case, Case.id == Report.case_id)
        .where(Report.id.in_(ids), shown_column(publish))
    )
    found: dict[int, dict[str, Any]] = {
        row.id: {"words": row.words, "answers": row.answers, "photos": []} for row in rows
    }
    pictures = select(Photo.id, Photo.report_id).where(Photo.report_id.in_(found))
    for photo in s.execute(pictures.order_by(Photo.position, Photo.added_at)):
        found[photo.report_id]["photos"].append(photo.id)
    return found


def _endings(s: Session, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What the last closing of each case says to residents."""
    if not ids:
        return {}
    rows = s.execute(
        select(Closure.case_id, Closure.words, Closure.reply)
        .where(Closure.case_id.in_(ids))
        .order_by(Closure.id)
    )
    return {
        row.case_id: {"closing": row.words, "reply": row.reply["words"] if row.reply else {}} for row in rows
    }


def _steps(s: Session, ids: Sequence[int]) -> dict[int, list[Stop]]:
    rows = s.execute(
        select(Event.subject, Event.kind, Event.at, Event.facts)
        .where(Event.subject.in_([events.of_case(i) for i in ids]), Event.kind.in_(PUBLIC_STEPS))
        .order_by(Event.at, Event.seq)
    )
    found: dict[int, list[Stop]] = {}
    for subject, kind, at, facts in rows:
        found.setdefault(int(subject.removeprefix(_SUBJECT)), []).append(Stop(kind, at, facts))
    return found
