"""Layers from files: what a real city brings along, and what is refused with its place in the file."""

import gzip
import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import LAMP, Town
from ground import NOW, feature, geojson, line, names, point, put, side_lines, square, table
from sqlalchemy import func, select

from city.audit import events
from city.config.city_file import ASSET_KINDS
from city.db import engine as db
from city.db.models import Address, Area, Asset, Case, Intersection, Street
from city.geo import Box, Point
from city.imports import layers, readers
from city.imports.layers import Order
from city.imports.readers import TooManyRejected, Unusable
from city.places import lookup
from pwa.cli import imports

pytestmark = pytest.mark.both_databases

STREETS = Order("streets", name="NAME")
POLES = Order("assets", asset="pole", number="POLE")
ADDRESSES = Order("addresses", name="ADDRESS", lat="LAT", lon="LON")


def test_streets_are_kept_with_their_crossings(town: Town, tmp_path: Path) -> None:
    file = geojson(
        tmp_path,
        line("Elm St", [(-71.21, 39.6), (-71.2, 39.6)]),
        line("Elm St", [(-71.2, 39.6), (-71.19, 39.6)]),
        line("Oak Ave", [(-71.2, 39.59), (-71.2, 39.61)], CLASS=1),
        line("", [(-71.21, 39.62), (-71.19, 39.62)]),
    )
    outcome = put(town, file, replace(STREETS, major=("CLASS", "1")))
    assert (outcome.read, outcome.imported, outcome.rejected) == (4, 4, 0)
    with db.read_session(town.engine) as s:
        kinds = dict(s.execute(select(Street.name, Street.kind)).all())
        (corner,) = s.scalars(select(Intersection))
        found = lookup.find(s, "oak avenue and elm street")
    assert kinds == {"Elm St": "street", "Oak Ave": "avenue", "": "street"}
    assert (corner.lat, corner.lon) == pytest.approx((39.6, -71.2))
    assert [place.point for place in found] == [Point(corner.lat, corner.lon)]


NUMBERED = replace(STREETS, left=("LF", "LT"), right=("RF", "RT"))


def test_a_house_without_an_address_stands_by_the_numbers_of_its_street(town: Town, tmp_path: Path) -> None:
    west, east = [(-71.21, 39.6), (-71.2, 39.6)], [(-71.2, 39.6), (-71.19, 39.6)]
    file = geojson(
        tmp_path,
        line("Elm St", west, LF=1, LT="19", RF=2.0, RT="20.0"),
        line("Elm St", east, LF=21, LT=39, RF=0, RT=-1),
        line("Oak Ave", east, LF="", RF=None),
    )
    assert put(town, file, NUMBERED).imported == 3
    with db.read_session(town.engine) as s:
        (odd,), (even,) = lookup.find(s, "11 elm street"), lookup.find(s, "12 elm street")
        assert odd.lat > 39.6 > even.lat
        assert (odd.lon, even.lon) == pytest.approx((-71.2045, -71.2045), abs=1e-5)
        assert [place.lon > -71.2 for place in lookup.find(s, "31 elm street")] == [True]
        assert lookup.find(s, "62 elm street") == lookup.find(s, "12 oak avenue") == []
    again = put(town, file, NUMBERED)
    assert (again.imported, again.unchanged) == (0, 3)


def test_a_house_number_that_is_none_is_told_with_its_column(town: Town, tmp_path: Path) -> None:
    file = geojson(
        tmp_path,
        line("Elm St", [(-71.21, 39.6), (-71.2, 39.6)], LF="1A", LT=9, RF=2, RT=8),
        line("Oak Ave", [(-71.2, 39.6), (-71.19, 39.6)], LF=1, LT="1e400", RF=2, RT=8),
        line("Ash Ct", [(-71.2, 39.61), (-71.19, 39.61)], LF=1, LT=9, RF=2, RT=12345678),
    )
    assert put(town, file, NUMBERED).rejected == 3
    assert side_lines(file) == [
        ("1", "LF is '1A', which isn't a house number"),
        ("2", "LT is '1e400', which isn't a house number"),
        ("3", "RT is '12345678', which isn't a house number"),
    ]
    with pytest.raises(Unusable, match="--left"):
        put(town, file, replace(NUMBERED, left=("LF", "NOWHERE")))


