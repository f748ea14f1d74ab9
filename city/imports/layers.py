"""The ground of a real city: streets, addresses, assets and areas taken from files, each kind as a whole."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from shapely.geometry import LineString, MultiLineString, mapping
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry.base import BaseGeometry
from sqlalchemy import delete, insert, null, select, update
from sqlalchemy.orm import Session

from city import geo
from city.audit import events
from city.audit.events import Actor
from city.db.models import Address, Area, Intersection, Landmark, Street
from city.geo import Box, Point
from city.imports import layer_columns
from city.imports.layer_columns import Order as Order
from city.imports.layer_rows import Located, Run, city_box, opened, places_of, projection, surface_of
from city.imports.readers import Outcome, Row, SideFile, Told, Unusable, shown
from city.places import assets, intersections, lookup, reverse_geocoder

# Words of other systems for what the base map knows as an area.
SAME_AREA: Final = {"neighborhood": "area", "neighbourhood": "area"}
LINES = ("rail",)  # areas that are lines
AT_ONCE = 2000
HIGHEST_NUMBER = 999_999
FEW = 20  # rows of a layer that may go without a question


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
    with opened(path) as source:
        layer_columns.check(order, source)
        side = SideFile(path.with_name(f"{path.name}.rejected.csv"), source.unit)
        layer = Run(s, order, source, side, outcome, max_rejected, told, projection(order, source), at)
        try:
            located = layer.located(places_of(order) if order.places else None)
            layer.judge(located, city_box(s, bounds) if order.kind != "boundary" else bounds)
            _WRITERS[order.kind](layer, located)
        finally:
            outcome.side_file = side.close()
    facts = {"kind": order.kind, **outcome.counts()}
    events.record(s, f"layer:{order.kind}", "import", by=by, at=at, origin="import", facts=facts)
    return outcome


def _write_streets(layer: Run, located: list[Located]) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    came_to: list[list[Any]] = []
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
            points = [[round(x, geo.DIGITS), round(y, geo.DIGITS)] for x, y in line.coords]
            part = own if own is None or not keys else f"{own} ({len(keys) + 1})"
            # Of a street in pieces nobody knows which number is where; the longest piece has most of them.
            bears = numbers if line is longest else dict.fromkeys(numbers)
            row = {"name": name, "line": points, "kind": kind, "source_id": part, **bears}
            keys.append(_key(row))
            if layer.once(keys[-1], one.row):
                rows[keys[-1]] = row
        came_to.append(keys)
    known = _exchange(layer, Street, rows)
    _count(layer, came_to, known)
    corners = {_key(row): row for row in intersections.corners(rows.values())}
    _exchange(layer, Intersection, corners, derived=True)
    layer.outcome.more["crossings"] = len(corners)


def _numbers(layer: Run, row: Row) -> dict[str, int | None] | str:
    """House numbers at the ends of a street's sides, none where they are 0 or less; or what is wrong."""
    found: dict[str, int | None] = {}
    for side, columns in (("left", layer.order.left), ("right", layer.order.right)):
        for end, column in zip(("from", "to"), columns, strict=True):
            text = layer.text(row, column) or "0"
            try:
                number = int(float(text))
            except (ValueError, OverflowError):
                return f"{column} is {shown(text)}, which isn't a house number"
            if number > HIGHEST_NUMBER:
                return f"{column} is {shown(text)}, which isn't a house number"
            found[f"{side}_{end}"] = number if number > 0 else None
    return found


def _write_landmarks(layer: Run, located: list[Located]) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    came_to: list[list[Any]] = []
    for one in located:
        name = layer.text(one.row, layer.order.name)
        if _is_line(one.ground) or not lookup.normal(name):
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a point" if name else "has no name")
            continue
        position = _position(one.ground)
        row = {"name": name, "lat": position["lat"], "lon": position["lon"]}
        came_to.append([_key(row)])
        if layer.once(_key(row), one.row):
            rows[_key(row)] = row
    _count(layer, came_to, _exchange(layer, Landmark, rows))


