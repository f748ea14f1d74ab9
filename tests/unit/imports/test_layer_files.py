"""Files that layers come in: TopoJSON, Shapefiles and coordinate systems; and those made to hurt."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pyproj
import pytest
import shapely
from factories import Town
from ground import feature, geojson, names, packed, point, put, shapes, side_lines, table
from shapely.geometry import shape
from sqlalchemy import delete, select

from city.db import engine as db
from city.db.models import Address, Area, Asset
from city.geo import Box
from city.imports import readers, topojson
from city.imports.layers import Order
from city.imports.readers import Unusable

WARDS = Order("areas", name="NAME", area_kind="ward")
FEET = pyproj.CRS("EPSG:2234").to_wkt("WKT1_ESRI")
TO_FEET = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:2234", always_xy=True)
PORT = [(-71.21, 39.59), (-71.21, 39.61), (-71.19, 39.61), (-71.19, 39.59), (-71.21, 39.59)]
HILL = [(x + 0.02, y) for x, y in PORT]
NEW_HAVEN = Box(41.2, -73.05, 41.4, -72.8)


def test_a_topojson_is_a_layer_and_one_of_its_objects_can_be_named(town: Town, tmp_path: Path) -> None:
    file = topology(tmp_path)
    assert put(town, file, WARDS).read == 4
    outcome = put(town, file, Order("areas", name="NAME", area_kind="ward", where=("object", "wards")))
    assert (outcome.read, outcome.unchanged) == (2, 2)
    with db.read_session(town.engine) as s:
        held = dict(s.execute(select(Area.name, Area.geometry).where(Area.kind == "ward")).all())
    assert held.keys() == {"East", "West"}
    assert shape(held["West"]).bounds == pytest.approx((-71.2, 39.6, -71.199, 39.601))


def test_points_of_a_topojson_are_assets(town: Town, tmp_path: Path) -> None:
    poles = Order("assets", asset="pole", number="NAME", where=("object", "poles"))
    put(town, topology(tmp_path), poles)
    with db.read_session(town.engine) as s:
        assert s.execute(select(Asset.number, Asset.lat, Asset.lon)).all() == [("L-1", 39.605, -71.195)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arcs": [[[0, 0], [1]]]}, "arc 1: not enough values to unpack"),
        ({"arcs": None}, "the file: has no list of arcs"),
        (
            {"objects": {"wards": {"type": "Polygon", "arcs": [[7]]}}},
            "object 'wards', geometry 1: list index",
        ),
        ({"objects": {"wards": {"type": "GeometryCollection"}}}, "object 'wards': has no list of geometries"),
        ({"objects": [1]}, "its objects: "),
    ],
)
def test_a_broken_topojson_is_refused_with_its_place(
    town: Town, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    file = topology(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(Unusable) as refused:
        put(town, file, WARDS)
    assert f"city.topojson: is a broken TopoJSON ({said}" in str(refused.value)


def test_a_topojson_that_names_one_arc_a_million_times_is_refused(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topojson, "MOST_POINTS", 1000)
    file = topology(tmp_path)
    top = json.loads(file.read_text())
    top["objects"] = {"bomb": {"type": "MultiLineString", "arcs": [[0]] * 2000}}
    file.write_text(json.dumps(top))
    with pytest.raises(Unusable, match=r"object 'bomb', geometry 1: .* more than 1,000 points"):
        put(town, file, WARDS)


@pytest.mark.parametrize("below", ["", "data/", "../../etc/"])
def test_a_shapefile_in_feet_lands_where_it_is(town: Town, tmp_path: Path, below: str) -> None:
    file = shapes(tmp_path, in_feet(PORT), in_feet(HILL), prj=FEET)
    assert put(town, file, WARDS).imported == 2
    assert put(town, packed(file, below=below), WARDS).unchanged == 2
    with db.read_session(town.engine) as s:
        held = dict(s.execute(select(Area.name, Area.geometry).where(Area.kind == "ward")).all())
    assert shape(held["Old Port"]).bounds == pytest.approx((-71.21, 39.59, -71.19, 39.61), abs=1e-5)


def test_a_shapefile_without_prj_is_in_degrees_or_is_told_its_system(town: Town, tmp_path: Path) -> None:
    assert put(town, shapes(tmp_path, PORT), WARDS).imported == 1
    file = shapes(tmp_path, in_feet(PORT))
    with pytest.raises(
        Unusable, match=r"feature 1: .* isn't in degrees, but perhaps in feet or meters. Name"
    ):
        put(town, file, WARDS)
    named = Order("areas", name="NAME", area_kind="ward", crs="EPSG:2234")
    assert put(town, file, named).read == 1
    with db.read_session(town.engine) as s:
        held = s.scalars(select(Area.geometry).where(Area.kind == "ward")).one()
    assert shape(held).bounds == pytest.approx((-71.21, 39.59, -71.19, 39.61), abs=1e-5)


@pytest.mark.parametrize(
    ("encoding", "cpg"),
    [("utf-8", ""), ("cp1252", "ANSI 1252"), ("latin-1", "ISO 8859-1"), ("utf-8", "UTF-8")],
)
def test_letters_of_a_shapefile_are_read_as_it_says(
    town: Town, tmp_path: Path, encoding: str, cpg: str
) -> None:
    put(town, shapes(tmp_path, PORT, names=["Cañón"], cpg=cpg, encoding=encoding), WARDS)
    assert "Cañón" in names(town, Area.name)


def test_letters_that_cannot_be_read_are_told(town: Town, tmp_path: Path) -> None:
    old = shapes(tmp_path, PORT, names=["Cañón"], encoding="latin-1")
    with pytest.raises(Unusable, match=r"city.shp feature 1: its text isn't utf-8. Put .* a .cpg"):
        put(town, old, WARDS)
    odd = shapes(tmp_path, PORT, cpg="Klingon")
    with pytest.raises(Unusable, match=r"its .cpg: names 'Klingon', which isn't a known encoding"):
        put(town, odd, WARDS)
    with pytest.raises(Unusable, match=r"its .cpg: names 'UTF-8"):
        put(town, shapes(tmp_path, PORT, cpg="UTF-8\0"), WARDS)


def test_parts_of_a_shapefile_that_are_missing_are_named(town: Town, tmp_path: Path) -> None:
    file = shapes(tmp_path, PORT, HILL)
    whole, dbf = file.read_bytes(), file.with_suffix(".dbf")
    with pytest.raises(Unusable, match=r"city.zip: has no .dbf next to it"):
        put(town, packed(file, ".shp"), WARDS)
    with pytest.raises(Unusable, match=r"city.zip: must contain one .shp. It contains: none"):
        put(town, packed(file, ".dbf"), WARDS)
    shapes(tmp_path, PORT)
    file.write_bytes(whole)
    with pytest.raises(Unusable, match=r"city.shp feature 2: the .dbf ends before the .shp does"):
        put(town, file, WARDS)
    dbf.unlink()
    with pytest.raises(Unusable, match=r"city.shp: has no .dbf next to it"):
        put(town, file, WARDS)
    assert names(town, Area.name) == ["Town"]


@pytest.mark.parametrize("cut", [1, 50, 101, 150, -9])
def test_a_shapefile_that_is_cut_off_is_refused(town: Town, tmp_path: Path, cut: int) -> None:
    file = shapes(tmp_path, PORT)
    file.write_bytes(b"\0\0\x27\x0a" + file.read_bytes()[4:][:cut])
    with pytest.raises(Unusable, match=r"city.shp feature 1: |is empty: it has no shapes"):
        put(town, file, WARDS)
    assert names(town, Area.name) == ["Town"]


@pytest.mark.parametrize(
    ("prj", "said"),
    [
        (
            "PROJCS[rubbish",
            "city.shp: the coordinate system 'PROJCS[rubbish' isn't known. Name the coordinate system",
        ),
        ('{"type":"BoundCRS","source_crs":' * 2_000, "isn't known. Name the coordinate system"),
        (
            '{"type":"BoundCRS","source_crs":' * 20_000,
            "city.prj: is larger than 64 KB. Is it the right file?",
        ),
        (
            'LOCAL_CS["Harbor",UNIT["m",1]]',
            "isn't known. Name the coordinate system, for example --crs EPSG:2234",
        ),
    ],
)
def test_a_prj_that_nobody_knows_is_told(town: Town, tmp_path: Path, prj: str, said: str) -> None:
    with pytest.raises(Unusable) as refused:
        put(town, shapes(tmp_path, PORT, prj=prj), WARDS)
    assert said in str(refused.value)


def test_a_zip_made_to_hurt_is_refused(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(shapes(tmp_path, PORT))
    for name in ("more.shp", "again/more.shp"):
        with zipfile.ZipFile(file, "a") as out:
            out.writestr(name, b"x")
    with pytest.raises(Unusable, match=r"must contain one .shp. It contains: 'city.shp', 'more.shp'"):
        put(town, file, WARDS)
    monkeypatch.setattr(readers, "MOST_BYTES", 50_000)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("city.shp", b"\0" * 1_000_000)
        out.writestr("city.dbf", b"")
    with pytest.raises(Unusable, match=r"city.zip: city.shp: is larger than 0 MB. Crop it to the city first"):
        put(town, file, WARDS)
    cut = file.read_bytes()[:-30]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as out:
        out.writestr("city.shp", b"\0" * 1_000)
    for broken in (cut, file.read_bytes().replace(b"BZh", b"BZx")):
        file.write_bytes(broken)
        with pytest.raises(Unusable, match=r"is a .zip that can't be read"):
            put(town, file, WARDS)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("end", [".dbf", ".prj", ".cpg"])
def test_of_two_parts_of_one_kind_none_is_guessed(town: Town, tmp_path: Path, end: str, zipped: bool) -> None:
    file = shapes(tmp_path, PORT, prj=FEET, cpg="UTF-8")
    upper = file.with_suffix(end.upper())
    upper.write_bytes(file.with_suffix(end).read_bytes())
    if zipped:
        file = packed(file, ".shp", *sorted({".dbf", end}), end.upper())
    with pytest.raises(Unusable, match=rf"has two parts {end}: 'city.* and 'city.*. Keep only the right one"):
        put(town, file, WARDS)


def test_a_second_index_hurts_nobody_since_none_is_read(town: Town, tmp_path: Path) -> None:
    file = shapes(tmp_path, PORT)
    file.with_suffix(".SHX").write_bytes(b"another")
    assert put(town, file, WARDS).imported == 1
    assert put(town, packed(file, ".shp", ".dbf", ".shx", ".SHX"), WARDS).unchanged == 1


def test_parts_of_a_zip_count_together(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOST_BYTES", 3_000_000)
    file = tmp_path / "city.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for end in ("shp", "dbf"):
            out.writestr(f"city.{end}", b"\0" * 2_000_000)
    said = r"city.zip: city.dbf: is larger than 3 MB together with the other parts. Crop it to the city first"
    with pytest.raises(Unusable, match=said):
        put(town, file, WARDS)


@pytest.mark.parametrize("name", ["city.shx", "city.shp"])
@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_a_damaged_part_or_name_is_refused(
    town: Town, tmp_path: Path, packing: int, name: str
) -> None:
    file = packed(shapes(tmp_path, PORT))
    with zipfile.ZipFile(file) as there:
        parts = {each: there.read(each) for each in there.namelist()}
    with zipfile.ZipFile(file, "w", packing) as out:
        for each, data in parts.items():
            out.writestr(each, data)
    whole = file.read_bytes()
    if name == "city.shp":  # its packed bytes
        start = whole.index(b"city.shp") + len(name) + 8
        file.write_bytes(whole[:start] + b"\xff" * 40 + whole[start + 40 :])
    else:  # a name in the directory that is no text
        start = whole.rindex(b"PK\x01\x02")
        file.write_bytes(
            whole[: start + 9] + b"\x08" + whole[start + 10 : start + 46] + b"\xff" + whole[start + 47 :]
        )
    with pytest.raises(Unusable, match=r"is a .zip that can't be read"):
        put(town, file, WARDS)


def test_a_huge_shapefile_is_refused_before_it_is_read(town: Town, tmp_path: Path) -> None:
    file = shapes(tmp_path, PORT)
    with file.open("r+b") as hole:  # takes no room on the disk
        hole.truncate(1_000_000_000)
    with pytest.raises(Unusable, match=r"city.shp: is larger than 268 MB"):
        put(town, file, WARDS)


def test_a_geojson_says_its_coordinate_system_itself(town: Town, tmp_path: Path) -> None:
    feet = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2234"}}
    poles = Order("assets", asset="pole", number="POLE")
    east, north = TO_FEET.transform(-71.2, 39.6)
    put(town, geojson(tmp_path, point("1", north, east), crs=feet), poles)
    with db.read_session(town.engine) as s:
        assert s.execute(select(Asset.lat, Asset.lon)).one() == pytest.approx((39.6, -71.2), abs=1e-5)
    link = {"type": "link", "properties": {"href": "https://example.org/crs"}}
    with pytest.raises(Unusable, match=r"the coordinate system .*example.org.* isn't known"):
        put(town, geojson(tmp_path, point("1", north, east), crs=link), poles)


def test_a_table_in_feet_is_placed_and_one_with_swapped_columns_is_told(town: Town, tmp_path: Path) -> None:
    east, north = TO_FEET.transform(-71.2, 39.6)
    file = table(tmp_path, *({"A": f"{n} Elm St", "Y": north + n, "X": east} for n in range(3)))
    put(town, file, Order("addresses", name="A", lat="Y", lon="X", crs="EPSG:2234"))
    with db.read_session(town.engine) as s:
        assert s.scalars(select(Address.lat).order_by(Address.id)).first() == pytest.approx(39.6, abs=1e-5)
    with pytest.raises(Unusable, match=r"line 2: .* inside it with latitude and longitude swapped \(3 of 3"):
        put(town, file, Order("addresses", name="A", lat="X", lon="Y", crs="EPSG:2234"))
    far = table(tmp_path, *({"A": f"{n} Elm St", "Y": 1e15, "X": 1e15} for n in range(3)))
    with pytest.raises(Unusable, match=r"1e\+15, 1e\+15 is nowhere near the city when read as 'EPSG:2234'"):
        put(town, far, Order("addresses", name="A", lat="Y", lon="X", crs="EPSG:2234"))
    with pytest.raises(Unusable, match=r"--crs: the coordinate system 'EPSG:1' isn't known"):
        put(town, file, Order("addresses", name="A", lat="Y", lon="X", crs="EPSG:1"))


def test_a_coordinate_that_is_no_number_is_rejected_with_its_row(town: Town, tmp_path: Path) -> None:
    rows = [{"A": f"{n} Elm St", "Y": 39.6, "X": -71.2} for n in range(3)]
    rows[1]["Y"] = "nan"
    file = table(tmp_path, *rows)
    assert put(town, file, Order("addresses", name="A", lat="Y", lon="X")).rejected == 1
    assert side_lines(file) == [("3", "has coordinates that aren't numbers")]


def test_a_shape_with_a_corner_that_is_no_number_is_rejected(town: Town, tmp_path: Path) -> None:
    file = shapes(tmp_path, [*PORT[:2], (float("nan"), 39.6), *PORT[2:]], HILL)
    assert put(town, file, WARDS).rejected == 1
    assert side_lines(file) == [("1", "has coordinates that aren't numbers")]


@pytest.mark.parametrize("far", [200.0, 1e300])
def test_a_shape_with_a_corner_that_is_not_on_earth_is_rejected(
    town: Town, tmp_path: Path, far: float
) -> None:
    slip = [*PORT[:2], (far, 39.6), *PORT[2:]]
    file = geojson(tmp_path, feature("Polygon", [slip], NAME="Slip"), feature("Polygon", [HILL], NAME="Hill"))
    assert put(town, file, WARDS).rejected == 1
    assert side_lines(file) == [("1", "has a corner that isn't on Earth: check its coordinates")]


def test_what_crosses_itself_is_mended_and_counted(town: Town, tmp_path: Path) -> None:
    bow = [(-71.2, 39.6), (-71.19, 39.61), (-71.19, 39.6), (-71.2, 39.61), (-71.2, 39.6)]
    file = geojson(tmp_path, feature("Polygon", [bow], NAME="Bow"), feature("Polygon", [PORT], NAME="Port"))
    assert put(town, file, WARDS).more["mended"] == 1
    with db.read_session(town.engine) as s:
        kept = s.scalars(select(Area.geometry).where(Area.name == "Bow")).one()
    assert shape(kept).is_valid


@pytest.mark.slow
def test_the_wards_of_a_real_city_come_out_of_feet(town: Town, real_data: Path, tmp_path: Path) -> None:
    for part in (real_data / "geo" / "newhaven_ct" / "wards_2012_shp").iterdir():
        (tmp_path / part.name).symlink_to(part)
    with db.transaction(town.engine) as s:
        s.execute(delete(Area))  # another city lies here
    order = Order("areas", name="Wards_desc", area_kind="ward")
    outcome = put(town, tmp_path / "Ward_2012_Poly.shp", order, bounds=NEW_HAVEN)
    assert (outcome.read, outcome.imported, outcome.rejected) == (30, 30, 0)
    with db.read_session(town.engine) as s:
        held = [shape(area) for area in s.scalars(select(Area.geometry).where(Area.kind == "ward"))]
    bounds = shapely.total_bounds(held)
    assert (41.2, -73.0) < (bounds[1], bounds[0]) < (bounds[3], bounds[2]) < (41.4, -72.8)
    green = shape({"type": "Point", "coordinates": [-72.9264, 41.3082]})  # the Green, in the middle of town
    assert sum(ward.contains(green) for ward in held) == 1


def topology(folder: Path) -> Path:
    """Two wards that share an edge, a street and a pole; whole steps of 0.001 degrees."""
    file = folder / "city.topojson"
    arcs = [[[1, 1], [0, -1]], [[1, 0], [-1, 0], [0, 1], [1, 0]], [[1, 1], [1, 0], [0, -1], [-1, 0]]]
    wards = [
        {"type": "Polygon", "arcs": [[0, 1]], "properties": {"NAME": "West"}},
        {"type": "Polygon", "arcs": [[2, -1]], "properties": {"NAME": "East"}},
    ]
    objects = {
        "wards": {"type": "GeometryCollection", "geometries": wards},
        "streets": {"type": "LineString", "arcs": [0], "properties": {"NAME": "Elm St"}},
        "poles": {"type": "Point", "coordinates": [5, 5], "properties": {"NAME": "L-1"}},
    }
    transform = {"scale": [0.001, 0.001], "translate": [-71.2, 39.6]}
    top = {"type": "Topology", "transform": transform, "arcs": arcs, "objects": objects}
    file.write_text(json.dumps(top))
    return file


def in_feet(ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [TO_FEET.transform(*at) for at in ring]
