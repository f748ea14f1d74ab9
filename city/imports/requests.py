"""Requests of another 311 system, taken over by a mapping: new ones as stories, changed ones as deltas."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from shapely.geometry import box, shape
from sqlalchemy import select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import sla
from city.config.city_file import CityFile
from city.db import bulk_insert
from city.db.models import Area, Crew, Department, Erasure, Imported, ImportRun, Service
from city.imports import deltas, georeport, history_writer, readers, request_rows
from city.imports.deltas import IMPORTER, Delta
from city.imports.mapping import Mapping
from city.imports.readers import Outcome, Row, SideFile, Source, Told, Unusable, shown
from city.imports.request_rows import Reading, Request
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake

AT_ONCE = 5_000
AFTER_ALL = 1001  # where services of others stand: behind those of the city file
MOST_SAID = 20  # lines about single cases or crews; the rest is counted


def import_file(
    s: Session,
    path: Path,
    how: Mapping,
    city: CityFile,
    *,
    at: datetime,
    secret: str,
    max_rejected: int | None = None,
    dry_run: bool = False,
    told: Told = lambda done, of: None,
) -> Outcome:
    """Takes the requests of a CSV or an Open311 list (also .gz) over as cases, all in this one transaction.

    One that is here already is brought up to date where the file tells otherwise now (`updated`), unless
    people here have touched its case (`touched`): deltas.py has the rules. `read` is the sum of `imported`,
    `rejected`, `unchanged`, `updated` and `touched`. A place that is one of the mapping's default points is
    no place. What was closed before it was opened counts as closed on the spot; what lies outside the
    boundary is kept; both are counted, and noted on the case.

    `secret` makes the links for those who consented to news. A `dry_run` writes no side file and says what
    is wrong; the caller keeps nothing of the transaction. Raises Unusable, CityFileError, or
    TooManyRejected; then nothing may be kept.
    """
    outcome = Outcome()
    groups = {group.code for group in city.groups}
    how = replace(how, other_group=how.other_group or ("other" if "other" in groups else city.groups[0].code))
    if unknown := {*how.groups.values(), how.other_group} - groups:
        fault = f"the city file has no group {sorted(unknown)[0]!r}"
        raise how.table.wrong("services", fault, f"one of {', '.join(sorted(groups))}")
    zone = how.time_zone or city.time_zone
    with _opened(path) as source:
        if source.unit == "feature":
            raise Unusable(path.name, "is a map layer. Requests must be a CSV or an Open311 list")
        how.check(source)
        side = _Aloud(path, source.unit, outcome) if dry_run else _side_file(path, source)
        rows = Reading(
            how, source, side, outcome, known=_known(s, how), crews=_crews(s, how), erased=_erased(s),
            zone=zone, now=at, max_rejected=max_rejected,
        )  # fmt: skip
        try:
            rows.read(told)
            if not outcome.read:
                raise Unusable(path.name, "is empty: it has a header but no rows")
            _put(s, how, zone, rows, at=at, secret=secret, told=told)
        finally:
            outcome.side_file = side.close()
    return outcome


def _opened(path: Path) -> AbstractContextManager[Source]:
    return nullcontext(georeport.read(path)) if georeport.is_list(path) else readers.open_source(path)


def _side_file(path: Path, source: Source) -> SideFile:
    return SideFile(path.with_name(f"{path.name}.rejected.csv"), source.unit)


class _Aloud(SideFile):
    """Says which rows would be rejected, and writes nothing. What is left alone is said anyway."""

    def __init__(self, path: Path, unit: str, outcome: Outcome) -> None:
        super().__init__(path, unit)
        self._outcome = outcome

    def write(self, row: Row, reason: str) -> None:
        if self._outcome.rejected <= MOST_SAID:
            self._outcome.said.append(f"{self.unit} {row.line}: {reason}")

    def leave(self, row: Row, reason: str) -> None:
        pass

    def close(self) -> None:
        return None


def _known(s: Session, how: Mapping) -> dict[str, str]:
    asked = select(Imported.ref, Imported.digest).where(Imported.source == how.source)
    return dict(s.execute(asked).all())


def _erased(s: Session) -> frozenset[str]:
    """The keys, hashed, of reports that were erased and are not here any more: a restore lost them."""
    return frozenset(key for key in s.scalars(select(Erasure.key).distinct()) if key)


def _put(
    s: Session, how: Mapping, zone: ZoneInfo, rows: Reading, *, at: datetime, secret: str, told: Told
) -> None:
    new, outcome = rows.new, rows.outcome
    _flag_outside(s, how, new, outcome)
    _bring_services(s, how, zone, [*new, *rows.changed])
    run = ImportRun(source=how.source, began_at=at, counts={})
    s.add(run)
    s.flush()
    for start in range(0, len(new), AT_ONCE):
        part = new[start : start + AT_ONCE]
        written = history_writer.write(s, [_story(row, how, zone, secret) for row in part], now=at)
        bulk_insert.put(
            s,
            Imported,
            [
                {"source": how.source, "ref": row.ref, "run_id": run.id, "case_id": case.case_id,
                 "digest": row.digest}
                for row, case in zip(part, written, strict=True)
            ],
        )  # fmt: skip
        told(start + len(part), len(new))
    outcome.imported, outcome.unlocated = len(new), sum(row.lat is None for row in new)
    delta = Delta(how.source, run.id, how.language, secret, at)
    _tell_changes(deltas.apply_update(s, delta, rows.changed), outcome, rows.side)
    _tell_crews((*new, *rows.changed), outcome)
    run.ended_at, run.counts = datetime.now(UTC), outcome.counts()
    facts = {"source": how.source, "run": run.id, **outcome.counts()}
    events.record(
        s, f"import:{run.id}", "import", by=accounts.THE_SYSTEM, at=at, origin="import", facts=facts
    )


def _tell_changes(brought: deltas.Applied, outcome: Outcome, side: SideFile) -> None:
    outcome.unchanged += len(brought.same)
    if brought.updated:
        outcome.more["updated"] = len(brought.updated)
    if brought.left:
        outcome.more["touched"] = len(brought.left)
        for n, (request, number) in enumerate(brought.left):
            why = "changed in the other system, but people here have edited it, so it wasn't updated."
            if request.row:
                side.leave(request.row, f"{number} {why}")
            if n < MOST_SAID:
                outcome.said.append(f"{number} ({shown(request.ref)}) {why}")
        if (more := len(brought.left) - MOST_SAID) > 0:
            outcome.said.append(f"The same goes for {more} more.")


def _crews(s: Session, how: Mapping) -> dict[str, int]:
    """The ids of crews here by the names that the other system has for them; our own names count as well."""
    ours = dict(s.execute(select(Crew.name, Crew.id)).all())
    return ours | {theirs: ours[name] for theirs, name in how.crews.items() if name in ours}


def _tell_crews(rows: Iterable[Request], outcome: Outcome) -> None:
    """Counts the open cases that come without their crew, and says whose they are."""
    unknown = Counter(row.crew for row in rows if row.crew and row.crew_id is None and row.is_open)
    if not unknown:
        return
    outcome.more["without_crew"] = unknown.total()
    outcome.said += [
        f"There's no crew {name!r} here, so {count} of its open cases were imported without one. "
        "Add the crew, or map it under [crews], and import again."
        for name, count in unknown.most_common(MOST_SAID)
    ]


def _flag_outside(s: Session, how: Mapping, rows: Sequence[Request], outcome: Outcome) -> None:
    """Notes on the cases that they lie outside the boundary, or the mapping's bounds where there is none."""
    boundaries = select(Area.geometry).where(Area.kind == "boundary")
    city = shapely.union_all([shape(geometry) for geometry in s.scalars(boundaries)])
    if city.is_empty and how.bounds:
        south, west, north, east = how.bounds
        city = box(west, south, east, north)
    located = [row for row in rows if row.lat is not None]
    if city.is_empty or not located:
        return
    shapely.prepare(city)
    lon, lat = [row.lon for row in located], [row.lat for row in located]
    inside = shapely.intersects_xy(city, lon, lat)
    if 2 * np.count_nonzero(~inside & shapely.intersects_xy(city, lat, lon)) > len(located):
        fault = "most rows are in the city only if latitude and longitude are swapped"
        raise how.table.wrong("columns.lat", fault, 'lat = "LATITUDE"')
    outcome.more["outside"] = int(np.count_nonzero(~inside))
    for row, within in zip(located, inside.tolist(), strict=True):
        if not within:
            row.notes.append("Outside the city boundary.")


