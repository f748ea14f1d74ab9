"""No cell of ours is calculated, whichever sign a spreadsheet takes for the comma."""

import csv
import io

import pytest

from city import csv_cells

BEGINS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize(
    "told",
    [
        "=1+1", "-1", "@x", "\t=1", "a;=1+1", "a;-2", 'a;"=1+1', 'a;""=1', "a\n=1+1", "a\r\n+1", "a\t=1",
        "a;;=1", "a;\n=1", ";=1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_no_cell_begins_as_a_formula(told: str, comma: str) -> None:
    file = csv_cells.lines([["first", told, 3], [told, "last", None]]).decode()
    for row in csv.reader(io.StringIO(file, newline=""), delimiter=comma):
        assert not any(cell.lstrip('"').startswith(BEGINS) for cell in row), (told, row)


def test_other_words_stay_as_they_are() -> None:
    for told in ("Elm St; corner - north", "1;2", "a=b", "10-12 Elm", "x; =", "", "mail@town.test"):
        assert csv_cells.in_a_table(told) == told


def test_a_long_row_of_signs_takes_no_time() -> None:
    assert csv_cells.in_a_table(";" + '"' * 100_000)
    assert len(csv_cells.in_a_table(";=" * 50_000)) == 150_000
