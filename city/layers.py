"""The ground of a real city: streets, addresses, assets and areas taken from files, each kind as a whole."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry import LineString, MultiLineString, mapping, shape
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry.base import BaseGeometry
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from city import assets, events, geo, places, projections, shapefiles, sources
from city.cityfile import ASSET_KINDS
from city.events import Actor
from city.geo import Box, Point
from city.projections import Project
from city.schema import Address, Area, Crossing, Landmark, Street
from city.sources import Outcome, Row, SideFile, Source, Told, TooManyRejected, Unusable, shown

# Words of other systems for what the base map knows as an area.
SAME_AREA: Final = {"neighborhood": "area", "neighbourhood": "area"}
LINES = ("rail",)  # areas that are lines
NAMELESS = ("water", "park", "rail")  # areas that are drawn without a name as well
MEET_METRES = 1.5  # streets whose drawn lines come as near as this meet
SAME_CORNER_METRES = 40.0  # a divided road meets another street several times at what people call one corner
DIGITS = 7  # of a degree: about a centimetre
AT_ONCE = 2000
LONGEST_ID = 70  # letters; a street in several parts adds some
HIGHEST_NUMBER = 999_999
FEW = 20  # rows of a layer that may go without a question


@dataclass(frozen=True)
class Order:
    """What a file holds, and which of its columns mean what. An empty name is a column nobody named.

    `id` is what the source itself calls a row. `owner` says whose an asset is; `owner_name` whose all are.
    `name` is a street's or area's name, a whole address, or the words for where an asset stands. `places`
    is a file of shapes for rows that have no coordinates, found by `key`: the row's column, the shapes'.
    `crs` is the coordinate system of whichever of the two holds coordinates, over what it says itself.
    `left` and `right` are a street's house numbers on each side, where its line begins and where it ends.
    `major` (column, value) marks the avenues; `where` leaves out all rows but those. `shrink` says that it is
    meant if most of what is here goes.
    """

    kind: str
    name: str = ""
    id: str = ""
    number: str = ""
    street: str = ""
    lat: str = ""
    lon: str = ""
    crs: str = ""
    asset: str = ""
    prefix: str = ""
    owner: str = ""
    owner_name: str = ""
    area_kind: str = ""
    left: tuple[str, str] = ("", "")
    right: tuple[str, str] = ("", "")
    major: tuple[str, str] = ("", "")
    where: tuple[str, str] = ("", "")
    places: Path | None = None
    key: tuple[str, str] = ("", "")
    shrink: bool = False


def replace(
    s: Session,
    path: Path,
    order: Order,
    *,
    bounds: Box,
    by: Actor,
    at: datetime,
    max_rejected: int | None = None,
    told: Told = lambda done, of: None,
) -> Outcome:
    """Puts what the file at `path` holds in the place of what the kind held, and notes it in the log.

    Crossings follow the streets. A row whose id, or else number or words, is known keeps its identity; an
    asset that is gone is retired, since cases may point to it. `bounds` are the city file's: with the
    boundary, they tell a swapped latitude. Rows that cannot be taken go to a file beside the source. Raises
    Unusable, or TooManyRejected where there are more than `max_rejected`; both before anything is written.
    """
    outcome = Outcome()
    with _opened(path) as source:
        _check(order, source)
        side = SideFile(path.with_name(f"{path.name}.rejected.csv"), source.unit)
        layer = _Layer(s, order, source, side, outcome, max_rejected, told, _projection(order, source), at)
        try:
            located = layer.located(_shapes(order) if order.places else None)
            layer.judge(located, _box(s, bounds) if order.kind != "boundary" else bounds)
            _WRITERS[order.kind](layer, located)
        finally:
            outcome.side_file = side.close()
    facts = {"kind": order.kind, **outcome.counts()}
    events.record(s, f"layer:{order.kind}", "import", by=by, at=at, origin="import", facts=facts)
    return outcome


@contextmanager
def _opened(path: Path) -> Iterator[Source]:
    """A Shapefile, or whatever else `sources` reads."""
    if shapefiles.is_one(path):
        yield shapefiles.open_source(path)
    else:
        with sources.open_source(path, whole=True) as source:
            yield source


def _projection(order: Order, source: Source) -> Project:
    return projections.to_degrees(order.crs or source.crs, "--crs" if order.crs else source.path.name)


@dataclass
class _Located:
    """A row and its shape in degrees; `drawn` is the shape as the file has it."""

    row: Row
    ground: BaseGeometry
    drawn: BaseGeometry


@dataclass
class _Layer:
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
    seen: dict[Any, int] = field(default_factory=dict)
    ids: dict[str, tuple[int, Any]] = field(default_factory=dict)  # the register's id → line, what it said

    def reject(self, row: Row, reason: str) -> None:
        self.outcome.rejected += 1
        self.side.write(row, reason)
        if self.max_rejected is not None and self.outcome.rejected > self.max_rejected:
            raise TooManyRejected(self.outcome)

    def located(self, shapes: Mapping[str, BaseGeometry] | None) -> list[_Located]:
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
                self.side.write(row, "has no place")
            else:
                # The shapes of another file are in degrees already.
                there = ground if shapes is not None else self.to_degrees(ground)
                found.append(_Located(row, there, ground))
        if column and not self.outcome.read:
            raise Unusable("--where", f"no row has {wanted!r} in {column}")
        if not self.outcome.read:
            raise Unusable(self.source.path.name, "is empty: it has a head and no rows")
        return found

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
                return f"{shown(', '.join(given))} are no coordinates"
        ground = _shaped(row.geometry)
        if ground is None and self.order.kind not in ("addresses", "assets", "landmarks"):
            return "has no shape"
        return ground

    def judge(self, located: list[_Located], box: Box) -> None:
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

    def _misplaced(self, one: _Located, box: Box) -> str:
        """Why this cannot be in this city; "" where it can."""
        if not np.isfinite(shapely.get_coordinates(one.drawn)).all():
            return "has coordinates that are no numbers"
        if _within(box, one.ground):
            return ""
        corner = "{:.10g}, {:.10g}".format(*one.drawn.bounds)  # longitude or easting first
        if _within(box, self.to_degrees(projections.swapped(one.drawn))):
            return f"{corner} lies outside the city, and inside it with latitude and longitude swapped"
        if named := self.order.crs or self.source.crs:
            # The wrong system still gives degrees, of somewhere else.
            where = "in degrees already" if _within(box, one.drawn) else "nowhere near the city"
            return f"{corner} is {where}, read as {shown(named)}"
        if _on_earth(one.ground):
            return ""
        if _on_earth(projections.swapped(one.ground)):
            return f"{corner}: a latitude beyond 90; latitude and longitude are swapped"
        return f"{corner} is no degrees, perhaps feet or metres; {projections.HINT}"

    def text(self, row: Row, column: str) -> str:
        return " ".join(row.values.get(column, "").split()) if column else ""

    def surface(self, ground: BaseGeometry) -> BaseGeometry | None:
        """The polygons of a shape; what crosses itself is mended, and counted."""
        found = _surface(ground)
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
            self.reject(row, f"the id {shown(own)} has more than {LONGEST_ID} letters")
            return False
        line, before = self.ids.setdefault(own, (row.line, told))
        if before != told:
            twin = f"{self.source.unit} {line}"
            self.reject(row, f"the id {shown(own)} stands for another one already ({twin})")
        return bool(before == told)

    def once(self, key: Any, row: Row) -> bool:
        """Whether no row before was the same; one that was says nothing new, and counts as taken."""
        if key in self.seen:
            self.outcome.more["repeated"] = self.outcome.more.get("repeated", 0) + 1
            return False
        self.seen[key] = row.line
        return True


def _check(order: Order, source: Source) -> None:
    for option, column in (
        ("--name", order.name),
        ("--id", order.id),
        ("--number", order.number),
        ("--owner", order.owner),
        ("--street", order.street),
        ("--lat", order.lat),
        ("--lon", order.lon),
        *(("--left", column) for column in order.left),
        *(("--right", column) for column in order.right),
        ("--major", order.major[0]),
        ("--where", order.where[0]),
        ("--key", order.key[0]),
    ):
        if column:
            source.require(column, option)
    there = f"{source.path.name} has: {', '.join(source.columns) or 'no columns'}"
    if bool(order.lat) != bool(order.lon):
        raise Unusable("--lat, --lon", "both are needed, or neither")
    if bool(order.places) != bool(order.key[0]):
        raise Unusable("--places, --key", "both are needed, or neither")
    if source.unit == "line" and not order.lat and not order.places:
        raise Unusable(source.path.name, f"is a CSV: name --lat and --lon, or --places and --key. {there}")
    bare = order.kind == "areas" and order.area_kind in NAMELESS
    if order.kind in ("streets", "areas", "landmarks") and not order.name and not bare:
        raise Unusable("--name", f"is needed: the column that names them. {there}")
    if order.kind == "addresses" and not order.name and not (order.number and order.street):
        raise Unusable(
            "--name", f"is needed: the column with the whole address; or --number and --street. {there}"
        )
    if order.id and order.kind not in ("streets", "assets", "areas"):
        raise Unusable("--id", f"{order.kind} have none: they are known by what they say")
    if order.owner and order.owner_name:
        raise Unusable("--owner, --owner-name", "only one of them: a column, or one name for all")
    if order.kind == "assets" and order.asset not in ASSET_KINDS:
        raise Unusable("--asset", f"is needed: one of {', '.join(ASSET_KINDS)}")
    if order.kind == "assets" and not order.number:
        raise Unusable("--number", f"is needed: the column with the number of each. {there}")
    if order.kind in ("streets", "areas", "boundary") and (order.lat or source.unit == "line"):
        raise Unusable(
            source.path.name, f"{order.kind} are lines or shapes: a GeoJSON, TopoJSON or Shapefile is needed"
        )


def _shapes(order: Order) -> dict[str, BaseGeometry]:
    """A point for each key of the file of places: within the largest shape that bears it."""
    assert order.places is not None  # noqa: S101 says it to the type checker; _check refused otherwise
    largest: dict[str, BaseGeometry] = {}
    with _opened(order.places) as source:
        if source.unit == "line":
            raise Unusable(order.places.name, "has no shapes: a GeoJSON, TopoJSON or Shapefile is needed")
        column, to_degrees = source.require(order.key[1], "--key"), _projection(order, source)
        for row in source.rows:
            key, ground = row.values.get(column, ""), _shaped(row.geometry)
            if key and ground is not None and (key not in largest or ground.area > largest[key].area):
                largest[key] = ground
        return {key: to_degrees(ground.point_on_surface()) for key, ground in largest.items()}


def _shaped(geometry: dict[str, Any] | None) -> BaseGeometry | None:
    if not geometry:
        return None
    try:
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


def _box(s: Session, bounds: Box) -> Box:
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


def _write_streets(layer: _Layer, located: list[_Located]) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    owners: list[list[Any]] = []
    column, value = layer.order.major
    for one in located:
        lines = _lines(one.ground)
        if not lines:
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a line")
            continue
        name = layer.text(one.row, layer.order.name)
        kind = "avenue" if column and one.row.values.get(column, "") == value else "street"
        numbers = _numbers(layer, one.row)
        if isinstance(numbers, str):
            layer.reject(one.row, numbers)
            continue
        told: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "line": [list(line.coords) for line in lines],
            **numbers,
        }
        if not layer.identified(one.row, told):
            continue
        own: str | None = told["source_id"]
        keys: list[Any] = []
        longest = max(lines, key=lambda line: float(line.length))
        for line in lines:
            points = [[round(x, DIGITS), round(y, DIGITS)] for x, y in line.coords]
            part = own if own is None or not keys else f"{own} ({len(keys) + 1})"
            # Of a street in pieces nobody knows which number is where; the longest piece has most of them.
            bears = numbers if line is longest else dict.fromkeys(numbers)
            row = {
                "name": name, "norm": places.normal(name), "line": points, "kind": kind, "source_id": part,
                **bears,
            }  # fmt: skip
            keys.append(_key(row))
            if layer.once(keys[-1], one.row):
                rows[keys[-1]] = row
        owners.append(keys)
    known = _exchange(layer, Street, rows)
    _count(layer, owners, known)
    corners = {_key(row): row for row in _crossings(rows.values())}
    _exchange(layer, Crossing, corners, derived=True)
    layer.outcome.more["crossings"] = len(corners)


def _numbers(layer: _Layer, row: Row) -> dict[str, int | None] | str:
    """House numbers at the ends of a street's sides, none where they are 0 or less; or what is wrong."""
    found: dict[str, int | None] = {}
    for side, columns in (("left", layer.order.left), ("right", layer.order.right)):
        for end, column in zip(("from", "to"), columns, strict=True):
            text = layer.text(row, column) or "0"
            try:
                number = int(float(text))
            except (ValueError, OverflowError):
                return f"{column} is {shown(text)}, no house number"
            if number > HIGHEST_NUMBER:
                return f"{column} is {shown(text)}, no house number"
            found[f"{side}_{end}"] = number if number > 0 else None
    return found


