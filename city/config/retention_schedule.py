"""The records schedule of the city file: how long a city keeps what of a case. Pure; removes nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from city.config.toml_table import Table

# A closing may be answered for 14 days, and a case is opened again most often within the month.
LEAST_DAYS: Final = 30
# So long a phone that lay in a drawer may come back with work, and hears what is gone.
LEAST_DAYS_OF_PHONES: Final = 90
MOST_YEARS: Final = 100
# What is left of an exact place when the words go: all of it, or the street and a square of 500 m.
PLACES = (EXACT, STREET) = ("exact", "street")
_PERIOD = re.compile(r"([1-9][0-9]{0,4}) (day|year)s?")


@dataclass(frozen=True)
class Period:
    """So many days, or years of the calendar."""

    days: int = 0
    years: int = 0

    def before(self, now: datetime) -> datetime:
        """The instant that lies so long before `now`; of a leap day's anniversary, the day before."""
        if not self.years:
            return now - timedelta(days=self.days)
        last_day = 28 if (now.month, now.day) == (2, 29) else now.day
        return now.replace(year=now.year - self.years, day=last_day)


@dataclass(frozen=True)
class Schedule:
    """By class how long what is kept; None for ever. `private` stands for `words` in private services."""

    contacts: Period | None = None
    words: Period | None = None
    private: Period | None = None
    calls: Period | None = None
    messages: Period | None = None
    phones: Period | None = None
    places: str = EXACT

    def classes(self) -> Iterator[tuple[str, Period]]:
        """The classes that end, in the order in which they are carried out."""
        for name in CLASSES:
            if period := getattr(self, name):
                yield name, period


CLASSES: Final = ("contacts", "words", "private", "calls", "messages", "phones")
FOR_EVER: Final = Schedule()


def schedule_of(top: Table) -> Schedule:
    """The table `retention`; for ever where it is missing. Raises CityFileError."""
    row = top.table("retention")
    periods = {
        name: _period(row, name, LEAST_DAYS_OF_PHONES if name == "phones" else LEAST_DAYS) for name in CLASSES
    }
    places = row.one_of("places", PLACES) if row.has("places") else EXACT
    if places != EXACT and not (periods["words"] or periods["private"]):
        fault = "only works with words or private, and neither is set"
        raise row.wrong("places", fault, 'words = "3 years" next to it')
    row.refuse_rest()
    return Schedule(**periods, places=places)


def _period(row: Table, name: str, least: int) -> Period | None:
    example = f'{name} = "3 years"'
    words = row.text(name, example, "")
    if not words:
        return None
    found = _PERIOD.fullmatch(words)
    count = int(found[1]) if found else 0
    period = Period(**{f"{found[2]}s": count}) if found else Period()
    if not ((period.years and period.years <= MOST_YEARS) or least <= period.days <= 365 * MOST_YEARS):
        fault = f"{words!r} isn't a period from {least} days to {MOST_YEARS} years"
        raise row.wrong(name, fault, example)
    return period
