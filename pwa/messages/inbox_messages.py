"""What the desk writes back to whoever wrote to the city before there is a case. Sends nothing."""

import re
from collections.abc import Callable
from email.message import EmailMessage
from typing import Final

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.channels import LETTER, TEXT
from city.db.models import Message
from city.inbox import entries
from city.notifications.sms import SmsMessage
from pwa.messages import envelopes
from pwa.web import access

_ANSWERED: Final = re.compile(r"^((re|aw|rv)\s*:\s*)+", re.IGNORECASE)


def _letter(s: Session, message: Message) -> EmailMessage | None:
    found = entries.replied(s, message.subscription.place or "")
    if found is None:
        return None
    entry, words = found
    subject = _ANSWERED.sub("", entry.subject)
    title = f"Re: {subject}" if subject else _("Your message to the city")
    return envelopes.letter(message, title, "reply", stop="", words=words, said=entry.words)


def _text(s: Session, message: Message) -> SmsMessage | None:
    found = entries.replied(s, message.subscription.place or "")
    if found is None:
        return None
    return envelopes.plain_text(message, f"{access.current_city().city.name} 311: {found[1]}")


WRITERS: Final[dict[str, Callable[[Session, Message], EmailMessage | SmsMessage | None]]] = {
    LETTER: _letter,
    TEXT: _text,
}
