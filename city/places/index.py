"""The city's layers in memory, on a plane in metres: streets with blocks, doors and corners, things, names.

Filled by `lookup.py`; read by whoever looks a place up. Knows no database.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import shapely
from shapely import STRtree
from shapely.geometry import LineString, shape
from shapely.geometry import Point as Spot
from shapely.geometry.base import BaseGeometry

from city.geo import METRES_A_DEGREE, Point
from city.places import streets
from city.places.address_ranges import Block, Range

BEYOND_NUMBERS: Final = 20  # a range ends at the last house of its day; a newer one comes soon after it
# A phone's fix, or a number on a long block, that may be further off than this may be streets away: one asks.
SURE_METRES: Final = 100.0
# Areas that say nothing about where a thing stands.
_UNNAMED: Final = ("boundary", "water", "rail", "collection")
_FIGURE: Final = r"(\d{1,6}[a-z]?)(?: ?- ?\d{1,6}[a-z]?)?(?: (\d/\d))?"
_NUMBERED: Final = re.compile(rf"{_FIGURE} (.+)")


@dataclass(frozen=True)
class Place:
    """A point, how it was found and what to call it. `accuracy_m` is None where nobody measured.

    `whole`: not a spot but all of a street or neighborhood, with `accuracy_m` to its farthest end.
    """

    lat: float
    lon: float
    source: str  # gps, pin, address, asset, photo
    label: str = ""
    accuracy_m: float | None = None
    asset_id: int | None = None
    whole: bool = False

    @property
    def point(self) -> Point:
        return Point(self.lat, self.lon)

    @property
    def key(self) -> str:
        """What tells it from the others that are offered with it."""
        return f"{self.lat},{self.lon}:{self.label}"

    @property
    def unsure(self) -> bool:
        """Whether it may be so far off that one asks whether it is there."""
        return self.accuracy_m is not None and self.accuracy_m > SURE_METRES

    @property
    def vague(self) -> bool:
        """Whether it is a whole street or neighborhood, in which nobody would find a pole."""
        return self.whole and self.unsure


@dataclass(frozen=True)
class Rows:
    """What the city's layers hold; coordinates are latitude and longitude."""

    streets: Sequence[tuple[str, Any, tuple[int | None, ...]]] = ()  # name, line, from and to: left, right
    addresses: Sequence[tuple[str, float, float]] = ()
    crossings: Sequence[tuple[str, float, float]] = ()
    assets: Sequence[tuple[str, str, float, float, int]] = ()  # number, address, …, id
    landmarks: Sequence[tuple[str, float, float]] = ()
    areas: Sequence[tuple[str, str, Any]] = ()  # kind, name, geometry


class Sign(NamedTuple):
    """Words that stand for one spot: a door, a corner. With metres where the spot was worked out.

    `whole` as for a Place.
    """

    label: str
    spot: Spot
    metres: float | None = None
    whole: bool = False


@dataclass(eq=False)
class Street:
    """All that bears one name."""

    label: str
    blocks: list[Block] = field(default_factory=list)
    doors: dict[str, list[Sign]] = field(default_factory=lambda: defaultdict(list))
    corners: dict["Street", list[Sign]] = field(default_factory=lambda: defaultdict(list))

    def at(self, number: str) -> list[Sign]:
        """Where a number ("12", "12a") is: its doors, or where it must be by the ranges; [] where none is."""
        figure = int(re.sub(r"\D.*", "", number))
        known = next((n for n in (number, str(figure)) if n in self.doors), None)
        if known is not None:
            return self.doors[known]
        label = f"{number.upper()} {self.label}"
        return [Sign(label, block.spot(figure), block.metres(figure)) for block in self._bearing(figure)]

    def _bearing(self, number: int) -> list[Block]:
        away = [(beyond, block) for block in self.blocks if (beyond := block.away(number)) is not None]
        least = min((beyond for beyond, _ in away), default=BEYOND_NUMBERS + 1)
        if least > BEYOND_NUMBERS:
            return []
        # Of two blocks between whose ends a number lies either is as good.
        return [block for beyond, block in away if beyond == least][: None if least == 0 else 1]

    @cached_property
    def whole(self) -> Sign | None:
        """A spot on the street near its middle, and how far off its farthest end is."""
        lines: list[BaseGeometry] = [block.line for block in self.blocks]
        ground = shapely.union_all(lines or [door.spot for doors in self.doors.values() for door in doors])
        if ground.is_empty:
            return None
        spot = Spot(shapely.shortest_line(ground, ground.centroid).coords[0])
        return Sign(self.label, spot, max(float(spot.hausdorff_distance(ground)), 1.0), whole=True)