def _bring_services(s: Session, how: Mapping, zone: ZoneInfo, rows: Iterable[Request]) -> None:
    """Adds the services and departments that the rows name.

    They are marked by their codes, `boston:…`, and stand in no city file: the report form offers that
    file's services only. The promise is the middle of the table's own targets, in whole days.
    """
    known = set(s.scalars(select(Service.code).where(Service.code.startswith(f"{how.source}:"))))
    departments = set(s.scalars(select(Department.code)))
    promised: dict[str, list[float]] = {}
    first: dict[str, Request] = {}
    for row in rows:
        code = row.service_code(how.source)
        first.setdefault(code, row)
        if row.promised is not None:
            promised.setdefault(code, []).append(row.promised)
    position = AFTER_ALL + len(known)
    for code, row in first.items():
        if code in known:
            continue
        department = request_rows.code(how.source, row.department or how.source)
        if department not in departments:
            departments.add(department)
            name = how.departments.get(row.department, row.department or how.source.title())
            names = {how.language: name}
            s.add(Department(code=department, names=names, time_zone=zone.key))
        days = math.ceil(median(promised[code])) if code in promised else how.promise_days
        words = {how.language: row.service}
        s.add(
            Service(
                code=code, group=row.group, names=words, chips=words, is_default=False, position=position,
                department_code=department, promise_days=min(max(days, 1), 365), questions=(),
                asset_kind=None, precision_m=how.precision_m, private=row.private, urgent=False,
            )
        )  # fmt: skip
        position += 1
    s.flush()


