"""Taking a phone's operations: each once, in order, by the same verbs as everybody else's.

The numbers are those of `docs/explanation/field-sync.md`. routes.py asks who it is (2), reads the news (10)
and answers (11).
What cannot be done yet is stored all the same: what follows on something that is not here is `held` until
that comes, and what nobody may do now is `deposited` until somebody signs in or a supervisor releases it.
"""

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine, bindparam, func, or_, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import locks
from city.db.engine import transaction
from city.db.in_list import is_in
from city.db.models import Case, ExpectedPhoto, Person
from city.db.models import SyncOperation as Row
from city.lifecycle import CREW, Refused
from city.people import accounts
from city.photos import photos
from city.reports import intake
from sync import expected_photos, operations, protocol, reporting, undo
from sync.merge import RECORD_RECEIPT_ONLY, RULES, Rules
from sync.protocol import DEPOSITED, HELD, QUARANTINED, RECORDED, Malformed, Operation, result

QUARANTINE_ROWS, QUARANTINE_BYTES = 200, 2_000_000  # a device a day
# A device that nobody is signed in on: twice what a phone has room for. A stolen one fills no disk.
MOST_DEPOSITED = 4_000
# As the partial indexes have it: a bound value would not find them.
NOT_DONE = text("sync_operations.code IN ('held', 'deposited')")
TO_REVIEW = text("sync_operations.review IS NOT NULL")
# Asked at every exchange, so they are made once.
_ROWS = select(Row).where(is_in(Row.id, "ids"))
_WAITING = select(Row).where(NOT_DONE, Row.device_id == bindparam("device")).order_by(Row.n, Row.id)
_WAITING_LOCKED = _WAITING.with_for_update()
_PUT_BY = select(Row.code, Row.device_id, Row.prev, Row.case_ref).where(
    NOT_DONE, or_(Row.device_id == bindparam("device"), Row.person_id == bindparam("person"))
)
_IN_QUARANTINE = select(func.count(), func.coalesce(func.sum(func.length(Row.raw)), 0)).where(
    TO_REVIEW,
    Row.device_id == bindparam("device"),
    Row.received_at > bindparam("since"),
    Row.review.in_((QUARANTINED, "revoked", "author")),
)
_DEPOSITED = select(func.count()).where(NOT_DONE, Row.device_id == bindparam("device"))
TRIES = 3
_Done = TypeVar("_Done")
log = logging.getLogger(__name__)


class QuarantineFull(Exception):
    """This phone sends too much that nobody can read, or that waits for somebody. It keeps the rest."""


@dataclass(frozen=True)
class Sender:
    """Whose phone it is, and who they are. `deposit` ("login", "revoked", "author") says why nothing is done
    now.

    `secret` is the city's, from which the links to residents' reports follow. `by_hand` is work that somebody
    of the city brings as a file, of which none is too much.
    """

    device_id: str
    by: Actor
    deposit: str = ""
    secret: str = ""
    rules: Rules = RULES
    by_hand: bool = False

    @property
    def put_by(self) -> str:
        """Why none of their work is done now; empty where it is."""
        return self.deposit or ("author" if self.person_id and CREW not in self.by.roles else "")

    @property
    def person_id(self) -> int | None:
        """None for a resident's phone."""
        return self.by.person_id


@dataclass
class Taken:
    """One result an operation, and the photos that wait for the store."""

    results: list[dict[str, Any]] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Before:
    """What is here already of a phone's work.

    Whether any of it is deposited, the ids that its person's held operations wait for (those too that came
    from another phone of theirs), and by id the rows that its operations are, or follow on.
    """

    deposited: bool
    awaited: set[str]
    known: dict[str, Row]


class Busy(Exception):
    """The database would not let us finish, three times. The phone comes back later."""


def in_transaction(engine: Engine, work: Callable[[Session], _Done]) -> _Done:
    """Does `work` in a transaction (1) and commits it (8, 9), again after a deadlock. Raises Busy, or what
    the work raises.
    """
    for _ in range(TRIES):
        try:
            with transaction(engine) as s:
                return work(s)
        except OperationalError:  # a deadlock, or a lock that was waited for too long
            continue
    raise Busy


