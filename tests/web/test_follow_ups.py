"""Follow-up cases on pages: asked for at the desk, worked on the board, and nowhere for strangers."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from factories import SECRET, Town, counted
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from city import reports
from city.schema import Case, Contact, Report

PHONE = "(555) 010-0142"
KEY = "a" * 32
WORDS = "canary of an office"
FRAGMENT = {"HX-Request": "true"}


def html_of(response: TestResponse) -> str:
    return response.get_data(as_text=True)


@pytest.fixture
def send(log_in: Callable[[str], FlaskClient], token: Callable[[], str]) -> Callable[..., TestResponse]:
    """Saves a call of a call-taker about a tax question: send(phone=…)."""
    desk = log_in("call-taker")

    def save(**fields: Any) -> TestResponse:
        data = {
            "csrf_token": token(), "key": KEY, "do": "save", "channel": "phone", "ends": "case",
            "service": "tax-question", "note": WORDS, "phone": PHONE, **fields,
        }  # fmt: skip
        return desk.post("/desk/calls", data=data)

    return save


@pytest.fixture
def number(send: Callable[..., TestResponse], town: Town) -> str:
    """A follow-up case that a call has opened."""
    send(**{"answer-tax-question-when": "After five"})
    with town.looking() as scene:
        return str(scene.s.scalars(select(Case.number)).one())


@pytest.fixture
def act(client: FlaskClient, token: Callable[[], str], number: str) -> Callable[..., TestResponse]:
    """Presses a button of the drawer: act("closure", outcome=…)."""
    return lambda verb, **fields: client.post(
        f"/dispatch/cases/{number}/{verb}", data={"csrf_token": token(), **fields}, headers=FRAGMENT
    )


class TestTheDesk:
    def test_a_call_becomes_a_follow_up_with_its_topic(self, number: str, town: Town) -> None:
        with town.looking() as scene:
            report, contact = scene.s.scalars(select(Report)).one(), scene.s.scalars(select(Contact)).one()
            assert (report.words, report.answers) == (WORDS, {"when": "After five"})
            assert (report.case.number, report.case.lat) == (number, None)
            assert (contact.outcome, contact.topic_code, contact.reply_by) == ("case", "taxes", "call")

    def test_an_address_is_kept_with_the_words(self, send: Callable[..., TestResponse], town: Town) -> None:
        assert send(place="Somewhere that no map knows").status_code == 303
        with town.looking() as scene:
            assert scene.s.scalars(select(Report.words)).one() == f"{WORDS}\nSomewhere that no map knows"

    def test_without_a_way_back_it_is_asked_for_and_nothing_is_lost(
        self, send: Callable[..., TestResponse], town: Town
    ) -> None:
        answer = send(phone="")
        assert answer.status_code == 422
        assert 'href="#way-back"' in html_of(answer)
        assert "Ask how to reach them" in html_of(answer)
        assert WORDS in html_of(answer)
        assert send(phone="", reply_by="again").status_code == 303
        with town.looking() as scene:
            assert scene.s.scalars(select(Contact.reply_by)).one() == "again"

    @pytest.mark.parametrize(
        ("way", "fault"), [("call", "Type the caller"), ("sms", "Type the caller"), ("email", "no e-mail")]
    )
    def test_a_way_without_its_address_is_said(
        self, send: Callable[..., TestResponse], way: str, fault: str
    ) -> None:
        answer = send(phone="", reply_by=way, email="")
        assert answer.status_code == 422
        assert fault in html_of(answer).replace("not an e-mail", "no e-mail")

    @pytest.mark.parametrize(
        ("path", "words", "name"),
        [
            ("/desk", "tax call", "Tax question to call back"),
            ("/es/desk", "consulta impuestos", "Consulta de impuestos"),
            ("/es/desk", "acta nacimiento", "Copia de un acta de nacimiento"),
        ],
    )
    def test_words_of_both_languages_find_it(
        self, log_in: Callable[[str], FlaskClient], path: str, words: str, name: str
    ) -> None:
        page = html_of(log_in("call-taker").get(f"{path}/found", query_string={"q": words}))
        assert name in page
        assert "data-office" in page

    def test_the_script_asks_its_questions_and_promises_an_answer(
        self, log_in: Callable[[str], FlaskClient], token: Callable[[], str]
    ) -> None:
        desk = log_in("call-taker")
        data = {
            "csrf_token": token(), "service": "tax-question", "ends": "case", "lang": "es", "phone": PHONE,
            "place": "214 Tansy Street",
        }  # fmt: skip
        page = html_of(desk.post("/desk/parts", data=data, headers=FRAGMENT))
        assert "¿Cuándo podemos devolverle la llamada?" in page
        assert "Tendrá respuesta a más tardar el" in page
        assert re.search(r'value="call" checked', page)
        assert 'value="none"' not in page
        assert "Near and alike" not in page


class TestTheBoard:
    def test_the_view_lists_it_with_its_department(
        self, client: FlaskClient, number: str, app: Flask
    ) -> None:
        with counted(app) as sent:
            page = html_of(client.get("/dispatch?work=office"))
        assert number in page
        assert "Taxes and payments" in page
        assert "<title>Follow-ups" in page
        assert len(sent) <= 12
        assert number not in html_of(client.get("/dispatch?place=none"))
        assert number not in html_of(client.get("/dispatch?crew=none"))

    def test_the_drawer_has_the_number_the_question_and_what_can_be_done(
        self, client: FlaskClient, number: str
    ) -> None:
        page = html_of(client.get(f"/dispatch/cases/{number}"))
        for words in ("Wants to be called: (555) 010-0142", WORDS, "After five", "Told by phone", "Answered"):
            assert words in page, words
        for words in (
            "Which crew goes?",
            "No photo, because",
            "close-photos",
            'id="public"',
            "Looked, nothing",
        ):
            assert words not in page, words

    def test_a_call_taker_works_it_to_its_end(self, act: Callable[..., TestResponse], town: Town) -> None:
        assert act("acceptance").status_code == 200
        assert act("wait", reason="resident").status_code == 200
        assert act("resume").status_code == 200
        refused = act("closure", outcome="answered")
        assert refused.status_code == 422
        assert "Say what was told" in html_of(refused)
        assert act("closure", reply="tax-told").status_code == 200
        with town.looking() as scene:
            assert scene.s.scalars(select(Case.outcome)).one() == "answered"

    @pytest.mark.parametrize(
        ("outcome", "reply"), [("fixed", ""), ("not found", ""), ("answered", "new-lamp"), ("", "by-policy")]
    )
    def test_it_does_not_end_as_a_lamp_does(
        self, act: Callable[..., TestResponse], outcome: str, reply: str
    ) -> None:
        assert act("closure", outcome=outcome, reply=reply, words="x").status_code == 422

    def test_a_call_taker_closes_nothing_of_the_field(
        self, client: FlaskClient, token: Callable[[], str], number: str, town: Town
    ) -> None:
        with town.at_work() as scene:
            lamp = scene.report().case.number
        data = {"csrf_token": token(), "outcome": "not ours"}
        assert client.post(f"/dispatch/cases/{lamp}/closure", data=data).status_code == 422

    def test_a_batch_names_it_as_not_possible(
        self, number: str, log_in: Callable[[str], FlaskClient], token: Callable[[], str], town: Town
    ) -> None:
        with town.at_work() as scene:
            lamp = scene.report().case.number
        board = log_in("dispatcher")
        data = {
            "csrf_token": token(), "key": "b" * 32, "act": f"assign {town.ids['lights']}",
            "cases": f"{number} {lamp}", "crew": town.ids["lights"],
        }  # fmt: skip
        page = html_of(board.post("/dispatch/batch", data=data, headers=FRAGMENT))
        assert number in page
        assert "no crew goes there" in page


class TestStrangers:
    @pytest.fixture
    def stranger(self, app: Flask) -> FlaskClient:
        return app.test_client()

    @pytest.mark.parametrize(
        "path",
        ["/", "/report", "/cases", "/cases?group=office", "/cases?state=closed", "/cases/points", "/crew",
         "/answers", "/report?service=tax-question", "/es/report"],
    )  # fmt: skip
    def test_no_page_knows_of_it(self, number: str, stranger: FlaskClient, path: str) -> None:
        page = html_of(stranger.get(path))
        assert WORDS not in page
        assert number not in page
        assert "Tax question" not in page
        assert "Consulta de impuestos" not in page
        assert "Questions and records" not in page

    def test_neither_does_its_own_address(self, number: str, stranger: FlaskClient) -> None:
        assert stranger.get(f"/case/{number}").status_code == 404

    def test_nobody_reports_one_on_the_web(
        self, stranger: FlaskClient, town: Town, post: Callable[..., TestResponse]
    ) -> None:
        answer = post(group="office", **{"service-office": "tax-question"})
        assert answer.status_code == 422
        with town.looking() as scene:
            assert scene.s.scalar(select(Case.id)) is None

    def test_who_asked_reads_the_day_and_the_answer(
        self, number: str, stranger: FlaskClient, act: Callable[..., TestResponse], app: Flask
    ) -> None:
        secret = app.extensions["cityline"].settings.secret_key
        stranger.get(f"/s/{reports.token_for(secret, KEY)}")
        page = html_of(stranger.get(f"/case/{number}"))
        assert "You have an answer by" in page
        assert WORDS in page
        act("closure", reply="tax-told")
        page = html_of(stranger.get(f"/case/{number}"))
        assert "Answered." in page
        assert "We called you" in page
        assert "Not answered?" in page
        assert SECRET not in page
