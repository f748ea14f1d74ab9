"""TopoJSON as plain features: shared arcs put together, within a bound on what a small file may unfold to.

Pure. The format: https://github.com/topojson/topojson-specification
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MOST_POINTS = 10_000_000  # a kilobyte can name one long arc any number of times

# How deep the lists of arcs of a geometry are nested below one line.
_DEPTH = {"LineString": 0, "MultiLineString": 1, "Polygon": 1, "MultiPolygon": 2}


class Broken(ValueError):
    """What cannot be unfolded, and where: an arc, or a geometry of an object, counted from 1."""


def features(top: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The features of all objects, as GeoJSON has them.

    The object's name counts as a property `object` where none is called so: a file may hold several layers.
    Raises Broken.
    """
    transform = top.get("transform")
    arcs: list[list[list[float]]] = []
    for n, arc in enumerate(_listed(top, "arcs", "the file"), start=1):
        with _at(f"arc {n}"):
            arcs.append(list(_unpacked(arc, transform)))
    with _at("its objects"):
        objects = {str(name): (made, made["type"]) for name, made in top["objects"].items()}
    left = MOST_POINTS
    for name, (made, kind) in objects.items():
        parts = _listed(made, "geometries", f"object {name!r}") if kind == "GeometryCollection" else [made]
        for n, part in enumerate(parts, start=1):
            with _at(f"object {name!r}, geometry {n}"):
                left -= _counted(part.get("arcs", ()), arcs)
                if left < 0:
                    raise ValueError(f"the file expands to more than {MOST_POINTS:,} points")
                feature = _feature(part, name, arcs, transform)
            yield feature


def _listed(holder: dict[str, Any], name: str, where: str) -> list[Any]:
    value = holder.get(name)
    if not isinstance(value, list):
        raise Broken(f"{where}: has no list of {name}")
    return value


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Tells what goes wrong with its place."""
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise Broken(f"{where}: {error}") from error
    except RecursionError as error:
        raise Broken(f"{where}: is nested too deeply") from error


def _counted(parts: Any, arcs: list[list[list[float]]]) -> int:
    if isinstance(parts, int):
        return len(arcs[parts if parts >= 0 else ~parts])
    return sum(_counted(part, arcs) for part in parts)


def _feature(part: dict[str, Any], name: str, arcs: Any, transform: dict[str, Any] | None) -> dict[str, Any]:
    kind, geometry = part.get("type"), None
    if kind in _DEPTH:
        geometry = {"type": kind, "coordinates": _joined(part["arcs"], arcs, _DEPTH[kind])}
    elif kind in ("Point", "MultiPoint"):
        given = part["coordinates"] if kind == "MultiPoint" else [part["coordinates"]]
        points = [next(_unpacked([point], transform)) for point in given]
        geometry = {"type": kind, "coordinates": points if kind == "MultiPoint" else points[0]}
    properties = part.get("properties") or {}
    return {"id": part.get("id"), "properties": {"object": name, **properties}, "geometry": geometry}


def _unpacked(arc: list[list[float]], transform: dict[str, Any] | None) -> Iterator[list[float]]:
    """The points of an arc: with a transform each is whole steps away from the one before."""
    if transform is None:
        yield from ([x, y] for x, y, *_ in arc)
        return
    (kx, ky), (dx, dy) = transform["scale"], transform["translate"]
    x = y = 0.0
    for right, up, *_ in arc:
        x, y = x + right, y + up
        yield [x * kx + dx, y * ky + dy]


def _joined(parts: Any, arcs: list[list[list[float]]], depth: int) -> Any:
    if depth:
        return [_joined(part, arcs, depth - 1) for part in parts]
    line: list[list[float]] = []
    for n in parts:  # a negative number is an arc walked backwards; neighbours share a point
        points = arcs[n] if n >= 0 else arcs[~n][::-1]
        line += points[1:] if line else points
    return line