def _write_landmarks(layer: _Layer, located: list[_Located]) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    owners: list[list[Any]] = []
    for one in located:
        name = layer.text(one.row, layer.order.name)
        if _is_line(one.ground) or not places.normal(name):
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a point" if name else "has no name")
            continue
        position = _position(one.ground)
        row = {"name": name, "lat": position["lat"], "lon": position["lon"]}
        owners.append([_key(row)])
        if layer.once(_key(row), one.row):
            rows[_key(row)] = row
    _count(layer, owners, _exchange(layer, Landmark, rows))


def _write_addresses(layer: _Layer, located: list[_Located]) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    owners: list[list[Any]] = []
    order = layer.order
    for one in located:
        number, street = layer.text(one.row, order.number), layer.text(one.row, order.street)
        label = layer.text(one.row, order.name) or (f"{number} {street}" if number and street else "")
        if _is_line(one.ground) or not places.normal(label):
            line = f"is a {one.ground.geom_type}, not a point"
            layer.reject(one.row, line if _is_line(one.ground) else "has no address")
            continue
        row = {"label": label, "norm": places.normal(label), **_position(one.ground)}
        owners.append([_key(row)])
        if layer.once(_key(row), one.row):
            rows[_key(row)] = row
    _count(layer, owners, _exchange(layer, Address, rows))


