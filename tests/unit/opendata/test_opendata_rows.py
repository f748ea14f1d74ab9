"""What open data tells of cases is what a stranger sees of them, in every format and of every page."""

import csv
import io
import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from factories import Town, statements

from city import files
from city.cases import queries, transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFile
from city.db.models import Area, Service, Topic
from city.metrics import metrics
from city.opendata import editions
from city.opendata import rows as opendata_rows
from city.opendata.rows import CaseRow
from city.people import contacts
from city.people.contacts import Conversation
from city.places import areas
from city.places.lookup import Place
from city.settings import DEFAULT_CITY
from pwa.cli.main import cli

pytestmark = pytest.mark.both_databases

NOBODYS = "=cmd()"


@pytest.fixture
def city() -> CityFile:
    return city_file.load(DEFAULT_CITY)


@pytest.fixture
def told(town: Town) -> Town:
    """Cases of several kinds: one private, one told only roughly, one with a formula in its address."""
    with town.at_work() as scene:
        s, by, at = scene.s, scene.actor("dispatcher"), town.now
        s.get_one(Service, "limb-down").precision_m = 200
        s.add(Area(kind="area", name="Old Harbor", geometry=_square(39.59, -71.21)))
        s.add(Area(kind="area", name="Hill", geometry=_square(39.61, -71.21)))
        first = scene.report(words="canary").case
        transitions.close(s, first, Closing("not found", words="canary"), by=by, at=at + timedelta(hours=5))
        transitions.reopen(s, first, by=by, at=at + timedelta(hours=7))
        scene.report(service_code="nuisance")
        rough = scene.report(
            service_code="limb-down", place=Place(39.6099, -71.2, "gps", "12 Elm Street", 5.0)
        )
        transitions.cancel(s, rough.case, "spam", by=by, at=at)
        done = scene.report(place=Place(39.6, -71.2, "pin", NOBODYS, 5.0)).case
        transitions.close(s, done, Closing("not found"), by=by, at=at + timedelta(hours=1))
        merged = scene.report().case
        transitions.merge(s, merged, first, by=by, at=at)
        scene.report()
    return town


def test_each_row_is_what_a_stranger_sees_of_that_case(told: Town, city: CityFile) -> None:
    with told.looking() as scene:
        rows = [row for page in opendata_rows.cases(scene.s, city) for row in page]
        seen = {
            sight.number: sight
            for row in rows
            for sight in queries.public(scene.s, now=told.now, number=row.number)
        }
        known = areas.known(scene.s)
        names = areas.names(scene.s)
    assert len(rows) == len(seen) == 5
    for row in rows:
        sight = seen[row.number]
        assert (row.service_code, row.service) == (sight.service.code, sight.service.names["en"])
        assert (row.state, row.address, row.reports) == (sight.state, sight.address, sight.reports)
        assert (row.opened_at, row.due_at, row.closed_at) == (sight.opened_at, sight.due_at, sight.closed_at)
        assert row.updated_at == max(step.at for step in sight.steps)
        assert sight.point is not None
        assert (row.latitude, row.longitude) == (sight.point.lat, sight.point.lon)
        assert row.area == names[str(known.of(sight.point))]
        assert row.merged_into == (sight.merged_into or "")
        assert row.reopenings == sum(step.kind == "reopen" for step in sight.steps)
    rough = next(row for row in rows if row.service_code == "limb-down")
    assert rough.address == "Elm Street"
    assert rough.latitude != 39.6099


def test_what_was_undone_or_is_private_is_in_no_row(told: Town, city: CityFile) -> None:
    with told.at_work() as scene:
        scene.case("26-000001").state = "undone"
        scene.s.get_one(Service, "limb-down").private = True
    with told.looking() as scene:
        rows = [row for page in opendata_rows.cases(scene.s, city) for row in page]
        assert opendata_rows.count(scene.s) == len(rows)
    assert "26-000001" not in {row.number for row in rows}
    assert {row.service_code for row in rows} == {"light-out"}


