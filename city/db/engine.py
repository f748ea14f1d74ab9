"""The engine, transactions and the clock row. No table's meaning is known here."""

import gc
import os
import select
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    bindparam,
    create_engine,
    event,
    func,
    make_url,
    text,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from city.db.models import EventSequence
from city.settings import MOST_THREADS

BUSY_SECONDS = 15
RESTED_SECONDS = 1.0  # a connection that lay in the pool for so long is asked whether it still is one
# What libpq is told where the address itself says nothing else: a machine that is gone is noticed within half
# a minute, and one that never answers is given up, so that whoever waits for it is told.
PATIENCE: Final = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}  # fmt: skip
CONNECTIONS = MOST_THREADS  # a request holds one while it needs it, and some work outside of requests
MIGRATIONS = Path(__file__).parent / "migrations"
FIRST: Final = "0050"  # the revision of 0.2.0; what was made before is no release's
_CLOCK: Any = EventSequence.__table__  # past the session, which would look whether it holds a row of it
_BUMP = update(_CLOCK).where(_CLOCK.c.id == 1).values(n=_CLOCK.c.n + bindparam("rows")).returning(_CLOCK.c.n)
# Takes back any lock_timeout in the same trip: whoever has the clock waits for nothing but the disk, so our
# turn comes. The condition always holds; PostgreSQL looks at it as it finds the row, before it waits.
_BUMP_PATIENTLY = _BUMP.where(func.set_config("lock_timeout", "0", true()) == "0")


def connect(url: str, *, create: bool = False) -> Engine:
    """An engine for SQLite or PostgreSQL, set up so that a committed transaction survives a power cut.

    A file of SQLite that is not there is made only with `create`: whoever opens one that vanished would go on
    with an empty city. Where another file takes its place, all connections are made anew; see _SqliteFile.
    """
    how: dict[str, Any] = {"json_serializer": _json, "json_deserializer": orjson.loads}
    how |= {"pool_size": 10, "max_overflow": CONNECTIONS - 10}
    how["hide_parameters"] = True  # what people wrote must not get into a traceback, and so into the log
    if not url.startswith("sqlite"):
        # The last one used comes first: it knows our statements already.
        told = make_url(url).query
        patience = {name: value for name, value in PATIENCE.items() if name not in told}
        engine = create_engine(url, pool_use_lifo=True, connect_args=patience, **how)
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", partial(_ask_the_rested, engine.dialect))
        return engine
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **how)
    file = _SqliteFile("rwc" if create else "rw")
    event.listen(engine, "do_connect", file.open)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "connect", file.note)
    event.listen(engine, "close", file.forget)
    event.listen(engine, "checkout", file.ask)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "commit", file.ask_before_commit)
    event.listen(engine, "checkin", _let_write_again)
    return engine


def read_session(engine: Engine) -> Session:
    """A session, for `with`, that sees one moment of the database and writes nothing.

    Whatever writes in it raises: InternalError on PostgreSQL, OperationalError on SQLite. PostgreSQL refuses
    locks of rows as well; SQLite has none.
    """
    if engine.dialect.name == "postgresql":
        return _Reading(engine)
    return Session(engine.execution_options(looks=True), expire_on_commit=False)


class _Reading(Session):
    """It can write nothing, and is committed all the same: at ROLLBACK psycopg lets go of all statements that
    it has prepared, and PostgreSQL plans each anew."""

    def __init__(self, engine: Engine) -> None:
        # By itself PostgreSQL sees another moment with every statement.
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        super().__init__(engine.execution_options(**options), expire_on_commit=False)

    def close(self) -> None:
        try:
            if self.in_transaction() and self._is_sound():
                self.expunge_all()  # what was changed on an object would be written first, and fail
                self.commit()
        except SQLAlchemyError:
            pass  # the connection broke: nothing is lost by it, and closing tidies up
        finally:
            super().close()

    def _is_sound(self) -> bool:
        """Whether no statement failed: where one did, ROLLBACK lets go of what was prepared and went bad."""
        driver: Any = self.connection().connection.driver_connection
        return bool(driver.info.transaction_status == TransactionStatus.INTRANS)


@contextmanager
def gc_paused() -> Iterator[None]:
    """For work on thousands of rows.

    Python's search for cycles would go through all of them, over and over, for up to half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session whose work is committed whole, or not at all.

    The order at the end matters: what is derived is settled and everything flushed first, then the clock is
    bumped, then the log, the feed and the counts that all share are written, then commit, and no other code
    runs in between. The clock's row lock so makes `seq` follow commit order on both databases, and nobody
    else writes counts meanwhile.
    """
    with _turn(engine), Session(engine.execution_options(write=True), expire_on_commit=False) as s:
        yield s
        _step(s, "settle", "index")
        s.flush()
        _step(s, "seal")
        if last := s.info.pop("last", ()):
            with pipeline(s):
                for step in last:
                    step(s)
        for step in s.info.pop("afterwards", ()):
            step(s)
        s.commit()


