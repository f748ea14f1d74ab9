"""Sends the letters of people.account_letters, and tries them again."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from city.db import engine as db
from city.db.models import AccountLetter
from city.notifications.sender import PermanentFailure, Sender

AGAIN = timedelta(seconds=15)  # whoever waits for a code sits before the page
CLAIM = timedelta(minutes=5)  # how long whoever sends one has it alone: longer than a slow mail server takes
KEPT = timedelta(days=1)
LAST_TRY = timedelta(hours=1)  # within which somebody hears that it could not be sent
AT_ONCE = 50

log = logging.getLogger("cityline.accountmail")

Refused = Callable[[Session, AccountLetter, str], None]
Write = Callable[[Session, AccountLetter], EmailMessage | None]  # None: it is nobody's, or over by now


def send_due(
    engine: Engine,
    channel: Sender,
    write: Write,
    now: datetime,
    *,
    stop: Callable[[], bool] = lambda: False,
    refused: Refused = lambda s, letter, why: None,
) -> int:
    """Tries every letter that is due until `stop`; returns how many went out.

    What is sent, or nobody's, is forgotten; `refused` hears first of what no mailbox takes, and of what could
    not be sent in time. A crash in between sends one letter twice, never none.
    """
    with db.read_session(engine) as s:
        due = select(AccountLetter.id).where(AccountLetter.next_try_at <= now)
        ids = list(s.scalars(due.order_by(AccountLetter.id).limit(AT_ONCE)))
    sent = 0
    for number in ids:
        if stop():
            break
        sent += _try(engine, channel, write, number, now, refused)
    return sent


def late(s: Session, before: datetime) -> int:
    """How many wait since before that moment."""
    return s.scalar(select(func.count()).where(AccountLetter.made_at < before)) or 0


def sweep(s: Session, at: datetime) -> int:
    """Forgets letters that could not be sent within a day; returns how many."""
    gone = s.execute(delete(AccountLetter).where(AccountLetter.made_at < at - KEPT - LAST_TRY))
    return int(getattr(gone, "rowcount", 0))


def _try(engine: Engine, channel: Sender, write: Write, number: int, now: datetime, refused: Refused) -> bool:
    mine = AccountLetter.id == number
    with db.transaction(engine) as s:
        due = update(AccountLetter).where(mine, AccountLetter.next_try_at <= now)
        claimed = s.scalar(due.values(next_try_at=now + CLAIM).returning(AccountLetter.id))
    if claimed is None:
        return False
    sent, over, why = False, False, ""
    try:
        with db.read_session(engine) as s:
            letter = s.get(AccountLetter, number)
            written = write(s, letter) if letter else None
        if written:
            channel.send(written)
        sent, over = written is not None, True
    except Exception as fault:  # of one letter: it must not hold up another
        log.warning("account letter %s wasn't sent", number, exc_info=fault)
        over = isinstance(fault, PermanentFailure)
        why = str(fault)
    with db.transaction(engine) as s:
        letter = s.get(AccountLetter, number)
        over = over or (letter is not None and letter.made_at < now - KEPT)
        if letter and over and not sent and why:
            refused(s, letter, why)
        if over:
            s.execute(delete(AccountLetter).where(mine))
        else:
            s.execute(update(AccountLetter).where(mine).values(next_try_at=now + AGAIN))
    return sent
