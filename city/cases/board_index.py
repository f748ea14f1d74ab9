"""What is kept of a case for the board: how it stands, its rank, crew, area and cell, and the counts by cell.

An aggregate over all open cases costs more the more there are; counts by cell cost the same for a hundred
and a hundred thousand. All is derived from facts in this file alone: as a transaction ends, for every case
that was locked, opened or written in bulk during it; and anew for all cases by recompute().
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import Table, bindparam, delete, inspect, select, text, update
from sqlalchemy.orm import Session

from city.audit import counters, events
from city.cases import sla
from city.db import bulk_insert
from city.db import engine as db
from city.db.models import Assignment, Case, MapCellCount, Pause, Service
from city.geo import QUAD_ZOOM, Point, quad
from city.lifecycle import OPEN, WAITING
from city.places import areas
from city.places.areas import Areas

URGENT, RAISED, NORMAL, WAITS, ENDED = RANKS = range(5)  # the queue's order: before any date
CELL_ZOOM: Final = 16  # a cell is some 450 m wide
CELL_SHIFT: Final = 2 * (QUAD_ZOOM - CELL_ZOOM)
CELL_NO_LOCATION: Final = -1  # the cell of those of which nobody knows where they are
CELL_ALL: Final = -2  # and of all together, for lists that want no map
CELL_DESK_WORK: Final = -3  # the cell of an office's cases, which no map leaves out, since they lie nowhere
AT_ONCE = 5000

# What the counts hold of a case: state, standing, service, crew, area, cell, and millionths of degrees.
Counted = list[Any]
Pair = tuple[Counted | None, Counted | None]  # as what it was counted, and is from now on
Sums = dict[tuple[str, str, int, str], list[int]]


def mark_dirty(s: Session, case: Case) -> None:
    """Notes that this transaction may change the case: what is kept of it is derived as it ends."""
    _unsettled(s).append(case)


def changed(s: Session, was: Counted | None, now: Counted | None) -> None:
    """Notes that a case which the session does not know was counted as `was` and is from now on as `now`."""
    if was != now:
        _unsettled(s).append((was, now))


def flush_index(s: Session) -> None:
    """Derives what is kept of every case that was watched; the counts are written as the very last thing.

    Their rows are shared by all who work in a cell, so they are written behind the clock's lock, which lets
    one transaction after the other pass anyway: nobody waits twice, and nobody deadlocks. What the counts
    hold of a case stands in the case itself, so going back to a savepoint takes back both.
    """
    pairs: list[Pair] = []
    done: set[Case] = set()
    noted = s.info.pop("to_settle", ())
    moved = any(isinstance(each, Case) and _is_unplaced(each) for each in noted)
    ground = areas.known(s) if moved else None
    for each in noted:
        if isinstance(each, tuple):
            pairs.append(each)
        elif each not in done and inspect(each).persistent:
            done.add(each)
            was = each.counted
            held = next((job.crew_id for job in each.assignments if job.ended_at is None), None)
            area_id = _area(ground, each) if ground and _is_unplaced(each) else each.area_id
            recompute_case(each, held, area_id)
            pairs.append((was, each.counted))
    if rows := _differences(pairs):
        events.count(s)  # the clock goes on: the maps and lists that others look at are out of date
        bulk_insert.put_last(s, MapCellCount, rows, sums=True)


def recompute_case(case: Case, crew_id: int | None, area_id: int | None) -> None:
    """Sets all that is kept of the case but `standing`, which cases/sla.py sets when it looks at the time.

    `crew_id` holds it now, and `area_id` is where it lies. Whoever gives it another place unsets `quad`.
    """
    office = case.service.office
    for name, value in _derived(case, crew_id, area_id, case.standing, office=office).items():
        if getattr(case, name) != value:
            setattr(case, name, value)


def fill(s: Session, cases: Iterable[Any], crews: Iterable[int | None]) -> None:
    """The same for many rows that will be added past the session, each with the crew that holds it."""
    ground = areas.known(s)
    for case, crew_id in zip(cases, crews, strict=True):
        recompute_case(case, crew_id, _area(ground, case))
        changed(s, None, case.counted)


# A case that lies nowhere, is nobody's and counts for nothing any more, as columns.
GONE: Final[dict[str, Any]] = {
    "standing": "done", "rank": ENDED, "crew_id": None, "area_id": None, "quad": None, "counted": None,
}  # fmt: skip


def area_of(s: Session, case: Case) -> int | None:
    """The id of the area in which the case lies; None where nobody knows it."""
    return _area(areas.known(s), case) if _is_unplaced(case) else case.area_id


def measured(case: Case, area_id: int | None) -> dict[str, Any]:
    """What a line about the case says so that figures can be added up from the log alone.

    `area` is missing where nobody knows it, and of a private service: no figure may tell where that was.
    `work` stands only where it is "office", which no photo can prove.
    """
    opened, due = (at.astimezone(UTC).isoformat() for at in (case.opened_at, case.due_at))
    told: dict[str, Any] = {"service": case.service.code, "opened": opened, "due": due}
    if case.service.office:
        told["work"] = "office"
    return told if area_id is None or case.service.private else told | {"area": area_id}


def recompute(s: Session, *, at: datetime | None = None) -> int:
    """Derives what is kept of every case, and all counts, from facts; returns how many cases were wrong.

    With `at` also how the promises stand then. Whoever wants to change a case meanwhile waits.
    """
    s.flush()
    s.info.pop("to_settle", None)
    if s.get_bind().dialect.name == "postgresql":
        s.execute(text("LOCK TABLE cases IN EXCLUSIVE MODE"))
    ground, wrong = areas.known(s), 0
    sums: Sums = defaultdict(lambda: [0, 0, 0])
    for rows in _all(s):
        mended = []
        for row in rows:
            standing = sla.standing_of_row(row, at, row.stopped_at) if at else row.standing
            now: dict[str, Any] = {"standing": standing} | _derived(
                row, row.held, _area(ground, row), standing, office=row.office
            )
            _add(sums, now["counted"], 1)
            if any(getattr(row, name) != value for name, value in now.items()):
                mended.append({"case": row.id} | {f"new_{name}": value for name, value in now.items()})
        if mended:
            s.connection().execute(_MEND, mended)
        wrong += len(mended)
    counts = [_row(key, sum_) for key, sum_ in sorted(sums.items())]

    def anew(s: Session) -> None:
        s.execute(delete(MapCellCount))
        bulk_insert.put(s, MapCellCount, counts)

    events.count(s)
    db.before_commit(s, anew)
    s.expire_all()
    return wrong


def recount(s: Session) -> None:
    """Counts anew, from the log, what the figures are added up from: this transaction's lines too."""
    events.count(s)
    db.after_events(s, counters.rebuild)


