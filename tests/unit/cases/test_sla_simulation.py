"""Trying a city file on the past: what its promises would have meant, without a row being changed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from factories import Scene, Town
from sqlalchemy import event, func, select

from city.cases import sla_simulation, transitions
from city.cases.sla_simulation import Line, Simulation
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.db.models import Base, Case
from city.people import accounts
from city.settings import DEFAULT_CITY
from pwa.cli.main import cli

HERE = ZoneInfo("America/New_York")
TEXT = DEFAULT_CITY.read_text("utf-8")
HOURS = TEXT.replace("promise_days = 3\n", 'promise_hours = 8\ncalendar = "field"\n', 1)
SHORTER = TEXT.replace("promise_days = 3\n", "promise_days = 1\n", 1)
LATER = datetime(2026, 6, 30, tzinfo=UTC)
MAY = (date(2026, 5, 1), date(2026, 5, 31))


def at(words: str) -> datetime:
    """ "2026-05-12 07:00" on the city's clocks, as an instant."""
    return datetime.fromisoformat(words).replace(tzinfo=HERE).astimezone(UTC)


def told(scene: Scene, opened: str, closed: str = "", waited: tuple[str, str] | None = None) -> Case:
    """A case that was opened, perhaps waited, and was perhaps closed at these times."""
    case, by = scene.report(at=at(opened)).case, scene.actor("dispatcher")
    if waited:
        transitions.wait(scene.s, case, "utility", by=by, at=at(waited[0]))
        transitions.resume(scene.s, case, by=by, at=at(waited[1]))
    if closed:
        transitions.close(scene.s, case, Closing("not found"), by=by, at=at(closed))
    return case


@contextmanager
def a_month(town: Town, text: str = TEXT) -> Iterator[Scene]:
    with town.at_work() as scene:
        config_versions.publish(scene.s, text, "city.toml", by=accounts.THE_SYSTEM, at=town.now)
        yield scene


def tried(town: Town, text: str, period: tuple[date, date] = MAY, now: datetime = LATER) -> Simulation:
    with town.looking() as scene:
        return sla_simulation.simulate(scene.s, city_file.parse(text, "tried.toml"), *period, now)


def line(town: Town, text: str) -> Line:
    (found,) = tried(town, text).services
    assert found.told() | {"service": "all"} == tried(town, text).total.told()
    return found


def test_the_same_file_changes_no_verdict(town: Town) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-11 09:00", "2026-05-12 10:00")
        told(scene, "2026-05-11 09:00", "2026-05-29 10:00", ("2026-05-13 09:00", "2026-05-14 09:00"))
        told(scene, "2026-05-11 09:00")
    same = line(town, TEXT)
    assert (same.cases, same.better, same.worse, same.then) == (3, 0, 0, same.now)
    assert (same.then.kept, same.then.broken, same.moved) == (1, 2, [0.0, 0.0, 0.0])


def test_a_shorter_promise_breaks_what_was_kept_and_says_why(town: Town) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-11 09:00", "2026-05-12 10:00")  # within a day
        told(scene, "2026-05-11 09:00", "2026-05-14 10:00")  # within three
    shorter = line(town, SHORTER)
    assert (shorter.better, shorter.worse, shorter.why) == (0, 1, {"days": 1})
    assert (shorter.then.share, shorter.now.share) == (1.0, 0.5)


def test_working_hours_are_counted_without_nights_weekends_and_waits(town: Town) -> None:
    with a_month(town) as scene:
        # Friday 14:00 to Tuesday 9:00: eleven hours of work less the three in which it waited.
        told(scene, "2026-05-15 14:00", "2026-05-19 09:00", ("2026-05-16 09:00", "2026-05-18 10:00"))
    hours = line(town, HOURS)
    assert (hours.then.kept, hours.now.kept) == (1, 1)
    assert hours.told()["median_hours"] == hours.told()["p90_hours"] == 8.0


def test_days_that_become_hours_are_named_so(town: Town) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-11 09:00", "2026-05-13 10:00")
    hours = line(town, HOURS)
    assert (hours.worse, hours.why) == (1, {"kind": 1})


def test_another_calendar_is_named_so(town: Town) -> None:
    with a_month(town, HOURS) as scene:
        told(scene, "2026-05-11 10:00", "2026-05-12 10:30")  # half an hour late
    shorter_days = line(town, HOURS.replace('"07:00-15:00"', '"07:00-11:00"'))
    assert (shorter_days.better, shorter_days.why) == (1, {"calendar": 1})
    assert shorter_days.moved == [24.0]


def test_what_was_sent_back_is_judged_by_its_last_completion_without_the_time_it_was_closed(
    town: Town,
) -> None:
    with a_month(town) as scene:
        case, by = told(scene, "2026-05-11 09:00", "2026-05-12 10:00"), scene.actor("dispatcher")
        transitions.reopen(scene.s, case, by=by, at=at("2026-05-20 10:00"))
        transitions.close(scene.s, case, Closing("not found"), by=by, at=at("2026-05-22 09:00"))
    assert line(town, TEXT).then.kept == 1
    assert line(town, SHORTER).worse == 1