def test_landmarks_are_found_by_their_names_and_replaced_as_a_whole(town: Town, tmp_path: Path) -> None:
    order = Order("landmarks", name="SITE", lat="LAT", lon="LON")
    rows = [
        {"SITE": "City Hall", "LAT": "39.6", "LON": "-71.2"},
        {"SITE": " ", "LAT": "39.6", "LON": "-71.2"},
    ]
    file = table(tmp_path, *rows)
    assert (put(town, file, order).imported, side_lines(file)) == (1, [("3", "has no name")])
    with db.read_session(town.engine) as s:
        (hall,) = lookup.find(s, "city hall")
        assert (hall.label, hall.point, hall.vague) == ("City Hall", Point(39.6, -71.2), False)
    put(town, table(tmp_path, {"SITE": "Library", "LAT": "39.6", "LON": "-71.2"}), order)
    with db.read_session(town.engine) as s:
        assert lookup.find(s, "city hall") == []
        assert len(lookup.find(s, "library")) == 1


def test_a_divided_road_meets_another_at_one_corner_and_a_loop_at_two(town: Town, tmp_path: Path) -> None:
    file = geojson(
        tmp_path,
        line("Elm St", [(-71.22, 39.6), (-71.18, 39.6)]),
        line("Elm St", [(-71.22, 39.6001), (-71.18, 39.6001)]),
        line("Loop", [(-71.21, 39.59), (-71.21, 39.61), (-71.19, 39.61), (-71.19, 39.59)]),
    )
    assert put(town, file, STREETS).more["crossings"] == 2


def test_an_import_again_replaces_what_the_kind_held(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, line("Elm St", [(-71.2, 39.6), (-71.19, 39.6)])), STREETS)
    both = geojson(
        tmp_path,
        line("Elm St", [(-71.2, 39.6), (-71.19, 39.6)]),
        line("Oak St", [(-71.2, 39.6), (-71.2, 39.61)]),
    )
    second = put(town, both, STREETS)
    assert (second.imported, second.unchanged) == (1, 1)
    only = put(town, geojson(tmp_path, line("Oak St", [(-71.2, 39.6), (-71.2, 39.61)])), STREETS)
    assert (only.imported, only.unchanged, only.more["crossings"]) == (0, 1, 0)
    assert names(town, Street.name) == ["Oak St"]


def test_an_address_list_gets_its_places_from_parcels(town: Town, tmp_path: Path) -> None:
    lots = tmp_path / "lots.topojson"
    lots.write_text(json.dumps(TOPOLOGY))
    file = table(
        tmp_path,
        {"ADDRESS": "1 Elm St", "LOT": "7-1"},
        {"ADDRESS": "1 Elm St", "LOT": "7-1"},
        {"ADDRESS": "9 Elm St", "LOT": "?"},
        {"ADDRESS": "", "LOT": "7-2"},
        {"ADDRESS": "3 Elm St", "LOT": "7-2"},
    )
    outcome = put(town, file, Order("addresses", name="ADDRESS", places=lots, key=("LOT", "ML")))
    assert (outcome.imported, outcome.unlocated, outcome.rejected) == (3, 1, 1)
    assert outcome.more["repeated"] == 1
    with db.read_session(town.engine) as s:
        rows = {a.label: Point(a.lat, a.lon) for a in s.scalars(select(Address))}
        assert lookup.describe(s, rows["3 Elm St"]) == "3 Elm St"
    assert set(rows) == {"1 Elm St", "3 Elm St"}
    assert rows["1 Elm St"] == pytest.approx((39.6005, -71.1995))
    assert rows["3 Elm St"] == pytest.approx((39.6005, -71.1985))
    assert side_lines(file) == [("4", "has no location"), ("5", "has no address")]


def test_house_number_and_street_make_an_address(town: Town, tmp_path: Path) -> None:
    file = table(tmp_path, {"NO": "12", "ST": "Elm St", "LAT": "39.6", "LON": "-71.2"})
    put(town, file, Order("addresses", number="NO", street="ST", lat="LAT", lon="LON"))
    assert names(town, Address.label) == ["12 Elm St"]


