"""A case's clock: when it is due, how it stands, and what pauses it.

A promise is calendar days, which end with the city's day, or hours of a calendar's working time. A pause in
which the clock stands moves the first by the time that it lasts, the second by the working time in it: a case
that waits over a weekend in which nobody would have come has lost nothing. `due_at` and `risk_at` on a case
are caches of these functions and can be derived again at any time. docs/explanation/promises.md has the rules
in words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from city.config import business_hours
from city.config.business_hours import Calendar
from city.config.calendars import calendar_of
from city.db.models import Case, Pause, Service
from city.lifecycle import OPEN, WAIT_REASONS, WAITING

# A promise ends when the city's day does, not at the minute the report came in.
END_OF_DAY = time(17, 0)
# Danger does not wait for the promise of its kind: it is looked at by the end of the next day.
URGENT_DAYS = 1
# "At risk" leaves a crew a quarter of the promise, but never less than a working day's notice.
RISK_SHARE = 0.25
RISK_AT_LEAST = timedelta(hours=8)

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Terms:
    """What is promised: calendar days of `zone`, working hours of `calendar`, or both: the earlier counts.

    `at` is the word of another system, which goes before both.
    """

    zone: ZoneInfo
    days: int = 0
    hours: int = 0
    calendar: Calendar | None = None
    at: datetime | None = None


class Times(NamedTuple):
    """When the promise ends, and from when on little of it is left."""

    due: datetime
    risk: datetime


def offered(service: Service, *, urgent: bool) -> Terms:
    """What is promised to a case of this service that opens now."""
    calendar = calendar_of(service.calendar.rules) if service.calendar else None
    days = URGENT_DAYS if urgent else service.promise_days
    return Terms(zone_of(service), days, service.promise_hours or 0, calendar)


def due_and_risk(terms: Terms, began_at: datetime, pauses: Iterable[Span] = ()) -> Times:
    """When a promise that began at `began_at` ends, its clock having stood in `pauses`."""
    stood = list(deduplicate_pauses(pauses))
    found = []
    if terms.at or terms.days:
        given = terms.at or _promised(began_at, terms.days, terms.zone)
        due = given + sum((ended - began for began, ended in stood), timedelta())
        found.append(Times(due, due - max((given - began_at) * RISK_SHARE, RISK_AT_LEAST)))
    if terms.hours and terms.calendar and not terms.at:
        hours, calendar = timedelta(hours=terms.hours), terms.calendar
        whole = hours + sum((business_hours.between(calendar, *pause) for pause in stood), timedelta())
        notice = min(whole, max(hours * RISK_SHARE, RISK_AT_LEAST))
        due = business_hours.add(calendar, began_at, whole)
        found.append(Times(due, business_hours.add(calendar, began_at, whole - notice)))
    return min(found)


def start_clock(case: Case, at: datetime) -> None:
    """Promises the case what its service offers now: it opens, or turns out to be another service's."""
    service = case.service
    case.promise_days = service.promise_days
    case.promise_hours = service.promise_hours
    case.calendar, case.calendar_id = service.calendar, service.calendar_id
    refresh(case, at)


def as_facts(case: Case) -> dict[str, Any]:
    """What was promised, as the log says it: `days`, or `hours` with the SHA-256 of their calendar."""
    told: dict[str, Any] = {"days": days(case)} if days(case) else {}
    if case.promise_hours and case.calendar:
        told |= {"hours": case.promise_hours, "calendar": case.calendar.sha256}
    return told


def days(case: Any) -> int:
    """The calendar days that count for a case, or a row of one, as long as it is `urgent`; 0 for none."""
    return URGENT_DAYS if case.urgent else int(case.promise_days)


