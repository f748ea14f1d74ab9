"""Danger that nobody has accepted: which cases wait so, when the log says that they ring, and for whom.

A case waits so while it is open, somebody can be hurt there, and since that was told nobody at the city has
taken it on: it is new, or it came back, or danger was told anew, and no crew has it. What the log holds
decides, so nothing has to be kept beside it. Sends nothing: fan_out.py reads the lines.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, String, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import locks
from city.cases.board_index import URGENT
from city.channels import PUSH, SMS
from city.db import engine as db
from city.db.models import IS_OPEN, Case, DutyShift, Event, Message, Subscription
from city.lifecycle import ACCEPTED, NEW, Refused
from city.notifications import subscriptions
from city.notifications.subscriptions import DUTY, Target
from city.people import accounts, callers, duty

RING: Final = "ring"  # the line of the log
KIND: Final = "danger"  # of the messages that it makes
RINGING: Final = (PUSH, SMS)
AT_ONCE: Final = 200  # cases in one statement or transaction
# By these a person takes a case on, or has looked at it.
TAKES: Final = (
    "accept", "assign", "unassign", "start", "pause", "wait", "resume", "make safe", "needs parts",
    "reviewed", "take on", "reopen", "restore", "unmerge", "undo batch", "close",
)  # fmt: skip
# By these danger is told, or is there again.
TELLS: Final = ("open", "report", "join", "reopen", "restore", "reclassify", "resume")
A_PERSON: Final = "person:"


@dataclass(frozen=True)
class Waiting:
    """A dangerous case that nobody has accepted: since when; when it rang last since then, for how many."""

    case_id: int
    number: str
    since: datetime
    rang_at: datetime | None
    rung: int

    def rings(self, now: datetime, after: timedelta, again: timedelta, people: int) -> bool:
        """Whether the log is to say so now. `people` is how many can be rung.

        Where nobody could be, that is said once, and whoever comes on duty is rung at once.
        """
        if self.rang_at is None:
            return now >= self.since + after
        if not self.rung:
            return people > 0
        return people > 0 and now >= self.rang_at + again


def sweep(engine: Engine, now: datetime, after: timedelta, again: timedelta) -> int:
    """Writes the lines of the log by which cases ring; returns how many. `after` of zero: none ever do.

    Two workers may sweep at once: each looks again at a case that it holds, so one of them writes the line.
    """
    if not after:
        return 0
    with db.read_session(engine) as s:  # mostly there is nothing to do, and nobody is to wait for that
        people = reachable(s, now)
        due = [each.number for each in _due(s, now, after, again, people)]
    rang = 0
    for first in range(0, len(due), AT_ONCE):
        with db.transaction(engine) as s:
            held = locks.lock_numbered(s, due[first : first + AT_ONCE])
            people = reachable(s, now)
            for each in _due(s, now, after, again, people, [case.id for case in held.values()]):
                events.record(
                    s, events.of_case(each.case_id), RING, by=accounts.THE_SYSTEM, at=now,
                    facts={"people": people},
                )  # fmt: skip
                rang += 1
    return rang


def unaccepted(s: Session, case_ids: Sequence[int] | None = None) -> list[Waiting]:
    """All cases in danger that nobody has accepted, or those of these; the first told first.

    Of what happened here only: an imported or invented past rings nobody.
    """
    asked = select(Case.id, Case.number, Case.state, Case.opened_at).where(*_may_wait())
    found = [
        row
        for part in _parts(case_ids)
        for row in s.execute(asked if part is None else asked.where(Case.id.in_(part))).all()
    ]
    lines = _lines(s, [row.id for row in found])
    waiting = [each for row in found if (each := _waiting(row, lines[row.id]))]
    return sorted(waiting, key=lambda each: (each.since, each.case_id))


def recipients(s: Session, now: datetime) -> list[Subscription]:
    """How everybody on duty is to be rung: each browser and each number that they set up."""
    return list(s.scalars(select(Subscription).where(*_reaches(now)).order_by(Subscription.id)))


def reachable(s: Session, now: datetime) -> int:
    """How many people on duty have set up how they are rung."""
    return s.scalar(select(func.count(Subscription.place.distinct())).where(*_reaches(now))) or 0


def case_of(s: Session, message: Message) -> Case | None:
    """The case for which a message rings."""
    line = s.get(Event, message.event_seq)
    return s.get(Case, int(line.subject.partition(":")[2])) if line else None


def is_still_valid(s: Session, message: Message) -> bool:
    """Whether nobody has accepted the case so far, and it has not rung anew since."""
    case = case_of(s, message)
    if case is None or not unaccepted(s, [case.id]):
        return False
    newest = select(func.max(Event.seq)).where(Event.subject == events.of_case(case.id), Event.kind == RING)
    return s.scalar(newest) == message.event_seq


def since(s: Session, case: Case) -> datetime | None:
    """Since when nobody has accepted it; None where somebody has, or nobody is in danger."""
    return next((each.since for each in unaccepted(s, [case.id])), None)


def target(person_id: int) -> Target:
    """What somebody's browser or number wants to hear of: danger, while they are on duty."""
    return Target("duty", "", place=place(person_id))


