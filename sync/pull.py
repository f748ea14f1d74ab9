"""What changed for a phone: rows of the feed after its cursors, and the jobs that they name."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Executable, bindparam, or_, select, union_all
from sqlalchemy.orm import Session, joinedload, selectinload

from city.lifecycle import CLOSED, WAITING
from city.promises import waits_for
from city.schema import Case, FeedRow, Operation, Report, Service

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


def scopes_of(crew_ids: Sequence[int], person_id: int) -> list[str]:
    """What a person's phone may know: the jobs of their crews, and what concerns them alone."""
    return [*(f"crew:{crew_id}" for crew_id in sorted(crew_ids)), f"user:{person_id}"]


def changes(
    s: Session, scopes: Sequence[str], cursors: Mapping[str, int], *, now: int, limit: int, at: datetime
) -> dict[str, Any]:
    """For each scope with news: `set` (jobs), `gone` (kind, ref, why), `to` (the next cursor), `more`.

    `now` is how far the log went before this: whatever was committed up to it is seen, so the cursor may go
    there even where nothing changed, and what came later is told next time. A phone without a cursor hears of
    present things only.
    """
    found: dict[str, Any] = {}
    rows = _rows(s, scopes, cursors, now, limit + 1)
    for scope in scopes:
        cursor, news = cursors.get(scope, 0), rows[scope]
        more, news = len(news) > limit, news[:limit]
        to = news[-1].seq if more else max(now, cursor)
        limit -= len(news)
        told = _told(s, scope, news, first=cursor == 0, at=at)
        if told["set"] or told["gone"] or more or to > cursor:
            found[scope] = {**told, "to": to, "more": more}
        if limit <= 0:
            break
    return found


def _rows(
    s: Session, scopes: Sequence[str], cursors: Mapping[str, int], now: int, limit: int
) -> dict[str, list[FeedRow]]:
    """What is new for each scope, in its order; `limit` rows each at most."""
    found: dict[str, list[FeedRow]] = {scope: [] for scope in scopes}
    asked: dict[str, Any] = {"now": now, "limit": limit}
    for n, scope in enumerate(scopes):
        asked |= {f"scope{n}": scope, f"cursor{n}": cursors.get(scope, 0)}
    for row in s.scalars(_of_scopes(len(scopes)), asked):
        found[row.scope].append(row)
    return found


@cache
def _of_scopes(count: int) -> Executable:
    """Asks for so many scopes at once; asked at every exchange, so it is made once."""
    of_one = [
        select(FeedRow.__table__)
        .where(FeedRow.scope == bindparam(f"scope{n}"), FeedRow.seq > bindparam(f"cursor{n}"))
        .where(FeedRow.seq <= bindparam("now"))
        .where(or_(FeedRow.present, bindparam(f"cursor{n}", type_=BigInteger) > 0))
        .order_by(FeedRow.seq)
        .limit(bindparam("limit"))
        .subquery()
        for n in range(count)
    ]
    rows = union_all(*(select(each) for each in of_one))
    return select(FeedRow).from_statement(rows.order_by("seq"))


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
        "hourly": case.promise_hours is not None,
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
