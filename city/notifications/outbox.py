"""Sends the outbox, each message by its channel, and tries again. What a message says is the caller's."""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from sqlalchemy import Engine, Select, func, or_, select, update
from sqlalchemy.orm import Session

from city.channels import CHANNELS, LETTER, SILENT
from city.db import engine as db
from city.db.models import Case, Message, Report, Subscription
from city.notifications import daily_limit, danger_alarm
from city.notifications.sender import PermanentFailure, Sender, SubscriptionGone
from city.settings import Settings

# A minute, two, four … then every twelve hours: a mail server down for a long weekend loses no message.
TRIES = 18
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=12)
# How long whoever sends a message has it alone: longer than the slowest mail server is waited for.
CLAIM = timedelta(minutes=5)
# What a slow server leaves is due in the next round, after what was not tried yet.
ROUND = timedelta(seconds=10)

log = logging.getLogger("cityline.delivery")

Render = Callable[
    [Session, Message], Any | None
]  # what the message's channel takes; None: not wanted any more
Senders = Mapping[str, Sender]  # by the name of their channel


def open_senders(settings: Settings) -> Senders:
    """What sends by every channel."""
    rooms = {name: import_module(f"city.notifications.{each.sender}") for name, each in CHANNELS.items()}
    return {name: room.open_sender(settings) for name, room in rooms.items()}


def idempotency_key(secret: str, message: Message) -> str:
    """What a message is known by outside: the same however often it is sent, and no other one's."""
    told = f"message:{message.event_seq}:{message.subscription_id}:{message.kind}"
    return hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:32]


def send_due(
    engine: Engine,
    senders: Senders,
    render: Render,
    now: datetime,
    limit: int = 50,
    *,
    quiet: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Tries every message of `senders` that is due until `stop`, new ones first; returns how many went out.

    In `quiet` hours no phone rings. Of several that send at once one claims each message. Sent is recorded
    after sending: a crash in between sends one message twice, once its claim is over, never none.
    """
    with db.read_session(engine) as s:
        asked = (
            select(Message.id)
            .join(Subscription, Subscription.id == Message.subscription_id)
            .where(Message.next_try_at <= now, Subscription.channel.in_(senders))
            .order_by(Message.tries > 0, Message.id)
            .limit(limit)
        )
        due = list(s.scalars(_that_may_go_at_night(asked) if quiet else asked))
    began, sent = time.monotonic(), 0
    for message_id in due:
        passed = timedelta(seconds=time.monotonic() - began)  # a slow mail server takes minutes for them all
        if passed > ROUND or stop():
            break
        sent += _try(engine, senders, render, message_id, now + passed)
    return sent


def retry(s: Session, message: Message, *, at: datetime) -> bool:
    """Puts a message that was not sent back into the outbox, as if it were new; False for one that was."""
    if message.sent_at:
        return False
    message.tries, message.next_try_at = 0, at
    return True


def retry_all(s: Session, *, at: datetime) -> int:
    """Puts every message that was given up back into the outbox; returns how many.

    Those that wait for their next try keep their place: a server that is down is not asked by all at once.
    """
    given_up = Message.sent_at.is_(None), Message.fault.is_not(None), Message.next_try_at.is_(None)
    back = update(Message).where(*given_up).values(tries=0, next_try_at=at).returning(Message.id)
    return len(s.scalars(back).all())


def _that_may_go_at_night(asked: Select[int]) -> Select[int]:
    """A letter rings nobody; danger waits for no morning; and who asks for texts now is awake."""
    awake = "receipt", danger_alarm.KIND
    return (
        asked.outerjoin(Report, Report.id == Subscription.report_id)
        .outerjoin(Case, Case.id == func.coalesce(Report.case_id, Subscription.case_id))
        .where(or_(Subscription.channel.in_(SILENT), Message.kind.in_(awake), Report.danger, Case.urgent))
    )


def _claim(engine: Engine, message_id: int, now: datetime) -> bool:
    due = Message.id == message_id, Message.next_try_at <= now
    with db.transaction(engine) as s:
        claimed = update(Message).where(*due).values(next_try_at=now + CLAIM).returning(Message.id)
        return s.scalar(claimed) is not None


def _try(engine: Engine, senders: Senders, render: Render, message_id: int, now: datetime) -> bool:
    if not _claim(engine, message_id, now) or not _may_go(engine, message_id, now):
        return False
    sent, fault, final, gone = False, None, False, False
    with_it: list[int] = []
    # Any fault, also one in the words of a single letter, must hold up that letter only.
    try:
        sent, with_it = _send(engine, senders, render, message_id)
    except SubscriptionGone:
        gone = True
    except Exception as problem:
        log.warning("message %s wasn't sent", message_id, exc_info=problem)
        fault, final = f"{type(problem).__name__}: {problem}"[:300], isinstance(problem, PermanentFailure)
    with db.transaction(engine) as s:
        if message := s.get(Message, message_id):  # it may have been erased while it was being sent
            message.tries += 1
            message.fault = fault
            over = final or message.tries >= TRIES
            message.next_try_at = now + _wait(message.tries) if fault and not over else None
            message.sent_at = now if sent else None
            if sent and message.kind == "receipt":
                _note_receipt(message.subscription, now)
            daily_limit.mark_sent(s, with_it, message, at=now)
            if gone:
                message.subscription.stopped_at = now
    return sent


def _note_receipt(wish: Subscription, now: datetime) -> None:
    """A mailbox that got a report's receipt hears of that report. A text asks first: it may cost."""
    if wish.report_id is not None and CHANNELS[wish.channel].takes == LETTER:
        wish.receipt_at = now


def _may_go(engine: Engine, message_id: int, now: datetime) -> bool:
    """Whether its reader has had no other message today that it would have to wait for."""
    with db.transaction(engine) as s:
        message = s.get(Message, message_id)
        if message is None or not daily_limit.is_limited(message):
            return True
        return daily_limit.admit(s, message, now=now, claimed_until=now + CLAIM)


def _send(engine: Engine, senders: Senders, render: Render, message_id: int) -> tuple[bool, list[int]]:
    """Whether it went out, and what went with it; it does not where nobody wants it any more."""
    with db.read_session(engine) as s:
        message = s.get(Message, message_id)
        with_it = [each.id for each in daily_limit.together(s, message)] if message else []
        what, channel = (render(s, message), message.subscription.channel) if message else (None, "")
    if what is None:
        return False, []
    senders[channel].send(what)
    return True, with_it


def _wait(tries: int) -> timedelta:
    return min(FIRST_WAIT * (1 << (tries - 1)), LONGEST_WAIT)
