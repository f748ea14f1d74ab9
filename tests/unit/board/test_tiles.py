"""The map's tiles hold every case of a view once, and say what they do not show."""

import os
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from factories import LAMP, SQUARE, Scene, Town, statements
from sqlalchemy import select

from city import geo
from city.board import queries as board_queries
from city.board import tiles
from city.board.queries import View
from city.board.tiles import Tile
from city.cases import board_index, transitions
from city.cases.transitions import Closing
from city.db.models import Area, Case
from city.geo import Point

pytestmark = pytest.mark.both_databases

# What a release looks at in full; every way to answer is among the few.
ZOOMS = (0, 9, 12, 13, 14, 15, 16, 18, 20) if os.environ.get("CITYLINE_FULL") else (0, 13, 15, 18)


@pytest.fixture
def strewn(town: Town) -> Town:
    """Ninety open cases around the lamp, of every kind; some nowhere, some ended."""
    chance = Random(8)
    with town.at_work() as scene:
        scene.s.add(Area(kind="area", name="All", geometry=SQUARE))
        scene.s.flush()
        by, chief = scene.actor("dispatcher"), scene.actor("supervisor")  # who alone lets danger wait
        for n in range(100):
            spot = replace(LAMP, lat=LAMP.lat + chance.gauss(0, 0.01), lon=LAMP.lon + chance.gauss(0, 0.01))
            case = scene.report(
                place=None if n % 10 == 0 else spot, danger=n % 9 == 0, words="Dark" if n % 4 else "",
                service_code=chance.choice(("light-out", "limb-down")),
                at=town.now - timedelta(days=n % 7),
            ).case  # fmt: skip
            if n % 3 == 0:
                transitions.assign(
                    scene.s, case, scene.crew(chance.choice(("lights", "trees"))), by=by, at=town.now
                )
            if n % 11 == 0:
                transitions.wait(scene.s, case, "weather", by=chief, at=town.now)
            if n % 13 == 0:
                transitions.close(scene.s, case, Closing("not ours"), by=by, at=town.now)
    with town.at_work() as scene:
        board_index.recompute(scene.s, at=town.now)
    return town


def around(s: Scene, view: View, zoom: int) -> list[Tile]:
    """All tiles in which anything of the town lies."""
    corners = [geo.tile_at(Point(lat, lon), zoom) for lat, lon in ((39.7, -71.3), (39.5, -71.1))]
    (west, north), (east, south) = corners
    if zoom > 14:  # only those that hold anything: there are thousands
        places = s.s.execute(select(Case.lat, Case.lon).where(Case.lat.is_not(None)))
        wanted = {geo.tile_at(Point(lat, lon), zoom) for lat, lon in places}
    else:
        wanted = {(x, y) for x in range(west, east + 1) for y in range(north, south + 1)}
    return [tiles.tile(s.s, view, zoom, x, y, now=s.town.now) for x, y in sorted(wanted)]


def views(scene: Scene) -> list[View]:
    area = str(scene.s.scalars(select(Area.id).where(Area.name == "All")).one())
    lights = str(scene.crew("lights").id)
    return [
        View(), View(state="waiting"), View(standing="ok"), View(group="tree"), View(service="light-out"),
        View(crew=lights), View(crew="none"), View(area=area), View(crew=lights, standing="wait"),
        View(crew="none", group="tree", area=area), View(words="dark"), View(state="closed"),
        View(group="other"),
    ]  # fmt: skip


