"""The calendars of a city file: hours by weekday, holidays, days of the city's own. Read and checked."""

import re
from collections.abc import Iterator
from datetime import time
from zoneinfo import ZoneInfo

from city import worktime
from city.tomlfile import Table
from city.worktime import Calendar, Span

LINE = "line"  # the calendar of the phone


def calendars_of(top: Table, zone: ZoneInfo) -> Iterator[tuple[str, Calendar]]:
    """Every calendar with its name; none where the file has none. Raises CityFileError."""
    if not top.has("calendars"):
        return
    for code, row in top.tables("calendars", f"[calendars.{LINE}.hours]"):
        hours = row.table("hours")
        week = tuple(tuple(_spans(hours, day)) for day in worktime.WEEKDAYS)
        hours.refuse_rest()
        free = row.table("holidays")
        country, state, worked = _holidays(free)
        own = frozenset(free.dates("own"))
        free.refuse_rest()
        row.refuse_rest()
        if not any(week):
            raise row.wrong("hours", "it is never open", 'monday = "08:00-17:00"')
        yield code, Calendar(zone, week, country, state, worked, own)


def _spans(hours: Table, day: str) -> Iterator[Span]:
    if not hours.has(day):
        return
    example = f'{day} = "07:00-19:00", or ["08:00-12:00", "13:00-17:00"]'
    value = hours.take(day, example)
    reached = time()
    for n, words in enumerate(value if isinstance(value, list) else [value]):
        found = _SPAN.fullmatch(words) if isinstance(words, str) else None
        if found is None:
            raise hours.wrong(day, f"{words!r} is not from one time to another", example)
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3] or 0), int(found[4] or 0))
        if (end <= begin and end != time()) or (n and (begin < reached or reached == time())):
            # Two lines are plainer than a night that belongs to two weekdays.
            raise hours.wrong(day, f"{words!r} is not in order; a night ends at 24:00", example)
        yield begin, end
        reached = end


def _holidays(free: Table) -> tuple[str, str, frozenset[str]]:
    if not free.has("country"):
        return "", "", frozenset()
    country = free.text("country", 'country = "US"')
    states = worktime.states_of(country)
    if states is None:
        raise free.wrong("country", f"no holidays are known of {country!r}", 'country = "US"')
    state = free.one_of("state", states) if free.has("state") else ""
    worked = free.texts("worked", 'worked = ["Columbus Day"]') if free.has("worked") else []
    known = worktime.names_of(country, state)
    if odd := [name for name in worked if name not in known]:
        fault = f"{odd[0]!r} is none of its holidays, which are {', '.join(sorted(known))}"
        raise free.wrong("worked", fault, f'worked = ["{min(known)}"]')
    return country, state, frozenset(worked)


_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