def push(engine: Engine, sender: Sender, ops: Sequence[Operation | Malformed], at: datetime) -> Taken:
    """process() in a transaction of its own. Raises Busy as well."""
    return in_transaction(engine, lambda s: process(s, sender, ops, at))


def process(s: Session, sender: Sender, ops: Sequence[Operation | Malformed], at: datetime) -> Taken:
    """Takes the operations in the phone's own order, after what was deposited while nobody was signed in.

    Raises QuarantineFull.
    """
    taken = Taken()
    if ops and sender.put_by:
        _check_deposited(s, sender, at)
    before = _before(s, sender, ops)
    known, held = dict(before.known), set(before.awaited)
    if before.deposited and not sender.deposit:
        for row in deposited_for_login(s, sender, locked=True):  # two requests at once would do it twice
            taken.photos += reapply(s, row, by=sender.by, at=at, rules=sender.rules)
        held = _before(s, sender).awaited
    for op in sorted(ops, key=lambda op: op.n):
        # A taking back was followed when it came first.
        over = {op.id} if op.id in known else _settled_by(op)
        told = _one(s, op, sender, at, taken, known)
        taken.results.append(told)
        if told["result"] == HELD:
            kept = s.get_one(Row, op.id)
            held |= {kept.prev or "", kept.case_ref}
        elif told["result"] != DEPOSITED and over & held:
            for row in _followers(s, over & held, sender):
                taken.photos += reapply(s, row, by=sender.by, at=at, rules=sender.rules)
            held = _before(s, sender).awaited  # some may wait for another one now
    taken.results = [_latest(s, told) for told in taken.results]
    return taken


def deposited_for_login(s: Session, sender: Sender, *, locked: bool = False) -> list[Row]:
    """What this phone was signed out for when it sent it, in its own order."""
    found = s.scalars(_WAITING_LOCKED if locked else _WAITING, {"device": sender.device_id})
    return [row for row in found if row.result.get("why") == "login" and row.person_id == sender.person_id]


def reapply(s: Session, row: Row, *, by: Actor, at: datetime, rules: Rules = RULES) -> list[str]:
    """Does what was stored and could not be done, and tells the phone of its result; then what follows on it.

    Returns the photos that wait for the store.
    """
    taken, rows = Taken(), [row]
    sender = Sender(row.device_id, by, rules=rules)
    while rows:  # one after the other: a chain may be as long as a phone likes
        row = rows.pop(0)
        if row.code not in (HELD, DEPOSITED):
            continue  # done meanwhile, with one before it
        over = {row.id} | _settled_by(protocol.reread(row.raw or ""))
        _again(s, row, sender, at, taken)
        if row.code not in (HELD, DEPOSITED):
            rows = _followers(s, over, sender) + rows
    return taken.photos


def release_dependents(s: Session, row: Row, *, at: datetime, rules: Rules = RULES) -> None:
    """Does what was held for this one, which never will be; the worker's next round stores its photos."""
    if row.person_id is None:
        return  # what residents send follows on nothing
    by = accounts.actor(s.get_one(Person, row.person_id))
    for follower in _followers(s, {row.id}, Sender(row.device_id, by, rules=rules)):
        reapply(s, follower, by=by, at=at, rules=rules)


def is_pending(s: Session, *names: str | None) -> bool:
    """Whether one of these operations is here and still to be done."""
    asked = select(Row.id).where(NOT_DONE, is_in(Row.id, [name for name in names if name]))
    return s.scalar(asked.limit(1)) is not None


def notify_result_changed(s: Session, row: Row) -> None:
    """Lets the phone hear of a result that changed after it was answered."""
    events.publish_to_sync_feed(s, f"user:{row.person_id}", "result", row.id, present=True)


def _again(s: Session, row: Row, sender: Sender, at: datetime, taken: Taken) -> None:
    op = protocol.reread(row.raw or "")
    if isinstance(op, Malformed):
        _set_aside(row, op.why)
    else:
        try:
            with events.savepoint(s):
                _settle(s, row, op, sender, at, taken)
                s.flush()
        except OperationalError:
            raise
        except Refused as refused:
            _set_aside(row, refused.code)
        except Exception:
            log.exception("operation %s of device %s", row.id, row.device_id)
            _set_aside(row, "fault")
    notify_result_changed(s, row)


