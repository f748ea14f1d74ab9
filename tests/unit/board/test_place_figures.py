"""What the cases of one place come to: counted by year and by failure, and what a number's order is."""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from city.board import place_history
from city.board.place_history import Entry
from city.db.models import Asset

NOW = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)
ZONE = ZoneInfo("America/New_York")
DAY = timedelta(days=1)


def entry(
    days: float, state: str = "closed", outcome: str | None = "fixed", kind: str = "Light out"
) -> Entry:
    return Entry(0, state, None if state == "new" else outcome, NOW - days * DAY, {"en": kind})


def test_no_case_comes_to_nothing() -> None:
    told = place_history.figures([], now=NOW, zone=ZONE)
    assert (told.cases, told.open, told.first_year, told.older, told.gap) == (0, 0, None, 0, None)
    assert told.years == [(2026, 0)]
    assert not told.fails_again


def test_years_are_the_citys_own_and_have_no_gap() -> None:
    new_year = datetime(2025, 1, 1, 3, tzinfo=UTC)  # still the old year there
    first = Entry(1, "closed", "fixed", new_year, {"en": "Light out"})
    told = place_history.figures([entry(1), first], now=NOW, zone=ZONE)
    assert told.years == [(2024, 1), (2025, 0), (2026, 1)]
    assert (told.first_year, told.this_year) == (2024, 1)
    old = [Entry(n, "closed", "fixed", NOW.replace(year=2000 + n), {"en": "x"}) for n in range(27)]
    told = place_history.figures(old, now=NOW, zone=ZONE)
    assert len(told.years) == place_history.YEARS
    assert told.older + sum(n for _year, n in told.years) == told.cases == 27


def test_it_fails_again_from_three_times_in_two_years_on() -> None:
    edge = place_history.AGAIN / DAY
    twice = [entry(1), entry(edge - 1)]
    for third, again in (
        (entry(edge), True), (entry(edge + 1), False), (entry(2, "merged"), False),
        (entry(2, "cancelled"), False), (entry(2, outcome="not found"), False),
        (entry(2, outcome="not ours"), False), (entry(2, "new"), True), (entry(2, outcome="no action"), True),
    ):  # fmt: skip
        assert place_history.figures([*twice, third], now=NOW, zone=ZONE).fails_again == again, third
    told = place_history.figures([*twice, entry(3, kind="Door open")], now=NOW, zone=ZONE)
    assert told.lately == [({"en": "Light out"}, 2), ({"en": "Door open"}, 1)]
    assert told.times == 3


def test_days_between_failures_are_those_of_late_and_what_they_were() -> None:
    told = place_history.figures([entry(n) for n in (10, 60, 1000, 1400)], now=NOW, zone=ZONE)
    assert told.gap == (50 + 940) / 2 * DAY
    assert told.gap_before == 400 * DAY
    told = place_history.figures([entry(n) for n in (1000, 1400)], now=NOW, zone=ZONE)
    assert (told.gap, told.gap_before) == (400 * DAY, None)
    assert place_history.figures([entry(3)], now=NOW, zone=ZONE).gap is None


def test_numbers_stand_in_the_order_in_which_people_count() -> None:
    order = ["7", "7A", "20-9", "20-118", "20-118A", "T-2", "T-10"]
    mixed = Random(1).sample(order, len(order))
    assert sorted(mixed, key=place_history.in_figures) == order


def test_the_first_and_the_last_have_one_beside_them() -> None:
    things = [place_history.Neighbor(Asset(id=n, number=str(n))) for n in (1, 2, 3)]
    around = place_history.Neighborhood(things, 2, 0.0)
    beside = [around.beside(each.asset) for each in things]
    assert [(a and a.id, b and b.id) for a, b in beside] == [(None, 2), (1, 3), (2, None)]
