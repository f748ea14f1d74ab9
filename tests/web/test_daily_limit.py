"""Whatever happens in whatever order: no reporter has two messages within a day, and nothing is lost.

Questions, closings and the receipt wait for nobody; the rest waits for a day to pass, over all channels.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import pairwise
from typing import Any

import pytest
from factories import Town
from flask import Flask
from sqlalchemy import select

from city.cases import corrections, transitions
from city.cases.transitions import Closing
from city.db.models import Message, Report
from city.lifecycle import OPEN, WAITING
from city.notifications import daily_limit, fan_out, outbox
from city.reports import conversation, intake
from pwa.messages import report_messages

PERIOD = timedelta(days=1)
ROUND = timedelta(seconds=10)


class Sent:
    """A channel that fails now and then, as real ones do."""

    def __init__(self, name: str, sent: list[tuple[datetime, str, str]], luck: random.Random) -> None:
        self.name, self.sent, self.luck, self.at = name, sent, luck, datetime(2026, 1, 1, tzinfo=UTC)

    def send(self, what: Any) -> None:
        roll = self.luck.random()
        if roll < 0.1:
            raise OSError("a bad moment")
        self.sent.append((self.at, self.name, words_of(what)))


def words_of(what: Any) -> str:
    if isinstance(what, EmailMessage):
        return f"{what['Subject']}\n{what.get_body(('plain',)).get_content()}"  # type: ignore[union-attr]
    return f"{what}"


@pytest.mark.parametrize("seed", range(8))
def test_no_two_messages_within_a_day_and_nothing_lost(seed: int, app: Flask, town: Town) -> None:
    luck = random.Random(seed)
    at, sent = town.now, list[tuple[datetime, str, str]]()
    boxes = {name: Sent(name, sent, luck) for name in ("email", "sms")}
    with town.at_work() as scene:
        report = scene.report()
        for channel, address in (("email", "ana@example.com"), ("sms", "+12025550123")):
            wish = intake.subscribe(scene.s, report, address, channel=channel, lang="en", at=at)
            intake.confirm(scene.s, wish, at=at)
        report_id = report.id
    written: list[str] = []
    for step in range(110):
        at += timedelta(minutes=luck.choice((3, 20, 90, 400)))
        if step < 95:
            _act(town, luck, report_id, at, written)
        else:
            at += PERIOD  # all that waits has its day
        _work(app, town, boxes, at)
    for _quiet in range(25):
        at += PERIOD
        _work(app, town, boxes, at)
    limited = _limited(town)
    gone = [(message.sent_at, message.subscription_id) for message in limited if message.sent_at]
    times = sorted({when for when, _by in gone})
    assert len(times) > 2, "hardly anything was sent"
    assert len(set(gone)) == len(times), "by two channels at once"
    gaps = [b - a for a, b in pairwise(times)]
    assert [gap for gap in gaps if gap < PERIOD] == []
    assert [message.id for message in limited if message.next_try_at] == [], "waits for ever"
    _each_was_said(town, sent, limited, written)


def _act(town: Town, luck: random.Random, report_id: int, at: datetime, written: list[str]) -> None:
    with town.at_work() as scene:
        by, report = scene.actor("supervisor"), scene.s.get_one(Report, report_id)
        case = report.case
        what = luck.choice(("update", "update", "ask", "close", "reopen", "date", "update", "hold"))
        if what == "update" and case.state in OPEN:
            written.append(f"word{len(written)}x")
            conversation.update(scene.s, case, written[-1], by=by, at=at, lang="en")
        elif what == "ask" and case.state in OPEN:
            conversation.ask(scene.s, report, "Which one?", by=by, at=at)
        elif what == "close" and case.state in OPEN and luck.random() < 0.3:
            transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=at)
        elif what == "hold" and case.state == WAITING:
            transitions.resume(scene.s, case, by=by, at=at)
        elif what == "hold" and case.state in OPEN:
            transitions.wait(scene.s, case, "parts", by=by, at=at)
        elif what == "reopen" and case.state not in OPEN:
            transitions.reopen(scene.s, case, by=by, at=at)
        elif what == "date" and case.state in OPEN:
            day = at + timedelta(days=luck.randrange(10, 60))
            corrections.reschedule(scene.s, case, "weather", day, by=by, at=at)


def _work(app: Flask, town: Town, boxes: dict[str, Sent], at: datetime) -> None:
    app.config["NOW"] = at
    for box in boxes.values():
        box.at = at
    with town.at_work() as scene:
        fan_out.process_events(scene.s, at)
    outbox.send_due(town.engine, boxes, report_messages.render(app), at)


def _limited(town: Town) -> Sequence[Message]:
    with town.looking() as scene:
        asked = select(Message).where(Message.kind.in_(daily_limit.LIMITED)).order_by(Message.id)
        return list(scene.s.scalars(asked))


def _each_was_said(
    town: Town, sent: list[tuple[datetime, str, str]], limited: Sequence[Message], written: Sequence[str]
) -> None:
    """What counts as sent was sent then, and so was all that anybody wrote, at the latest by the closing."""
    with town.looking() as scene:
        for message in limited:
            if not message.case_message_id or not message.sent_at:
                continue
            words = scene.s.get_one(conversation.CaseMessage, message.case_message_id).words
            assert any(words in told and abs(message.sent_at - at) < ROUND for at, _by, told in sent), words
        for words in written:
            assert any(words in told for _at, _by, told in sent), f"{words} was lost silently"
