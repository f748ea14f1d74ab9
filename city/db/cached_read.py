"""What a process remembers of a database: read once, and again when a short question has another answer."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Select
from sqlalchemy.orm import Session

T = TypeVar("T")


class VersionedCache(Generic[T]):
    """What `read` makes of a database, as long as `version` gives the same row."""

    def __init__(self, version: Select[Any], read: Callable[[Session], T]) -> None:
        self._version, self._read = version, read
        # By its connections: a process that works on several databases remembers something of each.
        self._held: WeakKeyDictionary[Any, tuple[Any, T]] = WeakKeyDictionary()
        self._reading = threading.Lock()

    def of(self, s: Session) -> T:
        """As it is now; one short statement where nothing has changed."""
        pool = s.connection().engine.pool
        version = s.execute(self._version).one()
        with self._reading:
            held = self._held.get(pool)
            if held is None or held[0] != version:
                held = self._held[pool] = version, self._read(s)
            return held[1]
