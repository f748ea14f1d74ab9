"""In which neighborhood a point lies: the city's areas in memory, read anew when an import changed them."""

from collections.abc import Sequence
from typing import Any, Final

from shapely import STRtree
from shapely.geometry import Point as Spot
from shapely.geometry import shape
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.db.cached_read import VersionedCache
from city.db.models import Area, ChainTip
from city.geo import Point

# Kinds by which a city divides itself; of several that hold a point the first, then the oldest, counts.
KINDS: Final = ("area", "ward", "district")


class Areas:
    """The areas by which cases are counted."""

    def __init__(self, rows: Sequence[tuple[int, Any]]) -> None:
        self._ids = [id_ for id_, _ in rows]
        self._tree = STRtree([shape(geometry) for _, geometry in rows])

    def of(self, point: Point) -> int | None:
        """The id of the area that holds the point, its edge included; None where none does."""
        if not self._ids:
            return None
        found = self._tree.query(Spot(point.lon, point.lat), predicate="intersects")
        return self._ids[min(found)] if len(found) else None


def known(s: Session) -> Areas:
    """The areas as they are now; one short statement where nothing has changed."""
    return _areas.of(s)


def names(s: Session) -> dict[str, str]:
    """What the areas are called, by their ids as figures name them."""
    return {str(id_): name for id_, name in s.execute(select(Area.id, Area.name).where(Area.kind.in_(KINDS)))}


def _read(s: Session) -> Areas:
    asked = select(Area.id, Area.geometry, Area.kind).where(Area.kind.in_(KINDS))
    rows = sorted(s.execute(asked), key=lambda row: (KINDS.index(row[2]), row[0]))
    return Areas([(id_, geometry) for id_, geometry, _ in rows])


# The log's last line about the layer; and what came without one, as the demo city does.
_VERSION = select(
    select(ChainTip.hash).where(ChainTip.subject == "layer:areas").scalar_subquery(),
    select(func.max(Area.id)).scalar_subquery(),
)
_areas = VersionedCache(_VERSION, _read)
