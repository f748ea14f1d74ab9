"""Where a mail or a text goes: to the case that it answers, to the inbox, or nowhere, with a reason.

Nothing here writes an answer, so nothing can go round in circles: what a machine wrote is left alone, and a
resident hears of their words by the page, or by the desk. The same thing twice is one.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parseaddr
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.channels import EMAIL, SMS
from city.config.city_file import CityFile
from city.db import engine as db
from city.db.models import CaseMessage, InboxEntry, Photo, PhotoDownload, Report, Subscription
from city.inbox import entries, mail, reply_address
from city.inbox.entries import FORM, VOICEMAIL, Arrival
from city.lifecycle import Refused
from city.people import accounts, callers
from city.photos import photos, processing
from city.photos.processing import BadPhoto, ProcessedPhoto
from city.reports import conversation, intake
from city.settings import Settings
from city.text import is_blank

ANSWER, WAITS, STOPPED, STARTED, HELP, REFUSED = "answer", "inbox", "stop", "start", "help", "refused"
BAD_SIGNATURE: Final = "bad signature"  # a note: it was sent to an address that we did not sign
BAD_PHOTO: Final = "bad photo"  # and one of its pictures is none
MOST_PHOTOS: Final = 5
# What phone companies ask of everybody who sends texts; each is a whole text.
COMMANDS: Final = {
    **dict.fromkeys(("stop", "stopall", "unsubscribe", "cancel", "end", "quit"), (STOPPED, "en")),
    **dict.fromkeys(("alto", "parar", "basta", "cancelar", "baja"), (STOPPED, "es")),
    **dict.fromkeys(("start", "unstop"), (STARTED, "en")),
    **dict.fromkeys(("empezar", "iniciar", "alta"), (STARTED, "es")),
    **dict.fromkeys(("help", "info"), (HELP, "en")),
    **dict.fromkeys(("ayuda",), (HELP, "es")),
}

log = logging.getLogger("cityline.inbox")


@dataclass(frozen=True)
class Place:
    """What of the city a message is taken with."""

    engine: Engine
    var: Path
    secret: str
    mailbox: str  # that residents write to; "" where there is none
    mail_from: str  # the address of the city's own letters
    languages: tuple[str, ...]
    region: str = "US"


def place(settings: Settings, engine: Engine, city: CityFile) -> Place:
    """What this city takes messages with."""
    mail_from = parseaddr(settings.mail_from)[1]
    return Place(
        engine,
        settings.var,
        settings.secret_key,
        settings.mail_address,
        mail_from,
        city.languages,
        city.region,
    )


@dataclass(frozen=True)
class Text:
    """A text as a gateway tells it; `sender` is "" where it is hidden. `media` are addresses of pictures."""

    id: str
    sender: str
    words: str
    media: tuple[str, ...] = ()
    channel: str = SMS
    name: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of it: ANSWER, WAITS, STOPPED, STARTED, HELP, or REFUSED with the reason."""

    what: str
    reason: str = ""
    lang: str = ""


def take_mail(
    here: Place, raw: bytes, *, to: Sequence[str], envelope_from: str | None, at: datetime
) -> Outcome:
    """Takes a mail that was sent to the addresses `to`. Raises Full or Busy where it may come again later."""
    told = mail.read(raw, own=(here.mailbox, here.mail_from), envelope_from=envelope_from)
    if told.ignored:
        log.info("A mail was left alone: %s", told.ignored)
        return Outcome(REFUSED, told.ignored)
    pictures, notes = _pictures(told.images)
    ours = [each for each in (*to, *told.to) if reply_address.is_ours(each, here.mailbox)]
    signed = [found for each in ours if (found := reply_address.read(each, here.mailbox, here.secret))]
    if not signed and any("+" in each for each in ours):
        notes.append(BAD_SIGNATURE)
    # A telephone system's mail: who spoke stands in its words, and its own address answers nobody.
    number = callers.number_in(f"{told.name} {told.subject}", here.region) if told.audio else ""
    is_spoken = told.audio is not None and bool(number or is_blank(told.words))
    new = Arrival(
        told.key, VOICEMAIL if is_spoken else EMAIL, number if is_spoken else told.sender.lower(),
        "" if is_spoken else told.name, told.subject,
        told.words, told.rest, [*told.notes, *notes],
        told.lang if told.lang in here.languages else here.languages[0],
        recording=told.audio,
    )  # fmt: skip
    with db.transaction(here.engine) as s:
        return _known(s, new.key) or _placed(s, here, new, signed[0] if signed else None, pictures, at)


def take_text(here: Place, text: Text, *, at: datetime) -> Outcome:
    """Takes a text, or what another system's form or telephone says. Raises Full."""
    new = Arrival(
        _key("text", text.channel, text.id, text.sender, text.words), text.channel, _sender(here, text),
        text.name[: mail.MOST_OF_A_HEAD], text.subject[: mail.MOST_OF_A_HEAD],
        text.words[: mail.MOST_LETTERS],
        lang=here.languages[0],
    )  # fmt: skip
    with db.transaction(here.engine) as s:
        wishes = _wishes(s, new.sender) if text.channel == SMS and new.sender else []
        if wishes:
            new = replace(new, lang=wishes[0].lang)
        command = COMMANDS.get(text.words.strip().casefold().rstrip(".!"))
        if command and text.channel == SMS:
            return _obey(s, *command, wishes, at)
        if is_blank(new.words) and not text.media:
            return Outcome(REFUSED, mail.EMPTY)
        if known := _known(s, new.key):
            return replace(known, lang=new.lang)
        question = _question(s, [each.report_id for each in wishes if each.report_id])
        if question and question.report:
            try:
                with s.begin_nested():
                    answer = conversation.reply(
                        s, question.report, new.words, to=question.id, channel=SMS,
                        by=accounts.reporter(question.report.id), at=at, key=new.key,
                    )  # fmt: skip
                _want(s, text.media, at, report_id=question.report.id, message_id=answer.id)
                return Outcome(ANSWER, lang=new.lang)
            except Refused as refused:
                new = replace(new, report=question.report, notes=[refused.code])
        asked = _asked(s, new.sender) if text.channel == SMS else None
        entry = entries.add(s, asked, new, at=at) if asked else entries.take(s, new, at=at)
        _want(s, text.media, at, entry_id=entry.id)
        return Outcome(WAITS, lang=new.lang)


