"""Tiles of a web map, and the one number by which a case is found in any of them."""

from random import Random

import pytest

from city.geo import QUAD_ZOOM, Point, morton_code, quad, quadkeys_covering, tile_at


@pytest.mark.parametrize(
    ("point", "zoom", "tile"),
    [
        (Point(0, 0), 0, (0, 0)),
        (Point(0, 0), 1, (1, 1)),
        (Point(51.50853, -0.12574), 16, (32745, 21792)),  # Charing Cross
        (Point(41.76371, -72.68509), 10, (305, 381)),  # Hartford
        (Point(-33.86, 151.21), 12, (3768, 2457)),  # Sydney
        (Point(89.9, 180.0), 4, (15, 0)),  # beyond the map's edge
        (Point(-89.9, -180.0), 4, (0, 15)),
    ],
)
def test_a_point_lies_in_the_tile_that_every_web_map_gives_it(
    point: Point, zoom: int, tile: tuple[int, int]
) -> None:
    assert tile_at(point, zoom) == tile


def test_column_and_row_take_turns_bit_by_bit() -> None:
    assert [morton_code(x, y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (3, 5))] == [
        0,
        1,
        2,
        3,
        4,
        39,
    ]
    last = (1 << QUAD_ZOOM) - 1
    assert morton_code(last, last) == (1 << 2 * QUAD_ZOOM) - 1


def test_a_point_is_found_in_its_tile_of_every_zoom_and_in_no_other() -> None:
    chance = Random(311)
    for _ in range(200):
        point = Point(chance.uniform(-85, 85), chance.uniform(-180, 180))
        for zoom in range(QUAD_ZOOM + 1):
            x, y = tile_at(point, zoom)
            assert quad(point) in quadkeys_covering(zoom, x, y)
            if zoom:
                assert quad(point) not in quadkeys_covering(zoom, x ^ 1, y)
                assert quad(point) not in quadkeys_covering(zoom, x, y ^ 1)