def differences(s: Session) -> list[str]:
    """Where the counts differ from those that the cases' own columns give, in plain words; [] is right."""
    sums: Sums = defaultdict(lambda: [0, 0, 0])
    found, ground = [], areas.known(s)
    for rows in _all(s):
        for row in rows:
            now = _derived(row, row.held, _area(ground, row), row.standing, office=row.office)
            _add(sums, now["counted"], 1)
            found += [
                f"case {row.id}: {name} is {getattr(row, name)}, not {value}"
                for name, value in now.items()
                if getattr(row, name) != value
            ]
    counted = {
        (row.facet, row.value, row.quad, row.standing): [row.n, row.lat, row.lon]
        for row in s.execute(select(MapCellCount.__table__))
        if [row.n, row.lat, row.lon] != [0, 0, 0]
    }
    keys = sorted({*sums, *counted})
    found += counters.differences(s)
    return found + [
        f"{key}: is {counted.get(key)}, not {sums.get(key)}"
        for key in keys
        if counted.get(key) != sums.get(key)
    ]


def _derived(
    row: Any, crew_id: int | None, area_id: int | None, standing: str, *, office: bool
) -> dict[str, Any]:
    """Columns by name; `row` has the facts of a case."""
    values: dict[str, Any] = {
        "rank": _rank(row), "crew_id": crew_id, "area_id": area_id, "quad": None, "counted": None,
    }  # fmt: skip
    cell, lat, lon = CELL_DESK_WORK if office else CELL_NO_LOCATION, 0, 0
    if row.lat is not None and row.lon is not None:
        values["quad"] = quad(Point(row.lat, row.lon))
        cell, lat, lon = values["quad"] >> CELL_SHIFT, _millionths(row.lat), _millionths(row.lon)
    if row.state in OPEN:
        values["counted"] = [row.state, standing, row.service_code, crew_id, area_id, cell, lat, lon]
    return values


