"""Cases, contacts, figures and layers as open data: rows, and the bytes of each format; never a whole list.

No row has words, photos or people: whoever has taken a file away keeps it, even where a report is hidden or
erased since. Which cases there are and how exactly a place is told is decided in queries.py.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from city import csv_cells
from city.cases.queries import public_cases, roots_of, street_only
from city.config.city_file import CityFile
from city.db.models import Area, Asset, Case, Contact, Department, Report, Service, Street, Tally
from city.geo import DIGITS, Point, rounded
from city.lifecycle import MERGED, OPEN, UNDONE
from city.metrics import metrics, periods, publications
from city.opendata import case_summaries
from city.places import areas

Alike = tuple[str, str, str]  # channel, outcome, topic
PAGE: Final = 1000  # cases that are read at once
# https://wiki.open311.org/GeoReport/bulk/, a proposal; its optional columns stay empty here.
BULK: Final = (
    "service_request_id", "requested_datetime", "updated_datetime", "closed_date", "status_description",
    "status_notes", "source", "service_name", "service_subtype", "description", "agency_responsible",
    "address", "lat", "long",
)  # fmt: skip


class CaseRow(NamedTuple):
    """A case as open data tells it; its names are the columns of the table, in their order.

    Times are on the city's own clocks. `latitude` and `longitude` are as exact as the service allows, and
    `area` is where that point lies. `merged_into` is the number of the case that goes on.
    """

    number: str
    service_code: str
    service: str
    group: str
    department: str
    state: str
    outcome: str | None
    opened_at: datetime
    updated_at: datetime
    due_at: datetime
    closed_at: datetime | None
    address: str
    area: str
    latitude: float | None
    longitude: float | None
    reports: int
    reopenings: int
    merged_into: str


class ContactRow(NamedTuple):
    """How many contacts of a month were alike; where `hidden`, how many is not told."""

    month: str
    channel: str
    outcome: str
    topic: str
    contacts: int | None
    hidden: str


class FigureRow(NamedTuple):
    """A figure of a month, as the newest version of that month has it."""

    month: str
    version: int
    published_at: datetime
    figure: str
    value: Any


@dataclass(frozen=True)
class Span:
    """When the cases were opened that are asked for: from the first moment on, and before the second."""

    since: datetime | None = None
    until: datetime | None = None


ALL: Final = Span()


@dataclass(frozen=True)
class Format:
    """How rows become bytes: what stands before them, they themselves, and what stands behind.

    `lines` is told whether rows went before. `has` says which of the rows it tells.
    """

    suffix: str
    mimetype: str
    head: bytes
    lines: Callable[[Sequence[Any], bool], bytes]
    foot: bytes = b""
    has: Callable[[Any], bool] = lambda row: True

    def of(self, rows: Sequence[Any]) -> list[Any]:
        """Those of the rows that this format has."""
        return [row for row in rows if self.has(row)]


def cases(s: Session, city: CityFile, span: Span = ALL) -> Iterator[list[CaseRow]]:
    """Every case that strangers may know of, a page at a time, the oldest first."""
    names, found, last = _Names(s, city), areas.known(s), 0
    while rows := s.execute(_page(span, last)).all():
        last, ids = rows[-1].id, [row.id for row in rows]
        moved, roots = (
            case_summaries.last_moved(s, ids),
            _roots(s, [row.id for row in rows if row.state == MERGED]),
        )
        told: dict[int, int] = {row[0]: row[1] for row in s.execute(_reports(ids))}
        yield [
            _case_row(row, names, found, moved.get(row.id), told.get(row.id, 0), roots.get(row.id, ""))
            for row in rows
        ]


def count(s: Session, span: Span = ALL) -> int:
    """How many cases() will tell."""
    return s.scalar(_asked(span).with_only_columns(func.count())) or 0


def contacts(s: Session, city: CityFile, now: datetime) -> Iterator[list[ContactRow]]:
    """How many contacts there were by channel, outcome and topic, in every month that is over."""
    for month in _months(s, city, now, "line"):
        yield list(_contact_rows(s, city, month))


def measures(s: Session, city: CityFile, now: datetime) -> Iterator[list[FigureRow]]:
    """The figures that were published, of each month the newest version."""
    for month, line in publications.newest(s, _months(s, city, now)).items():
        at = line.at.astimezone(city.time_zone)
        yield [FigureRow(month, line.n, at, *figure) for figure in sorted(line.facts["values"].items())]


def ground(s: Session, kind: str) -> Iterator[list[dict[str, Any]]]:
    """A layer of the city as features of GeoJSON: its `areas`, `assets` or `streets`."""
    table, feature = LAYERS[kind]
    last = 0
    while rows := list(s.scalars(select(table).where(table.id > last).order_by(table.id).limit(PAGE))):
        last = rows[-1].id
        yield [feature(row) for row in rows if getattr(row, "retired_at", None) is None]
        s.expunge_all()


def _page(span: Span, last: int) -> Any:
    return (
        _asked(span)
        .where(Case.id > last)
        .order_by(Case.id)
        .limit(PAGE)
        .with_only_columns(
            Case.id, Case.number, Case.service_code, Case.state, Case.outcome, Case.opened_at, Case.due_at,
            Case.closed_at, Case.address, Case.lat, Case.lon, Case.cycle, Service.precision_m,
        )
    )  # fmt: skip


def _asked(span: Span) -> Select[Case]:
    asked = public_cases().where(Case.state != UNDONE)
    if span.since:
        asked = asked.where(Case.opened_at >= span.since)
    if span.until:
        asked = asked.where(Case.opened_at < span.until)
    return asked


class _Names:
    """What services and departments are called in the city's first language, and its clocks."""

    def __init__(self, s: Session, city: CityFile) -> None:
        self.zone, lang = city.time_zone, city.languages[0]
        rows = s.execute(
            select(Service.code, Service.names, Service.group, Department.names).join(
                Department, Department.code == Service.department_code
            )
        )
        self.of = {
            code: (_in_language(names, lang), group, _in_language(owner, lang))
            for code, names, group, owner in rows
        }
        self.areas = areas.names(s)


