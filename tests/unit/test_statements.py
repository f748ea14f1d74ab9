"""What a connection made of a statement stays with it, and is found by its text."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from factories import Town
from sqlalchemy import Engine, event, func, literal, select, text
from sqlalchemy.exc import InternalError
from sqlalchemy.orm import Session

from city import db
from city.lists import one_of
from city.schema import Case, Clock, Service

PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM services%'")
OFTEN = 6  # psycopg prepares what comes a sixth time
ODD = ["a,b", '"', "'", "{}", "\\", "NULL", "", "é", "%s", ":ids", "x" * 40]


def _look(s: Session) -> None:
    for _ in range(OFTEN):
        s.execute(select(Service.code)).all()


@pytest.mark.postgresql
def test_what_a_page_prepared_is_there_for_the_next(engine: Engine) -> None:
    with db.reading(engine) as s:
        _look(s)
        assert s.scalar(PREPARED) == 1
    with db.reading(engine) as s:
        assert s.scalar(PREPARED) == 1


@pytest.mark.postgresql
def test_a_page_that_fails_leaves_it_too(engine: Engine) -> None:
    with suppress(ZeroDivisionError), db.reading(engine) as s:
        _look(s)
        raise ZeroDivisionError
    with db.reading(engine) as s:
        assert s.scalar(PREPARED) == 1


@pytest.mark.postgresql
def test_whoever_only_looks_can_write_nothing(engine: Engine) -> None:
    with db.reading(engine) as s, pytest.raises(InternalError, match="read-only"):
        s.execute(text("DELETE FROM clock"))
    with db.transaction(engine) as s:  # and whoever has the connection next can
        s.execute(text("DELETE FROM clock"))


def test_what_was_changed_on_an_object_that_was_looked_at_is_written_nowhere(engine: Engine) -> None:
    with db.reading(engine) as s:
        before = s.scalars(select(Clock)).one()
        n, before.n = before.n, 311
    with db.reading(engine) as s:
        assert s.scalars(select(Clock.n)).one() == n


@pytest.mark.postgresql
def test_a_connection_that_broke_meanwhile_hinders_no_page(engine: Engine, town: Town) -> None:
    with db.reading(engine) as s:
        who = s.scalar(text("SELECT pg_backend_pid()"))
        with db.transaction(town.engine) as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": who})
    with db.reading(engine) as s:
        assert s.scalar(select(func.count()).select_from(Clock)) == 1


@pytest.mark.parametrize("given", ["values", "name"])
def test_one_of_finds_what_is_in_the_list_whatever_its_letters(engine: Engine, given: str) -> None:
    def found(letters: str, these: Sequence[str]) -> bool:
        value = literal(letters)
        asked, values = (
            (select(one_of(value, these)), {})
            if given == "values"
            else (select(one_of(value, "these")), {"these": these})
        )
        return bool(s.scalar(asked, values))

    with db.reading(engine) as s:
        for letters in ODD:
            assert found(letters, ODD)
            assert found(letters, [letters])
            assert not found(letters, [other for other in ODD if other != letters])
            assert not found(letters, [])


def test_a_statement_is_one_text_however_long_its_list_is(engine: Engine) -> None:
    texts = set[str]()

    def heard(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement != "BEGIN":
            texts.add(statement)

    event.listen(engine, "before_cursor_execute", heard)
    asked = select(Case.id).where(one_of(Case.id, "ids"))
    with db.reading(engine) as s:
        for many in (0, 1, 3, 100_000):  # more than either database takes as parameters
            assert s.scalars(asked, {"ids": range(many)}).all() == []
    assert len(texts) == 1