def test_assets_are_found_by_number_and_told_by_the_nearest_address(town: Town, tmp_path: Path) -> None:
    put(town, table(tmp_path, {"ADDRESS": "12 Elm St", "LAT": "39.6001", "LON": "-71.2"}), ADDRESSES)
    put(town, geojson(tmp_path, point("ab-7", 39.6, -71.2)), replace(POLES, prefix="L-"))
    with db.read_session(town.engine) as s:
        (found,) = lookup.find(s, "pole l-AB-7")
    assert (found.label, found.source) == ("near 12 Elm St", "asset")


def test_an_asset_that_is_gone_is_retired_and_comes_back_as_what_it_was(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, point("1", 39.6, -71.2), point("2", 39.6, -71.21)), POLES)
    with town.at_work() as scene:
        first = scene.s.scalars(select(Asset).where(Asset.number == "1")).one()
        case = scene.report(place=replace(LAMP, asset_id=first.id, source="asset")).case
        kept, case_id = first.id, case.id
    outcome = put(town, geojson(tmp_path, point("3", 39.6, -71.22)), POLES)
    assert outcome.more["retired"] == 2
    with db.read_session(town.engine) as s:
        assert s.get_one(Asset, kept).retired_at == NOW
        assert s.get_one(Case, case_id).asset_id == kept
        assert lookup.find(s, "pole 1") == []
    moved = put(town, geojson(tmp_path, point("1", 39.61, -71.2), point("3", 39.6, -71.22)), POLES)
    assert (moved.imported, moved.unchanged, moved.more) == (1, 1, {"returned": 1, "outside": 0})
    with db.read_session(town.engine) as s:
        assert s.get_one(Asset, kept).retired_at is None
        assert s.get_one(Asset, kept).lat == 39.61
        assert [place.asset_id for place in lookup.find(s, "pole 1")] == [kept]


def test_a_thing_keeps_its_row_by_the_registers_id_whatever_its_number(town: Town, tmp_path: Path) -> None:
    known = replace(POLES, id="KEY")
    put(town, geojson(tmp_path, pole(7, "1", 39.6), pole(8, "2", 39.61)), known)
    ids = numbered(town)
    outcome = put(town, geojson(tmp_path, pole(7, "2", 39.6), pole(8, "1", 39.62)), known)
    assert (outcome.imported, outcome.unchanged) == (2, 0)
    assert numbered(town) == {"2": ids["1"], "1": ids["2"]}
    assert put(town, geojson(tmp_path, pole(7, "2", 39.6), pole(8, "1", 39.62)), known).unchanged == 2
    again = put(town, geojson(tmp_path, pole(9, "2", 39.6), pole(8, "1", 39.62)), known)
    assert (again.imported, again.unchanged, again.more["retired"]) == (1, 1, 1)
    assert numbered(town)["2"] not in ids.values()


def test_ids_are_taken_over_by_what_was_there_without(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, pole(7, "1", 39.6)), POLES)
    ids = numbered(town)
    put(town, geojson(tmp_path, pole(7, "1", 39.6)), replace(POLES, id="KEY"))
    put(town, geojson(tmp_path, pole(7, "5", 39.6)), replace(POLES, id="KEY"))
    assert numbered(town) == {"5": ids["1"]}


def test_streets_and_areas_keep_their_rows_by_id_too(town: Town, tmp_path: Path) -> None:
    known = replace(STREETS, id="KEY")
    elm = [(-71.21, 39.6), (-71.2, 39.6)]
    put(town, geojson(tmp_path, line("Elm St", elm, KEY=1), line("Oak St", elm, KEY=2)), known)
    with db.read_session(town.engine) as s:
        before = dict(s.execute(select(Street.source_id, Street.id)).all())
    outcome = put(town, geojson(tmp_path, line("Liberty St", elm, KEY=1), line("Oak St", elm, KEY=2)), known)
    assert (outcome.imported, outcome.unchanged) == (1, 1)
    with db.read_session(town.engine) as s:
        assert dict(s.execute(select(Street.source_id, Street.id)).all()) == before
        assert s.scalar(select(Street.name).where(Street.source_id == "1")) == "Liberty St"
    wards = Order("areas", name="NAME", area_kind="ward", id="KEY")
    for name in ("Ward 1", "First Ward"):
        put(town, geojson(tmp_path, square(name) | {"id": 9}), replace(wards, id="id"))
    with db.read_session(town.engine) as s:
        assert s.execute(select(Area.name, Area.source_id).where(Area.kind == "ward")).all() == [
            ("First Ward", "9")
        ]