def _in_language(names: Mapping[str, str], lang: str) -> str:
    return names.get(lang) or next(iter(names.values()), "")


def _reports(ids: Sequence[int]) -> Any:
    return select(Report.case_id, func.count()).where(Report.case_id.in_(ids)).group_by(Report.case_id)


def _roots(s: Session, ids: Sequence[int]) -> dict[int, str]:
    """The numbers of the cases that go on in the place of these, unless they are private."""
    if not ids:
        return {}
    roots = roots_of(s, ids)
    asked = public_cases().where(Case.id.in_(sorted(set(roots.values()))))
    numbers = {row.id: row.number for row in s.execute(asked.with_only_columns(Case.id, Case.number))}
    return {case_id: numbers.get(root, "") for case_id, root in roots.items()}


def _case_row(
    row: Any, names: _Names, found: areas.Areas, moved: datetime | None, reports: int, root: str
) -> CaseRow:
    zone, (service, group, department) = names.zone, names.of[row.service_code]
    point = Point(row.lat, row.lon) if row.lat is not None and row.lon is not None else None
    seen = rounded(point, row.precision_m) if point else None
    return CaseRow(
        number=row.number, service_code=row.service_code, service=service, group=group,
        department=department, state=row.state, outcome=row.outcome,
        opened_at=row.opened_at.astimezone(zone),
        updated_at=max(moved or row.opened_at, row.opened_at).astimezone(zone),
        due_at=row.due_at.astimezone(zone),
        closed_at=row.closed_at.astimezone(zone) if row.closed_at else None,
        address=street_only(row.address) if row.precision_m else row.address,
        area=names.areas.get(str(found.of(seen)), "") if seen else "",
        latitude=round(seen.lat, DIGITS) if seen else None,
        longitude=round(seen.lon, DIGITS) if seen else None,
        reports=reports, reopenings=row.cycle - 1, merged_into=root,
    )  # fmt: skip


def _months(s: Session, city: CityFile, now: datetime, facet: str = "") -> list[str]:
    """The months that are over, since the first of which the figures, or a facet of them, know anything."""
    began = select(func.min(Tally.month))
    month = s.scalar(began.where(Tally.facet == facet) if facet else began)
    this, months = f"{now.astimezone(city.time_zone):%Y-%m}", []
    while month and month < this:
        months.append(month)
        month = periods.moved(month, 1)
    return months


