"""Tables that people open in a spreadsheet: rows as CSV, in which no cell is calculated. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

# A spreadsheet takes a cell that begins so for a formula and calculates it. Half the world's take ";" for the
# comma, and then quotes for no quotes: to them a cell begins in the middle of ours.
FORMULA: Final = re.compile(r"""(^|[;\t\r\n]"*)(?=[=+\-@\t\r])""")


def in_a_table(told: str) -> str:
    """Words for a file of CSV, which no spreadsheet calculates."""
    return FORMULA.sub(r"\1'", told)


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """The rows as lines of CSV in UTF-8, their words as in_a_table() has them; None is an empty cell."""
    file = io.StringIO()
    csv.writer(file).writerows(
        [in_a_table(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return file.getvalue().encode()
