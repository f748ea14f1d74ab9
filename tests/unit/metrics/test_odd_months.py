"""Figures of odd months, counted a second time by hand, as it was done.

Leap days, changed clocks, a year's edge, a line that began in mid-month, no calls at all, and what was
undone, reopened twice or merged.
"""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
import sourcecity
from factories import Town
from test_metrics import wrong

from city.cases import batches, transitions
from city.cases.transitions import Closing
from city.config import versions as config_versions
from city.db.models import Case
from city.metrics import metrics
from city.metrics.metrics import Figures
from city.metrics.periods import Period, period
from city.people import contacts
from city.people.contacts import Conversation

pytestmark = pytest.mark.both_databases

ZONE = ZoneInfo("America/New_York")
TODAY = date(2026, 3, 10)
STARTS = 7  # fiscal years, in July
CODES = (
    "2024-02", "2024-03", "2024-12", "2025-01", "2025-03", "2025-04", "2025-06", "2025-10", "2025-11",
    "2025-12", "2026-01", "2026-02", "2024", "2025", "2026", "fy2024", "fy2025", "fy2026", "12m",
)  # fmt: skip

# When on the city's own clocks (the second time where they are put back), and how the call ended.
CALLS = (
    ("2024-02-15 12:00", "answered"),  # the line's first: in mid-month
    ("2024-02-29 00:00", "answered"), ("2024-02-29 23:59:59.999999", "dropped"),
    ("2024-03-01 00:00", "answered"),
    ("2024-12-31 23:59:59.999999", "answered"), ("2025-01-01 00:00", "dropped"),
    ("2025-03-01 00:00", "answered"), ("2025-03-09 01:59:59", "answered"), ("2025-03-09 03:00", "dropped"),
    ("2025-03-31 23:59:59", "answered"), ("2025-04-01 00:00", "dropped"),
    ("2025-10-31 23:59:59.5", "answered"), ("2025-11-02 01:30", "answered"),
    ("2025-11-02 01:30 again", "dropped"),
    ("2025-11-30 23:59:59.999999", "answered"), ("2025-12-01 00:00", "answered"),
    ("2026-02-28 23:59:59", "answered"),
)  # fmt: skip
# A case's name, when, and what is done to it.
DONE = (
    ("leap", "2024-02-29 23:59:59.999999", "open"), ("leap", "2024-03-01 00:00", "close"),
    ("leap", "2024-03-09 12:00", "reopen"), ("leap", "2024-12-31 23:59:59.999999", "close"),
    ("leap", "2025-01-01 00:00", "reopen"), ("leap", "2025-01-10 12:00", "close"),  # reopened twice
    ("root", "2025-03-01 00:00", "open"), ("twin", "2025-03-31 23:59:59", "open"),
    ("twin", "2025-04-01 00:00", "merge root"), ("root", "2025-04-02 12:00", "close"),  # merged, then closed
    ("twin", "2025-10-31 23:59:59.999999", "unmerge"), ("twin", "2025-11-02 01:30 again", "close"),
    ("wrong", "2025-11-02 01:30", "open"), ("wrong", "2025-11-30 23:59:59.999999", "cancel"),
    ("wrong", "2025-12-01 00:00", "restore"), ("wrong", "2025-12-02 12:00", "close and undo"),
    ("wrong", "2026-01-31 23:59:59.999999", "close"), ("open", "2026-02-28 23:59:59.999999", "open"),
    ("late", "2026-03-01 00:00", "open"),  # in a month that is not over
)  # fmt: skip


@pytest.fixture
def lived(town: Town) -> tuple[Town, Counter[tuple[str, str]]]:
    """The town after all that, and what was done by month, counted as it was done."""
    counted: Counter[tuple[str, str]] = Counter()
    known: dict[str, str] = {}
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
    for n, (local, outcome) in enumerate(CALLS):
        with town.at_work() as scene:
            told = Conversation(str(n), "phone", moment(local), 60 + n, "taxes", outcome)
            contacts.log(scene.s, told, by=scene.actor("call-taker"), at=moment("2026-03-09 12:00"))
        for what in ("contacts", outcome):
            counted[local[:7], what] += 1
    for name, local, what in DONE:
        do(town, known, name, moment(local), what)
        for each in COUNTS[what.partition(" ")[0] if what != "close and undo" else what]:
            counted[local[:7], each] += -1 if each == "merged" and what == "unmerge" else 1
    return town, counted


COUNTS = {
    "open": ["opened"], "close": ["closed"], "reopen": ["reopened"], "merge": ["merged"],
    "unmerge": ["merged"], "cancel": ["cancelled"], "restore": [], "close and undo": ["closed"],
}  # fmt: skip


def moment(local: str) -> datetime:
    at, _, _again = local.partition(" again")
    return datetime.fromisoformat(at).replace(tzinfo=ZONE, fold=1 if local.endswith("again") else 0)