def _write_assets(layer: _Layer, located: list[_Located]) -> None:
    order = layer.order
    nearby = _Nearby(layer.s)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    taken: list[tuple[str, str]] = []
    for one in located:
        if _is_line(one.ground):
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a point")
            continue
        bare = layer.text(one.row, order.number)
        # In capitals, as a number is looked for.
        number = f"{order.prefix}{bare}".upper()
        if not bare or len(number) > 40:
            layer.reject(one.row, "has no number" if not bare else f"the number {shown(bare)} is too long")
            continue
        owner = layer.text(one.row, order.owner) if order.owner else order.owner_name
        if len(owner) > 80:
            layer.reject(one.row, f"the owner {shown(owner)} has more than 80 letters")
            continue
        position = _position(one.ground)
        words = layer.text(one.row, order.name) or nearby.words(Point(position["lat"], position["lon"]))
        row = {"number": number, "owner": owner, "address": words, **position}
        key = (owner, number)
        if not layer.identified(one.row, row):
            continue
        if key in rows and rows[key] != row:
            twin = f"{layer.source.unit} {layer.seen[key]}"
            layer.reject(one.row, f"the number {shown(bare)} stands for another one already ({twin})")
            continue
        taken.append(key)
        if layer.once(key, one.row):
            rows[key] = row
    _keep_assets(layer, rows, taken)


