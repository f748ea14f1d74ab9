"""The ground of Larkhaven, the invented city: streets, addresses, poles, trees, baskets, areas.

It is drawn in metres east and north of CENTRE, which lies in the open Atlantic, so that nobody takes it
for a real place. Only what grows and stands along the streets depends on the seed.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import shapely
from shapely import STRtree, affinity
from shapely.geometry import LineString, MultiLineString, Polygon, box, mapping
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry.base import BaseGeometry
from shapely.ops import split
from sqlalchemy import insert
from sqlalchemy.orm import Session

from city import geo
from city.db.models import Address, Area, Asset, Intersection, Landmark, Street

CENTRE = geo.Point(39.60, -71.20)
ADDRESS_EVERY, POLE_EVERY, TREE_EVERY = 12.0, 35.0, 45.0
RIVER_METRES = 150.0
BANK_METRES = 32.0  # from the water to the street beside it

WEST_TURN, EAST_TURN = 15.0, -9.0  # how far each grid is turned, degrees counter-clockwise
WEST_PIVOT, EAST_PIVOT = (-520.0, 0.0), (780.0, 300.0)

# Streets of each grid before it is turned: metres from its pivot, north to south and west to east.
WEST_ACROSS = {
    "Hilltop Road": 2410, "Signal Street": 2130, "Kiln Street": 1840, "Tanner Street": 1555,
    "Bellows Lane": 1250, "Juniper Street": 980, "Larch Street": 670, "Orchard Row": 380,
    "Old Quarry Road": 78, "Mill Race Lane": -210, "Sorrel Street": -505, "Tansy Street": -820,
    "Yarrow Street": -1105, "Clover Street": -1420, "Brook Street": -1775,
}  # fmt: skip
WEST_ALONG = {
    "Alder Street": -1220, "Hazel Street": -1000, "Rowan Street": -780, "Chandler Street": -542,
    "Cobb Street": -275, "Anselm Street": -50, "Pell Street": 190, "Corder Street": 436,
    "Vesper Street": 675, "Sexton Street": 957, "Lock Street": 1220,
}  # fmt: skip
EAST_ACROSS = {
    "Foundry Street": 1290, "Sailmaker Street": 970, "Ropewalk Street": 650, "Harbor Street": 325,
    "Cooper Steps": 0, "Ballast Street": -325, "Customs Street": -650, "Anchor Street": -970,
    "Cordage Street": -1290, "Tide Street": -1615, "Pilot Street": -1940,
}  # fmt: skip
EAST_ALONG = {
    "Copper Street": -850, "Beacon Street": -590, "Ember Street": -330, "Gannet Street": -70,
    "Heron Street": 190, "Swift Street": 450,
}  # fmt: skip

BOUNDARY = Polygon(
    [
        (-1480, -1180), (-1500, 1120), (-1260, 1460), (-300, 1500), (620, 1480), (1240, 1500), (1490, 1180),
        (1500, -700), (1330, -1340), (820, -1490), (-420, -1500), (-1140, -1440),
    ]
)  # fmt: skip
WELL_INSIDE = BOUNDARY.buffer(-2)
# The river's line as four-point curves, north to south, drawn past the boundary at both ends.
RIVER_CURVES = (
    ((900, 8600), (100, 5200), (110, 3000), (268, 1660)),
    ((268, 1660), (0, 1020), (803, 598), (430, 120)),
    ((430, 120), (56, -360), (-180, -360), (130, -900)),
    ((130, -900), (440, -1440), (-20, -1500), (-290, -1760)),
    ((-290, -1760), (-1200, -2640), (-300, -5000), (-1100, -8600)),
)
FERRIER = LineString([(-1700, -1450), (420, 1530)])
RAIL = LineString(
    [(-8600, 1900), (-1600, 1130), (-1200, 1060), (-670, 1020), (-100, 1080), (500, 1200), (1000, 1130),
     (1600, 900), (8600, -900)]
)  # fmt: skip
AVENUES = ("Ferrier Avenue", "Old Quarry Road", "Harbor Street")
# Name → the western and the eastern street that it joins.
BRIDGES = {
    "Ferrier Bridge": ("Ferrier Avenue", "Sailmaker Street"),
    "Quarry Bridge": ("Mill Race Lane", "Ballast Street"),
    "Weir Bridge": ("Yarrow Street", "Cordage Street"),
}
# Name → the two streets at whose corner it stands.
LANDMARKS = {
    "City Hall": ("Old Quarry Road", "Cobb Street"),
    "Larkhaven Library": ("Tansy Street", "Pell Street"),
    "Weir School": ("Yarrow Street", "Hazel Street"),
    "Harbor Market": ("Harbor Street", "Heron Street"),
}
PARK = "Lantern Green"
# Name, side of the river, turn and pivot of its grid, northern and southern edge in metres from the pivot.
NEIGHBOURHOODS = (
    ("Tannery Hill", "west", WEST_TURN, WEST_PIVOT, 4000, 980),
    ("Quarry Side", "west", WEST_TURN, WEST_PIVOT, 980, -210),
    ("North Weir", "west", WEST_TURN, WEST_PIVOT, -210, -4000),
    ("Eastbank", "east", EAST_TURN, EAST_PIVOT, 4000, -325),
    ("Ropewalk", "east", EAST_TURN, EAST_PIVOT, -325, -4000),
)
SHORTEST_STREET = 90.0
FIRST_FEEDER, POLES_A_FEEDER = 15, 130
UTILITY, UTILITY_FEEDER = "Harbor Electric", 17  # whose poles are not the city's: see larkhaven.toml
SURROUNDINGS = 7000.0  # how far the river is drawn past the boundary


@dataclass(frozen=True)
class Way:
    """A street in metres: its endless line, and the pieces of it that lie on the city's land."""

    name: str
    kind: str
    line: LineString
    pieces: MultiLineString

    @property
    def ends(self) -> tuple[float, float]:
        """How far along the line the first piece begins and the last one ends."""
        at = [self.line.project(end) for end in _ends(self)]
        return min(at), max(at)


