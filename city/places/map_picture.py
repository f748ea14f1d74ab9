"""A still picture of the city's own map around a point, as SVG: it shows where without a map's scripts."""

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import shapely
from pmtiles.reader import MmapSource, Reader
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from city.geo import Point
from city.places.basemap import EXTENT, ZOOMS

WIDTH, HEIGHT = 640, 256  # px of the picture; a page may show a part of it
NEAREST, FURTHEST = 17, 14  # zooms that may be asked for
TILE = 256.0  # px of a tile's edge at its own zoom
ROOM_A_LETTER = 7.0  # px
# Kind of street → its width in px at zoom 17; each zoom further out halves it.
ROADS = {"lane": 14.0, "street": 18.0, "bridge": 23.0, "avenue": 27.0}
GROUNDS = ("park", "water")


@dataclass(frozen=True)
class _Shape:
    layer: str
    name: str
    kind: str
    shape: BaseGeometry  # in px of the picture, y downwards


def draw(path: Path, centre: Point, zoom: int, style: str) -> str:
    """The picture of WIDTH × HEIGHT px with `centre` in its middle; `style` are its rules of CSS.

    Classes: land, park, water, edge, road; words have none. Raises ValueError for a zoom beyond NEAREST and
    FURTHEST. Where the map has nothing, there is bare land.
    """
    if not FURTHEST <= zoom <= NEAREST:
        raise ValueError(f"zoom {zoom} isn't between {FURTHEST} and {NEAREST}")
    shapes = list(_shapes(path, centre, zoom))
    scale, size = 2.0 ** (zoom - NEAREST), f'width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {size}>',
        f'<style>{style}</style><rect class="land" {size}/>',
    ]
    for layer in GROUNDS:
        if drawn := "".join(_outline(each.shape) for each in shapes if each.layer == layer):
            parts.append(f'<path class="{layer}" d="{drawn}"/>')
    # Every edge lies below every surface, so that crossings are open.
    for role, wider in (("edge", 3.0), ("road", 0.0)):
        for kind, width in ROADS.items():
            lines = (each.shape for each in shapes if each.layer == "road" and each.kind == kind)
            if drawn := "".join(_outline(line) for line in lines):
                parts.append(f'<path class="{role}" stroke-width="{width * scale + wider:g}" d="{drawn}"/>')
    parts += [*_names(shapes), "</svg>"]
    return "".join(parts)


def _shapes(path: Path, centre: Point, zoom: int) -> Iterator[_Shape]:
    """All that lies in the picture, tile by tile, cut at its edge."""
    z = min(zoom, ZOOMS[-1])
    across = TILE * 2.0 ** (zoom - z)  # px of a tile here
    x, y = _in_tiles(centre, z)
    left, top = x * across - WIDTH / 2, y * across - HEIGHT / 2
    frame = box(-40, -40, WIDTH + 40, HEIGHT + 40)
    with path.open("rb") as file:
        tiles: Any = Reader(MmapSource(file))  # type: ignore[no-untyped-call]
        for column in range(math.floor(left / across), math.floor((left + WIDTH) / across) + 1):
            for row in range(math.floor(top / across), math.floor((top + HEIGHT) / across) + 1):
                data = (
                    tiles.get(z, column, row) if min(column, row) >= 0 and max(column, row) < 2**z else None
                )
                if data is None:
                    continue
                corner = np.array([column * across - left, row * across - top])
                yield from _of_tile(gzip.decompress(data), corner, across / EXTENT, frame)


def _of_tile(data: bytes, corner: Any, unit: float, frame: BaseGeometry) -> Iterator[_Shape]:
    layers = mapbox_vector_tile.decode(data, default_options={"y_coord_down": True})
    for layer, found in layers.items():
        if layer not in ("road", *GROUNDS):
            continue
        for feature in found["features"]:
            placed = shapely.transform(shape(feature["geometry"]), lambda units: units * unit + corner)
            cut = placed.intersection(frame) if placed.is_valid else placed
            if not cut.is_empty:
                told = feature["properties"]
                yield _Shape(layer, str(told.get("name", "")), str(told.get("kind", "street")), cut)


def _in_tiles(point: Point, zoom: int) -> tuple[float, float]:
    """Where a point lies, counted in tiles from the map's north-west corner."""
    north = math.asinh(math.tan(math.radians(point.lat)))
    return (point.lon / 360 + 0.5) * 2**zoom, (1 - north / math.pi) / 2 * 2**zoom


def _outline(drawn: BaseGeometry) -> str:
    """A shape as the data of an SVG path, in whole px."""
    if drawn.geom_type == "Polygon":
        return "".join(f"{_line(ring)}Z" for ring in (drawn.exterior, *drawn.interiors))
    if drawn.geom_type == "LineString":
        return _line(drawn)
    return "".join(_outline(part) for part in getattr(drawn, "geoms", ()))


def _line(drawn: BaseGeometry) -> str:
    points = [f"{round(x)} {round(y)}" for x, y in drawn.coords]
    return f"M{points[0]}L{' '.join(points[1:])}" if len(points) > 1 else ""


def _names(shapes: list[_Shape]) -> Iterator[str]:
    """Each street's name once, along its longest part, where there is room for it and no other name."""
    whole: dict[str, list[BaseGeometry]] = {}
    for each in shapes:
        if each.layer == "road" and each.name:
            whole.setdefault(each.name, []).append(each.shape)
    frame, taken = box(0, 0, WIDTH, HEIGHT), list[BaseGeometry]()
    for name, parts in sorted(whole.items(), key=lambda item: -sum(part.length for part in item[1])):
        seen = shapely.line_merge(shapely.union_all(parts)).intersection(frame)
        lines = [part for part in getattr(seen, "geoms", [seen]) if part.geom_type == "LineString"]
        longest, room = max(lines, key=lambda part: part.length, default=None), ROOM_A_LETTER * len(name)
        if longest is None or longest.length < room * 1.2:
            continue
        for share in (0.5, 0.3, 0.7):
            middle = longest.length * share
            start, at, end = (longest.interpolate(middle + step) for step in (-room / 2, 0, room / 2))
            stands = shapely.LineString([start, end]).buffer(9)
            if not frame.covers(stands) or any(stands.intersects(other) for other in taken):
                continue
            turned = math.degrees(math.atan2(end.y - start.y, end.x - start.x))
            turned -= 180 if turned > 90 else -180 if turned < -90 else 0
            taken.append(stands)
            placed = f"translate({at.x:.0f} {at.y:.0f}) rotate({turned:.0f})"
            yield f'<text transform="{placed}" dy="4">{escape(name)}</text>'
            break
