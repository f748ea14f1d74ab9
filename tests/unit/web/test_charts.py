"""Drawings of figures: bars as long as their numbers, lines that end where the last value lies."""

import pytest

from pwa.metrics import charts


@pytest.mark.parametrize(
    ("most", "steps"),
    [(0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (9, [0, 2, 4, 6, 8, 10]), (1640, [0, 500, 1000, 1500, 2000])],
)
def test_heights_are_even_and_reach_the_highest_value(most: float, steps: list[float]) -> None:
    assert charts.heights(most) == pytest.approx(steps)


def test_bars_are_in_proportion_and_something_small_can_be_seen() -> None:
    roomy, narrow = charts.bars([("Taxes", 800, 200, "1,000"), ("Dogs", 1, 0, "1"), ("Snow", 0, 0, "0")])
    taxes, dogs, snow = roomy.rows
    assert (roomy.kind, narrow.kind) == ("roomy", "narrow")
    assert taxes.quiet == pytest.approx(4 * taxes.loud, rel=0.01)
    assert (dogs.quiet, dogs.loud, snow.quiet, snow.loud) == (2.0, 0.0, 0.0, 0.0)
    assert max(row.end for row in narrow.rows) < narrow.width


def test_lines_leave_out_what_is_not_known() -> None:
    roomy, _ = charts.lines(["Jan", "Feb", "Mar"], [[1, None, 2], [None] * 3], ["0", "1", "2"])
    trace, nothing = roomy.traces
    assert trace is not None
    assert nothing is None
    assert trace.path.count("L") == 1
    assert trace.y == 12  # the second step is the top
    assert [word for _, word in roomy.along] == ["Jan", "Feb", "Mar"]