@pytest.mark.slow
def test_every_tile_of_a_zoom_together_hold_every_case_of_a_view_once(
    strewn: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    with strewn.looking() as scene:
        for few in (300, 2):  # as points, and as clusters
            monkeypatch.setattr(tiles, "MOST_POINTS", few)
            for view in views(scene):
                asked = board_queries.conditions(scene.s, view, strewn.now)
                rows = scene.s.execute(
                    select(Case.number, Case.standing).where(*asked, Case.lat.is_not(None))
                )
                wanted = dict(rows.all())
                for zoom in ZOOMS:
                    found = around(scene, view, zoom)
                    assert sum(tile.placed for tile in found) == len(wanted), (view, zoom)
                    told = [spot.number for tile in found for spot in tile.points]
                    assert len(set(told)) == len(told)
                    standings: dict[str, int] = {}
                    for tile in found:
                        for spot in tile.points:
                            standings[spot.standing] = standings.get(spot.standing, 0) + 1
                        for cluster in tile.clusters:
                            assert sum(cluster.standings.values()) == cluster.n
                            for name, n in cluster.standings.items():
                                standings[name] = standings.get(name, 0) + n
                    assert standings == {
                        name: list(wanted.values()).count(name) for name in {*wanted.values()}
                    }, (view, zoom)


@pytest.mark.slow
def test_the_extent_of_a_view_counts_all_and_says_what_lies_nowhere(strewn: Town) -> None:
    with strewn.looking() as scene:
        for view in [*views(scene), View(place="none"), View(place="none", group="tree")]:
            rows = scene.s.execute(
                select(Case.lat, Case.lon).where(*board_queries.conditions(scene.s, view, strewn.now))
            ).all()
            found = tiles.extent(scene.s, view, now=strewn.now)
            located = [(lat, lon) for lat, lon in rows if lat is not None]
            assert (found.total, found.unlocated, found.hidden) == (len(rows), len(rows) - len(located), 0)
            if located:
                assert found.box is not None
                edge = 0.01  # counts know the mean of a cell, which is some hundred metres wide
                lats, lons = zip(*located, strict=True)
                assert min(lats) == pytest.approx(found.box.south, abs=edge)
                assert max(lons) == pytest.approx(found.box.east, abs=edge)
            else:
                assert found.box is None


@pytest.mark.slow
def test_what_needs_a_look_at_every_case_is_placed_up_to_a_number_and_the_rest_said(
    strewn: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MOST_PLACED", 5)
    monkeypatch.setattr(tiles, "MOST_POINTS", 2)
    with strewn.looking() as scene:
        view = View(words="dark")
        found = tiles.extent(scene.s, view, now=strewn.now)
        located = found.total - found.unlocated
        assert located > 5
        assert found.hidden == located - 5
        assert sum(tile.placed for tile in around(scene, view, 12)) == 5
        assert tiles.extent(scene.s, View(), now=strewn.now).hidden == 0
        assert sum(tile.placed for tile in around(scene, View(), 12)) > 5


def test_a_cluster_stands_where_its_cases_do_and_says_the_worst(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MOST_POINTS", 1)
    with town.at_work() as scene:
        late = scene.report(at=town.now - timedelta(days=30)).case
        transitions.accept(scene.s, late, by=scene.actor("dispatcher"), at=town.now)
        scene.report(place=replace(LAMP, lat=LAMP.lat + 0.0002))
    for zoom in (10, 15):
        with town.looking() as scene:
            x, y = geo.tile_at(LAMP.point, zoom)
            (cluster,) = tiles.tile(scene.s, View(), zoom, x, y, now=town.now).clusters
            assert cluster.lat == pytest.approx(LAMP.lat + 0.0001, abs=1e-6)
            assert (cluster.n, cluster.worst, cluster.standings) == (2, "late", {"late": 1, "ok": 1})


def test_at_the_highest_zoom_every_case_is_told_however_many_lie_together(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MOST_POINTS", 3)
    with town.at_work() as scene:
        for _ in range(9):
            scene.report()
    with town.looking() as scene:
        x, y = geo.tile_at(LAMP.point, tiles.ALL_APART)
        assert len(tiles.tile(scene.s, View(), tiles.ALL_APART, x, y, now=town.now).points) == 9


@pytest.mark.parametrize("asked", [(21, 0, 0), (3, 8, 0), (3, 0, 8), (-1, 0, 0)])
def test_a_tile_that_is_none_is_refused(town: Town, asked: tuple[int, int, int]) -> None:
    with town.looking() as scene, pytest.raises(ValueError, match="isn't a tile"):
        tiles.tile(scene.s, View(), *asked, now=town.now)


@pytest.mark.parametrize(
    "view", [View(), View(state="new"), View(group="tree"), View(crew="none", standing="ok")]
)
@pytest.mark.slow
def test_a_tile_of_many_open_cases_is_one_statement_that_reads_no_case(
    strewn: Town, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MOST_POINTS", 2)
    x, y = geo.tile_at(LAMP.point, 10)
    with statements(strewn.engine) as sent, strewn.looking() as scene:
        tiles.tile(scene.s, view, 10, x, y, now=strewn.now)
    asked = [statement for statement in sent if statement.startswith("SELECT")]
    assert len(asked) == 1
    assert "FROM map_cell_counts" in asked[0]
    assert "cases" not in asked[0]
