"""A partner's link on a phone: from the drawer by mail to the closed case, and nobody's name in it."""

import re
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO

import pytest
from factories import LAMP, Town, jpeg, statements
from flask import Flask
from flask.testing import FlaskClient
from letterbox import html, text
from sqlalchemy import select
from test_conversations import Staff
from test_conversations import dispatcher as dispatcher
from werkzeug.test import TestResponse

from city.db.models import AccountLetter, Partner, Photo, Report, Topic
from city.lifecycle import ACCEPTED, ASSIGNED, CLOSED, PARTNER_DONE
from city.partners import telling
from city.people import partners
from city.people.contacts import Conversation
from city.reports import calls
from city.reports.calls import Call
from city.reports.intake import NewReport
from pwa.messages import report_messages

CANARY = ("Ana Ortiz", "ana@home.example", "8605550142", "555-0142", "behind the red door")
MOST_QUERIES = 8  # of a list of jobs, however many


@pytest.fixture
def ace(town: Town) -> int:
    with town.at_work() as scene:
        return partners.save(
            scene.s, None, name="Ace Paving", department=None, email="office@ace.example", lang="en",
            by=scene.actor("administrator"), at=town.now,
        ).crew_id  # fmt: skip


@pytest.fixture
def number(town: Town) -> str:
    """A case that a caller told of, who said who she is."""
    with town.at_work() as scene:
        scene.s.add(Topic(code="lights", names={"en": "Lights"}, department_code="works"))
        words = f"{CANARY[0]} says it is dark, {CANARY[4]}"
        told = NewReport("c" * 32, "light-out", "phone", "en", words, LAMP)
        said = Conversation("c" * 32, "phone", town.now - timedelta(minutes=2), 60, "lights", "case")
        call = Call(said, f"+1{CANARY[2]}", told, CANARY[1])
        calls.finish_call(scene.s, call, by=scene.actor("call-taker"), at=town.now, secret="s" * 32)
        return scene.s.scalars(select(Report)).one().case.number


Mail = Callable[[], list[str]]


@pytest.fixture
def mail(app: Flask, town: Town) -> Mail:
    """What a round of the worker writes to partners: whole letters, as text and HTML."""

    def written() -> list[str]:
        telling.tell_due(town.engine, town.now)
        write = report_messages.account(app)
        with town.looking() as scene:
            rows = scene.s.scalars(select(AccountLetter).order_by(AccountLetter.id)).all()
            found = [write(scene.s, row) for row in rows]
        assert all(found)
        return [f"{each['Subject']}\n{text(each)}\n{html(each)}" for each in found if each]

    return written


def link_in(letter: str) -> str:
    return re.findall(r"https?://[^/]+(/partner/[\w-]{44})", letter)[0]


class Phone:
    """A partner's browser: no log-in, no JavaScript, and the form's token of the page before it."""

    def __init__(self, app: Flask) -> None:
        self.browser = app.test_client()

    def get(self, path: str) -> TestResponse:
        return self.browser.get(path)

    def send(self, page: str, path: str, **fields: object) -> TestResponse:
        found = re.search('name="csrf_token" value="([^"]+)"', page)
        key = re.search('name="key" value="([^"]+)"', page)
        told = {"csrf_token": found and found[1], "key": key and key[1]} | fields
        return self.browser.post(path, data=told, content_type="multipart/form-data")


def test_from_the_drawer_to_the_link_and_back(
    app: Flask, town: Town, dispatcher: Staff, ace: int, number: str, mail: Mail
) -> None:
    case_path = f"/dispatch/cases/{number}"
    assert "Ace Paving" in dispatcher.get(f"{case_path}?do=assign").text
    assert dispatcher.post(f"{case_path}/assignment", {"crew": ace}).status_code == 303
    assert (
        dispatcher.post(f"{case_path}/partner", {"act": "tell", "words": "Key at the gate"}).status_code
        == 303
    )
    (letter,) = mail()
    phone, path = Phone(app), link_in(letter)
    page = phone.get(path).text
    assert "Key at the gate" in page
    assert "<script" not in page.partition("<main")[2]

    assert phone.send(page, f"{path}/{number}/acceptance").status_code == 303
    page = phone.get(f"{path}/{number}").text
    assert "/acceptance" not in page
    refused = phone.send(page, f"{path}/{number}/done", outcome="fixed", words="New <b>lamp</b>")
    assert refused.status_code == 422
    assert "New &lt;b&gt;lamp&lt;/b&gt;" in refused.text, "nothing that was typed is lost"
    photo = (BytesIO(jpeg()), "lamp.jpg")
    done = phone.send(refused.text, f"{path}/{number}/done", outcome="fixed", words="New lamp", photo=photo)
    assert done.status_code == 303
    assert state(town, number) == (ASSIGNED, PARTNER_DONE)

    drawer = dispatcher.get(case_path).text
    assert "New lamp" in drawer
    assert drawer.count('data-verb="accept"') == 1, "one key takes it"
    (shown,) = set(re.findall(r"/photos/([\w-]{36})/thumb", drawer.partition('id="partner"')[2]))
    assert dispatcher.get(f"/photos/{shown}/thumb.jpg").status_code == 200
    assert phone.get(f"/photos/{shown}/thumb.jpg").status_code == 404
    assert dispatcher.post(f"{case_path}/partner", {"act": "accept"}).status_code == 303
    assert state(town, number) == (CLOSED, None)
    assert phone.get(f"{path}/{number}").status_code == 200
    assert "/done" not in phone.get(path).text
    with town.looking() as scene:
        (closing,) = scene.case(number).closures
        assert (closing.words, closing.crew_id, closing.no_photo) == ("New lamp", ace, None)
        assert scene.s.get_one(Photo, shown).closure_id == closing.id
    assert "Ace Paving" in dispatcher.get(case_path).text
    assert f"{number} closed: Fixed" in dispatcher.get("/dispatch").text