def do(town: Town, known: dict[str, str], name: str, at: datetime, what: str) -> None:
    if what == "close and undo":
        closed_and_undone(town, known[name], at)
        return
    with town.at_work() as scene:
        s, by = scene.s, scene.actor("dispatcher")
        if what == "open":
            known[name] = scene.report(at=at).case.number
            return
        case: Case = scene.case(known[name])
        verb, _, other = what.partition(" ")
        if verb == "close":
            transitions.close(s, case, Closing("not found"), by=by, at=at)
        elif verb == "reopen":
            transitions.reopen(s, case, by=by, at=at)
        elif verb == "merge":
            transitions.merge(s, case, scene.case(known[other]), by=by, at=at)
        elif verb == "unmerge":
            transitions.unmerge(s, case, by=by, at=at)
        elif verb == "cancel":
            transitions.cancel(s, case, "spam", by=by, at=at)
        else:
            transitions.restore(s, case, by=by, at=at)


def closed_and_undone(town: Town, number: str, at: datetime) -> None:
    what = {"outcome": "not found", "words": "We looked twice."}
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        sent = batches.digest(number, by, "close", what, [number])
        batch = batches.act(scene.s, [number], "close", what, by=by, at=at, sent=sent)
    with town.at_work() as scene:
        batches.undo(scene.s, batch.id, by=scene.actor("dispatcher"), at=at)


@pytest.mark.slow
def test_each_month_and_year_is_what_was_done_in_it(lived: tuple[Town, Counter[tuple[str, str]]]) -> None:
    town, counted = lived
    city = sourcecity.city()
    with town.looking() as scene:
        for code in CODES:
            shown = period(code, TODAY, STARTS)
            value = metrics.line_metrics(scene.s, city, shown)
            performance = metrics.sla_metrics(scene.s, city, shown)
            assert wrong(scene.s, value) == wrong(scene.s, performance) == [], code
            for what in ("contacts", "answered", "dropped"):
                assert value.of("line", "", what).value == summed(counted, shown, what), (code, what)
            for what in ("opened", "closed", "merged", "cancelled"):
                assert performance.of("city", "", what).value == summed(counted, shown, what), (code, what)
            closed, reopened = (summed(counted, shown, what) for what in ("closed", "reopened"))
            rate = performance.of("city", "", "reopened").value
            assert rate == (pytest.approx(reopened / closed) if closed else None), code
            assert_months(performance, counted, shown, "opened")
        assert performance.of("left", "2026", "open").value == 2


def assert_months(figures: Figures, counted: Counter[tuple[str, str]], shown: Period, what: str) -> None:
    for month in shown.months:
        assert figures.of("month", month, what).value == counted[month, what], month


def summed(counted: Counter[tuple[str, str]], shown: Period, what: str) -> int:
    return sum(counted[month, what] for month in shown.months)


def test_nothing_is_compared_with_a_year_of_which_only_some_months_are_known(
    lived: tuple[Town, Counter[tuple[str, str]]],
) -> None:
    """It would be less than a year, and this one more than it by as much as nobody knows."""
    town, _counted = lived
    with town.looking() as scene:
        for code, known in (
            ("2024", False),
            ("2025", False),
            ("fy2026", True),
            ("2025-02", True),
            ("12m", True),
        ):
            shown = period(code, TODAY, STARTS)
            for figures in (
                metrics.line_metrics(scene.s, sourcecity.city(), shown),
                metrics.sla_metrics(scene.s, sourcecity.city(), shown),
            ):
                cells = [cell for cell in figures.cells.values() if cell.table not in ("month", "left")]
                assert any(cell.before is not None for cell in cells) is known, code
        year = metrics.line_metrics(scene.s, sourcecity.city(), period("2025", TODAY, STARTS))
        then = [year.of("month", month, "contacts").before for month in ("2025-01", "2025-02", "2025-03")]
        assert then == [None, 3, 1]


def test_what_left_the_city_file_stays_in_the_figures(lived: tuple[Town, Counter[tuple[str, str]]]) -> None:
    """What a topic spared and a service took becomes no less because nobody may choose it any more."""
    town, _counted = lived
    with town.looking() as scene:
        shown = period("2025", TODAY, STARTS)
        city = sourcecity.city()
        smaller = replace(
            city,
            topics=tuple(topic for topic in city.topics if topic.code != "taxes"),
            services=tuple(service for service in city.services if service.code != "light-out"),
        )
        for reckon in (metrics.line_metrics, metrics.sla_metrics):
            before, after = (reckon(scene.s, each, shown) for each in (city, smaller))
            assert wrong(scene.s, after) == []
            for cell in before.cells.values():
                assert after.of(cell.table, cell.row, cell.what).value == cell.value, cell.id