def _keep_assets(layer: _Layer, rows: Mapping[Any, dict[str, Any]], taken: Sequence[Any]) -> None:
    """Known things keep their row, so that cases go on pointing to it; what the register lost is retired."""
    difference = assets.compare(layer.s, layer.order.asset, list(rows.values()))
    _mind_shrinking(layer, difference.there, difference.there - len(difference.gone))
    for done in assets.write(layer.s, layer.order.asset, difference, at=layer.at):
        layer.told(done, len(difference.changed) + len(difference.new))
    for name, count in (("retired", len(difference.gone)), ("returned", difference.returned)):
        if count:
            layer.outcome.more[name] = count
    same = {(row["owner"], row["number"]) for row in difference.same}
    layer.outcome.unchanged += sum(key in same for key in taken)
    layer.outcome.imported += sum(key not in same for key in taken)


def _write_areas(layer: _Layer, located: list[_Located]) -> None:
    kind = layer.order.area_kind.strip().lower()
    kind = SAME_AREA.get(kind, kind) or "area"
    if kind == "boundary":
        raise Unusable("--area-kind", "the boundary has an import of its own: --kind boundary")
    rows: dict[Any, dict[str, Any]] = {}
    owners: list[list[Any]] = []
    for one in located:
        ground = one.ground if kind in LINES else layer.surface(one.ground)
        if ground is None:
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a surface")
            continue
        row = {"kind": kind, "name": layer.text(one.row, layer.order.name), "geometry": _geojson(ground)}
        if not layer.identified(one.row, row):
            continue
        owners.append([_key(row)])
        if layer.once(_key(row), one.row):
            rows[_key(row)] = row
    _count(layer, owners, _exchange(layer, Area, rows, kind))


