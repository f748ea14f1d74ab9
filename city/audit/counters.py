"""What a line of the log counts for: the figures are sums of these, and of nothing else.

`of()` is a pure function of a line, so a recomputation reads the log and asks it again. It writes what it
says in the transaction that writes the line, behind the clock, where one transaction follows another.

- `line`: every contact, by its outcome; `seconds` are their length.
- `topic`, `channel`, `lang`, `office`, by their codes: the same, but only topics have seconds. The office
  is where the caller was passed on to, or says they would have called without the line.
- `city`: every case, `opened`, `reopened`, `closed`, `timely` (closed by its due date, which no correction
  has restarted), what APART names, `reasoned` (fixed, with a reason instead of a photo), `unproven` (the
  photo never came), `indoors` (closed by an office, which has no evidence to give), `merged`, `cancelled`,
  and `after N`. Of closings whose clock stood for a reason of lifecycle.WAIT_REASONS, say utility: `paused
  utility`, the time as `seconds utility`, and `held utility N`.
- `service`, by its code, and `area`, by its id: the same; an area says nothing of private services.
- `cohort`: of the cases opened in the month `left` are open.

`after N` counts closings by their age: N tenths of a day, from ten days on whole days, always rounded up.
`held utility N` does so by how long the clock stood.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from city.db import bulk_insert
from city.db.models import Department, Event, Tally
from city.lifecycle import CANCELLED, MERGED, NEW, OPEN, WAIT_REASONS

AT_ONCE = 5000
# Asked at every closing, so it is made once.
_ZONE = select(Department.time_zone).order_by(Department.code).limit(1)
TENTHS: Final = 100  # from so many tenths of a day on, age is told in whole days

Key = tuple[str, str, str, str]  # facet, month, what, value


class Apart(NamedTuple):
    """Closings with a line of their own in the figures, whether or not their first promise was kept.

    `what` counts those whose line in the log has the `fact`, `kept` those of them whose work was done by the
    moment in the fact `by`, in UTC and as isoformat() writes it.
    """

    what: str
    kept: str
    fact: str
    by: str


# A row here is a line on /performance, in its files and in what is published. Its words are in
# pwa/metrics/labels.py: _kept_apart_in() and _meanings().
APART: Final = (
    Apart("restarted", "kept again", fact="restarted", by="due"),  # a correction came too late
    Apart("new date", "new date kept", fact="new_date", by="new_date"),  # residents were told one
    Apart("by partner", "by partner kept", fact="partner", by="due"),  # nobody of the city did the work
)
PAUSED: Final = "paused_{}"  # the fact of a closing: for how many seconds its clock had stood for that reason


def counts_for_event(line: Any, zone: ZoneInfo) -> Iterator[tuple[Key, int]]:
    """What a line counts for, an Event or one about to become one; `zone` is the city's."""
    if line.kind == "log" and line.subject.startswith("contact:"):
        yield from _contact(line.facts, zone)
    elif line.subject.startswith("case:") and "opened" in line.facts:
        yield from _case(line, zone)


def add(s: Session, lines: Iterable[Any]) -> None:
    """Leaves what these lines of this transaction count for to be added. Only the log may call it."""
    wanted = [line for line in lines if line.kind == "log" or "opened" in line.facts]
    if wanted and (zone := _zone(s)):
        sums = Counter[Key]()
        for line in wanted:
            _count(sums, line, zone)
        bulk_insert.put_last(s, Tally, _rows(sums), sums=True)


def rebuild(s: Session) -> None:
    """Counts the whole log again. Whoever calls it holds the clock: nobody may add a line meanwhile."""
    counted = _counted(s, [])
    s.execute(delete(Tally))
    bulk_insert.put(s, Tally, _rows(counted))


def differences(s: Session) -> list[str]:
    """Where the sums differ from those that the log gives, in plain words; [] is right."""
    faults: list[str] = []
    counted = _counted(s, faults)
    held = {(t.facet, t.month, t.what, t.value): t.n for t in s.execute(select(Tally.__table__)) if t.n}
    return faults + [
        f"figures: {' '.join(filter(None, key))} is {held.get(key, 0)}, but the log says {counted[key]}"
        for key in sorted({*held, *(key for key, n in counted.items() if n)})
        if held.get(key, 0) != counted[key]
    ]


def age(opened: datetime, done: datetime) -> int:
    """How old a case was when its work was done, in tenths of a day, rounded up as `after` has it."""
    return tenths_of_days((done - opened).total_seconds())