def _before(s: Session, sender: Sender, ops: Sequence[Operation | Malformed] = ()) -> _Before:
    """Locks the cases of this phone's work, and reads what is in the database of it.

    In this order: whoever waited for a twin's case then finds what the twin stored.
    """
    locks.lock_numbered(s, protocol.cases(ops))
    names = {name for op in ops if isinstance(op, Operation) for name in (op.id, op.prev) if name}
    known = {row.id: row for row in s.scalars(_ROWS, {"ids": sorted(names)})} if names else {}
    if sender.person_id is None:  # a resident's reports follow on nothing
        return _Before(False, set(), known)
    rows = s.execute(_PUT_BY, {"device": sender.device_id, "person": sender.person_id}).all()
    deposited = any(row.code == DEPOSITED and row.device_id == sender.device_id for row in rows)
    awaited = {name for row in rows if row.code == HELD for name in (row.prev, row.case_ref) if name}
    return _Before(deposited, awaited, known)


def _latest(s: Session, told: dict[str, Any]) -> dict[str, Any]:
    """What was held at its turn may have been done since, by what came after it."""
    row = s.get(Row, told["id"]) if told["result"] == HELD else None
    return dict(row.result) if row else told


def _settled_by(op: Operation | Malformed) -> set[str]:
    """What nobody has to wait for any more once this one is done: what it takes back will never be."""
    taken_back = op.data.get("op") if isinstance(op, Operation) and op.t == "withdraw" else None
    return {op.id, taken_back} if isinstance(taken_back, str) else {op.id}


def _followers(s: Session, over: set[str], sender: Sender) -> list[Row]:
    """What was held until now for those operations, locked: the person's other phone may come as well."""
    held = select(Row).where(NOT_DONE, Row.person_id == sender.person_id, Row.code == HELD)
    held = held.where(or_(is_in(Row.prev, over), is_in(Row.case_ref, over))).order_by(Row.n, Row.id)
    return list(s.scalars(held.with_for_update()))


def _one(
    s: Session,
    op: Operation | Malformed,
    sender: Sender,
    at: datetime,
    taken: Taken,
    known: dict[str, Row],
) -> dict[str, Any]:
    if isinstance(op, Malformed):
        return _quarantined(s, op, op.why, sender, at)
    if op.id in known:
        return _replayed(s, op, known[op.id], sender, at)
    arrived = len(taken.photos)
    try:
        with events.savepoint(s):  # 3: one bug spoils one operation
            row = _row(op, sender, at)
            _settle(s, row, op, sender, at, taken)  # 4, 5
            _store(s, row)  # 6; leaving here is 7
            s.flush()
    except IntegrityError:
        del taken.photos[arrived:]
        if twin := s.get(Row, op.id, populate_existing=True):  # it came a moment before
            return _replayed(s, op, twin, sender, at)
        log.exception("operation %s of device %s", op.id, sender.device_id)
        return _quarantined(s, op, "fault", sender, at)
    except OperationalError:
        raise
    except Refused as refused:
        del taken.photos[arrived:]
        return _quarantined(s, op, refused.code, sender, at)
    except Exception:
        log.exception("operation %s of device %s", op.id, sender.device_id)
        del taken.photos[arrived:]
        return _quarantined(s, op, "fault", sender, at)
    known[op.id] = row
    return dict(row.result)


def _row(op: Operation, sender: Sender, at: datetime) -> Row:
    """The operation's row, which is stored with its result: see _store()."""
    return Row(
        id=op.id, device_id=sender.device_id, person_id=sender.person_id, n=op.n, t=op.t, case_ref=op.case,
        prev=op.prev, body_hash=op.hash, result={}, received_at=at,
    )  # fmt: skip


def _store(s: Session, row: Row) -> None:
    """Stores the row, and with it all that it did, as the part ends. That claims the id.

    On PostgreSQL a twin waits there until the first is committed, and then finds its row.
    """
    s.add(row)
    events.count(s)  # what is only put by moves nothing, and a restore that loses it must show


