"""Calendars: read from a city file and checked; written as JSON, so that a case keeps its own."""

import json
import re
from collections.abc import Iterator
from datetime import date, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from city.config import business_hours
from city.config.business_hours import Calendar, Span
from city.config.toml_table import Table

LINE = "line"  # the calendar of the phone
OFFICE: tuple[Span, ...] = ((time(8), time(17)),)


def calendars_of(top: Table, zone: ZoneInfo) -> Iterator[tuple[str, Calendar]]:
    """Every calendar with its name; none where the file has none. Raises CityFileError."""
    if not top.has("calendars"):
        return
    for code, row in top.tables("calendars", f"[calendars.{LINE}.hours]"):
        hours = row.table("hours")
        week = tuple(tuple(_spans(hours, day)) for day in business_hours.WEEKDAYS)
        hours.refuse_rest()
        free = row.table("holidays")
        country, state, worked = _holidays(free)
        own = frozenset(free.dates("own"))
        free.refuse_rest()
        row.refuse_rest()
        if not any(week):
            raise row.wrong("hours", "it's never open", 'monday = "08:00-17:00"')
        yield code, Calendar(zone, week, country, state, worked, own)


def ordinary(zone: ZoneInfo) -> Calendar:
    """By which a city counts that names no calendar: Monday to Friday from 8 to 17, without holidays."""
    return Calendar(zone, (OFFICE,) * 5 + ((),) * 2)


def written(calendar: Calendar) -> str:
    """The calendar as JSON. Equal calendars are the same words."""
    return json.dumps(
        {
            "zone": calendar.zone.key,
            "hours": [[[_clock(begin), _clock(end)] for begin, end in day] for day in calendar.hours],
            "country": calendar.country,
            "state": calendar.state,
            "worked": sorted(calendar.worked),
            "own": [day.isoformat() for day in sorted(calendar.own)],
        }
    )


@lru_cache(maxsize=100)
def calendar_of(words: str) -> Calendar:
    """The calendar that written() made these words of."""
    kept = json.loads(words)
    week = tuple(
        tuple((time.fromisoformat(begin), time.fromisoformat(end)) for begin, end in day)
        for day in kept["hours"]
    )
    own = frozenset(map(date.fromisoformat, kept["own"]))
    return Calendar(
        ZoneInfo(kept["zone"]), week, kept["country"], kept["state"], frozenset(kept["worked"]), own
    )


def _clock(at: time) -> str:
    return at.isoformat("minutes")


def _spans(hours: Table, day: str) -> Iterator[Span]:
    if not hours.has(day):
        return
    example = f'{day} = "07:00-19:00", or ["08:00-12:00", "13:00-17:00"]'
    value = hours.take(day, example)
    reached = time()
    for n, words in enumerate(value if isinstance(value, list) else [value]):
        found = _SPAN.fullmatch(words) if isinstance(words, str) else None
        if found is None:
            raise hours.wrong(day, f"{words!r} isn't a time range", example)
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3] or 0), int(found[4] or 0))
        if (end <= begin and end != time()) or (n and (begin < reached or reached == time())):
            # Two lines are plainer than a night that belongs to two weekdays.
            raise hours.wrong(day, f"{words!r} isn't in order. A night ends at 24:00", example)
        yield begin, end
        reached = end


def _holidays(free: Table) -> tuple[str, str, frozenset[str]]:
    if not free.has("country"):
        return "", "", frozenset()
    country = free.text("country", 'country = "US"')
    states = business_hours.states_of(country)
    if states is None:
        raise free.wrong("country", f"there are no known holidays for {country!r}", 'country = "US"')
    state = free.one_of("state", states) if free.has("state") else ""
    worked = free.texts("worked", 'worked = ["Columbus Day"]') if free.has("worked") else []
    known = business_hours.names_of(country, state)
    if odd := [name for name in worked if name not in known]:
        fault = f"{odd[0]!r} isn't one of its holidays: {', '.join(sorted(known))}"
        raise free.wrong("worked", fault, f'worked = ["{min(known)}"]')
    return country, state, frozenset(worked)


_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
