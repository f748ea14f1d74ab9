"""What waits for the same thing is done together: work in one transaction, questions at one moment.

Every commit waits for the disk, every transaction ends with steps that cost the same for one operation as
for fifty (the clock, the log's heads, the counts, the index), and a statement about fifty phones costs little
more than one about one. When many come at once, whoever is first does the work of all who wait by then.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from city import events, locks
from city.db import reading, transaction
from city.lifecycle import Refused
from sync.protocol import MAX_OPERATIONS

A = TypeVar("A")
T = TypeVar("T")
# Finds out in few statements what all who share need; returns of each, in their order, the work itself.
Begin = Callable[[Session, Sequence[A]], Sequence[Callable[[], T]]]
Ask = Callable[[Session, Sequence[A]], Sequence[T]]

MOST = MAX_OPERATIONS  # cases a shared transaction: as many as one phone's operations may name
TRIES = 3
# Somebody else's long work must keep only those waiting who want the same cases.
_PATIENCE = text("SET LOCAL lock_timeout = '100ms'")
# Nobody who has the clock waits for us, and on a slow disk many have it before us.
_NO_HURRY = text("SET LOCAL lock_timeout = 0")
log = logging.getLogger(__name__)


class Alone(Exception):
    """Work that would keep all who share waiting. It is done by itself."""


class Anew(Exception):
    """Something failed while nothing had a savepoint. All who share are done again, with savepoints."""


class Busy(Exception):
    """The database would not let us finish, three times. The phone comes back later."""


# Whoever meets one of these in the middle of some work lets it pass: the whole transaction is given up.
ENDS_ALL = (OperationalError, Anew)


def do(engine: Engine, begin: Begin[A, T], asked: A, cases: Collection[str]) -> T:
    """Does the work that `begin` makes of `asked`; the cases with these numbers are locked first.

    The transaction is shared with whoever passes the same `begin` by then: a module's function, as a lambda
    is another each time. Returns once that is committed.

    The work runs in whichever thread leads, and runs again where a transaction had to be given up: it must
    keep nothing but what it returns. Raises what it raised, or Busy.
    """
    mine = _Piece(asked, cases)
    if _queue(engine, begin, _Transactions).serve(engine, mine):
        return cast(T, mine.found)

    def work(s: Session) -> T:
        (of_mine,) = begin(s, [asked])
        return of_mine()

    return alone(engine, work)


def look(engine: Engine, ask: Ask[A, T], asked: A) -> T:
    """What `ask` answers to `asked`, at a moment of the database that is shared as do() shares a transaction.

    It sees whatever was committed before the call. Raises what `ask` raised.
    """
    mine = _Piece(asked)
    if _queue(engine, ask, _Questions).serve(engine, mine):
        return cast(T, mine.found)
    with reading(engine) as s:
        (found,) = ask(s, [asked])
    return found


def alone(engine: Engine, work: Callable[[Session], T]) -> T:
    """Does `work` in a transaction of its own."""
    for _ in range(TRIES):
        try:
            with transaction(engine) as s:
                return work(s)
        except OperationalError:  # a deadlock or a lock that was waited for too long
            continue
    raise Busy


@contextmanager
def part(s: Session) -> Iterator[None]:
    """A part of the work that may fail by itself: what it wrote is written, or none of it.

    Hardly any fails, and a savepoint costs what some closings cost: two trips to the database, and rows that
    are written one by one. So all who share are first done without. The first thing that fails then raises
    Anew, and all is done again with a savepoint for each part.
    """
    if s.info.get("without_savepoints"):
        try:
            yield
        except ENDS_ALL:
            raise
        except Exception as fault:
            raise Anew from fault
    else:
        with events.savepoint(s):
            yield
            s.flush()


def lengthen(s: Session) -> None:
    """Work calls this before each thing that it does beyond what its phone sent. Raises Alone.

    All who share a transaction may do so MOST times; whoever does it alone, as often as they like.
    """
    if (room := s.info.get("room")) is None:
        return
    if not room:
        raise Alone
    s.info["room"] = room - 1


class _Piece:
    """What somebody waits for, and what became of it."""

    def __init__(self, asked: Any, cases: Collection[str] = ()) -> None:
        self.asked, self.cases = asked, cases
        self.is_taken, self.is_done = False, False
        self.found: Any = None


class _Queue(ABC):
    """Those who wait for the same thing of one database. Whoever gets the turn leads, for all who came.

    All wait for a turn, also those who were served meanwhile.
    """

    def __init__(self, answer: Callable[[Session, Sequence[Any]], Sequence[Any]]) -> None:
        self._answer = answer
        self._waiting: deque[_Piece] = deque()
        self._turn = threading.Lock()

    def serve(self, engine: Engine, piece: _Piece) -> bool:
        """True once the piece is done; False where it failed, and is to be tried by itself."""
        self._waiting.append(piece)
        with self._turn:
            while not piece.is_taken:
                taken: list[_Piece] = []
                self._share(engine, taken)
                if not taken:
                    self._take(taken)  # or it would be tried for ever
        return piece.is_done

    @abstractmethod
    def _share(self, engine: Engine, taken: list[_Piece]) -> None:
        """Takes some of those who wait, and does of it what can be done. Raises nothing."""

    def _take(self, taken: list[_Piece]) -> None:
        """The longest waiting, at least one; they are taken whatever becomes of them."""
        room = MOST
        while self._waiting and (not taken or room >= max(1, len(self._waiting[0].cases))):
            piece = self._waiting.popleft()
            piece.is_taken = True
            taken.append(piece)
            room -= max(1, len(piece.cases))


class _Transactions(_Queue):
    def _share(self, engine: Engine, taken: list[_Piece]) -> None:
        first: BaseException | None = None
        for without_savepoints in (True, False):
            try:
                whole = self._try(engine, taken, without_savepoints=without_savepoints)
            except OperationalError:  # something had to be waited for: each would wait as long
                return
            except Exception as fault:  # the second time, do() meets it again where it belongs to one alone
                first = first or fault.__cause__ or fault
            else:
                if whole and first and not isinstance(first, Refused):  # or nobody would ever see it
                    log.warning("%d shared again, with savepoints: %s", len(taken), type(first).__name__)
                return

    def _try(self, engine: Engine, taken: list[_Piece], *, without_savepoints: bool) -> bool:
        """Does what can be done; False where some of it could not."""
        with transaction(engine) as s:
            if engine.dialect.name == "postgresql":
                s.execute(_PATIENCE)
                s.info["written"] = lambda s: s.execute(_NO_HURRY)  # who waits for a twin has waited by then
            if not taken:
                self._take(taken)  # not before we have our turn: others come while we wait for it
            s.info |= {"room": MOST, "without_savepoints": without_savepoints}
            locks.lock_numbered(s, {number for piece in taken for number in piece.cases})
            works = zip(taken, self._answer(s, [piece.asked for piece in taken]), strict=True)
            done = [piece for piece, work in works if _is_done(s, piece, work)]
        for piece in done:
            piece.is_done = True
        return len(done) == len(taken)


class _Questions(_Queue):
    def _share(self, engine: Engine, taken: list[_Piece]) -> None:
        self._take(taken)
        with suppress(Exception), reading(engine) as s:  # look() meets it again where it belongs to one alone
            answers = self._answer(s, [piece.asked for piece in taken])
            for piece, answer in list(zip(taken, answers, strict=True)):
                piece.found, piece.is_done = answer, True


def _is_done(s: Session, piece: _Piece, work: Callable[[], Any]) -> bool:
    """Does a piece. Where it fails: Anew without savepoints; with them False, and the others keep theirs."""
    try:
        with part(s):
            piece.found = work()
    except ENDS_ALL:
        raise
    except Exception:
        return False
    return True


_queues: WeakKeyDictionary[Engine, dict[Any, _Queue]] = WeakKeyDictionary()
_making = threading.Lock()


def _queue(engine: Engine, answer: Callable[..., Any], kind: type[_Queue]) -> _Queue:
    with _making:
        of_engine = _queues.setdefault(engine, {})
        if answer not in of_engine:
            of_engine[answer] = kind(answer)
        return of_engine[answer]
