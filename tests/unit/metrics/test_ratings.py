"""What is published of how satisfied reporters are: sums, averages, and nothing that is too small."""

import pytest
from factories import Town

from city.config import city_file
from city.db.models import Department, SatisfactionAnswer
from city.metrics import satisfaction
from city.metrics.metrics import Figures
from city.metrics.periods import Period
from city.settings import DEFAULT_CITY

pytestmark = pytest.mark.both_databases

MAY = Period("2026-05", ("2026-05",))
SPRING = Period("2026", ("2026-04", "2026-05"))


def asked(town: Town, department: str, *scores: int | None, month: str = "2026-05") -> None:
    """Rows without a report: what is left once it is forgotten counts like any other."""
    with town.at_work() as scene:
        if scene.s.get(Department, department) is None:
            scene.s.add(Department(code=department, names={"en": department}, time_zone="America/New_York"))
            scene.s.flush()
        for score in scores:
            scene.s.add(SatisfactionAnswer(cycle=1, department_code=department, month=month, score=score))


def figures(town: Town, period: Period = MAY) -> Figures:
    with town.looking() as scene:
        return satisfaction.satisfaction_metrics(scene.s, city_file.load(DEFAULT_CITY), period)


def told(of: Figures, row: str, table: str = "department") -> dict[str, object]:
    return {what: of.of(table, row, what).value for what in satisfaction.ALL}


def test_asked_answered_and_average_are_added_up(town: Town) -> None:
    asked(town, "works", *[5] * 6, *[2] * 6, *[None] * 12)
    asked(town, "parks", *[4] * 8)
    asked(town, "works", *[1] * 9, month="2026-04")
    found = figures(town)
    assert told(found, "works") == {
        "rating_asked": 24, "rating_answered": 12, "rating_rate": 0.5, "rating_average": 3.5,
        "rating_1": 0, "rating_2": 6, "rating_3": 0, "rating_4": 0, "rating_5": 6,
    }  # fmt: skip
    assert told(found, "", "city")["rating_answered"] == 20
    assert told(found, "", "city")["rating_average"] == 3.7
    assert told(figures(town, SPRING), "2026-04", "month")["rating_average"] == 1


def test_few_answers_are_hidden_with_what_would_tell_them(town: Town) -> None:
    asked(town, "works", *[5] * 4)
    asked(town, "parks", *[5] * 7)
    asked(town, "water", *[5] * 9)
    found = figures(town)
    assert set(told(found, "works").values()) == {None}
    assert set(told(found, "parks").values()) == {None}, "the sum less the others would tell the hidden one"
    assert told(found, "water")["rating_answered"] == 9
    assert found.of("department", "works", "rating_answered").hidden


def test_few_who_were_asked_are_hidden_even_unanswered(town: Town) -> None:
    asked(town, "works", None, None)
    asked(town, "parks", *[5] * 7)
    assert set(told(figures(town), "works").values()) == {None}


def test_a_score_that_few_gave_hides_the_distribution_and_not_the_average(town: Town) -> None:
    asked(town, "works", *[5] * 10, 1)
    asked(town, "parks", *[5] * 7)
    asked(town, "water", *[5] * 9)
    found = figures(town)
    works, parks, water = (told(found, row) for row in ("works", "parks", "water"))
    assert works["rating_average"] == 4.6
    assert works["rating_5"] is works["rating_1"] is parks["rating_5"] is None
    assert water["rating_5"] == 9
    assert told(found, "", "city")["rating_5"] is None, "one in the whole city gave a 1"


def test_a_few_in_the_whole_city_are_told_nowhere(town: Town) -> None:
    asked(town, "works", 5, 5, *[None] * 5)
    whole = told(figures(town), "", "city")
    assert whole.pop("rating_asked") == 7
    assert set(whole.values()) == {None}


def test_no_hidden_number_can_be_worked_out_of_the_months(town: Town) -> None:
    asked(town, "works", *[5] * 3, month="2026-04")
    asked(town, "works", *[5] * 8)
    asked(town, "parks", *[5] * 20, month="2026-04")
    asked(town, "parks", *[5] * 20)
    of = figures(town, SPRING)
    hidden = {cell.row for cell in of.cells.values() if cell.table == satisfaction.TREND and cell.hidden}
    assert {"works.2026-04", "works.2026-05", "parks.2026-04"} <= hidden
    assert told(of, "works")["rating_answered"] == 11


def test_a_year_before_stands_beside_it_unless_it_was_few(town: Town) -> None:
    asked(town, "works", *[5] * 6)
    asked(town, "works", *[3] * 6, month="2025-05")
    assert figures(town).of("department", "works", "rating_average").before == 3
    asked(town, "parks", *[5] * 6)
    asked(town, "parks", 1, month="2025-05")
    assert figures(town).of("department", "parks", "rating_average").before is None
    assert figures(town).of("department", "works", "rating_average").before is None


def test_a_period_in_which_nobody_was_asked_has_no_figures(town: Town) -> None:
    asked(town, "works", *[5] * 6, month="2026-04")
    assert not figures(town).cells
