"""One moment of the database as one file, taken while everybody works on; and put in its place again.

SQLite writes the file itself; for PostgreSQL its own programs pg_dump and pg_restore do, which every
administrator of one knows.
"""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, NullPool, create_engine, inspect, make_url, select, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from city import files
from city.db import engine as db
from city.db.models import Case, Person
from city.lifecycle import Refused

FILES = {"sqlite": "cityline.db", "postgresql": "cityline.dump"}
SIDE_FILES = ("-wal", "-shm", "-journal")
SOUND = "PRAGMA integrity_check(1)"  # the first fault, or ok
# A tenth of a second apart: PostgreSQL names whoever has left a moment longer.
LOOKS = 50


class DumpFailed(Exception):
    """SQLite, or a program of PostgreSQL, is missing or gave up; says in its own words why."""


def kind(url: str) -> str:
    """sqlite or postgresql."""
    return make_url(url).get_backend_name()


@contextmanager
def moment(engine: Engine, programs: str, folder: Path) -> Iterator[Session]:
    """Writes the database as it is now into `folder`; yields a session that sees exactly that moment.

    `programs` is the folder of pg_dump, or empty for the one on PATH. Raises DumpFailed.
    """
    file = folder / FILES[engine.dialect.name]
    taken = _sqlite_moment if engine.dialect.name == "sqlite" else _postgres_moment
    with taken(engine, programs, file) as s:
        yield s


def is_empty(url: str) -> bool:
    """Whether nobody's work would be lost there: no tables, or neither people nor cases in them."""
    if kind(url) == "sqlite" and not _file(url).exists():
        return True
    engine = create_engine(url)
    try:
        if not inspect(engine).has_table(Case.__tablename__):
            return True
        with db.read_session(engine) as s:
            return s.scalar(select(Case.id).limit(1)) is None and s.scalar(select(Person.id).limit(1)) is None
    finally:
        engine.dispose()


def refuse_in_use(url: str, app_url: str = "") -> None:
    """Raises Refused `database_in_use` while a web server, worker or anybody else is connected.

    On PostgreSQL `app_url` is the lesser role's, which alone sees what its own connections do.
    """
    if kind(url) == "sqlite":
        _let_go(_file(url))
        return
    for _ in range(LOOKS):
        seen = [_others(each) for each in {url, app_url or url}]
        if not (others := set.intersection(*seen)):
            return
        time.sleep(0.1)
    raise Refused("database_in_use", connections=len(others))


def put_back(file: Path, url: str, app_url: str, programs: str) -> None:
    """Makes the database at `url` the one in `file`; what was there is gone. Raises Refused, DumpFailed.

    On PostgreSQL `url` is the owner's, `app_url` the lesser role's. Ended half-way, SQLite still has the old
    file or already the new one, PostgreSQL the old tables, none, or the new ones: run it again.
    """
    refuse_in_use(url, app_url)
    if kind(url) == "sqlite":
        _replace_file(_file(url), file)
        return
    _drop_everything(url)
    address, word = _libpq(url)
    _run(
        programs, "pg_restore", "--no-owner", "--no-acl", "--single-transaction", "--exit-on-error",
        f"--dbname={address}", str(file), password=word,
    )  # fmt: skip


def fault_in(file: Path, programs: str) -> str:
    """Why the database in such a file could not be put back; "" where all of it can be read."""
    try:
        if file.name == FILES["sqlite"]:
            with closing(_read_only(file)) as copy:
                return _faults(copy.execute(SOUND).fetchall())
        _run(programs, "pg_restore", f"--file={os.devnull}", str(file), password="")
    except (sqlite3.DatabaseError, DumpFailed) as fault:
        return str(fault)
    return ""


def fault(s: Session) -> str:
    """What the database itself says is broken in it; "" where nothing. Reads all of SQLite's file.

    PostgreSQL says it of pages that were read since its counts began, where it keeps checksums.
    """
    if s.get_bind().dialect.name == "sqlite":
        return _faults(s.connection().exec_driver_sql(SOUND).fetchall())
    failures = s.scalar(
        text("SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()")
    )
    return f"pages whose checksum is wrong: {failures}" if failures else ""


