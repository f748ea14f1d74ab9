"""What becomes of promises by time alone: a case is at risk, late, and at last a supervisor's business.

A verb says how a promise stands when it moves a case; between moves nobody does. So the worker looks: it
brings `standing` up to the minute and writes into the log what a case became, once until it has time again,
whoever saw it first. What has waited long enough comes back.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import locks, sla, transitions, waits
from city.db import engine as db
from city.db.models import IS_OPEN, Case
from city.lifecycle import WAIT_OVER, WAITING
from city.people import accounts

AT_ONCE = 200  # cases a transaction: nobody waits long for a lock
# What the log has said of a promise (`Case.warned`), each the next step of the one before.
RISK, LATE, ESCALATED = "risk", "late", "escalated"
LINES = {RISK: "at risk", LATE: "late"}


def sweep(engine: Engine, now: datetime, late_days: int | None = None) -> int:
    """Brings all that time alone has changed up to `now`; returns how many cases that were.

    `late_days` is how long a case may be late before it is marked for a supervisor; None: for ever. Two
    workers may sweep at once: each looks again at a case when it holds it, so one of them writes the line.
    """
    swept = 0
    while True:
        with db.read_session(engine) as s:  # mostly there is nothing to do, and nobody is to wait for that
            numbers = _overdue(s, now, late_days)
        changed = 0
        if numbers:
            with db.transaction(engine) as s:
                held = locks.lock_numbered(s, numbers).values()
                changed = sum(_look(s, case, now, late_days) for case in held)
        swept += changed
        if len(numbers) < AT_ONCE or not changed:
            return swept


def _overdue(s: Session, now: datetime, late_days: int | None) -> list[str]:
    """Numbers of cases of which something is no longer as their facts say; a query an index."""
    ask = select(Case.number).where(IS_OPEN).limit(AT_ONCE)
    stale: list[Any] = [
        ask.where(Case.standing == "ok", Case.risk_at <= now),
        ask.where(Case.standing.in_(("ok", "risk")), Case.due_at < now),
        # A verb saw it first.
        ask.where(Case.warned.is_(None), Case.standing.in_((RISK, LATE))),
        ask.where(Case.warned == RISK, Case.standing == LATE),
        waits.over(now).limit(AT_ONCE),
        waits.late(now).limit(AT_ONCE),
    ]
    if late_days:
        long_since = now - timedelta(days=late_days)
        stale.append(ask.where(Case.warned == LATE, Case.standing == LATE, Case.due_at < long_since))
    found: dict[str, None] = {}
    for each in stale:
        if len(found) < AT_ONCE:
            found |= dict.fromkeys(s.scalars(each))
    return list(found)[:AT_ONCE]


def _look(s: Session, case: Case, now: datetime, late_days: int | None) -> bool:
    """Whether the case, which is locked, had to be changed.

    Its version stays, save where its wait is over: nothing was done to it, so a crew may still take its last
    step back.
    """
    pause = sla.open_pause(case) if case.state == WAITING else None
    if pause and pause.until and pause.until <= now:
        transitions.resume(s, case, by=accounts.THE_SYSTEM, at=now)
        case.review = case.review or WAIT_OVER
        return True
    was = case.standing, case.warned
    case.standing = sla.sla_status(case, now)
    subject = transitions.subject(case)
    if case.standing in LINES and case.warned not in (case.standing, LATE, ESCALATED):
        events.record(s, subject, LINES[case.standing], by=accounts.THE_SYSTEM, at=now)
        case.warned = case.standing
    long_since = late_days and now - case.due_at > timedelta(days=late_days)
    if case.warned == LATE and case.standing == LATE and long_since:
        events.record(s, subject, "escalate", by=accounts.THE_SYSTEM, at=now)
        case.warned, case.review = ESCALATED, case.review or LATE
    return (case.standing, case.warned) != was