def take_over_promise(due: datetime | None, opened_at: datetime, zone: ZoneInfo) -> datetime | None:
    """The word that another system gave; None for one that was broken before the case was opened.

    Midnight in `zone` stands for the day itself, which ends as our days do.
    """
    if due is None:
        return None
    local = due.astimezone(zone)
    if local.time() == time(0):
        due = datetime.combine(local.date(), END_OF_DAY, zone).astimezone(UTC)
    return due if due > opened_at else None


def zone_of(service: Service) -> ZoneInfo:
    """The time zone in which the responsible department counts its days."""
    return ZoneInfo(service.department.time_zone)


def paused_time(pauses: Iterable[Pause], now: datetime) -> timedelta:
    """How long the clock stood; a pause still open counts to `now`. Overlaps count once."""
    stood = _spans((pause for pause in pauses if pause.stops_clock), now)
    return sum((ended - began for began, ended in deduplicate_pauses(stood)), timedelta())


def paused_seconds(case: Case) -> dict[str, int]:
    """For how long its clock stood in this cycle, by the reason it waited for; no reason twice, none with 0.

    Only since its promise counts, and only as far as the waits are over. Overlaps count once.
    """
    before = [closing.done_at for closing in case.closures if closing.cycle < case.cycle]
    reached = max([_began(case), *before])
    stood: Counter[str] = Counter()
    for pause in sorted(case.pauses, key=lambda each: each.began_at):
        if pause.stops_clock and pause.ended_at and pause.ended_at > reached:
            if pause.why in WAIT_REASONS:
                stood[pause.why] += int((pause.ended_at - max(pause.began_at, reached)).total_seconds())
            reached = pause.ended_at
    return {reason: seconds for reason, seconds in stood.items() if seconds}


def deduplicate_pauses(spans: Iterable[Span]) -> Iterator[Span]:
    """The same time in spans that are in order and do not overlap."""
    reached = datetime.min.replace(tzinfo=UTC)
    for began, ended in sorted(spans):
        if ended > max(began, reached):
            yield max(began, reached), ended
            reached = ended


def refresh(case: Case, now: datetime) -> None:
    """Derives the case's cached times again. An open pause has moved nothing yet: resume_clock() does."""
    case.due_at, case.risk_at = due_and_risk(_given(case), _began(case), stood(case, now))
    case.standing = sla_status(case, now)
    if now < case.risk_at:
        case.warned = None  # it has time again: should that end, the log says so again


def stood(case: Case, now: datetime) -> list[Span]:
    """When its clock stood, as far as that is over, since its promise counts."""
    over = [pause for pause in case.pauses if pause.ended_at is not None and pause.stops_clock]
    again = case.restarted_at
    if again is None:
        return _spans(over, now)
    return [(max(began, again), ended) for began, ended in _spans(over, now) if ended > again]


def first_due(case: Case) -> datetime:
    """When it would be due, had its clock never stood."""
    return due_and_risk(_given(case), _began(case)).due


def escalate_urgent(case: Case, now: datetime) -> None:
    """Somebody is in danger: the short promise counts, as long as it is so. What a crew made safe is not safe
    any more."""
    case.urgent, case.follow_on = True, False
    refresh(case, now)


def in_danger(case: Case) -> bool:
    """Whether somebody can be hurt: no crew has made safe what was told of, or what its kind always is."""
    return case.urgent and not case.follow_on


def open_pause(case: Case) -> Pause | None:
    """The pause that is open now."""
    return next((p for p in case.pauses if p.ended_at is None), None)


def waits_for(case: Case) -> str | None:
    """The reason of the pause that is open now."""
    pause = open_pause(case)
    return pause.why if pause else None


def waits_until(case: Case) -> datetime | None:
    """When it comes back by itself; None where it does not wait, or another system lets it."""
    pause = open_pause(case) if case.state == WAITING else None
    return pause.until if pause else None


def clock_stands(case: Case) -> bool:
    """Whether its promise clock stands, since somebody else has to act first."""
    pause = open_pause(case) if case.state == WAITING else None
    return pause is not None and pause.stops_clock