def place(person_id: int) -> str:
    """The same as a subscription has it."""
    return f"{DUTY}{person_id}"


def person_of(row: Subscription) -> int:
    """Whose a subscription of the duty is."""
    return int((row.place or "").removeprefix(DUTY))


def ways_of(s: Session, person_id: int) -> list[Subscription]:
    """How somebody is rung, or will be once they confirmed it; the oldest first."""
    mine = Subscription.place == place(person_id), Subscription.stopped_at.is_(None)
    return list(s.scalars(select(Subscription).where(*mine).order_by(Subscription.id)))


def set_number(
    s: Session, person_id: int, phone: str, region: str, *, lang: str, at: datetime
) -> Subscription:
    """The number that is to get texts, once its reader confirmed it; those before it the caller forgets.

    Raises Refused `bad_phone`, and what subscriptions.subscribe() raises.
    """
    number = callers.normal(phone, region)
    if not number:
        raise Refused("bad_phone")
    return subscriptions.subscribe(s, target(person_id), number, channel=SMS, lang=lang, at=at)


def wish_ids(s: Session, person_id: int) -> list[int]:
    """Ids of all that was ever set up to ring for a person, to be forgotten with their account."""
    mine = select(Subscription.id).where(Subscription.place == place(person_id))
    return list(s.scalars(mine.order_by(Subscription.id)))


def numbers_of(s: Session, person_id: int) -> list[Subscription]:
    """All numbers that were ever set up for a person, stopped ones too."""
    mine = Subscription.place == place(person_id), Subscription.channel == SMS
    return list(s.scalars(select(Subscription).where(*mine).order_by(Subscription.id)))


def _due(
    s: Session,
    now: datetime,
    after: timedelta,
    again: timedelta,
    people: int,
    case_ids: Sequence[int] | None = None,
) -> list[Waiting]:
    return [each for each in unaccepted(s, case_ids) if each.rings(now, after, again, people)]


def _may_wait() -> list[ColumnElement[bool] | Any]:
    """What the row of a case says of it: by these few the log need not be read for others."""
    nobody_has_it = or_(Case.state == NEW, and_(Case.state == ACCEPTED, Case.crew_id.is_(None)))
    return [IS_OPEN, Case.rank == URGENT, Case.urgent, ~Case.follow_on, Case.origin == "live", nobody_has_it]


def _lines(s: Session, case_ids: Sequence[int]) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    columns = Event.subject, Event.kind, Event.now, Event.actor, Event.at, Event.facts
    kinds = Event.kind.in_(sorted({*TAKES, *TELLS, RING})) | (Event.now == NEW)
    for part in _parts(case_ids):
        subjects = [events.of_case(case_id) for case_id in part or ()]
        asked = select(*columns).where(Event.subject.in_(subjects), kinds).order_by(Event.seq)
        for row in s.execute(asked):
            found[int(row.subject.partition(":")[2])].append(row)
    return found


def _waiting(row: Any, lines: Sequence[Any]) -> Waiting | None:
    """Goes through the story of a case: who told of danger, who took it on, and when it rang in between."""
    began: datetime | None = None
    rang: datetime | None = None
    rung = 0
    for line in lines:
        by_person = line.actor.startswith(A_PERSON)
        if line.kind == RING:
            rang, rung = line.at, line.facts.get("people", 0)
        elif _tells_of_danger(line, by_person):
            began = began or line.at
        elif by_person and line.kind in TAKES:
            began, rang, rung = None, None, 0
    if began is None and row.state == NEW:  # it came to it otherwise, by a merge perhaps
        began = row.opened_at
    return Waiting(row.id, row.number, began, rang, rung) if began else None


def _tells_of_danger(line: Any, by_person: bool) -> bool:
    """Whether there is danger from then on which nobody at the city has taken on."""
    if line.kind == "open":
        return bool(line.facts.get("urgent"))
    if line.kind in ("report", "join", "reclassify"):
        return bool(line.facts.get("danger"))
    if line.now == NEW:  # a step was taken back
        return True
    return line.kind in ("reopen", "restore", "resume") and not by_person  # a wait may be over by itself


def _reaches(now: datetime) -> list[Any]:
    on_duty = duty.on_duty(now).with_only_columns(literal(DUTY) + cast(DutyShift.person_id, String))
    return [
        Subscription.place.in_(on_duty), Subscription.channel.in_(RINGING),
        Subscription.confirmed_at.is_not(None), Subscription.stopped_at.is_(None),
    ]  # fmt: skip


def _parts(ids: Sequence[int] | None) -> Iterator[Sequence[int] | None]:
    """`ids` in parts that one statement takes; None, which is all of them, as it is."""
    if ids is None:
        yield None
        return
    for first in range(0, len(ids), AT_ONCE):
        yield ids[first : first + AT_ONCE]