def _faults(rows: Sequence[Sequence[str]]) -> str:
    first = str(rows[0][0]).strip().splitlines() if rows else []
    return "" if first == ["ok"] else "; ".join(first)


def _read_only(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True, check_same_thread=False)


def _others(url: str) -> set[int]:
    """Connections to the database that somebody may be behind, as its role sees them.

    A pooler keeps some open for whoever comes next. It has taken back what was done in them, or nothing ever
    was. What another role's connection does is not shown.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as c:
        asked = c.exec_driver_sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND usename IS NOT NULL "  # the server's own have no name
            "AND (state IS DISTINCT FROM 'idle' OR btrim(upper(query), '; ') NOT IN ('', 'DISCARD ALL'))"
        )
        return set(asked.scalars())


@contextmanager
def _sqlite_moment(engine: Engine, _programs: str, file: Path) -> Iterator[Session]:
    try:
        with closing(engine.raw_connection()) as connection:
            # Not sqlite3's own backup(): that copies free pages too, and with them words that were erased.
            connection.driver_connection.execute("VACUUM INTO ?", (str(file),))  # type: ignore[union-attr]
    except (sqlite3.DatabaseError, DatabaseError) as fault:  # full, broken, or not there
        raise DumpFailed(f"{engine.url.database}: {getattr(fault, 'orig', fault)}") from fault
    files.fsync(file)
    copy = create_engine("sqlite://", creator=partial(_read_only, file))
    with db.read_session(copy) as s:
        yield s
    copy.dispose()


@contextmanager
def _postgres_moment(engine: Engine, programs: str, file: Path) -> Iterator[Session]:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as c:
        shared = c.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        address, word = _libpq(engine.url.render_as_string(hide_password=False))
        _run(
            programs, "pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--snapshot={shared}",
            f"--file={file}", f"--dbname={address}", password=word,
        )  # fmt: skip
        files.fsync(file)
        with Session(bind=c, expire_on_commit=False) as s:
            yield s


def _file(url: str) -> Path:
    return Path(make_url(url).database or "")


def _let_go(path: Path) -> None:
    """Folds the write-ahead log into the file, which only the last one to have it open can do."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=1)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise Refused("database_in_use", file=str(path)) from None
        except sqlite3.DatabaseError:  # broken, which may be why somebody restores
            pass


def _replace_file(path: Path, file: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    shutil.copyfile(file, part)
    files.fsync(part)
    for tail in SIDE_FILES:  # a log left behind by a broken database would be played into the new one
        path.with_name(path.name + tail).unlink(missing_ok=True)
    part.rename(path)
    files.fsync(path.parent)


def _drop_everything(url: str) -> None:
    engine = create_engine(url)
    with _refusing_others(), engine.begin() as c:
        c.exec_driver_sql("SET LOCAL lock_timeout = '10s'")  # for whoever came in since we looked
        quoted = c.dialect.identifier_preparer.quote
        for name in inspect(c).get_table_names():
            c.execute(text(f"DROP TABLE {quoted(name)} CASCADE"))
        for function in c.exec_driver_sql(
            "SELECT oid::regprocedure::text FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole"
        ).scalars():
            c.execute(text(f"DROP FUNCTION {function}"))
    engine.dispose()


@contextmanager
def _refusing_others() -> Iterator[None]:
    try:
        yield
    except OperationalError as fault:
        raise Refused("database_in_use", fault=str(fault.orig)) from None


def _libpq(url: str) -> tuple[str, str]:
    """The address as PostgreSQL's programs take it, and the password, which must not stand in a list of
    processes."""
    parts = make_url(url)
    address = parts.set(drivername="postgresql", password=None).render_as_string()
    return address, str(parts.password or "")


def _run(programs: str, name: str, *arguments: str, password: str) -> None:
    program = str(Path(programs) / name) if programs else name
    environ: dict[str, Any] = dict(os.environ) | ({"PGPASSWORD": password} if password else {})
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, env=environ)
    except FileNotFoundError:
        raise DumpFailed(
            f"{name} wasn't found. Install the PostgreSQL client programs (the server's version or newer), "
            "or set CITYLINE_POSTGRES_BIN to their folder"
        ) from None
    if done.returncode:
        raise DumpFailed(f"{name}: {done.stderr.strip()}")
