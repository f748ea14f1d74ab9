"""Tails the log and decides who should hear of what. Writes outbox rows; sends nothing."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from city import events
from city.lifecycle import CLOSED
from city.schema import Case, Event, Follower, Message, Report, Subscription

NAME = "notices"
SEEN_EVERY = timedelta(seconds=20)  # a sign of life for /readyz, not a write a second
# What a reporter hears of, and the kind of message it makes.
TOLD = {"close": "closed", "reopen": "reopened"}


def follow(s: Session, now: datetime, limit: int = 500) -> int:
    """Reads the next lines of the log and queues their messages; returns how many lines were read.

    Reading a line twice makes no second message: one a subscription, event and kind.
    """
    place = s.get(Follower, NAME) or Follower(name=NAME, seq=0, seen_at=now)
    s.add(place)
    lines = events.since(s, place.seq, limit)
    for line in lines:
        for subscription, kind in _heard_by(s, line):
            _queue(s, line, subscription, kind, now)
    if lines:
        place.seq = lines[-1].seq
    if lines or now - place.seen_at > SEEN_EVERY:
        place.seen_at = now
    return len(lines)


def _heard_by(s: Session, line: Event) -> list[tuple[Subscription, str]]:
    if line.origin != "live":
        return []  # nobody is mailed about an imported or invented past
    if line.kind == "subscribe":
        found = s.get(Subscription, line.facts["subscription"])
        return [(found, "receipt")] if found else []
    if line.kind == "merge" and line.facts.get("closed"):  # what it was merged into is done already
        return [(subscription, "closed") for subscription in _subscribers(s, _case_id(line))]
    if line.kind == "take back" and line.was == CLOSED:  # they were told that it is closed
        return [(subscription, "reopened") for subscription in _subscribers(s, _case_id(line))]
    if line.kind not in TOLD:
        return []
    return [(subscription, TOLD[line.kind]) for subscription in _subscribers(s, _case_id(line))]


def _case_id(line: Event) -> int:
    return int(line.subject.partition(":")[2])


def _queue(s: Session, line: Event, subscription: Subscription, kind: str, now: datetime) -> None:
    """One message, also when the line is read again after a restore of the follower's place."""
    known = select(Message.id).where(
        Message.event_seq == line.seq, Message.subscription_id == subscription.id, Message.kind == kind
    )
    if s.scalar(known) is None:
        s.add(Message(event_seq=line.seq, subscription_id=subscription.id, kind=kind, next_try_at=now))


def _subscribers(s: Session, case_id: int) -> list[Subscription]:
    """Everybody with a confirmed address at this case or at one merged into it."""
    family, reached = [case_id], [case_id]
    while reached:
        reached = list(s.scalars(select(Case.id).where(Case.merged_into_id.in_(reached))))
        family += reached
    return list(
        s.scalars(
            select(Subscription)
            .join(Report, Report.id == Subscription.report_id)
            .where(Report.case_id.in_(family))
            .where(Subscription.confirmed_at.is_not(None), Subscription.stopped_at.is_(None))
            .order_by(Subscription.id)
        )
    )
