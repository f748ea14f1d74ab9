"""How many people have told of a case, those of merged cases included; many of them raise its priority.

The system raises a case once so many have told of it as its service says. What staff have lowered since stays
low until twice as many have. Separating a merged case counts again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases.queries import family_of
from city.db.models import Case, Event, Report, Subscription
from city.lifecycle import OPEN
from city.people import accounts

# Times as many as when staff lowered it: they knew of those, and as many again are news.
AGAIN: Final = 2


def count(s: Session, case_ids: Sequence[int], until: datetime | None = None) -> int:
    """How many different people's reports these cases have, or had at `until`.

    Reports that share an address for news are one person's; of the others each is somebody's own.
    """
    asked = (
        select(Report.id, Subscription.address)
        .outerjoin(Subscription, Subscription.report_id == Report.id)
        .where(Report.case_id.in_(case_ids))
        .order_by(Report.id)
    )
    rows = s.execute(asked.where(Report.taken_at <= until) if until else asked).all()
    somebody: dict[str | int, str | int] = {}  # an address or a report → another one of the same person

    def first(one: str | int) -> str | int:
        while somebody.setdefault(one, one) != one:
            one = somebody[one]
        return one

    for report, address in rows:
        somebody[first(address or report)] = first(report)
    return len({first(report) for report, _address in rows})


def reporter_added(s: Session, case: Case, *, at: datetime) -> None:
    """More have told of the case: raises its priority once they are many.

    The caller holds the case and says that it was touched; so with reporter_removed().
    """
    if case.raised or case.state not in OPEN:
        return
    s.flush()
    told = count(s, family_of(s, case.id))
    if told >= case.service.many and told >= _enough(s, case):  # mostly the log need not be asked
        _turn(s, case, True, told, at)


def reporter_removed(s: Session, case: Case, *, at: datetime) -> None:
    """Reports were separated from the case: takes back what the system had raised and would not raise now."""
    if not case.raised or case.state not in OPEN:
        return
    s.flush()
    told = count(s, family_of(s, case.id))
    last = _last_turn(s, case)
    if last and _is_ours(last) and told < _enough(s, case):  # staff have reasons of their own
        _turn(s, case, False, told, at)


def _turn(s: Session, case: Case, raised: bool, told: int, at: datetime) -> None:
    case.raised = raised
    kind, facts = "raise priority" if raised else "lower priority", {"people": told}
    events.record(s, events.of_case(case.id), kind, by=accounts.THE_SYSTEM, at=at, facts=facts)


def _is_ours(turn: Event) -> bool:
    return turn.actor == accounts.THE_SYSTEM.name


def _enough(s: Session, case: Case) -> int:
    """How many raise the case: as its service says, or twice as many as when staff lowered it last."""
    last = _last_turn(s, case, of_staff=True)
    known = last.facts.get("people", 0) if last else 0
    return max(case.service.many, AGAIN * int(known))


def _last_turn(s: Session, case: Case, *, of_staff: bool = False) -> Event | None:
    """The last turn of its priority, or the last of staff; a batch's that was undone is none, nor its
    undoing."""
    kinds = Event.kind.in_(("raise priority", "lower priority"))
    asked = select(Event).where(Event.subject == events.of_case(case.id), kinds)
    turns = iter(s.scalars(asked.order_by(Event.n.desc())))
    for turn in turns:
        if "undoes" not in turn.facts:
            if of_staff and _is_ours(turn):
                continue
            return turn
        next(turns)  # what it undid: nothing else can have happened between
    return None
