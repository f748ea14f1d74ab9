"""Sets what the demo city looks like beside the figures of real cities: `python -m city.demo.comparison`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city import geo, settings
from city.cases import sla
from city.db import engine as db
from city.db.models import Case, Contact, Event, Photo, Report, Service
from city.demo import reference_rates
from city.demo.reference_rates import KINDS
from city.lifecycle import CANCELLED, CLOSED, MERGED

NEAR_METRES, NEAR_DAYS = 50.0, 14.0
FEW, MANY = 50, 300  # closed cases of a kind, from which on its median, and its last tenth, say something


class Line(NamedTuple):
    """One measure; `tolerance` is in the unit of the figure."""

    what: str
    real: float
    demo: float
    tolerance: float
    unit: str = "%"

    @property
    def fits(self) -> bool:
        return abs(self.demo - self.real) <= self.tolerance


def lines(s: Session) -> Iterator[Line]:
    """All measures over the cases and contacts of this database."""
    rows = list(
        s.execute(
            select(Case.id, Case.service_code, Case.state, Case.opened_at, Case.closed_at, Case.lat, Case.lon)
            .where(Case.service_code.in_(KINDS))
            .order_by(Case.opened_at)
        )
    )
    yield from _kinds(rows)
    yield from _times(s, rows)
    yield from _reports(s)
    yield from _ends(s, rows)
    yield from _contacts(s)


def markdown(measured: Sequence[Line]) -> str:
    """The table of docs/explanation/demo.md."""
    told = ["| measure | real | demo | tolerance |", "| --- | ---: | ---: | ---: |"]
    for line in measured:
        real, demo, by = (f"{value:.3g}" for value in (line.real, line.demo, line.tolerance))
        mark = "" if line.fits else " (!)"
        unit = f" {line.unit}" if line.unit else ""
        told.append(f"| {line.what} | {real}{unit} | {demo}{unit}{mark} | ± {by} |")
    return "\n".join(told)


def _kinds(rows: Sequence[Any]) -> Iterator[Line]:
    total = sum(kind.cases for kind in KINDS.values())
    for likeness in dict.fromkeys(kind.likeness for kind in KINDS.values()):
        same = {code: kind for code, kind in KINDS.items() if kind.likeness == likeness}
        kind = next(iter(same.values()))
        ours = [row for row in rows if row.service_code in same]
        real = 100 * sum(kind.cases for kind in same.values()) / total
        yield Line(f"{likeness}: share of all", real, 100 * len(ours) / len(rows), max(0.25 * real, 1.5))
        days = [(r.closed_at - r.opened_at).total_seconds() / 86400 for r in ours if r.state == CLOSED]
        if len(days) >= FEW:
            yield _days(f"{likeness}: median days to close", kind.median, float(np.median(days)))
        if len(days) >= MANY:
            yield _days(f"{likeness}: 90 % closed within", kind.p90, float(np.percentile(days, 90)))


def _days(what: str, real: float, ours: float) -> Line:
    """Two fifths of the figure are allowed, but never less than some hours."""
    return Line(what, real, ours, max(0.4 * real, 0.3), "d")


def _times(s: Session, rows: Sequence[Any]) -> Iterator[Line]:
    zone = sla.zone_of(s.scalars(select(Service).order_by(Service.position)).first())  # type: ignore[arg-type]
    opened = [row.opened_at.astimezone(zone) for row in rows]
    months, weekdays = Counter(at.month for at in opened), Counter(at.weekday() for at in opened)
    hours = Counter(at.hour for at in opened)
    year = sum(reference_rates.MONTHS)
    for name, among in (("December to February", (12, 1, 2)), ("July to September", (7, 8, 9))):
        real = 100 * sum(reference_rates.MONTHS[month - 1] for month in among) / year
        yield Line(f"opened {name}", real, 100 * sum(months[m] for m in among) / len(rows), 4)
    for name, days in (("on a Tuesday", (1,)), ("on a weekend", (5, 6))):
        real = sum(reference_rates.WEEKDAYS[day] for day in days)
        yield Line(f"opened {name}", real, 100 * sum(weekdays[d] for d in days) / len(rows), 3)
    for name, span in (("from 8 to noon", range(8, 12)), ("from noon to 5 pm", range(12, 17))):
        real = sum(reference_rates.HOURS[hour] for hour in span)
        yield Line(f"opened {name}", real, 100 * sum(hours[h] for h in span) / len(rows), 3)


def _reports(s: Session) -> Iterator[Line]:
    channels = dict(s.execute(select(Report.channel, func.count()).group_by(Report.channel)).all())
    told = sum(channels.values())
    for channel, share in reference_rates.CHANNELS.items():
        yield Line(f"reports by {channel}", share, 100 * channels.get(channel, 0) / told, 4)
    shown = s.scalar(select(func.count(Photo.report_id.distinct()))) or 0
    yield Line("reports with a photo", 100 * reference_rates.PHOTO_SHARE, 100 * shown / told, 5)


def _ends(s: Session, rows: Sequence[Any]) -> Iterator[Line]:
    states = Counter(row.state for row in rows)
    over = states[CLOSED] + states[MERGED]
    yield Line(
        "merged, of all that ended", 100 * reference_rates.MERGED_SHARE, 100 * states[MERGED] / over, 1
    )
    yield Line("cancelled", 100 * reference_rates.CANCELLED_SHARE, 100 * states[CANCELLED] / len(rows), 1)
    reopened = s.scalar(select(func.count(Event.subject.distinct())).where(Event.kind == "reopen")) or 0
    yield Line("reopened", 100 * reference_rates.REOPENED_SHARE, 100 * reopened / len(rows), 1)
    near = sum(_followers([row for row in rows if row.service_code == code and row.lat]) for code in KINDS)
    yield Line(
        "within 50 m and 14 days of another", 100 * reference_rates.NEAR_SHARE, 100 * near / len(rows), 6
    )


def _contacts(s: Session) -> Iterator[Line]:
    rows = list(s.execute(select(Contact.began_at, Contact.topic_code, Contact.outcome, Contact.lang)))
    if not rows:
        return
    zone = sla.zone_of(s.scalars(select(Service).order_by(Service.position)).first())  # type: ignore[arg-type]
    began = [row.began_at.astimezone(zone) for row in rows]

    def share(of: int) -> float:
        return 100 * of / len(rows)

    cases, foreign = sum(row.outcome == "case" for row in rows), sum(row.lang != "en" for row in rows)
    yield Line("contacts that become a case", 100 * reference_rates.FOLLOW_UP_SHARE, share(cases), 0.5)
    yield Line("contacts not in English", 100 * reference_rates.OTHER_LANGUAGES_SHARE, share(foreign), 4)
    asked = [topic for topic, _ in Counter(row.topic_code for row in rows).most_common()]
    for place, topic in enumerate(("taxes", "vital-records"), start=1):
        yield Line(f"contacts: place of {topic}", place, asked.index(topic) + 1, 0, "")
    real = reference_rates.WEEKDAYS[1]
    yield Line("contacts on a Tuesday", real, share(sum(at.weekday() == 1 for at in began)), 3)
    for name, span in (("from 8 to noon", range(8, 12)), ("from noon to 5 pm", range(12, 17))):
        real = sum(reference_rates.HOURS[hour] for hour in span)
        yield Line(f"contacts {name}", real, share(sum(at.hour in span for at in began)), 3)


def _followers(rows: Sequence[Any]) -> int:
    """How many of these, in order of time, follow an earlier one nearby."""
    if not rows:
        return 0
    days = np.array([row.opened_at.timestamp() / 86400 for row in rows])
    north = np.array([row.lat for row in rows]) * geo.METRES_A_DEGREE
    east = np.array([row.lon for row in rows]) * geo.METRES_A_DEGREE * np.cos(np.radians(rows[0].lat))
    first = np.searchsorted(days, days - NEAR_DAYS)
    return sum(
        bool((np.hypot(north[a:n] - north[n], east[a:n] - east[n]) <= NEAR_METRES).any())
        for n, a in enumerate(first)
    )


def main() -> None:
    """Prints the table for the database that the environment names."""
    engine = db.connect(settings.read().database_url)
    with db.read_session(engine) as s:
        print(markdown(list(lines(s))))
    engine.dispose()


if __name__ == "__main__":
    main()