def test_a_case_that_was_merged_into_a_private_one_does_not_name_it(told: Town, city: CityFile) -> None:
    with told.at_work() as scene:
        scene.s.get_one(Service, "limb-down").private = False
        root = scene.report(service_code="limb-down").case
        merged = scene.report().case
        transitions.merge(scene.s, merged, root, by=scene.actor("dispatcher"), at=told.now)
        number = merged.number
        scene.s.get_one(Service, "limb-down").private = True
    with told.looking() as scene:
        rows = {row.number: row for page in opendata_rows.cases(scene.s, city) for row in page}
    assert (rows[number].state, rows[number].merged_into) == ("merged", "")


def test_pages_follow_each_other_without_a_gap_and_each_costs_the_same(
    told: Town, city: CityFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told.at_work() as scene:
        for _ in range(20):
            scene.report()
    costs = {}
    for size in (5, 100):
        monkeypatch.setattr(opendata_rows, "PAGE", size)
        with told.looking() as scene, statements(told.engine) as sent:
            pages = list(opendata_rows.cases(scene.s, city))
        numbers = [row.number for page in pages for row in page]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 25
        costs[size] = len(sent)
    assert costs[100] <= 11
    assert costs[5] <= costs[100] + 4 * 5


def export(told: Town, *args: str, what: str = "requests") -> Result:
    told.settings.var.mkdir(exist_ok=True)
    env = {
        "CITYLINE_VAR": str(told.settings.var),
        "CITYLINE_DATABASE_URL": told.settings.database_url,
    }
    return CliRunner().invoke(cli, ["export", what, *args], env=env)


def test_a_new_edition_is_made_at_once(told: Town) -> None:
    root = editions.place(told.settings)
    for _ in range(2):
        done = export(told, what="edition")
        made = editions.current(root)
        assert made
        assert (done.exit_code, done.output) == (0, f"{len(made.files)} files are at /data now, in {root}.\n")
    assert [each for each in root.iterdir() if each.is_dir()] == [made.folder]
    (root / "current").unlink()
    (root / "current").mkdir()
    fault = export(told, what="edition")
    assert (fault.exit_code, "Is a directory" in fault.output) == (1, True)


def test_two_editions_are_not_made_at_once(told: Town) -> None:
    root = editions.place(told.settings)
    assert export(told, what="edition").exit_code == 0
    before = editions.current(root)
    with files.exclusive(root):
        fault = export(told, what="edition")
    assert (fault.exit_code, "The worker is building them right now" in fault.output) == (1, True)
    assert editions.current(root) == before
    assert [each for each in root.iterdir() if each.is_dir()] == [before.folder if before else None]


def test_the_command_writes_every_format(told: Town, tmp_path: Path) -> None:
    written, folder = {}, tmp_path / "taken"
    folder.mkdir()
    for form in opendata_rows.FORMATS:
        done = export(told, "--format", form, "-o", str(folder / form))
        assert done.exit_code == 0, done.output
        written[form] = (folder / form).read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(written["csv"])))
    assert tuple(rows[0]) == CaseRow._fields
    assert [row["number"] for row in rows] == [
        "26-000001",
        "26-000003",
        "26-000004",
        "26-000005",
        "26-000006",
    ]
    assert rows[2]["address"] == f"'{NOBODYS}", "no spreadsheet calculates it"
    assert rows[0]["opened_at"] == "2026-05-12T09:30:00-04:00"
    shapes = json.loads(written["geojson"])
    assert shapes["type"] == "FeatureCollection"
    assert [each["properties"]["number"] for each in shapes["features"]] == [row["number"] for row in rows]
    assert shapes["features"][0]["geometry"] == {"type": "Point", "coordinates": [-71.2, 39.6]}
    requests = list(csv.DictReader(io.StringIO(written["bulk"])))
    assert tuple(requests[0]) == opendata_rows.BULK
    assert [(each["service_request_id"], each["status_description"]) for each in requests] == [
        ("26-000001", "open"), ("26-000003", "closed"), ("26-000004", "closed"), ("26-000006", "open"),
    ]  # fmt: skip
    assert not [form for form, text in written.items() if "canary" in text]
    assert sorted(path.name for path in folder.iterdir()) == sorted(opendata_rows.FORMATS)


