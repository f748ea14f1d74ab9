"""Work that waits for the same lock is done in one transaction.

Every commit waits for the disk, and every transaction ends with steps that cost the same for one operation
as for fifty: the clock, the log's heads, the counts, the index. When many phones come at once, whoever is
first does the work of all who wait by then.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from city import events, locks
from city.db import transaction
from sync.protocol import MAX_OPERATIONS

T = TypeVar("T")

MOST = MAX_OPERATIONS  # cases a shared transaction: as many as one phone's operations may name
TRIES = 3
# Somebody else's long work must keep only those waiting who want the same cases.
_PATIENCE = text("SET LOCAL lock_timeout = '100ms'")
# Nobody who has the clock waits for us, and on a slow disk many have it before us.
_NO_HURRY = text("SET LOCAL lock_timeout = 0")


class Alone(Exception):
    """Work that would keep all who share waiting. It is done by itself."""


class Busy(Exception):
    """The database would not let us finish, three times. The phone comes back later."""


def do(engine: Engine, work: Callable[[Session], T], cases: Collection[str]) -> T:
    """Does `work` in a transaction that it may share; the cases with these numbers are locked first.

    Returns once that is committed.

    `work` runs in whichever thread comes first, and runs again where a transaction had to be given up: it
    must keep nothing but what it returns. Raises what it raised, or Busy.
    """
    return cast(T, _queue_of(engine).do(engine, _Piece(work, cases)))


def alone(engine: Engine, work: Callable[[Session], T]) -> T:
    """The same in a transaction of its own."""
    for _ in range(TRIES):
        try:
            with transaction(engine) as s:
                return work(s)
        except OperationalError:  # a deadlock or a lock that was waited for too long
            continue
    raise Busy


def lengthen(s: Session) -> None:
    """Work calls this before each thing that it does beyond what its phone sent. Raises Alone.

    All who share a transaction may do so MOST times; whoever does it alone, as often as they like.
    """
    if (room := s.info.get("room")) is None:
        return
    if not room:
        raise Alone
    s.info["room"] = room - 1


class _Piece(Generic[T]):
    def __init__(self, work: Callable[[Session], T], cases: Collection[str]) -> None:
        self.work, self.cases = work, cases
        self.is_taken, self.is_done = False, False
        self.found: T | None = None


class _Queue:
    """Those who wait for one database."""

    def __init__(self) -> None:
        self._waiting: deque[_Piece[Any]] = deque()
        self._turn = threading.Lock()

    def do(self, engine: Engine, piece: _Piece[Any]) -> Any:
        self._waiting.append(piece)
        with self._turn:
            while not piece.is_taken:
                self._share(engine)
        return piece.found if piece.is_done else alone(engine, piece.work)

    def _share(self, engine: Engine) -> None:
        pieces: list[_Piece[Any]] = []
        try:
            with transaction(engine) as s:
                if engine.dialect.name == "postgresql":
                    s.execute(_PATIENCE)
                pieces = self._take()  # not before we have our turn: others come while we wait for it
                s.info["room"] = MOST
                locks.lock_numbered(s, {number for piece in pieces for number in piece.cases})
                done = [piece for piece in pieces if _is_done(s, piece, shares=len(pieces) > 1)]
                if engine.dialect.name == "postgresql":
                    s.execute(_NO_HURRY)
        except Exception:  # do() meets it again where it belongs to one alone
            if not pieces:
                self._take()  # or it would be tried for ever
        else:
            for piece in done:
                piece.is_done = True

    def _take(self) -> list[_Piece[Any]]:
        """The longest waiting, at least one; they are taken whatever becomes of them."""
        taken = [self._waiting.popleft()]
        room = MOST - len(taken[0].cases)
        while self._waiting and (room := room - max(1, len(self._waiting[0].cases))) >= 0:
            taken.append(self._waiting.popleft())
        for piece in taken:
            piece.is_taken = True
        return taken


def _is_done(s: Session, piece: _Piece[Any], *, shares: bool) -> bool:
    """Does a piece; False where it fails and tries by itself. With whom it shares keep what they did.

    What had to wait too long, or is a deadlock, ends the transaction for all: each would wait as long.
    """
    try:
        with events.savepoint(s) if shares else nullcontext():
            piece.found = piece.work(s)
    except OperationalError:
        raise
    except Exception:
        if not shares:
            raise
        return False
    return True


_queues: WeakKeyDictionary[Engine, _Queue] = WeakKeyDictionary()
_making = threading.Lock()


def _queue_of(engine: Engine) -> _Queue:
    with _making:
        return _queues.setdefault(engine, _Queue())
