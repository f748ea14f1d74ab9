"""The four real tables of requests, read by themselves, to hold against what an import made of them."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Case, Imported


@dataclass(frozen=True)
class Table:
    """A file below requests/, and what its columns are called. `due` is empty where none was promised."""

    name: str  # also of its mapping
    file: str
    rows: int
    zone: ZoneInfo
    formats: tuple[str, ...]
    ref: str
    opened: str
    closed: str
    due: str = ""

    def path(self, real: Path) -> Path:
        """Where it lies."""
        return real / "requests" / self.file


NEW_YORK = ZoneInfo("America/New_York")
TWELVE_HOURS = ("%m/%d/%Y %I:%M:%S %p",)
TABLES = (
    Table(
        "boston", "boston_311_2015_H1.csv.gz", 58_119, NEW_YORK, TWELVE_HOURS,
        "CASE_ENQUIRY_ID", "OPEN_DT", "CLOSED_DT", "TARGET_DT",
    ),
    Table(
        "newhaven", "newhaven_seeclickfix_2014.csv.gz", 9_965, NEW_YORK, ("%m/%d/%Y - %I:%M%p",),
        "Id", "Created At Local", "Closed At Local",
    ),
    Table(
        "losangeles", "losangeles_myla311_2018_last10k.csv.gz", 10_000, ZoneInfo("America/Los_Angeles"),
        TWELVE_HOURS, "SRNumber", "CreatedDate", "ClosedDate", "ServiceDate",
    ),
    Table(
        "gainesville", "gainesville_311.csv.gz", 5_000, NEW_YORK,
        ("%Y-%m-%dT%H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M"), "id", "created", "closed",
    ),
)  # fmt: skip


def times(s: Session, table: Table, real: Path) -> tuple[int, list[str]]:
    """How many times were held against the table's own, on its clocks, and those that differ.

    Left out is what cannot be the same: closed before opened, due before opened, and a due date at midnight,
    which stands for the day.
    """
    asked = select(Imported.ref, Case).join(Case, Case.id == Imported.case_id)
    found = dict(s.execute(asked.where(Imported.source == table.name)).all())
    checked, wrong = 0, []
    with gzip.open(table.path(real), "rt", encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            case = found.get(row[table.ref])
            if case is None:
                continue
            for name, theirs, ours in _pairs(table, row, case):
                checked += 1
                if ours is None or ours.astimezone(table.zone).replace(tzinfo=None) != theirs:
                    wrong.append(f"{row[table.ref]} {name}: {theirs} there, {ours} here")
    return checked, wrong


def _pairs(table: Table, row: dict[str, str], case: Case) -> Iterator[tuple[str, datetime, datetime | None]]:
    opened = _read(table, row[table.opened])
    yield "opened", opened, case.opened_at
    if case.state == "closed" and row[table.closed] and (closed := _read(table, row[table.closed])) >= opened:
        yield "closed", closed, case.closed_at
    if table.due and row[table.due] and case.state not in ("closed", "cancelled"):
        due = _read(table, row[table.due])
        if due > opened and (due.hour, due.minute, due.second) != (0, 0, 0):
            yield "due", due, case.due_at


def _read(table: Table, told: str) -> datetime:
    for form in table.formats:
        try:
            return datetime.strptime(told, form)  # noqa: DTZ007 on the table's own clocks
        except ValueError:
            continue
    raise ValueError(told)
