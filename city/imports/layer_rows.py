"""One run over a layer's file: its rows with their shapes in degrees, and what cannot be of this city."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Area
from city.geo import Box
from city.imports import projections, readers, shapefiles
from city.imports.layer_columns import Order
from city.imports.projections import Project
from city.imports.readers import Outcome, Row, SideFile, Source, Told, TooManyRejected, Unusable, shown

LONGEST_ID = 70  # letters; a street in several parts adds some


@dataclass
class Located:
    """A row and its shape in degrees; `drawn` is the shape as the file has it."""

    row: Row
    ground: BaseGeometry
    drawn: BaseGeometry


@dataclass
class Run:
    """One run: the rows that are left, and what became of the others."""

    s: Session
    order: Order
    source: Source
    side: SideFile
    outcome: Outcome
    max_rejected: int | None
    told: Told
    to_degrees: Project
    at: datetime
    left: list[Row] = field(default_factory=list)  # rows that could not be taken
    seen: dict[Any, int] = field(default_factory=dict)
    ids: dict[str, tuple[int, Any]] = field(default_factory=dict)  # the register's id → line, what it said

    def reject(self, row: Row, reason: str) -> None:
        self.outcome.rejected += 1
        self._leave(row, reason)
        if self.max_rejected is not None and self.outcome.rejected > self.max_rejected:
            raise TooManyRejected(self.outcome)

    def located(self, shapes: Mapping[str, BaseGeometry] | None) -> list[Located]:
        """The rows that are wanted, each with its shape on the ground."""
        column, wanted = self.order.where
        found = []
        for row in self.source.rows:
            if column and row.values.get(column, "") != wanted:
                continue
            self.outcome.read += 1
            if row.fault:
                self.reject(row, row.fault)
                continue
            ground = self._ground(row, shapes)
            if isinstance(ground, str):
                self.reject(row, ground)
            elif ground is None:
                self.outcome.unlocated += 1
                self._leave(row, "has no location")
            else:
                # The shapes of another file are in degrees already.
                there = ground if shapes is not None else self.to_degrees(ground)
                found.append(Located(row, there, ground))
        if column and not self.outcome.read:
            raise Unusable("--where", f"no row has {wanted!r} in {column}")
        if not self.outcome.read:
            raise Unusable(self.source.path.name, "is empty: it has a header but no rows")
        return found

    def _leave(self, row: Row, reason: str) -> None:
        self.left.append(row)
        self.side.write(row, reason)

    def _ground(self, row: Row, shapes: Mapping[str, BaseGeometry] | None) -> BaseGeometry | str | None:
        """A shape, why there is none, or None where the row only lacks a place."""
        if shapes is not None:
            return shapes.get(row.values[self.order.key[0]])
        if self.order.lat:
            given = row.values[self.order.lat].strip(), row.values[self.order.lon].strip()
            if not all(given):
                return None
            try:
                return ShapelyPoint(float(given[1]), float(given[0]))
            except ValueError:
                return f"{shown(', '.join(given))} aren't coordinates"
        ground = _shaped(row.geometry)
        if ground is None and self.order.kind not in ("addresses", "assets", "landmarks"):
            return "has no shape"
        return ground

    def judge(self, located: list[Located], box: Box) -> None:
        """Rejects rows whose coordinates cannot be degrees of this city; raises Unusable where most cannot.

        A row outside the city stays and is counted: streets run on, and the city file's bounds are rough.
        """
        faults = [self._misplaced(one, box) for one in located]
        wrong = [n for n, fault in enumerate(faults) if fault]
        if wrong and 2 * len(wrong) > len(located):
            first = located[wrong[0]]
            raise Unusable(
                f"{self.source.path.name} {self.source.unit} {first.row.line}",
                f"{faults[wrong[0]]} ({len(wrong)} of {len(located)} rows are like this)",
            )
        for n in reversed(wrong):
            self.reject(located.pop(n).row, faults[n])
        city = _boundary(self.s)
        if city is not None and self.order.kind != "boundary" and located:
            shapely.prepare(city)
            touching = shapely.intersects(city, np.array([one.ground for one in located]))
            self.outcome.more["outside"] = int(np.count_nonzero(~touching))

    def _misplaced(self, one: Located, box: Box) -> str:
        """Why this cannot be in this city; "" where it can."""
        if not np.isfinite(shapely.get_coordinates(one.drawn)).all():
            return "has coordinates that aren't numbers"
        if _within(box, one.ground):
            # One slip of a finger may lie among a thousand right corners, and no map can be drawn of it.
            return "" if _on_earth(one.ground) else "has a corner that isn't on Earth: check its coordinates"
        corner = "{:.10g}, {:.10g}".format(*one.drawn.bounds)  # longitude or easting first
        if _within(box, self.to_degrees(projections.swapped(one.drawn))):
            return f"{corner} is outside the city, but inside it with latitude and longitude swapped"
        if named := self.order.crs or self.source.crs:
            # The wrong system still gives degrees, of somewhere else.
            where = "already in degrees, but was" if _within(box, one.drawn) else "nowhere near the city when"
            return f"{corner} is {where} read as {shown(named)}"
        if _on_earth(one.ground):
            return ""
        if _on_earth(projections.swapped(one.ground)):
            return f"{corner}: the latitude is over 90. Latitude and longitude are swapped"
        return f"{corner} isn't in degrees, but perhaps in feet or meters. {projections.HINT}"

    def text(self, row: Row, column: str) -> str:
        return " ".join(row.values.get(column, "").split()) if column else ""

    def surface(self, ground: BaseGeometry) -> BaseGeometry | None:
        """The polygons of a shape; what crosses itself is mended, and counted."""
        found = surface_of(ground)
        if found is not None and not ground.is_valid:
            self.outcome.more["mended"] = self.outcome.more.get("mended", 0) + 1
        return found

    def identified(self, row: Row, told: dict[str, Any]) -> bool:
        """Notes in `told` what the source calls the row; rejects it where another one is called so."""
        told["source_id"] = own = self.text(row, self.order.id) or None
        if own is None:
            if self.order.id:
                self.reject(row, f"has no {self.order.id}")
            return not self.order.id
        if len(own) > LONGEST_ID:
            self.reject(row, f"the ID {shown(own)} has more than {LONGEST_ID} characters")
            return False
        line, before = self.ids.setdefault(own, (row.line, told))
        if before != told:
            twin = f"{self.source.unit} {line}"
            self.reject(row, f"the ID {shown(own)} is already used ({twin})")
        return bool(before == told)

    def once(self, key: Any, row: Row) -> bool:
        """Whether no row before was the same; one that was says nothing new, and counts as taken."""
        if key in self.seen:
            self.outcome.more["repeated"] = self.outcome.more.get("repeated", 0) + 1
            return False
        self.seen[key] = row.line
        return True


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """A Shapefile, or whatever else `sources` reads."""
    if shapefiles.is_one(path):
        yield shapefiles.open_source(path)
    else:
        with readers.open_source(path, whole=True) as source:
            yield source


def projection(order: Order, source: Source) -> Project:
    return projections.to_degrees(order.crs or source.crs, "--crs" if order.crs else source.path.name)


def places_of(order: Order) -> dict[str, BaseGeometry]:
    """A point for each key of the file of places: within the largest shape that bears it."""
    assert order.places is not None  # noqa: S101 says it to the type checker; _check refused otherwise
    largest: dict[str, BaseGeometry] = {}
    with opened(order.places) as source:
        if source.unit == "line":
            raise Unusable(order.places.name, "has no shapes. Use a GeoJSON, TopoJSON, or Shapefile")
        column, to_degrees = source.require(order.key[1], "--key"), projection(order, source)
        for row in source.rows:
            key, ground = row.values.get(column, ""), _shaped(row.geometry)
            if key and ground is not None and (key not in largest or ground.area > largest[key].area):
                largest[key] = ground
        return {key: to_degrees(ground.point_on_surface()) for key, ground in largest.items()}


def _shaped(geometry: dict[str, Any] | None) -> BaseGeometry | None:
    if not geometry:
        return None
    try:
        with np.errstate(invalid="ignore"):  # a coordinate that is no number is told later, with its place
            ground = shapely.force_2d(shape(geometry))
    except (
        shapely.errors.ShapelyError, AttributeError, KeyError, TypeError, ValueError, OverflowError,
        RecursionError,
    ):  # fmt: skip
        return None
    return None if ground.is_empty else ground


def _boundary(s: Session) -> BaseGeometry | None:
    found = [shape(geometry) for geometry in s.scalars(select(Area.geometry).where(Area.kind == "boundary"))]
    return shapely.union_all(found) if found else None


def city_box(s: Session, bounds: Box) -> Box:
    city = _boundary(s)
    if city is None:
        return bounds
    west, south, east, north = city.bounds
    return Box(south, west, north, east)


def _on_earth(ground: BaseGeometry) -> bool:
    west, south, east, north = map(float, ground.bounds)
    return max(-west, east) <= 180 and max(-south, north) <= 90


def _within(box: Box, ground: BaseGeometry) -> bool:
    """Whether the shape touches the box, with room around it: the city's bounds may be rough."""
    west, south, east, north = map(float, ground.bounds)
    high, wide = box.north - box.south, box.east - box.west
    return (
        south <= box.north + high
        and north >= box.south - high
        and west <= box.east + wide
        and east >= box.west - wide
    )


def surface_of(ground: BaseGeometry) -> BaseGeometry | None:
    """The polygons of a shape, mended where they cross themselves; None where there are none."""
    if not ground.is_valid:
        ground = shapely.make_valid(ground)
    parts = [part for part in getattr(ground, "geoms", [ground]) if part.geom_type.endswith("Polygon")]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)
