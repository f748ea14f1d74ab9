"""Which cases of a view lie within a shape: for acting on many, wherever and however they are drawn."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import shapely
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.board import queries as board_queries
from city.board.queries import View
from city.cases import queries
from city.cases.batches import MOST
from city.cases.board_index import ENDED
from city.cases.locks import AT_ONCE
from city.db.models import Case
from city.geo import Box, Point, box_around, flat_distance
from city.lifecycle import Refused

MOST_METRES: Final = 5_000.0
NEAR_METRES: Final = 200  # of what lies near a case, where a page asks for no other distance
MOST_CORNERS: Final = 500  # a hand draws no more that mean anything


def within(s: Session, view: View, box: Box, *, now: datetime) -> tuple[list[str], int]:
    """Numbers of the view's open cases in the box, the most pressing first, MOST at most; and how many."""
    return _counted(s, [*_open(s, view, now), *_lies(box)])


def inside(s: Session, view: View, corners: Sequence[Point], *, now: datetime) -> tuple[list[str], int]:
    """The same for a shape drawn by hand, which may cross itself. Raises Refused `bad_shape`."""
    shape = _shape(corners)
    west, south, east, north = shape.bounds
    rows = _rows(s, view, now, Box(south, west, north, east))
    lies = shapely.contains_xy(shape, [row.lon for row in rows], [row.lat for row in rows])
    numbers = [row.number for row, inside in zip(rows, lies, strict=True) if inside]
    return numbers[:MOST], len(numbers)


def near(s: Session, view: View, number: str, metres: float, *, now: datetime) -> tuple[list[str], int]:
    """The same around a case, itself included. Raises Refused `unknown_number`, `no_place` or `bad_shape`."""
    if not 0 < metres <= MOST_METRES:
        raise Refused("bad_shape")
    place = _place(_case(s, number))
    rows = _rows(s, view, now, box_around(place, metres))
    numbers = [row.number for row in rows if flat_distance(place, Point(row.lat, row.lon)) <= metres]
    return numbers[:MOST], len(numbers)


def same_area(s: Session, view: View, number: str, *, now: datetime) -> tuple[list[str], int]:
    """The same in the neighborhood in which a case lies. Raises Refused `unknown_number` or `no_area`."""
    case = _case(s, number)
    if case.area_id is None:
        raise Refused("no_area")
    return _counted(s, [*_open(s, view, now), Case.area_id == case.area_id])


def all_of_view(s: Session, view: View, *, now: datetime) -> tuple[list[str], int]:
    """The same for all of the view, those too of which nobody knows where they are."""
    return _counted(s, _open(s, view, now))


def services(s: Session, numbers: Sequence[str]) -> Counter[str]:
    """How many cases these numbers name, by the code of their service."""
    found = Counter[str]()
    for start in range(0, len(numbers), AT_ONCE):
        some = Case.number.in_(numbers[start : start + AT_ONCE])
        by_service = select(Case.service_code, func.count()).where(some).group_by(Case.service_code)
        for code, count in s.execute(by_service):
            found[code] += count
    return found


def oldest(s: Session, numbers: Sequence[str]) -> str:
    """The number of the oldest that is not merged, into which the others would go; "" where there is none."""
    asked = select(Case.number).where(Case.number.in_(numbers), Case.merged_into_id.is_(None))
    return s.scalar(asked.order_by(Case.opened_at, Case.id).limit(1)) or ""


def apart(s: Session, numbers: Sequence[str]) -> float:
    """How many metres across the ground is on which these cases lie; 0 where at most one has a place."""
    edges: tuple[Any, ...] = (
        func.min(Case.lat), func.min(Case.lon), func.max(Case.lat), func.max(Case.lon)
    )  # fmt: skip
    south, west, north, east = s.execute(select(*edges).where(Case.number.in_(numbers))).one()
    return 0.0 if south is None else flat_distance(Point(south, west), Point(north, east))


def _case(s: Session, number: str) -> Case:
    case = queries.by_number(s, number)
    if case is None:
        raise Refused("unknown_number")
    return case


def _place(case: Case) -> Point:
    if case.lat is None or case.lon is None:
        raise Refused("no_place")
    return Point(case.lat, case.lon)


def _open(s: Session, view: View, now: datetime) -> list[Any]:
    return [*board_queries.conditions(s, view, now), Case.rank < ENDED]


def _counted(s: Session, met: list[Any]) -> tuple[list[str], int]:
    total = s.scalar(select(func.count()).select_from(Case).where(*met)) or 0
    asked = select(Case.number).where(*met).order_by(Case.rank, Case.due_at, Case.id).limit(MOST)
    return list(s.scalars(asked)), total


def _rows(s: Session, view: View, now: datetime, box: Box) -> Sequence[Any]:
    asked = select(Case.number, Case.lat, Case.lon).where(*_open(s, view, now), *_lies(box))
    return s.execute(asked.order_by(Case.rank, Case.due_at, Case.id)).all()


def _lies(box: Box) -> tuple[Any, Any]:
    return Case.lat.between(box.south, box.north), Case.lon.between(box.west, box.east)


def _shape(corners: Sequence[Point]) -> Any:
    """The area that the line encloses, crossings and all."""
    on_earth = all(
        math.isfinite(c.lat) and math.isfinite(c.lon) and abs(c.lat) <= 90 and abs(c.lon) <= 180
        for c in corners
    )
    if not 3 <= len(corners) <= MOST_CORNERS or not on_earth:
        raise Refused("bad_shape")
    shape = shapely.make_valid(shapely.Polygon([(c.lon, c.lat) for c in corners]))
    if shape.area == 0:
        raise Refused("bad_shape")
    return shape
