"""What rings for those on duty: what it is, exactly where, and since when it waits. Sends nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.channels import NOTE, TEXT
from city.db.models import Case, Message
from city.notifications import danger_alarm, webpush
from city.notifications.sms import SmsMessage
from city.notifications.webpush import Note
from city.people import duty
from city.reports import intake
from pwa.messages import envelopes, letters
from pwa.web import access, formatting, localization

LIVES: Final = timedelta(hours=1)  # how long a push service keeps it: older than that, it has rung again


@dataclass(frozen=True)
class _Alarm:
    """The parts of one message."""

    case: Case
    title: str
    where: str
    since: str
    link: str


def _note(s: Session, message: Message) -> Note | None:
    told = _alarm(s, message)
    if told is None:
        return None
    body = "\n".join((told.where, told.since))
    return envelopes.push_note(
        message, told.title, body, told.link, urgent=True,
        topic=webpush.topic(f"danger:{told.case.id}:{message.event_seq}"), ttl=LIVES,
    )  # fmt: skip


def _text(s: Session, message: Message) -> SmsMessage | None:
    told = _alarm(s, message)
    if told is None:
        return None
    row, secret = message.subscription, access.current_city().settings.secret_key
    stop = letters.link("news.news", subscription=row.id, code=intake.news_code(secret, row), stop=1)
    words = f"{told.title}. {told.where}. {told.since} {told.link}"
    return envelopes.text(message, words, stop=stop)


WRITERS: Final[dict[str, Callable[[Session, Message], Note | SmsMessage | None]]] = {
    NOTE: _note,
    TEXT: _text,
}


def _alarm(s: Session, message: Message) -> _Alarm | None:
    """None where its person is not on duty any more, or somebody has accepted the case."""
    case = danger_alarm.case_of(s, message)
    since = danger_alarm.since(s, case) if case else None
    shift = duty.current(s, danger_alarm.person_of(message.subscription), access.now())
    if case is None or since is None or shift is None:
        return None
    return _Alarm(
        case,
        _("Danger: %(what)s (%(number)s)", what=localization.said(case.service.names), number=case.number),
        formatting.place(case.address) if case.address else _("No location"),
        _("No one has accepted it since %(moment)s.", moment=localization.moment(since)),
        letters.link("dispatch.case", number=case.number),
    )
