"""What stands on the ground around a point, for a close look at a map: things of the city's, and doors."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Address, Asset
from city.geo import Point, cells_around, flat_distance
from city.places import nearby_assets

MOST_METRES = 500.0  # a wide screen at the zoom from which they are drawn
MOST = 400  # of each, the nearest; more would be a grey field


@dataclass(frozen=True)
class Ground:
    """The nearest first."""

    things: list[Asset]
    doors: list[Address]


def around(s: Session, point: Point, metres: float) -> Ground:
    """Things that stand and addresses, up to so many metres away, MOST_METRES at most."""
    reach = min(metres, MOST_METRES)
    doors = s.scalars(select(Address).where(Address.cell.in_(cells_around(point, reach))))
    nearest = sorted(doors, key=lambda door: (flat_distance(point, Point(door.lat, door.lon)), door.id))
    return Ground(nearby_assets.around(s, point, reach, limit=MOST), nearest[:MOST])
