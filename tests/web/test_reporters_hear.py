"""Between receipt and closing a reporter hears what a follower hears, and once that a case is late."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from factories import Town
from flask import Flask
from sqlalchemy import select

from city.cases import sla_sweep, transitions
from city.config import city_file
from city.db.models import Event, Message, Report
from city.notifications import fan_out, outbox
from city.reports import intake
from city.settings import DEFAULT_CITY
from pwa.messages import report_messages

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ANA = "ana@example.com"

Act = Callable[..., Any]


class Mailbox:
    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    def send(self, letter: Any) -> None:
        self.letters.append(letter)

    def read(self) -> list[str]:
        """The subjects since it was last read, without the case's number."""
        subjects = [f"{letter['Subject']}".rpartition(" (")[0] for letter in self.letters]
        self.letters.clear()
        return subjects


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def report_id(town: Town) -> int:
    with town.at_work() as scene:
        report = scene.report()
        wish = intake.subscribe(scene.s, report, ANA, lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
        return int(report.id)


def _act(town: Town, report_id: int, verb: Act, at: datetime, *words: Any, **more: Any) -> None:
    with town.at_work() as scene:
        case = scene.s.get_one(Report, report_id).case
        verb(scene.s, case, *words, by=scene.actor("supervisor"), at=at, **more)


def _work(app: Flask, town: Town, mailbox: Mailbox, at: datetime) -> list[str]:
    app.config["NOW"] = at
    with town.at_work() as scene:
        fan_out.process_events(scene.s, at)
    outbox.send_due(town.engine, {"email": mailbox}, report_messages.render(app), at)
    return mailbox.read()


def _assign(town: Town, report_id: int, at: datetime) -> None:
    _act(town, report_id, transitions.accept, at)
    with town.at_work() as scene:
        case = scene.s.get_one(Report, report_id).case
        crew = scene.crew("lights")
        transitions.assign(scene.s, case, crew, by=scene.actor("dispatcher"), at=at + MINUTE)


def _due(town: Town, report_id: int) -> datetime:
    with town.looking() as scene:
        due: datetime = scene.s.get_one(Report, report_id).case.due_at
        return due


def test_a_crew_that_is_set_is_one_letter(app: Flask, town: Town, mailbox: Mailbox, report_id: int) -> None:
    _work(app, town, mailbox, town.now)
    _assign(town, report_id, town.now)
    assert _work(app, town, mailbox, town.now + 2 * MINUTE) == []
    told = _work(app, town, mailbox, town.now + 13 * MINUTE)
    assert told == ["Streetlight out: Crew assigned"]
    assert _work(app, town, mailbox, town.now + 2 * DAY) == []


def test_a_crew_that_is_set_before_the_worker_looks_is_still_one_letter(
    app: Flask, town: Town, mailbox: Mailbox, report_id: int
) -> None:
    """Lines that stand beside it in the log, as that it was opened, make no letter of their own."""
    _assign(town, report_id, town.now)
    _work(app, town, mailbox, town.now)
    with town.looking() as scene:
        kinds = scene.s.execute(
            select(Event.kind, Message.kind).join(Message, Message.event_seq == Event.seq).order_by(Event.seq)
        ).all()
    assert kinds == [("subscribe", "receipt"), ("confirm news", "confirmed"), ("accept", "changed")]


def test_a_reporter_hears_that_their_report_was_canceled(
    app: Flask, town: Town, mailbox: Mailbox, report_id: int
) -> None:
    _work(app, town, mailbox, town.now)
    _act(town, report_id, transitions.cancel, town.now, "test")
    _work(app, town, mailbox, town.now)
    app.config["NOW"] = town.now + 11 * MINUTE
    outbox.send_due(town.engine, {"email": mailbox}, report_messages.render(app), town.now + 11 * MINUTE)
    (letter,) = mailbox.letters
    plain = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "This report was canceled." in plain
    assert plain.count("This report was canceled.") == 1


def test_a_late_case_is_told_once_with_its_reason(
    app: Flask, town: Town, mailbox: Mailbox, report_id: int
) -> None:
    _work(app, town, mailbox, town.now)
    late = _due(town, report_id) + DAY
    sla_sweep.sweep(town.engine, late)
    _work(app, town, mailbox, late)
    app.config["NOW"] = late + 11 * MINUTE
    outbox.send_due(town.engine, {"email": mailbox}, report_messages.render(app), late + 11 * MINUTE)
    (letter,) = mailbox.letters
    plain = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert letter["Subject"].startswith("Streetlight out: Running late (")
    assert plain.count("We're running late.") == 1
    mailbox.read()
    for days in range(1, 6):
        sla_sweep.sweep(town.engine, late + days * DAY)
        assert _work(app, town, mailbox, late + days * DAY) == []


def test_what_is_late_and_ended_within_minutes_is_told_as_ended(
    app: Flask, town: Town, mailbox: Mailbox, report_id: int
) -> None:
    _work(app, town, mailbox, town.now)
    late = _due(town, report_id) + DAY
    sla_sweep.sweep(town.engine, late)
    _work(app, town, mailbox, late)
    closing = transitions.Closing("fixed", no_photo="dark")
    _act(town, report_id, transitions.close, late + MINUTE, closing)
    assert _work(app, town, mailbox, late + 20 * MINUTE) == ["Streetlight out: Fixed"]


def test_what_happens_within_a_day_of_the_last_letter_waits_and_is_one(
    app: Flask, town: Town, mailbox: Mailbox, report_id: int
) -> None:
    _work(app, town, mailbox, town.now)
    _assign(town, report_id, town.now)
    _work(app, town, mailbox, town.now + 2 * MINUTE)
    assert len(_work(app, town, mailbox, town.now + 13 * MINUTE)) == 1
    noon = town.now + timedelta(hours=3)
    _act(town, report_id, transitions.wait, noon, "parts")
    _act(town, report_id, transitions.resume, noon + 20 * MINUTE)
    _act(town, report_id, transitions.wait, noon + 40 * MINUTE, "weather")
    for hours in (1, 6):
        assert _work(app, town, mailbox, noon + timedelta(hours=hours)) == []
    (told,) = _work(app, town, mailbox, town.now + DAY + 14 * MINUTE)
    assert told.startswith("Streetlight out: On hold")


@pytest.mark.parametrize("kind", city_file.NEWS)
def test_the_city_switches_each_off(
    kind: str, app: Flask, town: Town, mailbox: Mailbox, report_id: int, tmp_path: Path
) -> None:
    text = DEFAULT_CITY.read_text("utf-8").replace("[news]\n", f"[news]\n{kind} = false\n")
    (tmp_path / "city.toml").write_text(text, "utf-8")
    held = app.extensions["cityline"]
    held.city = replace(held.city, silent=city_file.load(tmp_path / "city.toml").silent)
    _work(app, town, mailbox, town.now)
    _assign(town, report_id, town.now)
    told = _work(app, town, mailbox, town.now) + _work(app, town, mailbox, town.now + 13 * MINUTE)
    late = _due(town, report_id) + DAY
    sla_sweep.sweep(town.engine, late)
    told += _work(app, town, mailbox, late) + _work(app, town, mailbox, late + 11 * MINUTE)
    wanted = {"changed": "Streetlight out: Crew assigned", "late": "Streetlight out: Running late"}
    assert told == [words for each, words in wanted.items() if each != kind]
