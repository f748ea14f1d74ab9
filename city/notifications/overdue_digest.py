"""What staff hear each working morning: the cases whose promise is broken. Sends nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from city.db.models import Case, Person, PersonRole
from city.lifecycle import DISPATCHER, given_for

# Who acts on late cases, and so may be told of them.
ROLE: Final = DISPATCHER
BEGINS: Final = time(7)  # by the city's clocks: before the crews are out
SATURDAY: Final = 5
MOST: Final = 20  # named in the letter; the rest is counted


@dataclass(frozen=True)
class Late:
    """How many open cases are late, and those that go first in the queue."""

    total: int
    first: Sequence[Case]


def due(s: Session, now: datetime, zone: ZoneInfo) -> list[Person]:
    """Who wants the letter of today and has not had it; nobody at weekends and before seven."""
    at = now.astimezone(zone)
    if at.weekday() >= SATURDAY or at.time() < BEGINS:
        return []
    mine = Person.roles.any(PersonRole.role.in_(given_for(ROLE)))
    untold = or_(Person.late_told_on.is_(None), Person.late_told_on < at.date())
    wanted = select(Person).where(Person.wants_late, Person.disabled_at.is_(None), mine, untold)
    return list(s.scalars(wanted.order_by(Person.id)))


def overdue_cases(s: Session) -> Late:
    """As the board counts them, up to a minute old."""
    is_late = Case.standing == "late", Case.rank < 4
    asked = select(Case).where(*is_late).order_by(Case.rank, Case.due_at, Case.id).limit(MOST)
    total = s.scalar(select(func.count()).select_from(Case).where(*is_late)) or 0
    return Late(total, list(s.scalars(asked.options(joinedload(Case.service)))))


def mark_sent(s: Session, person_id: int, now: datetime, zone: ZoneInfo) -> None:
    """Notes that somebody had today's letter, or that there was nothing to say."""
    s.get_one(Person, person_id).late_told_on = now.astimezone(zone).date()
