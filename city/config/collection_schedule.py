"""When trash, recycling and yard waste are collected in a zone: the city file's rules, their days. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from city.config import business_hours
from city.config.business_hours import WEEKDAYS, Calendar
from city.config.toml_table import Table

STREAMS = ("trash", "recycling", "yard")
WEEK = timedelta(weeks=1)
FRIDAY = 4
DAYS = 'days = ["thursday"]'
FROM = "from = 2026-01-08"


@dataclass(frozen=True)
class PickupRule:
    """On which days of the week, Monday is 0; every so many `weeks`, counted from the week of `begins`."""

    days: tuple[int, ...]
    weeks: int = 1
    begins: date = date.min


@dataclass(frozen=True)
class Zone:
    """A zone: the name of its area, and its rounds by stream; a stream that is missing is not collected."""

    code: str
    area: str
    rounds: Mapping[str, PickupRule]


@dataclass(frozen=True)
class Collection:
    """A city's collection. `calendar` has the holidays that move it; `group` is the tile that links to it."""

    calendar: Calendar | None = None
    group: str = ""
    zones: tuple[Zone, ...] = field(default=())


@dataclass(frozen=True)
class NextPickup:
    """When it comes next, on which day that is usually, and the holiday that moved it."""

    day: date
    usual: date
    holiday: date | None


def next_pickup(round_: PickupRule, calendar: Calendar | None, today: date) -> NextPickup:
    """The next day of a round from `today` on, today included."""
    # A day of last week may have been moved to today.
    return next(coming for coming in _all_from(round_, calendar, today - WEEK) if coming.day >= today)


def pickups_between(
    round_: PickupRule, calendar: Calendar | None, first: date, last: date
) -> Iterator[NextPickup]:
    """All days of a round from `first` to `last`, both included, in their order."""
    for coming in _all_from(round_, calendar, first - WEEK):
        if coming.day > last + WEEK:  # a day may have been moved behind the next one
            return
        if first <= coming.day <= last:
            yield coming


def moved(calendar: Calendar, day: date) -> tuple[date, date | None]:
    """Where a day of collection goes, and the holiday that moved it.

    A holiday from Monday to Friday moves that day's collection and those after it in the week by one day; so
    US cities do it. Nobody collects on a holiday.
    """
    monday = day - timedelta(days=day.weekday())
    week = [monday + timedelta(days=n) for n in range(min(day.weekday(), FRIDAY) + 1)]
    free = [each for each in week if business_hours.is_free(calendar, each)]
    if not free:
        return day, None
    later = day + timedelta(days=len(free))
    while later.weekday() <= FRIDAY and business_hours.is_free(calendar, later):
        later += timedelta(days=1)
    return later, free[0]


def collection_of(top: Table, calendars: Mapping[str, Calendar], groups: set[str]) -> Collection:
    """The city file's `[collection]`; one without zones where it has none. Raises CityFileError."""
    if not top.has("collection"):
        return Collection()
    row = top.table("collection")
    calendar = calendars[row.one_of("calendar", set(calendars))] if row.has("calendar") else None
    group = row.one_of("group", groups) if row.has("group") else ""
    zones = tuple(_zones(row))
    row.refuse_rest()
    return Collection(calendar, group, zones)


def _zones(collection: Table) -> Iterator[Zone]:
    seen: set[str] = set()
    for code, row in collection.tables("zones", "[collection.zones.north]"):
        area = row.text("area", 'area = "North"', code)
        if area.casefold() in seen:
            raise row.wrong("area", f"{area!r} already belongs to another zone", 'area = "North"')
        seen.add(area.casefold())
        rounds = {stream: _round(row.table(stream)) for stream in STREAMS if row.has(stream)}
        if not rounds:
            raise row.wrong("trash", "nothing is ever picked up", f"trash = {{ {DAYS} }}")
        yield Zone(code, area, rounds)
        row.refuse_rest()


def _round(row: Table) -> PickupRule:
    names = row.texts("days", DAYS)
    if odd := [name for name in names if name not in WEEKDAYS or names.count(name) > 1]:
        raise row.wrong("days", f"{odd[0]!r} isn't a day of the week, or is listed twice", DAYS)
    weeks = row.number("weeks", 1, 2) if row.has("weeks") else 1
    begins = row.day("from", FROM) if row.has("from") else date.min
    if weeks > 1 and begins == date.min:
        raise row.wrong("from", "is missing. Name a day in the first week with a pickup", FROM)
    row.refuse_rest()
    return PickupRule(tuple(sorted(WEEKDAYS.index(name) for name in names)), weeks, begins)


def _all_from(round_: PickupRule, calendar: Calendar | None, start: date) -> Iterator[NextPickup]:
    monday = start - timedelta(days=start.weekday())
    while True:
        if _weeks_between(round_.begins, monday) % round_.weeks == 0:
            for weekday in round_.days:
                usual = monday + timedelta(days=weekday)
                day, holiday = moved(calendar, usual) if calendar else (usual, None)
                yield NextPickup(day, usual, holiday)
        monday += WEEK


def _weeks_between(begins: date, monday: date) -> int:
    return (monday - begins + timedelta(days=begins.weekday())) // WEEK