def test_nobody_is_named_to_a_partner(
    app: Flask, town: Town, dispatcher: Staff, ace: int, number: str, mail: Mail
) -> None:
    dispatcher.post(f"/dispatch/cases/{number}/assignment", {"crew": ace})
    letters = mail()
    phone, path = Phone(app), link_in(letters[0])
    pages = [phone.get(path).text, phone.get(f"{path}/{number}").text, phone.get(f"/es{path}").text]
    for said in (*letters, *pages):
        assert [each for each in CANARY if each in said] == []
        assert number in said


def test_what_is_guessed_expired_or_revoked_says_the_same(
    app: Flask, town: Town, dispatcher: Staff, ace: int, number: str, mail: Mail
) -> None:
    dispatcher.post(f"/dispatch/cases/{number}/assignment", {"crew": ace})
    phone, path = Phone(app), link_in(mail()[0])
    page = phone.get(path)
    assert "no-store" in page.headers["Cache-Control"]
    assert page.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
    dispatcher.post(f"/dispatch/cases/{number}/partner", {"act": "revoke"})
    gone = [phone.get(each) for each in (path, f"/partner/{'x' * 44}", "/partner/x", f"{path}/{number}")]
    assert {answer.status_code for answer in gone} == {404}
    assert len({re.sub('/partner/[^"?]+', "", answer.text) for answer in gone}) == 1
    for act in ("acceptance", "refusal", "done"):
        assert phone.send(page.text, f"{path}/{number}/{act}", why="No").status_code == 404
    assert state(town, number) == (ASSIGNED, None)


def test_a_link_to_one_job_opens_no_other(
    app: Flask, town: Town, dispatcher: Staff, ace: int, number: str, mail: Mail
) -> None:
    with town.at_work() as scene:
        other = scene.report(words="Another").case.number
    for each in (number, other):
        dispatcher.post(f"/dispatch/cases/{each}/assignment", {"crew": ace})
    phone, path = Phone(app), link_in(mail()[0])
    page = phone.get(path).text
    assert other not in page
    assert phone.send(page, f"{path}/{other}/acceptance").status_code == 422
    assert phone.send(page, f"{path}/{other}/refusal", why="No").status_code == 422
    assert state(town, other) == (ASSIGNED, None)
    assert phone.send(page, f"{path}/26-999999/refusal", why="No").status_code == 404
    assert phone.send(page, f"{path}/{number}/refusal", why=" ").status_code == 422
    assert phone.send(page, f"{path}/{number}/refusal", why="Not our road").status_code == 303
    assert state(town, number)[0] == ACCEPTED
    assert "Not our road" in dispatcher.get(f"/dispatch/cases/{number}").text
    assert "Not our road" not in app.test_client().get(f"/case/{number}").text


def test_the_cost_of_a_list_of_jobs_is_known(
    app: Flask, town: Town, dispatcher: Staff, ace: int, mail: Mail
) -> None:
    with town.at_work() as scene:
        numbers = [scene.report().case.number for _ in range(20)]
    for each in numbers:
        dispatcher.post(f"/dispatch/cases/{each}/assignment", {"crew": ace})
    (letter,) = mail()
    phone, path = Phone(app), link_in(letter)
    phone.get(path)
    with statements(town.engine) as sent:
        page = phone.get(path).text
    assert [each in page for each in numbers] == [True] * 20
    assert len(sent) <= MOST_QUERIES, sent


def test_an_administrator_makes_and_changes_a_partner(
    town: Town, log_in: Callable[..., FlaskClient], token: Callable[[], str]
) -> None:
    browser = log_in("administrator")
    csrf = re.findall('name="csrf_token" value="([^"]+)"', browser.get("/admin/partners").text)[0]
    told = {"csrf_token": csrf, "name": "Elm Town", "email": "elm", "lang": "es"}
    wrong = browser.post("/admin/partners", data=told)
    assert wrong.status_code == 422
    assert 'value="Elm Town"' in wrong.text
    made = browser.post("/admin/partners", data=told | {"email": "dpw@elm.example"})
    assert made.status_code == 303
    one = made.headers["Location"].partition("?")[0]
    assert "light-out" in browser.get(one).text
    assert "nuisance" not in browser.get(one).text
    changed = told | {"email": "dpw@elm.example", "service": ["limb-down"], "active": "1"}
    assert browser.post(one, data=changed).status_code == 303
    with town.looking() as scene:
        row = scene.s.scalars(select(Partner)).one()
        assert (row.services, row.needs_acceptance, row.is_active, row.lang) == (
            ["limb-down"],
            False,
            True,
            "es",
        )
        crew_id = row.crew_id
    assert browser.post(f"{one}/list", data={"csrf_token": csrf}).status_code == 303
    assert browser.post(f"{one}/revoke", data={"csrf_token": csrf}).status_code == 303
    assert browser.get(f"/admin/crews/{crew_id}").status_code == 404
    assert "Elm Town" not in browser.get("/admin/crews").text
    assert "Elm Town" not in browser.get("/admin/people").text


def state(town: Town, number: str) -> tuple[str, str | None]:
    with town.looking() as scene:
        case = scene.case(number)
        return case.state, case.review