def test_one_id_for_two_things_is_rejected_with_its_place(town: Town, tmp_path: Path) -> None:
    file = geojson(tmp_path, pole(7, "1", 39.6), pole(7, "2", 39.61), pole("", "3", 39.61))
    assert put(town, file, replace(POLES, id="KEY")).rejected == 2
    assert side_lines(file) == [
        ("2", "the ID '7' is already used (feature 1)"),
        ("3", "has no KEY"),
    ]
    with pytest.raises(Unusable, match="--id: addresses don't have IDs"):
        put(town, table(tmp_path, {"ADDRESS": "1 Elm St", "LAT": 1, "LON": 2}), replace(ADDRESSES, id="LAT"))


def test_the_lights_of_a_utility_stand_beside_the_citys_own(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, pole(1, "1", 39.6), pole(2, "2", 39.61)), POLES)
    theirs = geojson(tmp_path, pole(1, "1", 39.62))
    assert put(town, theirs, replace(POLES, owner_name="Harbor Electric")).imported == 1
    assert put(town, geojson(tmp_path, pole(2, "2", 39.61)), POLES).more["retired"] == 1
    with db.read_session(town.engine) as s:
        held = s.execute(select(Asset.number, Asset.owner).where(Asset.retired_at.is_(None))).all()
    assert sorted(held) == [("1", "Harbor Electric"), ("2", "")]
    with pytest.raises(Unusable, match="--owner, --owner-name: use only one"):
        put(town, theirs, replace(POLES, owner="KEY", owner_name="Harbor Electric"))


def test_a_row_that_cannot_be_taken_retires_nothing(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, pole(1, "1", 39.6), pole(2, "2", 39.61), pole(3, "3", 39.62)), POLES)
    nowhere = pole(2, "2", 39.61) | {"geometry": None}
    outcome = put(town, geojson(tmp_path, pole(1, "1", 39.6), nowhere, pole(3, "3", 139.6)), POLES)
    assert (outcome.unlocated, outcome.rejected, outcome.more.get("retired")) == (1, 1, None)
    assert set(numbered(town)) == {"1", "2", "3"}


def test_a_light_that_changes_its_owner_keeps_its_row(town: Town, tmp_path: Path) -> None:
    owned = replace(POLES, owner="OWNER")
    put(town, geojson(tmp_path, pole(1, "1", 39.6, OWNER=""), pole(2, "2", 39.6, OWNER="Harbor")), owned)
    ids = numbered(town)
    put(town, geojson(tmp_path, pole(1, "1", 39.6, OWNER="Harbor"), pole(3, "3", 39.6, OWNER="")), owned)
    with db.read_session(town.engine) as s:
        assert s.get_one(Asset, ids["1"]).owner == "Harbor"


def test_two_lights_of_one_number_may_exchange_their_owners(town: Town, tmp_path: Path) -> None:
    owned = replace(POLES, owner="OWNER", id="KEY")
    for one, other in (("", "Harbor"), ("Harbor", "")):
        poles = pole(1, "1", 39.6, OWNER=one), pole(2, "1", 39.61, OWNER=other)
        put(town, geojson(tmp_path, *poles), owned)
    with db.read_session(town.engine) as s:
        assert dict(s.execute(select(Asset.source_id, Asset.owner)).all()) == {"1": "Harbor", "2": ""}


