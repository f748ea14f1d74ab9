"""Files of a city's ground for tests of layers, and what came of importing them."""

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapefile
from factories import Town
from sqlalchemy import select

from city.db import engine as db
from city.geo import Box
from city.imports import layers
from city.imports.layers import Order
from city.imports.readers import Outcome
from city.people.accounts import THE_SYSTEM

NOW = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)
BOUNDS = Box(39.5, -71.3, 39.7, -71.1)
Points = Sequence[tuple[float, float]]


def put(
    town: Town, file: Path, order: Order, *, bounds: Box = BOUNDS, max_rejected: int | None = None
) -> Outcome:
    with db.transaction(town.engine) as s:
        return layers.replace(s, file, order, bounds=bounds, by=THE_SYSTEM, at=NOW, max_rejected=max_rejected)


def geojson(folder: Path, *features: Mapping[str, Any], **members: Any) -> Path:
    file = folder / "city.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", **members, "features": features}))
    return file


def feature(kind: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def line(name: str, points: Points, **properties: Any) -> dict[str, Any]:
    return feature("LineString", points, NAME=name, **properties)


def point(number: str, lat: float, lon: float) -> dict[str, Any]:
    return feature("Point", [lon, lat], POLE=number)


def square(name: str, west: float = -71.3) -> dict[str, Any]:
    east = west + 0.2
    ring = [(west, 39.5), (east, 39.5), (east, 39.7), (west, 39.7), (west, 39.5)]
    return feature("Polygon", [ring], NAME=name)


def table(folder: Path, *rows: Mapping[str, Any]) -> Path:
    file = folder / "city.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def side_lines(file: Path) -> list[tuple[str, str]]:
    with Path(f"{file}.rejected.csv").open(newline="") as side:
        return [(row[0], row[1]) for row in list(csv.reader(side))[1:]]


def names(town: Town, column: Any) -> list[str]:
    with db.read_session(town.engine) as s:
        return sorted(s.scalars(select(column)))


def shapes(
    folder: Path,
    *rings: Iterable[tuple[float, float]],
    names: Sequence[str] = ("Old Port", "Hill"),
    prj: str = "",
    cpg: str = "",
    encoding: str = "utf-8",
) -> Path:
    """A Shapefile of surfaces with a column NAME; returns its .shp."""
    file = folder / "city.shp"
    with shapefile.Writer(str(file), shapeType=shapefile.POLYGON, encoding=encoding) as out:
        out.field("NAME", "C", 40)
        out.field("N", "N", 10, 2)
        for n, ring in enumerate(rings):
            out.poly([list(ring)])
            out.record(names[n], n + 0.5)
    for end, text in ((".prj", prj), (".cpg", cpg)):
        file.with_suffix(end).unlink(missing_ok=True)
        if text:
            file.with_suffix(end).write_text(text)
    return file


def packed(file: Path, *ends: str, below: str = "") -> Path:
    """The parts of a Shapefile in one .zip."""
    archive = file.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for end in ends or (".shp", ".dbf", ".shx", ".prj"):
            part = file.with_suffix(end)
            if part.exists():
                out.write(part, f"{below}{part.name}")
    return archive
