"""What lies between us and a database: connections that rest, and statements that are sent in one go."""

import shutil
import socket
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from city.db import bulk_insert
from city.db import engine as db
from city.db.engine import pipeline, read_session, transaction
from city.db.models import Department

pytestmark = pytest.mark.both_databases

_FROM_OTHERS = (
    "FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)
CUT = text(f"SELECT pg_terminate_backend(pid) {_FROM_OTHERS}")
OTHERS = text(f"SELECT count(*) {_FROM_OTHERS}")


def departments(engine: Engine, *codes: str) -> None:
    with transaction(engine) as s:
        for code in codes:
            row = {"code": code, "names": {"en": code}, "time_zone": "America/New_York"}
            bulk_insert.put_last(s, Department, [row])


def cut_all_of(engine: Engine) -> None:
    """Ends all connections to its database at the server, as a new start of that does."""
    other = db.connect(engine.url.render_as_string(hide_password=False))
    with other.begin() as c:
        c.execute(CUT)
    with other.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        while c.scalar(OTHERS):  # the server ends them in its own time
            time.sleep(0.01)
    other.dispose()


def rest(engine: Engine, several: int) -> None:
    """Leaves so many connections in the pool."""
    held = [engine.connect() for _ in range(several)]
    for each in held:
        each.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("rested", [0, 3600])  # all are asked, or those alone that were cut
def test_who_comes_after_a_new_start_of_the_server_does_not_meet_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, rested: int
) -> None:
    monkeypatch.setattr(db, "RESTED_SECONDS", rested)
    rest(engine, 3)
    cut_all_of(engine)
    for _ in range(3):
        with read_session(engine) as s:
            assert s.scalar(select(1)) == 1


@pytest.mark.postgresql
def test_what_was_in_use_a_moment_ago_is_not_asked_for_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(db, "RESTED_SECONDS", 3600)  # however slow the machine is
    rest(engine, 1)
    monkeypatch.setattr(engine.dialect, "do_ping", asked.append)
    rest(engine, 1)
    assert not asked
    monkeypatch.setattr(db, "RESTED_SECONDS", 0)
    rest(engine, 1)
    assert len(asked) == 1


@pytest.mark.postgresql
def test_a_connection_that_breaks_in_use_takes_the_others_of_the_pool_with_it(engine: Engine) -> None:
    rest(engine, 3)
    with transaction(engine) as s:
        s.connection()
        cut_all_of(engine)
        with pytest.raises(OperationalError), pipeline(s):
            s.execute(text("SET LOCAL lock_timeout = '1s'"))
        s.rollback()
    for _ in range(3):
        with transaction(engine) as s:
            assert s.scalar(select(1)) == 1


def test_what_is_written_in_one_go_is_written_or_none_of_it(engine: Engine) -> None:
    departments(engine, "first", "second")
    with pytest.raises(IntegrityError):
        departments(engine, "third", "first", "fourth")
    departments(engine, "fifth")  # the connection is as good as new
    with read_session(engine) as s:
        found = set(s.scalars(select(Department.code)))
    assert {"first", "second", "fifth"} <= found
    assert not {"third", "fourth"} & found


def file_of(engine: Engine) -> Path:
    return Path(engine.url.database or "")


def codes(engine: Engine) -> set[str]:
    with read_session(engine) as s:
        return set(s.scalars(select(Department.code)))


def copied(engine: Engine, path: Path) -> Path:
    """The database as it is now, as a backup has it."""
    with closing(engine.raw_connection()) as c:
        c.cursor().execute("VACUUM INTO ?", (str(path),))
    return path


def replace(engine: Engine, by: Path) -> None:
    """As a restore does: the files beside it go, and another one takes its place."""
    for tail in ("-wal", "-shm"):
        Path(f"{file_of(engine)}{tail}").unlink(missing_ok=True)
    by.rename(file_of(engine))


@pytest.mark.sqlite
def test_a_file_that_vanished_is_not_made_anew(engine: Engine, tmp_path: Path) -> None:
    departments(engine, "first")
    moved = file_of(engine).rename(tmp_path / "moved.db")
    for _ in range(2):
        with pytest.raises(OperationalError, match="isn't there"):
            codes(engine)
        with pytest.raises(OperationalError, match="isn't there"):
            departments(engine, "second")
    assert not file_of(engine).exists()
    moved.rename(file_of(engine))
    assert "first" in codes(engine)


@pytest.mark.sqlite
def test_a_path_that_an_address_would_read_otherwise_is_a_path(engine: Engine, tmp_path: Path) -> None:
    odd = tmp_path / "a city?mode=ro#%41.db"
    shutil.copyfile(file_of(engine), odd)
    other = db.connect(f"sqlite:///{quote(str(odd))}")
    departments(other, "odd")
    other.dispose()
    assert "odd" not in codes(engine)


@pytest.mark.sqlite
def test_a_file_that_takes_the_place_of_another_is_read_by_all_who_come_after(
    engine: Engine, tmp_path: Path
) -> None:
    departments(engine, "before")
    older = copied(engine, tmp_path / "older.db")
    departments(engine, "after")
    rest(engine, 3)
    held = engine.connect()
    replace(engine, older)
    assert "after" not in codes(engine)
    departments(engine, "anew")
    held.close()  # it saw the old file, and nobody gets it again
    again = [engine.connect() for _ in range(4)]
    for each in again:
        assert set(each.scalars(select(Department.code))) >= {"before", "anew"}
        each.close()
    engine.dispose()
    assert {"before", "anew"} <= codes(engine)


@pytest.mark.sqlite
def test_what_was_begun_in_a_file_that_is_gone_is_not_called_done(engine: Engine, tmp_path: Path) -> None:
    older = copied(engine, tmp_path / "older.db")

    def begin_and_see_it_replaced() -> None:
        with transaction(engine) as s:
            s.add(Department(code="lost", names={"en": "lost"}, time_zone="America/New_York"))
            s.flush()
            replace(engine, older)

    with pytest.raises(OperationalError, match="was replaced"):
        begin_and_see_it_replaced()
    assert "lost" not in codes(engine)
    departments(engine, "lost")


@pytest.mark.sqlite
def test_the_log_of_another_file_is_not_played_into_a_new_one(engine: Engine, tmp_path: Path) -> None:
    older = copied(engine, tmp_path / "older.db")
    departments(engine, "after")
    older.rename(file_of(engine))  # by somebody who forgot what lies beside it
    for _ in range(2):
        with pytest.raises(OperationalError, match="was replaced while it was in use"):
            codes(engine)
    for tail in ("-wal", "-shm"):
        Path(f"{file_of(engine)}{tail}").unlink()
    assert "after" not in codes(engine)
    departments(engine, "anew")
    assert "anew" in codes(engine)


@pytest.mark.one_database
@pytest.mark.slow
def test_a_database_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        engine = db.connect(f"postgresql+psycopg://city@127.0.0.1:{port}/city")
        began = time.monotonic()
        with pytest.raises(OperationalError):
            engine.connect()
        assert time.monotonic() - began < 60


@pytest.mark.postgresql
def test_what_the_address_says_of_waiting_wins(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    for more, seconds in (("", db.PATIENCE["connect_timeout"]), ("connect_timeout=7", 7)):
        patient = db.connect(f"{url}{'&' if '?' in url else '?'}{more}" if more else url)
        with patient.connect() as connection:
            told = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
            assert int(told["connect_timeout"]) == seconds
            assert int(told["tcp_user_timeout"]) == db.PATIENCE["tcp_user_timeout"]
        patient.dispose()
