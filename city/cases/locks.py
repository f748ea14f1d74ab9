"""Who may change a case now: the locks that every verb takes first, in one order.

No verb changes what other rows know a case by, so theirs (FOR NO KEY UPDATE) keeps out other verbs, and
nobody who only points at the case: a new one that probably repeats it need not wait.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, SessionTransaction, joinedload, selectinload

from city.audit import events
from city.cases import board_index
from city.db.in_list import is_in
from city.db.models import Case, Service

T = TypeVar("T")

AT_ONCE = 1000  # cases that are read at a time

_LOCKED = (
    select(Case.id).where(is_in(Case.number, "numbers")).order_by(Case.id).with_for_update(key_share=True)
)
# Few rows each: joined they cost a fifth of a statement each.
_WHOLE = (
    select(Case)
    .where(is_in(Case.id, "ids"))
    .options(
        joinedload(Case.service).joinedload(Service.department),
        joinedload(Case.calendar),
        joinedload(Case.assignments),
        joinedload(Case.closures),
        joinedload(Case.pauses),
        selectinload(Case.merged_cases),
    )
    .execution_options(populate_existing=True)
)


class Moved(Exception):
    """A root is another one now. Lets go of all before taking more: locks taken out of their order are how
    two of us deadlock."""


class _Held(NamedTuple):
    """A locked case, and since when: going back to a savepoint lets go of what was locked after it."""

    case: Case
    since: SessionTransaction | None


def lock(s: Session, *cases: Case) -> None:
    """Holds the cases until the transaction ends and brings them up to date. Ascending: nobody deadlocks.

    What this transaction holds already is up to date: nobody else can have touched it.
    """
    new = [case for case in sorted(cases, key=lambda c: c.id) if not _is_held(s, case)]
    if new:
        s.flush()
    for case in new:
        s.expire(case)  # what was read before the lock may be old by now, lists included
        # What was joined to it when it was read is not locked.
        s.refresh(case, with_for_update={"of": Case, "key_share": True})
        _hold(s, case)


def lock_numbered(s: Session, numbers: Collection[str]) -> dict[str, Case]:
    """Locks many cases at once and reads what verbs ask of them; by number, without those there are not.

    What this transaction holds already is up to date: nobody else can have touched it.
    Three statements: what is joined to a row that had to be waited for would be older than the row itself.
    """
    held = {number: case for number in numbers if (case := _held(s, number))}
    wanted = sorted(set(numbers).difference(held))
    if not wanted:
        return held
    s.flush()
    ids = list(s.scalars(_LOCKED, {"numbers": wanted}))
    found = [case for some in parts(ids) for case in s.scalars(_WHOLE, {"ids": some}).unique()]
    for case in found:
        _hold(s, case)
    return held | {case.number: case for case in found}


def numbered(s: Session, number: str) -> Case | None:
    """The case with that number; what this transaction holds is at hand."""
    held = s.info.get("held", {}).get(number)
    return held.case if held else s.scalars(select(Case).where(Case.number == number)).first()


def lock_with_root(s: Session, case: Case, into: Case) -> Case:
    """Locks both cases and all they were merged into, and returns the root of `into`.

    Looks again until nobody moved a root meanwhile.
    """
    while True:
        family = {each.id: each for each in (*_chain(s, case), *_chain(s, into))}
        if all(_is_held(s, each) for each in family.values()):
            return _chain(s, into)[-1]
        with attempt(s):
            lock(s, *family.values())
            chain = _chain(s, into)
            if all(each.id in family for each in (*chain, *_chain(s, case))):
                return chain[-1]
            raise Moved


def lock_numbered_with_root(s: Session, numbers: Collection[str], into: Case) -> tuple[dict[str, Case], Case]:
    """The same for many cases by number, those that `into` was merged into among them; and its root."""
    while True:
        chain = [each.number for each in _chain(s, into)]
        with attempt(s):
            found = lock_numbered(s, {*numbers, *chain})
            root = _chain(s, into)[-1]
            if root.number in found:
                return found, root
            raise Moved


def lock_to_roots(s: Session, wanted: Collection[Case]) -> None:
    """Locks these cases with all that they were merged into: nobody reopens one, and nobody places a hold
    that covers one, until the transaction ends.

    Looks again until nobody merged one meanwhile. Three statements, but for what was not read yet; none where
    all are held already.
    """
    while True:
        family = {each.number: each for case in wanted for each in _chain(s, case)}
        if all(_is_held(s, each) for each in family.values()):
            return
        with attempt(s):
            lock_numbered(s, family)
            if all(each.number in family for case in wanted for each in _chain(s, case)):
                return
            raise Moved


@contextmanager
def attempt(s: Session) -> Iterator[None]:
    """Lets go of what is locked in it where it raises Moved; otherwise that is held like all before it."""
    with suppress(Moved):
        with events.savepoint(s):
            yield
            inner = s.get_nested_transaction()
        outer = s.get_nested_transaction() or s.get_transaction()
        for held in list(s.info.get("held", {}).values()):
            if held.since is inner:
                s.info["held"][held.case.number] = held._replace(since=outer)


def parts(all_: Sequence[T]) -> Iterator[Sequence[T]]:
    """AT_ONCE of them at a time."""
    for start in range(0, len(all_), AT_ONCE):
        yield all_[start : start + AT_ONCE]


def _chain(s: Session, case: Case) -> list[Case]:
    """The case and what it was merged into, up to the root."""
    chain = [case]
    while chain[-1].merged_into_id is not None:
        chain.append(s.get_one(Case, chain[-1].merged_into_id))
    return chain


def _hold(s: Session, case: Case) -> None:
    since = s.get_nested_transaction() or s.get_transaction()
    s.info.setdefault("held", {})[case.number] = _Held(case, since)
    board_index.mark_dirty(s, case)


def _is_held(s: Session, case: Case) -> bool:
    return _held(s, case.number) is not None


def _held(s: Session, number: str) -> Case | None:
    held: _Held | None = s.info.get("held", {}).get(number)
    return held.case if held and held.since and held.since.is_active else None
