"""Nothing that one person wrote to the city reaches a stranger: by no page, letter, note or text."""

from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from factories import LAMP, Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from city.cases import corrections, sla_sweep, transitions
from city.cases.transitions import Closing
from city.db.models import Case, Message, Report, Topic
from city.lifecycle import CLOSED
from city.notifications import fan_out, satisfaction, subscriptions
from city.people import accounts
from city.people.contacts import Conversation
from city.reports import calls, conversation, intake
from city.reports.calls import Call
from city.reports.intake import NewReport
from pwa.messages import report_messages

# What the caller said and gave, and what went between one reporter and the city.
CANARY = (
    "Ana Ortiz", "2025550142", "555-0142", "behind the red door", "ana@home.example", "gate-canary",
    "reply-canary", "note-canary", "private-canary",
)  # fmt: skip
PUBLIC = "The parts are ordered."  # an update for everybody
DAY = timedelta(days=1)
# What rules besides a case's number take; one that takes something else is no page about a case.
GIVEN = {"lang": "es", "code": "light-out", "format": "json"}


class Story:
    """A case with a report of a caller and one by a form, followed by strangers over every channel."""

    def __init__(self, app: Flask, town: Town) -> None:
        self.app, self.town, self.at = app, town, town.now
        self.told: list[tuple[str, str]] = []  # kind and words of all that strangers were sent

    def act(self, verb: Callable[..., Any], *words: Any, who: str = "supervisor", **more: Any) -> Any:
        """Lets it happen to the case a day later, then reads what strangers are told of it."""
        self.at += DAY
        with self.town.at_work() as scene:
            case = scene.s.scalars(select(Case).order_by(Case.id)).first()
            verb(scene.s, case, *words, by=scene.actor(who), at=self.at, **more)
        self.listen()

    def listen(self) -> None:
        self.app.config["NOW"] = self.at
        with self.town.at_work() as scene:
            fan_out.process_events(scene.s, self.at)
        write = report_messages.render(self.app)
        with self.town.looking() as scene:
            rows = scene.s.scalars(select(Message).order_by(Message.id)).all()
            for row in rows:
                # A receipt may lie in a stranger's mailbox: nobody has confirmed that address.
                strange = row.subscription.report_id is None or row.kind == "receipt"
                if strange and (what := write(scene.s, row)) is not None:
                    self.told.append((row.kind, said(what)))


def said(what: Any) -> str:
    """All that its reader can read, save the addresses of who gets it."""
    if not isinstance(what, EmailMessage):
        return f"{what}"
    parts = [part.get_content() for part in what.walk() if part.get_content_maintype() == "text"]
    return "\n".join([what["Subject"], *parts])


@pytest.fixture
def story(app: Flask, town: Town) -> Story:
    with town.at_work() as scene:
        scene.s.add(Topic(code="lights", names={"en": "Lights"}, department_code="works"))
        words = f"{CANARY[0]} says it is dark, {CANARY[3]}"
        told = NewReport("c" * 32, "light-out", "phone", "en", words, LAMP)
        spoke = Conversation("c" * 32, "phone", town.now - timedelta(minutes=2), 60, "lights", "case")
        call = Call(spoke, f"+1{CANARY[1]}", told, CANARY[0])
        calls.finish_call(scene.s, call, by=scene.actor("call-taker"), at=town.now, secret="s" * 32)
        report = scene.s.scalars(select(Report)).one()
        intake.subscribe(scene.s, report, CANARY[4], lang="en", at=town.now)
        about = subscriptions.case(scene.s, report.case.number)
        assert about
        for channel, address in (("email", "cy@town.test"), ("sms", "+12025550177")):
            row = subscriptions.subscribe(scene.s, about, address, channel=channel, lang="en", at=town.now)
            row.confirmed_at = town.now
    return Story(app, town)


def _converse(s: Any, case: Case, *, by: Any, at: Any) -> None:
    report = case.reports[0]
    wish = report.subscriptions[0]
    wish.confirmed_at = at
    question = conversation.ask(s, report, f"Is it at the {CANARY[5]}?", by=by, at=at)
    s.flush()
    later = at + timedelta(minutes=5)
    conversation.reply(s, report, f"Yes, {CANARY[6]}", to=question.id, by=accounts.A_RESIDENT, at=later)


def _rate(s: Any, case: Case, *, by: Any, at: Any) -> None:
    satisfaction.answer(s, case.reports[0], case.closures[-1].cycle, 2, at=at)


def test_no_stranger_reads_what_one_person_wrote(story: Story, client: FlaskClient) -> None:
    story.listen()
    story.act(transitions.accept)
    story.act(transitions.note, CANARY[7])
    story.act(_converse)
    story.act(conversation.update, f"We rang {CANARY[8]}.", lang="en")
    story.act(conversation.update, PUBLIC, lang="en", public=True)
    story.act(transitions.wait, "parts")
    story.act(transitions.resume)
    story.act(corrections.reschedule, "weather", story.at + 20 * DAY)
    story.at += 30 * DAY
    sla_sweep.sweep(story.town.engine, story.at)
    story.listen()
    pages = _pages(story, client)
    story.act(transitions.close, Closing("fixed", no_photo="dark"))
    story.act(_rate)
    pages |= {f"{path} closed": words for path, words in _pages(story, client).items()}

    kinds = {kind for kind, _words in story.told}
    assert {"receipt", "changed", "update", "closed"} <= kinds
    assert any(PUBLIC in words for _kind, words in story.told)
    leaks = [(kind, each) for kind, words in story.told for each in CANARY if each in words]
    leaks += [(path, each) for path, words in pages.items() for each in CANARY if each in words]
    assert leaks == []
    with story.town.looking() as scene:
        case = scene.s.scalars(select(Case)).one()
        assert case.state == CLOSED
        assert any(case.number in words for words in pages.values())


def _pages(story: Story, client: FlaskClient) -> dict[str, str]:
    """Every page and file that somebody without a log-in is given, about this case or about all."""
    with story.town.looking() as scene:
        number = scene.s.scalars(select(Case.number)).one()
    found = {}
    for rule in story.app.url_map.iter_rules():
        given = {"number": number, **GIVEN}
        if "GET" not in (rule.methods or ()) or not set(rule.arguments) <= set(given):
            continue
        with story.app.test_request_context():
            try:
                path = story.app.url_for(rule.endpoint, **{each: given[each] for each in rule.arguments})
            except ValueError:  # that number is no case's
                continue
        answer = client.get(path)
        if answer.status_code == 200:
            found[path] = answer.get_data().decode(errors="replace")
        answer.close()
    assert len(found) > 30, sorted(found)
    return found