@dataclass(frozen=True)
class Spot:
    """Something with a name at a point in metres."""

    label: str
    east: float
    north: float


@dataclass(frozen=True)
class Thing(Spot):
    """An asset: `label` is its number."""

    kind: str
    address: str


@dataclass(frozen=True)
class Ground:
    """The whole city in metres, before it is written."""

    ways: list[Way]
    crossings: list[tuple[str, str, ShapelyPoint]]
    addresses: list[Spot]
    things: list[Thing]
    landmarks: list[Spot]
    areas: list[tuple[str, str, BaseGeometry]]  # kind, name, shape


def ground(s: Session, seed: int = 311) -> None:
    """Writes the city's layers; the same seed makes the same city, to the last tree."""
    city = draw(seed)
    s.execute(insert(Street), list(_street_rows(city.ways)))
    s.execute(insert(Intersection), [_crossing_row(*crossing) for crossing in city.crossings])
    s.execute(insert(Address), [_address_row(spot) for spot in city.addresses])
    s.execute(insert(Asset), [_asset_row(thing) for thing in city.things])
    s.execute(insert(Landmark), [_landmark_row(spot) for spot in city.landmarks])
    s.execute(insert(Area), [_area_row(*area) for area in city.areas])


def draw(seed: int) -> Ground:
    """The city in metres around CENTRE."""
    chance = Random(seed)
    spine = _spine()
    park = turned(box(-785, -205, -335, 375), WEST_TURN, WEST_PIVOT)
    ways = list(_ways(spine, park))
    crossings = list(_crossings(ways))
    addresses = list(_addresses(ways, crossings, park))
    things = list(_things(chance, ways, crossings, addresses, park))
    landmarks = list(_landmarks(crossings))
    return Ground(ways, crossings, addresses, things, landmarks, list(_areas(spine, park)))


