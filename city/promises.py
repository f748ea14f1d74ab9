"""A case's clock: when it is due, how it stands, and what pauses it. Calendar days for now.

`due_at` and `risk_at` on a case are caches of these functions and can be derived again at any time.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from city.lifecycle import CANCELLED, CLOSED, MERGED, WAITING
from city.schema import Case, Pause, Service

# A promise ends when the city's day does, not at the minute the report came in.
END_OF_DAY = time(17, 0)
# Danger does not wait for the promise of its kind: it is looked at by the end of the next day.
URGENT_DAYS = 1
# "At risk" leaves a crew a quarter of the promise, but never less than a working day's notice.
RISK_SHARE = 0.25
RISK_AT_LEAST = timedelta(hours=8)


def days(service: Service, *, urgent: bool) -> int:
    """How many calendar days are promised to a case that opens now."""
    return min(service.promise_days, URGENT_DAYS) if urgent else service.promise_days


def due(began_at: datetime, promised: int, zone: ZoneInfo, pauses: list[Pause], now: datetime) -> datetime:
    """When the city promised to be done: `promised` days to the end of day, plus the time the clock stood."""
    return _promised(began_at, promised, zone) + stood(pauses, now)


def given_elsewhere(due: datetime | None, opened_at: datetime, zone: ZoneInfo) -> datetime | None:
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


def stood(pauses: list[Pause], now: datetime) -> timedelta:
    """How long the clock stood; a pause still open counts to `now`. Overlaps count once."""
    total, reached = timedelta(), datetime.min.replace(tzinfo=UTC)
    for began, ended in sorted((p.began_at, p.ended_at or now) for p in pauses):
        total += max(timedelta(), ended - max(began, reached))
        reached = max(reached, ended)
    return total


def refresh(case: Case, now: datetime) -> None:
    """Derives the case's cached times again."""
    given = case.promised_at or _promised(case.clock_from, case.promise_days, zone_of(case.service))
    case.due_at = given + stood(case.pauses, now)
    lead = max((case.due_at - case.clock_from) * RISK_SHARE, RISK_AT_LEAST)
    case.risk_at = case.due_at - lead


def hurry(case: Case, now: datetime) -> None:
    """Somebody is in danger: the case's promise becomes the short one, if it was longer."""
    case.urgent = True
    case.promise_days = min(case.promise_days, URGENT_DAYS)
    if case.promised_at:
        soon = _promised(case.clock_from, case.promise_days, zone_of(case.service))
        case.promised_at = min(case.promised_at, soon)
    refresh(case, now)


def waits_for(case: Case) -> str | None:
    """The reason of the pause that is open now."""
    return next((p.why for p in case.pauses if p.ended_at is None), None)


def owner_waited_for(case: Case) -> str:
    """Whose the asset is that the case waits for, as its register says; empty where it waits for no owner."""
    owned = case.state == WAITING and waits_for(case) == "utility" and case.asset
    return case.asset.owner if owned and case.asset else ""


def wait_facts(reason: str, owner: str) -> dict[str, Any]:
    """What the log says of a wait. `owner` is whose the case's asset is then; it may be the city's later."""
    return {"reason": reason, "owner": owner} if reason == "utility" and owner else {"reason": reason}


def pause(case: Case, why: str, at: datetime) -> None:
    """Stops the clock, if it runs."""
    if not any(p.ended_at is None for p in case.pauses):
        case.pauses.append(Pause(why=why, began_at=at))


def run(case: Case, at: datetime) -> None:
    """Lets the clock run again and moves the due date by the time it stood."""
    for p in case.pauses:
        if p.ended_at is None:
            p.ended_at = max(at, p.began_at)
    refresh(case, at)


def standing(case: Case, now: datetime) -> str:
    """How the promise stands: ok, risk, late, wait or done. The one word that colour and shape follow."""
    if case.state in (CLOSED, CANCELLED, MERGED):
        return "done"
    if case.state == WAITING:
        return "wait"
    if now > case.due_at:
        return "late"
    return "risk" if now >= case.risk_at else "ok"


def kept(case: Case, done_at: datetime) -> timedelta:
    """How early (positive) or late (negative) a closing was."""
    return case.due_at - done_at


def _promised(began_at: datetime, days: int, zone: ZoneInfo) -> datetime:
    day = began_at.astimezone(zone).date() + timedelta(days=days)
    end = datetime.combine(day, END_OF_DAY, zone).astimezone(UTC)
    if end <= began_at:  # promised for today, told in the evening
        end = datetime.combine(day + timedelta(days=1), END_OF_DAY, zone).astimezone(UTC)
    return end
