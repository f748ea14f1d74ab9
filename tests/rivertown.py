"""An old 311 system of a town that is not there: how its table is read, and its rows with defaults."""

import csv
from collections.abc import Mapping as Table
from datetime import UTC, datetime
from pathlib import Path

from factories import SECRET, Town

from city.config import city_file
from city.db import engine as db
from city.imports import mapping
from city.imports import requests as request_imports
from city.imports.mapping import Mapping
from city.imports.readers import Outcome

NOW = datetime(2026, 5, 12, 13, 30, tzinfo=UTC)
MAPPING = """
name = "rivertown"
time_zone = "America/New_York"
dates = ["%m/%d/%Y %I:%M:%S %p", "%Y-%m-%d"]
default_points = [[39.65, -71.25]]
consent = ["yes"]

[columns]
ref = "ID"
service = "TYPE"
opened = "OPENED"
target = "TARGET"
accepted = "SEEN"
closed = "CLOSED"
reopened = "AGAIN"
state = "STATE"
channel = "SOURCE"
lat = "LAT"
lon = "LON"
address = ["STREET", "AREA"]
words = ["TITLE", "WORDS"]
closure = "DONE"
notes = "STAFF"
department = "DEPT"
crew = "TEAM"
email = "MAIL"
consent = "NEWS"

[states]
Open = "new"
Seen = "accepted"
Closed = "closed"
Withdrawn = "cancelled"

[channels]
Call = "phone"
"*" = "web"

[services]
group_by = "CLASS"
otherwise = "other"
private = ["Homes"]
promise_days = 10

[services.groups]
streetlight = ["Lights"]

[outcomes]
column = "DONE"
[outcomes.contains]
"duplicate" = "no action"

[departments]
PW = "Public works"

[crews]
Bulbs = "lights"
"""
ROW = {
    "ID": "101", "TYPE": "Lamp out", "OPENED": "03/02/2026 08:00:00 AM", "TARGET": "", "SEEN": "",
    "CLOSED": "", "AGAIN": "", "STATE": "Open", "SOURCE": "Call", "LAT": "39.6", "LON": "-71.2",
    "STREET": "", "AREA": "Old Port", "TITLE": "Dark", "WORDS": "No light",
    "DONE": "", "STAFF": "", "DEPT": "PW", "CLASS": "Lights",
    "TEAM": "", "MAIL": "", "NEWS": "",
}  # fmt: skip


def put(
    town: Town,
    folder: Path,
    *rows: dict[str, str],
    text: str = MAPPING,
    max_rejected: int | None = None,
    at: datetime = NOW,
) -> Outcome:
    """Imports the rows; each says only in what it differs from ROW."""
    path = folder / "rivertown.toml"
    path.write_text(text)
    return take(town, table(folder, *rows), mapping.load(str(path)), max_rejected, at)


def take(
    town: Town,
    file: Path,
    how: Mapping | None = None,
    max_rejected: int | None = None,
    at: datetime = NOW,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Imports a file; by rivertown's mapping where nothing is said."""
    if how is None:
        path = file.with_name("rivertown.toml")
        path.write_text(MAPPING)
        how = mapping.load(str(path))
    city = city_file.load(town.settings.city)
    with db.transaction(town.engine) as s:
        return request_imports.import_file(
            s, file, how, city, at=at, secret=SECRET, max_rejected=max_rejected, dry_run=dry_run
        )


def table(folder: Path, *rows: Table[str, str]) -> Path:
    file = folder / "requests.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(ROW), lineterminator="\n")
        writer.writeheader()
        writer.writerows(ROW | row for row in rows)
    return file