class Atlas:
    """The whole city. Streets that are written alike are one, wherever their blocks lie."""

    def __init__(self, rows: Rows) -> None:
        lats = [row[1] for row in (*rows.addresses, *rows.crossings)] or [
            row[1][0][1] for row in rows.streets
        ]
        self._wide = METRES_A_DEGREE * math.cos(math.radians(sum(lats) / len(lats) if lats else 0.0))
        self._by_name: dict[streets.Name, Street] = {}
        self._as_written: dict[str, Street] = {}
        for name, line, ends in rows.streets:
            if name:
                on_plane = LineString([self.xy(lat, lon) for lon, lat in line])
                self._street(name).blocks.append(Block(on_plane, _range(*ends[:2]), _range(*ends[2:])))
        self.doors = list(self._opened(rows.addresses))
        for label, lat, lon in rows.crossings:
            one, both, other = label.partition(" & ")
            if not both:
                continue
            a, b, corner = self._street(one), self._street(other), Sign(label, Spot(self.xy(lat, lon)))
            a.corners[b].append(corner)
            b.corners[a].append(corner)
        self.streets = sorted(self._by_name.values(), key=lambda street: street.label)
        self.spelled = [(tuple(streets.normal(street.label).split()), street) for street in self.streets]
        self.directory = streets.Directory(self.streets)
        self.blocks = [(street, block) for street in self.streets for block in street.blocks]
        self.near_blocks = STRtree([block.line for _, block in self.blocks])
        self.near_doors = STRtree([door.spot for door, _ in self.doors])
        self.assets: dict[str, list[Place]] = defaultdict(list)  # a tree may have the number of a pole
        for number, label, lat, lon, row_id in rows.assets:
            self.assets[number].append(Place(lat, lon, "asset", label, None, row_id))
        self.numbers = sorted(self.assets)
        self.named: dict[str, list[Place]] = defaultdict(list)  # landmarks and areas
        for name, lat, lon in rows.landmarks:
            self.named[streets.normal(name)].append(Place(lat, lon, "address", name))
        for kind, name, geometry in rows.areas:
            if name and kind not in _UNNAMED:
                self.named[streets.normal(name)].append(self._area(name, shape(geometry)))
        self.names = list(self.named)
        self.spelled_names = [(tuple(name.split()), named) for name, named in self.named.items()]
        self.parks = [
            (name, shape(geometry)) for kind, name, geometry in rows.areas if name and kind == "park"
        ]
        self.city = {streets.normal(name) for kind, name, _ in rows.areas if name and kind == "boundary"}

    def xy(self, lat: float, lon: float) -> tuple[float, float]:
        """A point of the globe on the plane."""
        return lon * self._wide, lat * METRES_A_DEGREE

    def place(self, sign: Sign) -> Place:
        """What a sign stands for, on the globe again."""
        lat, lon = sign.spot.y / METRES_A_DEGREE, sign.spot.x / self._wide
        metres = sign.metres and float(round(sign.metres))
        return Place(round(lat, 7), round(lon, 7), "address", sign.label, metres, whole=sign.whole)

    def _street(self, name: str) -> Street:
        if name not in self._as_written:
            self._as_written[name] = self._by_name.setdefault(streets.parse(name), Street(name))
        return self._as_written[name]

    def _opened(self, addresses: Iterable[tuple[str, float, float]]) -> Iterator[tuple[Sign, Street | None]]:
        """Each address, in its street too; one without a number stands alone."""
        for label, lat, lon in addresses:
            door, parts = Sign(label, Spot(self.xy(lat, lon))), numbered(label)
            # As it is written, where no centerline says the street's name.
            street = self._street(" ".join(label.split()[-len(parts[1].split()) :])) if parts else None
            if parts and street:
                street.doors[parts[0]].append(door)
            yield door, street

    def _area(self, name: str, ground: BaseGeometry) -> Place:
        """Somewhere in the middle; with the radius of a circle as large."""
        inside = ground.point_on_surface()
        metres = math.sqrt(max(ground.area * self._wide * METRES_A_DEGREE, 1.0) / math.pi)
        return Place(
            round(inside.y, 7), round(inside.x, 7), "address", name, float(round(metres)), whole=True
        )


def numbered(words: str) -> tuple[str, str] | None:
    """House number and street of an address that begins so: "12½ Elm St." → "12 1/2", "elm st".

    Of "145-151" the first counts. None where there is no number, or nothing behind it.
    """
    parts = _NUMBERED.fullmatch(" ".join(streets.tokens(words)))
    return (" ".join(filter(None, parts.groups()[:2])), parts[3]) if parts else None


def _range(first: int | None, last: int | None) -> Range | None:
    """No side has the number 0, or a lesser one: so files write that there is none."""
    ends = [end for end in (first, last) if end is not None and end > 0]
    return Range(ends[0], ends[-1]) if ends else None
