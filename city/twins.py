"""Two cases that look like one: somebody looked and said that they are two, or takes that back.

What makes them look alike is duplicates.py's; making them one is a merge.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from city import duplicates, events, locks
from city.cases import subject
from city.events import Actor
from city.lifecycle import Refused, may
from city.schema import Case, ToldApart

# What the log of both cases says of it. It changes neither of them.
KINDS: Final = ("tell apart", "one again")


def tell_apart(s: Session, case: Case, other: Case, *, by: Actor, at: datetime) -> bool:
    """The two are two problems: the board neither offers nor marks one as the other any more.

    False where that was said before. Raises Refused `not_allowed`, and `merge_cycle` for a case and itself.
    """
    may("tell apart", by.roles)
    if case.id == other.id:
        raise Refused("merge_cycle")
    locks.lock(s, case, other)
    if _said(s, case, other):
        return False
    first, second = sorted((case.id, other.id))
    s.add(ToldApart(case_id=first, other_id=second))
    _note(s, case, other, "tell apart", by=by, at=at)
    return True


def take_back(s: Session, case: Case, other: Case, *, by: Actor, at: datetime) -> bool:
    """The two may be one problem after all. False where nobody had told them apart."""
    may("tell apart", by.roles)
    locks.lock(s, case, other)
    said = _said(s, case, other)
    if said is None:
        return False
    s.delete(said)
    _note(s, case, other, "one again", by=by, at=at)
    return True


def told_apart(s: Session, case: Case) -> set[int]:
    """The ids of the cases that somebody told apart from this one."""
    pairs = select(ToldApart).where(or_(ToldApart.case_id == case.id, ToldApart.other_id == case.id))
    return {pair.other_id if pair.case_id == case.id else pair.case_id for pair in s.scalars(pairs)}


def _said(s: Session, case: Case, other: Case) -> ToldApart | None:
    return s.get(ToldApart, tuple(sorted((case.id, other.id))))


def _note(s: Session, case: Case, other: Case, kind: str, *, by: Actor, at: datetime) -> None:
    """Records it of both, and looks again what each of them is probably one with."""
    s.flush()
    for one, two in ((case, other), (other, case)):
        duplicates.mark(s, [one], apart=told_apart(s, one))
        events.record(s, subject(one), kind, by=by, at=at, facts={"case": two.number})