def test_areas_replace_their_own_kind_only(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, square("Old Port")), Order("areas", name="NAME", area_kind="neighborhood"))
    put(town, geojson(tmp_path, square("Ward 1")), Order("areas", name="NAME", area_kind="ward"))
    put(town, geojson(tmp_path, square("")), Order("areas", area_kind="water"))
    with db.read_session(town.engine) as s:
        held = sorted(s.execute(select(Area.kind, Area.name)).all())
    assert held == [("area", "Old Port"), ("boundary", "Town"), ("ward", "Ward 1"), ("water", "")]


def test_a_file_that_would_empty_a_register_is_asked_about_first(town: Town, tmp_path: Path) -> None:
    row = {f"L-{n}": (39.6, -71.2 + n / 1000) for n in range(layers.FEW)}
    put(town, geojson(tmp_path, *(point(number, *at) for number, at in row.items())), POLES)
    few = geojson(tmp_path, *(point(number, *at) for number, at in list(row.items())[:5]))
    with pytest.raises(Unusable, match="would leave 5 of the 20 assets here now"):
        put(town, few, POLES)
    assert len(numbered(town)) == len(row)
    assert put(town, few, replace(POLES, shrink=True)).more["retired"] == 15
    assert len(numbered(town)) == 5


def test_a_file_of_another_kind_empties_no_small_layer_either(town: Town, tmp_path: Path) -> None:
    streets = Order("streets", name="NAME")
    line = feature("LineString", [[-71.2, 39.6], [-71.2, 39.601]], NAME="Heron Street")
    put(town, geojson(tmp_path, line), streets)
    with pytest.raises(Unusable, match="would leave 0 of the 1 streets here now"):
        put(town, geojson(tmp_path, square("Old Port")), streets)
    another = feature("LineString", [[-71.21, 39.6], [-71.21, 39.601]], NAME="Pell Street")
    assert put(town, geojson(tmp_path, another), streets).more["removed"] == 1


@pytest.mark.parametrize("order", [POLES, Order("addresses", name="POLE")])
def test_a_street_is_no_thing_with_a_place(town: Town, tmp_path: Path, order: Order) -> None:
    street = line("Elm St", [(-71.21, 39.6), (-71.2, 39.6)], POLE="L-1")
    file = geojson(tmp_path, street, point("L-2", 39.6, -71.2))
    assert put(town, file, order).imported == 1
    assert side_lines(file) == [("1", "is a LineString, not a point")]


def test_the_boundary_is_one_and_decides_what_lies_outside(town: Town, tmp_path: Path) -> None:
    towns = geojson(tmp_path, square("Here"), square("There", west=-71.0))
    put(town, towns, Order("boundary", name="NAME", where=("NAME", "Here")))
    with db.read_session(town.engine) as s:
        assert names(town, Area.name) == ["Here"]
        assert not lookup.outside(s, Point(39.6, -71.2))
        assert lookup.outside(s, Point(39.6, -70.95))
    outcome = put(town, geojson(tmp_path, point("1", 39.6, -71.2), point("2", 39.6, -70.95)), POLES)
    assert (outcome.imported, outcome.more["outside"]) == (2, 1)


def test_a_shape_that_crosses_itself_is_mended(town: Town, tmp_path: Path) -> None:
    bow = [(-71.2, 39.6), (-71.19, 39.61), (-71.19, 39.6), (-71.2, 39.61), (-71.2, 39.6)]
    file = geojson(tmp_path, feature("Polygon", [bow], NAME="Bow"))
    assert put(town, file, Order("areas", name="NAME")).imported == 1


