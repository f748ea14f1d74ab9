"""Codes by mail: no answer tells whose address is known, no stranger closes the door for others."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from letterbox import html, text
from werkzeug.test import TestResponse
from wording import messages, shared, shown

from city.db import engine as db
from city.db.models import AccountLetter, LoginCode, Person
from city.notifications import account_email, outbox
from city.people import accounts, sessions
from city.settings import Settings
from pwa.app import create_app
from pwa.messages import report_messages

HERS, NOBODYS = "rosa@town.test", "nobody@town.test"


def token(browser: FlaskClient, path: str = "/login") -> str:
    page = browser.get(path).get_data(as_text=True)
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def ask(browser: FlaskClient, email: str = HERS, path: str = "/login", **where: str) -> TestResponse:
    form = {"csrf_token": token(browser), "email": email}
    return browser.post(path, data=form, environ_base=where)


def enter(browser: FlaskClient, code: str, email: str = HERS, **where: str) -> TestResponse:
    form = {"csrf_token": token(browser), "email": email, "code": code}
    return browser.post("/login/code", data=form, environ_base=where)


@pytest.fixture
def post(town: Town, app: Flask, settings: Settings, smtp: Any) -> Callable[..., Any]:
    """What the worker does in one round: the mailbox afterwards."""

    def round_(after: timedelta = timedelta(0)) -> Any:
        channel = outbox.open_senders(replace(settings, smtp_url=smtp.url))["email"]
        account_email.send_due(town.engine, channel, report_messages.account(app), town.now + after)
        return smtp

    return round_


def test_the_same_is_done_for_an_address_of_nobody(app: Flask, client: FlaskClient) -> None:
    token(client)
    done = {}
    for email in (HERS, NOBODYS):
        with counted(app) as statements:
            answer = ask(client, email)
        words = answer.get_data(as_text=True).replace(email, "")
        done[email] = (answer.status_code, re.sub(r'value="[^"]{40,}"', "", words), statements)
    assert done[HERS] == done[NOBODYS]
    done = {}
    for email in (HERS, NOBODYS):
        with counted(app) as statements:
            done[email] = (enter(client, "000000", email).status_code, statements)
    assert done[HERS] == done[NOBODYS]


def test_a_page_does_not_wait_for_the_mail_server(
    town: Town, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an address of somebody has mail sent to it: the wait would tell which is."""

    def connect(*_: object) -> None:
        pytest.fail("the page asks the mail server")

    monkeypatch.setattr("smtplib.SMTP.connect", connect)
    app = create_app(replace(settings, smtp_url="smtp://mail.test"), now=lambda: now)
    assert ask(app.test_client()).status_code == 200
    app.extensions["cityline"].engine.dispose()


def test_the_code_stands_in_the_letter_and_not_in_its_subject(
    client: FlaskClient, post: Callable[..., Any]
) -> None:
    ask(client)
    ask(client, NOBODYS)
    [letter] = post().messages
    assert (letter["To"], letter["Subject"]) == (HERS, messages.LOGIN_CODE)
    [code] = set(re.findall(r"\b[0-9]{6}\b", text(letter)))
    assert code in html(letter)
    assert code not in str(letter["Subject"])
    assert enter(client, code).status_code == 303
    assert len(post(timedelta(minutes=1)).messages) == 1


def test_a_code_is_tried_again_until_it_is_over(
    town: Town, client: FlaskClient, post: Callable[..., Any], smtp: Any, app: Flask
) -> None:
    ask(client)
    smtp.answer = "451 later"
    post()
    smtp.answer = "250 OK"
    assert post(timedelta(seconds=1)).messages == []
    assert len(post(timedelta(seconds=16)).messages) == 1
    ask(client)
    smtp.answer = "451 later"
    post()
    smtp.answer = "250 OK"
    app.config["NOW"] = town.now + timedelta(minutes=11)
    assert len(post(timedelta(minutes=11)).messages) == 1
    with town.looking() as scene:
        assert scene.s.query(AccountLetter).count() == 0


def test_a_letter_comes_in_the_language_of_the_page(client: FlaskClient, post: Callable[..., Any]) -> None:
    ask(client, path="/es/login")
    [letter] = post().messages
    assert letter["Subject"] == messages.LOGIN_CODE.es