def _settle(s: Session, row: Row, op: Operation, sender: Sender, at: datetime, taken: Taken) -> None:
    """Decides (4) and does (5) one operation, or puts it by until it can be done. Raises Refused."""
    if sender.person_id is None and op.t != "report":
        raise Refused("not_allowed")
    if sender.put_by:
        _put_by(s, row, op, DEPOSITED, sender.put_by, at)
        return
    do = {"report": _report, "withdraw": _withdraw}.get(op.t, _move)
    taken.photos += [photo.photo_id for photo in do(s, row, op, sender, at) if photo.photo_id]


def _report(s: Session, row: Row, op: Operation, sender: Sender, at: datetime) -> Sequence[ExpectedPhoto]:
    """Takes a report. Returns its photos, like the two below."""
    photos = _photos(s, row, op, at)
    told, case = reporting.submit(s, op, photos, secret=sender.secret, by=sender.by, at=at)
    _done(row, told, case, review=None if case else told["why"])
    return photos if case else ()


def _withdraw(s: Session, row: Row, op: Operation, sender: Sender, at: datetime) -> Sequence[ExpectedPhoto]:
    undone = undo.withdraw(s, op, by=sender.by, at=at, received=row.received_at)
    if undone is None:
        row.prev = operations.text(op, "op")
        return _put_by(s, row, op, HELD, "operation", at)
    told, case = undone
    _done(row, told, case, review=told.get("why") if told["result"] == RECORDED else None)
    return ()


def _move(s: Session, row: Row, op: Operation, sender: Sender, at: datetime) -> Sequence[ExpectedPhoto]:
    """Does what the conflict table says of an operation on a case."""
    case = operations.find_case(s, op.case)
    if isinstance(case, str):
        return _put_by(s, row, op, HELD, case, at)
    if case is None:
        raise Refused("unknown_case")
    locks.lock(s, case)  # before the look at what it follows on, which another request may be doing
    awaited = _awaited(s, op)
    todo = operations.decide(
        s, op, case, by=sender.by, at=at, rules=sender.rules, only_look=awaited is not None
    )
    if todo.decision.result == DEPOSITED:
        return _put_by(s, row, op, DEPOSITED, todo.decision.why or "author", at)
    if awaited:
        row.prev = awaited
        return _put_by(s, row, op, HELD, "prev", at)
    bare = todo.decision.effect == RECORD_RECEIPT_ONLY
    photos = _photos(s, row, op, at, bare=bare)
    told = operations.carry_out(s, todo, photos)
    review = todo.decision.why if todo.decision.review else None
    _done(row, told, todo.case, review=review, raw=op.raw if review and not bare else None)
    return photos


def _awaited(s: Session, op: Operation) -> str | None:
    """The operation that has to be done before this one, by what it follows on; None where nothing has.

    What was taken back before it was done, was set aside, or was put away by a person, passes the waiting on
    to what it followed itself; so does the taking back.
    """
    prev, passed = op.prev, {op.id}  # what is nonsense may follow on itself
    while prev and prev not in passed:
        row = operations.as_it_stands(s, prev)
        if row is None or row.code in (HELD, DEPOSITED):
            return prev
        passed.add(prev)
        never = row.code == QUARANTINED or row.result.get("why") in ("withdrawn", "dismissed")
        prev = row.prev if never or row.t == "withdraw" else None
    return None


def _put_by(s: Session, row: Row, op: Operation, code: str, why: str, at: datetime) -> tuple[()]:
    """Stores an operation that cannot be done now, its photos with it. Of these none counts yet."""
    _photos(s, row, op, at)
    row.code, row.result, row.raw = code, result(op.id, code, why), op.raw
    row.review = why if why in ("author", "revoked") else None
    return ()


def _photos(s: Session, row: Row, op: Operation, at: datetime, *, bare: bool = False) -> list[ExpectedPhoto]:
    """The operation's photos, noted here where this is the first look at it."""
    known = expected_photos.of(s, row.id) if row.raw else []  # it was put by before
    if known or bare or not op.photos:
        return known
    _store(s, row)
    s.flush()  # its photos name it
    return expected_photos.declare(s, row.id, row.device_id, op.photos, at)


def _done(
    row: Row, told: dict[str, Any], case: Case | None, *, review: str | None = None, raw: str | None = None
) -> None:
    """Notes what became of it; `review` says why a person must look at it, `raw` what for."""
    row.result, row.code, row.raw, row.review = told, told["result"], raw, review
    if case:
        row.case_id, row.version = case.id, case.version