def test_open_cases_count_once_they_are_late_and_never_while_they_wait(town: Town) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-30 09:00")
        case = told(scene, "2026-05-11 09:00")
        transitions.wait(scene.s, case, "utility", by=scene.actor("dispatcher"), at=at("2026-05-12 09:00"))
    soon = tried(town, SHORTER, now=at("2026-06-01 09:00")).total
    assert (soon.then.open, soon.now.open, soon.now.broken, soon.worse) == (2, 1, 1, 1)


def test_only_cases_of_the_period_count_by_the_citys_own_days(town: Town) -> None:
    with a_month(town) as scene:
        for opened in ("2026-04-30 23:59", "2026-05-01 00:00", "2026-05-31 23:59", "2026-06-01 00:00"):
            told(scene, opened)
        merged, root = told(scene, "2026-05-02 09:00"), told(scene, "2026-05-02 09:00")
        transitions.merge(scene.s, merged, root, by=scene.actor("dispatcher"), at=LATER)
        transitions.cancel(
            scene.s, told(scene, "2026-05-02 09:00"), "spam", by=scene.actor("dispatcher"), at=LATER
        )
    assert tried(town, TEXT).total.cases == 3


def test_services_that_the_file_has_not_are_counted_apart(town: Town) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-11 09:00")
    other = TEXT.replace("light-out", "light-gone")
    found = tried(town, other)
    assert (found.services, found.unknown) == ([], {"light-out": 1})


def test_many_cases_are_read_in_a_few_statements(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_month(town) as scene:
        for _ in range(12):
            told(scene, "2026-05-11 09:00", "2026-05-12 10:00")
    monkeypatch.setattr(sla_simulation, "AT_ONCE", 5)
    asked: list[str] = []
    event.listen(town.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    assert tried(town, TEXT).total.cases == 12
    assert len(asked) <= 3 * 3 + 1 + 1, asked


@pytest.fixture
def file(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITYLINE_DATABASE_URL", town.settings.database_url)
    monkeypatch.setenv("CITYLINE_VAR", str(town.settings.var))
    path = tmp_path / "tried.toml"
    path.write_text(SHORTER, "utf-8")
    return path


def run(file: Path, *words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, ["config", "simulate", str(file), *words])
    return ran.exit_code, ran.output


PERIOD = ("--from", "2026-05-01", "--to", "2026-05-31")


def test_the_command_says_it_in_a_table_and_in_json_and_changes_no_row(town: Town, file: Path) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-11 09:00", "2026-05-12 10:00")
        told(scene, "2026-05-11 09:00", "2026-05-14 10:00")
    before = rows(town)
    code, shown = run(file, *PERIOD)
    assert code == 0
    assert "light-out" in shown
    assert "1 result changes: different number of calendar days." in shown
    code, shown = run(file, *PERIOD, "--json")
    said = json.loads(shown)
    assert (code, said["total"]["cases"], said["total"]["worse"]) == (0, 2, 1)
    assert (said["services"][0]["on_time_then"], said["services"][0]["on_time_now"]) == (1.0, 0.5)
    assert rows(town) == before


def rows(town: Town) -> dict[str, list[tuple[object, ...]]]:
    with town.looking() as scene:
        tables, whole = Base.metadata.sorted_tables, ("cases", "event_sequence")
        return {
            table.name: sorted(map(repr, scene.s.execute(select(table)))) if table.name in whole
            else [(scene.s.scalar(select(func.count()).select_from(table)),)]
            for table in tables
        }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--from", "2026-05-31", "--to", "2026-05-01"),
            "--to is before --from. Example: --from 2026-01-01",
        ),
        (
            ("--from", "2024-01-01", "--to", "2024-12-31"),
            "No cases were opened from 2024-01-01 to 2024-12-31",
        ),
        (("--from", "2026-02-30", "--to", "2026-05-01"), "'2026-02-30' does not match the format"),
        (("--from", "may", "--to", "2026-05-01"), "'may' does not match the format"),
        (("--from", "2026-05-01"), "Missing option '--to'"),
    ],
)
def test_a_period_that_is_none_is_refused_in_words(
    town: Town, file: Path, words: tuple[str, ...], said: str
) -> None:
    with a_month(town) as scene:
        told(scene, "2026-05-11 09:00")
    code, shown = run(file, *words)
    assert code
    assert said in shown


def test_a_wrong_file_says_its_line(town: Town, file: Path) -> None:
    file.write_text(TEXT.replace("promise_days = 3", "promise_hours = 0", 1), "utf-8")
    ran = CliRunner().invoke(cli, ["config", "simulate", str(file), *PERIOD])
    assert "tried.toml, line" in str(ran.exception)
    with pytest.raises(ValueError, match="is before"):
        tried(town, TEXT, (MAY[1], MAY[0]))
