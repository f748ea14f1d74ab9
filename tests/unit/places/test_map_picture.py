"""A still picture of the map: streets with their names around a point, bare land where there is no map."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine

from city.db import engine as db
from city.demo import fill
from city.demo.ground import CENTRE
from city.geo import Point
from city.places import basemap, map_picture

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def file(engine: Engine, tmp_path: Path) -> Path:
    with db.transaction(engine) as s:
        fill.ground(s)
    with db.transaction(engine) as s:
        basemap.build(s, tmp_path / "map.pmtiles")
    return tmp_path / "map.pmtiles"


@pytest.mark.parametrize("zoom", range(map_picture.FURTHEST, map_picture.NEAREST + 1))
def test_it_draws_the_streets_around_a_point(file: Path, zoom: int) -> None:
    drawn = map_picture.draw(file, CENTRE, zoom, ".road{stroke:#fff}")
    root = ElementTree.fromstring(drawn)
    assert root.get("viewBox") == "0 0 640 256"
    assert root.findall(f"{SVG}path[@class='road']")
    assert len(drawn) < 30_000


def test_a_street_has_its_name_once(file: Path) -> None:
    drawn = map_picture.draw(file, CENTRE, 17, "")
    names = [text.text for text in ElementTree.fromstring(drawn).iter(f"{SVG}text")]
    assert names
    assert len(names) == len(set(names))


def test_where_there_is_no_map_there_is_land(file: Path) -> None:
    drawn = map_picture.draw(file, Point(-85.0, 179.99), 17, "")
    assert 'class="land"' in drawn
    assert 'class="road"' not in drawn


@pytest.mark.parametrize("zoom", [0, 13, 18, 99])
def test_other_zooms_are_refused(file: Path, zoom: int) -> None:
    with pytest.raises(ValueError, match="zoom"):
        map_picture.draw(file, CENTRE, zoom, "")
