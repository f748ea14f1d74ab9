"""When somebody began to write to this database. By these rows a phone notices that its memory went back."""

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from city.db import engine as db
from city.db.models import Epoch, EventSequence

_NEWEST = select(Epoch).order_by(Epoch.at.desc()).limit(1)


def start_epoch(engine: Engine, at: datetime) -> str:
    """Notes a start, before whoever starts writes anything else. Returns the new epoch.

    The row's `first_seq` is what makes a restore visible: lines that a phone has seen beyond it were lost.
    """
    with db.transaction(engine) as s:
        return _begin(s, at)


def _begin(s: Session, at: datetime, first_seq: int | None = None) -> str:
    last = s.scalar(select(EventSequence.n)) or 0
    before = newest(s)
    if before:  # starts are read in their order, also where the machine's clock went back
        at = max(at, before.at + timedelta(microseconds=1))
    epoch = secrets.token_hex(8)
    s.add(Epoch(id=epoch, first_seq=last + 1 if first_seq is None else first_seq, at=at))
    return epoch


def newest(s: Session) -> Epoch | None:
    """The last start: its id is the epoch that answers name."""
    return s.scalars(_NEWEST).first()


class Watch:
    """What one process remembers of its database, so that it notices when that goes back while it serves.

    A connection to another server or file than the one before begins an epoch, before anything is written
    over it; so does a log that ends before where we saw it end. Then nobody knows where it went back to, as
    others may have written since, and phones send all that they keep.
    """

    def __init__(self, engine: Engine) -> None:
        """Watches an engine that has not connected yet."""
        self._engine = engine
        # Two, since who notices waits for the turn to write, and whoever has that turn may be connecting.
        self._noticing, self._guard = threading.Lock(), threading.Lock()
        self._origin: object = None
        self._began, self._log = 0, 0
        event.listen(engine, "connect", self._connected)

    @property
    def seen(self) -> tuple[int, int]:
        """How many epochs were begun here, and how far the log went since: asked before the log is read."""
        return self._began, self._log

    def saw(self, seen: tuple[int, int], log: int) -> None:
        """Remembers how far the log goes; `seen` was asked before, and no epoch may have begun since."""
        with self._guard:
            if seen[0] == self._began:
                self._log = max(self._log, log)

    def went_back(self, seen: tuple[int, int]) -> None:
        """The log ends before where it was `seen` to end: begins an epoch, where none was begun since."""
        with self._noticing:
            if seen[0] != self._began:
                return
            with db.transaction(self._engine) as s:
                _begin(s, datetime.now(UTC), first_seq=0)
            with self._guard:
                self._began, self._log = self._began + 1, 0

    def _connected(self, connection: Any, _record: object) -> None:
        with self._guard:
            origin = db.origin(self._engine, connection)
            if self._origin not in (None, origin):
                over_it = Engine(StaticPool(lambda: connection), self._engine.dialect, self._engine.url)
                with Session(over_it) as s:
                    _begin(s, datetime.now(UTC))
                    s.commit()
                self._began, self._log = self._began + 1, 0
            self._origin = origin
