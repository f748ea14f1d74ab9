"""A list of any length as one parameter, so that a statement about many is one text however many they are.

A connection keeps what its database made of a statement, by its text; PostgreSQL plans the others anew.
"""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, Dialect, String, bindparam, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


def one_of(column: Any, these: Collection[Any] | str) -> ColumnElement[bool]:
    """Whether a column is one of these: the values, or the name of the parameter that will have them."""
    kind = _List(column.type)
    return _OneOf(column, bindparam(these, type_=kind) if isinstance(these, str) else literal(these, kind))


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


class _OneOf(FunctionElement[bool]):
    inherit_cache = True
    type = Boolean()

    def self_group(self, against: Any = None) -> "_OneOf":
        return self  # it is a comparison: nobody needs to compare it with 1


@compiles(_OneOf)
def _in_json(element: _OneOf, compiler: SQLCompiler, **how: Any) -> str:
    column, these = element.clauses
    values = select(func.json_each(these).table_valued("value").c.value)
    return compiler.process(column.in_(values), **how)


@compiles(_OneOf, "postgresql")
def _in_array(element: _OneOf, compiler: SQLCompiler, **how: Any) -> str:
    column, these = element.clauses
    return compiler.process(column == func.any(these), **how)
