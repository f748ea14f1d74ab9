"""Fetches mail from the city's mailbox by IMAP, for a city whose mail server hands over none."""

import imaplib
import logging
import ssl
from contextlib import suppress
from datetime import datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from city.inbox import mail, reception
from city.inbox.entries import Full
from city.inbox.reception import Place
from city.photos.processing import Busy

SECONDS: Final = 20
AT_ONCE: Final = 50  # mails in one round

log = logging.getLogger("cityline.inbox")


def fetch(url: str, here: Place, now: datetime) -> int:
    """Takes all that is unseen, and marks it as seen after it is kept; returns how many. `url` is
    imap(s)://user:word@host[:port][/folder]; a word goes over TLS only. Raises OSError where there is no mail
    to be had.
    """
    parts = urlsplit(url)
    try:
        with _connected(parts.scheme, parts.hostname or "", parts.port) as box:
            box.login(unquote(parts.username or ""), unquote(parts.password or ""))
            status, _said = box.select(f'"{unquote(parts.path.strip("/")) or "INBOX"}"')
            if status != "OK":
                raise OSError("the mailbox has no such folder")
            return sum(_take(box, uid, here, now) for uid in _unseen(box))
    except imaplib.IMAP4.error as fault:
        raise OSError(f"the mailbox said {str(fault)[:200]}") from None


def _connected(scheme: str, host: str, port: int | None) -> imaplib.IMAP4:
    tls = ssl.create_default_context()
    if scheme == "imaps":
        return imaplib.IMAP4_SSL(host, port or 993, ssl_context=tls, timeout=SECONDS)
    box = imaplib.IMAP4(host, port or 143, timeout=SECONDS)
    if "STARTTLS" in box.capabilities:
        box.starttls(tls)
    elif host not in ("localhost", "127.0.0.1", "::1"):
        raise OSError("the mailbox offers no TLS")
    return box


def _unseen(box: imaplib.IMAP4) -> list[bytes]:
    _status, found = box.uid("SEARCH", "UNSEEN")
    return (found[0] or b"").split()[:AT_ONCE]


def _take(box: imaplib.IMAP4, uid: bytes, here: Place, now: datetime) -> bool:
    """Whether it is kept. What is too large stays as it lies, and is marked: it is not looked at again."""
    name = uid.decode()
    if _size(box, name) > mail.MOST_BYTES:
        log.warning("A mail in the mailbox is over the limit (UID %s)", name)
    else:
        _status, got = box.uid("FETCH", name, "(BODY.PEEK[])")
        raw = next((part[1] for part in got if isinstance(part, tuple)), None)
        if not isinstance(raw, bytes):
            return False
        with suppress(Full, Busy):  # it stays unseen, and is looked at again
            reception.take_mail(here, raw, to=(), envelope_from=None, at=now)
            box.uid("STORE", name, "+FLAGS", r"(\Seen)")
            return True
        return False
    box.uid("STORE", name, "+FLAGS", r"(\Seen \Flagged)")
    return False


def _size(box: imaplib.IMAP4, uid: str) -> int:
    _status, got = box.uid("FETCH", uid, "(RFC822.SIZE)")
    said = next((part for part in got if isinstance(part, bytes)), b"")
    digits = said.rpartition(b"RFC822.SIZE ")[2].partition(b")")[0].split()
    return int(digits[0]) if digits and digits[0].isdigit() else 0
