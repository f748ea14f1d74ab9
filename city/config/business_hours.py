"""When a calendar is open, and how much working time passes: hours, holidays, days of the city's own. Pure.

Working time is the time that really passes inside the open spans: a night shift through the hour that clocks
skip in spring is an hour shorter, through the one that they repeat in autumn an hour longer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# No calendar that is ever open stays shut for longer than this.
LOOK_AHEAD_DAYS = 400
# So far a promise is followed, holidays and all. The city file takes none that may need more: see has_end().
LOOK_AHEAD_YEARS = 50

Span = tuple[time, time]  # from, until; until 00:00 is the end of that day


@dataclass(frozen=True)
class Calendar:
    """Opening hours in local time, Monday first, and the days on which they do not count.

    `country` and `state` are the codes of the `holidays` library; `worked` names holidays of theirs on
    which it is open nevertheless.
    """

    zone: ZoneInfo
    hours: tuple[tuple[Span, ...], ...]
    country: str = ""
    state: str = ""
    worked: frozenset[str] = frozenset()
    own: frozenset[date] = frozenset()


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether `at` lies within the hours; the minute of closing does not."""
    return closing(calendar, at) is not None


def closing(calendar: Calendar, at: datetime) -> datetime | None:
    """When it closes next (aware UTC), a year ahead or more where it never does; None where it is closed."""
    until = None
    for begin, end in _spans(calendar, at):
        if until is None and at < begin:
            return None
        if until is None and at < end:
            until = end
        elif until is not None and begin <= until:  # open through midnight
            until = max(until, end)
        elif until is not None:
            return until
    return until


def next_opening(calendar: Calendar, at: datetime) -> datetime | None:
    """The first moment from `at` on at which it is open (aware UTC); None where there is none."""
    return next((max(begin, at) for begin, end in _spans(calendar, at) if at < end), None)


def add(calendar: Calendar, at: datetime, working: timedelta) -> datetime:
    """The first moment (aware UTC) at which `working` has passed since `at`; `at` itself for none.

    Eight hours from Thursday noon end when Friday does, not when Monday begins. Raises ValueError for a
    negative span, and where the calendar isn't open for that long within LOOK_AHEAD_YEARS.
    """
    if working < timedelta():
        raise ValueError(f"{working} of working time is less than none")
    at = at.astimezone(UTC)
    if not working:
        return at
    first = _year_of(calendar, at)
    left = working + _worked(_book(calendar, first), at)
    for year in range(first, first + LOOK_AHEAD_YEARS):
        book = _book(calendar, year)
        if left <= book.whole:
            n = bisect_left(book.after, left)
            return book.ends[n] - (book.after[n] - left)
        left -= book.whole
    raise ValueError(f"the calendar isn't open for {working} within {LOOK_AHEAD_YEARS} years of {at}")


def has_end(calendar: Calendar, working: timedelta) -> bool:
    """Whether a promise of so much working time has an end, whenever it begins.

    It has where LOOK_AHEAD_YEARS hold it twice: the other half is for holidays of other years than those from
    2025 on, and for days of the city's own.
    """
    try:
        add(calendar, datetime(2025, 1, 1, tzinfo=UTC), 2 * working)
    except ValueError:
        return False
    return True


def between(calendar: Calendar, a: datetime, b: datetime) -> timedelta:
    """How much working time passes from `a` to `b`; negative where `b` is the earlier one."""
    if b < a:
        return -between(calendar, b, a)
    first, last = _year_of(calendar, a), _year_of(calendar, b)
    whole = sum((_book(calendar, year).whole for year in range(first, last)), timedelta())
    return whole + _worked(_book(calendar, last), b) - _worked(_book(calendar, first), a)


def spans_of(calendar: Calendar, day: date) -> list[tuple[datetime, datetime]]:
    """From when until when (aware UTC) it is open on a day, in order and apart; none on a free one.

    A time that the clocks skip that day is the one an hour later, whether something opens or closes then.
    """
    found: list[tuple[datetime, datetime]] = []
    for begin, end in () if is_free(calendar, day) else calendar.hours[day.weekday()]:
        opens, closes = _instant(calendar, day, begin), _end(calendar, day, end)
        if found:
            opens = max(opens, found[-1][1])
        if opens < closes:
            found.append((opens, closes))
    return found


def is_free(calendar: Calendar, day: date) -> bool:
    """Whether it is a holiday of the country, its state or the city's own: the hours do not count."""
    if day in calendar.own:
        return True
    if not calendar.country:
        return False
    names = _public(calendar.country, calendar.state, day.year).get(day, ())
    return any(_plain(name) not in calendar.worked for name in names)


def name_of(calendar: Calendar, day: date, lang: str) -> str:
    """What a free day is called; empty where it is the city's own, or has no name in that language."""
    told = holidays.list_localized_countries().get(calendar.country, ["en"])
    names = _public(calendar.country, calendar.state, day.year).get(day, ()) if calendar.country else ()
    free = [_plain(name) for name in names if _plain(name) not in calendar.worked]
    # The library's own names are in the first language of each country's list.
    return free[0] if free and told[0].startswith(lang) else ""


def names_of(country: str, state: str) -> set[str]:
    """What the holidays of ten years are called, as `Calendar.worked` may name them."""
    years = range(2025, 2035)
    return {
        _plain(name) for year in years for names in _public(country, state, year).values() for name in names
    }


def states_of(country: str) -> tuple[str, ...] | None:
    """The codes of a country's states; None for a country without known holidays."""
    known = holidays.list_supported_countries()
    return tuple(known[country]) if country in known else None


def _spans(calendar: Calendar, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The open spans of the day of `at` and of those after it, in order, aware UTC."""
    today = at.astimezone(calendar.zone).date()
    for n in range(LOOK_AHEAD_DAYS):
        yield from spans_of(calendar, today + timedelta(days=n))


class _Book(NamedTuple):
    """The open spans of one year, in order: when each begins and ends, and what was worked when it has."""

    begins: list[datetime]
    ends: list[datetime]
    after: list[timedelta]
    whole: timedelta


@lru_cache(maxsize=1000)
def _book(calendar: Calendar, year: int) -> _Book:
    days = (date(year, 1, 1) + timedelta(days=n) for n in range(366))
    spans = [span for day in days if day.year == year for span in spans_of(calendar, day)]
    after, whole = [], timedelta()
    for begin, end in spans:
        whole += end - begin
        after.append(whole)
    return _Book([begin for begin, _end in spans], [end for _begin, end in spans], after, whole)


def _worked(book: _Book, at: datetime) -> timedelta:
    """How much of a year's working time has passed at an instant of it."""
    n = bisect_right(book.begins, at)
    return book.after[n - 1] - max(timedelta(), book.ends[n - 1] - at) if n else timedelta()


def _year_of(calendar: Calendar, at: datetime) -> int:
    return at.astimezone(calendar.zone).year


@cache
def _public(country: str, state: str, year: int) -> dict[date, tuple[str, ...]]:
    found = holidays.country_holidays(country, subdiv=state or None, years=year)
    return {day: tuple(found.get_list(day)) for day in found}


def _plain(name: str) -> str:
    return name.removesuffix(" (observed)")


def _instant(calendar: Calendar, day: date, at: time) -> datetime:
    return datetime.combine(day, at, calendar.zone).astimezone(UTC)


def _end(calendar: Calendar, day: date, until: time) -> datetime:
    return _instant(calendar, day + timedelta(days=1) if until == time() else day, until)
