"""When is my trash day? The zone of a point, and the days on which each stream is collected there."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.config.business_hours import Calendar
from city.config.collection_schedule import (
    Collection,
    NextPickup,
    PickupRule,
    Zone,
    next_pickup,
    pickups_between,
)
from city.db.models import Area
from city.geo import Point, inside

KIND = "collection"  # of the areas that are zones


@dataclass(frozen=True)
class Stream:
    """One thing that is collected: `what` is trash, recycling or yard; its round, and when it comes next."""

    what: str
    round: PickupRule
    next: NextPickup


def next_of(zone: Zone, calendar: Calendar | None, today: date) -> list[Stream]:
    """What is collected in a zone and when next from `today` on, a day of the city's own clocks.

    `calendar` has the holidays that move its days.
    """
    return [
        Stream(what, round_, next_pickup(round_, calendar, today)) for what, round_ in zone.rounds.items()
    ]


@dataclass(frozen=True)
class Day:
    """What is collected on one day, and the holiday that moved some of it there."""

    day: date
    streams: tuple[str, ...]
    holiday: date | None


def days_between(s: Session, collection: Collection, point: Point, first: date, last: date) -> list[Day]:
    """The days of collection at a point from `first` to `last`, both included; none where no zone lies."""
    zone = zone_at(s, collection, point)
    return days_of(zone, collection.calendar, first, last) if zone else []


def days_of(zone: Zone, calendar: Calendar | None, first: date, last: date) -> list[Day]:
    """The same of a zone."""
    found: dict[date, list[tuple[str, date | None]]] = {}
    for what, round_ in zone.rounds.items():
        for coming in pickups_between(round_, calendar, first, last):
            found.setdefault(coming.day, []).append((what, coming.holiday))
    return [
        Day(day, tuple(what for what, _ in told), next((holiday for _, holiday in told if holiday), None))
        for day, told in sorted(found.items())
    ]


def zone_at(s: Session, collection: Collection, point: Point) -> Zone | None:
    """The zone in which a point lies; None where the city file knows none there."""
    zones = {zone.area.casefold(): zone for zone in collection.zones}
    areas = s.execute(select(Area.name, Area.geometry).where(Area.kind == KIND).order_by(Area.id))
    known = ((zones[name.casefold()], geometry) for name, geometry in areas if name.casefold() in zones)
    return next((zone for zone, geometry in known if inside(point, geometry)), None)