def before_commit(s: Session, step: Callable[[Session], object]) -> None:
    """Lets `step` write behind the clock: first noted, first written. See in_one_go() for what it may not do.

    It is not taken back with a savepoint, and it needs a clock that goes on: see events.count().
    """
    s.info.setdefault("last", []).append(step)


def after_events(s: Session, step: Callable[[Session], object]) -> None:
    """Lets `step` run after all that, before the commit: it sees this transaction's lines, and may ask."""
    s.info.setdefault("afterwards", []).append(step)


@contextmanager
def pipeline(s: Session) -> Iterator[None]:
    """What is only written meanwhile goes to PostgreSQL together: we wait for one answer, not for each.

    Nothing may be read here, and nobody takes the rows of a SELECT: PostgreSQL has none to give yet (SQLite
    would have). What fails may be raised by a later statement, or at the end without any.
    """
    connection = s.connection()
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    try:
        with driver.pipeline():
            yield
    except psycopg.Error as fault:
        raise DBAPIError.instance(None, None, fault, psycopg.Error, dialect=connection.dialect) from fault


def _step(s: Session, *names: str) -> None:
    """What modules have left in `s.info` for the end of the transaction."""
    for name in names:
        step: Callable[[Session], None] | None = s.info.pop(name, None)
        if step:
            step(s)


def next_sequence(s: Session, rows: int) -> int:
    """Takes `rows` numbers from the clock and returns the first. Only the log may call it, at the end."""
    statement = _BUMP_PATIENTLY if s.get_bind().dialect.name == "postgresql" else _BUMP
    last = s.connection().execute(statement, {"rows": rows}).scalar_one()
    return int(last) - rows + 1


class Newer(Exception):
    """The schema is a newer release's, and this program would break what that one keeps there."""


class BeforeFirst(Exception):
    """The schema is from before 0.2.0, and no migration leads on from it."""


def migrate(url: str, app_url: str = "", *, create: bool = True) -> None:
    """Brings the database at `url` to the newest schema. Raises Newer, BeforeFirst.

    `app_url` names the lesser role that the application uses on PostgreSQL; it may add to the log but
    has no right to change it. `create` makes the file of SQLite that is not there.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = connect(url, create=create)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _let_tables_be_rebuilt)
    with engine.connect() as connection:
        is_old, newer = is_before_first(connection), is_newer(connection)
    if is_old or newer:
        engine.dispose()
        raise BeforeFirst if is_old else Newer
    with engine.execution_options(write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if engine.dialect.name == "sqlite" and (
            stray := connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        ):
            raise RuntimeError(f"a row of {stray[0]} refers to one that isn't there")
        role = make_url(app_url).username if app_url else None
        if engine.dialect.name == "postgresql" and role and role != engine.url.username:
            _grant(connection, role)
    engine.dispose()


def analyze(url: str) -> None:
    """For where tables have just been filled: PostgreSQL plans as for empty ones until it has looked at them.

    It does so by itself, but a minute later. An import comes to tables that it knows. `url` is the owner's:
    anybody else's is passed over.
    """
    engine = connect(url)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    engine.dispose()


def is_current(s: Session) -> bool:
    """Whether the schema is the one this code was written for."""
    return (
        MigrationContext.configure(s.connection()).get_current_revision()
        == ScriptDirectory(str(MIGRATIONS)).get_current_head()
    )


def is_newer(connection: Connection) -> bool:
    """Whether a newer release has been at the schema: this program knows nothing of its last migration."""
    revision = MigrationContext.configure(connection).get_current_revision()
    return revision is not None and not knows(revision) and not is_before_first(connection)


def is_before_first(connection: Connection) -> bool:
    """Whether it was made before 0.2.0, whose schema is the first that is led on."""
    revision = MigrationContext.configure(connection).get_current_revision()
    return revision is not None and revision < FIRST


def knows(revision: str) -> bool:
    """Whether this program's migrations lead on from that one."""
    return revision in {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}


