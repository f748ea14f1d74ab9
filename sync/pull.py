"""What changed for a phone: rows of the feed after its cursors, and the jobs that they name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from city.db.in_list import is_in
from city.db.models import SyncOperation
from sync import jobs

# A job that the crew closed stays on its phone for the day.
DONE_STAYS = timedelta(hours=24)
# Of each scope its first rows, for any number of scopes in one text. PostgreSQL takes what it is asked for to
# be a hundred scopes, and would rather read the feed whole where LATERAL did not make it go by the index.
# SQLite knows no LATERAL, and joins in our order.
_NEWS = {
    "postgresql": text("""SELECT asked.n, news.*
FROM json_to_recordset(CAST(:asked AS json)) AS asked(n integer, scope varchar, cursor bigint)
CROSS JOIN LATERAL (
  SELECT kind, ref, seq, present, why FROM sync_feed
  WHERE scope = asked.scope AND seq > asked.cursor AND seq <= :now AND (present OR asked.cursor > 0)
  ORDER BY seq LIMIT :most
) AS news
ORDER BY news.seq"""),
    "sqlite": text("""SELECT asked.n, feed.kind, feed.ref, feed.seq, feed.present, feed.why
FROM (
  SELECT json_extract(value, '$.n') AS n, json_extract(value, '$.scope') AS scope,
    json_extract(value, '$.cursor') AS cursor
  FROM json_each(:asked)
) AS asked
CROSS JOIN sync_feed AS feed
WHERE feed.rowid IN (
  SELECT news.rowid FROM sync_feed AS news
  WHERE scope = asked.scope AND seq > asked.cursor AND seq <= :now AND (present OR asked.cursor > 0)
  ORDER BY seq LIMIT :most
)
ORDER BY feed.seq"""),
}


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


def changes(s: Session, reader: Reader, *, now: int, at: datetime) -> dict[str, Any]:
    """For each scope with news: `set` (jobs), `gone` (kind, ref, why), `to` (the next cursor), `more`.

    `now` is how far the log went before this: whatever was committed up to it is seen, so the cursor may go
    there even where nothing changed, and what came later is told next time. A phone without a cursor hears of
    present things only.
    """
    news = _news(reader, _rows(s, reader, now), now)
    found = jobs.read(s, {job for each in news for job in each.jobs})
    old = (at - DONE_STAYS).timestamp()
    return {each.scope: _changes(s, each, found, old) for each in news}


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


def _rows(s: Session, reader: Reader, now: int) -> dict[str, list[Row[Any]]]:
    """What is new, by scope and in its order: of each one row more than the reader wants, where there is."""
    asked = [
        {"n": n, "scope": scope, "cursor": reader.cursors.get(scope, 0)}
        for n, scope in enumerate(reader.scopes)
    ]
    found: dict[str, list[Row[Any]]] = {scope: [] for scope in reader.scopes}
    news = _NEWS[s.get_bind().dialect.name]
    for row in s.execute(news, {"asked": json.dumps(asked), "most": 1 + reader.limit, "now": now}):
        found[reader.scopes[row.n]].append(row)
    return found


def _changes(s: Session, news: _News, read: Mapping[tuple[int, str], Any], old: float) -> dict[str, Any]:
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
    found = s.scalars(select(SyncOperation).where(is_in(SyncOperation.id, ids)))
    return [{"kind": "result", "ref": row.id, **row.result} for row in found]


def _past(told: Mapping[str, Any], old: float) -> bool:
    return "done" in told and told["done"]["at"] < old
