"""What the line costs, and what a question costs a department: the city file's own table."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from city.config.toml_table import Table, Words

MINUTES, HOURLY, FULL_TIME = 6, 30, 1800  # where the file says nothing
MOST_MONEY, MOST_PEOPLE = 1_000_000_000, 10_000
YEAR = re.compile(r"(fy)?((?:19|20)\d\d)")


@dataclass(frozen=True)
class Part:
    """Some of what a year costs: `people` with their paid hours and cost, each a year; or a fee, once."""

    names: Words
    people: int
    hours: int
    cost: int


@dataclass(frozen=True)
class Year:
    """What the line costs from `first` ("2025-07") on for twelve months."""

    code: str
    first: str
    parts: tuple[Part, ...]

    @property
    def cost(self) -> int:
        """In whole units of the currency."""
        return sum(part.cost * max(part.people, 1) for part in self.parts)

    @property
    def hours(self) -> int:
        """That are paid."""
        return sum(part.hours * part.people for part in self.parts)

    def months(self) -> Iterator[str]:
        year, month = (int(part) for part in self.first.split("-"))
        for n in range(12):
            ahead, at = divmod(month - 1 + n, 12)
            yield f"{year + ahead}-{at + 1:02d}"


@dataclass(frozen=True)
class Desk:
    """What one question takes a department, and what an hour of it costs."""

    minutes: int
    hourly: int


@dataclass(frozen=True)
class Costs:
    """All of it. `full_time` are the hours that one person works a year; a fiscal year begins in `starts`."""

    currency: str = "USD"
    starts: int = 1
    desk: Desk = Desk(MINUTES, HOURLY)
    full_time: int = FULL_TIME
    desks: dict[str, Desk] = field(default_factory=dict)
    years: tuple[Year, ...] = ()

    def desk_of(self, department: str) -> Desk:
        """What a question takes this department."""
        return self.desks.get(department, self.desk)

    def of(self, months: Iterable[str]) -> tuple[Fraction, Fraction] | None:
        """Cost and paid hours of these months, a twelfth of their year each; None where one is unknown."""
        known = {month: year for year in self.years for month in year.months()}
        years = [known.get(month) for month in months]
        cost, hours = Fraction(0), Fraction(0)
        for year in years:
            if year is None:
                return None
            cost, hours = cost + Fraction(year.cost, 12), hours + Fraction(year.hours, 12)
        return cost, hours


NO_COSTS = Costs()


def costs_of(top: Table, languages: tuple[str, ...], departments: set[str]) -> Costs:
    """The table `costs`, which may be missing. Raises CityFileError."""
    row = top.table("costs")
    starts = row.number("year_starts", 1, 12) if row.has("year_starts") else 1
    currency = row.text("currency", 'currency = "USD"', "USD")
    if not re.fullmatch("[A-Z]{3}", currency):
        raise row.wrong("currency", f"{currency!r} isn't a three-letter currency code", 'currency = "USD"')
    desk = _desk(row, Desk(MINUTES, HOURLY))
    costs = Costs(
        currency=currency,
        starts=starts,
        desk=desk,
        full_time=row.number("full_time", 1, 8784) if row.has("full_time") else FULL_TIME,
        desks=dict(_desks(row, desk, departments)),
        years=tuple(_years(row, languages, starts)),
    )
    row.refuse_rest()
    return costs


def _desk(row: Table, otherwise: Desk) -> Desk:
    return Desk(
        row.number("minutes", 0, 480) if row.has("minutes") else otherwise.minutes,
        row.number("hourly", 0, 10_000) if row.has("hourly") else otherwise.hourly,
    )


def _desks(costs: Table, otherwise: Desk, departments: set[str]) -> Iterator[tuple[str, Desk]]:
    if not costs.has("departments"):
        return
    for code, row in costs.tables("departments", "[costs.departments.finance]"):
        if code not in departments:
            fault = f"{code!r} isn't one of {', '.join(sorted(departments))}"
            raise costs.wrong(f"departments.{code}", fault, f"[costs.departments.{min(departments)}]")
        yield code, _desk(row, otherwise)
        row.refuse_rest()


def _years(costs: Table, languages: tuple[str, ...], starts: int) -> Iterator[Year]:
    if not costs.has("years"):
        return
    seen: dict[str, str] = {}
    for code, row in costs.tables("years", "[costs.years.2026]"):
        found = YEAR.fullmatch(code)
        if not found:
            raise costs.wrong(f"years.{code}", f"{code!r} isn't a year", "[costs.years.fy2026]")
        year = Year(code, first_month(code, starts), tuple(_parts(row, languages)))
        row.refuse_rest()
        if twice := [month for month in year.months() if month in seen]:
            fault = f"{twice[0]} already belongs to {seen[twice[0]]}"
            raise costs.wrong(f"years.{code}", fault, "[costs.years.fy2026]")
        seen |= dict.fromkeys(year.months(), code)
        yield year


def first_month(code: str, starts: int) -> str:
    """Of "2026" January; of "fy2026" the month in which the fiscal year that ends in 2026 begins."""
    year = int(code.removeprefix("fy"))
    if not code.startswith("fy") or starts == 1:
        return f"{year}-01"
    return f"{year - 1}-{starts:02d}"


def _parts(year: Table, languages: tuple[str, ...]) -> Iterator[Part]:
    for row in year.rows("parts"):
        people = row.number("people", 0, MOST_PEOPLE) if row.has("people") else 0
        yield Part(
            names=row.words("names", languages),
            people=people,
            hours=row.number("hours", 0, 8784) if row.has("hours") else 0,
            cost=row.number("cost", 0, MOST_MONEY),
        )
        row.refuse_rest()