def owner_waited_for(case: Case) -> str:
    """Whose the asset is that the case waits for, as its register says; empty where it waits for no owner."""
    owned = case.state == WAITING and waits_for(case) == "utility" and case.asset
    return case.asset.owner if owned and case.asset else ""


def passed_to(case: Case) -> str:
    """The other owner who has taken the case, while it waits for them; empty where none has."""
    pause = open_pause(case) if case.state == WAITING else None
    return (pause.passed_to if pause else None) or ""


def wait_facts(reason: str, owner: str, until: datetime | None = None, passed_to: str = "") -> dict[str, Any]:
    """What the log says of a wait. `owner` is whose the case's asset is then; it may be the city's later."""
    told = {"reason": reason, "owner": owner} if reason == "utility" and owner else {"reason": reason}
    told |= {"passed_to": passed_to} if passed_to else {}
    return told | ({"until": until.astimezone(UTC).isoformat()} if until else {})


def pause_clock(
    case: Case,
    why: str,
    at: datetime,
    until: datetime | None = None,
    *,
    stops: bool | None = None,
    passed_to: str = "",
) -> None:
    """The case waits, or is closed: the clock stands, save where lifecycle.WAIT_REASONS lets it run, or the
    caller has found that it does."""
    if open_pause(case) is None:
        if stops is None:
            stops = why not in WAIT_REASONS or WAIT_REASONS[why].pauses
        new = Pause(why=why, began_at=at, until=until, stops_clock=stops, passed_to=passed_to or None)
        case.pauses.append(new)


def resume_clock(case: Case, at: datetime) -> None:
    """The wait is over, at `at` or when it was to end, and the due date moves by the time the clock stood."""
    for p in case.pauses:
        if p.ended_at is None:
            p.ended_at = max(min(at, p.until or at), p.began_at)
    refresh(case, at)


def sla_status(case: Case, now: datetime) -> str:
    """How the promise stands: ok, risk, late, wait or done. The one word that colour and shape follow."""
    pause = open_pause(case) if case.state == WAITING else None
    return standing_of_row(case, now, pause.began_at if pause and pause.stops_clock else None)


def standing_of_row(row: Any, now: datetime, stopped_at: datetime | None) -> str:
    """sla_status() of a row of a case. What was late when its clock stopped, `stopped_at`, is late still; one
    that waits while its clock runs, None, becomes late meanwhile."""
    if row.state not in OPEN:
        return "done"
    if row.state == WAITING:
        return "late" if (stopped_at or now) > row.due_at else "wait"
    if now > row.due_at:
        return "late"
    return "risk" if now >= row.risk_at else "ok"


def is_overdue(case: Case, now: datetime) -> bool:
    """Whether its promise is over, by now or when its clock stopped."""
    return case.state in OPEN and sla_status(case, now) == "late"


def margin(case: Case, done_at: datetime) -> timedelta:
    """How early (positive) or late (negative) a closing was."""
    return case.due_at - done_at


def _began(case: Case) -> datetime:
    """From when its promise counts: the first report, or a correction after which that had passed already."""
    return case.restarted_at or case.clock_from


def _given(case: Case) -> Terms:
    calendar = calendar_of(case.calendar.rules) if case.calendar else None
    zone, hours = zone_of(case.service), case.promise_hours or 0
    given = case.promised_at
    if given and case.urgent:
        given = min(given, _promised(case.clock_from, URGENT_DAYS, zone))
    return Terms(zone, days(case), hours, calendar, given)


def _spans(pauses: Iterable[Pause], now: datetime) -> list[Span]:
    return [(pause.began_at, pause.ended_at or now) for pause in pauses]


def _promised(began_at: datetime, days: int, zone: ZoneInfo) -> datetime:
    """At the end of the day so many days later; `days` is at least 1."""
    day = began_at.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, END_OF_DAY, zone).astimezone(UTC)
