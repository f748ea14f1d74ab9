"""Street names as people write them: the right street, more than one, or none. Never another one."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA
from shapely.geometry import LineString

from city.places import streets
from city.places.address_ranges import Block, Range


@dataclass(frozen=True)
class Named:
    label: str


NAMES = (
    "Elm St", "Elm St N", "Elmer St", "Oak Ave", "Oakland Ave", "Massachusetts Ave", "Broadway", "DeWolfe St",
    "St Mary Rd", "Mt Auburn St", "Fifth St", "East Kendall St", "Kendall St", "Ash Street Pl", "West St",
    "Walden St", "Western Ave", "Webster Ave", "Monsignor OBrien Hwy", "Gray Gardens East", "Jay Ct",
)  # fmt: skip
DIRECTORY = streets.Directory([Named(name) for name in NAMES])


def found(words: str) -> list[str]:
    return sorted(street.label for street in DIRECTORY.find(words).streets)


def test_a_name_without_a_letter_that_can_be_compared_is_passed_over() -> None:
    directory = streets.Directory([Named("."), Named("北京路"), Named("Elm St")])
    assert [street.label for street in directory.find("elm st").streets] == ["Elm St"]
    assert directory.find(".").streets == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_as_it_stands_on_the_sign_finds_that_street_alone(name: str) -> None:
    for words in (name, name.upper(), f"  {name.lower()}. ", streets.normal(name)):
        match = DIRECTORY.find(words)
        assert [street.label for street in match.streets] == [name]
        assert match.slips == 0


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("elm street", ["Elm St"]),
        ("Street Elm", ["Elm St"]),
        ("north elm street", ["Elm St N"]),
        ("avenida Massachusetts", ["Massachusetts Ave"]),
        ("calle Broadway", ["Broadway"]),
        ("calle Elm", ["Elm St", "Elm St N"]),
        ("de wolfe street", ["DeWolfe St"]),
        ("Saint Mary Road", ["St Mary Rd"]),
        ("5th St", ["Fifth St"]),
        ("mount auburn", ["Mt Auburn St"]),
        ("Monsignor O'Brien Highway", ["Monsignor OBrien Hwy"]),
        ("Gray Gdns E", ["Gray Gardens East"]),
        ("ash st pl", ["Ash Street Pl"]),
        ("Kendall", ["East Kendall St", "Kendall St"]),
        ("west", ["West St"]),
        ("MassachusettsAve", ["Massachusetts Ave"]),
    ],
)
def test_short_forms_swapped_words_and_spanish_mean_the_same(words: str, names: list[str]) -> None:
    assert found(words) == names
    assert DIRECTORY.find(words).slips == 0


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("Massachusets Ave", ["Massachusetts Ave"]),
        ("masachusets avenue", ["Massachusetts Ave"]),
        ("Broadwya", ["Broadway"]),
        ("Mt Aubrun St", ["Mt Auburn St"]),
        ("Fith St", ["Fifth St"]),
        ("Elm Srteet", ["Elm St"]),
        ("Eml St", ["Elm St"]),
        ("Wester Ave", ["Webster Ave", "Western Ave"]),  # as near to the one as to the other
    ],
)
def test_a_slip_of_the_finger_is_seen_through_and_said(words: str, names: list[str]) -> None:
    assert found(words) == names
    assert DIRECTORY.find(words).slips > 0


@pytest.mark.parametrize(
    "words",
    [
        "Elk St",  # a short name allows no other letter
        "Oak St",  # the avenue is another street
        "Elm Ct", "Elmer Ave", "Kay Ct", "Wes Rd", "South Elm St", "Maple St", "Mass Ave", "Street", "12", "",
        "Nia Brook, 555-0147, ring twice", "West Kendall St", "Auburn",
    ],
)  # fmt: skip
def test_an_unknown_street_is_not_found(words: str) -> None:
    assert found(words) == []


@given(
    core=st.text("abcdefghijklmnopqrstuvwxyz ", min_size=1, max_size=14),
    kind=st.sampled_from(["St", "Ave", "Road", "Ct", ""]),
)
def test_whatever_is_not_nearly_a_name_finds_nothing(core: str, kind: str) -> None:
    wanted = streets.parse(f"{core} {kind}")
    for street in DIRECTORY.find(f"{core} {kind}").streets:
        name = streets.parse(street.label)
        assert wanted.type in ("", name.type) or not set(wanted.core) - set(name.core)
        assert OSA.distance("".join(core.split()), name.joined) <= 2 + len(kind)


@given(
    number=st.integers(1, 400), first=st.integers(1, 200), houses=st.integers(0, 90), falling=st.booleans()
)
def test_a_house_stands_on_its_own_side_and_its_number_is_read_there_again(
    number: int, first: int, houses: int, falling: bool
) -> None:
    last = first + 2 * houses
    ours, others = Range(first, last), Range(first + 1, last + 1)
    if falling:
        ours, others = Range(last, first), Range(last + 1, first + 1)
    block = Block(LineString([(0, 0), (200, 0)]), left=ours, right=others)
    if block.away(number) == 0:
        spot = block.spot(number)
        assert (spot.y > 0) == ((number - first) % 2 == 0)
        assert 0 < spot.x < 200
        assert block.number(spot) == number


def test_house_numbers_are_spread_evenly_and_never_on_the_corner() -> None:
    block = Block(LineString([(0, 0), (100, 0)]), left=Range(2, 10))
    assert [block.spot(n).x for n in (2, 4, 6, 8, 10)] == pytest.approx([10, 30, 50, 70, 90])
    assert block.away(12) == 2
    assert block.away(3) is None
    mixed = Block(LineString([(0, 0), (100, 0)]), right=Range(1, 4))
    assert [round(mixed.spot(n).x) for n in (1, 2, 3, 4)] == [12, 38, 62, 88]
    assert mixed.spot(2).y < 0
