"""The line's conversations: each ends as answered, case, transferred or dropped, and is logged once.

A contact is never changed, but for the caller whose number is forgotten. What was said stands, salted and
erasable, with its line of the log only; its own row and the facts of its line hold nothing personal.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.db import bulk_insert
from city.db.models import Article, Case, Contact, Department, Topic
from city.lifecycle import ELSEWHERE, MAX_WORDS, Refused, may

SPOKEN = ("phone", "voicemail", "counter")  # by which somebody speaks with the desk; by the others they write
CHANNELS = (*SPOKEN, "email", "sms", "form")
# How somebody wants to hear what becomes of it; by a call or a text at the number they called from. Whoever
# calls `again` asks then.
REPLIES_BY = ("none", "call", "sms", "email", "again")
ANSWERED, CASE, TRANSFERRED, DROPPED = OUTCOMES = ("answered", "case", "transferred", "dropped")
MAX_SECONDS = 4 * 60 * 60  # a timer that ran on through the lunch break is no conversation
ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation, as the desk hands it over.

    `key` is chosen before anything is sent and makes a retry find its contact. `case` is a case's number
    and belongs to the outcome `case`, `to` (a department's code, or one of ELSEWHERE) to `transferred`.
    `instead`, one of the same, is whom the caller says they would have called without the line; whoever was
    passed on need not say it.
    `answer` is the slug of what was read out, whatever came of it. `lang` is the caller's language.
    """

    key: str
    channel: str
    began_at: datetime
    seconds: int
    topic: str
    outcome: str
    lang: str = "en"
    case: str | None = None
    answer: str | None = None
    to: str | None = None
    instead: str | None = None
    words: str = ""
    caller_id: int | None = None
    reply_by: str = "none"

    @property
    def ended_at(self) -> datetime:
        return self.began_at + timedelta(seconds=self.seconds)


def log(s: Session, told: Conversation, *, by: Actor, at: datetime, origin: str = "live") -> Contact:
    """Keeps a conversation that is over. The same key twice gives the same contact.

    Raises Refused: `not_allowed`, `unknown_value` (channel, outcome, lang, reply_by), `unknown_topic`,
    `unknown_case`, `unknown_answer`, `unknown_office`, `ending_unfit` where the case or an office does not
    go with the outcome, `bad_time` for one that is not over yet or took longer than MAX_SECONDS,
    `words_too_long`.
    """
    may("contact", by.roles)
    known = select(Contact).where(Contact.key == told.key)
    if found := s.scalars(known).first():
        return found
    contact = Contact(**_Known(s, [told]).row(told, by, origin))
    if told.ended_at > at:
        raise Refused("bad_time", seconds=told.seconds)
    try:
        with s.begin_nested():
            s.add(contact)
    except IntegrityError:  # its twin came in the same moment
        return s.scalars(known).one()
    _record(s, contact.id, told, by, at, origin)
    return contact


def bulk_log(s: Session, told: Iterable[tuple[Conversation, Actor]], *, origin: str) -> list[int]:
    """Keeps many conversations in the order given, each as if it had been logged when it ended.

    Leaves the rows and lines that log() would have left, and refuses what it refuses; no key may be known.
    Returns the ids.
    """
    pairs = list(told)
    known, ids = _Known(s, [each for each, _ in pairs]), bulk_insert.fresh_ids(s, Contact)
    rows: list[dict[str, Any]] = []
    for each, by in pairs:
        may("contact", by.roles)
        row = {"id": next(ids), **known.row(each, by, origin)}
        rows.append(row)
        _record(s, row["id"], each, by, each.ended_at, origin)
    bulk_insert.put(s, Contact, rows)
    return [row["id"] for row in rows]


class _Known:
    """What conversations may name, asked for once."""

    def __init__(self, s: Session, told: Sequence[Conversation]) -> None:
        self.topics = set(s.scalars(select(Topic.code)))
        self.offices = {*s.scalars(select(Department.code)), *ELSEWHERE}
        self.cases = _ids_of(s, Case.number, Case.id, {each.case for each in told if each.case})
        self.answers = _ids_of(s, Article.slug, Article.id, {each.answer for each in told if each.answer})

    def row(self, told: Conversation, by: Actor, origin: str) -> dict[str, Any]:
        """The columns of its contact but for the id."""
        _one_of(told.channel, CHANNELS, "channel")
        _one_of(told.outcome, OUTCOMES, "outcome")
        _one_of(told.reply_by, REPLIES_BY, "reply_by")
        if not re.fullmatch("[a-z]{2,3}", told.lang):
            raise Refused("unknown_value", name="lang", value=told.lang)
        if told.topic not in self.topics:
            raise Refused("unknown_topic", topic=told.topic)
        if (told.outcome == CASE) != bool(told.case) or (told.outcome == TRANSFERRED) != bool(told.to):
            raise Refused("ending_unfit", outcome=told.outcome, case=told.case, to=told.to)
        if told.to and told.instead:
            raise Refused("ending_unfit", outcome=told.outcome, to=told.to, instead=told.instead)
        office = told.to or told.instead
        if office and office not in self.offices:
            raise Refused("unknown_office", office=office)
        if not 0 <= told.seconds <= MAX_SECONDS:
            raise Refused("bad_time", seconds=told.seconds)
        if len(told.words) > MAX_WORDS:
            raise Refused("words_too_long", most=MAX_WORDS)
        return {
            "key": told.key, "channel": told.channel, "began_at": told.began_at, "seconds": told.seconds,
            "topic_code": told.topic, "lang": told.lang, "outcome": told.outcome, "person_id": by.person_id,
            "case_id": _id_of(self.cases, told.case, "unknown_case"),
            "answer_id": _id_of(self.answers, told.answer, "unknown_answer"),
            "transferred_to": told.to, "instead_of": told.instead, "caller_id": told.caller_id,
            "reply_by": told.reply_by, "origin": origin,
        }  # fmt: skip


def _record(s: Session, contact_id: int, told: Conversation, by: Actor, at: datetime, origin: str) -> None:
    """Its line holds all that a measure asks for, so that every figure can be derived from the log alone."""
    facts = {
        "channel": told.channel, "began_at": told.began_at.astimezone(UTC).isoformat(),
        "seconds": told.seconds, "topic": told.topic, "lang": told.lang, "outcome": told.outcome,
    }  # fmt: skip
    named = {"case": told.case, "answer": told.answer, "to": told.to, "instead": told.instead}
    facts |= {name: value for name, value in named.items() if value}
    if told.reply_by != REPLIES_BY[0]:
        facts["reply_by"] = told.reply_by
    words = {"words": told.words.strip()} if told.words.strip() else None
    events.record(
        s, events.of_contact(contact_id), "log", by=by, at=at, facts=facts, words=words, origin=origin
    )


def _ids_of(s: Session, name: Any, row_id: Any, wanted: set[str]) -> dict[str, int]:
    names, found = sorted(wanted), dict[str, int]()
    for start in range(0, len(names), ASKED_AT_ONCE):
        part = names[start : start + ASKED_AT_ONCE]
        found |= {row[0]: row[1] for row in s.execute(select(name, row_id).where(name.in_(part)))}
    return found


def _id_of(ids: Mapping[str, int], name: str | None, otherwise: str) -> int | None:
    if not name:
        return None
    if name not in ids:
        raise Refused(otherwise, name=name)
    return ids[name]


def _one_of(value: str, choices: Sequence[str], name: str) -> None:
    if value not in choices:
        raise Refused("unknown_value", name=name, value=value)
