"""The command line where something is in its way."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest
from click.testing import CliRunner
from factories import Town
from servers import servers_at
from sqlalchemy import Engine, create_engine, make_url, select, text

from city.cases import board_index
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import CaseWords, EventSequence, Person
from city.imports import readers
from city.lifecycle import Refused
from city.notifications import fan_out
from city.people import accounts
from city.settings import DEFAULT_CITY, Settings
from pwa import worker
from pwa.cli.main import _asked_to_stop, _prepare, cli

pytestmark = pytest.mark.both_databases


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where a server of our own kind listens, which would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("command", ["web", "run"])
def test_no_two_cities_share_a_port(taken: int, command: str) -> None:
    done = CliRunner().invoke(cli, [command, "--port", str(taken)])
    assert done.exit_code == 1
    assert f"Port {taken} on 127.0.0.1 isn't available" in done.output
    assert f"--port {taken + 1}" in done.output


@pytest.fixture
def shell(town: Town, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell with this city's settings."""
    for name in ("var", "database_url", "database_owner_url"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(town.settings, name)))
    return CliRunner()


def test_the_demo_is_for_its_own_city_file_alone(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "tinyville.toml"
    ours.write_text(
        DEFAULT_CITY.read_text("utf-8").replace('name = "Larkhaven"', 'name = "Tinyville"'), "utf-8"
    )
    for name in ("var", "database_url", "database_owner_url"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("CITYLINE_CITY", str(ours))
    done = CliRunner().invoke(cli, ["demo", "--cases", "20"])
    assert (done.exit_code, "tinyville.toml is for another city." in done.output) == (1, True)
    with click.Context(cli):
        _prepare(replace(settings, city=ours), fill=True)
    with db.read_session(engine) as s:
        assert s.scalar(select(Person.id)) is None
        assert config_versions.current(s)

    monkeypatch.delenv("CITYLINE_CITY")  # forgotten once
    again = CliRunner().invoke(cli, ["demo", "--cases", "20"])
    assert getattr(again.exception, "code", "") == "not_empty"
    with click.Context(cli):
        _prepare(settings, fill=True)
    with db.read_session(engine) as s:
        assert s.scalar(select(Person.id)) is None


@pytest.mark.parametrize("command", [["rebuild-index"], ["device", "list"]])
def test_a_database_that_is_not_of_this_version_is_named_in_one_line(
    shell: CliRunner, town: Town, command: list[str]
) -> None:
    engine = create_engine(town.settings.database_owner_url or town.settings.database_url)
    with engine.begin() as owner:
        for name in ("cases", "devices"):
            owner.execute(text(f"ALTER TABLE {name} RENAME TO {name}_once"))
    engine.dispose()
    done = shell.invoke(cli, command)
    assert done.exit_code == 1
    where = make_url(town.settings.database_url).render_as_string(hide_password=True)
    assert done.output == (
        f"Error: The database schema at {where} is out of date, or there's no city yet. "
        "If this is the right database, run cityline migrate.\n"
    )


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "command", [["rebuild-index"], ["device", "list"], ["import", "runs"], ["user", "link", "x@y"]]
)
def test_a_database_that_is_gone_is_said_and_not_made_anew(
    shell: CliRunner, town: Town, tmp_path: Path, command: list[str]
) -> None:
    town.engine.dispose()
    file = Path(town.settings.database_url.removeprefix("sqlite:///"))
    file.rename(tmp_path / "gone.db")
    done = shell.invoke(cli, command)
    assert (done.exit_code, done.output) == (
        1,
        f"Error: The database at sqlite:///{file} isn't answering: {file} isn't there. "
        "Only cityline migrate makes a new one.\n",
    )
    assert not file.exists()


@pytest.mark.sqlite
@pytest.mark.slow
def test_no_table_is_changed_under_whoever_is_at_work(
    unmigrated: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CITYLINE_VAR", str(settings.var))
    monkeypatch.setenv("CITYLINE_DATABASE_URL", unmigrated.url)
    db.migrate(unmigrated.url)
    later = shutil.copytree(db.MIGRATIONS, tmp_path / "migrations")
    (later / "versions" / "9999_later.py").write_text(
        'import sqlalchemy as sa\nfrom alembic import op\n\nrevision, down_revision = "9999", "0059"\n\n\n'
        'def upgrade():\n    op.add_column("crews", sa.Column("van", sa.Text()))\n'
    )
    monkeypatch.setattr(db, "MIGRATIONS", later)
    engine = db.connect(unmigrated.url)
    with engine.connect() as c:
        c.execute(select(EventSequence.n))
    refused = CliRunner().invoke(cli, ["migrate"])
    assert getattr(refused.exception, "code", "") == "database_in_use"
    with engine.connect() as c:
        assert c.scalar(text("SELECT version_num FROM alembic_version")) == "0059"
    engine.dispose()
    for _ in range(2):  # the second time there is nothing to change
        assert CliRunner().invoke(cli, ["migrate"]).exit_code == 0
        with engine.connect() as c:
            c.execute(select(EventSequence.n))
    engine.dispose()


@pytest.mark.one_database
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "command",
    [
        ["device", "import", "PIPE"],
        ["import", "layer", "PIPE", "--kind", "assets"],
        ["import", "requests", "PIPE", "--map", "boston"],
        ["import", "requests", "PIPE", "--map", "PIPE.toml"],
        ["config", "apply", "PIPE"],
        ["audit", "verify", "--root", "PIPE"],
    ],
)
def test_a_pipe_that_is_named_as_a_file_is_refused_and_not_waited_at(
    shell: CliRunner, tmp_path: Path, command: list[str]
) -> None:
    pipe = tmp_path / "pipe"
    for path in (pipe, tmp_path / "pipe.toml"):
        os.mkfifo(path)
    done = shell.invoke(cli, [word.replace("PIPE", str(pipe)) for word in command])
    assert done.exit_code in (1, 2)
    said = str(done.exception) if isinstance(done.exception, city_file.CityFileError) else done.output
    assert "a pipe or a device" in said
    assert isinstance(done.exception, SystemExit | city_file.CityFileError)


@pytest.mark.one_database
def test_a_file_that_is_far_too_large_is_refused_unread(shell: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "holes.json"
    with file.open("wb") as out:
        out.truncate(10_000_000_000)
    done = shell.invoke(cli, ["device", "import", str(file)])
    assert (done.exit_code, "larger than 1000 MB" in done.output) == (1, True)
    refused = shell.invoke(cli, ["config", "apply", str(file)]).exception
    assert (type(refused), "larger than 10 MB" in str(refused)) == (city_file.CityFileError, True)


@pytest.mark.one_database
def test_a_city_that_imported_nothing_is_told_so(shell: CliRunner) -> None:
    listed = shell.invoke(cli, ["import", "runs"])
    assert (listed.exit_code, listed.output) == (0, "No runs yet.\n")


def test_rejected_rows_are_not_written_through_a_link_that_lies_in_their_place(tmp_path: Path) -> None:
    victim, place = tmp_path / "victim", tmp_path / "city.csv.rejected.csv"
    victim.write_text("of somebody else")
    place.symlink_to(victim)
    side = readers.SideFile(place, "line")
    side.write(readers.Row(2, {"id": "7"}), "has no place")
    assert side.close() == str(place)
    assert victim.read_text() == "of somebody else"
    assert not place.is_symlink()
    assert "has no place" in place.read_text()


def test_a_folder_that_takes_no_side_file_is_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "city.csv.rejected.csv").mkdir()
    side = readers.SideFile(tmp_path / "city.csv.rejected.csv", "line")
    with pytest.raises(readers.Unusable, match=r"city.csv.rejected.csv: can't be written"):
        side.write(readers.Row(2, {"id": "7"}), "has no place")


def waited_for(what: Callable[[], object], seconds: float = 60) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.one_database
def test_two_workers_of_one_city_take_turns(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work: list[int] = []

    def works(_settings: Settings, stop: threading.Event) -> None:
        at_work.append(threading.get_ident())
        stop.wait()

    monkeypatch.setattr(worker, "_work", works)
    monkeypatch.setattr(worker, "EVERY", 0.05)
    stops = threading.Event(), threading.Event()
    both = [threading.Thread(target=worker.run, args=(town.settings, stop)) for stop in stops]
    try:
        both[0].start()
        assert waited_for(lambda: len(at_work) == 1)
        both[1].start()
        time.sleep(0.5)
        assert at_work == [both[0].ident]
        stops[0].set()
        assert waited_for(lambda: len(at_work) == 2)
    finally:
        for stop in stops:
            stop.set()
    for thread in both:
        thread.join(60)


@pytest.mark.one_database
def test_a_folder_without_locks_is_named_with_what_to_do(
    shell: CliRunner, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr("pwa.cli.main._asked_to_stop", threading.Event)
    done = shell.invoke(cli, ["work"])
    assert done.exit_code == 1
    assert f"Can't lock files in {town.settings.var} (No locks available)" in done.output
    assert "CITYLINE_VAR" in done.output


def test_recounting_says_what_was_kept_wrong(shell: CliRunner, town: Town) -> None:
    with town.at_work() as scene:
        scene.report()
    with town.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET quad = 1")
        connection.exec_driver_sql("UPDATE case_words SET words = 'nothing'")
    told = shell.invoke(cli, ["rebuild-index"])
    assert told.exit_code == 0
    assert told.output.endswith("Cases corrected: 1. Search entries corrected: 1.\n")
    assert shell.invoke(cli, ["rebuild-index"]).exit_code == 0
    with town.looking() as scene:
        assert board_index.differences(scene.s) == []
        assert "nothing" not in set(scene.s.scalars(select(CaseWords.words)))


def test_a_polite_kill_does_not_wait_for_what_it_interrupts() -> None:
    """It may come while the event's own lock is held, by those very lines that it interrupts."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        asked = _asked_to_stop()
        handler: Any = signal.getsignal(signal.SIGTERM)
    finally:
        for name, was in before.items():
            signal.signal(name, was)
    told = threading.Thread(target=handler, args=(signal.SIGTERM, None), daemon=True)
    with asked._cond:  # type: ignore[attr-defined]
        told.start()
        told.join(60)
        assert not told.is_alive()
    assert asked.wait(60)


@pytest.mark.full
@pytest.mark.slow
def test_a_kill_while_the_web_server_starts_leaves_none_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    program = str(Path(sys.executable).with_name("cityline"))
    environment = {name: told for name, told in os.environ.items() if not name.startswith("CITYLINE_")}
    running = subprocess.Popen(
        [program, "run", "--port", port, "--empty"], env=environment | {"CITYLINE_VAR": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while len(servers_at(port)) < 2:  # its own process is there, and loads our code
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.terminate()
        assert running.wait(60) == 0
        assert servers_at(port) == []
    finally:
        running.kill()
        for server in servers_at(port):
            os.kill(server, signal.SIGKILL)


@pytest.mark.slow
def test_the_address_is_told_once_somebody_answers_there_and_links_of_another_shell_lead_to_it(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program, address = str(Path(sys.executable).with_name("cityline")), f"http://127.0.0.1:{port}"
    environment = {name: told for name, told in os.environ.items() if not name.startswith("CITYLINE_")}
    environment["CITYLINE_VAR"] = str(tmp_path)
    with subprocess.Popen(
        [program, "run", "--port", str(port), "--empty"], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        try:
            assert running.stdout
            while address not in (line := running.stdout.readline()):
                assert line, "it ended by itself"
            with urlopen(f"{address}/healthz", timeout=60) as answer:
                assert answer.status == 200
            add = [program, "user", "add", "ana@town.test"]
            said = subprocess.run(add, env=environment, text=True, stdout=subprocess.PIPE, check=True).stdout
            with urlopen(said.split()[-1], timeout=60) as page:
                assert page.url.startswith(f"{address}/login/link/")
            lock = tmp_path / "work.lock"
            assert waited_for(lambda: lock.exists() and is_held(lock)), "the worker never began"
            running.kill()
            assert waited_for(lambda: not servers_at(str(port))), "a web server without its worker stays"
            assert waited_for(lambda: not is_held(lock)), "the worker lives on"
        finally:
            running.terminate()


def is_held(lock: Path) -> bool:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True


@pytest.mark.sqlite
def test_while_an_import_holds_the_database_the_worker_says_a_line_a_job(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    busy = db.connect(town.settings.database_url)

    def listen(now: datetime) -> None:
        with db.transaction(busy) as s:
            fan_out.process_events(s, now)

    with sqlite3.connect(make_url(town.settings.database_url).database or "") as importing:
        importing.execute("BEGIN IMMEDIATE")
        worker._safely(listen)
    importing.close()
    busy.dispose()
    (line,) = [each for each in caplog.records if each.name == "cityline.worker"]
    assert "database is locked" in line.getMessage()
    assert line.exc_info is None


@pytest.mark.slow
def test_the_demo_says_what_it_is_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYLINE_VAR", str(tmp_path))
    done = CliRunner().invoke(cli, ["demo", "--cases", "30"])
    assert done.exit_code == 0
    said = [line.strip() for line in done.output.splitlines()]
    assert said[0] == "Building the demo city …"
    assert said[-1].startswith("Larkhaven is ready: 30 cases")
    assert len(said) >= 8
    assert "30 cases …" in said


def test_a_key_is_made_listed_and_revoked(shell: CliRunner, town: Town) -> None:
    made = shell.invoke(cli, ["key", "add", "Works", "--scope", "update", "--hourly", "50"]).output.strip()
    with town.looking() as scene:
        row = accounts.by_key(scene.s, made)
        assert row
        assert (row.name, row.scopes, row.hourly) == ("Works", ["update"], 50)
    listed = shell.invoke(cli, ["key", "list"]).output
    assert listed == f"{row.id}  Works  update  50  {row.made_at:%Y-%m-%d}\n"
    assert shell.invoke(cli, ["key", "revoke", str(row.id)]).output == "Key revoked.\n"
    assert shell.invoke(cli, ["key", "list"]).output.endswith("  revoked\n")
    assert shell.invoke(cli, ["key", "revoke", "99"]).exit_code == 1


def test_a_key_without_a_name_or_with_a_nonsense_limit_is_not_made(town: Town) -> None:
    for name, hourly, refused in ((" ", 5, "empty_name"), ("Works", 0, "bad_hourly")):
        with town.at_work() as scene, pytest.raises(Refused, match=refused):
            accounts.make_key(scene.s, name, key="k", by=accounts.THE_SYSTEM, at=town.now, hourly=hourly)


@pytest.mark.parametrize(
    ("typed", "called"),
    [("config try", "simulate"), ("recount", "rebuild-index"), ("audit root", "seal")],
)
def test_an_old_name_of_a_command_answers_with_the_new_one(typed: str, called: str) -> None:
    told = CliRunner().invoke(cli, [*typed.split(), "--help"])
    assert (told.exit_code, f"is called `{called}` now" in told.stderr) == (0, True)
