"""The map of a view: clusters and points of one tile, and how many cases the map shows and hides.

Open cases by at most one of service, group, state, crew and area come from the counts by cell, which cost the
same however many there are; several of these together come from the index of open cases by place. What
needs a look at every case (words, age, tags, what has ended) is placed up to MOST_PLACED, the most pressing
first, of ended cases those that were opened last, and the rest is counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, and_, func, literal_column, select
from sqlalchemy.orm import Session

from city.board import queries as board_queries
from city.board.queries import View
from city.cases.board_index import CELL_NO_LOCATION, CELL_SHIFT, CELL_ZOOM, URGENT
from city.db.models import Case, MapCellCount, Service
from city.geo import QUAD_ZOOM, Box, quadkeys_covering
from city.lifecycle import OPEN

MOST_PLACED: Final = 5000  # of a view that needs a look at every case
MOST_POINTS: Final = 300  # of one tile that are told one by one: half of the 40 KB that it may weigh
MOST_DANGERS: Final = 100
ALL_APART: Final = 18  # from this zoom on every case is told, so that all can be reached
GRID: Final = 3  # zooms between a tile and its clusters: eight by eight
WORST_FIRST: Final = ("late", "risk", "ok", "wait", "done")


class Cluster(NamedTuple):
    """Cases that are drawn as one: where they stand on average, how many, and how many of each standing."""

    lat: float
    lon: float
    n: int
    worst: str
    standings: dict[str, int]


class Spot(NamedTuple):
    """One case: its number, place, standing, and its service's names by language."""

    number: str
    lat: float
    lon: float
    standing: str
    names: dict[str, str]


@dataclass(frozen=True)
class Tile:
    """What is drawn in one tile."""

    clusters: Sequence[Cluster] = ()
    points: Sequence[Spot] = ()

    @property
    def placed(self) -> int:
        """How many cases that is."""
        return len(self.points) + sum(cluster.n for cluster in self.clusters)


@dataclass(frozen=True)
class Extent:
    """How many cases a view has, how many of them lie nowhere, how many the map does not place, and where.

    `outside` are those that lie outside of the box that was asked for; `box` is around the others.

    An office's cases are in the total of a view of them alone, and lie nowhere without being missed.
    """

    total: int
    unlocated: int
    hidden: int = 0
    box: Box | None = None
    outside: int = 0


def tile(
    s: Session, view: View, zoom: int, x: int, y: int, *, now: datetime, within_box: Box | None = None
) -> Tile:
    """The cases of a view in a tile of the web map of 512 px; `zoom` is 0 to geo.QUAD_ZOOM.

    With `within_box` only those that lie in it. Raises ValueError for a tile that is none.
    """
    if not (0 <= zoom <= QUAD_ZOOM and 0 <= x < 1 << zoom and 0 <= y < 1 << zoom):
        raise ValueError(f"{zoom}/{x}/{y} isn't a tile")
    within = quadkeys_covering(zoom, x, y)
    if view.work:
        return Tile()
    if (counted := _counted(view)) is not None and zoom + GRID <= CELL_ZOOM:
        clusters = _from_counts(s, [*counted, *_cells_in(within_box)], within, zoom)
        if not 0 < sum(cluster.n for cluster in clusters) <= MOST_POINTS:
            return Tile(clusters)
    asked = _placed(s, view, now, within, within_box)
    most = MOST_POINTS if zoom < ALL_APART else MOST_PLACED
    points = s.execute(_points(asked).order_by(asked.c.id).limit(most + 1)).all()
    if len(points) <= most:
        return Tile(points=[Spot(*row) for row in points])
    return Tile(_grouped(s, asked, zoom))


