"""Which kinds of problem were reported most of late: in the city, and near a spot."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.db.cached_read import VersionedCache
from city.db.models import Case
from city.geo import Point, cells_around
from city.lifecycle import UNDONE

RECENT = 5_000  # cases by which it is known what a city reports,
ANEW_AFTER = 500  # and how many more there are until they are counted anew
NEAR_METRES = 400.0
NEAR_DAYS = 365
FEWEST = 3  # cases of a kind near a spot: fewer say more of a neighbor than of the spot


def in_city(s: Session) -> list[str]:
    """The codes of the kinds that the city's newest cases are of, the most reported first."""
    return _COUNTED.of(s)


def near(s: Session, point: Point, *, at: datetime, among: list[str]) -> list[str]:
    """The same of the cases of a year around a spot, for these kinds only."""
    count = func.count()
    there = select(Case.service_code).where(
        Case.cell.in_(cells_around(point, NEAR_METRES)), Case.opened_at >= at - timedelta(days=NEAR_DAYS),
        Case.state != UNDONE, Case.service_code.in_(among),
    )  # fmt: skip
    counted = there.group_by(Case.service_code).having(count >= FEWEST)
    return list(s.scalars(counted.order_by(count.desc(), Case.service_code)))


def _read(s: Session) -> list[str]:
    since = select(func.max(Case.id) - RECENT).scalar_subquery()
    counted = select(Case.service_code).where(Case.id > since, Case.state != UNDONE)
    counted = counted.group_by(Case.service_code).order_by(func.count().desc(), Case.service_code)
    return list(s.scalars(counted))


_VERSION: Any = select(func.coalesce(func.max(Case.id), 0) // ANEW_AFTER)
_COUNTED: VersionedCache[list[str]] = VersionedCache(_VERSION, _read)