def _contact_rows(s: Session, city: CityFile, month: str) -> Iterator[ContactRow]:
    begin, end = periods.Period(month, (month,)).span(city.time_zone)
    rows = s.execute(
        select(Contact.channel, Contact.outcome, Contact.topic_code, func.count())
        .where(Contact.began_at >= begin, Contact.began_at < end)
        .group_by(Contact.channel, Contact.outcome, Contact.topic_code)
        .order_by(Contact.channel, Contact.outcome, Contact.topic_code)
    )
    counts = {(channel, outcome, topic): n for channel, outcome, topic, n in rows}
    untold = _untold(counts)
    for key, n in counts.items():
        hidden = key in untold
        yield ContactRow(month, *key, contacts=None if hidden else n, hidden="true" if hidden else "")


def _untold(counts: Mapping[Alike, int]) -> set[Alike]:
    """Which of these counts of a month are not told: those that the pages of figures would hide beside a sum.

    One that stands hidden alone could be worked out of its sum, so the next larger one goes with it.
    """
    summed = list(_summed(counts))
    hidden = {key for column in summed for key in metrics.suppressed_rows(column)}
    while more := {
        min(column.keys() - hidden, key=lambda key: (counts[key], key))
        for column in summed
        if len(hidden & column.keys()) == 1 < len(column)
    }:
        hidden |= more
    return hidden


def _summed(counts: Mapping[Alike, int]) -> Iterator[dict[Alike, int]]:
    """Counts of one outcome whose sum /value tells: those of a topic, and those of a channel."""
    for over in (0, 2):
        columns: defaultdict[tuple[str, ...], dict[Alike, int]] = defaultdict(dict)
        for key, n in counts.items():
            columns[key[:over] + key[over + 1 :]][key] = n
        yield from columns.values()


def _area(row: Area) -> dict[str, Any]:
    return _feature(row.geometry, {"id": row.source_id, "kind": row.kind, "name": row.name})


def _asset(row: Asset) -> dict[str, Any]:
    properties = {"kind": row.kind, "number": row.number, "owner": row.owner, "address": row.address}
    return _feature({"type": "Point", "coordinates": [row.lon, row.lat]}, properties)


def _street(row: Street) -> dict[str, Any]:
    properties = {"id": row.source_id, "kind": row.kind, "name": row.name}
    return _feature({"type": "LineString", "coordinates": row.line}, properties)


LAYERS: Final[dict[str, tuple[Any, Callable[[Any], dict[str, Any]]]]] = {
    "areas": (Area, _area), "assets": (Asset, _asset), "streets": (Street, _street),
}  # fmt: skip


def _feature(geometry: Any, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": dict(properties)}


def _pin(row: CaseRow) -> dict[str, Any]:
    properties = row._asdict()
    lat, lon = properties.pop("latitude"), properties.pop("longitude")
    return _feature(None if lat is None else {"type": "Point", "coordinates": [lon, lat]}, properties)


def _request(row: CaseRow) -> tuple[Any, ...]:
    """A case in the columns of BULK, which calls whatever has ended closed."""
    status = "open" if row.state in OPEN else "closed"
    return (
        row.number, row.opened_at, row.updated_at, row.closed_at, status, None, None, row.service, None, None,
        row.department, row.address, row.latitude, row.longitude,
    )  # fmt: skip


def _cell(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _csv(columns: Sequence[str], row: Callable[[Any], Sequence[Any]] = tuple, **more: Any) -> Format:
    def lines(rows: Sequence[Any], _later: bool) -> bytes:
        return csv_cells.lines([_cell(cell) for cell in row(each)] for each in rows)

    return Format("csv", "text/csv", csv_cells.lines([columns]), lines, **more)


def _geojson(feature: Callable[[Any], Mapping[str, Any]]) -> Format:
    """A FeatureCollection, a feature a line; https://www.rfc-editor.org/rfc/rfc7946."""

    def lines(rows: Sequence[Any], later: bool) -> bytes:
        told = b",\n".join(orjson.dumps(feature(row), option=orjson.OPT_OMIT_MICROSECONDS) for row in rows)
        return b",\n" + told if later and rows else told

    head = b'{"type":"FeatureCollection","features":[\n'
    return Format("geojson", "application/geo+json", head, lines, b"\n]}\n")


def _itself(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row


# What cases are told in, by the word that the command takes.
FORMATS: Final = {
    "csv": _csv(CaseRow._fields),
    "geojson": _geojson(_pin),
    # A request is listed once, as Open311 lists it: what was merged is the case that goes on.
    "bulk": _csv(BULK, _request, has=lambda row: row.state != MERGED),
}
CONTACTS: Final = _csv(ContactRow._fields)
MEASURES: Final = _csv(FigureRow._fields)
LAYER: Final = _geojson(_itself)