def turned(shape: Any, degrees: float, pivot: tuple[float, float]) -> Any:
    """The shape turned counter-clockwise about a point."""
    return affinity.rotate(shape, degrees, origin=pivot)


def on_earth(east: float, north: float) -> geo.Point:
    """Metres from CENTRE as a point on the globe, to a decimetre."""
    lat = CENTRE.lat + north / geo.METRES_A_DEGREE
    lon = CENTRE.lon + east / (geo.METRES_A_DEGREE * math.cos(math.radians(CENTRE.lat)))
    return geo.Point(round(lat, 6), round(lon, 6))


def _spine() -> LineString:
    """The middle of the river, from north to south."""
    return LineString([_on_curve(curve, step / 24) for curve in RIVER_CURVES for step in range(25)]).simplify(
        0.5
    )


def _on_curve(curve: Sequence[tuple[float, float]], t: float) -> tuple[float, float]:
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    east = sum(w * x for w, (x, _) in zip(weights, curve, strict=True))
    north = sum(w * y for w, (_, y) in zip(weights, curve, strict=True))
    return east, north


def _ways(spine: LineString, park: Polygon) -> Iterator[Way]:
    reach = RIVER_METRES / 2 + BANK_METRES
    west, east = (side.difference(spine.buffer(reach - 0.1)) for side in _sides(spine))
    open_west = west.difference(park.buffer(-1))
    # The river runs south, so its right hand is west.
    yield _way("Weir Walk", "lane", spine.offset_curve(-reach).simplify(1), BOUNDARY)
    yield _way("Wharfside", "lane", spine.offset_curve(reach).simplify(1), BOUNDARY)
    western = [_way("Ferrier Avenue", "avenue", FERRIER, west)]
    western += [
        _way(name, _kind(name), line, open_west)
        for name, line in _grid(WEST_ACROSS, WEST_ALONG, WEST_TURN, WEST_PIVOT)
    ]
    eastern = [
        _way(name, _kind(name), line, east)
        for name, line in _grid(EAST_ACROSS, EAST_ALONG, EAST_TURN, EAST_PIVOT)
    ]
    yield from (way for way in western + eastern if not way.pieces.is_empty)
    yield from _bridges(western + eastern, spine)


def _sides(spine: LineString) -> tuple[BaseGeometry, BaseGeometry]:
    """The city west and east of the middle of the river."""
    west, east = sorted(split(BOUNDARY, spine).geoms, key=lambda part: float(part.centroid.x))
    return west, east


def _grid(
    across: dict[str, int], along: dict[str, int], degrees: float, pivot: tuple[float, float]
) -> Iterator[tuple[str, LineString]]:
    x, y = pivot
    for name, north in across.items():
        yield name, turned(LineString([(x - 4000, y + north), (x + 4000, y + north)]), degrees, pivot)
    for name, right in along.items():
        yield name, turned(LineString([(x + right, y - 4000), (x + right, y + 4000)]), degrees, pivot)


def _kind(name: str) -> str:
    return "avenue" if name in AVENUES else "lane" if name.endswith((" Lane", " Row", " Steps")) else "street"


def _way(name: str, kind: str, line: LineString, land: BaseGeometry) -> Way:
    inside = line.intersection(land)
    parts = inside.geoms if isinstance(inside, MultiLineString) else [inside]
    return Way(name, kind, line, MultiLineString([part for part in parts if part.length >= SHORTEST_STREET]))


def _bridges(ways: list[Way], spine: LineString) -> Iterator[Way]:
    for name, streets in BRIDGES.items():
        joined = [way for way in ways if way.name in streets]
        line = LineString([min(_ends(way), key=spine.distance) for way in joined])
        yield Way(name, "bridge", line, MultiLineString([line]))


def _ends(way: Way) -> list[ShapelyPoint]:
    return [ShapelyPoint(xy) for piece in way.pieces.geoms for xy in piece.coords]