def test_the_log_says_what_was_imported(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, line("Elm St", [(-71.2, 39.6), (-71.19, 39.6)])), STREETS)
    with db.read_session(town.engine) as s:
        ((told, _),) = events.of(s, "layer:streets")
        assert events.verify(s) == []
    assert (told.kind, told.origin, told.facts["imported"]) == ("import", "import", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ('{"type": "FeatureCollection", "features": []}', "has no features"),
        ('{"type": "FeatureCollection",\n "features": [}', "line 2, column 15: is broken JSON"),
        ('{"type": "FeatureCollection", "features": [NaN]}', "is broken JSON (NaN isn't a number)"),
        ('{"type": "Point"}', "is JSON of type 'Point'"),
        ("[1, 2]", "is a JSON list"),
        ('{"type": "Topology", "arcs": [[1]], "objects": {}}', "is a broken TopoJSON"),
        ("\x00\x01PNG", "isn't text (byte 1 is zero)"),
        ("NAME;LAT;LON\nElm;1;2\n", "has one column"),
        ("A,B,A\n1,2,3\n", "has the column 'A' twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(town: Town, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "bad.geojson"
    file.write_text(text)
    with pytest.raises(Unusable) as refused:
        put(town, file, POLES)
    assert said in str(refused.value)
    assert "bad.geojson" in str(refused.value)


def test_text_in_another_encoding_is_refused(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_bytes("ADDRESS,LAT,LON\n1 Café St,39.6,-71.2\n".encode("latin-1"))
    with pytest.raises(Unusable, match="isn't UTF-8"):
        put(town, file, ADDRESSES)


def test_a_huge_file_is_refused_before_it_is_read(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "huge.geojson"
    with file.open("wb") as hole:  # takes no room on the disk
        hole.write(b'{"type": "FeatureCollection", "features": [' + b" " * 4096)
        hole.truncate(1_000_000_000)
    with pytest.raises(Unusable, match="has 1000 MB, but at most 268 MB"):
        put(town, file, POLES)


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MOST_BYTES", 100_000)
    for name, text in (("bomb.csv", "A,B\n" + "1,2\n" * 100_000), ("bomb.json", "{" + " " * 200_000)):
        file = tmp_path / f"{name}.gz"
        file.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(Unusable, match="unpacks to more than"):
            put(town, file, Order("assets", asset="pole", number="A", lat="A", lon="B"))


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (replace(STREETS, name="Name"), "--name: city.geojson has no column 'Name'. It has: NAME, CLASS"),
        (replace(STREETS, name=""), "--name: is needed"),
        (replace(STREETS, where=("NAME", "Ash St")), "--where: no row has 'Ash St' in NAME"),
        (Order("assets", number="NAME"), f"--asset: is needed: one of {', '.join(ASSET_KINDS)}"),
        (Order("assets", asset="pole"), "--number: is needed"),
        (Order("assets", asset="pole", number="NAME", lat="CLASS"), "--lat, --lon: use both"),
        (Order("addresses", number="CLASS"), "Or use --number and --street"),
        (Order("areas", name="NAME", area_kind="boundary"), "--kind boundary"),
    ],
)
def test_options_that_do_not_fit_are_told(town: Town, tmp_path: Path, order: Order, said: str) -> None:
    file = geojson(tmp_path, line("Elm St", [(-71.2, 39.6), (-71.19, 39.6)], CLASS=1))
    with pytest.raises(Unusable) as refused:
        put(town, file, order)
    assert said in str(refused.value)


def test_a_table_needs_to_know_where_its_rows_lie(town: Town, tmp_path: Path) -> None:
    file = table(tmp_path, {"ADDRESS": "1 Elm St", "LOT": "7"})
    with pytest.raises(Unusable, match="Add --lat and --lon, or --places and --key"):
        put(town, file, Order("addresses", name="ADDRESS"))


@pytest.mark.parametrize(
    ("lat", "lon", "said"),
    [
        (-71.2, 39.6, "is outside the city, but inside it with latitude and longitude swapped"),
        (-122.4, 37.8, "the latitude is over 90. Latitude and longitude are swapped"),
        (
            2957494.1,
            761212.3,
            "761212.3, 2957494.1 isn't in degrees, but perhaps in feet or meters. Name the coordinate system",
        ),
        (float("inf"), 0, "coordinates that aren't numbers"),
    ],
)
def test_coordinates_that_cannot_be_are_refused(
    town: Town, tmp_path: Path, lat: float, lon: float, said: str
) -> None:
    file = table(tmp_path, *({"ADDRESS": f"{n} Elm St", "LAT": lat, "LON": lon} for n in range(3)))
    with pytest.raises(Unusable) as refused:
        put(town, file, ADDRESSES)
    assert str(refused.value).startswith("city.csv line 2: ")
    assert said in str(refused.value)
    assert "(3 of 3 rows are like this)" in str(refused.value)
    assert names(town, Address.label) == []


def test_one_wrong_row_among_right_ones_is_rejected_alone(town: Town, tmp_path: Path) -> None:
    rows = [{"ADDRESS": f"{n} Elm St", "LAT": "39.6", "LON": "-71.2"} for n in range(4)]
    rows[2] |= {"LAT": "-71.2", "LON": "39.6"}
    rows[3] |= {"LAT": "north"}
    file = table(tmp_path, *rows)
    outcome = put(town, file, ADDRESSES)
    assert (outcome.imported, outcome.rejected) == (2, 2)
    (_, far), (_, words) = sorted(side_lines(file))
    assert "swapped" in far
    assert words == "'north, -71.2' aren't coordinates"


def test_another_coordinate_system_is_named(town: Town, tmp_path: Path) -> None:
    feet = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2234"}}
    with pytest.raises(
        Unusable, match=r"is already in degrees, but was read as 'urn:ogc:def:crs:EPSG::2234'"
    ):
        put(town, geojson(tmp_path, point("1", 39.6, -71.2), crs=feet), POLES)
    degrees = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    assert put(town, geojson(tmp_path, point("1", 39.6, -71.2), crs=degrees), POLES).imported == 1


def test_a_number_that_stands_for_two_things_is_rejected_the_second_time(town: Town, tmp_path: Path) -> None:
    file = geojson(
        tmp_path,
        point("7", 39.6, -71.2),
        point("7", 39.6, -71.2),
        point("7", 39.61, -71.2),
        point("", 39.6, -71),
    )
    outcome = put(town, file, POLES)
    assert (outcome.imported, outcome.rejected) == (2, 2)
    assert side_lines(file) == [
        ("3", "the number '7' is already used (feature 1)"),
        ("4", "has no number"),
    ]


def test_too_many_rejected_rows_keep_nothing(town: Town, tmp_path: Path) -> None:
    put(town, geojson(tmp_path, point("1", 39.6, -71.2)), POLES)
    file = geojson(tmp_path, point("2", 39.6, -71.2), point("", 39.6, -71.2), point("", 39.6, -71.2))
    with pytest.raises(TooManyRejected):
        put(town, file, POLES, max_rejected=1)
    assert names(town, Asset.number) == ["1"]
    assert put(town, file, POLES, max_rejected=2).rejected == 2


def test_the_side_file_goes_when_all_is_well(town: Town, tmp_path: Path) -> None:
    file = geojson(tmp_path, point("1", 39.6, -71.2), point("", 39.6, -71.2))
    side = put(town, file, POLES).side_file
    assert side == f"{file}.rejected.csv"
    assert put(town, geojson(tmp_path, point("1", 39.6, -71.2)), POLES).side_file is None
    assert not Path(side).exists()


def pole(key: object, number: str, lat: float, **properties: Any) -> dict[str, Any]:
    return feature("Point", [-71.2, lat], POLE=number, KEY=key, **properties)


def numbered(town: Town) -> dict[str, int]:
    """The things in use: number → row."""
    with db.read_session(town.engine) as s:
        return dict(s.execute(select(Asset.number, Asset.id).where(Asset.retired_at.is_(None))).all())


@pytest.mark.slow
def test_a_real_city_comes_whole(town: Town, real_data: Path, tmp_path: Path) -> None:
    bounds = Box(42.352, -71.161, 42.405, -71.063)
    for kind, name, order, counts in CAMBRIDGE:
        file = tmp_path / name
        file.symlink_to(real_data / "geo" / "cambridge_ma" / name)
        if order.places:
            order = replace(order, places=real_data / "geo" / "cambridge_ma" / order.places)
        outcome = put(town, file, order, bounds=bounds)
        assert (kind, outcome.read, outcome.imported, outcome.unlocated) == (kind, *counts)
        assert outcome.rejected == 0
    with db.read_session(town.engine) as s:
        assert s.scalar(select(func.count()).select_from(Intersection)) == 1650
        (corner,) = lookup.find(s, "Prospect St & Cambridge St")
        assert corner.point == pytest.approx((42.37338, -71.09814), abs=1e-5)
        assert [place.label for place in lookup.find(s, "9 seagrave road")] == ["9 Seagrave Rd"]
        assert [place.source for place in lookup.find(s, "pole 791-2")] == ["asset"]


CAMBRIDGE = (
    ("boundary", "BOUNDARY_CityBoundary.geojson", Order("boundary"), (1, 1, 0)),
    ("streets", "TRANS_Centerlines.geojson", Order("streets", name="Label"), (2643, 2643, 0)),
    (
        "addresses",
        "Master_Address_Database_with_MapLot_and_BldgID.csv",
        Order(
            "addresses",
            name="full_address",
            places=Path("ASSESSING_ParcelsFY2014.topojson"),
            key=("MapLot", "ML"),
        ),
        (57021, 55634, 1387),
    ),
    ("assets", "INFRA_StreetLights.geojson", Order("assets", asset="pole", number="PoleID"), (6117, 6117, 0)),
    ("areas", "BOUNDARY_CDDNeighborhoods.geojson", Order("areas", name="NAME"), (13, 13, 0)),
)

# Two lots that share an edge, which the second walks backwards; whole steps of 0.001 degrees.
TOPOLOGY = {
    "type": "Topology",
    "transform": {"scale": [0.001, 0.001], "translate": [-71.2, 39.6]},
    "arcs": [[[1, 1], [0, -1]], [[1, 0], [-1, 0], [0, 1], [1, 0]], [[1, 1], [1, 0], [0, -1], [-1, 0]]],
    "objects": {
        "lots": {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Polygon", "arcs": [[0, 1]], "properties": {"ML": "7-1"}},
                {"type": "Polygon", "arcs": [[2, -1]], "properties": {"ML": "7-2"}},
                {"type": None, "properties": {"ML": "7-3"}},
            ],
        }
    },
}


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ('{"type": "Point", "coordinates": [1e999, 2]}', "coordinates that aren't numbers"),
        ('{"type": "Point", "coordinates": [-71.2, 39.6]}, "x": "\\u0000"', "contains a zero byte"),
        ('{"type": "Point", "coordinates": [-71.2, 39.6]}, "x": "\\ud800"', "contains half a character"),
    ],
)
def test_a_geojson_made_to_hurt_is_refused(town: Town, tmp_path: Path, geometry: str, said: str) -> None:
    with pytest.raises(Unusable, match=re.escape(said)):
        put(town, one_area(tmp_path, geometry), Order("areas", name="NAME"))
    assert names(town, Area.name) == ["Town"]