def extent(s: Session, view: View, *, now: datetime, within_box: Box | None = None) -> Extent:
    """How many cases a view has and where they lie; one statement.

    With `within_box`, how many lie outside of it, and where those in it lie.
    """
    if view.place == "none" or view.work:
        total = board_queries.count(s, view, now=now)
        return Extent(total, 0 if view.work else total)
    counted = _counted(view)
    if counted is not None:
        return _extent_of_counts(s, counted, within_box)
    located = and_(Case.quad.is_not(None), *board_queries.readable(view))
    inside = and_(located, *_cases_in(within_box))
    edges = (func.min(Case.lat), func.min(Case.lon), func.max(Case.lat), func.max(Case.lon))
    row = s.execute(
        select(
            func.count(), func.count().filter(located), func.count(Case.quad).filter(inside),
            *(edge.filter(inside) for edge in edges),
        ).where(*board_queries.conditions(s, view, now), ~board_queries.of_offices())
    ).one()  # fmt: skip
    total, placed, drawn, *box = row
    hidden = 0 if _is_quick(view) else max(0, drawn - MOST_PLACED)
    corners = Box(*(float(edge or 0) for edge in box)) if drawn else None
    return Extent(total, total - placed, hidden, corners, placed - drawn)


def dangers(s: Session, view: View, *, now: datetime, within_box: Box | None = None) -> list[Spot]:
    """The open cases of a view in which somebody can be hurt, so that no cluster hides one; MOST_DANGERS."""
    asked = (
        select(Case.number, Case.lat, Case.lon, Case.standing, Service.names)
        .join(Service, Service.code == Case.service_code)
        .where(
            *board_queries.conditions(s, view, now, in_order=True),
            *board_queries.readable(view),
            Case.rank == URGENT,
            Case.quad.is_not(None),
            *_cases_in(within_box),
        )
        .order_by(Case.due_at, Case.id)
    )
    return [Spot(*row) for row in s.execute(asked.limit(MOST_DANGERS))]


def _cases_in(box: Box | None) -> list[Any]:
    if box is None:
        return []
    return [Case.lat.between(box.south, box.north), Case.lon.between(box.west, box.east)]


def _cells_in(box: Box | None) -> list[Any]:
    """The cells of the counts whose cases lie in the box on average."""
    if box is None:
        return []
    south, west, north, east = (round(edge * 1e6) for edge in box)
    lat, lon = MapCellCount.lat / MapCellCount.n, MapCellCount.lon / MapCellCount.n
    return [lat.between(south, north), lon.between(west, east)]


def _is_quick(view: View) -> bool:
    """Whether the indexes of open cases answer it."""
    slow = board_queries.UNCOUNTED | {"place"}
    return (not view.state or view.state in OPEN) and not slow & view.asked.keys()


def _counted(view: View) -> list[Any] | None:
    """The rows of cell_counts that a view adds up; None where it asks for more than is counted.

    Nor for whoever may not read all: the cell of a lone case tells where it is.
    """
    if view.sealed:
        return None
    facets = [(name, value) for name, value in (
        ("state", view.state), ("service", view.service), ("group", view.group), ("crew", view.crew),
        ("area", view.area),
    ) if value]  # fmt: skip
    if not _is_quick(view) or len(facets) > 1:
        return None
    name, value = facets[0] if facets else ("all", "")
    facet = "service" if name == "group" else name
    met = [MapCellCount.facet == facet, MapCellCount.n > 0, MapCellCount.quad >= CELL_NO_LOCATION]
    if name == "group":
        met.append(MapCellCount.value.in_(select(Service.code).where(Service.group == value)))
    else:
        met.append(MapCellCount.value == value)
    if view.standing:
        met.append(MapCellCount.standing == view.standing)
    return met


@dataclass
class _Sum:
    n: int = 0
    lat: float = 0.0
    lon: float = 0.0
    standings: dict[str, int] = field(default_factory=dict)


