"""The base map: one PMTiles file with what the city has, drawn where it lies."""

import gzip
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import pytest
from pmtiles import reader
from pmtiles.reader import MemorySource, Reader, all_tiles
from pmtiles.tile import Compression, TileType
from sqlalchemy import Engine

from city.db import engine as db
from city.db.models import Street
from city.demo import fill
from city.demo.ground import CENTRE
from city.places import basemap


@pytest.fixture
def larkhaven(engine: Engine) -> Engine:
    with db.transaction(engine) as s:
        fill.ground(s)
    return engine


def test_the_file_says_what_it_is(larkhaven: Engine, tmp_path: Path) -> None:
    path, tiles = _built(larkhaven, tmp_path)
    found = Opened(path)
    assert found.header["tile_type"] == TileType.MVT
    assert found.header["tile_compression"] == Compression.GZIP
    assert found.header["clustered"]
    assert tiles == len(found.tiles) == found.header["addressed_tiles_count"]
    assert found.header["center_lat_e7"] / 1e7 == pytest.approx(CENTRE.lat, abs=0.002)
    assert found.header["center_lon_e7"] / 1e7 == pytest.approx(CENTRE.lon, abs=0.002)
    assert found.layers == {"earth", "water", "park", "rail", "road", "area", "place"}


def test_it_is_small_and_reaches_from_zoom_10_to_16(larkhaven: Engine, tmp_path: Path) -> None:
    path, _ = _built(larkhaven, tmp_path)
    assert path.stat().st_size < 100_000
    assert {z for z, _, _ in Opened(path).tiles} == set(range(10, 17))


def test_streets_have_names_and_kinds_and_areas_a_point(larkhaven: Engine, tmp_path: Path) -> None:
    seen: dict[str, set[tuple[str, str]]] = {}
    for (z, _, _), tile in Opened(_built(larkhaven, tmp_path)[0]).tiles.items():
        for name, layer in mapbox_vector_tile.decode(tile).items() if z == 15 else ():
            for feature in layer["features"]:
                told = feature["properties"]
                seen.setdefault(name, set()).add((told.get("name", ""), told.get("kind", "")))
    assert ("Tansy Street", "street") in seen["road"]
    assert ("Ferrier Avenue", "avenue") in seen["road"]
    assert len([kind for _, kind in seen["road"] if kind == "bridge"]) == 3
    assert {name for name, _ in seen["area"]} == {
        "Tannery Hill", "Quarry Side", "North Weir", "Eastbank", "Ropewalk",
    }  # fmt: skip
    assert seen["place"] == {("Lantern Green", "park"), ("River Lark", "water")}
    assert seen["water"] == seen["park"] == seen["earth"] == {("", "")}


def test_a_line_is_drawn_where_it_lies(engine: Engine, tmp_path: Path) -> None:
    # Tile 16/32768/32767 lies north-east of 0° 0° and is 360/65536 degrees wide.
    wide = 360 / 65536
    with db.transaction(engine) as s:
        s.add(Street(name="Null", line=[[wide / 2, wide / 4], [wide / 2, wide / 2]], kind="street"))
    tile = Opened(_built(engine, tmp_path)[0]).tiles[(16, 32768, 32767)]
    (feature,) = mapbox_vector_tile.decode(tile)["road"]["features"]
    bottom, top = sorted(feature["geometry"]["coordinates"])
    assert bottom == pytest.approx([2048, 1024], abs=1)  # the decoder counts upwards
    assert top == pytest.approx([2048, 2048], abs=1)


def test_a_street_in_pieces_is_drawn_as_one_and_one_without_a_name_has_none(
    engine: Engine, tmp_path: Path
) -> None:
    step = 0.0003
    with db.transaction(engine) as s:
        for n in range(4):
            piece = [[n * step + step, 0.001], [n * step + 2 * step, 0.001]]
            s.add(Street(name="Elm", line=piece, kind="street"))
        s.add(Street(name="", line=[[0.001, 0.002], [0.002, 0.002]], kind="street"))
    tile = Opened(_built(engine, tmp_path)[0]).tiles[(16, 32768, 32767)]
    roads = mapbox_vector_tile.decode(tile)["road"]["features"]
    assert [road["properties"] for road in roads] == [{"name": "Elm", "kind": "street"}, {"kind": "street"}]


def test_building_again_gives_the_same_bytes(larkhaven: Engine, tmp_path: Path) -> None:
    first = _built(larkhaven, tmp_path)[0].read_bytes()
    assert _built(larkhaven, tmp_path)[0].read_bytes() == first
    assert [file.name for file in tmp_path.glob("*.pm*") if file.name != "basemap.pmtiles"] == []


def test_a_city_without_ground_has_no_map(engine: Engine, tmp_path: Path) -> None:
    with db.read_session(engine) as s:
        assert basemap.build(s, tmp_path / "basemap.pmtiles") == 0
    assert not (tmp_path / "basemap.pmtiles").exists()


class Opened:
    """What a reader of the file finds."""

    def __init__(self, path: Path) -> None:
        untyped: Any = reader
        with path.open("rb") as file:
            source = untyped.MmapSource(file)
            archive = untyped.Reader(source)
            self.header: dict[str, Any] = archive.header()
            self.layers = {layer["id"] for layer in archive.metadata()["vector_layers"]}
            self.tiles = {zxy: gzip.decompress(data) for zxy, data in untyped.all_tiles(source)}


def _built(engine: Engine, folder: Path) -> tuple[Path, int]:
    with db.read_session(engine) as s:
        tiles = basemap.build(s, folder / "basemap.pmtiles")
    return folder / "basemap.pmtiles", tiles


def test_a_part_holds_what_lies_in_its_box_and_is_a_map_of_its_own(larkhaven: Engine, tmp_path: Path) -> None:
    path = tmp_path / "city.pmtiles"
    with db.read_session(larkhaven) as s:
        basemap.build(s, path)
    cut = basemap.part(path, (-71.21, 39.595, -71.20, 39.60))
    whole, some = Reader(MemorySource(path.read_bytes())), Reader(MemorySource(cut))
    tiles = dict(all_tiles(MemorySource(cut)))
    assert len(cut) < path.stat().st_size / 2
    for (z, x, y), tile in tiles.items():
        assert tile == whole.get(z, x, y)
    assert {z for z, _x, _y in tiles} == set(range(10, 17)), "every zoom is there"
    assert some.header()["min_lon_e7"] == round(-71.21 * 1e7)
    assert some.metadata() == whole.metadata()