def _story(row: Request, how: Mapping, zone: ZoneInfo, secret: str) -> history_writer.CaseHistory:
    place = None
    if row.lat is not None and row.lon is not None:
        place = Place(row.lat, row.lon, "address", row.address)
    key, news = row.key(how.source), deltas.address_of(row) if row.is_open else ""
    told = history_writer.ReportRow(
        at=row.opened, key=key, channel=row.channel, lang=how.language, words=row.words, place=place,
        address=row.address, by=accounts.THE_SYSTEM, news=news, consented=row.consented,
        token=intake.token_for(secret, key) if news and row.consented else "",
    )  # fmt: skip
    given = sla.take_over_promise(row.due, row.opened, zone)
    if given and row.closed and row.reopened:  # the clock stood meanwhile, and their day counts that in
        given -= row.reopened - row.closed
    return history_writer.CaseHistory(
        row.service_code(how.source), (told,), tuple(_moves(row)), "import", given
    )


def _moves(row: Request) -> Iterator[history_writer.Move]:
    if row.accepted:
        yield history_writer.Move("accept", row.accepted, IMPORTER)
    if row.closed:
        yield history_writer.Move("close", row.closed, IMPORTER, outcome=row.outcome, words=row.closure)
    if row.reopened:
        yield history_writer.Move("reopen", row.reopened, IMPORTER)
    if row.cancelled:
        yield history_writer.Move("cancel", row.cancelled, IMPORTER, reason="withdrawn")
    last = row.cancelled or row.reopened or row.closed or row.accepted or row.opened
    if row.is_open and row.crew_id:
        yield history_writer.Move("assign", last, IMPORTER, crew=row.crew_id)
    for note in (*row.notes, row.staff_notes):
        if note:
            yield history_writer.Move("note", last, IMPORTER, words=note)