def _rank(row: Any) -> int:
    if row.state not in OPEN:
        return ENDED
    if row.urgent:  # also while it waits: nobody may lose sight of danger
        return URGENT
    if row.state == WAITING:
        return WAITS
    return RAISED if row.raised else NORMAL


def _is_unplaced(case: Case) -> bool:
    """Whether it has a place that nothing was derived from so far."""
    return case.quad is None and case.lat is not None


def _area(ground: Areas, row: Any) -> int | None:
    return None if row.lat is None or row.lon is None else ground.of(Point(row.lat, row.lon))


def _millionths(degrees: float) -> int:
    return round(degrees * 1_000_000)


def _unsettled(s: Session) -> list[Any]:
    s.info["settle"] = flush_index
    unsettled: list[Any] = s.info.setdefault("to_settle", [])
    return unsettled


def _differences(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """What is to be added to the counts, sorted."""
    sums: Sums = defaultdict(lambda: [0, 0, 0])
    for was, now in pairs:
        if was != now:
            _add(sums, was, -1)
            _add(sums, now, 1)
    return [_row(key, sum_) for key, sum_ in sorted(sums.items()) if sum_ != [0, 0, 0]]


def _add(sums: Sums, counted: Counted | None, times: int) -> None:
    """Adds a case, or takes it away, wherever it is counted."""
    if counted is None:
        return
    state, standing, service, crew_id, area_id, cell, lat, lon = counted
    where = [("all", ""), ("state", state), ("service", service)]
    if cell != CELL_DESK_WORK:  # an office's waits for no crew
        where.append(("crew", str(crew_id or "none")))
    if area_id is not None:
        where.append(("area", str(area_id)))
    for facet, value in where:
        for place in (cell, CELL_ALL):
            sum_ = sums[facet, value, place, standing]
            sum_[0] += times
            sum_[1] += times * lat
            sum_[2] += times * lon


def _row(key: tuple[str, str, int, str], sum_: Sequence[int]) -> dict[str, Any]:
    return dict(zip(("facet", "value", "quad", "standing", "n", "lat", "lon"), (*key, *sum_), strict=True))


_HELD = (
    select(Assignment.crew_id)
    .where(Assignment.case_id == Case.id, Assignment.ended_at.is_(None))
    .scalar_subquery()
    .label("held")
)
_STOPPED_AT = (
    select(Pause.began_at)
    .where(Pause.case_id == Case.id, Pause.ended_at.is_(None), Pause.stops_clock)
    .scalar_subquery()
    .label("stopped_at")
)
_FACTS = select(
    Case.id, Case.state, Case.service_code, Case.lat, Case.lon, Case.urgent, Case.raised, Case.due_at,
    Case.risk_at, Case.standing, Case.rank, Case.crew_id, Case.area_id, Case.quad, Case.counted, _HELD,
    Service.office, _STOPPED_AT,
).join(Service, Service.code == Case.service_code)  # fmt: skip
_CASES = cast(Table, Case.__table__)
_MEND = (
    update(_CASES)
    .where(_CASES.c.id == bindparam("case"))
    .values({name: bindparam(f"new_{name}", type_=_CASES.c[name].type) for name in GONE})
)


def _all(s: Session) -> Iterator[Sequence[Any]]:
    """The facts of all cases and what is kept of them, some thousand at a time."""
    last = 0
    while rows := s.execute(_FACTS.where(Case.id > last).order_by(Case.id).limit(AT_ONCE)).all():
        yield rows
        last = rows[-1].id
