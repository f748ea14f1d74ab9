"""Two cases that look like one: somebody looked and said that they are two, or takes that back.

What makes them look alike is duplicates.py's, and so is what is kept of them; making them one is a merge.
"""

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import duplicates, locks
from city.cases.transitions import root_of, subject
from city.db.models import Case
from city.lifecycle import Refused, may

# What the log of both cases says of it. It changes neither of them.
KINDS: Final = ("tell apart", "one again")


def mark_not_duplicate(s: Session, case: Case, other: Case, *, by: Actor, at: datetime) -> bool:
    """The two are two problems: the board neither offers nor marks one as the other any more.

    False where that was said before. Raises Refused `not_allowed`, and `merge_cycle` for a case and itself,
    or what was merged into it.
    """
    may("tell apart", by.roles)
    locks.lock(s, case, other)
    if root_of(s, case).id == root_of(s, other).id:  # itself, or merged meanwhile
        raise Refused("merge_cycle")
    return duplicates.remember_not_duplicate(s, case, other) and _record_both(
        s, case, other, "tell apart", by=by, at=at
    )


def unmark_not_duplicate(s: Session, case: Case, other: Case, *, by: Actor, at: datetime) -> bool:
    """The two may be one problem after all, and the later is marked again as when it was told.

    False where nobody had told them apart. Raises Refused `not_allowed`.
    """
    may("tell apart", by.roles)
    locks.lock(s, case, other)
    if not duplicates.forget_not_duplicate(s, case, other):
        return False
    later = max(case, other, key=lambda each: (each.opened_at, each.id))
    duplicates.flag_probable(s, [later], apart=duplicates.is_not_duplicate(s, later))
    return _record_both(s, case, other, "one again", by=by, at=at)


def _record_both(s: Session, case: Case, other: Case, kind: str, *, by: Actor, at: datetime) -> bool:
    for one, two in ((case, other), (other, case)):
        events.record(s, subject(one), kind, by=by, at=at, facts={"case": two.number})
    return True
