"""Figures: each is what the log alone says, a second and slow way, on both databases."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sourcecity
from factories import Town
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from city.audit import counters, events
from city.cases import board_index, transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFileError
from city.config.costs import Desk
from city.db.models import Area, Contact, Service, Tally
from city.metrics import metrics, periods
from city.metrics import sql as metric_sql
from city.metrics.metrics import Cell, Figures
from city.metrics.periods import NoPeriod, Period, period
from city.people import contacts
from city.settings import DEFAULT_CITY

pytestmark = pytest.mark.both_databases

SCALE = 100
TODAY = date(2026, 5, 12)
SECOND = str(sourcecity.SECOND)


@pytest.fixture
def asked(town: Town) -> Town:
    """The town, with both years of the source's line."""
    with town.at_work() as scene:
        number = scene.report().case.number
    sourcecity.fill(town.engine, number, SCALE)
    return town


def value_of(s: Session, code: str = SECOND, scale: int = SCALE) -> Figures:
    return metrics.line_metrics(s, sourcecity.city(scale), period(code, TODAY))


def said(figures: Figures, what: str) -> tuple[object, object]:
    cell = figures.of("line", "", what)
    return cell.value, cell.before


def derived(s: Session, cell: Cell) -> float | None:
    """The figure by its own question to the log."""
    rows = s.execute(text(cell.proof)).all()
    if cell.what.endswith("_half"):
        held = sorted(counters.tenths_of_days(int(row[0])) for row in rows)
        return held[-(-len(held) // 2) - 1] / 10 if held else None
    if cell.what not in ("median_days", "p90_days"):
        return None if rows[0][0] is None else float(rows[0][0])
    if not rows:
        return None
    ages = sorted(counters.age(*(datetime.fromisoformat(at) for at in reversed(row))) for row in rows)
    percent = 50 if cell.what == "median_days" else 90
    return ages[-(-len(ages) * percent // 100) - 1] / 10


def wrong(s: Session, figures: Figures) -> list[tuple[str, object, object]]:
    """Every figure that the log gives otherwise."""
    told = [
        (cell.id, cell.value, derived(s, cell))
        for cell in figures.cells.values()
        if cell.proof and not cell.hidden
    ]
    return [each for each in told if each[1] != pytest.approx(each[2]) and each[1:] != (None, None)]


def test_the_source_is_found_in_its_figures(asked: Town) -> None:
    with asked.looking() as scene:
        figures = value_of(scene.s)
        assert said(figures, "contacts") == (1000, 940)
        assert 0.10 <= figures.of("line", "", "follow_up").value <= 0.11
        assert said(figures, "cost") == (2000, None)
        assert said(figures, "cost_per_contact") == (2.0, None)
        taxes = figures.of("topic", "taxes", "contacts")
        assert (taxes.value, taxes.before) == (320, 270)
        assert figures.of("line", "", "per_paid_hour").value == pytest.approx(1000 / (5 * 1950))


@pytest.mark.slow
def test_every_figure_of_the_line_is_what_the_log_says(asked: Town) -> None:
    with asked.looking() as scene:
        for code in (SECOND, f"{SECOND}-03", str(sourcecity.FIRST)):
            figures = value_of(scene.s, code)
            assert wrong(scene.s, figures) == []
            assert sum(bool(cell.proof) for cell in figures.cells.values()) > 60
        # The year before, too: it is the first year's own figures.
        first, second = value_of(scene.s, str(sourcecity.FIRST)), value_of(scene.s)
        for cell in second.cells.values():
            if cell.table in ("line", "topic", "channel", "lang", "department", "office"):
                assert cell.before == first.of(cell.table, cell.row, cell.what).value or cell.what in MONEY


MONEY = ("cost", "cost_per_contact", "per_paid_hour")


def test_whom_people_would_have_called_is_counted_of_those_passed_on_and_those_who_say_so(
    asked: Town,
) -> None:
    with asked.looking() as scene:
        rows = scene.s.execute(select(Contact.transferred_to, Contact.instead_of, Contact.began_at)).all()
        figures = value_of(scene.s)
        year = [row for row in rows if row.began_at.year == sourcecity.SECOND]
        for code in ("911", "police", "finance"):
            passed_on = sum(row.transferred_to == code for row in year)
            said_so = sum(row.instead_of == code for row in year)
            assert figures.of("office", code, "contacts").value == passed_on + said_so
            assert passed_on > 0
            assert (said_so > 0) == (code in ("911", "police"))


def test_a_contact_counts_in_the_month_of_the_citys_own_clocks(town: Town) -> None:
    zone = city_file.load(DEFAULT_CITY).time_zone
    assert counters.month_of(datetime(2026, 3, 1, 4, 59, tzinfo=UTC), zone) == "2026-02"
    assert counters.month_of(datetime(2026, 3, 1, 5, 0, tzinfo=UTC), zone) == "2026-03"
    assert counters.month_of(datetime(2026, 4, 1, 3, 59, tzinfo=UTC), zone) == "2026-03"  # daylight saving


def test_every_figure_of_cases_is_what_the_log_says(town: Town) -> None:
    told_of(town)
    with town.looking() as scene:
        figures = metrics.sla_metrics(scene.s, sourcecity.city(), period("2026-05", date(2026, 6, 2)))
        assert wrong(scene.s, figures) == []
        values = {
            what: figures.of("city", "", what).value for what in ("opened", "closed", "merged", "cancelled")
        }
        assert values == {"opened": 8, "closed": 5, "merged": 1, "cancelled": 1}
        assert figures.of("city", "", "on_time").value == 0.8
        assert figures.of("city", "", "reopened").value == 0.2
        assert figures.of("city", "", "reasoned").value == 0.4
        assert figures.of("city", "", "unproven").value == 0
        assert figures.of("city", "", "median_days").value == 0.1
        assert figures.of("city", "", "p90_days").value == 20
        assert figures.of("left", "2026", "open").value == 2


def test_small_numbers_of_an_area_and_all_of_private_services_are_not_told(town: Town) -> None:
    told_of(town)
    with town.at_work() as scene:
        private = scene.s.get_one(Service, "nuisance")
        for _ in range(9):
            scene.report(service_code=private.code)
    with town.looking() as scene:
        figures = metrics.sla_metrics(scene.s, sourcecity.city(), period("2026-05", date(2026, 6, 2)))
        (area,) = figures.rows("area")
        opened, closed = figures.of("area", area, "opened"), figures.of("area", area, "closed")
        assert (opened.value, opened.hidden) == (8, False)
        assert (closed.value, closed.hidden) == (5, False)
        merged = figures.of("area", area, "merged")
        assert (merged.value, merged.hidden) == (None, True)
        assert figures.of("city", "", "opened").value == 17


def test_small_numbers_of_private_services_and_of_their_departments_are_not_told(town: Town) -> None:
    """The finance department has one service: its row would say what that of the service does not."""
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        opened(scene.s, {"light-out": 20, "home-nuisance": 9, "tax-question": 2, "permit-status": 40})
    with town.looking() as scene:
        figures = metrics.sla_metrics(scene.s, sourcecity.city(), period("2026-05", date(2026, 6, 2)))
        hidden = {row for row in figures.rows("service") if figures.of("service", row, "opened").hidden}
        assert hidden == {"tax-question", "home-nuisance"}
        assert figures.of("service", "permit-status", "opened").value == 40
        assert figures.of("service", "birth-record", "opened").value == 0
        for department in ("finance", "homes"):
            assert figures.of("department", department, "opened").hidden, department
        assert figures.of("department", "clerk", "opened").value == 0
        assert figures.of("city", "", "opened").value == 71
        lone = figures.of("service", "tax-question", "p90_days")
        assert (lone.value, lone.before) == (None, None)


def test_a_lone_private_service_hides_behind_a_public_one(town: Town) -> None:
    city = sourcecity.city()
    city = replace(city, services=tuple(each for each in city.services if not each.office))
    with town.at_work() as scene:
        opened(scene.s, {"light-out": 20, "limb-down": 6, "home-nuisance": 2})
    with town.looking() as scene:
        figures = metrics.sla_metrics(scene.s, city, period("2026-05", date(2026, 6, 2)))
        hidden = {row for row in figures.rows("service") if figures.of("service", row, "opened").hidden}
        assert hidden == {"limb-down", "home-nuisance"}


def test_a_manager_is_told_what_is_hidden_of_the_own_departments_alone(town: Town) -> None:
    may = period("2026-05", date(2026, 6, 2))
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        opened(scene.s, {"light-out": 20, "home-nuisance": 9, "tax-question": 2, "permit-status": 40})
    with town.looking() as scene:
        everybody = metrics.sla_metrics(scene.s, sourcecity.city(), may)
        theirs = metrics.sla_metrics(scene.s, sourcecity.city(), may, own={"finance"})
        for table, row in (("service", "tax-question"), ("department", "finance")):
            cell = theirs.of(table, row, "opened")
            assert (cell.value, cell.hidden, cell.only_you) == (2, False, True)
        changed = {each for each, cell in theirs.cells.items() if cell != everybody.cells[each]}
        assert changed == {"service.tax-question.opened", "department.finance.opened"}
        assert theirs.tells_only_you("service")
        assert not everybody.tells_only_you("service")
        assert theirs.of("service", "home-nuisance", "opened").hidden


def test_a_manager_is_not_told_what_hides_anothers_small_number(town: Town) -> None:
    """Nine of Homes hide the two of Finance: whoever knew the nine could work the two out of the sum."""
    may = period("2026-05", date(2026, 6, 2))
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        opened(scene.s, {"light-out": 20, "home-nuisance": 9, "tax-question": 2, "permit-status": 40})
    with town.looking() as scene:
        theirs = metrics.sla_metrics(scene.s, sourcecity.city(), may, own={"homes"})
        assert theirs == metrics.sla_metrics(scene.s, sourcecity.city(), may)
        both = metrics.sla_metrics(scene.s, sourcecity.city(), may, own={"homes", "finance"})
        assert [both.of("service", row, "opened").value for row in ("home-nuisance", "tax-question")] == [
            9,
            2,
        ]


def opened(s: Session, counts: dict[str, int]) -> None:
    """So many cases of each service were opened in May."""
    rows = [("service", code, n) for code, n in counts.items()] + [("city", "", sum(counts.values()))]
    s.add_all(
        Tally(facet=facet, month="2026-05", what="opened", value=value, n=n) for facet, value, n in rows
    )


def told_of(town: Town) -> None:
    """Eight cases in May: five closings, one of them late and one reopened; one merged, one cancelled."""
    later = town.now + timedelta(hours=2)
    with town.at_work() as scene:
        scene.s.execute(update(Area).values(kind="area"))
        s, by = scene.s, scene.actor("dispatcher")
        each = [scene.report().case for _ in range(8)]
        for case in each[:3]:
            transitions.close(s, case, Closing("not found"), by=by, at=later)
        transitions.close(s, each[3], Closing("fixed", no_photo="dark"), by=by, at=later)
        transitions.reopen(s, each[0], by=by, at=later)
        transitions.merge(s, each[4], each[5], by=by, at=later)
        transitions.cancel(s, each[6], by=by, at=later, reason="test")
    with town.at_work() as scene:
        case = scene.case(each[5].number)
        late = town.now + timedelta(days=19, hours=5)
        transitions.close(
            scene.s, case, Closing("fixed", no_photo="unsafe"), by=scene.actor("dispatcher"), at=late
        )


def test_the_sums_are_those_of_the_log_and_a_wrong_one_is_named(asked: Town) -> None:
    told_of(asked)
    with asked.looking() as scene:
        assert counters.differences(scene.s) == []
    with asked.at_work() as scene:
        scene.s.execute(update(Tally).where(Tally.facet == "line", Tally.what == "dropped").values(n=7))
    with asked.looking() as scene:
        found = counters.differences(scene.s)
        assert len(found) == 24
        assert found[0].startswith("figures: line 2024-01 dropped is 7, but the log says ")
    with asked.at_work() as scene:
        board_index.recount(scene.s)
    with asked.looking() as scene:
        assert counters.differences(scene.s) == []


def test_what_a_savepoint_took_back_counts_for_nothing(town: Town) -> None:
    with town.at_work() as scene:
        try:
            with events.savepoint(scene.s):
                scene.report()
                raise KeyError
        except KeyError:
            pass
        scene.report()
    with town.looking() as scene:
        assert scene.s.get_one(Tally, ("city", "2026-05", "opened", "")).n == 1
        assert counters.differences(scene.s) == []


def test_what_if_the_line_were_cut_follows_from_what_is_assumed(asked: Town) -> None:
    with asked.looking() as scene:
        figures, city = value_of(scene.s), sourcecity.city(SCALE)
    desks = {code: Desk(6, 30) for code in figures.rows("department")}
    cut = metrics.cost_if_closed(figures, city, desks, 100, 1800)
    asked_ = sum(figures.of("department", code, "asked").value for code in desks)
    assert sum(cut.hours.values()) * 10 == asked_
    assert cut.money == sum(cut.hours.values()) * 30
    assert cut.people == sum(cut.hours.values()) / 1800
    assert metrics.cost_if_closed(figures, city, desks, 50, 1800).money * 2 == cut.money


@pytest.mark.parametrize(
    ("code", "first", "last", "count"),
    [
        ("2026-04", "2026-04", "2026-04", 1),
        ("2026", "2026-01", "2026-04", 4),
        ("2025", "2025-01", "2025-12", 12),
        ("fy2026", "2025-07", "2026-04", 10),
        ("fy2025", "2024-07", "2025-06", 12),
        ("12m", "2025-05", "2026-04", 12),
        ("", "2026-01", "2026-04", 4),
    ],
)
def test_a_period_is_its_months_that_are_over(code: str, first: str, last: str, count: int) -> None:
    found = period(code, TODAY, 7)
    assert (found.first, found.last, len(found.months)) == (first, last, count)
    assert found.before().first == periods.moved(first, -12)


@pytest.mark.parametrize("code", ["2026-05", "2027", "fy2027", "may", "2026-13", "26", "fy", "-", "2026-4"])
def test_what_is_no_period_or_not_over_is_refused(code: str) -> None:
    with pytest.raises(NoPeriod):
        period(code, TODAY, 7)


def test_in_january_this_year_is_the_last() -> None:
    assert period("", date(2026, 1, 3)) == Period("2025", period("2025", TODAY).months)
    assert periods.choices(date(2026, 1, 3)) == ["2025-12", "2025", "12m", "2024"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cost = 42_000", "cost = -1", "-1 isn't a whole number from 0"),
        ("cost = 42_000", 'cost = "much"', "'much' isn't a whole number"),
        ("hours = 1750", "hours = 9000", "9000 isn't a whole number from 0 to 8784"),
        ("minutes = 7", "minutes = -7", "-7 isn't a whole number from 0 to 480"),
        ("[costs.departments.finance]", "[costs.departments.taxes]", "'taxes' isn't one of "),
        ("[costs.years.fy2026]", "[costs.years.2025]", "already belongs to fy2025"),
        ("[costs.years.fy2026]", "[costs.years.next]", "'next' isn't a year"),
        ('currency = "USD"', 'currency = "dollars"', "isn't a three-letter currency code"),
        ("year_starts = 7", "year_starts = 13", "13 isn't a whole number from 1 to 12"),
        ("full_time = 1750", "fulltime = 1750", "isn't a known key"),
    ],
)
def test_wrong_costs_are_refused_where_they_stand(old: str, new: str, says: str) -> None:
    words = DEFAULT_CITY.read_text("utf-8")
    assert old in words
    changed = words.replace(old, new, 1)
    with pytest.raises(CityFileError, match=r"city\.toml, line \d+: costs") as fault:
        city_file.parse(changed, "city.toml")
    assert says in str(fault.value)


def test_half_a_fiscal_year_costs_half_of_it() -> None:
    costs = city_file.load(DEFAULT_CITY).costs
    year = next(year for year in costs.years if year.code == "fy2026")
    months = period("fy2026", date(2026, 1, 3), costs.starts).months
    assert costs.of(months) == (year.cost / 2, year.hours / 2)
    assert costs.of(["2019-01"]) is None


@pytest.mark.slow
@pytest.mark.one_database
@pytest.mark.full
def test_the_source_at_its_full_size(town: Town) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    sourcecity.fill(town.engine, number)
    with town.looking() as scene:
        figures = value_of(scene.s, scale=1)
        contacts = figures.of("line", "", "contacts")
        assert (contacts.value, contacts.value - contacts.before) == (100_000, 6_000)
        taxes = figures.of("topic", "taxes", "contacts")
        assert taxes.value - taxes.before == 5_000
        assert said(figures, "cost_per_contact") == (2.0, None)
        assert figures.of("line", "", "follow_up").value == 0.105
        assert wrong(scene.s, figures) == []


def test_an_older_database_is_counted_as_it_is_migrated(asked: Town) -> None:
    held = select(Tally.facet, Tally.month, Tally.what, Tally.value, Tally.n).where(Tally.n != 0)
    with asked.looking() as scene:
        before = set(scene.s.execute(held))
    with asked.at_work() as scene:
        scene.s.execute(delete(Tally))
        counters.rebuild(scene.s)
    with asked.looking() as scene:
        assert set(scene.s.execute(held)) == before
        assert len(before) > 500


def test_moments_are_compared_alike_however_a_database_sorts_signs(town: Town) -> None:
    """Some collations pass over signs, and the half second comes before the whole one: only words of one form
    and length, which differ in figures alone, sort alike everywhere."""
    told_at_the_edges(town)
    with town.looking() as scene:
        for code in ("2026-04", "2026-05"):
            shown, city = period(code, date(2026, 6, 2)), sourcecity.city()
            for figures in (
                metrics.line_metrics(scene.s, city, shown),
                metrics.sla_metrics(scene.s, city, shown),
            ):
                for cell in figures.cells.values():
                    plain = COMPARED.sub("", cell.proof)
                    assert not re.search(
                        r"[<>]=?(?!>)", AT.sub("", plain).replace("->>", "").replace("<>", "")
                    ), plain
        exact = f"{metric_sql.to_microsecond('done_at')}, {metric_sql.to_microsecond('due')}"
        for row in scene.s.execute(text(f"SELECT {exact} FROM events WHERE kind = 'close'")):
            assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\d{6}", moment) for moment in row)


# What may be compared: a moment to the second with one of ours, two exact ones, and the column of moments.
COMPARED = re.compile(
    r"substr\(facts->>'\w+', 1, 19\) (?:>=|<) '[-\dT:]{19}'"
    + "|" + re.escape(f"{metric_sql.to_microsecond('done_at')} <= {metric_sql.to_microsecond('due')}")
)  # fmt: skip
AT = re.compile(r"\bat (?:>=|<) '[^']+'")


def test_what_happens_at_an_edge_counts_on_its_own_side(town: Town) -> None:
    told_at_the_edges(town)
    with town.looking() as scene:
        for code in ("2026-04", "2026-05"):
            assert_edges(scene.s, code)


def told_at_the_edges(town: Town) -> None:
    """Contacts by a millionth around the month's midnight, some told in another zone; closings around due."""
    zone, step = ZoneInfo("America/New_York"), timedelta(microseconds=1)
    midnight = periods.midnight("2026-05", zone)
    with town.at_work() as scene:
        config_versions.activate(scene.s, sourcecity.city())
        s, by = scene.s, scene.actor("call-taker")
        for n, at in enumerate((midnight - step, midnight, midnight + step, midnight - timedelta(hours=3))):
            for where in (UTC, zone):
                told = contacts.Conversation(
                    f"{n} {where}", "phone", at.astimezone(where), 60, "taxes", "answered"
                )
                contacts.log(s, told, by=by, at=town.now)
        for off in (-step, 0 * step, step):
            case = scene.report().case
            done = (case.due_at + off).astimezone(zone)
            transitions.close(s, case, Closing("not found"), by=scene.actor("dispatcher"), at=done)


def assert_edges(s: Session, code: str) -> None:
    shown, today = period(code, date(2026, 6, 2)), sourcecity.city()
    value, performance = metrics.line_metrics(s, today, shown), metrics.sla_metrics(s, today, shown)
    assert wrong(s, value) == wrong(s, performance) == []
    assert value.of("line", "", "contacts").value == 4
    on_time = performance.of("city", "", "on_time").value
    assert on_time == (None if code == "2026-04" else pytest.approx(2 / 3))
