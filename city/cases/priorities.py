"""A priority that staff raise or lower: the case goes before others, or waits for its turn again.

Transitions like those of transitions.py. What the system raises by itself, because many have reported it, is
reporter_count.py.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, reporter_count
from city.cases.queries import family_of
from city.cases.transitions import bump_version, subject
from city.db.models import Case
from city.lifecycle import OPEN, Refused, may


def raise_priority(s: Session, case: Case, *, by: Actor, at: datetime, undoes: int | None = None) -> bool:
    """The case goes before others, behind danger. Raises Refused `wrong_state` for one that has ended.

    `undoes` is the id of a batch whose lowering this only takes back: cases/reporter_count.py counts neither.
    """
    return _turn(s, case, True, by, at, undoes)


def lower_priority(s: Session, case: Case, *, by: Actor, at: datetime, undoes: int | None = None) -> bool:
    """The case waits for its turn again. Raises Refused, and takes `undoes`, as raise_priority() does."""
    return _turn(s, case, False, by, at, undoes)


def _turn(s: Session, case: Case, raised: bool, by: Actor, at: datetime, undoes: int | None) -> bool:
    kind = "raise priority" if raised else "lower priority"
    may("priority", by.roles)
    locks.lock(s, case)
    if case.raised is raised:
        return False
    if case.state not in OPEN:
        raise Refused("wrong_state", move=kind, state=case.state)
    case.raised = raised
    facts = {"undoes": undoes} if undoes else {}
    if not raised and not undoes:  # cases/reporter_count.py asks for more than were known
        facts["people"] = reporter_count.count(s, family_of(s, case.id))
    events.record(s, subject(case), kind, by=by, at=at, facts=facts)
    bump_version(s, case)
    return True
