"""A rehearsal of a city file: what its promises would have meant for the cases of a past period.

Nothing is changed. Due times are derived again from facts (first report, pauses, completion, reopenings)
under the file's promises and calendars, and held against what was promised then.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.cases import sla
from city.cases.sla import Span, Terms
from city.config import business_hours
from city.config.calendars import written
from city.config.city_file import CityFile, Service
from city.db.models import Calendar, Case, Closure, Pause
from city.lifecycle import CLOSED, OPEN

AT_ONCE = 2000  # cases read at a time
KEPT, BROKEN, UNDECIDED = "kept", "broken", "open"


@dataclass
class Verdicts:
    """How many promises were kept or broken; of those still open nobody knows."""

    kept: int = 0
    broken: int = 0
    open: int = 0

    @property
    def share(self) -> float | None:
        """Of what is decided, the part that was on time; None where nothing is."""
        decided = self.kept + self.broken
        return self.kept / decided if decided else None


@dataclass
class Line:
    """One service, or all of them. `then` is what was promised, `now` what the file would have.

    `better` and `worse` are verdicts that the file changes, `why` by what differs: another system's `word`
    was promised then, `days` or `hours` are others, days became hours or hours days (`kind`), or the
    `calendar` is another. `working` are working hours from the first report to completion, without
    pauses, by the file's calendar; `moved` is how many hours later it is due.
    """

    service: str
    then: Verdicts = field(default_factory=Verdicts)
    now: Verdicts = field(default_factory=Verdicts)
    better: int = 0
    worse: int = 0
    why: Counter[str] = field(default_factory=Counter)
    working: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.then.kept + self.then.broken + self.then.open

    def told(self) -> dict[str, Any]:
        """The line as JSON has it; hours to a tenth, shares to a thousandth."""
        return {
            "service": self.service,
            "cases": self.cases,
            "on_time_then": _rounded(self.then.share, 3),
            "on_time_now": _rounded(self.now.share, 3),
            "open_then": self.then.open,
            "open_now": self.now.open,
            "better": self.better,
            "worse": self.worse,
            "why": dict(self.why.most_common()),
            "median_hours": _rounded(median(self.working) if self.working else None, 1),
            "p90_hours": _rounded(_p90(self.working), 1),
            "moved_hours": _rounded(median(self.moved) if self.moved else None, 1),
        }


@dataclass
class Simulation:
    """`services` in the order of the file, those without a case left out; `unknown` are not in the file."""

    total: Line
    services: list[Line]
    unknown: Counter[str]


@dataclass(frozen=True)
class _Past:
    """The facts of one case."""

    service: str
    began_at: datetime
    done_at: datetime | None
    reached: datetime  # how far its clock ran: to now, or to where it stopped
    urgent: bool
    due_at: datetime
    stood: Sequence[Span]
    promised: tuple[bool, int, int | None, str | None]  # another system's word, days, hours, calendar


def simulate(s: Session, city: CityFile, since: date, until: date, now: datetime) -> Simulation:
    """What `city` would have promised to the cases that were opened from `since` to `until`, both included.

    Withdrawn and merged ones are left out: nobody was owed anything but what their root was. Open ones count
    as broken when they are late at `now`. Raises ValueError where `until` lies before `since`.
    """
    if until < since:
        raise ValueError(f"{until} is before {since}")
    lines: dict[str, Line] = {service.code: Line(service.code) for service in city.services}
    offers = {service.code: _offers(city, service) for service in city.services}
    total, unknown = Line("all"), Counter[str]()
    for past in _pasts(s, city, since, until, now):
        if past.service not in offers:
            unknown[past.service] += 1
            continue
        terms, calendar, rules = offers[past.service][past.urgent]
        due = sla.due_and_risk(terms, past.began_at, past.stood).due
        was, is_now = _verdict(past, past.due_at), _verdict(past, due)
        why = _why(past, terms, rules)
        working = _hours(_worked(past, calendar)) if past.done_at else None
        for line in (lines[past.service], total):
            _count(line, was, is_now, why)
            line.moved.append(_hours(due - past.due_at))
            if working is not None:
                line.working.append(working)
    return Simulation(total, [line for line in lines.values() if line.cases], unknown)


def _offers(city: CityFile, service: Service) -> list[tuple[Terms, business_hours.Calendar, str]]:
    """What the file promises to a case without danger and to one with it, with its calendar and the rules."""
    calendar = city.working(service)
    days = (sla.URGENT_DAYS if service.urgent else service.promise_days, sla.URGENT_DAYS)
    hours = service.promise_hours or 0
    return [(Terms(city.time_zone, each, hours, calendar), calendar, written(calendar)) for each in days]


def _pasts(s: Session, city: CityFile, since: date, until: date, now: datetime) -> Iterator[_Past]:
    begin, end = (
        datetime.combine(day, time(), city.time_zone).astimezone(UTC)
        for day in (since, until + timedelta(days=1))
    )
    asked = (
        select(
            Case.id, Case.service_code, Case.state, Case.urgent, Case.clock_from, Case.due_at,
            Case.promise_days, Case.promise_hours, Case.promised_at, Calendar.rules,
        )
        .outerjoin(Calendar, Calendar.id == Case.calendar_id)
        .where(Case.opened_at >= begin, Case.opened_at < end, Case.state.in_((*OPEN, CLOSED)))
        .order_by(Case.id)
        .limit(AT_ONCE)
    )  # fmt: skip
    last = 0
    while rows := s.execute(asked.where(Case.id > last)).all():
        last = rows[-1].id
        ids = [row.id for row in rows]
        pauses: dict[int, list[Span]] = defaultdict(list)
        done: dict[int, datetime] = dict(
            s.execute(
                select(Closure.case_id, Closure.done_at)
                .where(Closure.case_id.in_(ids))
                .order_by(Closure.cycle)
            ).all()
        )
        ends = {row.id: done.get(row.id) if row.state == CLOSED else None for row in rows}
        stood = select(Pause.case_id, Pause.began_at, Pause.ended_at).where(Pause.case_id.in_(ids))
        stopped: dict[int, datetime] = {}
        for case_id, began, ended in s.execute(stood):
            if over := ended or ends[case_id]:
                pauses[case_id].append((began, over))
            else:  # it stands still, and has moved nothing yet: see sla.refresh()
                stopped[case_id] = began
        for row in rows:
            promised = (row.promised_at is not None, sla.days(row), row.promise_hours, row.rules)
            yield _Past(
                row.service_code, row.clock_from, ends[row.id], stopped.get(row.id, now), row.urgent,
                row.due_at, pauses[row.id], promised,
            )  # fmt: skip


def _verdict(past: _Past, due: datetime) -> str:
    if past.done_at:
        return KEPT if past.done_at <= due else BROKEN
    return BROKEN if past.reached > due else UNDECIDED


def _count(line: Line, was: str, is_now: str, why: str) -> None:
    for verdicts, verdict in ((line.then, was), (line.now, is_now)):
        setattr(verdicts, verdict, getattr(verdicts, verdict) + 1)
    if was != is_now:
        line.better += was == BROKEN
        line.worse += is_now == BROKEN
        line.why[why] += 1


def _why(past: _Past, terms: Terms, rules: str) -> str:
    """What differs between what was promised and what the file promises; the first that does."""
    word, days, hours, calendar = past.promised
    if word:
        return "word"
    if bool(hours) != bool(terms.hours):
        return "kind"
    if (hours or 0) != terms.hours:
        return "hours"
    if days != terms.days:
        return "days"
    return "calendar" if terms.hours and calendar != rules else "other"


def _worked(past: _Past, calendar: business_hours.Calendar) -> timedelta:
    assert past.done_at  # noqa: S101 whoever asks has looked
    stood = (business_hours.between(calendar, *span) for span in sla.deduplicate_pauses(past.stood))
    return business_hours.between(calendar, past.began_at, past.done_at) - sum(stood, timedelta())


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)


def _p90(hours: Sequence[float]) -> float | None:
    return sorted(hours)[-(-9 * len(hours) // 10) - 1] if hours else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
