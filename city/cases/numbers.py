"""The numbers that cases are called by, 26-000001: one after the other within a year, none of them twice."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city.db.models import Case, Counter

_WEEK: Final = timedelta(days=7)
_LEAP: Final = 1_000  # a round number that anybody can tell apart from the one before


def reserve(s: Session, year: int, count: int = 1) -> range:
    """The next `count` numbers of a year. Nobody else has them, unless this transaction is rolled back."""
    taken = update(Counter).where(Counter.year == year).values(n=Counter.n + count).returning(Counter.n)
    last = s.execute(taken).scalar()
    if last is None:
        try:
            with s.begin_nested():
                s.execute(insert(Counter).values(year=year, n=count))
            last = count
        except IntegrityError:  # somebody else opened the year in the same moment
            return reserve(s, year, count)
    return range(last - count + 1, last + 1)


def named(year: int, n: int) -> str:
    """As everybody reads it."""
    return f"{year % 100:02d}-{n:06d}"


def skip_after_restore(s: Session, since: datetime, at: datetime) -> None:
    """Leaves out the numbers that were given from `since` to `at` and that nobody here knows of any more.

    People and phones still have those, and must not find a stranger's case under them. How many they were is
    guessed: twice as many as were opened in as long a time before, a week at least, up to the next thousand.
    """
    before = since - max(at - since, _WEEK)
    lately = s.scalar(select(func.count(Case.id)).where(Case.opened_at > before)) or 0
    # A day earlier: a city's year begins when it does there.
    for year in range((since - timedelta(days=1)).year, at.year + 1):
        last = s.scalar(select(Counter.n).where(Counter.year == year)) or 0
        beyond = last + 2 * lately
        reserve(s, year, beyond - last + _LEAP - beyond % _LEAP)
