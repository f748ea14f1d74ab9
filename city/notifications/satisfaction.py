"""How satisfied reporters are with a closing, from 1 to 5: who is asked, and what they answer.

Each answer stands in a row of its own with all that the figures need, so that the row outlives its tie to a
report: once that is forgotten, nobody can say whose answer it was. Nothing of it goes into the log, which
forgets nothing. What is published of it: metrics/satisfaction.py.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from city.cases import locks
from city.cases.queries import family_of, root_of
from city.db.models import Case, Closure, Report, SatisfactionAnswer
from city.lifecycle import REOPEN_DAYS, Refused
from city.metrics.satisfaction import SCORES

DAYS: Final = REOPEN_DAYS  # after a closing in which an answer may be given and changed
WITH_PAGE: Final = ("web",)  # who reported there holds the page that asks


def ask(s: Session, closing: Closure) -> None:
    """Notes that the reporters of a closed case are asked: those whom a page or a message can ask.

    One question a report and closing, however often this is called.
    """
    reports = select(Report).where(Report.case_id.in_(family_of(s, closing.case_id)))
    for report in s.scalars(reports.where(Report.erased_at.is_(None)).order_by(Report.id)):
        heard = any(each.hears for each in report.subscriptions)
        if heard or report.channel in WITH_PAGE:
            _note(s, report, closing)


def answer(s: Session, report: Report, cycle: int, score: int, *, at: datetime) -> None:
    """What a reporter says of the closing that their page showed; said again, the last word counts.

    Raises Refused `unknown_score`, `not_that_closing` where the case was closed anew meanwhile, and
    `too_late_to_rate`. A case that was reopened is rated all the same: whoever sent it back has an opinion.
    """
    if score not in SCORES:
        raise Refused("unknown_score")
    case = root_of(s, report.case)
    locks.lock(s, case)
    closing = asks(s, report, case, at=None)
    if closing is None or closing.cycle != cycle:
        raise Refused("not_that_closing")
    if at > last_day(closing):
        raise Refused("too_late_to_rate")
    _note(s, report, closing)
    given = update(SatisfactionAnswer).where(*_which(report, closing)).values(score=score, said_at=at)
    s.execute(given.execution_options(synchronize_session=False))


def asks(s: Session, report: Report, case: Case, *, at: datetime | None) -> Closure | None:
    """The last closing of a report's case, where it may be rated; with `at` only while there is time."""
    if report.erased_at or case.cleared_at:
        return None
    last = select(Closure).where(Closure.case_id == case.id).order_by(Closure.cycle.desc()).limit(1)
    closing = s.scalars(last).first()
    return closing if closing and (at is None or at <= last_day(closing)) else None


def last_day(closing: Closure) -> datetime:
    """Until when it may be rated."""
    return closing.closed_at + timedelta(days=DAYS)


def given(s: Session, report: Report, closing: Closure) -> int | None:
    """The score that the report's sender gave the closing."""
    return s.scalar(select(SatisfactionAnswer.score).where(*_which(report, closing)))


def untie(s: Session, report_ids: Sequence[int]) -> None:
    """Forgets whose answers these were. The figures stay: nothing in them leads to anybody."""
    theirs = update(SatisfactionAnswer).where(SatisfactionAnswer.report_id.in_(report_ids))
    s.execute(
        theirs.values(report_id=None, case_id=None, said_at=None).execution_options(synchronize_session=False)
    )


def answered(s: Session, report_ids: Sequence[int]) -> list[SatisfactionAnswer]:
    """What was said for these reports, the oldest first."""
    asked = select(SatisfactionAnswer).where(SatisfactionAnswer.report_id.in_(report_ids))
    return list(s.scalars(asked.where(SatisfactionAnswer.score.is_not(None)).order_by(SatisfactionAnswer.id)))


def _note(s: Session, report: Report, closing: Closure) -> None:
    # The page and the worker may both come to it, and neither waits for the other.
    make = postgresql_insert if s.get_bind().dialect.name == "postgresql" else sqlite_insert
    department = s.get_one(Case, closing.case_id).service.department
    # A month and no moment: by the moment of its closing an answer would be known again once it is untied.
    month = f"{closing.closed_at.astimezone(ZoneInfo(department.time_zone)):%Y-%m}"
    values = {
        "report_id": report.id, "case_id": closing.case_id, "cycle": closing.cycle,
        "department_code": department.code, "month": month,
    }  # fmt: skip
    s.execute(make(SatisfactionAnswer).values(values).on_conflict_do_nothing())


def _which(report: Report, closing: Closure) -> tuple[ColumnElement[bool], ...]:
    return (
        SatisfactionAnswer.report_id == report.id,
        SatisfactionAnswer.case_id == closing.case_id,
        SatisfactionAnswer.cycle == closing.cycle,
    )
