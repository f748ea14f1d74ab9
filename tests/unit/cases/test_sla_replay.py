"""Real cities' requests replayed under a policy of ours, against what the cities say of themselves.

docs/explanation/promises.md explains the differences. Boston counts working days: its targets lie so many
days of 8.5 hours ahead, weekends and Massachusetts' holidays left out. New Haven's table names no due
dates at all.
"""

import csv
import gzip
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from factories import Town
from rivertown import take

from city.cases import sla_simulation
from city.cases.sla_simulation import Simulation, Verdicts
from city.config import business_hours, city_file
from city.config.city_file import CityFile
from city.imports import mapping
from city.imports.request_rows import code

HERE = ZoneInfo("America/New_York")
# Boston's own promises in working days, of large services that kept to one for the half year.
BOSTON = {
    "Street Light Outages": 10,
    "General Comments For a Program or Policy": 10,
    "Sign Repair": 10,
    "Empty Litter Basket": 1,
    "Sidewalk Repair (Make Safe)": 1,
    "Building Inspection Request": 3,
    "CE Collection": 1,
    "Ground Maintenance": 5,
    "Graffiti Removal": 45,
}
HOURS_A_DAY = 8  # our promises are whole hours, so that our day ends half an hour before Boston's
BOSTON_ENDS = datetime(2015, 12, 31, tzinfo=UTC)
HEAD = """
name = "Replayed"
time_zone = "America/New_York"
bounds = [41.0, -74.0, 43.0, -70.0]
[calendars.office.hours]
monday = "08:30-16:30"
tuesday = "08:30-16:30"
wednesday = "08:30-16:30"
thursday = "08:30-16:30"
friday = "08:30-16:30"
[calendars.office.holidays]
country = "US"
state = "MA"
[departments.works]
names = { en = "Works" }
calendar = "office"
[groups.all]
names = { en = "All" }
"""
Row = dict[str, str]


def policy(promised: dict[str, str]) -> CityFile:
    """A city that promises this, by the codes of its services."""
    services = [
        f'[services."{name}"]\ngroup = "all"\nnames = {{ en = "{n}" }}\ndepartment = "works"\n{promise}\n'
        f"default = {str(n == 0).lower()}\n"
        for n, (name, promise) in enumerate(promised.items())
    ]
    return city_file.parse(HEAD + "".join(services), "replayed.toml")


def table(file: Path) -> list[Row]:
    with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as text:
        return list(csv.DictReader(text))


def brought(town: Town, rows: list[Row], name: str, folder: Path, at: datetime) -> None:
    file = folder / "requests.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    outcome = take(town, file, mapping.load(name), at=at)
    assert outcome.rejected < len(rows) / 100


def replayed(town: Town, city: CityFile, since: date, until: date, now: datetime) -> Simulation:
    with town.looking() as scene:
        return sla_simulation.simulate(scene.s, city, since, until, now)


def boston_time(told: str) -> datetime:
    return datetime.strptime(told, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=HERE).astimezone(UTC)


def boston_rows(real_data: Path) -> list[Row]:
    """Those that were promised something: without a target its column says ONTIME, whatever became of it."""
    found = table(real_data / "requests" / "boston_311_2015_H1.csv.gz")
    return [row for row in found if row["TYPE"] in BOSTON and row["TARGET_DT"]]


def test_bostons_own_targets_are_our_working_time_to_the_minute(real_data: Path) -> None:
    """Working days of 8:30 to 17:00: it is their calendar that is read off, not a promise of ours."""
    hours = city_file.parse(HEAD.replace("16:30", "17:00") + SERVICE, "boston.toml").calendars["office"]
    same, of = Counter[str](), Counter[str]()
    for row in boston_rows(real_data):
        of[row["TYPE"]] += 1
        opened, target = boston_time(row["OPEN_DT"]), boston_time(row["TARGET_DT"])
        due = business_hours.add(hours, opened, timedelta(hours=8.5) * BOSTON[row["TYPE"]])
        # What our day ends with, their next day begins with.
        reached = {due, business_hours.next_opening(hours, due)}
        same[row["TYPE"]] += any(at and abs(at - target) < timedelta(minutes=1) for at in reached)
    assert same.total() / of.total() > 0.96


SERVICE = """
[services.any]
group = "all"
default = true
names = { en = "Any" }
department = "works"
promise_days = 1
"""


@pytest.mark.slow
def test_bostons_share_on_time_is_found_again_under_its_promises(
    town: Town, real_data: Path, tmp_path: Path
) -> None:
    rows = boston_rows(real_data)
    brought(town, rows, "boston", tmp_path, BOSTON_ENDS)
    own: dict[str, Verdicts] = defaultdict(Verdicts)
    for row in rows:
        for key in (row["TYPE"], "all"):
            ended, on_time = row["CASE_STATUS"] == "Closed", row["OnTime_Status"] == "ONTIME"
            own[key].kept += ended and on_time
            own[key].broken += row["OnTime_Status"] == "OVERDUE"
    ours = policy({code("boston", name): f"promise_hours = {HOURS_A_DAY * n}" for name, n in BOSTON.items()})
    found = replayed(town, ours, date(2015, 1, 1), date(2015, 6, 30), BOSTON_ENDS)
    lines = {line.service: line for line in found.services}
    for name in [*BOSTON, "all"]:
        line = found.total if name == "all" else lines[code("boston", name)]
        assert line.then.share == pytest.approx(own[name].share, abs=0.01), name
        # A promise given at night ends with the evening before their target, which is the next morning.
        assert line.now.share == pytest.approx(own[name].share, abs=0.02 if name == "all" else 0.05), name
    assert set(found.total.why) == {"word"}


@pytest.mark.slow
def test_new_haven_promises_nothing_and_its_minutes_to_close_are_ours(
    town: Town, real_data: Path, tmp_path: Path
) -> None:
    rows = table(real_data / "requests" / "newhaven_seeclickfix_2014.csv.gz")
    assert not any(row["Sla In Hours"] or row["Sla Expires At Local"] for row in rows)
    now = datetime(2015, 6, 30, tzinfo=UTC)
    brought(town, rows, "newhaven", tmp_path, now)
    names = sorted({row["Category"] for row in rows})
    ours = policy({code("newhaven", name): "promise_days = 14" for name in names})
    found = replayed(town, ours, date(2014, 1, 1), date(2014, 12, 31), now)
    minutes = [float(row["Minutes To Closed"]) for row in rows if row["Minutes To Closed"]]
    within = sum(each <= 14 * 1440 for each in minutes)
    # Ours ends at 17:00 of its last day, a day later for what is told after that, and some that were archived
    # have no minutes.
    evening = sum(14 * 1440 < each <= 15 * 1440 for each in minutes)
    archived = sum(row["Status Translated"] in ("Archived", "Closed") for row in rows) - len(minutes)
    assert found.total.cases == len(rows)
    assert within - 60 <= found.total.now.kept <= within + evening + archived