class FairLock:
    """First come, first served. SQLite's own waiting is a lottery that starves the unlucky thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        ticket = threading.Lock()
        ticket.acquire()
        with self._guard:
            self._queue.append(ticket)
            if len(self._queue) == 1:
                return
        ticket.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._queue.popleft()
            if self._queue:
                self._queue[0].release()


_locks: dict[str, FairLock] = {}


def origin(engine: Engine, connection: Any) -> object:
    """Which database a new connection of the driver's leads to: equal for two that lead to the same.

    Of PostgreSQL it is the moment when its server began, to the microsecond: a replica that was promoted, a
    restored snapshot and a mere restart each have another. Everybody may ask for it, which is not so of the
    cluster's identifier and timeline at every host. Of SQLite it is the file.
    """
    if engine.dialect.name == "postgresql":
        found = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        connection.rollback()  # it began a transaction
        return found
    return _identity(engine.url.database or "")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _turn(engine: Engine) -> Any:
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return _locks.setdefault(str(engine.url), FairLock())


def _prepare_postgresql(connection: Any, _record: object) -> None:
    # Our statements are short: compiling one takes longer than it could ever save. Said here and not as we
    # connect, where an address has options of its own, and a pooler between us knows none.
    connection.autocommit = True
    connection.execute("SET jit = off")
    connection.autocommit = False


def _note_rest(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["rests_since"] = time.monotonic()


def _ask_the_rested(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """After a new start of PostgreSQL all connections in the pool are dead. The first that is found so
    empties the pool, and all connect anew.

    What was in use a moment ago is not asked, as that takes a trip: one that was cut has its end to be read.
    """
    rests_since = record.info.get("rests_since")  # None: it was just opened
    if rests_since is None:
        return
    if time.monotonic() - rests_since < RESTED_SECONDS and not _has_news(connection):
        return
    try:
        dialect.do_ping(connection)
    except psycopg.Error as fault:
        raise InvalidatePoolError from fault


def _has_news(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class _SqliteFile:
    """Which file lies at the path of a database of SQLite, and which two beside it.

    A program that has a file open keeps it when another takes its path, and would commit for nobody. And the
    write-ahead log does not say whose it is: SQLite would play that of the old file into the new one.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._path = self._file = ""
        self._beside, self._left = set[str](), set[str]()
        self._open = 0

    def open(self, _dialect: Dialect, record: Any, args: list[str], named: dict[str, Any]) -> Any:
        """A connection. Raises OperationalError of sqlite3, also while files of the one replaced are left."""
        (self._path,) = args
        file = _identity(self._path)
        if not file and self._mode == "rw":
            raise sqlite3.OperationalError(f"{self._path} isn't there")
        if file != self._file and self._beside & self._now_beside():
            raise sqlite3.OperationalError(
                f"{self._path} was replaced while it was in use. Stop the web server and worker, "
                f"and remove {self._path}-wal and {self._path}-shm, which belong to the old file"
            )
        connection = sqlite3.connect(f"file:{quote(self._path)}?mode={self._mode}", uri=True, **named)
        record.info["file"] = file or _identity(self._path)
        return connection

    def note(self, _connection: object, record: ConnectionPoolEntry) -> None:
        """Once it has been used: SQLite has then made both files beside it."""
        self._file, self._beside, self._left = record.info["file"], self._now_beside(), set()
        self._open += 1

    def forget(self, _connection: object, _record: object) -> None:
        """Of files that nobody here has open any more, new ones may bear the numbers."""
        self._open -= 1
        if not self._open:
            self._beside = self._left

    def ask(self, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        """Empties the pool where another file is at the path, so that all connect anew."""
        if record.info["file"] != _identity(self._path):
            self._left = self._beside & self._now_beside()
            raise InvalidatePoolError(f"{self._path} was replaced")

    def ask_before_commit(self, connection: Connection) -> None:
        """What would be written for nobody must not be called done."""
        if connection.connection.info["file"] != _identity(self._path):
            raise OperationalError("COMMIT", None, sqlite3.OperationalError(f"{self._path} was replaced"))

    def _now_beside(self) -> set[str]:
        return {_identity(self._path + tail) for tail in ("-wal", "-shm")} - {""}


def _identity(path: str) -> str:
    """Two files that are there at the same time have different ones; "" where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",  # what is erased is written over; not every build of SQLite does so by itself
        "cache_size=-65536",  # KiB; with SQLite's own 2 MB a large transaction writes its pages twice
        "recursive_triggers=ON",  # without it INSERT OR REPLACE slips past the log's delete trigger
        f"busy_timeout={BUSY_SECONDS * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _let_tables_be_rebuilt(connection: Any, _record: object) -> None:
    # SQLite changes a column by making the table anew, and dropping the old one would count as deleting
    # every row that others name. What they name is checked at the end instead.
    connection.execute("PRAGMA foreign_keys=OFF")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("looks"):
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA query_only=ON")
    # A deferred BEGIN that later writes fails at once with BUSY; an immediate one waits its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write") else "BEGIN")


def _let_write_again(connection: Any, _record: object) -> None:
    # Whoever has it next may write, also by raw_connection(), which sends no BEGIN. None is one that broke.
    if connection is not None:
        connection.execute("PRAGMA query_only=OFF")


def _grant(connection: Connection, role: str) -> None:
    name = connection.dialect.identifier_preparer.quote(role)
    for right in (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}",
        f"REVOKE UPDATE, DELETE, TRUNCATE ON events FROM {name}",
    ):
        connection.execute(text(right))
