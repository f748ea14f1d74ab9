"""The question to the log behind each figure: SQL that SQLite and PostgreSQL both answer. Pure.

They read `events` and nothing else, so whoever holds the log can derive every figure anew. They are the slow
way: pages read what city/audit/counters.py has added up, and a test holds the two together.

Moments within facts are words in UTC. Two are compared in the same form and length only, so that they differ
in figures alone: how a database sorts signs, its collation, then makes no difference.
"""

from collections.abc import Sequence
from datetime import datetime

from city.audit.counters import PAUSED, Apart

Span = tuple[datetime, datetime]

ANY = ""


def to_second(fact: str) -> str:
    """A moment among the facts, to the second."""
    return f"substr(facts->>'{fact}', 1, 19)"


def to_microsecond(fact: str) -> str:
    """The same with its millionths, which are left out of the facts where there are none."""
    after = f"CASE WHEN facts->>'{fact}' LIKE '%.%' THEN substr(facts->>'{fact}', 21, 6) ELSE '000000' END"
    return f"{to_second(fact)} || {after}"


# What is counted of contacts and cases, as a condition on a line of the log.
OUTCOME = "facts->>'outcome' = '{}'"
OPENED = "now = 'new' AND was IS NULL"
CLOSED = "kind = 'close'"
TIMELY = (
    f"{CLOSED} AND {to_microsecond('done_at')} <= {to_microsecond('due')} AND facts->>'restarted' IS NULL"
)
REOPENED = "kind = 'reopen'"
CANCELLED = "now = 'cancelled' AND kind <> 'reopen'"
REASONED = "kind = 'close' AND facts->>'outcome' = 'fixed' AND facts->>'no_photo' IS NOT NULL"
UNPROVEN = "kind = 'no evidence'"
# An office's closing has nothing to photograph, so no share of evidence is one of it.
PROVABLE = "kind = 'close' AND facts->>'work' IS NULL"
MERGED = "CASE WHEN now = 'merged' THEN 1 ELSE 0 END - CASE WHEN was = 'merged' THEN 1 ELSE 0 END"
OPEN = "('new', 'accepted', 'assigned', 'underway', 'waiting')"
_OPENED = f"CASE WHEN now IN {OPEN} THEN 1 ELSE 0 END - CASE WHEN was IN {OPEN} THEN 1 ELSE 0 END"


def apart(line: Apart) -> str:
    """The condition that a closing counts on that line of its own."""
    return f"{CLOSED} AND facts->>'{line.fact}' IS NOT NULL"


def kept_apart(line: Apart) -> str:
    """The same, and that it was done by the moment by which that line is judged."""
    return f"{apart(line)} AND {to_microsecond('done_at')} <= {to_microsecond(line.by)}"


def paused(reason: str) -> str:
    """The condition that the clock of a closing had stood for that reason."""
    return f"{CLOSED} AND {_seconds(reason)} IS NOT NULL"


def paused_days(reason: str) -> str:
    """What to select of such closings: for how many days all of their clocks had stood."""
    return f"coalesce(sum(CAST({_seconds(reason)} AS integer)), 0) / 86400.0"


def paused_times(span: Span, reason: str, scope: str = ANY) -> str:
    """A row such a closing: for how many seconds. The figure is their middle."""
    return cases(span, paused(reason), scope=scope, select=_seconds(reason))


def contacts(span: Span, where: str = ANY, *, select: str = "count(*)") -> str:
    """How many contacts began in that time; `select` asks for something else of them."""
    begin, end = (at.isoformat()[:19] for at in span)
    return (
        f"SELECT {select} FROM events"  # noqa: S608 of our own words, and codes that are quoted
        f" WHERE subject LIKE 'contact:%' AND kind = 'log'"
        f" AND {to_second('began_at')} >= '{begin}' AND {to_second('began_at')} < '{end}'{_and(where)}"
    )


def cases(span: Span, where: str, *, scope: str = ANY, select: str = "count(*)") -> str:
    """How many lines of cases fit; `scope` is a service or an area, `select` asks for something else."""
    begin, end = (at.strftime("%Y-%m-%d %H:%M:%S+00") for at in span)
    return (
        f"SELECT {select} FROM events"  # noqa: S608 of our own words, and codes that are quoted
        f" WHERE subject LIKE 'case:%' AND facts->>'opened' IS NOT NULL"
        f" AND at >= '{begin}' AND at < '{end}'{_and(where)}{_and(scope)}"
    )


def share(part: str, whole: str) -> str:
    """One count over another; nothing where there is nothing to divide by."""
    return f"SELECT 1.0 * ({part}) / nullif(({whole}), 0)"


def closing_times(span: Span, scope: str = ANY) -> str:
    """A row a closing: when its work was done, and when the case was opened. The figure is their middle."""
    return cases(span, CLOSED, scope=scope, select="facts->>'done_at', facts->>'opened'")


def still_open(span: Span) -> str:
    """How many cases that were opened in that time are open now."""
    begin, end = (at.isoformat()[:19] for at in span)
    return (
        f"SELECT coalesce(sum("  # noqa: S608 of our own words alone
        f"CASE WHEN now IN {OPEN} THEN 1 ELSE 0 END"
        f" - CASE WHEN was IN {OPEN} THEN 1 ELSE 0 END), 0) FROM events WHERE subject LIKE 'case:%'"
        f" AND {to_second('opened')} >= '{begin}' AND {to_second('opened')} < '{end}'"
    )


def all_of(first: str, second: str) -> str:
    """The condition that both hold; an empty one always does."""
    return " AND ".join(filter(None, (first, second)))


def untouched_since(since: datetime) -> str:
    """How many cases are open now of which nothing was written since then."""
    at = since.strftime("%Y-%m-%d %H:%M:%S+00")
    return (
        f"SELECT count(*) FROM (SELECT subject FROM events WHERE subject LIKE 'case:%'"  # noqa: S608 our own
        f" GROUP BY subject HAVING sum({_OPENED}) > 0 AND max(at) < '{at}') AS silent"
    )


def fact_is(name: str, value: str) -> str:
    """The condition that a fact has this value."""
    return f"facts->>'{name}' = {_quoted(value)}"


def either_fact_is(first: str, second: str, value: str) -> str:
    """The condition that one of two facts has this value."""
    return f"({fact_is(first, value)} OR {fact_is(second, value)})"


def fact_in(name: str, values: Sequence[str]) -> str:
    """The condition that a fact has one of these values."""
    return f"facts->>'{name}' IN ({', '.join(map(_quoted, values)) or 'NULL'})"


def in_area(area_id: str) -> str:
    """The condition that the case lies in this area."""
    return f"CAST(facts->>'area' AS integer) = {int(area_id)}"


def _seconds(reason: str) -> str:
    return f"facts->>'{PAUSED.format(reason)}'"


def _and(condition: str) -> str:
    return f" AND {condition}" if condition else ""


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
