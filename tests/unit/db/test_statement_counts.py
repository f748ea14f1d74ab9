"""What a connection made of a statement stays with it, and is found by its text."""

from collections.abc import Sequence
from contextlib import closing, suppress

import pytest
from factories import Town, statements
from sqlalchemy import Engine, String, func, literal, or_, select, text
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.orm import Session

from city.cases import locks
from city.db import engine as db
from city.db.in_list import is_in
from city.db.models import Case, EventSequence, Service

pytestmark = pytest.mark.both_databases

PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM services%'")
SEEN = text("SELECT count(*) FROM pg_stats WHERE tablename = 'services'")
READ_ONLY = r"read-?only"  # as PostgreSQL and SQLite spell it
OFTEN = 6  # psycopg prepares what comes a sixth time
ODD = ["a,b", '"', "'", "{}", "\\", "NULL", "", "é", "%s", ":ids", "x" * 40]


def _look(s: Session) -> None:
    for _ in range(OFTEN):
        s.execute(select(Service.code)).all()


@pytest.mark.postgresql
def test_what_a_page_prepared_is_there_for_the_next(engine: Engine) -> None:
    with db.read_session(engine) as s:
        _look(s)
        assert s.scalar(PREPARED) == 1
    with db.read_session(engine) as s:
        assert s.scalar(PREPARED) == 1


@pytest.mark.postgresql
def test_a_page_that_fails_leaves_it_too(engine: Engine) -> None:
    with suppress(ZeroDivisionError), db.read_session(engine) as s:
        _look(s)
        raise ZeroDivisionError
    with db.read_session(engine) as s:
        assert s.scalar(PREPARED) == 1


@pytest.mark.postgresql
@pytest.mark.parametrize("after", ["ALTER TABLE odd ALTER n TYPE bigint", "DEALLOCATE ALL"])
def test_a_statement_that_went_bad_heals_with_the_next_page(engine: Engine, town: Town, after: str) -> None:
    asked = text("SELECT n FROM odd")
    owner = db.connect(town.settings.owner_url)
    with owner.begin() as connection:
        connection.execute(text("CREATE TABLE odd (n smallint)"))
        connection.execute(text("GRANT SELECT ON odd TO cityline_app"))
    with db.read_session(engine) as s:
        for _ in range(OFTEN):
            s.execute(asked).all()
    if after.startswith("ALTER"):
        with owner.begin() as connection:
            connection.execute(text(after))
    else:
        with engine.connect() as connection:  # as a pooler does
            connection.connection.driver_connection.pgconn.exec_(after.encode())
    with suppress(DBAPIError), db.read_session(engine) as s:
        s.execute(asked).all()
    with db.read_session(engine) as s:
        assert s.execute(asked).all() == []
    owner.dispose()


def test_one_that_changed_an_object_leaves_it_and_writes_nothing(engine: Engine) -> None:
    with db.read_session(engine) as s:
        _look(s)
        clock = s.scalars(select(EventSequence)).one()
        n, clock.n = clock.n, 311
    with db.read_session(engine) as s:
        assert s.scalars(select(EventSequence.n)).one() == n
        if engine.dialect.name == "postgresql":
            assert s.scalar(PREPARED) == 1


def test_whoever_only_looks_can_write_nothing(engine: Engine, town: Town) -> None:
    refused = InternalError if engine.dialect.name == "postgresql" else OperationalError
    with town.looking() as scene, pytest.raises(refused, match=READ_ONLY):
        scene.s.execute(text("DELETE FROM event_sequence"))
    with town.looking() as scene:
        scene.s.scalars(select(EventSequence)).one().n = 311
        with pytest.raises(refused, match=READ_ONLY):
            scene.s.flush()
    with town.at_work() as scene:  # and whoever has the connection next can
        assert scene.report().case.id


@pytest.mark.sqlite
def test_whoever_takes_a_connection_after_a_look_may_write(engine: Engine) -> None:
    with db.read_session(engine) as s:
        s.execute(select(EventSequence))
    with closing(engine.raw_connection()) as connection:
        written = connection.cursor().execute("UPDATE event_sequence SET n = n")
        assert written.rowcount == 1


@pytest.mark.postgresql
def test_whoever_only_looks_can_lock_nothing(town: Town) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    with town.looking() as scene, pytest.raises(InternalError, match="read-only"):
        locks.lock_numbered(scene.s, [number])
    with town.at_work() as scene:
        assert list(locks.lock_numbered(scene.s, [number])) == [number]


@pytest.mark.postgresql
def test_a_connection_that_broke_meanwhile_hinders_no_page(engine: Engine) -> None:
    with db.read_session(engine) as s:
        who = s.scalar(text("SELECT pg_backend_pid()"))
        with db.transaction(engine) as other:
            assert other.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": who})
    with db.read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(EventSequence)) == 1


@pytest.mark.parametrize("given", ["values", "name"])
def test_a_list_holds_what_is_in_it_whatever_its_letters(engine: Engine, given: str) -> None:
    def found(letters: str, these: Sequence[str]) -> bool:
        value = literal(letters)
        if given == "values":
            return bool(s.scalar(select(is_in(value, these))))
        return bool(s.scalar(select(is_in(value, "these")), {"these": these}))

    with db.read_session(engine) as s:
        for letters in ODD:
            assert found(letters, ODD)
            assert found(letters, [letters])
            assert not found(letters, [other for other in ODD if other != letters])
            assert not found(letters, [])


def test_lists_of_numbers_go_with_other_conditions(town: Town) -> None:
    with town.at_work() as scene:
        one, two, three = (scene.report().case for _ in range(3))
        numbers = [case.number for case in (one, two, three)]
        ids = [case.id for case in (one, two, three)]
    with town.looking() as scene:
        asked = select(Case.number).order_by(Case.id)
        both = or_(is_in(Case.id, {ids[0]}), is_in(Case.number, (numbers[2],)))
        assert scene.s.scalars(asked.where(both)).all() == [numbers[0], numbers[2]]
        assert scene.s.scalars(asked.where(~is_in(Case.id, ids[:2]))).all() == numbers[2:]
        # One text, other ids; and of what can be gone through only once.
        assert scene.s.scalars(asked.where(is_in(Case.id, ids[1:]))).all() == numbers[1:]
        assert scene.s.scalars(asked.where(is_in(Case.id, (id_ for id_ in ids)))).all() == numbers


def test_nothing_is_found_by_its_beginning(town: Town) -> None:
    with town.at_work() as scene:
        service = scene.s.scalars(select(Service)).first()
        assert service
        column = func.coalesce(Service.code, "", type_=String(len(service.code)))
        longer = [f"{service.code}s"]
        assert scene.s.scalars(select(Service.code).where(is_in(column, longer))).all() == []


def test_a_statement_is_one_text_however_long_its_list_is(engine: Engine) -> None:
    asked = select(Case.id).where(is_in(Case.id, "ids"))
    with statements(engine) as sent, db.read_session(engine) as s:
        for many in (0, 1, 3, 300_000):  # more than any database takes as parameters
            assert s.scalars(asked, {"ids": range(many)}).all() == []
    assert len(set(sent) - {"BEGIN"}) == 1


@pytest.mark.postgresql
def test_tables_are_looked_at_by_whoever_owns_them(town: Town) -> None:
    with town.looking() as scene:
        assert scene.s.scalar(SEEN) == 0
    db.analyze(town.settings.database_url)
    with town.looking() as scene:
        assert scene.s.scalar(SEEN) == 0
    db.analyze(town.settings.owner_url)
    with town.looking() as scene:
        assert scene.s.scalar(SEEN)
