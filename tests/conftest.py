"""What every test may ask for: a database of each kind, settings, an instant, a mail server, a browser."""

import gc
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import factories
import hypothesis
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine

from bench._postgres import PostgresServer
from city import settings as city_settings
from city.db import engine as db
from city.settings import Settings

pytest_plugins = ["skips", "once", "order"]

DATABASES = ("sqlite", "postgresql")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# No deadline: a busy machine is not a bug. Derandomized: a red run must be red again on the next machine.
hypothesis.settings.register_profile("cityline", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("cityline")


# The application is made anew for every test, its templates need not be: the same source gives the same code.
Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
gc.set_threshold(100_000, 20, 50)  # what a test run holds is mostly modules, looked through again and again


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--db",
        choices=(*DATABASES, "both", "all"),
        default="both",
        help="which database tests run on; both: PostgreSQL where what is tested can differ, all: everywhere",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a database, directly or through another fixture, runs on SQLite.

    On PostgreSQL too where the mark `both_databases` says that it can differ there, and with `--db all`,
    unless the mark `one_database` says that what it shows lies elsewhere.
    """
    if "database" not in metafunc.fixturenames:
        return
    chosen, marked = metafunc.config.getoption("--db"), metafunc.definition.get_closest_marker
    if chosen in DATABASES:
        there: tuple[str, ...] = (chosen,)
    elif marked("postgresql"):
        there = ("postgresql",)
    elif marked("one_database") or (chosen == "both" and not marked("both_databases")):
        there = DATABASES[:1]
    else:
        there = DATABASES
    metafunc.parametrize("database", there, indirect=True)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what bears the mark of the other database.

    Of a test with many parameters PostgreSQL has the first alone, save with --full or `every_variant`.
    """
    if config.getoption("--db") == "both":
        there = set[str]()
        for item in items:
            if _kind(item) == "postgresql" and not item.get_closest_marker("every_variant"):
                test = item.nodeid.partition("[")[0]
                if test in there:
                    item.add_marker(pytest.mark.full)
                there.add(test)
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    marks = [database for database in DATABASES if item.get_closest_marker(database)]
    return bool(marks) and _kind(item) not in marks


def _kind(item: pytest.Item) -> str:
    """The database that a test runs on; empty where it needs none."""
    called = getattr(item, "callspec", None)
    return str(called.params.get("database", "")) if called else ""


@pytest.fixture
def soon() -> Iterator[None]:
    """For what must not be waited at: half a minute, and the test fails."""

    def late(*_: object) -> None:
        pytest.fail("it still waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


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
    return replace(
        read,
        database_url=database.url,
        database_owner_url=database.owner_url,
        postgres_bin=database.programs,
    )


@pytest.fixture
def fill_up(tmp_path: Path) -> Iterator[Callable[[Path], Callable[[], None]]]:
    """fill_up(folder) makes a full disk of it, with what lies in it; what it returns makes room again."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        aside = shutil.copytree(folder, tmp_path / f"aside-{len(mounted)}")
        small = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(small, capture_output=True).returncode:
            pytest.skip("nobody but root may mount a small disk")
        mounted.append(folder)
        shutil.copytree(aside, folder, dirs_exist_ok=True)

    def fill(folder: Path) -> Callable[[], None]:
        if folder not in mounted:
            mount(folder)
        filler = folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        return filler.unlink

    yield fill
    for folder in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


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
    """A migrated database of one test. `owner_url` is empty on SQLite, which knows no roles.

    `programs` is the folder of PostgreSQL's own.
    """

    url: str
    owner_url: str = ""
    programs: str = ""


@pytest.fixture
def furnishing(request: pytest.FixtureRequest) -> factories.Furnishing | None:
    """The town where the test asks for it, else nothing."""
    return factories.Furnishing("town", factories.furnish) if "town" in request.fixturenames else None


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    original: Callable[[str], str],
    furnishing: factories.Furnishing | None,
    filled_copy: Callable[[str, factories.Furnishing], tuple[str, Any]],
) -> Iterator[Database]:
    copied = original if furnishing is None else lambda kind: filled_copy(kind, furnishing)[0]
    yield from new_database(request, tmp_path / "cityline.db", copied)


@pytest.fixture
def filled_with(
    request: pytest.FixtureRequest,
    furnishing: factories.Furnishing,
    filled_copy: Callable[[str, factories.Furnishing], tuple[str, Any]],
) -> Any:
    """What filling the test's database returned."""
    return filled_copy(request.node.callspec.params["database"], furnishing)[1]


@pytest.fixture
def another_database(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, empty: Callable[[str], str]
) -> Iterator[Database]:
    """A second one of the same kind, empty, as on a new machine."""
    yield from new_database(request, tmp_path / "another.db", empty)


@pytest.fixture
def unmigrated(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Iterator[Database]:
    """A second one of the same kind that no migration has seen."""
    nothing = tmp_path / "nothing.db"
    nothing.touch()
    originals = {"sqlite": str(nothing), "postgresql": "template1"}
    yield from new_database(request, tmp_path / "old.db", originals.__getitem__)


@pytest.fixture
def elsewhere(settings: Settings, another_database: Database, tmp_path: Path) -> Settings:
    """A new machine: a var folder of its own and an empty database."""
    var = tmp_path / "elsewhere"
    var.mkdir()
    (var / "secret_key").write_text("another secret, made at the first start of this machine")
    return replace(
        settings,
        var=var,
        photo_store=f"file:{var / 'photos'}",
        secret_key=(var / "secret_key").read_text(),
        database_url=another_database.url,
        database_owner_url=another_database.owner_url,
    )


def new_database(
    request: pytest.FixtureRequest, path: Path, original: Callable[[str], str]
) -> Iterator[Database]:
    """A copy of the original: SQLite's at `path`, or one of the throwaway PostgreSQL."""
    if request.node.callspec.params["database"] == "sqlite":
        shutil.copyfile(original("sqlite"), path)
        yield Database(f"sqlite:///{path}")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create(original("postgresql"))
    programs = str(server.programs / "bin")
    yield Database(server.url("cityline_app", name), server.url("cityline_owner", name), programs)
    server.drop(name)


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The application's engine; on PostgreSQL in the lesser role, which may not change the log."""
    engine = db.connect(database.url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def original(empty: Callable[[str], str]) -> Callable[[str], str]:
    """What a test's database is a copy of: a file, or the name of a database. Here they are empty."""
    return empty


@pytest.fixture(scope="session")
def filled_copy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty: Callable[[str], str]
) -> Callable[[str, factories.Furnishing], tuple[str, Any]]:
    """Fills a database of a kind once a process: what new_database() copies, and what filling it returned."""
    done: dict[tuple[str, str], tuple[str, Any]] = {}

    def make(kind: str, furnishing: factories.Furnishing) -> tuple[str, Any]:
        if (kind, furnishing.name) not in done:
            if kind == "sqlite":
                copy = str(tmp_path_factory.mktemp("furnished") / "cityline.db")
                shutil.copyfile(empty(kind), copy)
                url = f"sqlite:///{copy}"
            else:
                server: PostgresServer = request.getfixturevalue("postgres_server")
                copy = server.create()
                url = server.url("cityline_app", copy)
            engine = db.connect(url)
            told = furnishing.fill(engine)
            engine.dispose()
            done[kind, furnishing.name] = copy, told
        return done[kind, furnishing.name]

    return make


@pytest.fixture(scope="session")
def empty(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The migrated database in which nobody is yet."""
    return lambda kind: str(request.getfixturevalue("migrated_file")) if kind == "sqlite" else "migrated"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    db.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        db.migrate(server.url("cityline_owner", "migrated"), server.url("cityline_app", "migrated"))
        yield server
    finally:
        server.stop()


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
def smtp(post_office: Mailbox) -> Mailbox:
    """A real SMTP server that keeps what it gets in `messages`."""
    post_office.messages, post_office.answer = [], "250 OK"
    return post_office


@pytest.fixture(scope="session")
def post_office() -> Iterator[Mailbox]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Mailbox("127.0.0.1", port)
    controller = Controller(box, hostname=box.host, port=box.port, ready_timeout=60)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def town(engine: Engine, settings: Settings, now: datetime, filled_with: dict[str, int]) -> factories.Town:
    """A small town with its people, on the test's own database."""
    return factories.Town(engine, settings, now, dict(filled_with))