def _placed(
    s: Session,
    here: Place,
    new: Arrival,
    signed: tuple[str, int] | None,
    pictures: Sequence[ProcessedPhoto],
    at: datetime,
) -> Outcome:
    kind, number = signed or ("", 0)
    report = s.get(Report, number) if kind == reply_address.REPORT else None
    if report and not report.erased_at:
        question = _question(s, [report.id])
        try:
            with s.begin_nested():
                taken = _staged(s, here, new.key, pictures, at)
                conversation.reply(
                    s, report, new.words, to=question.id if question else None, taken=taken, channel=EMAIL,
                    by=accounts.reporter(report.id), at=at, key=new.key,
                )  # fmt: skip
            return Outcome(ANSWER)
        except (Refused, BadPhoto) as refused:  # too late, too long, too many: the desk reads it
            new = replace(new, report=report, notes=[*new.notes, refused.code])
    asked = s.get(InboxEntry, number) if kind == reply_address.ENTRY else None
    entry = entries.add(s, asked, new, at=at) if asked else entries.take(s, new, at=at)
    try:
        _staged(s, here, entry.key, pictures, at)
    except BadPhoto as bad:
        entry.notes = [*entry.notes, f"{BAD_PHOTO} {bad.code}"]
    return Outcome(WAITS)


def _known(s: Session, key: str) -> Outcome | None:
    """What became of the same thing before; None where it is new."""
    if s.scalar(select(CaseMessage.id).where(CaseMessage.key == key)) is not None:
        return Outcome(ANSWER)
    there = s.scalar(select(InboxEntry.id).where(InboxEntry.key == key))
    return Outcome(WAITS) if there is not None else None


def _pictures(images: Sequence[bytes]) -> tuple[list[ProcessedPhoto], list[str]]:
    """The pictures as they are kept, and what is to be said of those that are none. Raises Busy."""
    found, notes = [], list[str]()
    for each in images:
        try:
            found.append(processing.process(each))
        except BadPhoto as bad:
            notes.append(f"{BAD_PHOTO} {bad.code}")
    return found, notes


def _staged(
    s: Session, here: Place, key: str, pictures: Sequence[ProcessedPhoto], at: datetime
) -> list[Photo]:
    return [photos.stage(s, here.var, each, staged_for=f"{photos.INBOX}{key}", at=at) for each in pictures]


def _question(s: Session, report_ids: Sequence[int]) -> CaseMessage | None:
    """Of these reports the newest question that nobody answered."""
    if not report_ids:
        return None
    answered = select(CaseMessage.answers_id).where(CaseMessage.answers_id.is_not(None))
    asked = select(CaseMessage).where(
        CaseMessage.report_id.in_(report_ids),
        CaseMessage.kind == conversation.ASK,
        CaseMessage.id.not_in(answered),
    )
    return s.scalars(asked.order_by(CaseMessage.id.desc()).limit(1)).first()


def _wishes(s: Session, number: str) -> list[Subscription]:
    """What this number wants texts about, the newest wish first; also what it stopped."""
    asked = select(Subscription).where(Subscription.channel == SMS, Subscription.address == number)
    return list(s.scalars(asked.order_by(Subscription.id.desc()).limit(200)))


def _obey(s: Session, what: str, lang: str, wishes: Sequence[Subscription], at: datetime) -> Outcome:
    if what == STOPPED:
        for wish in wishes:
            if wish.stopped_at is None:
                intake.stop(s, wish, at=at)
    if what == STARTED:
        for wish in wishes:
            if wish.stopped_at and wish.confirmed_at:
                intake.confirm(s, wish, at=at)
    return Outcome(what, lang=lang)


def _asked(s: Session, number: str) -> InboxEntry | None:
    """The entry of this number that waits for an answer."""
    asked = select(InboxEntry).where(
        InboxEntry.sender == number, InboxEntry.asked_at.is_not(None), InboxEntry.settled_at.is_(None)
    )
    return s.scalars(asked.order_by(InboxEntry.id.desc()).limit(1)).first() if number else None


def _want(s: Session, media: Sequence[str], at: datetime, **whose: int) -> None:
    """Has the worker fetch the pictures, once each."""
    known = set(s.scalars(select(PhotoDownload.url).filter_by(**whose)))
    for url in dict.fromkeys(media[:MOST_PHOTOS]):
        if url not in known:
            s.add(PhotoDownload(url=url, next_try_at=at, **whose))


def _sender(here: Place, text: Text) -> str:
    if text.channel == FORM and "@" in text.sender:
        return text.sender.strip().lower()[:254]
    try:
        return callers.normal(text.sender, here.region)
    except Refused:
        return ""


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
