"""Until when a case may wait, and what becomes of it when that is over.

A wait without an end is where promises go to be forgotten, so every wait has one: as long as its reason
usually takes, or what somebody says, up to what the city file allows.
"""

import re
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Select, select

from city.cases import sla
from city.cases.queries import clock_stands
from city.db.models import IS_OPEN, Case, Pause, Service
from city.lifecycle import DANGER_WAITS_HOURS, WAIT_REASONS, WAITING, Refused

# A case comes back at the beginning of a working day, not at the minute in which somebody put it on hold.
COMES_BACK: Final = time(8)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Terms(NamedTuple):
    """For a reason: how many days where nobody says, how many at most, and whether the clock stands."""

    days: int
    most: int
    pauses: bool


def terms(service: Service, reason: str) -> Terms:
    """What the city file says of a wait for `reason`, one of lifecycle.WAIT_REASONS."""
    usual = WAIT_REASONS[reason]
    days, most = service.waits.get(reason) or (usual.days, usual.most)
    return Terms(days, most, usual.pauses)


def usual_end(case: Case, reason: str, at: datetime) -> datetime:
    """When a wait for `reason` that begins at `at` ends where nobody says."""
    if sla.in_danger(case):
        return at + timedelta(hours=DANGER_WAITS_HOURS)
    return morning(case.service, at, terms(case.service, reason).days)


def latest_end(case: Case, reason: str, at: datetime) -> datetime:
    """When it ends at the latest."""
    if sla.in_danger(case):
        return at + timedelta(hours=DANGER_WAITS_HOURS)
    return morning(case.service, at, terms(case.service, reason).most + 1) - timedelta(microseconds=1)


def checked_end(
    case: Case, reason: str, since: datetime, until: datetime | None, *, at: datetime
) -> datetime:
    """`until`, or the usual end, of a wait that began at `since`, as somebody says it at `at`.

    Raises Refused `wait_past`, `wait_too_long` (with `most`, days) or `danger_waits_long` (with `most`,
    hours).
    """
    if until is None:
        return usual_end(case, reason, since)
    if until <= at:
        raise Refused("wait_past")
    if until > latest_end(case, reason, since):
        if sla.in_danger(case):
            raise Refused("danger_waits_long", most=DANGER_WAITS_HOURS)
        raise Refused("wait_too_long", most=terms(case.service, reason).most)
    return until


def morning(service: Service, at: datetime, days: int) -> datetime:
    """So many days after `at`, as the responsible department's day begins."""
    zone = sla.zone_of(service)
    day = at.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, COMES_BACK, zone)


def on_day(case: Case, day: str, hour: time = COMES_BACK) -> datetime | None:
    """The hour of a day that somebody chose, as 2026-12-04; None for "". Raises Refused `wait_day`."""
    if not day:
        return None
    if not _DAY.fullmatch(day):  # other ways of ISO 8601 to write one are no form's
        raise Refused("wait_day")
    try:
        return datetime.combine(date.fromisoformat(day), hour, sla.zone_of(case.service))
    except ValueError:
        raise Refused("wait_day") from None


def over(now: datetime) -> Select[str]:
    """The numbers of the cases that have waited long enough."""
    asked = select(Case.number).where(IS_OPEN, Case.state == WAITING)
    return asked.join(Pause, Pause.case_id == Case.id).where(Pause.ended_at.is_(None), Pause.until <= now)


def late(now: datetime) -> Select[str]:
    """The numbers of those that have become late while they wait, since their clock runs."""
    return select(Case.number).where(IS_OPEN, Case.standing == "wait", Case.due_at < now, ~clock_stands())
