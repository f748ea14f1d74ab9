"""Days of collection: every week or every other, moved by holidays, and the zone of a place."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from factories import Town

from city.config import city_file, collection_schedule
from city.config.business_hours import Calendar
from city.config.collection_schedule import Collection, PickupRule, Zone
from city.db.models import Area
from city.geo import Point
from city.places import collection_days
from city.settings import DEFAULT_CITY

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY = range(6)
WORKED = frozenset({"Columbus Day", "Juneteenth National Independence Day"})
FREE = Calendar(ZoneInfo("America/New_York"), ((),) * 7, "US", "", WORKED)


@pytest.mark.parametrize(
    ("day", "today", "comes", "because"),
    [
        (THURSDAY, "2026-11-25", "2026-11-27", "2026-11-26"),  # Thanksgiving: a day later
        (FRIDAY, "2026-11-25", "2026-11-28", "2026-11-26"),  # and so for the rest of the week
        (FRIDAY, "2026-11-28", "2026-11-28", "2026-11-26"),  # on the day itself, and
        (THURSDAY, "2026-11-28", "2026-12-03", None),  # the week after as always
        (WEDNESDAY, "2026-11-25", "2026-11-25", None),  # before the holiday nothing moves
        (MONDAY, "2026-09-05", "2026-09-08", "2026-09-07"),  # Labor Day moves the whole week
        (FRIDAY, "2026-09-10", "2026-09-12", "2026-09-07"),
        (MONDAY, "2026-10-12", "2026-10-12", None),  # a holiday on which they work
        (FRIDAY, "2026-07-01", "2026-07-04", "2026-07-03"),  # kept on a Friday, as the 4th is a Saturday
        (SATURDAY, "2026-08-01", "2026-08-01", None),
    ],
)
def test_a_holiday_moves_collection_by_a_day(day: int, today: str, comes: str, because: str | None) -> None:
    found = collection_schedule.next_pickup(PickupRule((day,)), FREE, date.fromisoformat(today))
    assert found.day == date.fromisoformat(comes)
    assert found.holiday == (date.fromisoformat(because) if because else None)
    assert found.usual.weekday() == day


def test_two_holidays_in_a_week_move_it_by_both() -> None:
    both = Calendar(FREE.zone, FREE.hours, "US", "", WORKED, frozenset({date(2026, 11, 27)}))
    assert collection_schedule.moved(both, date(2026, 11, 26)) == (date(2026, 11, 28), date(2026, 11, 26))
    assert collection_schedule.moved(both, date(2026, 11, 27)) == (date(2026, 11, 29), date(2026, 11, 26))


def test_every_other_week_is_counted_from_its_first() -> None:
    paper = PickupRule((THURSDAY,), 2, date(2026, 1, 5))  # a Monday of a week in which it comes
    days, today = [], date(2026, 1, 1)
    for _ in range(3):
        days.append(collection_schedule.next_pickup(paper, None, today).day)
        today = date.fromordinal(days[-1].toordinal() + 1)
    assert days == [date(2026, 1, 8), date(2026, 1, 22), date(2026, 2, 5)]
    assert collection_schedule.next_pickup(paper, None, date(2025, 12, 20)).day == date(2025, 12, 25)


def test_several_days_a_week_take_turns() -> None:
    twice = PickupRule((TUESDAY, FRIDAY))
    assert collection_schedule.next_pickup(twice, None, date(2026, 5, 12)).day == date(2026, 5, 12)
    assert collection_schedule.next_pickup(twice, None, date(2026, 5, 13)).day == date(2026, 5, 15)
    assert collection_schedule.next_pickup(twice, None, date(2026, 5, 16)).day == date(2026, 5, 19)


def test_a_point_is_asked_about_by_its_zone(town: Town) -> None:
    city = Collection(None, "", (Zone("n", "North", {"trash": PickupRule((THURSDAY,))}),))
    known, unknown, other = ("collection", "NORTH"), ("collection", "Unknown"), ("area", "North")
    today = date(2026, 5, 12)
    with town.at_work() as scene:
        for (kind, name), west in ((known, -71.2), (unknown, -71.1), (other, -71.0)):
            ring = [[west, 39.6], [west + 0.1, 39.6], [west + 0.1, 39.7], [west, 39.7], [west, 39.6]]
            scene.s.add(Area(kind=kind, name=name, geometry={"type": "Polygon", "coordinates": [ring]}))
        scene.s.flush()
        points = [Point(39.65, lon) for lon in (-71.15, -71.05, -70.95, -71.25)]
        found = [collection_days.zone_at(scene.s, city, point) for point in points]
    assert found[1:] == [None, None, None]
    assert found[0]
    (stream,) = collection_days.next_of(found[0], city.calendar, today)
    assert (stream.what, stream.next.day) == ("trash", date(2026, 5, 14))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["thursday"], weeks', '["thorsday"], weeks', "recycling.days: 'thorsday' isn't a day of the week"),
        ("weeks = 2, from = 2026-01-08", "weeks = 2", "recycling.from: is missing"),
        ("weeks = 2, from = 2026-01-08", "weeks = 3", "recycling.weeks: 3 isn't a whole number from 1 to 2"),
        ("from = 2026-01-08", 'from = "soon"', "recycling.from: 'soon' isn't a date without quotes"),
        (
            'area = "East bank"',
            'area = "west bank"',
            "east.area: 'west bank' already belongs to another zone",
        ),
        ('group = "trash"\n\n[coll', 'group = "bins"\n\n[coll', "collection.group: 'bins' isn't one of"),
        ('calendar = "collection"', 'calendar = "none"', "collection.calendar: 'none' isn't one of"),
        (
            'yard = { days = ["friday"] }',
            'glass = { days = ["friday"] }',
            "west.glass: isn't a known key",
        ),
        (
            '[collection.zones.east]\narea = "East bank"',
            "[collection.zones.empty]\n[collection.zones.east]",
            "collection.zones.empty.trash: nothing is ever picked up",
        ),
    ],
)
def test_a_wrong_zone_is_told_with_its_place(old: str, new: str, says: str) -> None:
    text = DEFAULT_CITY.read_text("utf-8")
    assert old in text
    with pytest.raises(city_file.CityFileError) as refused:
        city_file.parse(text.replace(old, new, 1), "city.toml")
    assert says in str(refused.value)
