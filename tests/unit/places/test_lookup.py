"""Places by their words and words for a point, from the layers of a small city. Nothing is ever guessed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.orm import Session

from city.audit import events
from city.db import engine as db
from city.db.models import Address, Area, Asset, Intersection, Landmark, Street
from city.geo import Point, distance
from city.people import accounts
from city.places import lookup, reverse_geocoder
from city.places.lookup import Place
from city.places.reverse_geocoder import Whereabouts

pytestmark = [pytest.mark.both_databases, pytest.mark.every_variant]

# Metres east and north of a point in the open Atlantic.
LAT, LON = 39.6, -71.2
NORTH, EAST = 1 / 111_320, 1 / 85_770


def at(east: float, north: float) -> Point:
    return Point(LAT + north * NORTH, LON + east * EAST)


def line(*points: tuple[float, float]) -> list[list[float]]:
    return [[point.lon, point.lat] for point in (at(*xy) for xy in points)]


def town(s: Session) -> None:
    """Elm Street from west to east with numbers up to 80, crossed by Oak Avenue; doors on Tansy Street."""
    ends = ("left_from", "left_to", "right_from", "right_to")
    for name, drawn, numbers in (
        ("Elm St", line((-400, 0), (0, 0)), (1, 39, 2, 40)),
        ("Elm St", line((0, 0), (400, 0)), (41, 79, 42, 80)),
        ("Oak Ave", line((0, -300), (0, 300)), (101, 199, 100, 198)),
        ("Elmwood Ave", line((-400, 500), (400, 500)), (1, 79, None, None)),
        ("Tansy St", line((-400, -300), (400, -300)), (None, None, None, None)),
        ("", line((-400, 900), (400, 900)), (1, 9, 2, 8)),
    ):
        values = dict(zip(ends, numbers, strict=True))
        s.add(Street(name=name, line=drawn, **values))
    for label, point in (
        ("214 Tansy St", at(-100, -290)),
        ("214B Tansy St", at(-80, -290)),
        ("216 Tansy St", at(50, -290)),
    ):
        s.add(Address(label=label, lat=point.lat, lon=point.lon, cell=""))
    for label, point in (("Elm St & Oak Ave", at(0, 0)), ("Tansy St & Oak Ave", at(0, -300))):
        s.add(Intersection(label=label, lat=point.lat, lon=point.lon))
    for kind, number in (("pole", "20-118"), ("tree", "T-7"), ("pole", "20-119")):
        point = at(20, 8)
        gone = datetime(2026, 1, 1, tzinfo=UTC) if number == "20-119" else None
        s.add(
            Asset(
                kind=kind, number=number, address="44 Elm St", lat=point.lat, lon=point.lon, cell="",
                retired_at=gone,
            )
        )  # fmt: skip
    s.add(Landmark(name="City Hall", lat=at(200, 30).lat, lon=at(200, 30).lon))
    for kind, name, corners in (
        ("boundary", "Larkhaven", [(-1000, -1000), (1000, -1000), (1000, 1000), (-1000, 1000)]),
        ("area", "Tannery Hill", [(-1000, 0), (1000, 0), (1000, 1000), (-1000, 1000)]),
        ("park", "Lantern Green", [(600, 600), (900, 600), (900, 900), (600, 900)]),
        ("water", "River Lark", [(-900, 600), (-600, 600), (-600, 900), (-900, 900)]),
    ):
        s.add(
            Area(
                kind=kind,
                name=name,
                geometry={"type": "Polygon", "coordinates": [line(*corners, corners[0])]},
            )
        )


@pytest.fixture
def s(engine: Engine) -> Iterator[Session]:
    with db.transaction(engine) as writing:
        town(writing)
    with db.read_session(engine) as reading:
        yield reading


def labels(found: list[Place]) -> list[str]:
    return [place.label for place in found]


def metres(place: Place, east: float, north: float) -> float:
    return distance(place.point, at(east, north))


def test_a_number_without_a_door_stands_by_the_ranges_on_its_own_side(s: Session) -> None:
    (odd,), (even,) = lookup.find(s, "21 Elm Street"), lookup.find(s, "22 elm st.")
    assert (odd.label, even.label) == ("21 Elm St", "22 Elm St")
    assert metres(odd, -190, 12) < 1
    assert metres(even, -190, -12) < 1
    assert metres(lookup.find(s, "79 Elm St")[0], 390, 12) < 1
    assert odd.accuracy_m == 142.0
    assert (odd.unsure, odd.vague) == (True, False)


@pytest.mark.parametrize(
    ("metres", "last", "number", "within"),
    [
        (80, 19, 9, (40, 60)),  # a block of a town
        (240, 39, 9, (90, 100)),
        (3000, 999, 401, (800, 900)),  # a country road: somewhere along a good part of it
        (100, 19, 27, (90, 100)),  # four houses beyond the last one that the range knows
    ],
)
def test_a_number_that_is_worked_out_claims_no_more_than_its_block_allows(
    engine: Engine, metres: float, last: int, number: int, within: tuple[float, float]
) -> None:
    with db.transaction(engine) as s:
        s.add(
            Street(
                name="Long Rd", line=line((0, 0), (metres, 0)),
                left_from=1, left_to=last, right_from=None, right_to=None,
            )
        )  # fmt: skip
    with db.read_session(engine) as s:
        (house,) = lookup.find(s, f"{number} Long Rd")
    assert house.accuracy_m is not None
    assert within[0] <= house.accuracy_m <= within[1]
    assert house.unsure == (within[0] >= 100)


def test_a_door_goes_before_the_ranges(s: Session) -> None:
    (door,) = lookup.find(s, "214 Tansy Street")
    assert metres(door, -100, -290) < 0.1
    assert door.accuracy_m is None
    assert labels(lookup.find(s, "214b tansy")) == ["214B Tansy St"]
    assert labels(lookup.find(s, "214½ Tansy St")) == ["214 Tansy St"]


@pytest.mark.parametrize(
    "words",
    [
        "21 elm st", "21 Street Elm", "Elm St 21", "Elm Street #21", "calle Elm 21", "en la calle Elm nº 21",
        "21 ELM STREET, Larkhaven", "21 Elm St, Larkhaven, CT 06103", "21 Elm St Apt 4", "21-25 Elm St",
        "Apt 4, 21 Elm St, Larkhaven", "21 Elm St, 06103", "21 Elm Stret", "21 Elm Sy", "21R Elm St",
    ],
)  # fmt: skip
def test_an_address_is_found_however_it_is_written(s: Session, words: str) -> None:
    (place,) = lookup.find(s, words)
    assert metres(place, -190, 12) < 1


@pytest.mark.parametrize(
    "words",
    [
        "21 Elk Street", "21 Elm Court", "21 Maple Street", "21 Elm St, Springfield", "9999 Elm Street",
        "Elm 9999",
        "22 Elmwood Ave",  # nobody lives on that side
        "Nia Tansy, 555-0147, ring twice", "the dark corner", "Elm St & Tansy St", "20-119", "Maple Street",
        "Bark", "River Lark", "", "   ", "'; --", "12", "x" * 5000,
    ],
)  # fmt: skip
def test_what_the_city_does_not_have_is_not_found(s: Session, words: str) -> None:
    assert lookup.find(s, words) == []


@pytest.mark.parametrize(
    "words",
    [
        "Elm St & Oak Ave", "oak avenue and elm street", "Elm/Oak", "elm@oak", "corner of Elm and Oak",
        "the intersection of Oak Ave & Elm St", "Elm y Oak", "esquina de Elm y Oak", "Elm esquina con Oak",
        "en la esquina de calle Elm y avenida Oak", "Elm at Oak", "Elm St & Oak Ave, Larkhaven",
    ],
)  # fmt: skip
def test_a_corner_is_found_in_either_order_and_language(s: Session, words: str) -> None:
    (corner,) = lookup.find(s, words)
    assert (corner.label, metres(corner, 0, 0) < 0.1) == ("Elm St & Oak Ave", True)


def test_things_landmarks_and_areas_are_found_by_number_and_name(s: Session) -> None:
    for words in ("20-118", "pole 20-118", "poste #20-118", "luz 20-118", "light 20-118"):
        (pole,) = lookup.find(s, words)
        assert (pole.source, pole.label, pole.asset_id is not None) == ("asset", "44 Elm St", True)
    assert [place.source for place in lookup.find(s, "árbol t-7")] == ["asset"]
    for words in ("city hall", "Citty Hall", "City Hall, Larkhaven"):
        assert labels(lookup.find(s, words)) == ["City Hall"]
    (green,), (hill,) = lookup.find(s, "lantern green"), lookup.find(s, "Tannery Hill")
    assert metres(green, 750, 750) < 150
    assert (green.vague, hill.vague) == (True, True)
    (street,) = lookup.find(s, "Elm Street")
    assert (street.label, street.vague, metres(street, 0, 0) < 1) == ("Elm St", True, True)


@pytest.mark.parametrize(
    ("east", "north", "words"),
    [
        (-100, -289, "214 Tansy St"),
        (-100, -270, "near 214 Tansy St"),
        (-100, -250, "about 40 m from 214 Tansy St"),
        (6, 5, "Elm St at Oak Ave"),
        (-190, 8, "near 21 Elm St"),
        (-190, -8, "near 22 Elm St"),
        (-190, 60, "about 60 m from 21 Elm St"),
        (200, 490, "Elmwood Ave"),  # its southern side has no numbers
        (750, 750, "Lantern Green"),
        (-750, 750, ""),
    ],
)  # fmt: skip
def test_a_point_is_told_in_honest_words(s: Session, east: float, north: float, words: str) -> None:
    assert lookup.describe(s, at(east, north)) == words
    found = lookup.gazetteer(s).reverse(at(east, north))
    assert (found.address if found else "") == words


@pytest.mark.parametrize(
    "told",
    [
        Whereabouts("12 Elm St"),
        Whereabouts("12 Elm St", "", 25.0, exact=False),
        Whereabouts("12 Elm St", "", 40.0, exact=False),
        Whereabouts("Elm St", "Oak Ave", 12.0),
    ],
)
def test_the_words_for_a_point_can_be_read_again(told: Whereabouts) -> None:
    again = reverse_geocoder.read(told.words)
    assert (again.name, again.other, again.words) == (told.name, told.other, told.words)


def test_a_house_on_a_street_with_at_in_its_name_is_no_corner() -> None:
    told = reverse_geocoder.read("12 Kids at Play Street")
    assert (told.name, told.other) == ("12 Kids at Play Street", "")


@pytest.mark.parametrize("street", ["1st Street", "10 Mile Road", "12 Oaks Rd"])
def test_a_corner_of_a_street_with_a_number_in_its_name_is_one(street: str) -> None:
    told = reverse_geocoder.read(f"{street} at Woodward Ave")
    assert (told.name, told.other) == (street, "Woodward Ave")


def test_it_answers_as_any_geocoder_of_geopy_does(s: Session) -> None:
    gazetteer = lookup.gazetteer(s)
    one = gazetteer.geocode("21 Elm St", timeout=1)
    assert (one.address, one.point) == (
        "21 Elm St",
        gazetteer.geocode("21 Elm St", exactly_one=False)[0].point,
    )
    assert gazetteer.geocode("no such street") is None
    assert gazetteer.geocode("no such street", exactly_one=False) == []
    assert gazetteer.reverse((LAT + 1, LON)) is None


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("21 e", "21 Elm St"),
        ("21 elm s", "21 Elm St"),
        ("214 ta", "214 Tansy St"),
        ("elm", "Elm St"),
        ("elmw", "Elmwood Ave"),
        ("elm and", "Elm St & Oak Ave"),
        ("elm & o", "Elm St & Oak Ave"),
        ("calle elm y o", "Elm St & Oak Ave"),
        ("21 elmm st", "21 Elm St"),
        ("city h", "City Hall"),
        ("hall", "City Hall"),
        ("tann", "Tannery Hill"),
        ("20-1", "44 Elm St"),
        ("poste 20", "44 Elm St"),
    ],
)
def test_a_place_is_suggested_before_it_is_typed_out(s: Session, words: str, first: str) -> None:
    assert labels(lookup.suggest(s, words))[:1] == [first]


def test_nothing_is_suggested_that_is_not_there(s: Session) -> None:
    for words in ("", "   ", "zzz", "9999 elm", "20-119", "&", "and"):
        assert lookup.suggest(s, words) == []
    assert len(lookup.suggest(s, "e", limit=1)) == 1


def test_what_is_near_is_suggested_first(s: Session) -> None:
    assert labels(lookup.suggest(s, "elm", near=at(0, 490)))[:2] == [
        "Elm St",
        "Elmwood Ave",
    ]  # it is that name
    assert labels(lookup.suggest(s, "21", near=at(-190, 20))) == ["21 Elm St"]
    assert lookup.suggest(s, "21") == []


def test_a_changed_layer_is_noticed_by_everybody_who_reads_it(engine: Engine, s: Session) -> None:
    assert lookup.find(s, "12 Maple Street") == []
    s.rollback()
    with db.transaction(engine) as writing:
        point = at(0, 700)
        writing.execute(
            insert(Address),
            [{"label": "12 Maple St", "lat": point.lat, "lon": point.lon, "cell": ""}],
        )
    assert labels(lookup.find(s, "12 Maple Street")) == ["12 Maple St"]
    s.rollback()
    with db.transaction(engine) as writing:
        writing.execute(delete(Address).where(Address.label == "214 Tansy St"))
        events.record(writing, "layer:addresses", "import", by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    assert lookup.find(s, "214 Tansy Street") == []


def test_a_city_without_layers_knows_nothing(engine: Engine) -> None:
    with db.read_session(engine) as s:
        assert lookup.find(s, "12 Elm St") == lookup.suggest(s, "12 e") == []
        assert lookup.describe(s, at(0, 0)) == ""


@pytest.mark.slow
@pytest.mark.full
def test_a_large_city_is_searched_while_one_types(engine: Engine) -> None:
    """60,000 addresses on 600 streets: 20 ms for a suggestion."""
    with db.transaction(engine) as writing:
        names = [f"{first}{last} {kind}" for first in FIRST for last in LAST for kind in ("St", "Ave", "Rd")]
        rows = [
            {"label": f"{n} {name}", "lat": LAT + street / 1e4, "lon": LON + n / 1e4, "cell": ""}
            for street, name in enumerate(names[:600])
            for n in range(1, 101)
        ]
        for start in range(0, len(rows), 5000):
            writing.execute(insert(Address), rows[start : start + 5000])
    with db.read_session(engine) as s:
        assert len(s.scalars(select(Address.id)).all()) == 60_000
        lookup.suggest(s, "12 e")
        taken = []
        for words in (
            "1",
            "12",
            "12 m",
            "12 ma",
            "12 map",
            "maplef",
            "maplefield s",
            "mapelfield",
            "zzzzz",
            "m and h",
        ):
            began = time.thread_time()
            lookup.suggest(s, words, near=Point(LAT, LON))
            taken.append(time.thread_time() - began)
        assert max(taken) < 0.02, taken


FIRST = ("maple", "oak", "elder", "birch", "cedar", "hazel", "linden", "willow", "aspen", "rowan")
LAST = (
    "field", "wood", "hurst", "bury", "ton", "mere", "dale", "ford", "worth", "stead", "ley", "gate", "brook",
    "hill", "view", "side", "way", "cross", "bridge", "vale",
)  # fmt: skip
