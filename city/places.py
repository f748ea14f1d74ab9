"""Where things are: finding a place by its words and words for a point, through geopy.

Answers come from the city's own addresses, crossings and assets; a remote geocoder may be set instead.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from geopy.exc import GeopyError
from geopy.geocoders import Nominatim, Photon
from geopy.geocoders.base import Geocoder
from geopy.location import Location
from sqlalchemy import select
from sqlalchemy.orm import Session

from city.geo import Point, box_around, distance, inside
from city.schema import Address, Area, Asset, Crossing

NEAR_METRES = 80.0
REMOTE_SECONDS = 3
_SHORT = {
    "st": "street", "str": "street", "ave": "avenue", "av": "avenue", "rd": "road", "ln": "lane",
    "pl": "place", "sq": "square", "dr": "drive", "blvd": "boulevard", "ct": "court", "ter": "terrace",
    "n": "north", "s": "south", "e": "east", "w": "west",
}  # fmt: skip
_JOINED = re.compile(r"\s+(?:&|and|at|y|con|x|/|@)\s+")


@dataclass(frozen=True)
class Place:
    """A point, how it was found and what to call it. `accuracy_m` is None where nobody measured."""

    lat: float
    lon: float
    source: str  # gps, pin, address, asset, photo
    label: str = ""
    accuracy_m: float | None = None
    asset_id: int | None = None

    @property
    def point(self) -> Point:
        return Point(self.lat, self.lon)


class Gazetteer(Geocoder):  # type: ignore[misc]
    """geopy's interface over the city's own layers: no network, never a guess."""

    def __init__(self, s: Session) -> None:
        super().__init__()
        self._s = s

    def geocode(self, query: str, *, exactly_one: bool = True, limit: int = 5) -> Any:
        """geopy Locations for an exact address, a cross-street or an asset number."""
        found = [
            Location(
                place.label, (place.lat, place.lon), {"source": place.source, "asset_id": place.asset_id}
            )
            for place in _exact(self._s, query, limit)
        ]
        return (found[0] if found else None) if exactly_one else found

    def reverse(self, query: tuple[float, float], *, exactly_one: bool = True) -> Any:
        """The nearest address within 80 m as a geopy Location, or None."""
        found = _nearest(self._s, Point(*query))
        location = Location(found.label, (found.lat, found.lon), {"source": "address"}) if found else None
        return location if exactly_one else [location] if location else []


def find(s: Session, words: str, *, geocoder: str = "local", limit: int = 5) -> list[Place]:
    """Places that `words` name, best first; [] where the city has none. An unknown street finds nothing.

    `geocoder` is the setting GEOCODER; a remote one is asked only where the city's layers know nothing,
    and its silence or fault counts as nothing found.
    """
    local = Gazetteer(s).geocode(words, exactly_one=False, limit=limit)
    if not local and geocoder != "local" and words.strip():
        local = _remote(geocoder, words, limit)
    return [
        Place(x.latitude, x.longitude, x.raw.get("source", "address"), x.address, None, x.raw.get("asset_id"))
        for x in local
    ]


def suggest(s: Session, words: str, *, near: Point | None = None, limit: int = 6) -> list[Place]:
    """Places that somebody who has typed `words` so far may mean, likeliest first, nearer to `near` first.

    From the city's own layers only; nobody waits for another server while typing.
    """
    typed = normal(words)
    if not typed:
        return []
    begins = Address.norm.startswith(typed, autoescape=True)
    found = [Place(a.lat, a.lon, "address", a.label) for a in s.scalars(select(Address).where(begins))]
    if near is not None:
        found.sort(key=lambda place: distance(near, place.point))
    return found[:limit]


def describe(s: Session, point: Point) -> str:
    """The nearest address as words ("214 Tansy Street"); "" where none lies within 80 m."""
    found = Gazetteer(s).reverse(point)
    return str(found.address) if found else ""


def outside(s: Session, point: Point) -> bool:
    """Whether the point lies outside the city. A city without a boundary has no outside."""
    boundaries = list(s.scalars(select(Area).where(Area.kind == "boundary")))
    return bool(boundaries) and not any(inside(point, area.geometry) for area in boundaries)


def normal(words: str) -> str:
    """Lower case, no accents, one space, long forms ("st" → "street"): what addresses are compared by."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    parts = re.sub(r"[.,#]", " ", plain).split()
    return " ".join(_SHORT.get(part, part) for part in parts)


def crossing(one: str, other: str) -> str:
    """How a cross-street is kept: both normal names in order, so that either order finds it."""
    return " & ".join(sorted((normal(one), normal(other))))


def _exact(s: Session, query: str, limit: int) -> list[Place]:
    words = normal(query)
    if not words:
        return []
    found = [
        Place(a.lat, a.lon, "address", a.label)
        for a in s.scalars(select(Address).where(Address.norm == words).limit(limit))
    ]
    streets = _JOINED.split(query.strip().lower())
    if len(streets) == 2:
        found += [
            Place(x.lat, x.lon, "address", x.label)
            for x in s.scalars(select(Crossing).where(Crossing.norm == crossing(*streets)).limit(limit))
        ]
    number = re.sub(r"^(pole|poste|tree|arbol|basket|papelera)\s+", "", words).upper()
    found += [
        Place(a.lat, a.lon, "asset", a.address, None, a.id)
        for a in s.scalars(
            select(Asset).where(Asset.number == number, Asset.retired_at.is_(None)).limit(limit)
        )
    ]
    return found[:limit]


def _nearest(s: Session, point: Point) -> Place | None:
    box = box_around(point, NEAR_METRES)
    rows = s.scalars(
        select(Address).where(
            Address.lat.between(box.south, box.north), Address.lon.between(box.west, box.east)
        )
    )
    near = [(distance(point, Point(a.lat, a.lon)), a.id, a) for a in rows]
    if not near or min(near)[0] > NEAR_METRES:
        return None
    nearest = min(near)[2]
    return Place(nearest.lat, nearest.lon, "address", nearest.label)


def _remote(geocoder: str, words: str, limit: int) -> list[Location]:
    kind, _, url = geocoder.partition(":")
    scheme, _, domain = url.partition("://")
    maker = {"nominatim": Nominatim, "photon": Photon}[kind]
    service = maker(domain=domain, scheme=scheme or "https", user_agent="cityline311", timeout=REMOTE_SECONDS)
    try:
        return list(service.geocode(words, exactly_one=False, limit=limit) or [])
    except GeopyError:
        return []
