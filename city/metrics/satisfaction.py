"""How satisfied reporters are, as it is published: asked, answered, the answers, by department and month.

Small numbers are hidden as elsewhere, and with them what would tell them: the next larger row. The answers
of a department stand one by one only where each score that was given was given by enough people.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.config.city_file import CityFile
from city.db.models import SatisfactionAnswer
from city.metrics.metrics import SUPPRESSION_THRESHOLD, Cell, Figures, Value, suppressed_rows
from city.metrics.periods import Period, moved

SCORES: Final = (1, 2, 3, 4, 5)
ASKED: Final = "rating_asked"
ANSWERED: Final = "rating_answered"
RATE: Final = "rating_rate"
AVERAGE: Final = "rating_average"
EACH: Final = {score: f"rating_{score}" for score in SCORES}
ALL: Final = (ASKED, ANSWERED, RATE, AVERAGE, *EACH.values())
CITY, DEPARTMENT, MONTH, TREND = "city", "department", "month", "department_month"

Counts = Counter[int | None]  # score → how many gave it; None: asked, and not answered


def satisfaction_metrics(s: Session, city: CityFile, period: Period) -> Figures:
    """The figures of the period, and of the same months a year before."""
    figures = Figures(period)
    now, was = _read(s, period)
    if not any(now.values()):
        return figures
    figures.add(_of_city(_added(now.values()), _added(was.values())))
    codes = {code for _month, code in now}
    rows = [each.code for each in city.departments if each.code in codes]
    rows += sorted(codes.difference(rows))
    figures.add(_table(DEPARTMENT, rows, _by(now, 1), _by(was, 1)))
    by_month, then = _by(now, 0), {moved(month, 12): counts for month, counts in _by(was, 0).items()}
    figures.add(_table(MONTH, [month for month in period.months if month in by_month], by_month, then))
    figures.add(_trend(now, rows, period))
    return figures


def _read(s: Session, period: Period) -> tuple[dict[tuple[str, str], Counts], dict[tuple[str, str], Counts]]:
    """By month and department; of the period, and of the year before."""
    row, then = SatisfactionAnswer, period.before()
    asked = select(row.month, row.department_code, row.score, func.count())
    asked = asked.where(row.month.in_([*period.months, *then.months]))
    now: dict[tuple[str, str], Counts] = defaultdict(Counter)
    was: dict[tuple[str, str], Counts] = defaultdict(Counter)
    for month, code, score, n in s.execute(asked.group_by(row.month, row.department_code, row.score)):
        (now if month in period.months else was)[month, code][score] = int(n)
    return now, was


def _by(found: Mapping[tuple[str, str], Counts], which: int) -> dict[str, Counts]:
    sums: dict[str, Counts] = defaultdict(Counter)
    for key, counts in found.items():
        sums[key[which]] += counts
    return sums


def _added(several: Iterable[Counts]) -> Counts:
    total: Counts = Counter()
    for counts in several:
        total += counts
    return total


def _of_city(now: Counts, was: Counts) -> Iterator[Cell]:
    few, few_then = _few({"": now}), _few({"": was})
    scattered = _scattered({"": now})
    for what in ALL:
        hidden = bool(few or (scattered and what in EACH.values()))
        if what == ASKED:
            hidden = now.total() < SUPPRESSION_THRESHOLD
        before = None if few_then or what in EACH.values() else _value(was, what)
        yield _cell(CITY, "", what, now, before, hidden=hidden)


def _table(
    table: str, rows: list[str], now: Mapping[str, Counts], was: Mapping[str, Counts]
) -> Iterator[Cell]:
    few, few_then = _few(now), _few(was)
    scattered = few | _scattered(now)
    for row in rows:
        for what in ALL:
            hidden = row in (scattered if what in EACH.values() else few)
            then = was.get(row)
            before = (
                _value(then, what) if then and row not in few_then and what not in EACH.values() else None
            )
            yield _cell(table, row, what, now[row], before, hidden=hidden)


def _trend(now: Mapping[tuple[str, str], Counts], rows: list[str], period: Period) -> Iterator[Cell]:
    """Answers and their average of each department by month: hidden where either direction would tell."""
    hidden = set()
    for month in period.months:
        here = {code: counts for (each, code), counts in now.items() if each == month}
        hidden |= {(month, code) for code in _few(here)}
    for code in rows:
        here = {month: counts for (month, each), counts in now.items() if each == code}
        hidden |= {(month, code) for month in _few(here)}
    for code in rows:
        for month in period.months:
            if counts := now.get((month, code)):
                for what in (ANSWERED, AVERAGE):
                    is_hidden = (month, code) in hidden
                    yield _cell(TREND, f"{code}.{month}", what, counts, None, hidden=is_hidden)


def _few(rows: Mapping[str, Counts]) -> set[str]:
    """The rows that are not told: few answers, or few who were asked, and what would give those away."""
    counts = {}
    for row, given in rows.items():
        asked, answered = given.total(), _answered(given)
        counts[row] = answered or (asked if asked < SUPPRESSION_THRESHOLD else 0)
    return suppressed_rows(counts)


def _scattered(rows: Mapping[str, Counts]) -> set[str]:
    """The rows whose scores do not stand one by one, since few gave one of them, and what hides them."""
    few = {
        row
        for row, given in rows.items()
        if any(0 < given[score] < SUPPRESSION_THRESHOLD for score in SCORES)
    }
    others = {row: _answered(given) for row, given in rows.items() if row not in few and _answered(given)}
    if len(few) != 1 or not others:
        return few
    return few | {min(others, key=lambda row: (others[row], row))}


def _cell(table: str, row: str, what: str, counts: Counts, before: Value, *, hidden: bool) -> Cell:
    cell = Cell(table, row, what, _value(counts, what), before)
    return replace(cell, value=None, before=None, hidden=True) if hidden else cell


def _value(counts: Counts, what: str) -> Value:
    answered, asked = _answered(counts), counts.total()
    if what == ASKED:
        return asked
    if what == ANSWERED:
        return answered
    if what == RATE:
        return answered / asked if asked else None
    if what == AVERAGE:
        # One digit: more would tell the few who gave a score that stands nowhere.
        return round(sum(score * counts[score] for score in SCORES) / answered, 1) if answered else None
    return next(counts[score] for score, name in EACH.items() if name == what)


def _answered(counts: Counts) -> int:
    return sum(counts[score] for score in SCORES)
