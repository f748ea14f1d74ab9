"""A question to whoever reported it, its answer on the page and what staff and strangers see of both."""

import re
from email.message import EmailMessage
from io import BytesIO
from typing import Any

import pytest
from factories import LAMP, Town, jpeg
from filled import Tell
from flask import Flask
from flask.testing import FlaskClient
from letterbox import html, text
from sqlalchemy import select
from werkzeug.test import TestResponse
from wording import resident

from city.cases import transitions
from city.db.models import Case, CaseMessage, Message, Person, Report
from city.lifecycle import ASSIGNED, REPLIED, WAITING
from city.people import sessions
from city.reports import conversation, intake
from city.settings import Settings
from pwa.messages import report_messages
from sync import jobs

QUESTION = "Can a wheelchair get past it?"
CANARY = "Behind the red door of Ana"


@pytest.fixture
def number(town: Town) -> str:
    """The number of a case that a crew has."""
    with town.at_work() as scene:
        return scene.assigned(place=LAMP, words="dark since Sunday").number


class Staff:
    """A dispatcher's browser of their own, whose forms bring their token along."""

    def __init__(self, browser: FlaskClient) -> None:
        self.browser, page = browser, browser.get("/dispatch").text
        self.token = page.partition('name="csrf_token" value="')[2].partition('"')[0]

    def get(self, path: str) -> TestResponse:
        return self.browser.get(path)

    def post(self, path: str, data: dict[str, Any], **more: Any) -> TestResponse:
        return self.browser.post(path, data={"csrf_token": self.token, **data}, **more)


@pytest.fixture
def dispatcher(app: Flask, town: Town) -> Staff:
    browser = app.test_client()
    with town.at_work() as scene:
        person = scene.s.get_one(Person, town.ids["dispatcher"])
        token = sessions.begin(scene.s, person, town.now, how="code")
    with browser.session_transaction() as session:
        session["login"] = token
    return Staff(browser)


@pytest.fixture
def reporter(town: Town, settings: Settings, number: str, client: FlaskClient) -> FlaskClient:
    """The browser that holds the report's link."""
    with town.at_work() as scene:
        report = scene.case(number).reports[0]
        token = intake.token_for(settings.secret_key, report.key)
        scene.s.add(intake.SecretLink(token_hash=intake.hashed(token), report_id=report.id, made_at=town.now))
    client.get(f"/s/{token}")
    return client


def ask(staff: Staff, number: str, **changes: str) -> int:
    form = {"report": f"{number}-A", "question": QUESTION, "choices": "Yes, No,, Not sure", "key": "a" * 32}
    return staff.post(f"/dispatch/cases/{number}/question", data=form | changes).status_code


def state(town: Town, number: str) -> tuple[str, str | None]:
    with town.looking() as scene:
        case = scene.case(number)
        return case.state, case.review


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the answer's form."""
    form = page[page.index('class="answer"') :]
    return dict(re.findall(r'name="(csrf_token|key|to)" value="([^"]+)"', form)[:3])


def test_a_question_is_answered_on_the_page_and_the_clock_runs_on(
    town: Town, dispatcher: Staff, reporter: FlaskClient, number: str
) -> None:
    assert ask(dispatcher, number) == 303
    assert ask(dispatcher, number) == 303  # the same form, sent twice
    assert state(town, number) == (ASSIGNED, None)

    page = reporter.get(f"/case/{number}").text
    assert page.count(f"{QUESTION}</h2>") == 1
    assert resident.ON_HOLD_UNTIL_YOU_ANSWER in page
    assert state(town, number) == (WAITING, None)
    told = fields(page) | {"choice": "No", "words": CANARY}
    data = told | {"photo": (BytesIO(jpeg()), "gate.jpg")}
    answer = reporter.post(f"/case/{number}-A/reply", data=data, content_type="multipart/form-data")
    assert answer.headers["Location"] == f"/case/{number}?said=written"
    again = reporter.post(f"/case/{number}-A/reply", data=told)
    assert again.status_code == 303

    assert state(town, number) == (ASSIGNED, REPLIED)
    with town.looking() as scene:
        asked, answered = scene.s.scalars(select(CaseMessage).order_by(CaseMessage.id)).all()
        assert (answered.words, len(answered.photos)) == (f"No\n{CANARY}", 1)
        photo, crew = answered.photos[0].id, scene.case(number).assignments[-1].crew_id
        job = jobs.read(scene.s, {(crew, number)})[crew, number]
        assert job["told"][-1]["answers"] == [[QUESTION, f"No\n{CANARY}"]]
        assert job["told"][-1]["photos"] == [photo]
        assert asked.choices == ["Yes", "No", "Not sure"]
    assert CANARY in reporter.get(f"/case/{number}").text
    assert reporter.get(f"/photos/{photo}/thumb.jpg").status_code == 200
    drawer = dispatcher.get(f"/dispatch/cases/{number}").text
    assert CANARY in drawer
    assert dispatcher.get(f"/photos/{photo}/thumb.jpg").status_code == 200
    assert number in dispatcher.get("/dispatch?review=reply").text