def _write_addresses(layer: Run, located: list[Located]) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    came_to: list[list[Any]] = []
    order = layer.order
    for one in located:
        number, street = layer.text(one.row, order.number), layer.text(one.row, order.street)
        label = layer.text(one.row, order.name) or (f"{number} {street}" if number and street else "")
        if _is_line(one.ground) or not lookup.normal(label):
            line = f"is a {one.ground.geom_type}, not a point"
            layer.reject(one.row, line if _is_line(one.ground) else "has no address")
            continue
        row = {"label": label, **_position(one.ground)}
        came_to.append([_key(row)])
        if layer.once(_key(row), one.row):
            rows[_key(row)] = row
    _count(layer, came_to, _exchange(layer, Address, rows))


def _write_assets(layer: Run, located: list[Located]) -> None:
    order = layer.order
    atlas = lookup.gazetteer(layer.s).atlas
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    taken: list[tuple[str, str]] = []
    for one in located:
        if _is_line(one.ground):
            layer.reject(one.row, f"is a {one.ground.geom_type}, not a point")
            continue
        bare = layer.text(one.row, order.number)
        number = _number(order, bare)
        if not bare or len(number) > 40:
            layer.reject(one.row, "has no number" if not bare else f"the number {shown(bare)} is too long")
            continue
        owner = layer.text(one.row, order.owner) if order.owner else order.owner_name
        if len(owner) > 80:
            layer.reject(one.row, f"the owner {shown(owner)} has more than 80 characters")
            continue
        position = _position(one.ground)
        near = reverse_geocoder.describe_point(atlas, Point(position["lat"], position["lon"]))
        words = layer.text(one.row, order.name) or (near.words if near else "")
        row = {"number": number, "owner": owner, "address": words, **position}
        key = (owner, number)
        if not layer.identified(one.row, row):
            continue
        if key in rows and rows[key] != row:
            twin = f"{layer.source.unit} {layer.seen[key]}"
            layer.reject(one.row, f"the number {shown(bare)} is already used ({twin})")
            continue
        taken.append(key)
        if layer.once(key, one.row):
            rows[key] = row
    _keep_assets(layer, rows, taken)


def _number(order: Order, bare: str) -> str:
    """In capitals, as a number is looked for."""
    return f"{order.prefix}{bare}".upper()


def _keep_assets(layer: Run, rows: Mapping[Any, dict[str, Any]], taken: Sequence[Any]) -> None:
    """Known things keep their row, so that cases go on pointing to it; what the register lost is retired."""
    unread = {_number(layer.order, layer.text(row, layer.order.number)) for row in layer.left}
    difference = assets.compare(layer.s, layer.order.asset, list(rows.values()), unread=unread)
    _mind_shrinking(layer, difference.there, difference.there - len(difference.gone), len(rows))
    for done in assets.write(layer.s, layer.order.asset, difference, at=layer.at):
        layer.told(done, len(difference.changed) + len(difference.new))
    for name, count in (("retired", len(difference.gone)), ("returned", difference.returned)):
        if count:
            layer.outcome.more[name] = count
    same = {(row["owner"], row["number"]) for row in difference.same}
    layer.outcome.unchanged += sum(key in same for key in taken)
    layer.outcome.imported += sum(key not in same for key in taken)


def _write_areas(layer: Run, located: list[Located]) -> None:
    kind = layer.order.area_kind.strip().lower()
    kind = SAME_AREA.get(kind, kind) or "area"
    if kind == "boundary":
        raise Unusable("--area-kind", "import the boundary separately with --kind boundary")
    rows: dict[Any, dict[str, Any]] = {}
    came_to: list[list[Any]] = []
    for one in located:
        ground = one.ground if kind in LINES else layer.surface(one.ground)
        if ground is None:
            layer.reject(one.row, f"is a {one.ground.geom_type}, not an area")
            continue
        row = {"kind": kind, "name": layer.text(one.row, layer.order.name), "geometry": _geojson(ground)}
        if not layer.identified(one.row, row):
            continue
        came_to.append([_key(row)])
        if layer.once(_key(row), one.row):
            rows[_key(row)] = row
    _count(layer, came_to, _exchange(layer, Area, rows, kind))


def _write_boundary(layer: Run, located: list[Located]) -> None:
    surfaces = []
    for one in located:
        surface = layer.surface(one.ground)
        if surface is None:
            layer.reject(one.row, f"is a {one.ground.geom_type}, not an area")
        else:
            surfaces.append((one.row, surface))
    if not surfaces:
        raise Unusable(layer.source.path.name, "has no area that could be the city boundary")
    names = [layer.text(row, layer.order.name) for row, _ in surfaces]
    whole = surface_of(shapely.union_all([surface for _, surface in surfaces]))
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


