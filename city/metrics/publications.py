"""A month's figures as they were published: lines of the log, so that none of them changes unseen.

The worker writes the figures of a month down once it is over. Where the same month gives others later, since
a call was logged late, that is another line with what changed: a new version, which the page shows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.config.city_file import CityFile
from city.db import engine as db
from city.db.models import Event, EventSequence
from city.metrics import metrics, periods
from city.metrics import sql as metric_sql
from city.metrics.metrics import Figures
from city.metrics.periods import Period

KIND: Final = "publish"
LOOKED_BACK: Final = 24  # months whose figures are compared with what was published
DIGITS: Final = 6  # of a share or a mean
SILENT_DAYS: Final = 30

Values = dict[str, Any]  # a figure's name → its value


@dataclass(frozen=True, slots=True)
class Version:
    """One line: when a month's figures were published, and what was different: (figure, was, is).

    Of a figure that the newest version of the month does not tell, neither number is known: what it was would
    tell what is hidden since.
    """

    month: str
    number: int
    at: datetime
    changed: list[tuple[str, Any, Any]]
    silent: int | None  # open cases of which nothing was written for SILENT_DAYS, when this was published


def publish_completed_months(engine: Engine, city: CityFile, now: datetime, *, by: Actor) -> list[str]:
    """Writes down the month that is over, and of earlier ones what has changed; returns the months written.

    Months from before the first that was published stay unpublished, but for the last one; so does a first
    month in which nothing happened. Nobody waits while the figures are added up.
    """
    with db.read_session(engine) as s:
        due = list(_due(s, city, now))
    if due:
        with db.transaction(engine) as s:
            s.execute(
                select(EventSequence.n).with_for_update()
            )  # two workers at once: the second sees what the first wrote
            known = newest(s, [month for month, _ in due])
            due = [(month, facts) for month, facts in due if facts["version"] == _next(known.get(month))]
            for month, facts in due:
                events.record(s, events.of_figure(month), KIND, by=by, at=now, facts=facts)
    return [month for month, _ in due]


def versions(s: Session, period: Period) -> list[Version]:
    """What was published of the months of a period, the newest month first and in it the newest version."""
    names = [events.of_figure(month) for month in period.months]
    lines = s.scalars(
        select(Event).where(Event.subject.in_(names)).order_by(Event.subject.desc(), Event.n.desc())
    )
    found: list[Version] = []
    told: dict[str, Values] = {}  # by month what its newest version tells
    for line in lines:
        newest = told.setdefault(line.subject, line.facts["values"])
        found.append(
            Version(
                month=line.subject.partition(":")[2],
                number=line.n,
                at=line.at,
                changed=[_difference(newest, *each) for each in line.facts["changed"]],
                silent=line.facts.get("silent"),
            )
        )
    return found


def newest(s: Session, months: Iterable[str]) -> dict[str, Event]:
    """The line with the newest version of each of these months, where one was published; by month."""
    names = [events.of_figure(month) for month in months]
    lines = s.scalars(select(Event).where(Event.subject.in_(names)).order_by(Event.subject, Event.n))
    return {line.subject.partition(":")[2]: line for line in lines}


def inactive_cases(s: Session, now: datetime) -> int:
    """How many open cases nothing was written of for SILENT_DAYS; reads the whole log."""
    return int(s.scalar(text(metric_sql.untouched_since(now - timedelta(days=SILENT_DAYS)))) or 0)


def of_month(s: Session, city: CityFile, month: str) -> Values:
    """The figures of a month that are published: what is too small to be told is not."""
    period = Period(month, (month,))
    both = (metrics.line_metrics(s, city, period), metrics.sla_metrics(s, city, period))
    return {name: value for figures in both for name, value in _values(figures)}


def _difference(told: Values, name: str, was: Any, now: Any) -> tuple[str, Any, Any]:
    """A figure that is different, without its numbers where they are not `told` any more."""
    return (name, was, now) if name in told else (name, None, None)


def _due(s: Session, city: CityFile, now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    over = periods.moved(f"{now.astimezone(city.time_zone):%Y-%m}", -1)
    looked = [periods.moved(over, -n) for n in range(LOOKED_BACK - 1, -1, -1)]
    known = newest(s, looked)
    for month in looked[looked.index(min([over, *known])) :]:
        values, line = of_month(s, city, month), known.get(month)
        was: Values = line.facts["values"] if line else {}
        if values != was if line else known or any(values.values()):
            changed = _changed(was, values) if line else []
            facts = {"version": _next(line), "values": values, "changed": changed}
            yield month, facts if line else facts | {"silent": inactive_cases(s, now)}


def _next(line: Event | None) -> int:
    return line.n + 1 if line else 1


def _values(figures: Figures) -> Iterator[tuple[str, Any]]:
    for cell in figures.cells.values():
        # The backlog is today's, and what the money was stands in the city file.
        if cell.value is not None and cell.proof and cell.table != "left":
            yield cell.id, round(cell.value, DIGITS)


def _changed(was: Values, now: Values) -> list[tuple[str, Any, Any]]:
    return [
        _difference(now, name, was.get(name), now.get(name))
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]
