"""Versions of the city file: numbered, logged, told key by key, and no given promise moves."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Town
from sqlalchemy import Engine, select

from city.audit import events
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFileError
from city.db import engine as db
from city.db.models import CityVersion, Department, Event, Service, Topic
from city.people import accounts
from city.settings import DEFAULT_CITY, Settings
from pwa.cli.main import cli

TEXT = DEFAULT_CITY.read_text("utf-8")
LONGER = TEXT.replace("promise_days = 3", "promise_days = 6", 1)


def apply(engine: Engine, text: str, at: datetime) -> CityVersion | None:
    with db.transaction(engine) as s:
        return config_versions.publish(s, text, "city.toml", by=accounts.THE_SYSTEM, at=at)


def test_each_applied_file_is_a_version_and_a_line_of_the_log(engine: Engine, now: datetime) -> None:
    first = apply(engine, TEXT, now)
    second = apply(engine, LONGER, now + timedelta(days=1))
    assert first is not None
    assert second is not None
    assert [first.number, second.number] == [1, 2]
    assert second.changes == [{"key": "services.light-out.promise_days", "was": 3, "now": 6}]
    with db.read_session(engine) as s:
        lines = [event for event, _words in events.of(s, "policy")]
        assert [(line.kind, line.actor, line.facts) for line in lines] == [
            ("apply", "system", {"number": policy.number, "sha256": policy.sha256})
            for policy in (first, second)
        ]
        assert [(p.number, p.applied_at) for p in config_versions.versions(s)] == [
            (2, now + timedelta(days=1)), (1, now),
        ]  # fmt: skip
        newest = config_versions.current(s)
        assert newest is not None
        assert (newest.text, newest.applied_by, config_versions.newest(s)) == (LONGER, "system", 2)
        assert events.verify(s) == []


def test_applying_the_same_file_again_changes_nothing(engine: Engine, now: datetime) -> None:
    assert apply(engine, TEXT, now)
    assert apply(engine, TEXT, now) is None
    with db.read_session(engine) as s:
        assert len(config_versions.versions(s)) == len(events.of(s, "policy")) == 1


def test_going_back_is_a_version_as_well(engine: Engine, now: datetime) -> None:
    numbers = [policy.number for text in (TEXT, LONGER, TEXT) if (policy := apply(engine, text, now))]
    assert numbers == [1, 2, 3]


def test_departments_and_services_are_written_as_the_file_has_them(engine: Engine, now: datetime) -> None:
    apply(engine, TEXT, now)
    apply(engine, LONGER, now)
    with db.read_session(engine) as s:
        services = {service.code: service for service in s.scalars(select(Service))}
        assert len(services) == 24
        assert services["light-out"].promise_days == 6
        assert services["light-out"].chips == {"en": "Out", "es": "Apagada"}
        assert services["pole-damaged"].questions[0].code == "blocked"
        lights = s.get_one(Department, "lights")
        assert (lights.names["es"], lights.time_zone) == ("Alumbrado público", "America/New_York")
        taxes = s.get_one(Topic, "taxes")
        assert (taxes.names["es"], taxes.department_code) == ("Impuestos", "finance")


def test_a_wrong_file_leaves_no_trace(engine: Engine, now: datetime) -> None:
    apply(engine, TEXT, now)
    with pytest.raises(CityFileError):
        apply(engine, TEXT.replace("promise_days = 3", "promise_days = 0"), now)
    with db.read_session(engine) as s:
        assert config_versions.newest(s) == 1
        assert s.get_one(Service, "light-out").promise_days == 3
        assert len(list(s.scalars(select(Event)))) == 1


def test_given_promises_stay_and_new_cases_get_the_new_days(town: Town, now: datetime) -> None:
    apply(town.engine, TEXT, now)
    with town.at_work() as scene:
        before = scene.report().case
    apply(town.engine, LONGER, now)
    with town.at_work() as scene:
        after = scene.report().case
        kept = scene.case(before.number)
        assert (kept.promise_days, kept.due_at) == (3, before.due_at)
        assert after.promise_days == 6
        assert after.due_at - kept.due_at == timedelta(days=3)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("a = 1 # one", "a = 1 # uno", []),
        ("a = 1", "a = 2\nb = [1, 2]", [("a", 1, 2), ("b", None, [1, 2])]),
        ("a = 1\n[t]\nx = 'y'", "a = 1", [("t.x", "y", None)]),
        ("own = [2026-12-24]", "own = [2026-12-31]", [("own", ["2026-12-24"], ["2026-12-31"])]),
        ("[[r]]\nn = 1\n[[r]]\nn = 2", "[[r]]\nn = 2", [("r[1].n", 1, 2), ("r[2].n", 2, None)]),
        ("[groups.a]\nx = 1\n[groups.b]\nx = 1", "[groups.b]\nx = 1\n[groups.a]\nx = 1",
         [("groups (their order)", ["a", "b"], ["b", "a"])]),
        ("x = false", "x = true", [("x", False, True)]),
    ],
)  # fmt: skip
def test_the_difference_is_told_key_by_key(
    old: str, new: str, changes: list[tuple[str, object, object]]
) -> None:
    told = [(change["key"], change["was"], change["now"]) for change in config_versions.difference(old, new)]
    assert told == changes


class TestTheCommand:
    @pytest.fixture
    def runner(self, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
        monkeypatch.setenv("CITYLINE_VAR", str(settings.var))
        monkeypatch.setenv("CITYLINE_DATABASE_URL", settings.database_url)
        return CliRunner()

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "city.toml"
        path.write_text(TEXT, "utf-8")
        return path

    def test_a_dry_run_of_the_same_file_says_that_nothing_differs(
        self, runner: CliRunner, file: Path
    ) -> None:
        runner.invoke(cli, ["config", "apply", str(file)])
        done = runner.invoke(cli, ["config", "apply", str(file), "--dry-run"])
        assert done.output == "No differences.\n"

    def test_it_shows_the_difference_and_says_the_number(self, runner: CliRunner, file: Path) -> None:
        first = runner.invoke(cli, ["config", "apply", str(file)])
        assert '+ name = "Larkhaven"' in first.output
        assert "Applied version 1 of the city file.\nThe next start will apply " in first.output
        assert first.output.endswith("larkhaven.toml again. To keep this one, set CITYLINE_CITY to it.\n")
        file.write_text(LONGER.replace('phone = "311"', "", 1), "utf-8")
        second = runner.invoke(cli, ["config", "apply", str(file)])
        assert second.output.splitlines()[:-1] == [
            "~ services.light-out.promise_days = 3 → 6",
            '- phone = "311"',
            "Applied version 2 of the city file.",
        ]
        again = runner.invoke(cli, ["config", "apply", str(file)])
        assert again.output == "Version 2 already matches this file. Nothing to apply.\n"

    def test_on_a_terminal_it_is_coloured_as_well(self, runner: CliRunner, file: Path) -> None:
        shown = runner.invoke(cli, ["config", "apply", str(file), "--dry-run"], color=True)
        assert '\x1b[32m+ name = "Larkhaven"\x1b[0m' in shown.output

    def test_a_dry_run_only_shows(self, runner: CliRunner, file: Path, engine: Engine) -> None:
        shown = runner.invoke(cli, ["config", "apply", str(file), "--dry-run"])
        assert '+ name = "Larkhaven"' in shown.output
        assert shown.output.endswith("Dry run: nothing was applied.\n")
        with db.read_session(engine) as s:
            assert config_versions.versions(s) == []

    def test_a_wrong_file_is_refused_as_a_whole(self, runner: CliRunner, file: Path, engine: Engine) -> None:
        file.write_text(TEXT.replace("promise_days = 3", "promise_days = 0"), "utf-8")
        refused = runner.invoke(cli, ["config", "apply", str(file)])
        assert isinstance(refused.exception, CityFileError)
        assert "city.toml, line " in str(refused.exception)
        with db.read_session(engine) as s:
            assert config_versions.versions(s) == []

    def test_migrating_applies_the_file_once(
        self,
        runner: CliRunner,
        file: Path,
        engine: Engine,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("CITYLINE_CITY", str(file))
        monkeypatch.setenv("CITYLINE_DATABASE_OWNER_URL", settings.database_owner_url)
        for text, number in ((TEXT, 1), (TEXT, 1), (LONGER, 2)):
            file.write_text(text, "utf-8")
            assert runner.invoke(cli, ["migrate"]).exit_code == 0
            with db.read_session(engine) as s:
                assert config_versions.newest(s) == number


def test_larkhavens_text_is_whole_without_its_folder() -> None:
    assert city_file.read_with_logo(DEFAULT_CITY) == TEXT
