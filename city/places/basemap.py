"""The city's own base map: streets, water and parks from the database as one PMTiles file of vector tiles."""

import gzip
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import shapely
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from shapely import STRtree
from shapely.geometry import LineString, MultiLineString, box, shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import select
from sqlalchemy.orm import Session

from city import files
from city.db.models import Area, Street

ZOOMS = range(10, 17)
EXTENT = 4096  # units along a tile's edge
# Lines are drawn with width: a street just beyond the edge still shows in this tile.
MARGIN = 96
WORLD = 2 * math.pi * 6_378_137.0  # metres round the equator of the map's projection (EPSG 3857)

# Area.kind → the tile layers that draw it and that name it.
DRAWN = {"boundary": "earth", "water": "water", "park": "park", "rail": "rail"}
NAMED = {"area": "area", "park": "place", "water": "place"}


@dataclass(frozen=True)
class _Feature:
    layer: str
    shape: BaseGeometry  # in the map's metres
    properties: dict[str, str]


def build(s: Session, path: Path) -> int:
    """Writes the file at `path`, whole or not at all, and returns the number of tiles.

    Zooms 10 to 16; layers earth, water, park, rail, road (name, kind), area and place (names at points).
    A city without streets and areas has no map: nothing is written and 0 returned.
    """
    features = [*_roads(s), *_areas(s)]
    if not features:
        return 0
    tiles = sorted((zxy_to_tileid(z, x, y), tile) for (z, x, y), tile in _tiles(features))
    with files.atomic_write(path) as file:
        writer: Any = Writer(file)  # type: ignore[no-untyped-call]
        for tile_id, tile in tiles:
            writer.write_tile(tile_id, tile)
        writer.finalize(_header(features), _metadata())
    return len(tiles)


def part(path: Path, corners: tuple[float, float, float, float]) -> bytes:
    """The part of the file at `path` between west, south, east, north (degrees), as a file of the same kind.

    For a phone that keeps its crew's area. Overviews are whole tiles, so it reaches a little further.
    """
    west, south, east, north = corners
    with path.open("rb") as file:
        source: Any = MmapSource(file)  # type: ignore[no-untyped-call]
        header = Reader(source).header()  # type: ignore[no-untyped-call]
        metadata = Reader(source).metadata()  # type: ignore[no-untyped-call]
        chosen = [
            (zxy_to_tileid(z, x, y), tile)
            for (z, x, y), tile in all_tiles(source)  # type: ignore[no-untyped-call]
            if _meets(z, x, y, corners)
        ]
    out = io.BytesIO()
    writer: Any = Writer(out)  # type: ignore[no-untyped-call]
    for tile_id, tile in sorted(chosen):
        writer.write_tile(tile_id, tile)
    corners_e7 = zip(("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7"), corners, strict=True)
    kept = {
        name: header[name]
        for name in ("tile_type", "tile_compression", "min_zoom", "max_zoom", "center_zoom")
    }
    centre = {"center_lon_e7": round((west + east) * 5e6), "center_lat_e7": round((south + north) * 5e6)}
    box = {name: round(degrees * 1e7) for name, degrees in corners_e7}
    writer.finalize(kept | box | centre, metadata)
    return out.getvalue()


def _meets(z: int, x: int, y: int, corners: tuple[float, float, float, float]) -> bool:
    (left, bottom), (right, top) = _mercator(np.array([corners[:2], corners[2:]]))
    width = WORLD / 2**z
    columns = _column(left, width), _column(right, width)
    rows = _row(top, width), _row(bottom, width)
    return columns[0] <= x <= columns[1] and rows[0] <= y <= rows[1]


def _roads(s: Session) -> Iterator[_Feature]:
    """Streets as long as they are: a register has them from corner to corner, too short for a name."""
    pieces: dict[tuple[str, str], list[LineString]] = {}
    for street in s.execute(select(Street.name, Street.kind, Street.line).order_by(Street.id)):
        pieces.setdefault((street.name, street.kind), []).append(LineString(street.line))
    for (name, kind), lines in pieces.items():
        named = {"name": name, "kind": kind} if name else {"kind": kind}
        whole = _projected(shapely.line_merge(MultiLineString(lines)))
        yield from (_Feature("road", line, named) for line in getattr(whole, "geoms", [whole]))