def _mind_shrinking(layer: Run, there: int, left: int, taken: int) -> None:
    """Raises Unusable where of the rows that are `there` few would be `left`: it may be the wrong file.

    A layer of a few rows may become another one, but not nothing: `taken` is how many the file brings.
    """
    may = layer.order.shrink or 2 * left >= there or (there < FEW and taken)
    if not may:
        raise Unusable(
            layer.source.path.name,
            f"would leave {left} of the {there} {layer.order.kind} here now. If you want that, add --shrink",
        )


class _Held(NamedTuple):
    """A row of a table: all that it says, as a key, and what its source calls it."""

    id: int
    words: Any
    source_id: str | None


def _exchange(
    layer: Run, table: Any, rows: Mapping[Any, dict[str, Any]], kind: str = "", *, derived: bool = False
) -> set[Any]:
    """Makes the table hold `rows` and nothing else (of the kind); returns the keys that it held before.

    A row is known by its `source_id`, or else by all that it says. What is `derived` from the rows of the
    file follows them. What is the same stays untouched, so that importing a file again writes nothing.
    """
    names = [name for name in next(iter(rows.values()), {}) if name != "source_id"]
    held = _held(layer.s, table, names, kind)
    by_id: dict[str | None, _Held] = {row.source_id: row for row in held if row.source_id is not None}
    by_words: dict[Any, list[_Held]] = {}
    for there in held:
        by_words.setdefault(there.words, []).append(there)
    known: set[Any] = set()
    stays: set[int] = set()
    changed: list[tuple[int, dict[str, Any]]] = []
    new: list[dict[str, Any]] = []
    for key, row in rows.items():
        own, words = row.get("source_id"), _key({name: row[name] for name in names})
        alike = (
            each
            for each in by_words.get(words, ())
            if each.id not in stays and (own is None or each.source_id is None)
        )
        was = by_id.get(own) or next(alike, None)
        if was is None:
            new.append(row)
            continue
        stays.add(was.id)
        if was.words == words:
            known.add(key)
        if was.words != words or own not in (None, was.source_id):
            changed.append((was.id, row))
    gone = sorted({row.id for row in held} - stays)
    if not derived:
        _mind_shrinking(layer, len(held), len(stays), len(rows))
        if gone:
            layer.outcome.more["removed"] = len(gone)
    _delete(layer.s, table, gone)
    for row_id, row in changed:
        layer.s.execute(update(table).where(table.id == row_id).values(row))
    _insert(layer, table, new)
    return known


def _held(s: Session, table: Any, names: Sequence[str], kind: str) -> list[_Held]:
    called = table.source_id if hasattr(table, "source_id") else null()
    asked = select(table.id, called, *(getattr(table, name) for name in names))
    return [
        _Held(row_id, _key(dict(zip(names, values, strict=True))), source_id)
        for row_id, source_id, *values in s.execute(asked.where(table.kind == kind) if kind else asked)
    ]


def _count(layer: Run, came_to: Sequence[Sequence[Any]], known: set[Any]) -> None:
    """Of each of the file's rows the keys that it came to: it is unchanged where all of them were there."""
    for keys in came_to:
        if all(key in known for key in keys):
            layer.outcome.unchanged += 1
        else:
            layer.outcome.imported += 1


def _key(row: Mapping[str, Any]) -> Any:
    return tuple(
        json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
        for _, value in sorted(row.items())
    )


def _insert(layer: Run, table: Any, rows: list[dict[str, Any]]) -> None:
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


def _geojson(ground: BaseGeometry) -> dict[str, Any]:
    rounded = shapely.transform(ground, lambda xy: np.round(xy, geo.DIGITS))
    told: dict[str, Any] = json.loads(json.dumps(mapping(rounded)))  # lists, as they come back
    return told


def _is_line(ground: BaseGeometry) -> bool:
    """A street, say, where things with a place are meant. A shape is none: a parcel has its address."""
    return ground.geom_type in ("LineString", "MultiLineString")


def _position(ground: BaseGeometry) -> dict[str, Any]:
    at = ground if isinstance(ground, ShapelyPoint) else ground.point_on_surface()
    point = Point(round(at.y, geo.DIGITS), round(at.x, geo.DIGITS))
    return {"lat": point.lat, "lon": point.lon, "cell": geo.cell(point)}
