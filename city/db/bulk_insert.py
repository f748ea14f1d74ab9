"""Many rows past the session's own bookkeeping, and ids. No table's meaning is known here."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

import orjson
from sqlalchemy import JSON, Dialect, Table, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.orm import Session

from city.db import engine as db
from city.db.models import Base, UtcDateTime

BATCH = 5000  # rows a statement: bounds what is held twice, as rows and as what is sent
IDS_AT_ONCE = 1000
IDS_A_MILLISECOND: Final = 2048  # so that an id of today has 52 bits: JavaScript counts to 53


def put(
    s: Session, kind: type[Base], rows: Sequence[dict[str, Any]], *, over: bool = False, sums: bool = False
) -> None:
    """Adds rows past the session's own bookkeeping, which costs more than the rows where they are many.

    Each row has every column; with `over`, one that is there under the same key is brought up to date, with
    `sums` its numbers are added to those that are there. With either no two rows have one key: PostgreSQL
    refuses to touch a row twice in one statement.
    """
    connection, table = s.connection(), _table(kind)
    name = connection.dialect.name
    for start in range(0, len(rows), BATCH):
        given = _parameters(table, rows[start : start + BATCH], connection.dialect)
        connection.exec_driver_sql(_adding(table, name, over, sums), given)


def put_last(
    s: Session, kind: type[Base], rows: Sequence[dict[str, Any]], *, over: bool = False, sums: bool = False
) -> None:
    """The same behind the clock: see db.before_commit()."""
    if rows:
        db.before_commit(s, partial(put, kind=kind, rows=rows, over=over, sums=sums))


def _parameters(table: Table, rows: Sequence[dict[str, Any]], dialect: Dialect) -> Any:
    """What _adding() is given. SQLite has a tuple a row, turned column by column: SQLAlchemy's own way, one
    row after the other, takes half as long again.

    PostgreSQL has all rows as one JSON text, which it takes apart itself: 64 rows of counts take 0.6 ms of
    our time so and not 1.3, five thousand 12 and not 51. NaN would become NULL, and no
    JSON may hold a NUL.
    """
    if dialect.name == "sqlite":
        steps = [(c.name, c.type.dialect_impl(dialect).bind_processor(dialect)) for c in table.columns]
        columns = ([step(row[name]) if step else row[name] for row in rows] for name, step in steps)
        return list(zip(*columns, strict=True))
    checks = [(c.name, _refuses_naive(c.type, dialect)) for c in table.columns]
    told = [{name: check(row[name]) if check else row[name] for name, check in checks} for row in rows]
    return (orjson.dumps(told, default=_bytes).decode(),)


def _refuses_naive(kind: Any, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
    """Of our own types the one there is; JSON tells all others as PostgreSQL reads them."""
    return kind.bind_processor(dialect) if isinstance(kind, UtcDateTime) else None


def _bytes(value: Any) -> str:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError


# `?` is SQLite's own; psycopg reads `%s`.
_BY_POSITION: dict[str, Dialect] = {
    "sqlite": SQLiteDialect(paramstyle="qmark"),
    "postgresql": PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
}


@cache
def _adding(table: Table, database: str, over: bool, sums: bool) -> str:
    """The statement with its parameters by position."""
    adding = sqlite_insert(table) if database == "sqlite" else _from_json(table)
    if over or sums:
        given = {c: adding.excluded[c.name] for c in table.columns if not c.primary_key}
        new = {c.name: c + value if sums else value for c, value in given.items()}
        adding = adding.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)
    return str(adding.compile(dialect=_BY_POSITION[database]))


def _from_json(table: Table) -> Any:
    columns = [column(c.name, c.type) for c in table.columns]
    told = func.json_to_recordset(bindparam("rows", type_=JSON)).table_valued(*columns)
    rows = select(told.render_derived(name="told", with_types=True))
    return postgresql_insert(table).from_select([c.name for c in table.columns], rows)


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


def _next_of(table: Table) -> Any:
    return func.nextval(func.pg_get_serial_sequence(table.name, "id"))


def _table(kind: type[Base]) -> Table:
    table = kind.__table__
    assert isinstance(table, Table)  # noqa: S101 declared by name, so never a join
    return table