def _areas(s: Session) -> Iterator[_Feature]:
    for area in s.scalars(select(Area).order_by(Area.id)):
        ground = _projected(shape(area.geometry))
        if layer := DRAWN.get(area.kind):
            yield _Feature(layer, ground, {})
        if (layer := NAMED.get(area.kind)) and area.name:
            yield _Feature(layer, ground.point_on_surface(), {"name": area.name, "kind": area.kind})


def _tiles(features: list[_Feature]) -> Iterator[tuple[tuple[int, int, int], bytes]]:
    index = STRtree([feature.shape for feature in features])
    west, south, east, north = shapely.total_bounds([feature.shape for feature in features])
    for z in ZOOMS:
        width = WORLD / 2**z
        detail = width / EXTENT
        shapes = [feature.shape.simplify(2 * detail) for feature in features]
        for x in range(_column(west, width), _column(east, width) + 1):
            for y in range(_row(north, width), _row(south, width) + 1):
                left, bottom = x * width - WORLD / 2, WORLD / 2 - (y + 1) * width
                window = box(left, bottom, left + width, bottom + width).buffer(
                    MARGIN * detail, join_style="mitre"
                )
                near = sorted(int(n) for n in index.query(window, predicate="intersects"))
                parts = [
                    (features[n], _on_grid(shapes[n].intersection(window), left, bottom, detail))
                    for n in near
                ]
                if tile := _tile(parts):
                    yield (z, x, y), tile


def _on_grid(part: BaseGeometry, left: float, bottom: float, detail: float) -> BaseGeometry:
    """The shape in whole units of a tile, counted from its lower left corner; empty where it is too small."""
    units = shapely.transform(part, lambda metres: (metres - (left, bottom)) / detail)
    return shapely.set_precision(units, 1)


def _tile(parts: Iterable[tuple[_Feature, BaseGeometry]]) -> bytes | None:
    layers: dict[str, list[dict[str, Any]]] = {}
    for feature, part in parts:
        if not part.is_empty:
            layers.setdefault(feature.layer, []).append({"geometry": part, "properties": feature.properties})
    if not layers:
        return None
    tile = mapbox_vector_tile.encode(
        [{"name": name, "features": found} for name, found in layers.items()],
        default_options={"extents": EXTENT},
    )
    return gzip.compress(tile, mtime=0)


def _header(features: list[_Feature]) -> dict[str, Any]:
    drawn = [feature.shape for feature in features if feature.layer in ("earth", "road")]
    west, south, east, north = shapely.total_bounds(drawn or [feature.shape for feature in features])
    corners = _lon_e7(west), _lat_e7(south), _lon_e7(east), _lat_e7(north)
    return {
        "tile_type": TileType.MVT,
        "tile_compression": Compression.GZIP,
        "min_zoom": ZOOMS[0],
        "max_zoom": ZOOMS[-1],
        "min_lon_e7": corners[0],
        "min_lat_e7": corners[1],
        "max_lon_e7": corners[2],
        "max_lat_e7": corners[3],
        "center_zoom": 14,
        "center_lon_e7": (corners[0] + corners[2]) // 2,
        "center_lat_e7": (corners[1] + corners[3]) // 2,
    }


def _metadata() -> dict[str, Any]:
    named = {"name": "String", "kind": "String"}
    layers = dict.fromkeys((*DRAWN.values(), "road", *NAMED.values()))
    return {
        "vector_layers": [
            {"id": layer, "fields": named if layer in ("road", "area", "place") else {}} for layer in layers
        ]
    }


def _projected(ground: BaseGeometry) -> BaseGeometry:
    return shapely.transform(ground, _mercator)


def _mercator(degrees: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    radians = np.radians(degrees)
    north = np.log(np.tan(math.pi / 4 + radians[:, 1] / 2))
    return np.column_stack((radians[:, 0], north)) * (WORLD / (2 * math.pi))


def _column(east: float, width: float) -> int:
    return math.floor((east + WORLD / 2) / width)


def _row(north: float, width: float) -> int:
    return math.floor((WORLD / 2 - north) / width)


def _lon_e7(east: float) -> int:
    return round(east / WORLD * 360 * 1e7)


def _lat_e7(north: float) -> int:
    return round(math.degrees(2 * math.atan(math.exp(north / WORLD * 2 * math.pi)) - math.pi / 2) * 1e7)
