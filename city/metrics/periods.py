"""Months, calendar and fiscal years: which whole months a figure is about. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

MONTH = re.compile(r"((?:19|20)\d\d)-(0[1-9]|1[0-2])", re.ASCII)
YEAR = re.compile(r"(?:fy)?((?:19|20)\d\d)", re.ASCII)
LAST_TWELVE = "12m"
RUNNING = "now"  # the month that is not over; pages alone may ask for it, and nothing is published of it


class NoPeriod(ValueError):
    """No period is called so, or none of its months is over."""


@dataclass(frozen=True)
class Period:
    """Whole months that are over, one after the other; `code` is "2026-10", "2026", "fy2026" or "12m"."""

    code: str
    months: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.months[0]

    @property
    def last(self) -> str:
        return self.months[-1]

    def before(self) -> "Period":
        """The same months a year before."""
        return Period(self.code, tuple(moved(month, -12) for month in self.months))

    def span(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Its first moment, and the first after it; UTC."""
        return midnight(self.first, zone), midnight(moved(self.last, 1), zone)


def period(code: str, today: date, starts: int = 1) -> Period:
    """The period called so, as far as its months are over `today`; "" is this year, or the last.

    A fiscal year is called by the year in which it ends, and begins in the month `starts`. Raises NoPeriod.
    """
    over = moved(f"{today:%Y-%m}", -1)
    if not code:
        code = over[:4]
    if code == LAST_TWELVE:
        months = [moved(over, -n) for n in range(11, -1, -1)]
    elif MONTH.fullmatch(code):
        months = [code]
    elif found := YEAR.fullmatch(code):
        first = f"{int(found[1]) - 1}-{starts:02d}" if code[0] == "f" and starts > 1 else f"{found[1]}-01"
        months = [moved(first, n) for n in range(12)]
    else:
        raise NoPeriod(code)
    whole = tuple(month for month in months if month <= over)
    if not whole:
        raise NoPeriod(code)
    return Period(code, whole)


def running(today: date) -> Period:
    """The month that is not over."""
    return Period(RUNNING, (f"{today:%Y-%m}",))


def choices(today: date, starts: int = 1) -> list[str]:
    """The periods that a page offers: the last month, this year, the last, twelve months, the fiscal year."""
    over = moved(f"{today:%Y-%m}", -1)
    year = int(over[:4])
    fiscal = [f"fy{year + (int(over[5:]) >= starts)}"] if starts > 1 else []
    return [over, str(year), *fiscal, LAST_TWELVE, str(year - 1)]


def moved(month: str, by: int) -> str:
    """The month so many months later."""
    year, at = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + by, 12)
    return f"{year:04d}-{at + 1:02d}"


def midnight(month: str, zone: ZoneInfo) -> datetime:
    """When the month begins there; UTC."""
    return datetime(int(month[:4]), int(month[5:]), 1, tzinfo=zone).astimezone(UTC)
