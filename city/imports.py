"""Requests of another 311 system, taken over row by row as finished stories, by a mapping that says how."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from shapely.geometry import box, shape
from sqlalchemy import select
from sqlalchemy.orm import Session

from city import bulk, events, inserts, people, sources
from city.cityfile import CityFile
from city.events import Actor
from city.lifecycle import ACCEPTED, CANCELLED, CLOSED, DISPATCHER, MAX_WORDS, SYSTEM
from city.mapping import ANYTHING, Mapping
from city.places import Place
from city.schema import Area, Department, Imported, ImportRun, Service
from city.sources import Outcome, Row, SideFile, Source, Told, TooManyRejected, Unusable, shown

# All rows and their lines of the log are held until the end: about 2 GB for as many.
MOST_ROWS = 150_000
AT_ONCE = 5_000
LONGEST_REF = 80
SAME_POINT = 0.00005  # degrees: half of the fourth digit
AFTER_ALL = 1001  # where services of others stand: behind those of the city file
# Who moves imported cases: the system, with a dispatcher's rights, since nobody here decided it.
IMPORTER: Final = Actor("system", frozenset({SYSTEM, DISPATCHER}))


def take(
    s: Session,
    path: Path,
    mapping: Mapping,
    city: CityFile,
    *,
    at: datetime,
    max_rejected: int | None = None,
    told: Told = lambda done, of: None,
) -> Outcome:
    """Takes the rows of a CSV (also .gz) over as cases, all in this one transaction.

    A row that is here already stays as it is: `unchanged`, or `changed` where the source tells otherwise
    now. A place that is one of the mapping's default points is no place. What was closed before it was
    opened counts as closed on the spot; what lies outside the boundary is kept; both are counted, and
    noted on the case. Raises Unusable, CityFileError, or TooManyRejected; then nothing may be kept.
    """
    outcome = Outcome()
    groups = {group.code for group in city.groups}
    if unknown := {*mapping.groups.values(), mapping.other_group} - groups:
        fault = f"the city file has no group {sorted(unknown)[0]!r}"
        raise mapping.table.wrong("services", fault, f"one of {', '.join(sorted(groups))}")
    with sources.open_source(path) as source:
        if source.unit != "line":
            raise Unusable(path.name, "is JSON; requests come as a CSV")
        mapping.check(source)
        side = SideFile(path.with_name(f"{path.name}.rejected.csv"), source.unit)
        try:
            rows = _Reading(s, mapping, source, side, outcome, max_rejected, at).rows(told)
        finally:
            outcome.side_file = side.close()
    if not outcome.read:
        raise Unusable(path.name, "is empty: it has a head and no rows")
    _put(s, mapping, rows, outcome, at=at, told=told)
    return outcome


def instant(words: str, formats: Sequence[str], zone: ZoneInfo, *, after: datetime | None = None) -> datetime:
    """The moment (UTC) that a local time names; raises ValueError where no format fits.

    An hour that the clocks go through twice is meant the first time, unless that lies before `after` and
    the second does not; an hour that they leave out is read as if they had not been set yet.
    """
    for form in formats:
        found = _read_time(words, form)
        if found is None:
            continue
        at = found.replace(tzinfo=zone).astimezone(UTC)
        if after and at < after:
            again = found.replace(tzinfo=zone, fold=1).astimezone(UTC)
            return again if again >= after else at
        return at
    raise ValueError(f"{shown(words)} is no time like {datetime(2026, 5, 31, 14, 30).strftime(formats[0])!r}")  # noqa: DTZ001 an example


# What tables write times with; a pattern reads them ten times as fast as strptime does.
_CODES: Final = {
    "%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d\d?)", "%d": r"(?P<d>\d\d?)", "%H": r"(?P<H>\d\d?)",
    "%I": r"(?P<I>\d\d?)", "%M": r"(?P<M>\d\d?)", "%S": r"(?P<S>\d\d?)", "%p": r"(?P<p>[AP]M)",
}  # fmt: skip


def _read_time(words: str, form: str) -> datetime | None:
    """The time as `form` (strptime's) reads it, without a zone; None where it does not fit."""
    pattern = _pattern(form)
    try:
        if pattern is None:
            return datetime.strptime(words, form)  # noqa: DTZ007 the caller adds the zone
        fit = pattern.fullmatch(words)
        if fit is None:
            return None
        part = fit.groupdict("0")
        hour = int(part.get("H", 0))
        if "I" in part:
            hour = int(part["I"])
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + 12 * (part.get("p", "AM").upper() == "PM")
        minute, second = int(part.get("M", 0)), int(part.get("S", 0))
        return datetime(int(part["Y"]), int(part["m"]), int(part["d"]), hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None


@cache
def _pattern(form: str) -> re.Pattern[str] | None:
    """A pattern for a format of the common codes; None for any other, such as names of months."""
    parts = re.split(r"(%.)", form)
    codes = [part for part in parts if part.startswith("%")]
    if not {"%Y", "%m", "%d"} <= set(codes) <= set(_CODES) or len(codes) != len(set(codes)):
        return None
    return re.compile("".join(_CODES.get(part, re.escape(part)) for part in parts), re.IGNORECASE)


@dataclass(slots=True)
class _Taken:
    """One row, read and checked."""

    ref: str
    digest: str
    service: str
    department: str
    group: str
    private: bool
    opened: datetime
    state: str
    channel: str
    lat: float | None
    lon: float | None
    address: str
    words: str
    closure: str
    outcome: str
    accepted: datetime | None = None
    closed: datetime | None = None
    reopened: datetime | None = None
    promised: float | None = None  # days
    notes: list[str] = field(default_factory=list)


class _Wrong(Exception):
    """Why a row cannot be taken."""


class _Reading:
    """Reads all rows of a source and keeps those that are new and right."""

    def __init__(
        self,
        s: Session,
        mapping: Mapping,
        source: Source,
        side: SideFile,
        outcome: Outcome,
        max_rejected: int | None,
        now: datetime,
    ) -> None:
        self.mapping, self.source, self.side, self.outcome = mapping, source, side, outcome
        self.max_rejected, self.now = max_rejected, now
        known = select(Imported.ref, Imported.digest).where(Imported.source == mapping.source)
        self.known: dict[str, str] = dict(s.execute(known).all())
        self.lines: dict[str, int] = {}
        self.used = sorted({name for names in mapping.columns.values() for name in names})
        self.extra = [name for name in (mapping.group_by, mapping.outcome_from) if name]

    def rows(self, told: Told) -> list[_Taken]:
        found: list[_Taken] = []
        for row in self.source.rows:
            self.outcome.read += 1
            if self.outcome.read > MOST_ROWS:
                raise Unusable(
                    self.source.path.name, f"has more than {MOST_ROWS} rows; split it, by month perhaps"
                )
            try:
                taken = self._taken(row)
            except _Wrong as wrong:
                self._reject(row, str(wrong))
                continue
            if taken:
                found.append(taken)
            if self.outcome.read % 1000 == 0:
                told(self.source.position(), self.source.size)
        return found

    def _reject(self, row: Row, reason: str) -> None:
        self.outcome.rejected += 1
        self.side.write(row, reason)
        if self.max_rejected is not None and self.outcome.rejected > self.max_rejected:
            raise TooManyRejected(self.outcome)

    def _taken(self, row: Row) -> _Taken | None:
        """The row as it will be told; None where it is here already."""
        if row.fault:
            raise _Wrong(row.fault)
        ref = self._first(row, "ref")
        if not ref or len(ref) > LONGEST_REF:
            raise _Wrong("has no number" if not ref else f"the number {shown(ref)} is too long")
        digest = self._digest(row)
        before = self.known.get(ref)
        if before is not None:
            self._again(row, ref, same=before == digest)
            return None
        taken = self._read(row, ref, digest)
        self.known[ref], self.lines[ref] = digest, row.line
        return taken

    def _again(self, row: Row, ref: str, *, same: bool) -> None:
        if same:
            self.outcome.unchanged += 1
        elif ref in self.lines:
            raise _Wrong(f"the number {shown(ref)} stands on line {self.lines[ref]} already, and differs")
        else:  # the case has a life of its own here by now
            self._count("changed")

    def _read(self, row: Row, ref: str, digest: str) -> _Taken:
        mapping = self.mapping
        service = self._first(row, "service")
        if not service:
            raise _Wrong("has no service")
        opened = self._time(row, "opened")
        if opened is None:
            raise _Wrong("does not say when it was opened")
        if opened > self.now:
            raise _Wrong("was opened in the future")
        state = self._known(self._first(row, "state"), mapping.states, "states")
        lat, lon = self._point(row)
        group_value = row.values.get(mapping.group_by, "").strip()
        reason = row.values.get(mapping.outcome_from, "")
        taken = _Taken(
            ref=ref, digest=digest, service=service, department=self._first(row, "department"),
            group=mapping.groups.get(group_value, mapping.other_group),
            private=group_value in mapping.private, opened=opened, state=state,
            channel=self._known(self._first(row, "channel"), mapping.channels, "channels"),
            lat=lat, lon=lon, address=self._first(row, "address"), words=self._all(row, "words"),
            closure=self._all(row, "closure"),
            outcome=next((o for part, o in mapping.contains if part in reason), mapping.outcome),
        )  # fmt: skip
        self._times(row, taken)
        if notes := self._all(row, "notes"):
            taken.notes.append(notes)
        return taken

    def _times(self, row: Row, taken: _Taken) -> None:
        """Puts the moves into an order that can have been: opened, accepted, closed, reopened."""
        opened = taken.opened
        target = self._time(row, "target")
        if target and target > opened:
            taken.promised = (target - opened) / timedelta(days=1)
        closed = self._time(row, "closed", after=opened)
        accepted, reopened = (
            self._time(row, "accepted", after=opened),
            self._time(row, "reopened", after=opened),
        )
        if closed and closed < opened:
            self._count("closed_before_opened")
            taken.notes.append(f"Closed before it was opened, says the source: {self._first(row, 'closed')}")
            closed = opened
        if taken.state == CLOSED:
            if closed is None:
                raise _Wrong("is closed, and does not say when")
            taken.closed = closed
        elif closed and reopened and closed <= reopened:  # opened again, and open now
            taken.closed, taken.reopened = closed, reopened
        if accepted and accepted >= opened and (taken.closed is None or accepted <= taken.closed):
            taken.accepted = accepted
        elif taken.state == ACCEPTED and taken.reopened is None:
            taken.accepted = opened
        for moment in (taken.closed, taken.accepted, taken.reopened):
            if moment and moment > self.now:
                raise _Wrong("tells of the future")

    def _point(self, row: Row) -> tuple[float, float] | tuple[None, None]:
        words = self._first(row, "lat"), self._first(row, "lon")
        if not all(words):
            return None, None
        try:
            lat, lon = float(words[0]), float(words[1])
        except ValueError:
            raise _Wrong(f"{shown(', '.join(words))} are no coordinates") from None
        if not (math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 180 and abs(lon) <= 180):
            raise _Wrong(f"{shown(', '.join(words))} are no degrees: WGS 84 is needed")
        if abs(lat) > 90:
            raise _Wrong(f"latitude {words[0]} lies beyond 90: are latitude and longitude swapped?")
        for here, there in self.mapping.default_points:
            if abs(lat - here) <= SAME_POINT and abs(lon - there) <= SAME_POINT:
                return None, None
        return lat, lon

    def _time(self, row: Row, name: str, *, after: datetime | None = None) -> datetime | None:
        words = self._first(row, name)
        if not words:
            return None
        try:
            return instant(words, self.mapping.dates, self.mapping.time_zone, after=after)
        except (ValueError, OverflowError) as error:  # the year 9999, which stands for never, has no UTC
            raise _Wrong(f"{name}: {error}") from None

    def _known(self, value: str, choices: dict[str, str], part: str) -> str:
        found = choices.get(value) or choices.get(ANYTHING)
        if found is None:
            raise _Wrong(f"{shown(value)} is not among the mapping's {part}")
        return found

    def _first(self, row: Row, name: str) -> str:
        """The first of a list of columns that holds anything, on one line."""
        values = row.values
        for column in self.mapping.columns.get(name, ()):
            if (cell := values[column]) and (value := " ".join(cell.split())):
                return value
        return ""

    def _all(self, row: Row, name: str) -> str:
        """What a list of columns holds, one below the other; as long as words may be."""
        parts = (row.values[column].strip() for column in self.mapping.columns.get(name, ()))
        words = "\n".join(dict.fromkeys(part for part in parts if part)).replace("\r\n", "\n")
        if len(words) > MAX_WORDS:
            self._count("shortened")
            words = words[: MAX_WORDS - 1] + "…"
        return words

    def _digest(self, row: Row) -> str:
        told = [row.values[name] for name in (*self.used, *self.extra)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def _count(self, what: str) -> None:
        self.outcome.more[what] = self.outcome.more.get(what, 0) + 1


def _put(
    s: Session, mapping: Mapping, rows: list[_Taken], outcome: Outcome, *, at: datetime, told: Told
) -> None:
    _flag_outside(s, mapping, rows, outcome)
    _bring_services(s, mapping, rows)
    run = ImportRun(source=mapping.source, began_at=at, counts={})
    s.add(run)
    s.flush()
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        written = bulk.write(s, [_story(row, mapping) for row in part])
        inserts.put(
            s,
            Imported,
            [
                {"source": mapping.source, "ref": row.ref, "run_id": run.id, "case_id": case.case_id,
                 "digest": row.digest}
                for row, case in zip(part, written, strict=True)
            ],
        )  # fmt: skip
        told(start + len(part), len(rows))
    outcome.imported, outcome.unlocated = len(rows), sum(row.lat is None for row in rows)
    run.ended_at, run.counts = datetime.now(UTC), outcome.counts()
    facts = {"source": mapping.source, "run": run.id, **outcome.counts()}
    events.record(s, f"import:{run.id}", "import", by=people.THE_SYSTEM, at=at, origin="import", facts=facts)


def _flag_outside(s: Session, mapping: Mapping, rows: Sequence[_Taken], outcome: Outcome) -> None:
    """Notes on the cases that they lie outside the boundary, or the mapping's bounds where there is none."""
    boundaries = select(Area.geometry).where(Area.kind == "boundary")
    city = shapely.union_all([shape(geometry) for geometry in s.scalars(boundaries)])
    if city.is_empty and mapping.bounds:
        south, west, north, east = mapping.bounds
        city = box(west, south, east, north)
    located = [row for row in rows if row.lat is not None]
    if city.is_empty or not located:
        return
    shapely.prepare(city)
    lon, lat = [row.lon for row in located], [row.lat for row in located]
    inside = shapely.intersects_xy(city, lon, lat)
    if 2 * np.count_nonzero(~inside & shapely.intersects_xy(city, lat, lon)) > len(located):
        fault = "most rows lie in the city only with latitude and longitude swapped"
        raise mapping.table.wrong("columns.lat", fault, 'lat = "LATITUDE"')
    outcome.more["outside"] = int(np.count_nonzero(~inside))
    for row, within in zip(located, inside.tolist(), strict=True):
        if not within:
            row.notes.append("Lies outside the city's boundary.")


def _bring_services(s: Session, mapping: Mapping, rows: Iterable[_Taken]) -> None:
    """Adds the services and departments that the rows name, and gives every row its service's code.

    They are marked by their codes, `boston:…`, and stand in no city file: the report form offers that
    file's services only. The promise is the middle of the table's own targets, in whole days.
    """
    known = set(s.scalars(select(Service.code).where(Service.code.startswith(f"{mapping.source}:"))))
    departments = set(s.scalars(select(Department.code)))
    promised: dict[str, list[float]] = {}
    first: dict[str, _Taken] = {}
    for row in rows:
        code = _code(mapping.source, row.service)
        first.setdefault(code, row)
        if row.promised is not None:
            promised.setdefault(code, []).append(row.promised)
    position = AFTER_ALL + len(known)
    for code, row in first.items():
        if code in known:
            continue
        department = _code(mapping.source, row.department or mapping.source)
        if department not in departments:
            departments.add(department)
            name = mapping.departments.get(row.department, row.department or mapping.source.title())
            names = {mapping.language: name}
            s.add(Department(code=department, names=names, time_zone=mapping.time_zone.key))
        days = math.ceil(median(promised[code])) if code in promised else mapping.promise_days
        words = {mapping.language: row.service}
        s.add(
            Service(
                code=code, group=row.group, names=words, chips=words, is_default=False, position=position,
                department_code=department, promise_days=min(max(days, 1), 365), questions=[],
                asset_kind=None, precision_m=mapping.precision_m, private=row.private, urgent=False,
            )
        )  # fmt: skip
        position += 1
    s.flush()


def _code(source: str, name: str) -> str:
    """A code of at most 40 letters that says where it comes from; names that differ late get a hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    code = f"{source}:{plain}"
    if len(code) <= 40 and plain:
        return code
    return f"{code[:31]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _story(row: _Taken, mapping: Mapping) -> bulk.Story:
    place = None
    if row.lat is not None and row.lon is not None:
        place = Place(row.lat, row.lon, "address", row.address)
    told = bulk.Told(
        at=row.opened, key=hashlib.sha256(f"{mapping.source}:{row.ref}".encode()).hexdigest(),
        channel=row.channel, lang=mapping.language, words=row.words, place=place, address=row.address,
        by=people.THE_SYSTEM,
    )  # fmt: skip
    return bulk.Story(_code(mapping.source, row.service), (told,), tuple(_moves(row)), "import")


def _moves(row: _Taken) -> Iterator[bulk.Move]:
    if row.accepted:
        yield bulk.Move("accept", row.accepted, IMPORTER)
    if row.closed:
        yield bulk.Move("close", row.closed, IMPORTER, outcome=row.outcome, words=row.closure)
    if row.reopened:
        yield bulk.Move("reopen", row.reopened, IMPORTER)
    if row.state == CANCELLED:
        yield bulk.Move("cancel", row.closed or row.opened, IMPORTER, reason="withdrawn")
    for note in row.notes:
        yield bulk.Move(
            "note", row.reopened or row.closed or row.accepted or row.opened, IMPORTER, words=note
        )