def _write_boundary(layer: _Layer, located: list[_Located]) -> None:
    surfaces = []
    for one in located:
        surface = layer.surface(one.ground)
        if surface is None:
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a surface")
        else:
            surfaces.append((one.row, surface))
    if not surfaces:
        raise Unusable(layer.source.path.name, "has no surface that could be the city's boundary")
    names = [layer.text(row, layer.order.name) for row, _ in surfaces]
    whole = _surface(shapely.union_all([surface for _, surface in surfaces]))
    assert whole is not None  # noqa: S101 a union of surfaces is one
    row = {"kind": "boundary", "name": names[0], "geometry": _geojson(whole)}
    _count(layer, [[_key(row)]] * len(surfaces), _exchange(layer, Area, {_key(row): row}, "boundary"))


_WRITERS = {
    "streets": _write_streets,
    "addresses": _write_addresses,
    "assets": _write_assets,
    "landmarks": _write_landmarks,
    "areas": _write_areas,
    "boundary": _write_boundary,
}


def _mind_shrinking(layer: _Layer, there: int, left: int) -> None:
    """Raises Unusable where of the rows that are `there` few would be `left`: it may be the wrong file."""
    if there >= FEW and 2 * left < there and not layer.order.shrink:
        raise Unusable(
            layer.source.path.name,
            f"would leave {left} of the {there} {layer.order.kind} that are here. If that is meant: --shrink",
        )


def _exchange(
    layer: _Layer, table: Any, rows: Mapping[Any, dict[str, Any]], kind: str = "", *, derived: bool = False
) -> set[Any]:
    """Makes the table hold `rows` and nothing else (of the kind); returns the keys that it held before.

    A row is known by its `source_id`, or else by all that it says. What is `derived` from the rows of the
    file follows them. What is the same stays untouched, so that importing a file again writes nothing.
    """
    names = [name for name in next(iter(rows.values()), {}) if name != "source_id"]
    identified = hasattr(table, "source_id")
    asked = select(table.id, *(getattr(table, name) for name in names))
    if identified:
        asked = asked.add_columns(table.source_id)
    by_id: dict[str, tuple[int, Any]] = {}
    by_words: dict[Any, list[tuple[int, str | None]]] = {}
    there: set[int] = set()
    for row_id, *values in layer.s.execute(asked.where(table.kind == kind) if kind else asked):
        source_id = values.pop() if identified else None
        words = _key(dict(zip(names, values, strict=True)))
        there.add(row_id)
        by_words.setdefault(words, []).append((row_id, source_id))
        if source_id is not None:
            by_id[source_id] = (row_id, words)
    known: set[Any] = set()
    changed: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    left: set[int] = set()
    for key, row in rows.items():
        own, words = row.get("source_id"), _key({name: row[name] for name in names})
        if own is not None and own in by_id:
            row_id, was = by_id[own]
            if was == words:
                known.add(key)
            else:
                changed.append(row | {"id": row_id})
        else:
            free = (n for n in by_words.get(words, ()) if n[0] not in left and (own is None or n[1] is None))
            row_id, _ = next(free, (0, None))
            if not row_id:
                new.append(row)
                continue
            known.add(key)
            if own is not None:
                changed.append({"id": row_id, "source_id": own})
        left.add(row_id)
    gone = sorted(there - left)
    if not derived:
        _mind_shrinking(layer, len(there), len(left))
        if gone:
            layer.outcome.more["removed"] = len(gone)
    _delete(layer.s, table, gone)
    for row in changed:
        layer.s.execute(update(table).where(table.id == row.pop("id")).values(row))
    _insert(layer, table, new)
    return known


def _count(layer: _Layer, owners: Sequence[Sequence[Any]], known: set[Any]) -> None:
    """A row is unchanged where all that it told was there."""
    for keys in owners:
        if all(key in known for key in keys):
            layer.outcome.unchanged += 1
        else:
            layer.outcome.imported += 1