def _crossings(ways: list[Way]) -> Iterator[tuple[str, str, ShapelyPoint]]:
    """Where two ways meet. A street that ends at another one touches it only nearly: within two metres."""
    for n, one in enumerate(ways):
        for other in ways[n + 1 :]:
            near = one.pieces.buffer(2).intersection(other.pieces)
            for part in getattr(near, "geoms", [near]):
                if not part.is_empty:
                    yield one.name, other.name, part.centroid


def _addresses(
    ways: list[Way], crossings: list[tuple[str, str, ShapelyPoint]], park: Polygon
) -> Iterator[Spot]:
    corners = STRtree([at for _, _, at in crossings])
    for way in ways:
        if way.kind == "bridge":
            continue
        for n, (at, left) in enumerate(_steps(way, ADDRESS_EVERY, offset=9), start=1):
            # Even numbers on one side and odd ones on the other, each with gaps, as houses have them.
            number = 2 * n if left else 2 * n - 1
            corner = len(corners.query(at, predicate="dwithin", distance=14)) > 0
            if (
                not corner
                and not park.contains(at)
                and way.pieces.distance(at) < 10
                and BOUNDARY.contains(at)
            ):
                yield Spot(f"{number} {way.name}", at.x, at.y)


def _steps(
    way: Way, every: float, *, offset: float, start: float | None = None
) -> Iterator[tuple[ShapelyPoint, bool]]:
    """Points along a way, by turns on its left (True) and its right."""
    first, last = way.ends
    along, left = first + (every if start is None else start), True
    while along < last:
        here, ahead = way.line.interpolate(along), way.line.interpolate(along + 1)
        east, north = ahead.x - here.x, ahead.y - here.y
        length = math.hypot(east, north) or 1.0
        side = offset / length * (1 if left else -1)
        spot = ShapelyPoint(here.x - north * side, here.y + east * side)
        if WELL_INSIDE.contains(spot):
            yield spot, left
        along, left = along + every, not left


def _things(
    chance: Random,
    ways: list[Way],
    crossings: list[tuple[str, str, ShapelyPoint]],
    addresses: list[Spot],
    park: Polygon,
) -> Iterator[Thing]:
    tree = STRtree([ShapelyPoint(spot.east, spot.north) for spot in addresses])

    def thing(kind: str, number: str, at: ShapelyPoint, words: str = "") -> Thing:
        return Thing(number, at.x, at.y, kind, words or addresses[int(tree.nearest(at))].label)

    yield from (thing("pole", number, at) for number, at in _poles(ways))
    grown = [*_street_trees(chance, ways, park), *_park_trees(chance, park)]
    for n, at in enumerate(grown, start=1001):
        yield thing("tree", f"T-{n}", at, PARK if park.contains(at) else "")
    n = 0
    for one, other, at in crossings:
        if chance.random() < 0.45:
            n += 1
            spot = ShapelyPoint(at.x + chance.choice((-7, 7)), at.y + chance.choice((-7, 7)))
            yield thing("basket", f"B-{n:03d}", spot, f"{one} & {other}")


def _poles(ways: list[Way]) -> Iterator[tuple[str, ShapelyPoint]]:
    """Poles are numbered through a feeder, which lights a few streets one after the other."""
    feeder, n = FIRST_FEEDER, 0
    for way in ways:
        if n > POLES_A_FEEDER:
            feeder, n = feeder + 1, 0
        for at, _ in _steps(way, POLE_EVERY, offset=5, start=POLE_EVERY / 2):
            if way.pieces.distance(at) < 6:
                n += 1
                yield f"{feeder}-{n:03d}", at


def _street_trees(chance: Random, ways: list[Way], park: Polygon) -> Iterator[ShapelyPoint]:
    for way in ways:
        if way.kind == "bridge":
            continue
        for at, _ in _steps(way, TREE_EVERY, offset=6.5, start=chance.uniform(8, 30)):
            if chance.random() < 0.6 and way.pieces.distance(at) < 7:
                yield at


