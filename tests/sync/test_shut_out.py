"""A phone that is shut out or signed out while it speaks to the city: what is under way comes after."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from phones import DANA, Clock, Phone, case_of, declare, person, picture
from sqlalchemy import Engine, func, select

from city.db.engine import read_session, transaction
from city.db.models import Device, Person, Photo, Session
from city.people import accounts
from city.people import sessions as people_sessions
from city.settings import Settings
from sync import devices, routes, uploads

pytestmark = pytest.mark.both_databases

Do = Callable[[], object]


@pytest.fixture
def revoke(engine: Engine, settings: Settings, luis: Phone) -> Do:
    def do() -> None:
        with transaction(engine) as s:
            devices.revoke(s, settings.var, s.get_one(Device, luis.device), by=DANA, at=luis.clock())

    return do


@pytest.fixture
def log_out(engine: Engine, luis: Phone) -> Do:
    def do() -> None:
        with luis.http.session_transaction() as session:
            login = session["login"]
        with transaction(engine) as s:
            people_sessions.end(s, login)

    return do


def after_the_look(monkeypatch: pytest.MonkeyPatch, do: Do) -> None:
    """Lets something happen once, when an exchange that brings nothing has found out who calls, and writes
    nothing yet."""
    look, left = routes._caller, [do]

    def looked(*given: Any, **told: Any) -> routes.Caller:
        found = look(*given, **told)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(routes, "_caller", looked)


def while_work_is_taken(monkeypatch: pytest.MonkeyPatch, do: Do) -> None:
    """Lets something begin when an exchange has found out who brings work; it is over before the telling."""
    look, other = routes._caller, threading.Thread(target=do)

    def looked(*given: Any, locked: bool = False) -> routes.Caller:
        if not locked and other.ident:  # the telling
            other.join()
        found = look(*given, locked=locked)
        if locked:
            other.start()
            other.join(0.5)
        return found

    monkeypatch.setattr(routes, "_caller", looked)


def sessions(engine: Engine) -> int:
    with read_session(engine) as s:
        return s.scalar(select(func.count()).select_from(Session)) or 0


@pytest.mark.parametrize(("how", "auth"), [("revoke", "revoked"), ("log_out", "login")])
def test_a_phone_that_is_shut_out_while_its_work_is_taken_hears_the_result_and_no_news(
    engine: Engine,
    luis: Phone,
    lamp: str,
    how: str,
    auth: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    op = luis.op("start", luis.job(lamp))
    while_work_is_taken(monkeypatch, request.getfixturevalue(how))
    answer = luis.exchange(op, cursors={})
    assert answer["results"][0]["result"] == "applied"
    assert (answer["auth"], answer["scopes"], answer["changes"]) == (auth, [], {})
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "underway"


@pytest.mark.parametrize(("how", "why"), [("revoke", "revoked"), ("log_out", "login")])
def test_work_that_comes_after_its_phone_was_shut_out_is_deposited(
    engine: Engine, luis: Phone, lamp: str, how: str, why: str, request: pytest.FixtureRequest
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found")
    request.getfixturevalue(how)()
    answer = luis.exchange(op)
    assert answer["results"] == [{"id": op["id"], "result": "deposited", "why": why}]
    assert (answer["auth"], answer["scopes"], answer["changes"]) == (why, [], {})
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"


def test_a_log_out_waits_for_the_phone_that_signs_in_with_that_session(
    engine: Engine, luis: Phone, lamp: str, log_out: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = luis.job(lamp)
    luis.sign_in(person(engine, "luis@city.test"))  # a new session, not yet used on the phone
    with transaction(engine) as s:
        s.get_one(Device, luis.device).signed_in_at = None
    while_work_is_taken(monkeypatch, log_out)
    answer = luis.exchange(luis.op("close", job, outcome="not found"))
    assert (answer["auth"], answer["results"][0]["result"]) == ("login", "applied")
    with read_session(engine) as s:
        assert s.get_one(Device, luis.device).signed_in_at is None


def test_a_phone_that_is_revoked_while_it_renews_its_session_is_given_none(
    engine: Engine, luis: Phone, revoke: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    luis.exchange()
    with transaction(engine) as s:
        s.query(Session).delete()
    after_the_look(monkeypatch, revoke)
    assert luis.exchange()["auth"] == "revoked"
    assert sessions(engine) == 0


def while_beginning(monkeypatch: pytest.MonkeyPatch, do: Do) -> threading.Thread:
    """Lets something begin in the middle of a log-in; on PostgreSQL at the same time, on SQLite after it."""
    begin, other = people_sessions.begin, threading.Thread(target=do)

    def begun(*given: Any, **told: Any) -> str:
        token = begin(*given, **told)
        given[0].flush()
        other.start()
        other.join(0.5)
        return token

    monkeypatch.setattr(people_sessions, "begin", begun)
    return other


def test_a_session_that_is_just_being_renewed_ends_with_its_phone(
    engine: Engine, luis: Phone, revoke: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    luis.exchange()
    with transaction(engine) as s:
        s.query(Session).delete()
    revoking = while_beginning(monkeypatch, revoke)
    luis.exchange()
    revoking.join()
    assert sessions(engine) == 0
    assert luis.exchange()["auth"] == "revoked"


def at_once(monkeypatch: pytest.MonkeyPatch, first: Do, second: Do) -> list[Exception]:
    """Does both together: they meet where they log the person out, and there the second goes ahead.

    Returns their faults.
    """
    end_all, met, faults = people_sessions.end_all, threading.Barrier(2), list[Exception]()

    def ending(*given: Any) -> None:
        with suppress(threading.BrokenBarrierError):  # one of them waits for the other before it comes here
            met.wait(0.5)
        if threading.current_thread() is threads[0]:
            time.sleep(0.3)
        end_all(*given)

    def act(do: Do) -> None:
        try:
            do()
        except Exception as fault:
            faults.append(fault)

    monkeypatch.setattr(people_sessions, "end_all", ending)
    threads = [threading.Thread(target=act, args=(do,)) for do in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def test_two_phones_of_one_person_that_are_revoked_at_once_are_both_shut_out(
    app: Flask, engine: Engine, settings: Settings, luis: Phone, revoke: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Phone(app, luis.clock, person(engine, "luis@city.test"))

    def revoke_other() -> None:
        with transaction(engine) as s:
            devices.revoke(s, settings.var, s.get_one(Device, other.device), by=DANA, at=luis.clock())

    luis.exchange()
    other.exchange()
    assert at_once(monkeypatch, revoke, revoke_other) == []
    assert [phone.exchange()["auth"] for phone in (luis, other)] == ["revoked", "revoked"]


def test_a_person_who_is_disabled_while_their_phone_is_revoked_is_both(
    engine: Engine, luis: Phone, revoke: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    luis.exchange()
    with transaction(engine) as s:
        people_sessions.ask_code(
            s, "luis@city.test", luis.clock(), browser="here", source="", known=False, lang="en"
        )

    def disable() -> None:
        with transaction(engine) as s:
            found = s.get_one(Person, person(engine, "luis@city.test"))
            accounts.disable(s, found, by=DANA, at=luis.clock())
            people_sessions.end_all(s, found)

    assert at_once(monkeypatch, revoke, disable) == []
    with read_session(engine) as s:
        assert s.get_one(Device, luis.device).revoked_at
        assert s.get_one(Person, person(engine, "luis@city.test")).disabled_at


def test_a_log_in_by_code_that_is_under_way_ends_with_the_phone(
    app: Flask, engine: Engine, luis: Phone, revoke: Do, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(engine) as s:
        row = people_sessions.ask_code(
            s, "luis@city.test", clock(), browser="here", source="", known=False, lang="en"
        )
        code = people_sessions.code_of(row, app.extensions["cityline"].settings.secret_key)
    browser = app.test_client()
    with browser.session_transaction() as session:
        session["browser"] = "here"
    page = browser.get("/login").text
    csrf = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    revoking = while_beginning(monkeypatch, revoke)
    told = {"email": "luis@city.test", "code": code, "csrf_token": csrf}
    assert browser.post("/login/code", data=told).status_code == 303
    revoking.join()
    assert sessions(engine) == 0


def test_signing_in_on_a_phone_and_logging_out_at_once_leaves_it_signed_out(
    engine: Engine, luis: Phone, log_out: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    luis.sign_in(person(engine, "luis@city.test"))
    with transaction(engine) as s:
        s.get_one(Device, luis.device).signed_in_at = None
    sign_in, leaving = people_sessions.sign_in, threading.Thread(target=log_out)

    def signed_in(s: Any, *given: Any) -> None:
        sign_in(s, *given)
        s.flush()
        leaving.start()
        leaving.join(0.5)

    monkeypatch.setattr(people_sessions, "sign_in", signed_in)
    luis.exchange()
    leaving.join()
    assert luis.exchange()["auth"] == "login"


def test_a_signed_out_phone_sends_only_photos_that_its_work_declared(
    engine: Engine, luis: Phone, lamp: str, log_out: Do
) -> None:
    job = luis.job(lamp)
    assert luis.piece(declare(picture(1)), 0, picture(1)).status_code == 200
    log_out()
    known = luis.op("note", job, words="Rusty.", photos=[declare(picture(2))])
    assert luis.exchange(known)["results"][0]["why"] == "login"
    assert luis.piece(declare(picture(3)), 0, picture(3)).status_code == 401
    luis.upload(picture(2), known["photos"][0]["id"])
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(Photo)) == 2


def test_a_photo_under_way_while_its_phone_is_revoked_is_not_taken(
    engine: Engine, luis: Phone, revoke: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = uploads.append

    def appended(*given: Any, **told: Any) -> int:
        here = append(*given, **told)
        revoke()
        return here

    monkeypatch.setattr(uploads, "append", appended)
    # What was begun went with the phone, and a piece that is read already is refused.
    monkeypatch.setattr(uploads, "forget", lambda *_given: None)
    assert luis.piece(declare(picture()), 0, picture()).status_code == 401
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(Photo)) == 0
