"""What a layer's file holds and which of its columns mean what, checked against the file itself."""

from dataclasses import dataclass
from pathlib import Path

from city.config.city_file import ASSET_KINDS
from city.imports.readers import Source, Unusable

NAMELESS = ("water", "park", "rail")  # areas that are drawn without a name as well


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


def check(order: Order, source: Source) -> None:
    """Raises Unusable where an option is missing, fits no other, or names a column that is not there."""
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
        raise Unusable("--lat, --lon", "use both, or neither")
    if bool(order.places) != bool(order.key[0]):
        raise Unusable("--places, --key", "use both, or neither")
    if source.unit == "line" and not order.lat and not order.places:
        raise Unusable(source.path.name, f"is a CSV. Add --lat and --lon, or --places and --key. {there}")
    bare = order.kind == "areas" and order.area_kind in NAMELESS
    if order.kind in ("streets", "areas", "landmarks") and not order.name and not bare:
        raise Unusable("--name", f"is needed: the column that names them. {there}")
    if order.kind == "addresses" and not order.name and not (order.number and order.street):
        raise Unusable(
            "--name", f"is needed: the column with the whole address. Or use --number and --street. {there}"
        )
    if order.id and order.kind not in ("streets", "assets", "areas"):
        raise Unusable("--id", f"{order.kind} don't have IDs. Leave it out")
    if order.owner and order.owner_name:
        raise Unusable("--owner, --owner-name", "use only one: a column, or one name for all")
    if order.kind == "assets" and order.asset not in ASSET_KINDS:
        raise Unusable("--asset", f"is needed: one of {', '.join(ASSET_KINDS)}")
    if order.kind == "assets" and not order.number:
        raise Unusable("--number", f"is needed: the column with the number of each. {there}")
    if order.kind in ("streets", "areas", "boundary") and (order.lat or source.unit == "line"):
        raise Unusable(
            source.path.name, f"{order.kind} are lines or shapes. Use a GeoJSON, TopoJSON, or Shapefile"
        )