def _park_trees(chance: Random, park: Polygon) -> Iterator[ShapelyPoint]:
    west, south, east, north = park.bounds
    lawn = park.buffer(-12).difference(FERRIER.buffer(14))
    for _ in range(400):
        at = ShapelyPoint(chance.uniform(west, east), chance.uniform(south, north))
        if lawn.contains(at):
            yield at


def _landmarks(crossings: list[tuple[str, str, ShapelyPoint]]) -> Iterator[Spot]:
    for name, streets in LANDMARKS.items():
        at = next(at for one, other, at in crossings if {one, other} == set(streets))
        yield Spot(name, at.x + 22, at.y + 22)


def _areas(spine: LineString, park: Polygon) -> Iterator[tuple[str, str, BaseGeometry]]:
    yield "boundary", "Larkhaven", BOUNDARY
    yield "water", "River Lark", spine.buffer(RIVER_METRES / 2).intersection(BOUNDARY.buffer(SURROUNDINGS))
    yield "park", PARK, park.buffer(-9, join_style="mitre")
    yield "rail", "", RAIL
    west, east = _sides(spine)
    for name, side, degrees, pivot, north, south in NEIGHBOURHOODS:
        strip = turned(
            box(pivot[0] - 5000, pivot[1] + south, pivot[0] + 5000, pivot[1] + north), degrees, pivot
        )
        yield "area", name, (west if side == "west" else east).intersection(strip)
    for name, side in (("West bank", west), ("East bank", east)):
        yield "collection", name, side.intersection(BOUNDARY)


def _street_rows(ways: list[Way]) -> Iterator[dict[str, Any]]:
    for way in ways:
        for piece in way.pieces.geoms:
            line = [[lon, lat] for lat, lon in (on_earth(*xy) for xy in piece.coords)]
            yield {"name": way.name, "line": line, "kind": way.kind, **_numbers(way, piece)}


def _numbers(way: Way, piece: LineString) -> dict[str, int | None]:
    """The house numbers at the ends of a piece, as _addresses() counts them; a bridge has none."""
    sides = ("left_from", "left_to", "right_from", "right_to")
    if way.kind == "bridge":
        return dict.fromkeys(sides)
    first, _ = way.ends
    begin, end = (
        max(round((way.line.project(ShapelyPoint(piece.coords[n])) - first) / ADDRESS_EVERY), 1)
        for n in (0, -1)
    )
    return dict(zip(sides, (2 * begin, 2 * end, 2 * begin - 1, 2 * end - 1), strict=True))


def _landmark_row(spot: Spot) -> dict[str, Any]:
    point = on_earth(spot.east, spot.north)
    return {"name": spot.label, "lat": point.lat, "lon": point.lon}


def _crossing_row(one: str, other: str, at: ShapelyPoint) -> dict[str, Any]:
    lat, lon = on_earth(at.x, at.y)
    return {"label": f"{one} & {other}", "lat": lat, "lon": lon}


def _address_row(spot: Spot) -> dict[str, Any]:
    return {"label": spot.label, **_position(spot)}


def _asset_row(thing: Thing) -> dict[str, Any]:
    whose = UTILITY if thing.kind == "pole" and thing.label.startswith(f"{UTILITY_FEEDER}-") else ""
    told = {"kind": thing.kind, "number": thing.label, "owner": whose, "address": thing.address}
    return told | _position(thing)


def _position(spot: Spot) -> dict[str, Any]:
    point = on_earth(spot.east, spot.north)
    return {"lat": point.lat, "lon": point.lon, "cell": geo.cell(point)}


def _area_row(kind: str, name: str, shape: BaseGeometry) -> dict[str, Any]:
    return {"kind": kind, "name": name, "geometry": mapping(shapely.transform(shape, _all_on_earth))}


def _all_on_earth(metres: Iterable[tuple[float, float]]) -> np.ndarray[Any, Any]:
    return np.array([(lon, lat) for lat, lon in (on_earth(*xy) for xy in metres)])
