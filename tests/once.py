"""What every test would work out anew and always comes out the same is worked out once a process.

Each test has an application and a database engine of its own. Without this a third of the time of most tests
goes into compiling the statements and addresses that the test before them compiled too.
"""

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from werkzeug.routing import Rule

from city.config import city_file
from city.config.city_file import CityFile
from city.db import engine as db
from city.settings import DEFAULT_CITY

STATEMENTS = 3_000

_compiled: dict[str, Any] = {}
_builders: dict[tuple[Any, ...], Callable[..., Any]] = {}


def _create_engine(url: str, **options: Any) -> Engine:
    """An engine that knows what others of its kind have compiled."""
    engine = sqlalchemy.create_engine(url, query_cache_size=STATEMENTS, **options)
    engine._compiled_cache = _compiled.setdefault(engine.dialect.name, engine._compiled_cache)
    return engine


def _is_same(one: DefaultDialect, other: object) -> bool:
    """What is compiled is kept by dialect; those of one kind write alike, since city.db makes all of them."""
    return type(one) is type(other)


def _compile_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    """What makes an address of an endpoint: a function of the rule's words, for whichever application."""
    key = rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown
    if key not in _builders:
        _builders[key] = _compile(rule, append_unknown)
    return _builders[key]


@cache
def _loaded(path: Path, _changed: int) -> bytes:
    return pickle.dumps(_load(path))


def _load_city(path: Path) -> CityFile:
    """The city that the file describes; the demo's, which nearly every test has, is read once and copied."""
    if path != DEFAULT_CITY:
        return _load(path)
    city: CityFile = pickle.loads(_loaded(path, path.stat().st_mtime_ns))
    return city


_load = city_file.load
city_file.load = _load_city
_compile = Rule._compile_builder
Rule._compile_builder = _compile_builder
DefaultDialect.__eq__ = _is_same
DefaultDialect.__hash__ = lambda dialect: hash(type(dialect))
db.create_engine = _create_engine
