"""Words for a point: what it is at, or near, and how far from it."""

import re
from typing import NamedTuple

from shapely.geometry import Point as Spot

from city.geo import Point
from city.places.address_ranges import Block
from city.places.index import Atlas, Street, numbered
from city.places.streets import parse

NEAR_METRES = 80.0  # beyond it an address says nothing about a point
AT_METRES, BESIDE_METRES = 10.0, 30.0  # up to here it is at the door; up to here it is near it
CORNER_METRES = 20.0


class Whereabouts(NamedTuple):
    """An address, a street, or the corner of the streets `name` and `other`; `metres` away.

    `exact` where the point is there; a number that was worked out is never exact.
    """

    name: str
    other: str = ""
    metres: float = 0.0
    exact: bool = True

    @property
    def words(self) -> str:
        """As "12 Elm St", "near 12 Elm St", "about 40 m from 12 Elm St" or "Elm St at Oak St"."""
        name = f"{self.name} at {self.other}" if self.other else self.name
        if self.metres > BESIDE_METRES:
            return f"about {round(self.metres, -1):.0f} m from {name}"
        return name if self.exact else f"near {name}"


def read(words: str) -> Whereabouts:
    """What `words` tell, so that a page can say it in another language. Other words are a name.

    A house number stands before one street, whatever that is called: "12 Kids at Play Street" is no corner.
    But of "10 Mile Road at Oak Ave" the number belongs to the name, which ends as a street's does.
    """
    if near := re.fullmatch("near (.+)", words):
        return Whereabouts(near[1], "", BESIDE_METRES, exact=False)
    if far := re.fullmatch(r"about (\d+) m from (.+)", words):
        return Whereabouts(far[2], "", float(far[1]), exact=False)
    name, at, other = words.partition(" at ")
    if not at:
        return Whereabouts(words)
    return Whereabouts(words) if numbered(words) and not parse(name).type else Whereabouts(name, other)


def describe_point(atlas: Atlas, point: Point) -> Whereabouts | None:
    """What the point is at or near within 80 m, a park that it lies in, or None.

    The street is the nearest one: whoever stands in front of a corner house sees the street they stand on.
    """
    at = Spot(atlas.xy(*point))
    door = _door(atlas, at)
    if door and door.metres <= AT_METRES:
        return door
    found = atlas.near_blocks.query_nearest(at, max_distance=NEAR_METRES, all_matches=False)
    if len(found):
        street, block = atlas.blocks[int(found[0])]
        return _corner(street, at) or _door(atlas, at, street) or _number(street, block, at)
    on_earth = Spot(point.lon, point.lat)
    park = next((name for name, ground in atlas.parks if ground.covers(on_earth)), None)
    return door or (Whereabouts(park) if park else None)


def _door(atlas: Atlas, at: Spot, street: Street | None = None) -> Whereabouts | None:
    """The nearest address, of one street or of any."""
    around = atlas.near_doors.query(at, predicate="dwithin", distance=NEAR_METRES)
    doors = (atlas.doors[int(n)] for n in around)
    by_distance = [(door.spot.distance(at), door.label) for door, its in doors if street in (None, its)]
    if not by_distance:
        return None
    metres, label = min(by_distance)
    return Whereabouts(label, "", metres, exact=metres <= AT_METRES)


def _corner(street: Street, at: Spot) -> Whereabouts | None:
    corners: list[tuple[float, str]] = [
        (corner.spot.distance(at), other.label) for other, signs in street.corners.items() for corner in signs
    ]
    metres, other = min(corners, default=(CORNER_METRES + 1, ""))
    return Whereabouts(street.label, other, metres) if metres <= CORNER_METRES else None


def _number(street: Street, block: Block, at: Spot) -> Whereabouts:
    number, metres = block.number(at), block.line.distance(at)
    if number is None:
        return Whereabouts(street.label, "", metres)
    return Whereabouts(f"{number} {street.label}", "", metres, exact=False)
