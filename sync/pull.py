"""What changed for a phone: rows of the feed after its cursors, and the jobs that they name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Executable,
    Row,
    bindparam,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from city.lists import is_in
from city.schema import FeedRow, Operation
from sync import jobs

# A job that the crew closed stays on its phone for the day.
DONE_STAYS = timedelta(hours=24)
# Scopes in one statement. A power of two, as _of_scopes() is made for those only: seven statements in all.
AT_ONCE = 64


def scopes_of(crew_ids: Sequence[int], person_id: int) -> list[str]:
    """What a person's phone may know: the jobs of their crews, and what concerns them alone."""
    return [*(f"crew:{crew_id}" for crew_id in sorted(crew_ids)), f"user:{person_id}"]


@dataclass(frozen=True)
class Reader:
    """A phone that reads: its scopes, how far it has read each, and how many rows it wants at most."""

    scopes: Sequence[str]
    cursors: Mapping[str, int]
    limit: int


@dataclass(frozen=True)
class _News:
    """Rows of a scope that a reader hears of now; `first` where it had read none of it before."""

    scope: str
    rows: Sequence[Row[Any]]
    to: int
    more: bool
    first: bool

    @property
    def jobs(self) -> list[tuple[int, str]]:
        """Those of the rows that are jobs: the id of the crew whose scope it is, and the case's number."""
        refs = [row.ref for row in self.rows if row.present and row.kind == "job"]
        return [(int(self.scope.removeprefix("crew:")), ref) for ref in refs]


def changes(s: Session, readers: Sequence[Reader], *, now: int, at: datetime) -> list[dict[str, Any]]:
    """Of each reader, for each scope with news: `set` (jobs), `gone` (kind, ref, why), `to` (the next
    cursor), `more`.

    `now` is how far the log went before this: whatever was committed up to it is seen, so the cursor may go
    there even where nothing changed, and what came later is told next time. A phone without a cursor hears of
    present things only. Rows and jobs are read for all readers at once.
    """
    rows = _rows(s, readers, now)
    news = [_news(reader, of_one, now) for reader, of_one in zip(readers, rows, strict=True)]
    found = jobs.read(s, {job for of_one in news for each in of_one for job in each.jobs})
    old = (at - DONE_STAYS).timestamp()
    return [{each.scope: _told(s, each, found, old) for each in of_one} for of_one in news]


def _news(reader: Reader, rows: Mapping[str, Sequence[Row[Any]]], now: int) -> list[_News]:
    """What is new of each scope that has news, in their order, up to the reader's limit. Where that leaves
    something of a later scope, the last one says that there is more."""
    found: list[_News] = []
    limit = reader.limit
    for scope in reader.scopes:
        cursor, new = reader.cursors.get(scope, 0), rows[scope]
        if new and not limit:  # the phone asks again, however much of the one before it has
            found[-1] = replace(found[-1], more=True)
            break
        more, new = len(new) > limit, new[:limit]
        to = new[-1].seq if more else max(now, cursor)
        limit -= len(new)
        if to > cursor:
            found.append(_News(scope, new, to, more, first=cursor == 0))
    return found


def _rows(s: Session, readers: Sequence[Reader], now: int) -> list[dict[str, list[Row[Any]]]]:
    """What is new for each reader, by scope and in its order; of each scope one row more than it wants, at
    most."""
    found: list[dict[str, list[Row[Any]]]] = [{scope: [] for scope in reader.scopes} for reader in readers]
    wanted = [
        (reader, scope, rows[scope]) for reader, rows in zip(readers, found, strict=True) for scope in rows
    ]
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        count = 1 << (len(part) - 1).bit_length()
        asked: dict[str, Any] = {"now": now}
        for n in range(count):
            reader, scope, _ = part[min(n, len(part) - 1)]
            limit = reader.limit + 1 if n < len(part) else 0  # what is over asks for no row
            asked |= {f"scope{n}": scope, f"cursor{n}": reader.cursors.get(scope, 0), f"limit{n}": limit}
        for row in s.execute(_of_scopes(count), asked):
            part[row.n][2].append(row)
    return found


@cache
def _of_scopes(count: int) -> Executable:
    """Asks for so many scopes at once: rows, and which of these each belongs to. Making it takes longer than
    asking, so it is kept.

    Plain rows: nobody changes them, and an object would be made and kept for each.
    """
    of_one = [
        select(FeedRow.__table__, literal_column(str(n)).label("n"))
        .where(FeedRow.scope == bindparam(f"scope{n}"), FeedRow.seq > bindparam(f"cursor{n}"))
        .where(FeedRow.seq <= bindparam("now"))
        .where(or_(FeedRow.present, bindparam(f"cursor{n}", type_=BigInteger) > 0))
        .order_by(FeedRow.seq)
        .limit(bindparam(f"limit{n}"))
        .subquery()
        for n in range(count)
    ]
    return union_all(*(select(each) for each in of_one)).order_by("seq")


def _told(s: Session, news: _News, read: Mapping[tuple[int, str], Any], old: float) -> dict[str, Any]:
    found = [read[job] for job in news.jobs if job in read]
    if news.first:
        found = [told for told in found if not _past(told, old)]
    gone = [
        {"kind": row.kind, "ref": row.ref, "why": row.why or "gone"} for row in news.rows if not row.present
    ]
    # Also to a phone that begins anew: whose jobs were wiped kept its work, and waits to hear of it.
    results = _results(s, [row.ref for row in news.rows if row.kind == "result"])
    return {"set": [*found, *results], "gone": gone, "to": news.to, "more": news.more}


def _results(s: Session, ids: Sequence[str]) -> list[dict[str, Any]]:
    """What became of operations after they were answered."""
    if not ids:
        return []
    found = s.scalars(select(Operation).where(is_in(Operation.id, ids)))
    return [{"kind": "result", "ref": row.id, **row.result} for row in found]


def _past(told: Mapping[str, Any], old: float) -> bool:
    return "done" in told and told["done"]["at"] < old
