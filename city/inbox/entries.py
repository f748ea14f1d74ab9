"""What came in by mail, text, voicemail or another system's form and is no case yet: the desk's inbox.

An entry waits until the desk has ended it as it ends a call. What the desk asks back goes out by the outbox,
by the way it came in; the answer comes to the same entry. Words, pictures and recordings go a while after the
end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.channels import EMAIL, SMS
from city.db.models import (
    Contact,
    InboxEntry,
    Message,
    Photo,
    PhotoDownload,
    Recording,
    Report,
    Subscription,
)
from city.lifecycle import MAX_WORDS, Refused, may
from city.notifications.fan_out import WRITE_BACK
from city.people.accounts import THE_SYSTEM
from city.photos import photos
from city.reports import calls
from city.reports.calls import Call
from city.text import is_blank

VOICEMAIL, FORM = "voicemail", "form"
CHANNELS: Final = (EMAIL, SMS, VOICEMAIL, FORM)  # by which an entry comes
PLACE: Final = "inbox:"  # before an entry's id and the number of a reply: what its wish is about
MOST_WAITING: Final = 5_000  # in all: what comes then is asked to come again later
MOST_OF_ONE: Final = 50  # that one sender may have waiting
OLD: Final = timedelta(hours=1)  # after which an entry that nobody took up rings at the desk
HELD: Final = timedelta(minutes=3)  # after the page of whoever has it open was last heard of
KEPT: Final = timedelta(days=30)  # the words of one that is settled
LONGEST: Final = 30_000  # letters of an entry, however often its sender adds to it


class Full(Exception):
    """The inbox takes no more now, or none of this sender; the same may come again later."""


@dataclass(frozen=True)
class Arrival:
    """Something that came in. `key` is the same for the same thing however often it comes."""

    key: str
    channel: str
    sender: str = ""
    name: str = ""
    subject: str = ""
    words: str = ""
    rest: str = ""
    notes: Sequence[str] = ()
    lang: str = "en"
    report: Report | None = None  # that it writes about, where that is known for sure
    recording: tuple[str, bytes] | None = None


def take(s: Session, new: Arrival, *, at: datetime) -> InboxEntry:
    """The entry that it becomes; the same key twice gives the same one. Raises Full."""
    known = select(InboxEntry).where(InboxEntry.key == new.key)
    if found := s.scalars(known).first():
        return found
    waits = InboxEntry.settled_at.is_(None)
    if (s.scalar(select(func.count()).where(waits)) or 0) >= MOST_WAITING:
        raise Full("all")
    if (
        new.sender
        and (s.scalar(select(func.count()).where(waits, InboxEntry.sender == new.sender)) or 0) >= MOST_OF_ONE
    ):
        raise Full("sender")
    entry = InboxEntry(
        key=new.key, channel=new.channel, sender=new.sender, sender_name=new.name, subject=new.subject,
        words=new.words[:LONGEST], rest=new.rest[:LONGEST], notes=list(new.notes), lang=new.lang, came_at=at,
        report_id=new.report.id if new.report else None,
    )  # fmt: skip
    try:
        with s.begin_nested():
            s.add(entry)
    except IntegrityError:  # its twin came in the same moment
        return s.scalars(known).one()
    if new.recording:
        kind, sound = new.recording
        s.add(Recording(entry_id=entry.id, kind=kind[:80], sound=sound))
    events.record(
        s, events.of_entry(entry.id), "arrive", by=THE_SYSTEM, at=at, facts={"channel": new.channel}
    )
    return entry


def add(s: Session, entry: InboxEntry, new: Arrival, *, at: datetime) -> InboxEntry:
    """What its sender writes after the desk asked them: it stands with the entry, which waits for the desk
    again. One that is settled stays so, and a new one is made. Raises Full."""
    lock(s, entry)
    if new.key in entry.added:
        return entry
    if entry.settled_at or len(entry.words) + len(new.words) > LONGEST:
        return take(s, new, at=at)
    entry.words = f"{entry.words}\n\n{new.words}".strip()
    entry.notes = [*entry.notes, *new.notes]
    entry.added, entry.asked_at = [*entry.added, new.key], None
    events.record(
        s, events.of_entry(entry.id), "arrive", by=THE_SYSTEM, at=at, facts={"channel": new.channel}
    )
    return entry


def lock(s: Session, entry: InboxEntry) -> None:
    """Holds the entry until the transaction ends, and reads it anew."""
    s.refresh(entry, with_for_update=True)


def waiting(s: Session, channel: str = "") -> list[InboxEntry]:
    """What waits for the desk, the oldest first; what it has asked back comes last."""
    asked = select(InboxEntry).where(InboxEntry.settled_at.is_(None))
    if channel:
        asked = asked.where(InboxEntry.channel == channel)
    return list(
        s.scalars(
            asked.order_by(InboxEntry.asked_at.is_not(None), InboxEntry.came_at, InboxEntry.id).limit(200)
        )
    )


def counts(s: Session) -> tuple[dict[str, int], datetime | None]:
    """How many wait by channel, and since when the oldest does; without those that wait for their sender."""
    rows = s.execute(
        select(InboxEntry.channel, func.count(), func.min(InboxEntry.came_at))
        .where(InboxEntry.settled_at.is_(None), InboxEntry.asked_at.is_(None))
        .group_by(InboxEntry.channel)
    ).all()
    return {channel: many for channel, many, _since in rows}, min((since for *_, since in rows), default=None)


def next_for(
    s: Session, person_id: int, *, at: datetime, channel: str = "", after: int = 0
) -> InboxEntry | None:
    """What this person takes up next: the oldest that nobody else has open, and not the one before."""
    asked = select(InboxEntry).where(
        InboxEntry.settled_at.is_(None), InboxEntry.asked_at.is_(None), InboxEntry.id != after,
        or_(InboxEntry.held_by.is_(None), InboxEntry.held_by == person_id, InboxEntry.held_at < at - HELD),
    )  # fmt: skip
    if channel:
        asked = asked.where(InboxEntry.channel == channel)
    return s.scalars(asked.order_by(InboxEntry.came_at, InboxEntry.id).limit(1)).first()


def hold(s: Session, entry: InboxEntry, *, by: Actor, at: datetime) -> None:
    """This person has it open: others are offered another one. Whoever came first keeps it."""
    may("inbox", by.roles)
    if holder(entry, at) in (None, by.person_id):
        entry.held_by, entry.held_at = by.person_id, at


def holder(entry: InboxEntry, at: datetime) -> int | None:
    """Who has it open."""
    return entry.held_by if entry.held_at and entry.held_at >= at - HELD else None


def pictures(s: Session, entry: InboxEntry) -> list[Photo]:
    """The photos that came with it and are with no case yet."""
    return photos.staged(s, f"{photos.INBOX}{entry.key}")


def recording(s: Session, entry_id: int) -> Recording | None:
    """What was said to the machine."""
    return s.get(Recording, entry_id)


def replied(s: Session, place: str) -> tuple[InboxEntry, str] | None:
    """The entry and the words that a wish is about; None where they are gone."""
    number, _colon, nth = place.removeprefix(PLACE).partition(":")
    entry = s.get(InboxEntry, int(number))
    words = entry.replies[int(nth) : int(nth) + 1] if entry else []
    return (entry, words[0]) if entry and words else None


def reply_channel(entry: InboxEntry) -> str:
    """By which of the channels the desk can write back; "" where nobody knows whom to, or they are called."""
    if not entry.sender or entry.channel == VOICEMAIL:
        return ""
    return EMAIL if "@" in entry.sender else SMS


def write_back(s: Session, entry: InboxEntry, words: str, *, asks: bool, by: Actor, at: datetime) -> None:
    """Sends the desk's own words to whoever wrote. Where it `asks`, the entry waits for the answer.

    Raises Refused `empty_question`, `words_too_long`, `unreachable`, `settled`.
    """
    may("inbox", by.roles)
    if is_blank(words):
        raise Refused("empty_question")
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    channel = reply_channel(entry)
    if not channel:
        raise Refused("unreachable")
    lock(s, entry)
    if entry.settled_at:
        raise Refused("settled")
    # Whoever wrote from there reads there. A sender that was made up gets one letter, by a person's hand.
    wish = Subscription(
        place=f"{PLACE}{entry.id}:{len(entry.replies)}", channel=channel, address=entry.sender,
        lang=entry.lang, asked_at=at, confirmed_at=at,
    )  # fmt: skip
    s.add(wish)
    s.flush()
    entry.replies, entry.asked_at = [*entry.replies, words.strip()], at if asks else entry.asked_at
    facts = {"subscription": wish.id}  # its words stand with the entry, and go with it
    events.record(s, events.of_entry(entry.id), WRITE_BACK, by=by, at=at, facts=facts)


def end(
    s: Session, entry: InboxEntry, call: Call, reply: str, *, by: Actor, at: datetime, secret: str
) -> Report | None:
    """Ends it as a call ends, under the call's key: a reply goes out, and what it becomes is kept with it, or
    nothing of all that. The same once more is the same.

    Raises Refused: what calls.finish_call() and write_back() raise, and `settled` where another desk was
    faster.
    """
    may("inbox", by.roles)
    lock(s, entry)
    before = s.get(Contact, entry.contact_id) if entry.contact_id else None
    if entry.settled_at and (before is None or before.key != call.said.key):
        raise Refused("settled")
    if before is None and not is_blank(reply):
        write_back(s, entry, reply, asks=False, by=by, at=at)
    contact, report = calls.finish_call(s, call, by=by, at=at, secret=secret)
    if before is None:
        _settle(s, entry, contact, report, by=by, at=at)
    return report


def _settle(
    s: Session, entry: InboxEntry, contact: Contact, report: Report | None, *, by: Actor, at: datetime
) -> None:
    """Its photos go to the report that came of it; others go with its words."""
    if report is not None:
        for position, photo in enumerate(pictures(s, entry)[: photos.MAX_PHOTOS]):
            photos.attach(s, photo, case_id=report.case_id, report_id=report.id, position=position)
        s.execute(
            update(PhotoDownload)
            .where(PhotoDownload.entry_id == entry.id)
            .values(entry_id=None, report_id=report.id)
        )
    entry.settled_at, entry.contact_id = at, contact.id
    facts = {"contact": contact.id} | ({"report": report.number} if report else {})
    events.record(s, events.of_entry(entry.id), "settle", by=by, at=at, facts=facts)


def forget(s: Session, entry: InboxEntry, var: Path, *, at: datetime) -> None:
    """Takes away who wrote and what: words, quotes, photos, recording, and the wish to be written to."""
    for photo in pictures(s, entry):
        photos.unstage(s, var, photo)
    s.execute(delete(Recording).where(Recording.entry_id == entry.id))
    s.execute(delete(PhotoDownload).where(PhotoDownload.entry_id == entry.id))
    about = Subscription.place.startswith(f"{PLACE}{entry.id}:")
    s.execute(delete(Message).where(Message.subscription_id.in_(select(Subscription.id).where(about))))
    s.execute(delete(Subscription).where(about))
    entry.settled_at = entry.settled_at or at  # of one that nobody can read nobody can make a case
    entry.sender = entry.sender_name = entry.subject = entry.words = entry.rest = ""
    entry.notes, entry.replies, entry.forgotten_at = [], [], at


def sweep(s: Session, var: Path, now: datetime, limit: int = 100) -> int:
    """Forgets what was settled a while ago; returns how many."""
    over = InboxEntry.settled_at < now - KEPT, InboxEntry.forgotten_at.is_(None)
    gone = list(s.scalars(select(InboxEntry).where(*over).limit(limit)))
    for entry in gone:
        forget(s, entry, var, at=now)
    return len(gone)
