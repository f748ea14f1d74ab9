"""A file that is there whole or not at all."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Town

from city import files
from city import settings as city_settings
from city.opendata import editions
from city.operations import backup
from city.settings import WrongSetting
from pwa.cli.main import cli

FillUp = Callable[[Path], Callable[[], None]]


@pytest.fixture
def shell(town: Town, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell with this city's settings."""
    for name in ("var", "database_url", "database_owner_url", "postgres_bin"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(town.settings, name)))
    return CliRunner()


def test_a_file_takes_the_place_of_another_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "told"
    path.write_bytes(b"before")
    with files.atomic_write(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "told"
    path.write_bytes(b"before")

    def fail() -> None:
        with files.atomic_write(path) as file:
            file.write(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_at_once_spoil_nothing(tmp_path: Path) -> None:
    path = tmp_path / "told"
    with files.atomic_write(path) as first, files.atomic_write(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"


def test_a_secret_is_its_owners_alone_from_the_first_byte(tmp_path: Path) -> None:
    with files.atomic_write(tmp_path / "secret", mode=0o600) as file:
        (part,) = tmp_path.iterdir()
        assert part.stat().st_mode & 0o777 == 0o600
        file.write(b"secret")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_neither_a_folder_nor_a_pipe_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for there in (tmp_path, tmp_path / "pipe", Path()):
        with pytest.raises(OSError, match="It isn't a file"), files.atomic_write(there):
            pass
    assert (tmp_path / "pipe").is_fifo()


def test_one_at_a_time(tmp_path: Path) -> None:
    with files.exclusive(tmp_path), pytest.raises(BlockingIOError), files.exclusive(tmp_path):
        pass
    with files.exclusive(tmp_path):
        pass


def test_a_full_disk_gets_a_whole_secret_or_none(tmp_path: Path, fill_up: FillUp) -> None:
    var = tmp_path / "new"
    make_room = fill_up(var)
    with pytest.raises(OSError, match="No space left"):
        city_settings.read({"CITYLINE_VAR": str(var)})
    assert [path.name for path in var.iterdir()] == ["filler"]
    make_room()
    chosen = city_settings.read({"CITYLINE_VAR": str(var)}).secret_key
    assert len(chosen) == 64
    assert city_settings.read({"CITYLINE_VAR": str(var)}).secret_key == chosen
    assert (var / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in var.iterdir()] == ["secret_key"]


def test_an_empty_secret_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    with pytest.raises(WrongSetting, match="is empty"):
        city_settings.read({"CITYLINE_VAR": str(tmp_path)})


def test_a_backup_that_finds_no_room_is_none_and_says_so(
    shell: CliRunner, town: Town, tmp_path: Path, fill_up: FillUp
) -> None:
    to = tmp_path / "backups"
    first = shell.invoke(cli, ["backup", str(to)])
    assert first.exit_code == 0, first.output
    time.sleep(1)  # a backup is named by its second
    make_room = fill_up(to)
    done = shell.invoke(cli, ["backup", str(to)])
    assert (done.exit_code, "No backup was made." in done.output) == (1, True)
    assert "Error: " in done.output
    assert len(backup.complete(to)) == 1
    make_room()
    assert shell.invoke(cli, ["backup", str(to)]).exit_code == 0
    assert len(backup.complete(to)) == 2


@pytest.mark.parametrize(
    "command",
    [
        ["insights", "FILE"],
        ["export", "requests", "--format", "bulk", "--output", "FILE"],
    ],
)
def test_what_a_command_wrote_before_stays_where_the_next_finds_no_room(
    shell: CliRunner, town: Town, tmp_path: Path, fill_up: FillUp, command: list[str]
) -> None:
    with town.at_work() as scene:
        scene.report()
    file = tmp_path / "out" / "told"
    file.parent.mkdir()
    file.write_text("before")
    fill_up(file.parent)
    done = shell.invoke(cli, [str(file) if word == "FILE" else word for word in command])
    assert (done.exit_code, "No space left" in done.output) == (1, True), done.output
    assert file.read_text() == "before"
    assert sorted(path.name for path in file.parent.iterdir()) == ["filler", "told"]


def test_open_data_stays_what_it_was_where_the_next_edition_finds_no_room(
    shell: CliRunner, town: Town, fill_up: FillUp
) -> None:
    root = editions.place(town.settings)
    assert shell.invoke(cli, ["export", "edition"]).exit_code == 0
    before = editions.current(root)
    assert before
    fill_up(root)
    done = shell.invoke(cli, ["export", "edition"])
    assert (done.exit_code, "No space left" in done.output) == (1, True), done.output
    assert editions.current(root) == before
