"""Who has a case before them now, so that two at two desks see each other. No log, and soon forgotten."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from city.db import bulk_insert
from city.db.models import Case, Person, Viewer

HERE: Final = timedelta(seconds=45)  # so long somebody counts as looking who has said no more
AGAIN: Final = timedelta(seconds=20)  # saying so again sooner is not worth a write

Look = tuple[int, str, datetime]  # a person's id and name, and when they last said that they look


def viewers(s: Session, number: str, *, at: datetime) -> list[Look]:
    """Who is looking at the case with this number, by name."""
    rows = s.execute(
        select(Person.id, Person.name, Viewer.seen_at)
        .join(Case, Case.id == Viewer.case_id)
        .join(Person, Person.id == Viewer.person_id)
        .where(Case.number == number, Viewer.seen_at > at - HERE)
        .order_by(Person.name, Person.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def is_due(found: Sequence[Look], person_id: int, *, at: datetime) -> bool:
    """Whether this person should be noted again."""
    return not any(person == person_id and seen > at - AGAIN for person, _name, seen in found)


def record_viewer(s: Session, number: str, person_id: int, *, at: datetime) -> None:
    """This person is looking at the case with this number, if there is one."""
    case_id = s.scalar(select(Case.id).where(Case.number == number))
    if case_id is not None:
        row = {"case_id": case_id, "person_id": person_id, "seen_at": at}
        bulk_insert.put(s, Viewer, [row], over=True)


def sweep(s: Session, at: datetime) -> int:
    """Forgets who looks no more; returns how many."""
    gone = s.execute(delete(Viewer).where(Viewer.seen_at <= at - HERE))
    return int(getattr(gone, "rowcount", 0))