@pytest.mark.parametrize(
    "geometry",
    [
        '{"type": "Point", "coordinates": [' + "9" * 400 + ", 2]}",
        '{"type": "Polygon", "coordinates": ' + "[" * 900 + "]" * 900 + "}",
    ],
)
def test_a_shape_made_to_hurt_is_no_shape(town: Town, tmp_path: Path, geometry: str) -> None:
    outcome = put(town, one_area(tmp_path, geometry), Order("areas", name="NAME"))
    assert (outcome.read, outcome.imported) == (1, 0)


def one_area(folder: Path, geometry: str) -> Path:
    file = folder / "areas.geojson"
    file.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"NAME": "A"},'
        f' "geometry": {geometry}}}]}}'
    )
    return file


def test_the_first_of_several_layers_says_once_to_redraw_the_map(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(n: int) -> bool:
        street = feature("LineString", [[-71.2, 39.6], [-71.2, 39.6 + n / 1000]], NAME=f"Street {n}")
        order = Order("streets", name="NAME", shrink=True)
        assert imports.layer(town.engine, town.settings, geojson(tmp_path, street), order, None) == 0
        return "redraw the map: cityline basemap build" in capsys.readouterr().out

    assert [said(1), said(2), said(3)] == [True, False, False]
    town.settings.basemap.touch()
    os.utime(town.settings.basemap, (time.time(),) * 2)  # a file system's clock is a little behind
    assert [said(4), said(5)] == [True, False]
