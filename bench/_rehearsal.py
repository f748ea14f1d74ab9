"""New Haven's table as an old system would have exported it on two days, so that a cut-over can be rehearsed.

Everything is the table's own but three columns that it lacks: a due date, an e-mail address and a consent.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.db.models import Assignment, Case, Imported
from city.imports.mapping import MAPPINGS

FORM = "%m/%d/%Y - %I:%M%p"
ZONE = ZoneInfo("America/New_York")
FIRST, SECOND = datetime(2014, 10, 1, 18, tzinfo=ZONE), datetime(2014, 11, 15, 18, tzinfo=ZONE)
DUE_DAYS = 21
CREWS = ("Trimming Priority 1", "Trimming Priority 2", "Stumps")  # those that are known here
TIMES = ("Acknowledged At Local", "Closed At Local", "Reopened At Local")
Row = dict[str, str]


def table(real: Path) -> list[Row]:
    """All of its rows."""
    file = real / "requests" / "newhaven_seeclickfix_2014.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


def moment(told: str) -> datetime:
    """A time of the table."""
    return datetime.strptime(told, FORM).replace(tzinfo=ZONE).astimezone(UTC)


def as_of(rows: Iterable[Row], day: datetime) -> Iterator[Row]:
    """The rows that there were on that day, each as it stood then."""
    for n, row in enumerate(rows):
        opened = moment(row["Created At Local"])
        if opened > day:
            continue
        then = row | {
            "Due": (opened + timedelta(days=DUE_DAYS)).strftime(FORM),
            "Email": f"resident{n}@newhaven.test",
            "Consent": "yes" if n % 3 == 0 else "no",
        }
        for name in TIMES:
            if row[name] and moment(row[name]) > day:
                then[name] = ""
        ended = row["Status Translated"] in ("Archived", "Closed")
        closed = row["Closed At Local"] or row["Updated At Local"]
        if ended and moment(closed) > day:
            ended = False
        if not ended:
            acknowledged = bool(then["Acknowledged At Local"])
            then["Status Translated"] = "Acknowledged" if acknowledged else "Open"
            then["Updated At Local"] = ""
            then["Assignee Name"] = row["Assignee Name"] if acknowledged else ""
        yield then


def export(rows: Iterable[Row], file: Path) -> Path:
    """Writes them as the old system would."""
    written = list(rows)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(written[0]))
        writer.writeheader()
        writer.writerows(written)
    return file


def mapping(folder: Path) -> Path:
    """The repository's own mapping with the three columns."""
    text = (MAPPINGS / "newhaven.toml").read_text()
    text = text.replace(
        'target = "Sla Expires At Local"', 'target = "Due"\nemail = "Email"\nconsent = "Consent"'
    )
    path = folder / "rehearsal.toml"
    path.write_text(text.replace('language = "en"', 'language = "en"\nconsent = ["yes"]'))
    return path


def differences(s: Session, export: Iterable[Row]) -> list[str]:
    """What stands on the board otherwise than the old system's own columns say, a line each."""
    asked = select(Imported.ref, Case).join(Case, Case.id == Imported.case_id)
    found: dict[str, Case] = dict(s.execute(asked).all())
    held = set(s.scalars(select(Assignment.case_id).where(Assignment.ended_at.is_(None))))
    told = []
    for row in export:
        case = found.pop(row["Id"], None)
        if case is None:
            told.append(f"{row['Id']} is missing")
            continue
        ended, due = row["Status Translated"] in ("Archived", "Closed"), moment(row["Due"])
        if case.opened_at != moment(row["Created At Local"]) or ended != (case.state == "closed"):
            told.append(f"{row['Id']} was opened or ended otherwise")
        midnight = due.astimezone(ZONE).time() == time(0)  # stands for the day
        if not ended and (case.id in held) != (row["Assignee Name"] in CREWS):
            told.append(f"{row['Id']} has another crew")
        if not ended and case.due_at != due and not midnight:
            told.append(f"{row['Id']} is due otherwise")
    return told + [f"{ref} is in no export" for ref in found]
