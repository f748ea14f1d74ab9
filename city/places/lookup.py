"""Where things are: a place by its words, words for a point, and what somebody who is typing may mean.

Answers come from the city's own layers, which are held in memory; a remote geocoder may be set besides.
"""

from bisect import bisect_left
from typing import Any

from shapely.geometry import shape
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.db.cached_read import VersionedCache
from city.db.models import Address, Area, Asset, ChainTip, Intersection, Landmark, Street
from city.geo import Box, Point, inside
from city.places import autocomplete, remote_geocoders, reverse_geocoder, streets
from city.places.geocoder import MOST_LETTERS, Gazetteer
from city.places.index import SURE_METRES, Atlas, Place, Rows
from city.places.reverse_geocoder import Whereabouts
from city.places.streets import normal

# All that others need to know of places comes from here, also what stands a floor below.
__all__ = ["MOST_LETTERS", "SURE_METRES", "Gazetteer", "Place", "Whereabouts", "around", "describe",
           "find", "gazetteer", "normal", "numbers_like", "outside", "suggest"]  # fmt: skip

LAYERS = ("streets", "addresses", "assets", "landmarks", "areas", "boundary")


def find(s: Session, words: str, *, geocoder: str = "local", limit: int = 5) -> list[Place]:
    """Places that `words` name, best first; [] where nobody knows one. An unknown street finds nothing.

    `geocoder` is the setting GEOCODER; a remote one is asked where the city's layers know nothing for sure,
    and they are all the answer there is where it gives none. Whole streets and areas are `vague`.
    """
    answer = gazetteer(s).find(words)
    if not words.strip() or geocoder == "local" or (answer.places and answer.sure):
        return answer.places[:limit]
    try:
        found = remote_geocoders.ask(geocoder, words, _box(s), limit)
    except remote_geocoders.NoAnswer:
        return answer.places[:limit]
    # It knows the whole world: what it found in another city is not meant.
    here = [Place(lat, lon, "address", label) for label, lat, lon in found if not outside(s, Point(lat, lon))]
    return here or answer.places[:limit]


def suggest(s: Session, words: str, *, near: Point | None = None, limit: int = 6) -> list[Place]:
    """Places that somebody who has typed `words` so far may mean, likeliest first, nearer to `near` first.

    From the city's own layers only; nobody waits for another server while typing. A whole street, to go on
    from, is `vague`.
    """
    return autocomplete.suggest(gazetteer(s), words, near=near, limit=limit)


def numbers_like(s: Session, number: str, *, limit: int = 6) -> list[str]:
    """Numbers of things in use that somebody may have meant: with fewest slips, then those that begin so."""
    written, known = number.strip().upper()[:MOST_LETTERS], gazetteer(s).atlas.numbers
    near = [known[n] for _slips, n in sorted((slips, n) for n, slips in streets.alike(written, known))]
    first = bisect_left(known, written) if written else len(known)
    longer = [each for each in known[first : first + limit] if each.startswith(written)]
    return list(dict.fromkeys([*near, *longer]))[:limit]


def around(s: Session, point: Point) -> Whereabouts | None:
    """What the point is at, or what it is near within 80 m; None where that is nothing."""
    return reverse_geocoder.describe_point(gazetteer(s).atlas, point)


def describe(s: Session, point: Point) -> str:
    """The same in words: "12 Elm St", "near 12 Elm St", "Elm St at Oak St", "about 40 m from …"; or ""."""
    near = around(s, point)
    return near.words if near else ""


def outside(s: Session, point: Point) -> bool:
    """Whether the point lies outside the city. A city without a boundary has no outside."""
    boundaries = list(s.scalars(select(Area).where(Area.kind == "boundary")))
    return bool(boundaries) and not any(inside(point, area.geometry) for area in boundaries)


def gazetteer(s: Session) -> Gazetteer:
    """The city's own places, read anew whenever an import changed a layer."""
    return _gazetteer.of(s)


def _rows(s: Session) -> Rows:
    street = select(
        Street.name, Street.line, Street.left_from, Street.left_to, Street.right_from, Street.right_to
    )
    return Rows(
        streets=[(name, line, tuple(ends)) for name, line, *ends in s.execute(street.order_by(Street.id))],
        addresses=_all(s, Address.label, Address.lat, Address.lon),
        crossings=_all(s, Intersection.label, Intersection.lat, Intersection.lon),
        assets=_all(s, Asset.number, Asset.address, Asset.lat, Asset.lon, Asset.id, but=Asset.retired_at),
        landmarks=_all(s, Landmark.name, Landmark.lat, Landmark.lon),
        areas=_all(s, Area.kind, Area.name, Area.geometry),
    )


def _all(s: Session, *columns: Any, but: Any = None) -> list[Any]:
    """Rows in their table's order, but for those that have the column `but`."""
    asked = select(*columns).order_by(columns[0].class_.id)
    return [tuple(row) for row in s.execute(asked if but is None else asked.where(but.is_(None)))]


def _box(s: Session) -> Box | None:
    found = [
        shape(ground).bounds for ground in s.scalars(select(Area.geometry).where(Area.kind == "boundary"))
    ]
    if not found:
        return None
    west, south, east, north = zip(*found, strict=True)
    return Box(min(south), min(west), max(north), max(east))


# The last line of the log about each layer; and what came without one, as the demo city does.
_VERSION = select(
    *(
        select(ChainTip.hash).where(ChainTip.subject == f"layer:{kind}").scalar_subquery().label(kind)
        for kind in LAYERS
    ),
    *(
        select(func.max(table.id)).scalar_subquery().label(f"last_{table.__tablename__}")
        for table in (Street, Address, Intersection, Asset, Landmark, Area)
    ),
)
_gazetteer = VersionedCache(_VERSION, lambda s: Gazetteer(Atlas(_rows(s))))
