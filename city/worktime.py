"""When a calendar is open: hours of the week, public holidays, days of the city's own. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# No calendar that is ever open stays shut for longer than this.
LOOK_AHEAD_DAYS = 400

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


def spans_of(calendar: Calendar, day: date) -> list[tuple[datetime, datetime]]:
    """From when until when (aware UTC) it is open on a day, in order; none on a free one."""
    if is_free(calendar, day):
        return []
    return [
        (_instant(calendar, day, begin), _end(calendar, day, end))
        for begin, end in calendar.hours[day.weekday()]
    ]


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
