"""Which poles, trees and baskets stand near a point, and which one a phone's fix means.

What is painted on a thing is its number. The registers themselves are in assets.py; what they retired is
nowhere here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Asset
from city.geo import Point, cells_around, distance
from city.places.lookup import Place

REACH_METRES = 150.0  # further off nobody takes a thing for the one they stand at
# A fix worse than this chooses nothing by itself: on a street the next pole stands 25 to 50 m away.
SNAP_METRES = 30.0
# Nobody stands in the thing that they report: so much further than the phone may be wrong it is still meant.
BESIDE_METRES = 10.0
# A number is taken for a thing so far from where somebody says they are, and for none across town.
NAMED_METRES = 250.0


@dataclass(frozen=True)
class Near:
    """A thing of the city's and how far it is from the point that was asked about, in metres."""

    asset: Asset
    metres: float


def nearest(s: Session, kind: str, point: Point) -> list[Near]:
    """All of this kind within 150 m, the nearest first."""
    cells = cells_around(point, REACH_METRES)
    rows = s.scalars(
        select(Asset).where(Asset.kind == kind, Asset.cell.in_(cells), Asset.retired_at.is_(None))
    )
    found = [Near(asset, distance(point, Point(asset.lat, asset.lon))) for asset in rows]
    return sorted((n for n in found if n.metres <= REACH_METRES), key=lambda n: (n.metres, n.asset.number))


def around(s: Session, point: Point, metres: float, *, limit: int) -> list[Asset]:
    """Things of every kind at most about so far away, the nearest first."""
    cells = cells_around(point, metres)
    found = s.scalars(select(Asset).where(Asset.cell.in_(cells), Asset.retired_at.is_(None)))
    return sorted(found, key=lambda each: (distance(point, Point(each.lat, each.lon)), each.number))[:limit]


def named(s: Session, number: str, kind: str | None, near: Point | None = None) -> Asset | None:
    """The thing with this number on it, in capitals or as written; of `kind`, or of any where that is None.

    Trees have the numbers of poles, and a utility's poles those of the city's. So it is the nearest to
    `near`, at most 250 m away; without `near` it is the only one. Otherwise None: no number is guessed.
    """
    numbers = {number, number.upper()}
    asked = select(Asset).where(Asset.number.in_(numbers), Asset.retired_at.is_(None))
    rows = s.scalars(asked if kind is None else asked.where(Asset.kind == kind)).all()
    if near is None:
        return rows[0] if len(rows) == 1 else None
    found = (Near(asset, distance(near, Point(asset.lat, asset.lon))) for asset in rows)
    best = min(found, key=lambda n: (n.metres, n.asset.id), default=None)
    return best.asset if best and best.metres <= NAMED_METRES else None


def kinds(s: Session) -> list[str]:
    """The kinds of which the register has any."""
    return list(
        s.scalars(select(Asset.kind).where(Asset.retired_at.is_(None)).distinct().order_by(Asset.kind))
    )


def on_street(s: Session, kind: str, words: str, *, limit: int | None = None) -> list[Asset]:
    """Those of a kind whose address or number has the words, by number; all where there are none.

    `limit` of them at most.
    """
    asked = select(Asset).where(Asset.kind == kind, Asset.retired_at.is_(None))
    if words:
        fits = Asset.address.icontains(words, autoescape=True)
        asked = asked.where(fits | Asset.number.istartswith(words, autoescape=True))
    return list(s.scalars(asked.order_by(Asset.number, Asset.id).limit(limit)))


def by_ids(s: Session, ids: Collection[int]) -> dict[int, Asset]:
    """The things with these ids."""
    return {asset.id: asset for asset in s.scalars(select(Asset).where(Asset.id.in_(ids)))} if ids else {}


def asset_at_fix(near: Sequence[Near], accuracy_m: float | None) -> Near | None:
    """The one thing that a fix means; None where it may be another or none, or the fix is worse than 30 m.

    `near` is what nearest() found around the fix. Plain is the first only where it is at most 10 m further
    off than the phone may be wrong, and no other can be nearer to where the phone really is, anywhere within
    `accuracy_m` of the fix.
    """
    if not near or accuracy_m is None or accuracy_m > SNAP_METRES:
        return None
    if near[0].metres > accuracy_m + BESIDE_METRES:
        return None
    rivals = near[1].metres if len(near) > 1 else REACH_METRES
    return near[0] if near[0].metres + accuracy_m < rivals - accuracy_m else None


def place_of(asset: Asset) -> Place:
    """Where a thing stands, as the register has it."""
    return Place(asset.lat, asset.lon, "asset", asset.address, None, asset.id)
