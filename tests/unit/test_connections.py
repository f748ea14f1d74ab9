"""What lies between us and a database: connections that rest, and statements that are sent in one go."""

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from city import db, inserts
from city.db import in_one_go, reading, transaction
from city.schema import Department

CUT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)


def departments(engine: Engine, *codes: str) -> None:
    with transaction(engine) as s:
        for code in codes:
            row = {"code": code, "names": {"en": code}, "time_zone": "America/New_York"}
            inserts.put_last(s, Department, [row])


def cut_all_of(engine: Engine) -> None:
    """Ends all connections to its database at the server, as a new start of that does."""
    other = db.connect(engine.url.render_as_string(hide_password=False))
    with other.begin() as c:
        c.execute(CUT)
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
        with reading(engine) as s:
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
        with pytest.raises(OperationalError), in_one_go(s):
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
    with reading(engine) as s:
        found = set(s.scalars(select(Department.code)))
    assert {"first", "second", "fifth"} <= found
    assert not {"third", "fourth"} & found
