"""What changed for a phone: rows of the feed after its cursors, and the jobs that they name."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, joinedload, selectinload

from city.lifecycle import CLOSED, WAITING
from city.promises import waits_for
from city.schema import Case, Clock, FeedRow, Operation, Report, Service

# A job that the crew closed stays on its phone for the day.
DONE_STAYS = timedelta(hours=24)


# What a case has few of is joined: that costs a fifth of a statement of its own.
_CASES = (
    select(Case)
    .where(Case.number.in_(bindparam("numbers", expanding=True)))
    .options(
        joinedload(Case.service),
        joinedload(Case.asset),
        joinedload(Case.assignments),
        joinedload(Case.pauses),
        joinedload(Case.closures),
        selectinload(Case.reports).joinedload(Report.photos),
    )
)
_ROWS = (
    select(FeedRow)
    .where(FeedRow.scope == bindparam("scope"), FeedRow.seq > bindparam("cursor"))
    .order_by(FeedRow.seq)
    .limit(bindparam("limit"))
)
_PRESENT = _ROWS.where(FeedRow.present)
_LOG = select(Clock.n)


def scopes_of(crew_ids: Sequence[int], person_id: int) -> list[str]:
    """What a person's phone may know: the jobs of their crews, and what concerns them alone."""
    return [*(f"crew:{crew_id}" for crew_id in sorted(crew_ids)), f"user:{person_id}"]


def reached(s: Session) -> int:
    """How far the log goes."""
    return s.scalar(_LOG) or 0


def changes(
    s: Session, scopes: Sequence[str], cursors: Mapping[str, int], *, now: int, limit: int, at: datetime
) -> dict[str, Any]:
    """For each scope with news: `set` (jobs), `gone` (kind, ref, why), `to` (the next cursor), `more`.

    `now` is reached(), asked before this: whatever was committed up to it is seen, so the cursor may go there
    even where nothing changed. A phone without a cursor hears of present things only.
    """
    found: dict[str, Any] = {}
    for scope in scopes:
        cursor = cursors.get(scope, 0)
        rows = _rows(s, scope, cursor, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        to = rows[-1].seq if more else max([now, cursor, *(row.seq for row in rows)])
        limit -= len(rows)
        news = _told(s, scope, rows, first=cursor == 0, at=at)
        if news["set"] or news["gone"] or more or to > cursor:
            found[scope] = {**news, "to": to, "more": more}
        if limit <= 0:
            break
    return found


def _rows(s: Session, scope: str, cursor: int, limit: int) -> list[FeedRow]:
    asked = _ROWS if cursor else _PRESENT
    return list(s.scalars(asked, {"scope": scope, "cursor": cursor, "limit": limit}))


def _told(s: Session, scope: str, rows: Sequence[FeedRow], *, first: bool, at: datetime) -> dict[str, Any]:
    present = [row.ref for row in rows if row.present and row.kind == "job"]
    crew_id = int(scope.removeprefix("crew:")) if scope.startswith("crew:") else 0
    jobs = {case.number: job(case, crew_id) for case in _cases(s, present)}
    if first:
        old = (at - DONE_STAYS).timestamp()
        jobs = {ref: told for ref, told in jobs.items() if not _past(told, old)}
    gone = [{"kind": row.kind, "ref": row.ref, "why": row.why or "gone"} for row in rows if not row.present]
    # Also to a phone that begins anew: whose jobs were wiped kept its work, and waits to hear of it.
    results = _results(s, [row.ref for row in rows if row.kind == "result"])
    return {"set": [*(jobs[ref] for ref in present if ref in jobs), *results], "gone": gone}


def _results(s: Session, ids: Sequence[str]) -> list[dict[str, Any]]:
    """What became of operations after they were answered."""
    if not ids:
        return []
    found = s.scalars(select(Operation).where(Operation.id.in_(ids)))
    return [{"kind": "result", "ref": row.id, **row.result} for row in found]


def job(case: Case, crew_id: int) -> dict[str, Any]:
    """A case as a crew's phone keeps it; what is empty is left out. Times are seconds since 1970, UTC."""
    held = [a for a in case.assignments if a.crew_id == crew_id]
    told = {
        "kind": "job",
        "ref": case.number,
        "title": case.service.names,
        "group": case.service.group,
        "address": case.address,
        "lat": case.lat,
        "lon": case.lon,
        "asset": case.asset.number if case.asset else None,
        "state": case.state,
        "assignment": held[-1].id if held else None,
        "cycle": case.cycle,
        "version": case.version,
        "opened": _seconds(case.opened_at),
        "due": _seconds(case.due_at),
        "risk": _seconds(case.risk_at),
        "urgent": case.urgent,
        "hazard": case.service.hazard,
        "danger": any(report.danger for report in case.reports),
        "wait": waits_for(case) if case.state == WAITING else None,
        "reports": len(case.reports),
        "told": [told for report in case.reports if (told := _telling(report, case.service))],
        "done": _done(case),
    }
    return {name: value for name, value in told.items() if value not in (None, "", [], False)}


def _telling(report: Report, service: Service) -> dict[str, Any]:
    """What one person told of the problem; never who they are."""
    told = {
        "words": report.words,
        "lang": report.lang,
        "photos": [photo.id for photo in report.photos],
        "answers": _answers(report, service),
    }
    if not (told["words"] or told["photos"] or told["answers"]):
        return {}
    return {name: value for name, value in told.items() if value}


def _answers(report: Report, service: Service) -> list[list[Any]]:
    """Pairs of question and answer, each by language where it is the city's own words."""
    pairs = []
    for question in service.questions:
        given = report.answers.get(question["code"])
        if given in (None, "", []):
            continue
        words = {value["code"]: value["words"] for value in question.get("values", [])}
        answers = given if isinstance(given, list) else [given]
        pairs.append([question["words"], *(words.get(answer, str(answer)) for answer in answers)])
    return pairs


def _done(case: Case) -> dict[str, Any] | None:
    if case.state != CLOSED or not case.closures:
        return None
    last = case.closures[-1]
    return {"outcome": last.outcome, "at": _seconds(last.done_at)}


def _cases(s: Session, numbers: Sequence[str]) -> list[Case]:
    return list(s.scalars(_CASES, {"numbers": numbers}).unique()) if numbers else []


def _past(told: Mapping[str, Any], old: float) -> bool:
    return "done" in told and told["done"]["at"] < old


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
