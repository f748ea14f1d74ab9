"""Working time against a slow reference that walks ten years a quarter of an hour at a time."""

import time as stopwatch
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city.config import business_hours
from city.config.business_hours import Calendar

QUARTER = timedelta(minutes=15)
FIRST, LAST = date(2018, 1, 1), date(2028, 1, 1)
# Hours of the week in quarters of the day: an ordinary week with a pause, and nights through the hour in
# which clocks are changed.
OFFICE = (((32, 48), (52, 68)),) * 5 + ((), ())
NIGHTS = (
    ((0, 9), (72, 96)),
    ((0, 8),),
    (),
    ((20, 96),),
    ((30, 60),),
    ((88, 96),),
    ((0, 9), (10, 12), (13, 30)),
)
CITIES = {
    "America/New_York": ("US", "NY", "Columbus Day"),
    "America/Los_Angeles": ("US", "CA", "Cesar Chavez Day"),
    "Europe/London": ("GB", "ENG", "Good Friday"),
    "Australia/Lord_Howe": ("AU", "NSW", "Easter Monday"),  # its clocks move by half an hour
}
OWN = (date(2019, 5, 14), date(2024, 2, 29))


@dataclass
class Reference:
    """Ten years as a list: whether each quarter of an hour is open. Knows nothing of business_hours.py."""

    began: datetime
    is_open: list[bool]

    def worked(self, at: datetime) -> timedelta:
        """From the beginning of the ten years to an instant."""
        whole, part = divmod(at - self.began, QUARTER)
        return sum(self.is_open[:whole]) * QUARTER + (part if self.is_open[whole] else timedelta())

    def add(self, at: datetime, working: timedelta) -> datetime:
        n, part = divmod(at - self.began, QUARTER)
        now = at
        while working:
            step = QUARTER - part
            if self.is_open[n] and working <= step:
                return now + working
            working -= step if self.is_open[n] else timedelta()
            now, n, part = now + step, n + 1, timedelta()
        return now


@cache
def reference(zone: str, nights: bool) -> Reference:
    country, state, worked = CITIES[zone]
    free = holidays.country_holidays(country, subdiv=state, years=range(2018, 2029))
    week = NIGHTS if nights else OFFICE
    began, found = None, []
    for day, quarters in _days(ZoneInfo(zone)):
        began = began or quarters[0][0]
        shown: dict[int, int] = {}  # a time of the clock → the first quarter of this day that shows it
        for n, (_at, wall) in enumerate(quarters):
            shown.setdefault(wall, n)
            if n and (jump := wall - quarters[n - 1][1]) > 1:  # skipped: as much later as the clocks jump
                shown |= {wall - jump + k: n + k - 1 for k in range(1, jump)}
        names = [name.removesuffix(" (observed)") for name in free.get_list(day)]
        is_free = day in OWN or any(name != worked for name in names)
        spans = [(shown[a], shown.get(b, len(quarters))) for a, b in ([] if is_free else week[day.weekday()])]
        found += [any(a <= n < b for a, b in spans) for n in range(len(quarters))]
    assert began is not None
    return Reference(began, found)


def _days(zone: ZoneInfo) -> Iterator[tuple[date, list[tuple[datetime, int]]]]:
    """Every day of the ten years with its quarters: the instant, and what the clock shows then."""
    at = datetime.combine(FIRST, time(), zone).astimezone(UTC)
    day, quarters = FIRST, []
    while day < LAST:
        here = at.astimezone(zone)
        if here.date() != day:
            yield day, quarters
            day, quarters = here.date(), []
        quarters.append((at, here.hour * 4 + here.minute // 15))
        at += QUARTER


def calendar(zone: str, nights: bool) -> Calendar:
    country, state, worked = CITIES[zone]
    week = tuple(tuple((_clock(a), _clock(b)) for a, b in spans) for spans in (NIGHTS if nights else OFFICE))
    return Calendar(ZoneInfo(zone), week, country, state, frozenset({worked}), frozenset(OWN))


def _clock(quarter: int) -> time:
    return time(quarter // 4 % 24, quarter % 4 * 15)


minutes = st.integers(0, (LAST - FIRST).days * 1440 - 100 * 1440)
seconds = st.integers(0, 59)


@pytest.mark.parametrize("nights", [False, True], ids=["office", "nights"])
@pytest.mark.parametrize("zone", CITIES)
@settings(max_examples=60)
@given(minute=minutes, second=seconds, working=st.integers(0, 200 * 60), later=minutes)
def test_ten_years_are_counted_as_the_slow_reference_does(
    zone: str, nights: bool, minute: int, second: int, working: int, later: int
) -> None:
    slow, fast = reference(zone, nights), calendar(zone, nights)
    at = slow.began + timedelta(minutes=minute, seconds=second)
    span = timedelta(minutes=working)
    ends = business_hours.add(fast, at, span)
    assert ends == slow.add(at, span)
    assert business_hours.between(fast, at, ends) == span
    other = slow.began + timedelta(minutes=later)
    assert business_hours.between(fast, at, other) == slow.worked(other) - slow.worked(at)


@pytest.mark.parametrize("nights", [False, True], ids=["office", "nights"])
@pytest.mark.parametrize("zone", CITIES)
def test_every_day_on_which_clocks_change_is_as_long_as_the_reference_says(zone: str, nights: bool) -> None:
    slow, fast, here = reference(zone, nights), calendar(zone, nights), ZoneInfo(zone)
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days)]
    midnights = [datetime.combine(day, time(), here).astimezone(UTC) for day in days]
    changed = [(a, b) for a, b in pairwise(midnights) if b - a != timedelta(days=1)]
    assert len(changed) == 20
    for a, b in changed:
        assert business_hours.between(fast, a, b) == slow.worked(b) - slow.worked(a)


def test_a_hundred_thousand_promises_are_counted_without_walking_through_their_days() -> None:
    """By the clock it is two seconds; walking span by span it is minutes."""
    fast = calendar("America/New_York", False)
    began = datetime(2018, 1, 1, tzinfo=UTC)
    business_hours.add(fast, began, timedelta(hours=2000))
    clock = stopwatch.process_time()
    for n in range(100_000):
        business_hours.add(fast, began + timedelta(minutes=47 * n), timedelta(hours=200))
    assert stopwatch.process_time() - clock < 20
