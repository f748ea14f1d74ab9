"""Corners: where streets of different names meet, and what they are called."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry import LineString
from shapely.geometry import Point as ShapelyPoint

from city import geo
from city.places import lookup

MEET_METRES = 1.5  # streets whose drawn lines come as near as this meet
SAME_CORNER_METRES = 40.0  # a divided road meets another street several times at what people call one corner


def corners(streets: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Where lines of different names meet; points near each other are one corner.

    Flat: a bridge over a street meets it too, since the lines do not say which is above.
    """
    named = [(name, street) for street in streets if (name := lookup.normal(street["name"]))]
    if not named:
        return
    wide = math.cos(math.radians(named[0][1]["line"][0][1])) * geo.METRES_A_DEGREE
    scale = np.array([wide, geo.METRES_A_DEGREE])
    lines = np.array([LineString(np.array(street["line"]) * scale) for _, street in named], dtype=object)
    tree = STRtree(lines)
    one, other = tree.query(lines, predicate="dwithin", distance=MEET_METRES)
    corners: dict[tuple[str, str], list[ShapelyPoint]] = {}
    labels: dict[tuple[str, str], str] = {}
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        (name, street), (crossed, across) = named[a], named[b]
        if a < b and name != crossed:
            both = min(name, crossed), max(name, crossed)
            labels.setdefault(both, f"{street['name']} & {across['name']}")
            corners.setdefault(both, []).extend(_meeting(lines[a], lines[b]))
    for both, points in sorted(corners.items()):
        for point in _apart(points):
            lon, lat = np.array([point.x, point.y]) / scale
            yield {
                "label": labels[both],
                "lat": round(float(lat), geo.DIGITS),
                "lon": round(float(lon), geo.DIGITS),
            }


def _meeting(a: LineString, b: LineString) -> list[ShapelyPoint]:
    crossed = a.intersection(b)
    if crossed.is_empty:
        return [shapely.shortest_line(a, b).centroid]
    return [part.centroid for part in getattr(crossed, "geoms", [crossed])]


def _apart(points: list[ShapelyPoint]) -> Iterator[ShapelyPoint]:
    """One point for each group of near ones: in its middle."""
    groups: list[list[ShapelyPoint]] = []
    for point in points:
        near = next((g for g in groups if g[0].distance(point) <= SAME_CORNER_METRES), None)
        if near is None:
            groups.append([point])
        else:
            near.append(point)
    yield from (shapely.MultiPoint(group).centroid for group in groups)