def _key(row: Mapping[str, Any]) -> Any:
    return tuple(
        json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
        for _, value in sorted(row.items())
    )


def _insert(layer: _Layer, table: Any, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), AT_ONCE):
        layer.s.execute(insert(table), rows[start : start + AT_ONCE])
        layer.told(min(start + AT_ONCE, len(rows)), len(rows))


def _delete(s: Session, table: Any, ids: Sequence[int]) -> None:
    for start in range(0, len(ids), 500):
        s.execute(delete(table).where(table.id.in_(ids[start : start + 500])))


def _lines(ground: BaseGeometry) -> list[LineString]:
    if isinstance(ground, LineString):
        return [ground]
    return list(ground.geoms) if isinstance(ground, MultiLineString) else []


def _surface(ground: BaseGeometry) -> BaseGeometry | None:
    """The polygons of a shape, mended where they cross themselves; None where there are none."""
    if not ground.is_valid:
        ground = shapely.make_valid(ground)
    parts = [part for part in getattr(ground, "geoms", [ground]) if part.geom_type.endswith("Polygon")]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _geojson(ground: BaseGeometry) -> dict[str, Any]:
    rounded = shapely.transform(ground, lambda xy: np.round(xy, DIGITS))
    told: dict[str, Any] = json.loads(json.dumps(mapping(rounded)))  # lists, as they come back
    return told


def _is_line(ground: BaseGeometry) -> bool:
    """A street, say, where things with a place are meant. A shape is none: a parcel has its address."""
    return ground.geom_type in ("LineString", "MultiLineString")


def _position(ground: BaseGeometry) -> dict[str, Any]:
    at = ground if isinstance(ground, ShapelyPoint) else ground.point_on_surface()
    point = Point(round(at.y, DIGITS), round(at.x, DIGITS))
    return {"lat": point.lat, "lon": point.lon, "cell": geo.cell(point)}


def _crossings(streets: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Where lines of different names meet; points near each other are one corner.

    Flat: a bridge over a street meets it too, since the lines do not say which is above.
    """
    named = [street for street in streets if street["norm"]]
    if not named:
        return
    wide = math.cos(math.radians(named[0]["line"][0][1])) * geo.METRES_A_DEGREE
    scale = np.array([wide, geo.METRES_A_DEGREE])
    lines = np.array([LineString(np.array(street["line"]) * scale) for street in named], dtype=object)
    tree = STRtree(lines)
    one, other = tree.query(lines, predicate="dwithin", distance=MEET_METRES)
    corners: dict[str, list[ShapelyPoint]] = {}
    labels: dict[str, str] = {}
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        if a < b and named[a]["norm"] != named[b]["norm"]:
            norm = places.crossing(named[a]["name"], named[b]["name"])
            labels.setdefault(norm, f"{named[a]['name']} & {named[b]['name']}")
            corners.setdefault(norm, []).extend(_meeting(lines[a], lines[b]))
    for norm, points in sorted(corners.items()):
        for point in _apart(points):
            lon, lat = np.array([point.x, point.y]) / scale
            yield {
                "label": labels[norm],
                "norm": norm,
                "lat": round(float(lat), DIGITS),
                "lon": round(float(lon), DIGITS),
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


class _Nearby:
    """Words for a point: the nearest address within 80 m, else the nearest street that has a name."""

    def __init__(self, s: Session) -> None:
        self._addresses = list(
            s.execute(select(Address.label, Address.lat, Address.lon).order_by(Address.id))
        )
        streets = s.execute(select(Street.name, Street.line).where(Street.name != "").order_by(Street.id))
        self._streets = [(name, LineString(line)) for name, line in streets]
        self._near_addresses = STRtree([ShapelyPoint(lon, lat) for _, lat, lon in self._addresses])
        self._near_streets = STRtree([line for _, line in self._streets])

    def words(self, point: Point) -> str:
        at = ShapelyPoint(point.lon, point.lat)
        if self._addresses:
            label, lat, lon = self._addresses[int(self._near_addresses.nearest(at))]
            if geo.distance(point, Point(lat, lon)) <= places.NEAR_METRES:
                return str(label)
        if self._streets:
            name, line = self._streets[int(self._near_streets.nearest(at))]
            there = line.interpolate(line.project(at))
            if geo.distance(point, Point(there.y, there.x)) <= places.NEAR_METRES:
                return str(name)
        return ""
