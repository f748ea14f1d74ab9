"""Jobs as a crew's phone keeps them.

Read as rows of the few columns that a job has, since every exchange asks for some: a case as an object,
with all that hangs on it, costs several times as much.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, select
from sqlalchemy.orm import Session, aliased

from city.db.in_list import is_in
from city.db.models import Asset, Assignment, Case, CaseMessage, Closure, Pause, Photo, Report, Service
from city.lifecycle import CLOSED, WAITING
from city.questions import Question

_QUESTION = aliased(CaseMessage)
_Report = tuple[Row[Any], list[str]]  # its row, and the ids of its photos in their order

# A row for each time that the case was given to any crew, and one for a case that never was: asked by its
# crew, SQLite would read every job that the crew ever had. In their order, as a crew's last time counts.
_CASES = (
    select(
        Case.id, Case.number, Case.service_code, Case.address, Case.lat, Case.lon,
        Asset.number.label("asset"), Case.state, Case.cycle, Case.version, Case.opened_at, Case.due_at,
        Case.rescheduled_to, Case.risk_at, Case.promise_hours, Case.urgent, Case.raised, Case.follow_on,
        Pause.why.label("wait"), Pause.began_at.label("waits_since"), Pause.until, Pause.stops_clock,
        Closure.outcome, Closure.done_at, Assignment.crew_id, Assignment.id.label("assignment"),
    )
    .outerjoin(Assignment, Assignment.case_id == Case.id)
    .outerjoin(Asset, Asset.id == Case.asset_id)
    .outerjoin(Pause, and_(Pause.case_id == Case.id, Pause.ended_at.is_(None), Case.state == WAITING))
    .outerjoin(Closure, and_(Closure.case_id == Case.id, Closure.cycle == Case.cycle, Case.state == CLOSED))
    .where(is_in(Case.number, "numbers"))
    .order_by(Assignment.id)
)  # fmt: skip
_SERVICES = select(
    Service.code, Service.names, Service.group, Service.hazard
).where(is_in(Service.code, "codes"))  # fmt: skip
# A row for each photo of a report, and one for a report without any.
_REPORTS = (
    select(
        Report.id, Report.case_id, Report.words, Report.lang, Report.answers, Report.danger,
        Service.questions, Photo.id.label("photo"),
    )
    .join(Service, Service.code == Report.service_code)  # whose questions were asked
    .outerjoin(Photo, Photo.report_id == Report.id)
    .where(is_in(Report.case_id, "ids"))
    .order_by(Report.id, Photo.position)
)  # fmt: skip


# What reporters answered, with what they were asked, and what they added; never who they are.
_MESSAGES = (
    select(
        CaseMessage.id, CaseMessage.case_id, CaseMessage.words, CaseMessage.lang,
        _QUESTION.words.label("question"), Photo.id.label("photo"),
    )
    .outerjoin(_QUESTION, _QUESTION.id == CaseMessage.answers_id)
    .outerjoin(Photo, Photo.message_id == CaseMessage.id)
    .where(is_in(CaseMessage.case_id, "ids"), CaseMessage.kind.in_(("answer", "add")))
    .order_by(CaseMessage.id, Photo.position)
)  # fmt: skip


def read(s: Session, wanted: Collection[tuple[int, str]]) -> dict[tuple[int, str], dict[str, Any]]:
    """Of pairs of a crew's id and a case's number, each case as the phones of that crew keep it.

    What is empty is left out. Times are seconds since 1970, UTC.
    """
    if not wanted:
        return {}
    rows = s.execute(_CASES, {"numbers": sorted({number for _, number in wanted})}).all()
    by_number = {row.number: row for row in rows}
    assignments = {(row.id, row.crew_id): row.assignment for row in rows}
    ids = [case.id for case in by_number.values()]
    services = {
        row.code: row
        for row in s.execute(_SERVICES, {"codes": sorted({case.service_code for case in by_number.values()})})
    }
    reports: dict[int, dict[int, _Report]] = {case_id: {} for case_id in ids}
    for row in s.execute(_REPORTS, {"ids": ids}):
        _, photos = reports[row.case_id].setdefault(row.id, (row, []))
        if row.photo:
            photos.append(row.photo)
    written: dict[int, dict[int, _Report]] = {case_id: {} for case_id in ids}
    line: Any
    for line in s.execute(_MESSAGES, {"ids": ids}):
        _, photos = written[line.case_id].setdefault(line.id, (line, []))
        photos += [line.photo] if line.photo else []
    return {
        (crew_id, number): _job(
            case,
            assignments.get((case.id, crew_id)),
            services[case.service_code],
            list(reports[case.id].values()),
            list(written[case.id].values()),
        )
        for crew_id, number in wanted
        if (case := by_number.get(number))
    }


def _job(
    case: Any,
    assignment: int | None,
    service: Row[Any],
    told: Sequence[_Report],
    written: Sequence[_Report],
) -> dict[str, Any]:
    job = {
        "kind": "job",
        "ref": case.number,
        "title": service.names,
        "group": service.group,
        "address": case.address,
        "lat": case.lat,
        "lon": case.lon,
        "asset": case.asset,
        "state": case.state,
        "assignment": assignment,
        "cycle": case.cycle,
        "version": case.version,
        "opened": _seconds(case.opened_at),
        "due": _seconds(case.due_at),
        "risk": _seconds(case.risk_at),
        "new": _seconds(case.rescheduled_to) if case.rescheduled_to else None,
        "hourly": case.promise_hours is not None,
        "urgent": case.urgent,
        "raised": case.raised,
        "safe": case.follow_on,
        "hazard": service.hazard,
        "danger": any(report.danger for report, _ in told),
        "wait": case.wait,
        "until": _seconds(case.until) if case.until else None,
        "runs": case.stops_clock is False,  # while it waits, its clock does not stand
        "late": bool(case.stops_clock and case.waits_since > case.due_at),
        "reports": len(told),
        "told": [
            *(one for report, photos in told if (one := _telling(report, photos))),
            *(_written(line, photos) for line, photos in written if line.words or photos),
        ],
        "done": _done(case),
    }
    return {
        name: value for name, value in job.items() if value or (name in ("lat", "lon") and value is not None)
    }


def _telling(report: Row[Any], photos: list[str]) -> dict[str, Any]:
    """What one person told of the problem; never who they are."""
    told = {
        "words": report.words,
        "lang": report.lang,
        "photos": photos,
        "answers": _answers(report.answers, report.questions),
    }
    if not (told["words"] or told["photos"] or told["answers"]):
        return {}
    return {name: value for name, value in told.items() if value}


def _written(line: Row[Any], photos: list[str]) -> dict[str, Any]:
    """What a reporter wrote since: like a telling, and an answer stands with its question."""
    asked = (
        {"answers": [[line.question, line.words]]} if line.question and line.words else {"words": line.words}
    )
    return {name: value for name, value in {**asked, "lang": line.lang, "photos": photos}.items() if value}


def _answers(answered: Mapping[str, str], questions: Sequence[Question]) -> list[list[Any]]:
    """Each question with its answers, by language where it is the city's own words."""
    told = []
    for question in questions:
        if given := answered.get(question.code):
            words = {choice.code: choice.words for choice in question.choices}
            told.append([question.words, *(words.get(each, each) for each in question.chosen(given))])
    return told


def _done(case: Any) -> dict[str, Any] | None:
    return {"outcome": case.outcome, "at": _seconds(case.done_at)} if case.outcome else None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
