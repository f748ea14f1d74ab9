"""What stands on the ground around a point, for a close look at a map: things of the city's, and doors."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Address, Asset
from city.geo import Point, cells_around, flat_distance

MOST_METRES = 500.0  # a wide screen at the zoom from which they are drawn
MOST = 400  # of each, the nearest; more would be a grey field


_Placed = TypeVar("_Placed", Asset, Address)


@dataclass(frozen=True)
class Ground:
    """The nearest first."""

    things: list[Asset]
    doors: list[Address]


def around(s: Session, point: Point, metres: float) -> Ground:
    """Things that stand and addresses, up to so many metres away, MOST_METRES at most."""
    cells = cells_around(point, min(metres, MOST_METRES))
    things = s.scalars(select(Asset).where(Asset.cell.in_(cells), Asset.retired_at.is_(None)))
    doors = s.scalars(select(Address).where(Address.cell.in_(cells)))
    return Ground(_nearest(things, point), _nearest(doors, point))


def _nearest(found: Iterable[_Placed], point: Point) -> list[_Placed]:
    return sorted(found, key=lambda each: (flat_distance(point, Point(each.lat, each.lon)), each.id))[:MOST]
