"""What stands around the form where it is filled in from the inbox: what waits, and what was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flask import g
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.channels import SMS
from city.db.models import InboxEntry, Photo, Report
from city.inbox import entries, mail, reception
from city.lifecycle import MAX_WORDS
from city.people import accounts
from pwa.web import formatting
from pwa.web.forms import CallForm, ReportForm

MOST_SOUGHT: Final = (
    80  # letters of a text that stand in the box: what is longer names no problem by its words
)


@dataclass(frozen=True)
class Waiting:
    """How many wait by channel, and since when the oldest does; `rings` where that is too long."""

    counts: Mapping[str, int]
    since: datetime | None
    rings: bool

    @property
    def many(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Frame:
    """An open entry, and what else waits: `rows`, each with the name of who else has it open."""

    entry: InboxEntry
    photos: Sequence[Photo]
    has_recording: bool
    notes: Sequence[str]
    reply_to: str
    case: str  # the number of the one that they write about, where that is known
    waiting: Waiting
    rows: Sequence[tuple[InboxEntry, str]]
    channel: str = ""

    @property
    def holder(self) -> str:
        """The name of who else has this one open."""
        return next((name for each, name in self.rows if each.id == self.entry.id), "")

    @property
    def before(self) -> InboxEntry | None:
        """The one above it in the list."""
        return self._beside(-1)

    @property
    def after(self) -> InboxEntry | None:
        """The one below it."""
        return self._beside(1)

    def _beside(self, step: int) -> InboxEntry | None:
        ids = [each.id for each, _name in self.rows]
        at = ids.index(self.entry.id) + step if self.entry.id in ids else -1
        return self.rows[at][0] if 0 <= at < len(ids) else None


def waiting(s: Session, at: datetime) -> Waiting:
    """What waits for the desk."""
    counts, since = entries.counts(s)
    return Waiting(counts, since, since is not None and at - since > entries.OLD)


def frame(s: Session, entry: InboxEntry, at: datetime, channel: str = "") -> Frame:
    """The entry as it is shown; in the list those of one channel, where one is given."""
    rows = entries.waiting(s, channel)
    held = {each.id: entries.holder(each, at) for each in rows}
    others = {n: f"person:{each}" for n, each in held.items() if each and each != g.actor.person_id}
    names = accounts.named(s, others.values())
    report = s.get(Report, entry.report_id) if entry.report_id else None
    return Frame(
        entry,
        entries.pictures(s, entry),
        entries.recording(s, entry.id) is not None,
        [note(each) for each in entry.notes],
        entry.sender if entries.reply_channel(entry) else "",
        report.case.number if report else "",
        waiting(s, at),
        [(each, names.get(others.get(each.id, ""), "")) for each in rows],
        channel,
    )


def draft(entry: InboxEntry, at: datetime) -> CallForm:
    """The form as far as the entry fills it in: its words, and by which way they hear of it."""
    by_mail, by_text = "@" in entry.sender, bool(entry.sender) and "@" not in entry.sender
    said = "" if entry.channel == entries.VOICEMAIL else " ".join((entry.subject or entry.words).split())
    return CallForm(
        ReportForm(key_of(entry), words=entry.words[:MAX_WORDS]),
        sought=said if len(said) <= MOST_SOUGHT else "",
        phone=entry.sender if by_text else "",
        channel=entry.channel,
        lang=entry.lang,
        reply_by="email" if by_mail else "sms" if entry.channel == SMS and by_text else "",
        email=entry.sender if by_mail else "",
        began=at,
    )


def key_of(entry: InboxEntry) -> str:
    """The key of the conversation that it becomes: one, whoever ends it and however often it is sent."""
    return entry.key[:32]


def note(code: str) -> str:
    """What could not be taken of a message, or why it is here, in words."""
    kind, _space, rest = code.partition(" ")
    if code == mail.NOT_READ:
        return _("We couldn't read all of this message.")
    if kind == mail.CUT:
        return _("This message was too long. We kept the first part.")
    if kind == mail.ATTACHMENT:
        return _("Left out: %(name)s", name=rest)
    if code == reception.BAD_SIGNATURE:
        return _("It was sent to an address that we didn't make. Check who wrote it.")
    if code.startswith(reception.BAD_PHOTO):
        return formatting.photo_fault(code.removeprefix(reception.BAD_PHOTO).strip())
    told = {
        "too_late_to_write": _("Their case was closed too long ago to add this to it."),
        "too_many_messages": _("They wrote more about their case today than we add to it."),
        "words_too_long": _("It's too long to add to their case."),
        "empty_answer": _("It has no words to add to their case."),
    }
    return told.get(code, code)
