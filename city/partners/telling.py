"""Sends partners the links to their jobs, once they have them."""

from collections import defaultdict
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from city.db import engine as db
from city.db.models import Assignment, Case, Crew, Handover, Partner, Service
from city.people import account_letters, partners

AT_ONCE: Final = 500  # jobs in one round
SINGLE: Final = 3  # jobs that get a letter each; of more at once, one letter has the list
LETTER: Final = "partner"


def tell_due(engine: Engine, now: datetime) -> int:
    """Writes a letter for every job whose partner was not told of it; returns how many letters."""
    asked = _untold()
    with db.read_session(engine) as s:
        if s.scalar(asked.limit(1)) is None:
            return 0
    with db.transaction(engine) as s:
        return _tell(s, now)


def send_list(s: Session, partner: Partner, *, at: datetime) -> None:
    """A letter with a link to all that the partner has."""
    link = partners.make_link(s, partner, None, at=at)
    _write(s, partner, link.id, at)


def _untold() -> Select[int]:
    return (
        select(Assignment.id)
        .join(Crew, Crew.id == Assignment.crew_id)
        .join(Partner, Partner.crew_id == Crew.id)
        .join(Case, Case.id == Assignment.case_id)
        .join(Service, Service.code == Case.service_code)
        .outerjoin(Handover, Handover.assignment_id == Assignment.id)
        .where(
            Assignment.ended_at.is_(None), Handover.told_at.is_(None), Partner.is_active,
            Service.private.is_(False),
        )
        .order_by(Assignment.id)
    )  # fmt: skip


def _tell(s: Session, now: datetime) -> int:
    # Held, so that two workers do not both write.
    held = select(Partner).order_by(Partner.crew_id).with_for_update()
    known = {each.crew_id: each for each in s.scalars(held)}
    mine: dict[int, list[Assignment]] = defaultdict(list)
    ids = list(s.scalars(_untold().limit(AT_ONCE)))
    for given in s.scalars(select(Assignment).where(Assignment.id.in_(ids)).order_by(Assignment.id)):
        mine[given.crew_id].append(given)
    letters = 0
    for crew_id, jobs in mine.items():
        partner = known[crew_id]
        for each in jobs:
            row = s.get(Handover, each.id) or Handover(assignment_id=each.id)
            row.told_at = now
            s.add(row)
        if len(jobs) > SINGLE:
            send_list(s, partner, at=now)
            letters += 1
            continue
        for each in jobs:
            link = partners.make_link(s, partner, s.get_one(Case, each.case_id), at=now)
            _write(s, partner, link.id, now)
            letters += 1
    return letters


def _write(s: Session, partner: Partner, link_id: int, at: datetime) -> None:
    account_letters.add(s, partner.email, LETTER, lang=partner.lang, at=at, facts={"link": link_id})