def _clusters(rows: Iterable[tuple[int, str, int, float, float]]) -> list[Cluster]:
    """Rows of cell, standing, how many, and sums of degrees, as clusters."""
    cells: dict[int, _Sum] = defaultdict(_Sum)
    for cell, standing, n, lat, lon in rows:
        sum_ = cells[cell]
        sum_.n, sum_.lat, sum_.lon = sum_.n + n, sum_.lat + lat, sum_.lon + lon
        sum_.standings[standing] = n
    return [
        Cluster(
            round(sum_.lat / sum_.n, 6), round(sum_.lon / sum_.n, 6), sum_.n,
            next(name for name in WORST_FIRST if name in sum_.standings), sum_.standings,
        )
        for _cell, sum_ in sorted(cells.items())
    ]  # fmt: skip


def _from_counts(s: Session, counted: list[Any], within: range, zoom: int) -> list[Cluster]:
    cell = _coarser(MapCellCount.quad, CELL_ZOOM - zoom - GRID)
    rows = s.execute(
        select(
            cell,
            MapCellCount.standing,
            func.sum(MapCellCount.n),
            func.sum(MapCellCount.lat),
            func.sum(MapCellCount.lon),
        )
        .where(
            *counted,
            MapCellCount.quad >= within.start >> CELL_SHIFT,
            MapCellCount.quad < within.stop >> CELL_SHIFT,
        )
        .group_by(cell, MapCellCount.standing)
    )
    return _clusters((row[0], row[1], int(row[2]), int(row[3]) / 1e6, int(row[4]) / 1e6) for row in rows)


def _placed(s: Session, view: View, now: datetime, within: range, box: Box | None) -> Any:
    """The view's cases in a tile, of those that are placed at all."""
    columns = (Case.id, Case.number, Case.lat, Case.lon, Case.quad, Case.standing, Case.service_code)
    asked = select(*columns).where(
        *board_queries.conditions(s, view, now), *board_queries.readable(view), *_cases_in(box)
    )
    here = (Case.quad >= within.start, Case.quad < within.stop)
    if _is_quick(view):
        return asked.where(*here).subquery()
    order = (Case.rank, Case.due_at, Case.id) if view.live else (Case.id.desc(),)  # each has its index
    first = asked.where(Case.quad.is_not(None)).order_by(*order).limit(MOST_PLACED).subquery()
    return select(first).where(first.c.quad >= within.start, first.c.quad < within.stop).subquery()


def _points(asked: Any) -> Select[Any]:
    columns = asked.c.number, asked.c.lat, asked.c.lon, asked.c.standing, Service.names
    return select(*columns).join(Service, Service.code == asked.c.service_code)


def _grouped(s: Session, asked: Any, zoom: int) -> list[Cluster]:
    cell = _coarser(asked.c.quad, max(0, QUAD_ZOOM - zoom - GRID))
    rows = s.execute(
        select(cell, asked.c.standing, func.count(), func.sum(asked.c.lat), func.sum(asked.c.lon)).group_by(
            cell, asked.c.standing
        )
    )
    return _clusters((row[0], row[1], row[2], row[3], row[4]) for row in rows)


def _coarser(quad: Any, zooms: int) -> Any:
    """The tile so many zooms further out; PostgreSQL groups by it only where the number is no parameter."""
    return quad.op(">>")(literal_column(str(2 * zooms)))


def _extent_of_counts(s: Session, counted: list[Any], box_asked: Box | None) -> Extent:
    somewhere = MapCellCount.quad != CELL_NO_LOCATION
    inside = and_(somewhere, *_cells_in(box_asked))
    lat, lon = MapCellCount.lat / MapCellCount.n, MapCellCount.lon / MapCellCount.n
    row = s.execute(
        select(
            func.sum(MapCellCount.n), func.sum(MapCellCount.n).filter(somewhere),
            func.sum(MapCellCount.n).filter(inside),
            *(least(each).filter(inside) for least in (func.min, func.max) for each in (lat, lon)),
        ).where(*counted)
    ).one()  # fmt: skip
    total, located, drawn, *box = (None if value is None else float(value) for value in row)
    if not total:
        return Extent(0, 0)
    corners = Box(*(value / 1e6 for value in box if value is not None)) if drawn else None
    outside = int((located or 0) - (drawn or 0))
    return Extent(int(total), int(total - (located or 0)), 0, corners, outside)
