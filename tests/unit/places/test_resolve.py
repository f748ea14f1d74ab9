"""Where a report is, by what somebody said whom nobody can ask."""

import pytest
from factories import Town

from city.db.models import Address, Asset, Street
from city.geo import Point
from city.places.resolve import Fix, Whereabouts, resolve_unasked

HERE = Point(39.6, -71.2)
FAR = Point(39.7, -71.2)


@pytest.fixture
def streets(town: Town) -> Town:
    with town.at_work() as scene:
        scene.s.add(Address(label="14 Tansy Street", lat=HERE.lat, lon=HERE.lon, cell="x"))
        scene.s.add(Street(name="Tansy Street", line=[[-71.2, 39.6], [-71.2, 39.61]]))
        scene.s.add(
            Asset(kind="pole", number="L-7", lat=HERE.lat, lon=HERE.lon, address="14 Tansy Street", cell="x")
        )
    return town


@pytest.mark.parametrize(
    ("said", "source", "label", "unknown"),
    [
        (Whereabouts(), None, None, ""),
        (Whereabouts("14 tansy st"), "address", "14 Tansy Street", ""),
        (Whereabouts("Tansy Street"), None, None, "Tansy Street"),
        (Whereabouts("behind the bakery"), None, None, "behind the bakery"),
        (Whereabouts("14 Tansy Street", Fix(HERE, 5.0)), "gps", "14 Tansy Street", ""),
        (Whereabouts("call Ana", Fix(HERE, 5.0)), "gps", "14 Tansy Street", "call Ana"),
        (Whereabouts("", Fix(HERE, None, "photo")), "photo", "14 Tansy Street", ""),
        (Whereabouts("L-7", Fix(HERE, 5.0), "L-7", "pole"), "asset", "14 Tansy Street", ""),
        (Whereabouts("", Fix(HERE, 5.0), "l-7", "pole"), "asset", "14 Tansy Street", ""),
        (Whereabouts("", None, "L-7", "pole"), "asset", "14 Tansy Street", ""),
        (Whereabouts("", Fix(HERE, 5.0), "L-7", "tree"), "gps", "14 Tansy Street", "L-7"),
        (Whereabouts("", Fix(FAR, 5.0), "L-7", "pole"), "gps", "", "L-7"),
        (Whereabouts("14 Tansy Street", Fix(FAR, 5.0)), "gps", "", "14 Tansy Street"),
        (Whereabouts("14 Tansy Street", None, "Z-1", "pole"), "address", "14 Tansy Street", "Z-1"),
    ],
)
def test_what_nobody_can_be_asked_about(
    streets: Town, said: Whereabouts, source: str | None, label: str | None, unknown: str
) -> None:
    with streets.looking() as scene:
        place, rest = resolve_unasked(scene.s, said)
    assert (place and place.source, place and place.label, rest) == (source, label, unknown)
