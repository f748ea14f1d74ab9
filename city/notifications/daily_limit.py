"""At most one message a day to a reporter about their case, besides those that wait for nobody.

A receipt, a question and a closing go at once. Whatever else happens within a day of the last message waits
until that day has passed, and goes as one: with every update, and how the case stands then. The day counts
over all channels: what has gone by one of them goes by no other, unless that one failed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from city.cases.queries import family_of, root_of
from city.db.models import Message, Report, Subscription

LIMITED: Final = ("update", "changed", "corrected", "reopened", "late")
DAY: Final = timedelta(days=1)


def is_limited(message: Message) -> bool:
    """Whether it may have to wait; followers of a case asked for each of its changes."""
    return message.kind in LIMITED and message.subscription.report_id is not None


def admit(s: Session, message: Message, *, now: datetime, claimed_until: datetime) -> bool:
    """Whether a claimed message may go out now; otherwise it waits, or is dropped as told by another channel.

    While it goes out, no other one of its reporter does: those wait as long as its claim lasts.
    """
    # Two workers with two messages to one reporter: the second sees what the first has put off.
    held = select(Report.id).where(Report.id == message.subscription.report_id)
    s.execute(held.with_for_update(key_share=True))
    s.refresh(message)
    if message.next_try_at != claimed_until:
        return False
    theirs = Message.subscription_id.in_(_wishes(s, message)), Message.kind.in_(LIMITED)
    same = Message.event_seq == message.event_seq, Message.kind == message.kind
    last = s.scalar(select(func.max(Message.sent_at)).where(*theirs))
    if s.scalar(select(Message.id).where(*theirs, *same, Message.sent_at.is_not(None)).limit(1)):
        message.next_try_at = None
        return False
    if last and now < last + DAY:
        message.next_try_at = last + DAY
        return False
    others = update(Message).where(*theirs, Message.id != message.id, Message.next_try_at < claimed_until)
    s.execute(others.values(next_try_at=claimed_until).execution_options(synchronize_session=False))
    return True


def together(s: Session, message: Message) -> list[Message]:
    """What else waits for the same reader about the same case, the oldest first: it goes in this message."""
    takes: tuple[str, ...] = LIMITED if is_limited(message) else ()
    if message.kind == "closed" and message.subscription.report_id is not None:
        takes = ("update",)  # nobody wants to read a day after the end what was said before it
    if not takes:
        return []
    waits = select(Message).where(
        Message.subscription_id == message.subscription_id, Message.kind.in_(takes),
        Message.id != message.id, Message.next_try_at.is_not(None),
    )  # fmt: skip
    return list(s.scalars(waits.order_by(Message.id)))


def mark_sent(s: Session, ids: Sequence[int], message: Message, *, at: datetime) -> None:
    """These went in this message. In a closing they begin no day: it counts as none itself."""
    sent_at = at if is_limited(message) else None
    gone = update(Message).where(Message.id.in_(ids)).values(sent_at=sent_at, next_try_at=None)
    s.execute(gone.execution_options(synchronize_session=False))


def _wishes(s: Session, message: Message) -> Select[int]:
    """The ids of all wishes of this reporter about the case, at whatever channel."""
    mine = message.subscription
    reported = select(Report).where(Report.id == mine.report_id)
    family = family_of(s, root_of(s, s.scalars(reported).one().case).id)
    there = select(Report.id).where(Report.case_id.in_(family))
    return select(Subscription.id).where(
        or_(
            Subscription.report_id == mine.report_id,
            (Subscription.address == mine.address) & Subscription.report_id.in_(there),
        )
    )