def test_strangers_and_neighbors_read_nothing_of_it(
    town: Town, app: Flask, dispatcher: Staff, reporter: FlaskClient, number: str
) -> None:
    with town.at_work() as scene:
        other = intake.join(scene.s, scene.case(number), key="j" * 32, token="t" * 32, lang="en", at=town.now)
        assert other.number
        for report in scene.case(number).reports:
            intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
    assert ask(dispatcher, number) == 303
    told = fields(reporter.get(f"/case/{number}").text) | {"words": CANARY}
    data = told | {"photo": (BytesIO(jpeg()), "gate.jpg")}
    reporter.post(f"/case/{number}-A/reply", data=data, content_type="multipart/form-data")
    with town.looking() as scene:
        photo = scene.s.scalars(select(CaseMessage).where(CaseMessage.kind == "answer")).one().photos[0].id
    stranger, neighbor = app.test_client(), app.test_client()
    neighbor.get("/s/" + "t" * 32)
    for browser in (stranger, neighbor):
        pages = (
            f"/case/{number}", f"/open311/v2/requests/{number}.json?extensions=true",
            "/open311/v2/requests.json", "/cases", f"/case/{number}/share",
        )  # fmt: skip
        for page in pages:
            text = browser.get(page).text
            assert CANARY not in text, page
            assert QUESTION not in text, page
        assert browser.get(f"/photos/{photo}/thumb.jpg").status_code == 404
        assert browser.post(f"/case/{number}-A/reply", data=told).status_code in (400, 404)


def test_what_was_refused_stays_in_its_field(
    town: Town, dispatcher: Staff, reporter: FlaskClient, number: str
) -> None:
    ask(dispatcher, number)
    told = fields(reporter.get(f"/case/{number}").text)
    empty = reporter.post(f"/case/{number}-A/reply", data=told)
    assert empty.status_code == 422, empty.headers.get("Location")
    assert resident.WRITE_A_FEW_WORDS in empty.text
    long = reporter.post(f"/case/{number}-A/reply", data=told | {"words": "x" * 4001, "choice": "No"})
    assert long.status_code == 422
    assert "x" * 4001 in long.text
    assert re.search(r'value="No" checked', long.text)
    assert state(town, number) == (WAITING, None)

    assert ask(dispatcher, number, question=" ", key="b" * 32) == 422
    assert ask(dispatcher, number, report="26-999999-A", key="c" * 32) == 422


def test_an_update_reaches_everyone_who_reported_it(
    town: Town, dispatcher: Staff, reporter: FlaskClient, number: str
) -> None:
    words = "The new pole comes on Friday."
    told = {"words": words, "key": "d" * 32, "photos": (BytesIO(jpeg()), "pole.jpg")}
    url = f"/dispatch/cases/{number}/update"
    assert dispatcher.post(url, data=told, content_type="multipart/form-data").status_code == 303
    page = reporter.get(f"/case/{number}").text
    assert words in page
    with town.looking() as scene:
        assert scene.case(number).state == ASSIGNED
        (line,) = conversation.thread(scene.s, [scene.case(number).id])
        assert reporter.get(f"/photos/{line.photos[0].id}/thumb.jpg").status_code == 200
    assert dispatcher.post(url, data={"words": "", "key": "e" * 32}).status_code == 422


def test_a_public_update_is_read_by_everybody(town: Town, app: Flask, dispatcher: Staff, number: str) -> None:
    url, stranger = f"/dispatch/cases/{number}/update", app.test_client()
    dispatcher.post(url, data={"words": "For reporters only.", "key": "d" * 32})
    told = {"words": "The street is closed.", "public": "yes", "key": "e" * 32}
    told |= {"photos": (BytesIO(jpeg()), "street.jpg")}
    dispatcher.post(url, data=told, content_type="multipart/form-data")
    page = stranger.get(f"/case/{number}").text
    assert "The street is closed." in page
    assert "For reporters only." not in page
    with town.at_work() as scene:
        photo = conversation.thread(scene.s, [scene.case(number).id])[1].photos[0].id
    assert stranger.get(f"/photos/{photo}/thumb.jpg").status_code == 200
    with town.at_work() as scene:
        scene.case(number).service.private = True
    assert stranger.get(f"/case/{number}").status_code == 404
    assert stranger.get(f"/photos/{photo}/thumb.jpg").status_code == 404


def test_a_letter_asks_in_the_readers_language_and_leads_to_the_answer(
    town: Town, app: Flask, dispatcher: Staff, number: str, tell: Tell
) -> None:
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report)).one()
        row = intake.subscribe(scene.s, report, "ana@example.org", lang="es", at=town.now)
        intake.confirm(scene.s, row, at=town.now)
    tell()
    ask(dispatcher, number)
    assert tell() == 1
    with town.looking() as scene:
        told = scene.s.scalars(select(Message).where(Message.kind == "question")).one()
        assert told.sent_at
        letter = report_messages.render(app)(scene.s, told)
    assert isinstance(letter, EmailMessage)
    for body in (text(letter), html(letter)):
        assert QUESTION in body
        assert "Not sure" in body
        assert re.search(r"/es/s/[0-9a-f]+#answer", body)
    assert conversation.settle(town.engine, town.now) == 1
    assert state(town, number) == (WAITING, None)


def test_a_case_that_is_over_takes_words_for_two_weeks(
    town: Town, reporter: FlaskClient, number: str
) -> None:
    with town.at_work() as scene:
        case = scene.s.scalars(select(Case)).one()
        transitions.cancel(scene.s, case, "test", by=scene.actor("dispatcher"), at=town.now)
    page = reporter.get(f"/case/{number}").text
    assert 'id="write"' in page
    key = re.search(r'id="write".*?name="key" value="([0-9a-f]{32})"', page, re.DOTALL)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert key
    assert token
    data = {"csrf_token": token[1], "key": key[1], "words": "It's back."}
    assert reporter.post(f"/case/{number}-A/reply", data=data).status_code == 303
    assert state(town, number)[1] == REPLIED