def _set_aside(row: Row, why: str) -> None:
    """What was stored turns out to be nothing that can be done."""
    row.code, row.result, row.review = QUARANTINED, result(row.id, QUARANTINED, why), QUARANTINED


def _replayed(s: Session, op: Operation, known: Row, sender: Sender, at: datetime) -> dict[str, Any]:
    """The stored result; another body under the same id is a clone's or a forger's, and is set aside."""
    if known.body_hash == op.hash:
        if sender.person_id is None and known.person_id is None and known.device_id != sender.device_id:
            _adopt(s, known, sender)
        return dict(known.result)
    return _quarantined(s, op, "another_body", sender, at)


def _adopt(s: Session, known: Row, sender: Sender) -> None:
    """A resident's phone that lost its token, as with its power, has a new one.

    Whoever knows the whole of an operation wrote it; its photos may still be on that phone.
    """
    known.device_id = sender.device_id
    expected_photos.reassign_device(s, known.id, sender.device_id)


def _quarantined(
    s: Session, op: Operation | Malformed, why: str, sender: Sender, at: datetime
) -> dict[str, Any]:
    """Sets an operation aside with its raw body; the same body sent again finds the same row.

    Also where the phone has another name by now, if only the operation can be told by an id. Under the id of
    a report that was erased nothing is kept.
    """
    answer = result(op.id, QUARANTINED, why)
    own = or_(Row.device_id == sender.device_id, Row.id == op.id)
    held = s.scalars(select(Row).where(own, Row.body_hash == op.hash).limit(1)).first()
    if held:
        return dict(held.result)
    if op.id and intake.is_erased(s, reporting.key_of(op.id)):
        return answer  # the words that were erased, or some like them
    _check_quarantine(s, sender, at)
    there = s.get(Row, op.id) if op.id else None
    if there and there.body_hash == op.hash:  # it came in the moment since we looked
        return dict(there.result)
    free = op.id and there is None
    row = Row(
        id=op.id if free else str(uuid.uuid4()), device_id=sender.device_id, person_id=sender.person_id,
        n=op.n, t=op.t if isinstance(op, Operation) else "", prev=op.prev, body_hash=op.hash,
        case_ref=op.case, raw=_storable(op.raw), received_at=at,
        result=answer, code=QUARANTINED, review=QUARANTINED,
    )  # fmt: skip
    try:
        with events.savepoint(s):
            s.add(row)
            s.flush()
    except IntegrityError:  # the same body came twice at once, and the other was first
        twin = s.scalars(select(Row).where(own, Row.body_hash == op.hash).limit(1)).first()
        if twin is None:
            raise
        return dict(twin.result)
    events.count(s)
    if isinstance(op, Operation) and free and _may_have_photos(op, sender):
        expected_photos.declare(s, op.id, sender.device_id, op.photos, at)
    return answer


def _may_have_photos(op: Operation, sender: Sender) -> bool:
    """Whether photos of what was set aside are kept: of residents, no more than a report may have."""
    return sender.person_id is not None or (op.t == "report" and len(op.photos) <= photos.MAX_PHOTOS)


def _check_deposited(s: Session, sender: Sender, at: datetime) -> None:
    _check_quarantine(s, sender, at)
    if not sender.by_hand and (s.scalar(_DEPOSITED, {"device": sender.device_id}) or 0) >= MOST_DEPOSITED:
        raise QuarantineFull


def _check_quarantine(s: Session, sender: Sender, at: datetime) -> None:
    """Before anything more is set aside: good work costs no look, and goes through."""
    if sender.by_hand:
        return
    since = at - timedelta(days=1)
    rows, size = s.execute(_IN_QUARANTINE, {"device": sender.device_id, "since": since}).one()
    if rows >= QUARANTINE_ROWS or size >= QUARANTINE_BYTES:
        raise QuarantineFull


def _storable(raw: str) -> str:
    """PostgreSQL keeps neither NUL nor half a character."""
    return raw if "\\u0000" not in raw and _is_whole(raw) else json.dumps(raw)


def _is_whole(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True
