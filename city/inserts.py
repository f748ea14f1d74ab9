"""Many rows past the session's own bookkeeping, and ids. No table's meaning is known here."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Dialect, Table, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.orm import Session

from city.schema import Base

BATCH = 5000  # rows a statement: bounds what is held twice, as rows and as parameters
IDS_AT_ONCE = 1000
IDS_A_MILLISECOND: Final = 2048  # so that an id of today has 52 bits: JavaScript counts to 53


def put(
    s: Session, kind: type[Base], rows: Sequence[dict[str, Any]], *, over: bool = False, sums: bool = False
) -> None:
    """Adds rows past the session's own bookkeeping, which costs more than the rows where they are many.

    Each row has every column; with `over`, one that is there under the same key is brought up to date, with
    `sums` its numbers are added to those that are there. They are turned column by column: SQLAlchemy's own
    way, one row after the other, takes half as long again.
    """
    connection, table = s.connection(), _table(kind)
    dialect = connection.dialect
    steps = [(c.name, c.type.dialect_impl(dialect).bind_processor(dialect)) for c in table.columns]
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        columns = ([step(row[name]) if step else row[name] for row in part] for name, step in steps)
        connection.exec_driver_sql(_adding(table, dialect.name, over, sums), list(zip(*columns, strict=True)))


def dated_id(s: Session, kind: type[Base], at: datetime) -> int:
    """An id that says when it was given, in that order.

    A copy of the database that is put back counts on from where it was, and what a phone heard of meanwhile
    would then be the number of something else. A moment does not come again.
    """
    if reserved := s.info.get(("ids", kind)):
        return int(next(reserved))
    table, first = _table(kind), _first_of(at)
    if s.get_bind().dialect.name != "postgresql":
        return max(first, _last(s, table) + 1)
    found = first + int(s.scalar(select(_next_of(table))) or 0) % IDS_A_MILLISECOND
    # An import gives thousands of one moment: what is there already gives way to the next that is free.
    taken = s.scalar(select(table.c.id).where(table.c.id == found)) is not None
    return next(dated_ids(s, kind, at)) if taken else found


def dated_ids(s: Session, kind: type[Base], at: datetime) -> Iterator[int]:
    """The like for many rows of one moment: after those that are there, which nobody else does meanwhile.

    PostgreSQL lets several write at once, so there they also lie behind those that dated_id() may give.
    """
    table, first = _table(kind), _first_of(at)
    if s.get_bind().dialect.name == "postgresql":
        s.execute(select(func.pg_advisory_xact_lock(func.hashtext(table.name))))
        first += IDS_A_MILLISECOND
    yield from itertools.count(max(first, _last(s, table) + 1))


def reserve(s: Session, kind: type[Base], at: datetime) -> None:
    """Lets dated_id() ask the database no more in this transaction, which gives very many."""
    if ("ids", kind) not in s.info:
        s.info["ids", kind] = itertools.count(next(dated_ids(s, kind, at)))


def fresh_ids(s: Session, kind: type[Base]) -> Iterator[int]:
    """Ids for such rows that nobody else gets: SQLite has one writer at a time, PostgreSQL a sequence."""
    table = _table(kind)
    if s.get_bind().dialect.name != "postgresql":
        yield from itertools.count((s.scalar(select(func.max(table.c.id))) or 0) + 1)
    while True:
        yield from s.scalars(select(_next_of(table)).select_from(func.generate_series(1, IDS_AT_ONCE))).all()


def _first_of(at: datetime) -> int:
    return int(at.timestamp() * 1000) * IDS_A_MILLISECOND


def _last(s: Session, table: Table) -> int:
    return s.scalar(select(func.max(table.c.id))) or 0


# `?` is SQLite's own; psycopg reads `%s`.
_BY_POSITION: dict[str, Dialect] = {
    "sqlite": SQLiteDialect(paramstyle="qmark"),
    "postgresql": PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
}
_INSERTS: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite_insert, "postgresql": postgresql_insert}


@cache
def _adding(table: Table, database: str, over: bool, sums: bool) -> str:
    """The statement with its parameters by position."""
    adding = _INSERTS[database](table)
    if over or sums:
        given = {c: adding.excluded[c.name] for c in table.columns if not c.primary_key}
        new = {c.name: c + value if sums else value for c, value in given.items()}
        adding = adding.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)
    return str(adding.compile(dialect=_BY_POSITION[database]))


def _next_of(table: Table) -> Any:
    return func.nextval(func.pg_get_serial_sequence(table.name, "id"))


def _table(kind: type[Base]) -> Table:
    table = kind.__table__
    assert isinstance(table, Table)  # noqa: S101 declared by name, so never a join
    return table
