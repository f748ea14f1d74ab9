"""What changed for a phone: rows of the feed after its cursors, and the jobs that they name."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Executable, bindparam, or_, select, union_all
from sqlalchemy.orm import Session

from city.schema import FeedRow, Operation
from sync import jobs

# A job that the crew closed stays on its phone for the day.
DONE_STAYS = timedelta(hours=24)


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
    found = jobs.read(s, present, crew_id)
    if first:
        old = (at - DONE_STAYS).timestamp()
        found = {ref: told for ref, told in found.items() if not _past(told, old)}
    gone = [{"kind": row.kind, "ref": row.ref, "why": row.why or "gone"} for row in rows if not row.present]
    # Also to a phone that begins anew: whose jobs were wiped kept its work, and waits to hear of it.
    results = _results(s, [row.ref for row in rows if row.kind == "result"])
    return {"set": [*(found[ref] for ref in present if ref in found), *results], "gone": gone}


def _results(s: Session, ids: Sequence[str]) -> list[dict[str, Any]]:
    """What became of operations after they were answered."""
    if not ids:
        return []
    found = s.scalars(select(Operation).where(Operation.id.in_(ids)))
    return [{"kind": "result", "ref": row.id, **row.result} for row in found]


def _past(told: Mapping[str, Any], old: float) -> bool:
    return "done" in told and told["done"]["at"] < old