def test_days_are_the_citys_own_and_the_last_one_belongs_to_them(told: Town) -> None:
    with told.at_work() as scene:
        # Half past nine in the evening of the 13th there, the 14th of UTC.
        late = scene.report(at=datetime(2026, 5, 14, 1, 30, tzinfo=UTC)).case.number
    found = export(told, "--format", "csv", "--since", "2026-05-13", "--until", "2026-05-13")
    assert [row["number"] for row in csv.DictReader(io.StringIO(found.stdout))] == [late]
    empty = export(told, "--format", "geojson", "--since", "2027-01-01")
    assert json.loads(empty.stdout)["features"] == []


@pytest.mark.parametrize(
    "args",
    [
        ("--format", "xlsx"),
        ("--format", "csv", "--since", "May"),
        ("--format", "csv", "--since", "2026-05-13", "--until", "2026-05-12"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    told: Town, args: tuple[str, ...]
) -> None:
    done = export(told, *args, "-o", str(told.settings.var / "out.csv"))
    assert done.exit_code == 2
    assert not (told.settings.var / "out.csv").exists()


def test_a_folder_that_is_not_there_is_said(told: Town) -> None:
    done = export(told, "--format", "csv", "-o", str(told.settings.var / "no" / "out.csv"))
    assert done.exit_code == 1
    assert "Can't write " in done.output


def talk(town: Town, counts: dict[tuple[str, str, str], int], began: datetime) -> None:
    with town.at_work() as scene:
        for (channel, outcome, topic), n in counts.items():
            for each in range(n):
                key = f"{channel}-{outcome}-{topic}-{began:%m}-{each}"
                told = Conversation(key, channel, began, 60, topic, outcome)
                contacts.log(scene.s, told, by=scene.actor("call-taker"), at=began + timedelta(hours=1))


def test_contacts_are_counted_in_months_that_are_over_and_small_ones_are_hidden(
    town: Town, city: CityFile
) -> None:
    with town.at_work() as scene:
        config_versions.activate(scene.s, city)
        topics = [topic.code for topic in scene.s.query(Topic).order_by(Topic.code).limit(2)]
    counts = {
        ("phone", "answered", topics[0]): 9, ("counter", "answered", topics[0]): 2,
        ("phone", "answered", topics[1]): 7, ("counter", "answered", topics[1]): 6,
        ("phone", "dropped", topics[1]): 8,
    }  # fmt: skip
    talk(town, counts, datetime(2026, 4, 3, 15, tzinfo=UTC))
    talk(town, {("phone", "answered", topics[0]): 1}, town.now)
    with town.looking() as scene:
        rows = [row for page in opendata_rows.contacts(scene.s, city, town.now) for row in page]
    assert {row.month for row in rows} == {"2026-04"}
    assert {(row.channel, row.outcome, row.topic) for row in rows} == counts.keys()
    shown = {(row.channel, row.outcome, row.topic): row.contacts for row in rows if not row.hidden}
    # The one that is small, its like over the counter, and what would tell either by a sum.
    assert shown == {("phone", "dropped", topics[1]): 8}


@pytest.mark.parametrize("seed", range(40))
def test_no_sum_of_a_topic_or_a_channel_gives_a_hidden_number_away(seed: int) -> None:
    chance = random.Random(seed)
    numbers = {key: chance.randrange(23) for key in itertools.product("abc", ["x"], "pqrst")}
    counts = {key: n for key, n in numbers.items() if n}
    hidden = opendata_rows._untold(counts)
    assert {key for key, n in counts.items() if n < metrics.SUPPRESSION_THRESHOLD} <= hidden
    for column in opendata_rows._summed(counts):
        assert len(hidden & column.keys()) != 1 or len(column) == 1


def _square(south: float, west: float) -> dict[str, Any]:
    north, east = south + 0.02, west + 0.02
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}