@pytest.mark.slow
def test_a_city_hall_behind_one_address_begins_work(town: Town, app: Flask) -> None:
    with town.at_work() as scene:
        for n in range(150):
            accounts.add(scene.s, f"clerk{n}@town.test", f"Clerk {n}", ["call-taker"])
    secret = app.extensions["cityline"].settings.secret_key
    for n in range(150):
        app.config["NOW"] = town.now + timedelta(seconds=5 * n)
        browser, email = app.test_client(), f"clerk{n}@town.test"
        assert ask(browser, email).status_code == 200
        with town.looking() as scene:
            row = scene.s.query(LoginCode).filter_by(email=email).one()
        assert enter(browser, sessions.code_of(row, secret), email).status_code == 303, n


def test_who_guesses_in_a_city_hall_stops_nobody_who_was_logged_in_before(town: Town, app: Flask) -> None:
    secret = app.extensions["cityline"].settings.secret_key

    def log_in(browser: FlaskClient) -> int:
        ask(browser)
        with town.looking() as scene:
            row = scene.s.query(LoginCode).filter_by(email=HERS).order_by(LoginCode.id.desc()).first()
        assert row
        return enter(browser, sessions.code_of(row, secret)).status_code

    hers, guesser = app.test_client(), app.test_client()
    assert log_in(hers) == 303
    answers = [enter(guesser, "000000", f"{n}@town.test").status_code for n in range(21)]
    assert answers == [422] * 20 + [429]
    answers = [ask(guesser, HERS).status_code for _ in range(sessions.CODES_AN_HOUR + 1)]
    assert answers[-1] == 422
    assert log_in(hers) == 303
    assert log_in(app.test_client()) == 429


def test_two_who_share_a_browser_are_both_known_in_it(town: Town, app: Flask) -> None:
    browser = app.test_client()
    for name in ("rosa", "tom"):
        with town.at_work() as scene:
            row = sessions.ask_code(
                scene.s, f"{name}@town.test", town.now, browser="b", source="", known=False, lang="en"
            )
        with browser.session_transaction() as session:
            session["browser"] = "b"
        secret = app.extensions["cityline"].settings.secret_key
        assert enter(browser, sessions.code_of(row, secret), row.email).status_code == 303
        browser.post("/logout", data={"csrf_token": token(browser)})
    for name in ("rosa", "tom", "dispatcher"):
        ask(browser, f"{name}@town.test")
    with db.read_session(town.engine) as s:
        newest = s.query(LoginCode).order_by(LoginCode.id.desc()).limit(3)
        assert {row.email: row.known for row in newest} == {
            HERS: True, "tom@town.test": True, "dispatcher@town.test": False,
        }  # fmt: skip


def test_codes_that_were_guessed_at_are_closed_in_words_and_by_letter(
    town: Town, client: FlaskClient, app: Flask, post: Callable[..., Any]
) -> None:
    for _ in range(sessions.GUESSES_A_DAY[False] // sessions.GUESSES_A_CODE):
        ask(client)
        for _ in range(sessions.GUESSES_A_CODE):
            enter(client, "wrong")
    answer = ask(client)
    assert (answer.status_code, shared.TOO_MANY_WRONG_CODES in shown(answer)) == (422, True)
    with town.at_work() as scene:
        sessions.tell_of_guesses(scene.s, town.now)
    told = {str(letter["To"]): letter for letter in post().messages if "code" not in text(letter)[:14]}
    hers, admins = told[HERS], told["administrator@town.test"]
    assert hers["Subject"] == messages.SOMEONE_GUESSES
    assert messages.SOMEONE_GUESSES_AT(name="Rosa", email=HERS) in text(admins)
    assert "/admin/people/" in text(admins)


def test_whoever_opens_a_link_is_asked_who_they_are_and_its_owner_hears_of_it(
    town: Town, client: FlaskClient, post: Callable[..., Any]
) -> None:
    with town.at_work() as scene:
        rosa, by = scene.s.get_one(Person, town.ids["rosa"]), scene.actor("administrator")
        link = f"/login/link/{sessions.make_link(scene.s, rosa, town.now, by=by)}"
    [letter] = post().messages
    assert (letter["To"], letter["Subject"]) == (HERS, messages.LINK_MADE)
    assert messages.LINK_MADE_BY(name="Administrator") in text(letter)
    assert link not in text(letter)
    page = shown(client.get(link))
    assert "Rosa" not in page
    assert HERS not in page
    form = {"csrf_token": token(client), "email": "tom@town.test"}
    refused = client.post(link, data=form)
    assert (refused.status_code, shared.NOT_YOUR_LINK in shown(refused)) == (422, True)
    assert client.post(link, data=form | {"email": HERS}).headers["Location"] == "/crew"
