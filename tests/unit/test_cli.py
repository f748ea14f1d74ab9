"""The command line where something is in its way."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Town

from city import cityfile, sources
from pwa.cli import cli


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
    assert f"127.0.0.1:{taken}" in done.output
    assert f"--port {taken + 1}" in done.output


@pytest.fixture
def shell(town: Town, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell with this city's settings."""
    for name in ("var", "database_url", "database_owner_url"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(town.settings, name)))
    return CliRunner()


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
    said = str(done.exception) if isinstance(done.exception, cityfile.CityFileError) else done.output
    assert "but a pipe" in said
    assert isinstance(done.exception, SystemExit | cityfile.CityFileError)


@pytest.mark.one_database
def test_a_file_that_is_far_too_large_is_refused_unread(shell: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "holes.json"
    with file.open("wb") as out:
        out.truncate(10_000_000_000)
    done = shell.invoke(cli, ["device", "import", str(file)])
    assert (done.exit_code, "has more than 1000 MB" in done.output) == (1, True)
    refused = shell.invoke(cli, ["config", "apply", str(file)]).exception
    assert (type(refused), "has more than 10 MB" in str(refused)) == (cityfile.CityFileError, True)


def test_rejected_rows_are_not_written_through_a_link_that_lies_in_their_place(tmp_path: Path) -> None:
    victim, place = tmp_path / "victim", tmp_path / "city.csv.rejected.csv"
    victim.write_text("of somebody else")
    place.symlink_to(victim)
    side = sources.SideFile(place, "line")
    side.write(sources.Row(2, {"id": "7"}), "has no place")
    assert side.close() == str(place)
    assert victim.read_text() == "of somebody else"
    assert not place.is_symlink()
    assert "has no place" in place.read_text()


def test_a_folder_that_takes_no_side_file_is_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "city.csv.rejected.csv").mkdir()
    side = sources.SideFile(tmp_path / "city.csv.rejected.csv", "line")
    with pytest.raises(sources.Unusable, match=r"city.csv.rejected.csv: cannot be written"):
        side.write(sources.Row(2, {"id": "7"}), "has no place")
