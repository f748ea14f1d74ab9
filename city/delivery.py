"""Sends the outbox by e-mail and tries again. What a message says is rendered by the caller."""

import logging
import mailbox
import smtplib
import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from city import db
from city.schema import Message

SMTP_SECONDS = 20
# A minute, two, four … then every twelve hours: a mail server down for a long weekend loses no message.
TRIES = 18
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=12)
# How long whoever sends a message has it alone: longer than the slowest mail server is waited for.
CLAIM = timedelta(minutes=5)

log = logging.getLogger("cityline.delivery")

Render = Callable[[Session, Message], EmailMessage | None]


class Mailer(Protocol):
    """Something that takes one message or raises OSError or SMTPException."""

    def send(self, message: EmailMessage) -> None: ...


def open_mailer(url: str) -> Mailer:
    """The mailer for SMTP_URL: `file:/folder` (a Maildir, for trying out) or `smtp(s)://user:word@host:port`."""
    return MaildirMailer(Path(url[5:])) if url.startswith("file:") else SmtpMailer(url)


class MaildirMailer:
    """Puts messages into a Maildir that any mail program can open."""

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._box = mailbox.Maildir(folder, create=True)

    def send(self, message: EmailMessage) -> None:
        self._box.add(message)


class SmtpMailer:
    """Hands messages to the city's mail server, one connection a message."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def send(self, message: EmailMessage) -> None:
        host, secure = self._url.hostname or "localhost", self._url.scheme == "smtps"
        port = self._url.port or (465 if secure else 25)
        tls = ssl.create_default_context()
        plain = (
            smtplib.SMTP(timeout=SMTP_SECONDS)
            if not secure
            else smtplib.SMTP_SSL(context=tls, timeout=SMTP_SECONDS)
        )
        with plain as smtp:
            smtp.connect(host, port)
            smtp.ehlo_or_helo_if_needed()
            if not secure and (self._url.username or smtp.has_extn("starttls")):
                smtp.starttls(
                    context=tls
                )  # a password never goes over an open line, and words only if need be
            if self._url.username:
                smtp.login(unquote(self._url.username), unquote(self._url.password or ""))
            smtp.send_message(message)


def send_due(engine: Engine, mailer: Mailer, render: Render, now: datetime, limit: int = 50) -> int:
    """Tries every message that is due; returns how many went out.

    Of several that send at once one claims each message. Sent is recorded after sending: a crash in between
    sends one message twice, once its claim is over, never none.
    """
    with db.reading(engine) as s:
        due = list(
            s.scalars(select(Message.id).where(Message.next_try_at <= now).order_by(Message.id).limit(limit))
        )
    began = time.monotonic()

    def passed() -> timedelta:
        return timedelta(seconds=time.monotonic() - began)  # a slow mail server takes minutes for them all

    return sum(_try(engine, mailer, render, message_id, now + passed()) for message_id in due)


def again(s: Session, message: Message, *, at: datetime) -> bool:
    """Puts a message that was not sent back into the outbox, as if it were new; False for one that was."""
    if message.sent_at:
        return False
    message.tries, message.next_try_at = 0, at
    return True


def _claim(engine: Engine, message_id: int, now: datetime) -> bool:
    due = Message.id == message_id, Message.next_try_at <= now
    with db.transaction(engine) as s:
        claimed = update(Message).where(*due).values(next_try_at=now + CLAIM).returning(Message.id)
        return s.scalar(claimed) is not None


def _try(engine: Engine, mailer: Mailer, render: Render, message_id: int, now: datetime) -> bool:
    if not _claim(engine, message_id, now):
        return False
    letter, fault = None, None
    # Any fault, also one in the words of a single letter, must hold up that letter only.
    try:
        with db.reading(engine) as s:
            message = s.get(Message, message_id)
            letter = render(s, message) if message else None
        if letter:
            mailer.send(letter)
    except Exception as problem:
        log.warning("message %s was not sent", message_id, exc_info=problem)
        fault = f"{type(problem).__name__}: {problem}"[:300]
    with db.transaction(engine) as s:
        message = s.get(Message, message_id)
        if message is None:  # erased while it was being sent
            return False
        message.tries += 1
        message.fault = fault
        if fault:
            wait = min(FIRST_WAIT * 2 ** (message.tries - 1), LONGEST_WAIT)
            message.next_try_at = now + wait if message.tries < TRIES else None
        else:
            message.next_try_at = None
            message.sent_at = now if letter else None
    return fault is None and letter is not None