def tenths_of_days(seconds: float) -> int:
    """So many seconds in tenths of a day, rounded up as `after` has it."""
    tenths = math.ceil(max(0.0, seconds) / 8640)
    return tenths if tenths < TENTHS else math.ceil(tenths / 10) * 10


def month_of(at: datetime, zone: ZoneInfo) -> str:
    """ "2026-10", on the city's own clocks."""
    here = at.astimezone(zone)
    return f"{here.year:04d}-{here.month:02d}"


def _contact(facts: dict[str, Any], zone: ZoneInfo) -> Iterator[tuple[Key, int]]:
    month = month_of(datetime.fromisoformat(facts["began_at"]), zone)
    facets = [("line", ""), ("topic", facts["topic"]), ("channel", facts["channel"]), ("lang", facts["lang"])]
    if office := facts.get("to") or facts.get("instead"):
        facets.append(("office", office))
    for facet, value in facets:
        yield (facet, month, facts["outcome"], value), 1
    for facet, value in facets[:2]:
        yield (facet, month, "seconds", value), facts["seconds"]


def _case(line: Any, zone: ZoneInfo) -> Iterator[tuple[Key, int]]:
    facts, opened = line.facts, datetime.fromisoformat(line.facts["opened"])
    month, facets = month_of(line.at, zone), [("city", ""), ("service", facts["service"])]
    if area := facts.get("area"):
        facets.append(("area", str(area)))
    for what, n in _count_changes(line, opened):
        for facet, value in facets:
            yield (facet, month, what, value), n
    if change := (line.now in OPEN) - (line.was in OPEN):
        yield ("cohort", month_of(opened, zone), "left", ""), change


def _count_changes(line: Any, opened: datetime) -> Iterator[tuple[str, int]]:
    facts = line.facts
    if line.now == NEW and line.was is None:
        yield "opened", 1
    elif line.kind == "close":
        done = datetime.fromisoformat(facts["done_at"])
        yield "closed", 1
        kept = done <= datetime.fromisoformat(facts["due"])
        yield "timely", int(kept and "restarted" not in facts)
        yield from _apart(facts, done)
        yield from _paused(facts)
        yield "reasoned", int(facts["outcome"] == "fixed" and facts["no_photo"] is not None)
        yield "indoors", int(facts.get("work") == "office")
        yield f"after {age(opened, done)}", 1
    elif line.kind == "no evidence":
        yield "unproven", 1
    elif line.kind == "reopen":
        yield "reopened", 1
    elif line.now == CANCELLED:
        yield "cancelled", 1
    yield "merged", (line.now == MERGED) - (line.was == MERGED)


def _apart(facts: dict[str, Any], done: datetime) -> Iterator[tuple[str, int]]:
    for line in APART:
        if line.fact in facts:
            yield line.what, 1
            yield line.kept, int(done <= datetime.fromisoformat(facts[line.by]))


def _paused(facts: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for reason in WAIT_REASONS:
        if seconds := facts.get(PAUSED.format(reason)):
            yield f"paused {reason}", 1
            yield f"seconds {reason}", seconds
            yield f"held {reason} {tenths_of_days(seconds)}", 1


def _counted(s: Session, faults: list[str]) -> Counter[Key]:
    """What the whole log counts for; a line that was changed so that it cannot be counted is a fault."""
    sums, zone = Counter[Key](), _zone(s)
    if zone is None:
        return sums
    lines = (
        select(Event.seq, Event.subject, Event.kind, Event.was, Event.now, Event.at, Event.facts)
        .order_by(Event.seq)
        .execution_options(yield_per=AT_ONCE)
    )
    for line in s.execute(lines):
        try:
            _count(sums, line, zone)
        except (AttributeError, KeyError, TypeError, ValueError):
            faults.append(f"figures: line {line.seq} of the log can't be counted")
    return sums


def _count(sums: Counter[Key], line: Any, zone: ZoneInfo) -> None:
    for key, n in counts_for_event(line, zone):
        sums[key] += n


def _rows(sums: Counter[Key]) -> list[dict[str, Any]]:
    names = ("facet", "month", "what", "value", "n")
    return [dict(zip(names, (*key, n), strict=True)) for key, n in sorted(sums.items()) if n]


def _zone(s: Session) -> ZoneInfo | None:
    """The city's time zone, asked anew since a city file may change it; None before one was applied."""
    name = s.scalar(_ZONE)
    return ZoneInfo(name) if name else None
