"""What waits for the same thing is done together: work in one transaction, then the telling at one moment.

Every commit waits for the disk, every transaction ends with steps that cost the same for one operation as
for fifty (the clock, the log's heads, the counts, the index), and a statement about fifty phones costs little
more than one about one. When many come at once, whoever is first does the work of all who wait by then, and
tells them all. Those who come meanwhile are the next to share.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import locks
from city.db.engine import pipeline, read_session, transaction
from city.lifecycle import Refused
from sync.protocol import MAX_OPERATIONS

Asked = TypeVar("Asked")
Done = TypeVar("Done")
Told = TypeVar("Told")


@dataclass(frozen=True)
class Shared(Generic[Asked, Done, Told]):
    """What is done for all who wait together. Whoever passes an equal one shares: a module makes it once.

    `begin` finds out in few statements what all need; it returns of each, in their order, the work itself.
    `tell` says what each hears, in their order, at one moment after all of that was committed. Both run in
    the thread of whoever leads, and may run again for one alone: they keep nothing but what they return.
    """

    begin: Callable[[Session, Sequence[Asked]], Sequence[Callable[[], Done]]]
    tell: Callable[[Session, Sequence[Asked]], Sequence[Told]]


# Cases a shared transaction: as many as one phone's operations may name. Who names none counts as one. What
# its work does beyond what was sent has as much room again (`lengthen`).
MOST = MAX_OPERATIONS
TRIES = 3
# Somebody else's long work must keep only those waiting who want the same cases. db.next_sequence() takes
# this timeout back: the clock is waited for as long as that takes. And nearly all that is asked here names
# rows by keys, so one plan serves lists of any length: by itself PostgreSQL plans anew for each short one,
# which takes longer than reading its rows.
_PATIENCE_AND_PLAN = text(
    "SELECT set_config('lock_timeout', '100ms', true),"
    " set_config('plan_cache_mode', 'force_generic_plan', true)"
)
log = logging.getLogger(__name__)


class RunSeparately(Exception):
    """Work that would keep all who share waiting: they are done again without it, and it by itself."""


class RetryWithSavepoints(Exception):
    """Something failed while nothing had a savepoint. All who share are done again, with savepoints."""


class Busy(Exception):
    """The database would not let us finish, three times. The phone comes back later."""


# Whoever meets one of these in the middle of some work lets it pass: the whole transaction is given up.
ENDS_ALL = (OperationalError, RetryWithSavepoints)


def run_grouped(
    engine: Engine, shared: Shared[Asked, Done, Told], asked: Asked, cases: Collection[str]
) -> tuple[Done, Callable[[], Told]]:
    """Does the work for `asked`; returns what it returned, and what gives what is told after it.

    The cases with these numbers are locked first. The transaction and the telling are shared with all who
    wait at that moment with the same `shared`; both see whatever was committed before the call.

    The work runs again where a transaction had to be given up. Raises what the work raised, or Busy. What is
    told comes by itself, as the work is done whether or not the telling fails.
    """
    piece = _Piece(asked, cases)
    _queue(engine, shared).serve(engine, piece)

    def work(s: Session) -> Done:
        (of_mine,) = shared.begin(s, [asked])
        return of_mine()

    def told() -> Told:
        if piece.is_told:
            return cast(Told, piece.told)
        with read_session(engine) as s:
            (of_mine,) = shared.tell(s, [asked])
        return of_mine

    return cast(Done, piece.done) if piece.is_done else alone(engine, work), told


def alone(engine: Engine, work: Callable[[Session], Done]) -> Done:
    """Does `work` in a transaction of its own."""
    for _ in range(TRIES):
        try:
            with transaction(engine) as s:
                return work(s)
        except OperationalError:  # a deadlock or a lock that was waited for too long
            continue
    raise Busy


@contextmanager
def savepoint_unless_shared(s: Session) -> Iterator[None]:
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
            raise RetryWithSavepoints from fault
    else:
        with events.savepoint(s):
            yield
            s.flush()


def charge_extra_work(s: Session) -> None:
    """Work calls this before each thing that it does beyond what its phone sent. Raises Alone.

    All who share a transaction may do so MOST times; whoever does it alone, as often as they like.
    """
    if (room := s.info.get("room")) is None:
        return
    if not room:
        raise RunSeparately
    s.info["room"] = room - 1


class _Piece:
    """What somebody asked for, and what became of it."""

    def __init__(self, asked: Any, cases: Collection[str]) -> None:
        self.asked, self.cases = asked, cases
        self.is_taken, self.is_done, self.is_told = False, False, False
        self.done: Any = None
        self.told: Any = None
        # Its owner waits for this: somebody is through with it, or, where it is not taken, it leads now.
        self.ready = threading.Lock()
        self.ready.acquire()


class _Queue:
    """Those who wait for the same of one database. Whoever has waited longest leads, for all who came."""

    def __init__(self, shared: Shared[Any, Any, Any]) -> None:
        self._shared = shared
        self._waiting: deque[_Piece] = deque()
        self._guard = threading.Lock()
        self._is_led = False

    def serve(self, engine: Engine, piece: _Piece) -> None:
        """Returns once somebody is through with the piece. What is not done or told then, its owner does."""
        with self._guard:
            self._waiting.append(piece)
            leads, self._is_led = not self._is_led, True
        if not leads:
            piece.ready.acquire()
        if not piece.is_taken:  # we lead; and as ours waits longest, it is among those that we take
            self._lead(engine)

    def _lead(self, engine: Engine) -> None:
        taken: list[_Piece] = []
        try:
            self._share(engine, taken)
            self._tell(engine, [piece for piece in taken if piece.is_done])
        finally:
            if not taken:  # no transaction began: ours would stay the first, and all behind it would wait
                self._take(taken)
            # Not before the telling: with two under way at once, each was less full (decision 0013).
            self._pass_on_lead()
            for piece in taken:
                piece.ready.release()

    def _pass_on_lead(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting[0].ready.release()
            else:
                self._is_led = False

    def _take(self, taken: list[_Piece]) -> None:
        """The longest waiting, at least one; they are taken whatever becomes of them. For who leads alone."""
        room = MOST
        while self._waiting and (not taken or room >= max(1, len(self._waiting[0].cases))):
            piece = self._waiting.popleft()
            piece.is_taken = True
            taken.append(piece)
            room -= max(1, len(piece.cases))

    def _share(self, engine: Engine, taken: list[_Piece]) -> None:
        """Takes some of those who wait, and does what can be done of theirs."""
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
                    log.warning(
                        "%d requests tried again together, with savepoints: %s",
                        len(taken),
                        type(first).__name__,
                    )
                return

    def _try(self, engine: Engine, taken: list[_Piece], *, without_savepoints: bool) -> bool:
        """Does what can be done; False where some of it could not."""
        with transaction(engine) as s:
            if engine.dialect.name == "postgresql":
                with pipeline(s):  # BEGIN goes in the same trip; nobody asks for the row
                    s.execute(_PATIENCE_AND_PLAN)
            if not taken:
                self._take(taken)  # not before the database lets us write: others come while we wait for that
            s.info |= {"room": MOST, "without_savepoints": without_savepoints}
            locks.lock_numbered(s, {number for piece in taken for number in piece.cases})
            works = zip(taken, self._shared.begin(s, [piece.asked for piece in taken]), strict=True)
            done = [piece for piece, work in works if _is_done(s, piece, work)]
        for piece in done:
            piece.is_done = True
        return len(done) == len(taken)

    def _tell(self, engine: Engine, done: Sequence[_Piece]) -> None:
        if not done:
            return
        try:
            with read_session(engine) as s:
                told = self._shared.tell(s, [piece.asked for piece in done])
                # All or none: with one answer too few, somebody would be given another's.
                answers = list(zip(done, told, strict=True))
        except Exception as fault:  # do() meets it again where it belongs to one alone
            log.warning("%d requests answered one by one: %s", len(done), type(fault).__name__)
            return
        for piece, answer in answers:
            piece.told, piece.is_told = answer, True


def _is_done(s: Session, piece: _Piece, work: Callable[[], Any]) -> bool:
    """Does a piece. Where it fails: Anew without savepoints; with them False, and the others keep theirs."""
    room = s.info["room"]
    try:
        with savepoint_unless_shared(s):
            piece.done = work()
    except ENDS_ALL:
        raise
    except Exception:
        s.info["room"] = room  # what it did beyond what was sent is undone
        return False
    return True


_queues: WeakKeyDictionary[Engine, dict[Any, _Queue]] = WeakKeyDictionary()
_making = threading.Lock()


def _queue(engine: Engine, shared: Shared[Any, Any, Any]) -> _Queue:
    with _making:
        of_engine = _queues.setdefault(engine, {})
        if shared not in of_engine:
            of_engine[shared] = _Queue(shared)
        return of_engine[shared]
