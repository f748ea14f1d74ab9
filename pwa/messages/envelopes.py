"""How a message's words go into what its channel takes: headers, topic, the way to stop. Sends nothing."""

from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

from flask_babel import get_locale
from flask_babel import gettext as _

from city.db.models import Message, Subscription
from city.inbox import entries, reply_address
from city.inbox.reply_address import ENTRY, REPORT
from city.notifications import outbox, webpush
from city.notifications.sms import SmsMessage
from city.notifications.webpush import Note
from pwa.messages import letters
from pwa.messages.letters import Picture
from pwa.web import access


def letter(
    message: Message,
    subject: str,
    template: str,
    *,
    stop: str,
    pictures: Sequence[Picture] = (),
    **facts: Any,
) -> EmailMessage:
    """An email by its template; `stop` is where a mail program ends the news by itself (RFC 8058)."""
    settings, row = access.current_city().settings, message.subscription
    written = letters.begin(row.address, subject)
    # The same at every try: a mailbox that gets it twice, after a worker was killed, knows it for one.
    host = urlsplit(settings.base_url).hostname
    written["Message-ID"] = f"<{outbox.idempotency_key(settings.secret_key, message)}@{host}>"
    if answers := _answers_to(row):
        written["Reply-To"] = answers
    if stop:
        written["List-Unsubscribe"] = f"<{stop}>"
        written["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    letters.write(written, template, pictures=pictures, **facts)
    return written


def _answers_to(row: Subscription) -> str:
    """Where answers go by themselves: to the report's case, or to the desk's entry. "" where to nowhere.

    An address that nobody confirmed may be a stranger's, and a stranger does not write for a reporter.
    """
    settings = access.current_city().settings
    if row.report_id and row.confirmed_at:
        return reply_address.signed(settings.mail_address, settings.secret_key, REPORT, row.report_id)
    if row.place and row.place.startswith(entries.PLACE):
        number = int(row.place.removeprefix(entries.PLACE).partition(":")[0])
        return reply_address.signed(settings.mail_address, settings.secret_key, ENTRY, number)
    return ""


def push_note(
    message: Message,
    title: str,
    body: str,
    link: str,
    *,
    urgent: bool,
    topic: str = "",
    ttl: timedelta = webpush.TTL,
) -> Note:
    """A notification; a later one about the same wish, or of the same `topic`, takes its place."""
    row, locale = message.subscription, get_locale()
    return Note(
        endpoint=row.address, keys=row.keys or {}, topic=topic or webpush.topic(f"subscription:{row.id}"),
        title=title, body=body, link=link, lang=row.lang,
        direction=locale.text_direction if locale else "ltr", urgent=urgent, ttl=ttl,
    )  # fmt: skip


def plain_text(message: Message, words: str) -> SmsMessage:
    """A text that is an answer: whoever asked gets no way to stop what they began."""
    key = outbox.idempotency_key(access.current_city().settings.secret_key, message)
    return SmsMessage(message.subscription.address, words, key)


def text(message: Message, words: str, *, stop: str) -> SmsMessage:
    """A text; how to stop stands in each but the one that asks whether there are to be any."""
    if message.kind != "receipt":
        words += "\n" + _("Stop texts: %(link)s", link=stop)
    return plain_text(message, words)
