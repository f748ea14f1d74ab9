"""A list of any length as one parameter, so that a statement about many is one text however many they are.

A connection keeps what its database made of a statement, by its text. PostgreSQL plans a text that it has not
kept anew each time, and a hundred texts are kept.
"""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, Dialect, String, bindparam, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


def is_in(column: Any, these: Collection[Any] | str) -> ColumnElement[bool]:
    """Whether a column has one of these values; a `str` is the name of the parameter that will have them.

    Of text and whole numbers only, as JSON carries them to SQLite. None are none.
    """
    # With a length, PostgreSQL would cut the values off, and find what has their beginning.
    kind = _List(String() if isinstance(column.type, String) else column.type)
    if isinstance(these, str):
        return _IsIn(column, bindparam(these, type_=kind))
    return _IsIn(column, literal(list(these), kind))


class _List(TypeDecorator[Collection[Any]]):
    """An array where the database knows such, and JSON elsewhere."""

    impl = String
    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(self.of) if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        some = list(value or ())
        return some if dialect.name == "postgresql" else json.dumps(some)


class _IsIn(FunctionElement[bool]):
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: Any = None) -> "_IsIn":
        return self  # for WHERE, AND, OR and NOT alone: as it is a comparison, nobody compares it with 1


@compiles(_IsIn)
def _in_json(element: _IsIn, compiler: SQLCompiler, **how: Any) -> str:
    column, these = element.clauses
    values = select(func.json_each(these).table_valued("value").c.value)
    return compiler.process(column.in_(values), **how)


@compiles(_IsIn, "postgresql")
def _in_array(element: _IsIn, compiler: SQLCompiler, **how: Any) -> str:
    column, these = element.clauses
    return compiler.process(column == func.any(these), **how)
