"""Requests of another system: what becomes of each row, what is refused, and that nothing is done by half."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import Town
from rivertown import MAPPING, NOW, ROW, put, table, take
from sqlalchemy import Engine, func, select

from bench import _realtables as realtables
from bench._realtables import TABLES, Table
from city.audit import events
from city.board import queries as board_queries
from city.cases import queries
from city.config import city_file
from city.config.toml_table import CityFileError
from city.db import engine as db
from city.db.models import Case, Closure, Imported, ImportRun, Message, Report, Service
from city.geo import Box
from city.imports import layers, mapping, request_rows
from city.imports import requests as request_imports
from city.imports.readers import TooManyRejected, Unusable
from city.notifications import fan_out
from city.people.accounts import THE_SYSTEM
from city.settings import Settings
from pwa.cli import imports

pytestmark = pytest.mark.both_databases

BOSTON = ZoneInfo("America/New_York")
MAPPED = ("boston", "gainesville", "losangeles", "newhaven", "open311")


def test_a_row_becomes_a_case_with_its_story(town: Town, tmp_path: Path) -> None:
    closed = {
        "SEEN": "2026-03-03", "CLOSED": "03/04/2026 05:00:00 PM", "STATE": "Closed", "DONE": "New lamp",
        "STAFF": "Fuse was wet",
    }  # fmt: skip
    outcome = put(town, tmp_path, closed)
    assert (outcome.read, outcome.imported, outcome.rejected) == (1, 1, 0)
    with town.looking() as scene:
        case = scene.case("26-000001")
        (report,) = case.reports
        story = queries.case_events(scene.s, case)
        (done,) = case.closures
        assert (case.state, case.origin, case.outcome) == ("closed", "import", "fixed")
        assert case.opened_at == datetime(2026, 3, 2, 13, tzinfo=UTC)
        assert case.closed_at == datetime(2026, 3, 4, 22, tzinfo=UTC)
        assert (case.lat, case.lon, case.address) == (39.6, -71.2, "Old Port")
        assert (report.channel, report.words) == ("phone", "Dark\nNo light")
        assert (done.words, done.no_photo) == ("New lamp", None)
        assert [event.kind for event, _ in story] == ["open", "report", "accept", "close", "note"]
        assert story[-1][1] == {"note": "Fuse was wet"}
        assert events.verify(scene.s) == []


def test_what_was_told_elsewhere_is_not_public_until_it_is_shown(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {}, {"ID": "102", "CLASS": "Homes", "TYPE": "Noise"})
    with db.read_session(town.engine) as s:
        (sight,) = queries.public(s, now=NOW)
        assert (sight.number, sight.tellings, sight.proof) == ("26-000001", [], None)


def test_nobody_is_mailed_about_the_past(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {"STATE": "Closed", "CLOSED": "2026-03-04"})
    with db.transaction(town.engine) as s:
        assert fan_out.process_events(s, NOW) > 0
        assert s.scalar(select(func.count()).select_from(Message)) == 0


def test_services_are_brought_along_and_the_form_does_not_offer_them(town: Town, tmp_path: Path) -> None:
    put(
        town, tmp_path,
        {"TARGET": "03/04/2026 08:00:00 AM"},
        {"ID": "102", "TARGET": "03/06/2026 09:00:00 AM"},
        {"ID": "103", "TARGET": "2026-03-31"},
        {"ID": "104", "TYPE": "Noise " * 9, "CLASS": "Homes", "DEPT": ""},
    )  # fmt: skip
    with db.read_session(town.engine) as s:
        lamp = s.get_one(Service, "rivertown:lamp-out")
        (noise,) = s.scalars(select(Service).where(Service.private, Service.code.startswith("rivertown:")))
        assert (lamp.group, lamp.promise_days, lamp.names) == ("streetlight", 5, {"en": "Lamp out"})
        assert (lamp.department.names, lamp.department.time_zone) == ({"en": "Public works"}, BOSTON.key)
        assert (noise.group, noise.promise_days, len(noise.code)) == ("other", 10, 40)
    offered = {service.code for service in city_file.load(town.settings.city).services}
    assert not {lamp.code, noise.code} & offered


def test_a_default_point_is_no_place_and_the_words_stay(town: Town, tmp_path: Path) -> None:
    outcome = put(
        town, tmp_path,
        {"LAT": "39.65", "LON": "-71.25", "STREET": "9 Elm St"},
        {"ID": "102", "LAT": "", "LON": ""},
        {"ID": "103", "LAT": "39.6502", "LON": "-71.25"},
    )  # fmt: skip
    assert (outcome.imported, outcome.unlocated) == (3, 2)
    with db.read_session(town.engine) as s:
        cases = list(s.scalars(select(Case).order_by(Case.id)))
        assert [(case.lat, case.place_source, case.address) for case in cases] == [
            (None, "unknown", "9 Elm St"), (None, "unknown", "Old Port"), (39.6502, "address", "Old Port"),
        ]  # fmt: skip
        assert s.scalars(select(Report.address).order_by(Report.id)).first() == "9 Elm St"
        assert board_queries.count(s, board_queries.View(place="none"), now=NOW) == 2


def test_the_second_run_takes_what_is_new(town: Town, tmp_path: Path) -> None:
    put(town, tmp_path, {}, {"ID": "102"})
    again = put(town, tmp_path, {}, {"ID": "102"}, {"ID": "103"})
    assert (again.read, again.imported, again.unchanged) == (3, 1, 2)
    with db.read_session(town.engine) as s:
        runs = s.scalars(select(ImportRun).order_by(ImportRun.id)).all()
        assert [run.counts["imported"] for run in runs] == [2, 1]
        kept = select(Imported.ref, Case.number).join(Case, Case.id == Imported.case_id)
        assert s.execute(kept.order_by(Imported.ref)).all() == [
            ("101", "26-000001"), ("102", "26-000002"), ("103", "26-000003"),
        ]  # fmt: skip


def test_numbers_follow_the_year_of_opening_beside_our_own(town: Town, tmp_path: Path) -> None:
    with town.at_work() as scene:
        assert scene.report().case.number == "26-000001"
    put(town, tmp_path, {"OPENED": "12/31/2025 11:30:00 PM"}, {"ID": "102"})
    with town.at_work() as scene:
        numbers = scene.s.scalars(select(Case.number).order_by(Case.id)).all()
        assert scene.report().case.number == "26-000003"
    assert numbers == ["26-000001", "25-000001", "26-000002"]


def test_a_case_is_found_by_the_number_that_it_had(town: Town, tmp_path: Path) -> None:
    put(
        town,
        tmp_path,
        {"ID": "101001240735", "STATE": "Closed", "CLOSED": "03/05/2026 08:00:00 AM"},
        {"ID": "102"},
    )
    with town.at_work() as scene:
        assert (found := queries.by_reference(scene.s, " 101001240735 "))
        assert found.number == "26-000001"
        assert queries.by_reference(scene.s, "26-000002")
        assert queries.by_reference(scene.s, "102") is None  # as short as a house number


def test_what_was_closed_before_it_was_opened_is_kept_and_noted(town: Town, tmp_path: Path) -> None:
    outcome = put(town, tmp_path, {"STATE": "Closed", "CLOSED": "03/02/2026 07:59:28 AM"})
    assert (outcome.imported, outcome.more["closed_before_opened"]) == (1, 1)
    with town.looking() as scene:
        case = scene.case("26-000001")
        note = queries.case_events(scene.s, case)[-1][1]["note"]
    assert case.closed_at == case.opened_at
    assert "03/02/2026 07:59:28 AM" in note


def test_a_place_outside_is_kept_and_noted(town: Town, tmp_path: Path) -> None:
    outcome = put(town, tmp_path, {}, {"ID": "102", "LAT": "40.5"})
    assert (outcome.imported, outcome.more["outside"]) == (2, 1)
    with town.looking() as scene:
        case = scene.case("26-000002")
        assert case.lat == 40.5
        assert queries.case_events(scene.s, case)[-1][1] == {"note": "Outside the city boundary."}


def test_outcomes_and_states_follow_the_mapping(town: Town, tmp_path: Path) -> None:
    put(
        town, tmp_path,
        {"STATE": "Closed", "CLOSED": "2026-03-04", "DONE": "A duplicate of 99"},
        {"ID": "102", "STATE": "Seen"},
        {"ID": "103", "STATE": "Withdrawn"},
        {"ID": "104", "STATE": "Open", "CLOSED": "2026-03-04", "AGAIN": "2026-03-05"},
        {"ID": "105", "STATE": "Closed", "CLOSED": "2026-03-04", "SEEN": "2026-03-09"},
    )  # fmt: skip
    with db.read_session(town.engine) as s:
        states = s.execute(select(Case.state, Case.cycle, Case.outcome).order_by(Case.id)).all()
        assert s.scalar(select(func.count()).select_from(Closure)) == 3
        assert events.verify(s) == []
    assert states == [
        ("closed", 1, "no action"), ("accepted", 1, None), ("cancelled", 1, None), ("accepted", 2, None),
        ("closed", 1, "fixed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ID": ""}, "has no number"),
        ({"ID": "9" * 81}, "the number '999"),
        ({"TYPE": " "}, "has no service"),
        ({"OPENED": ""}, "has no opened date"),
        ({"OPENED": "2. March"}, "opened: '2. March' isn't a time like '05/31/2026 02:30:00 PM'"),
        ({"OPENED": "2027-01-01"}, "was opened in the future"),
        ({"OPENED": "01/01/0001 12:00:00 AM"}, "opened: the year 1 can't be"),
        ({"TARGET": "12/30/9999 11:59:59 PM"}, "target: the year 9999 can't be"),
        ({"TYPE": "x" * 121}, "has more than 120 characters"),
        ({"STATE": "Closed", "CLOSED": "12/31/9999 11:59:59 PM"}, "closed: "),
        ({"STATE": "Lost"}, "'Lost' isn't in the mapping's states"),
        ({"STATE": "Closed"}, "is closed but has no closed date"),
        ({"LAT": "north"}, "'north, -71.2' aren't coordinates"),
        (
            {"LAT": "-171.2", "LON": "39.6"},
            "latitude -171.2 is over 90. Are latitude and longitude swapped?",
        ),
        ({"LAT": "2957494"}, "aren't degrees"),
        ({"ID": "100", "STATE": "Seen"}, "the number '100' is already on line 2, with different data"),
    ],
)
def test_a_row_that_cannot_be_taken_is_written_down(
    town: Town, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    outcome = put(town, tmp_path, {"ID": "100"}, change, {"ID": "102"})
    assert (outcome.read, outcome.imported, outcome.rejected) == (3, 2, 1)
    assert outcome.side_file is not None
    with Path(outcome.side_file).open(newline="") as side:
        head, (place, said, row) = csv.reader(side)
    assert head == ["line", "reason", "row"]
    assert (place, reason in said, json.loads(row)) == ("3", True, ROW | change)


def test_a_row_with_line_breaks_counts_by_its_first_line(town: Town, tmp_path: Path) -> None:
    outcome = put(town, tmp_path, {"WORDS": "one\ntwo\nthree"}, {"ID": ""})
    assert "\n5,has no number" in Path(str(outcome.side_file)).read_text()


def test_too_many_rejected_rows_keep_nothing(town: Town, tmp_path: Path) -> None:
    with pytest.raises(TooManyRejected):
        put(town, tmp_path, {}, {"ID": ""}, {"ID": ""}, max_rejected=1)
    assert count(town.engine, Case) == count(town.engine, ImportRun) == 0


def test_a_packed_file_is_read_as_well(town: Town, tmp_path: Path) -> None:
    file = table(tmp_path, {})
    packed = tmp_path / "requests.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert take(town, packed).imported == 1
    packed.write_bytes(gzip.compress(file.read_bytes())[:-20])
    with pytest.raises(Unusable, match="can't be read"):
        take(town, packed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (",".join(ROW), "is empty: it has a header but no rows"),
        ("\x00\x00", "isn't text"),
        (
            '{"type": "FeatureCollection", "features": [{}]}',
            "is a map layer. Requests must be a CSV",
        ),
        (",".join(ROW) + '\n"' + "x" * 1_100_000, "line 2: isn't valid CSV"),
        (",".join(ROW) + "\n" + "x" * 2_100_000, "line 2: is longer than 2 MB"),
        (",".join(ROW) + "\n" + "x" * 5_000 + "\na,\0", "line 3: contains a zero byte"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(town: Town, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "requests.csv"
    file.write_text(text)
    with pytest.raises(Unusable, match=said):
        take(town, file)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (
            'closed = "CLOSED"',
            'closed = "ENDED"',
            "line 14: columns.closed: requests.csv has no column 'ENDED'",
        ),
        ('group_by = "CLASS"', 'group_by = "KLASS"', "services.group_by: requests.csv has no column 'KLASS'"),
        ('ref = "ID"', "", "columns.ref: is missing"),
        ('ref = "ID"', 'rev = "ID"\nref = "ID"', "columns.rev: isn't a known key"),
        ('Open = "new"', 'Open = "nwe"', "states.Open: 'nwe' isn't one of"),
        ('"America/New_York"', '"America/Boston"', "line 3: time_zone: 'America/Boston' isn't a time zone"),
        ('"%Y-%m-%d"]', '"%H:%M"]', "line 4: dates: '%H:%M' lacks a year, month, or day"),
        ("[[39.65, -71.25]]", "[39.65, -71.25]", "line 5: default_points"),
        ('streetlight = ["Lights"]', 'lamps = ["Lights"]', "the city file has no group 'lamps'"),
        ('name = "rivertown"', 'name = "River Town"', "line 2: name"),
        ("[columns]", "[columns", "rivertown.toml, line 8"),
        ('lat = "LAT"\nlon = "LON"', 'lat = "LON"\nlon = "LAT"', "longitude are swapped"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_line(
    town: Town, tmp_path: Path, was: str, now: str, said: str
) -> None:
    assert was in MAPPING
    with pytest.raises(CityFileError) as refused:
        put(town, tmp_path, {}, text=MAPPING.replace(was, now))
    assert said in str(refused.value)
    assert count(town.engine, Case) == 0


def test_a_mapping_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(Unusable, match=r"Use one of boston, gainesville, .*, or a .toml file"):
        mapping.load("springfield")
    assert {mapping.load(name).source for name in MAPPED} == set(MAPPED)


def test_any_list_of_the_standard_is_taken_by_the_smallest_city_of_the_docs(
    town: Town, tmp_path: Path
) -> None:
    docs = (Path(__file__).parents[3] / "docs" / "reference" / "city-file.md").read_text("utf-8")
    city = city_file.parse(docs.partition("```toml\n")[2].partition("```")[0], "smallest.toml")
    told = {
        "service_request_id": "7", "service_name": "Hydrant", "status": "open",
        "requested_datetime": "2026-03-02T08:00:00Z",
    }  # fmt: skip
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([told]))
    with db.transaction(town.engine) as s:
        outcome = request_imports.import_file(s, file, mapping.load("open311"), city, at=NOW, secret="x")
    assert (outcome.imported, outcome.rejected) == (1, 0)
    with town.looking() as scene:
        assert scene.case("26-000001").service.group == "street"


@pytest.mark.parametrize(
    ("words", "after", "utc"),
    [
        ("2026-07-01 12:00", None, "2026-07-01 16:00"),
        ("2026-11-01 01:30", None, "2026-11-01 05:30"),  # twice: the first time
        ("2026-11-01 01:30", "2026-11-01 06:00", "2026-11-01 06:30"),  # closed after it was opened
        ("2026-11-01 01:30", "2026-11-01 09:00", "2026-11-01 05:30"),
        ("2026-03-08 02:30", None, "2026-03-08 07:30"),  # left out
        ("2026-03-08T02:30:00.000", None, "2026-03-08 07:30"),
        ("2026-11-01T01:30:00-05:00", None, "2026-11-01 06:30"),  # its zone says which of the two
        ("2026-07-01T12:00:00Z", None, "2026-07-01 12:00"),
    ],
)
def test_local_times_become_instants(words: str, after: str | None, utc: str) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert request_rows.instant(
        words, ["%Y-%m-%d %H:%M", "iso"], BOSTON, after=at(after) if after else None
    ) == at(utc)


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ("03/02/2026 12:00:05 AM", "%m/%d/%Y %I:%M:%S %p"),
        ("03/02/2026 12:59:00 pm", "%m/%d/%Y %I:%M:%S %p"),
        ("3/2/2026 - 07:24PM", "%m/%d/%Y - %I:%M%p"),
        ("2026-03-02", "%Y-%m-%d"),
        ("2. Mar 2026", "%d. %b %Y"),
        ("02/30/2026", "%m/%d/%Y"),
        ("03/02/2026 13:00:00 PM", "%m/%d/%Y %I:%M:%S %p"),
        ("03/02/2026 00:10:00 AM", "%m/%d/%Y %I:%M:%S %p"),
        ("2026-03-02T10:00", "%Y-%m-%d"),
    ],
)
def test_times_are_read_as_python_reads_them(words: str, form: str) -> None:
    try:
        expected = datetime.strptime(words, form).replace(tzinfo=UTC)
    except ValueError:
        with pytest.raises(ValueError, match="isn't a time like"):
            request_rows.instant(words, [form], ZoneInfo("UTC"))
    else:
        assert request_rows.instant(words, [form], ZoneInfo("UTC")) == expected


def test_the_command_ends_with_one_line_of_json(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*rows: dict[str, str], max_rejected: int | None = None) -> tuple[int, dict[str, Any]]:
        file = table(tmp_path, *rows)
        code = imports.requests(town.engine, town.settings, file, str(mapping), max_rejected)
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    mapping = tmp_path / "rivertown.toml"
    mapping.write_text(MAPPING)
    code, said = run({}, {"ID": ""})
    assert code == 0
    assert [said[k] for k in ("import", "read", "imported", "rejected", "unlocated", "unchanged")] == [
        "requests", 2, 1, 1, 0, 0,
    ]  # fmt: skip
    assert said["side_file"].endswith("requests.csv.rejected.csv")
    code, said = run({"ID": "7"}, {"ID": ""}, max_rejected=0)
    assert (code, said["imported"], said["rejected"]) == (1, 0, 1)
    mapping.write_text(MAPPING.replace('"ID"', '"NUMBER"'))
    code, said = run({"ID": "8"})
    assert (code, said["read"], "columns.ref" in said["error"]) == (2, 0, True)
    assert count(town.engine, Case) == 1


def test_a_layer_comes_by_the_command_as_well(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "poles.csv"
    file.write_text("N,LAT,LON\n1,39.6,-71.2\n,39.6,-71.2\n")
    poles = layers.Order("assets", asset="pole", number="N", lat="LAT", lon="LON")
    assert imports.layer(town.engine, town.settings, file, poles, None) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["import"], said["kind"], said["imported"], said["rejected"]) == ("layer", "assets", 1, 1)
    assert imports.layer(town.engine, town.settings, file, poles, 0) == imports.TOO_MANY
    missing = replace(poles, number="NO")
    assert imports.layer(town.engine, town.settings, file, missing, None) == imports.UNUSABLE


@pytest.mark.slow
@pytest.mark.full
def test_an_import_that_is_killed_leaves_nothing_and_runs_again(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    mapping = tmp_path / "rivertown.toml"
    mapping.write_text(MAPPING)
    rows = request_imports.AT_ONCE + 2000
    file = table(tmp_path, *({"ID": str(n)} for n in range(rows)))
    command = [str(Path(sys.executable).with_name("cityline")), "import", "requests", str(file)]
    environ = os.environ | {
        "CITYLINE_VAR": str(settings.var), "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_DATABASE_OWNER_URL": settings.database_owner_url,
    }  # fmt: skip
    with subprocess.Popen(
        [*command, "--map", str(mapping)],
        env=environ,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stderr is not None
        reached = next(line for line in running.stderr if f"{request_imports.AT_ONCE} of {rows}" in line)
        running.send_signal(signal.SIGKILL)
    assert reached
    assert running.returncode == -signal.SIGKILL
    assert count(engine, Case) == count(engine, ImportRun) == count(engine, Imported) == 0
    done = subprocess.run([*command, "--map", str(mapping)], env=environ, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1])["imported"] == rows
    with db.read_session(engine) as s:
        assert events.verify(s) == []


@pytest.mark.slow
def test_half_a_year_of_a_real_city(town: Town, real_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "boston.csv.gz"
    file.symlink_to(real_data / "requests" / "boston_311_2015_H1.csv.gz")
    began = time.process_time()
    first = take(town, file, mapping.load("boston"))
    took = time.process_time() - began
    assert first.read == first.imported + first.rejected == 58_119
    assert first.imported >= 0.98 * first.read
    assert first.unlocated == 8_752
    assert first.more["closed_before_opened"] == 84
    with db.read_session(town.engine) as s:
        checked, wrong = realtables.times(s, TABLES[0], real_data)
        assert checked > 100_000
        assert wrong == []
    assert took < 60  # seconds of work; half of that where nobody else is at work
    second = take(town, file, mapping.load("boston"))
    assert (second.imported, second.unchanged) == (0, first.imported)
    with db.read_session(town.engine) as s:
        assert events.verify(s) == []
        state = s.execute(select(Case.state, func.count()).group_by(Case.state)).all()
        still_open = board_queries.count(s, board_queries.View(), now=NOW)
        unlocated = select(func.count()).select_from(Case).where(Case.lat.is_(None))
        assert dict(state) == {"new": still_open, "closed": 49_126}
        assert still_open == 8_993
        assert board_queries.count(s, board_queries.View(state="closed"), now=NOW) == 49_126
        assert s.scalar(unlocated) == 8_752
        lost = board_queries.count(s, board_queries.View(place="none"), now=NOW)
        assert lost == s.scalar(unlocated.where(Case.state == "new"))


@pytest.mark.slow
def test_a_year_of_a_city_in_connecticut(town: Town, real_data: Path, tmp_path: Path) -> None:
    towns = tmp_path / "towns.geojson"
    towns.symlink_to(real_data / "geo" / "connecticut" / "ct_towns_2010.geojson")
    boundary = layers.Order("boundary", name="name", where=("name", "New Haven"))
    with db.transaction(town.engine) as s:
        bounds = Box(41.2, -73.0, 41.4, -72.8)
        layers.replace(s, towns, boundary, bounds=bounds, by=THE_SYSTEM, at=NOW)
    file = tmp_path / "newhaven.csv.gz"
    file.symlink_to(real_data / "requests" / "newhaven_seeclickfix_2014.csv.gz")
    outcome = take(town, file, mapping.load("newhaven"))
    assert (outcome.read, outcome.imported, outcome.unlocated) == (9_965, 9_965, 0)
    # Eleven far away, and some more beyond a boundary that was drawn for a map of the whole state.
    assert outcome.more["outside"] == 19
    assert take(town, file, mapping.load("newhaven")).imported == 0
    with db.read_session(town.engine) as s:
        assert events.verify(s) == []


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES[1:], ids=lambda table: table.name)  # Boston has its own
def test_a_real_table_adds_up_and_its_times_come_back(
    town: Town, real_data: Path, tmp_path: Path, table: Table
) -> None:
    file, how = tmp_path / table.file, mapping.load(table.name)
    file.symlink_to(table.path(real_data))
    first = take(town, file, how)
    assert first.read == first.imported + first.rejected + first.unchanged == table.rows
    assert first.rejected == 0
    with db.read_session(town.engine) as s:
        checked, wrong = realtables.times(s, table, real_data)
        # Every opening, and of most a closing; of New Haven's too few closings say when.
        assert checked >= (1.0 if table.name == "newhaven" else 1.5) * table.rows
        assert wrong == []
        assert events.verify(s) == []
    second = take(town, file, how)
    assert second.unchanged == second.read == table.rows


def count(engine: Engine, kind: Any) -> int:
    with db.read_session(engine) as s:
        return s.scalar(select(func.count()).select_from(kind)) or 0
