"""The command line where something is in its way."""

import socket
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

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
