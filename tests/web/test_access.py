"""The role matrix: every page for every role gives what the table says; and no foreign page gets in."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import pytest
from factories import SECRET, Town
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from wording import shared, shown

from city.db import engine as db
from city.db.models import AccountLetter, Base, Event, Person
from city.lifecycle import CALL_TAKER, DISPATCHER, MANAGER, SUPERVISOR, widened
from city.people import accounts, sessions
from city.reports import intake
from city.settings import Settings
from pwa.app import create_app
from pwa.web import access, rate_limits

CAST = {
    "administrator": "administrator", "manager": "manager", "dispatcher": "dispatcher",
    "supervisor": "supervisor", "call-taker": "call-taker", "rosa": "crew",
}  # fmt: skip
# Written out by hand, not read off the table: who may open what. Everything else is open to anybody.
EXPECTED = {
    "account.me": {*accounts.STAFF},
    "fieldwork": {DISPATCHER, SUPERVISOR},
    "fieldwork.release": {SUPERVISOR},
    "fieldwork.count_as_done": {DISPATCHER, SUPERVISOR},
    "account.change_mornings": {DISPATCHER, SUPERVISOR},
    "duty": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "admin": {"administrator"},
    "endpoints": {"administrator"},
    "partners": {"administrator"},
    "editor": {SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "phones": {"administrator", DISPATCHER, SUPERVISOR},
    "dispatch": {DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "live": {DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "tiles": {DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "crews": {DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "place_history": {DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "dispatch.accept": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.assign": {DISPATCHER, SUPERVISOR},
    "desk": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "inbox": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "case_change": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "view": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "view.table": {DISPATCHER, SUPERVISOR},
    "view.printed": {DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, "administrator"},
    "batch": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.unassign": {DISPATCHER, SUPERVISOR},
    "dispatch.wait": {DISPATCHER, SUPERVISOR, CALL_TAKER},  # an office's; of the field the table refuses it
    "dispatch.resume": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.close": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.reopen": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.merge": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.unmerge": {DISPATCHER, SUPERVISOR},
    "dispatch.cancel": {DISPATCHER, SUPERVISOR},
    "dispatch.tell_apart": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.one_again": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.end_review": {DISPATCHER, SUPERVISOR},
    "dispatch.note": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.forward": {DISPATCHER, SUPERVISOR},
    "dispatch.settle_forward": {DISPATCHER, SUPERVISOR},
    "dispatch.settle_handover": {DISPATCHER, SUPERVISOR},
    "dispatch.show": {DISPATCHER, SUPERVISOR, CALL_TAKER},
    "dispatch.ask_erasure": {DISPATCHER, SUPERVISOR, "administrator"},
    "dispatch.erase": {DISPATCHER, SUPERVISOR, "administrator"},
    "dispatch.hold": {MANAGER, "administrator"},
    "dispatch.lift_hold": {MANAGER, "administrator"},
    "records": {MANAGER, "administrator"},
    "stickers": {"administrator"},
    "redaction": {DISPATCHER, SUPERVISOR},
}
# Answers of field sync, which knows phones, of Open311, which knows keys, and of texts, which knows gateways;
# none knows pages.
OWN_GUARD = ("sync", "open311", "texts")
# The code in its address is its proof: mail programs post there to stop the news (RFC 8058) without a token.
# What another app shares is taken by what the browser vouches for: test_sharing.py.
OWN_PROOF = ("news.decide_news", "resident.share")
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def doors(app: Flask) -> list[tuple[str, str, str]]:
    """(endpoint, method, address) of every page, with something in each place of the address."""
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<natural:[^>]*>", "1", rule.rule)
        path = re.sub(r"<size>", "page", path)
        path = re.sub(r"<number>", "26-000001", path)
        path = re.sub(r"<[^>]*>", "x", path)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            found.append((rule.endpoint, method, path))
    return found


def expected(endpoint: str) -> set[str] | None:
    """The roles that may open it; None for anybody."""
    return EXPECTED.get(endpoint) or EXPECTED.get(endpoint.partition(".")[0])


def test_every_page_stands_in_the_table(app: Flask) -> None:
    endpoints = {endpoint for endpoint, _, _ in doors(app)}
    assert [e for e in sorted(endpoints) if not access.roles_for(e)] == []
    known = endpoints | {endpoint.partition(".")[0] for endpoint in endpoints}
    assert set(access.PAGE_ROLES) <= known, "a line for a page that does not exist"


def test_every_page_of_a_dispatcher_is_a_supervisors_too(app: Flask) -> None:
    theirs = [e for e, _, _ in doors(app) if DISPATCHER in access.roles_for(e)]
    assert len(theirs) > 20
    assert [e for e in theirs if not widened({SUPERVISOR}).intersection(access.roles_for(e))] == []


@pytest.mark.parametrize("name", [None, *CAST])
@pytest.mark.slow
def test_every_page_opens_for_whom_the_table_says(
    name: str | None, app: Flask, town: Town, log_in: Callable[..., FlaskClient], client: FlaskClient
) -> None:
    with town.at_work() as scene:
        scene.report()
    for endpoint, method, path in doors(app):
        if endpoint.partition(".")[0] in OWN_GUARD:
            continue
        if name:
            log_in(name)  # anew: some pages log out
        roles = expected(endpoint)
        form = {"csrf_token": token(client)} if method in UNSAFE else None
        answer = client.open(path, buffered=True, method=method, data=form)
        where = f"{method} {path} as {name}"
        to_login = answer.status_code == 302 and "/login" in answer.headers["Location"]
        if roles is None or (name and CAST[name] in roles):
            assert answer.status_code not in (401, 403), where
            assert not to_login, where
            assert answer.status_code < 500 or endpoint == "shell.readyz", where  # no worker runs here
        elif name:
            assert answer.status_code == 403, where
        else:
            assert answer.status_code == 401 if method in UNSAFE else to_login, where


@pytest.mark.parametrize("name", ["rosa", "dispatcher", "administrator"])
@pytest.mark.slow
def test_what_changes_something_wants_a_token_a_form_and_our_own_page(
    name: str, app: Flask, log_in: Callable[..., FlaskClient], client: FlaskClient
) -> None:
    gets = {path for _, method, path in doors(app) if method == "GET"}
    seen = 0
    for endpoint, method, path in doors(app):
        if method not in UNSAFE or endpoint.partition(".")[0] in OWN_GUARD:
            continue
        seen += 1
        log_in(name)
        # The report form comes back with its words where its token is stale; all else is refused.
        refusals = (400, 403, 422) if endpoint == "resident.send" else (400, 403)
        if endpoint not in OWN_PROOF:
            answer = client.open(path, buffered=True, method=method)
            assert answer.status_code in refusals, f"{path} without a token"
        good = {"csrf_token": token(client)}
        for foreign in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        ):
            answer = client.open(path, buffered=True, method=method, data=good, headers=foreign)
            assert answer.status_code == 403, f"{path} from {foreign}"
        if path not in gets:
            assert client.get(path, buffered=True).status_code in (302, 403, 404, 405), f"GET {path}"
    assert seen > 30


def test_field_sync_refuses_other_sites_by_its_own_guard(app: Flask, client: FlaskClient) -> None:
    for endpoint, method, path in doors(app):
        if endpoint.startswith("sync.") and method in UNSAFE:
            for headers in ({}, {"X-Cityline": "1", "Origin": "https://evil.example"}):
                assert (
                    client.open(path, buffered=True, method=method, json={}, headers=headers).status_code
                    == 403
                ), path


@pytest.mark.slow
def test_a_get_changes_nothing(
    app: Flask, town: Town, log_in: Callable[..., FlaskClient], client: FlaskClient
) -> None:
    """Mail scanners and browsers that fetch ahead press every link, those in our letters first."""
    with town.at_work() as scene:
        report = scene.report(key="a" * 32)
        wish = intake.subscribe(scene.s, report, "r@town.test", lang="en", at=town.now)
        code = intake.news_code(town.settings.secret_key, wish)
        link = sessions.make_link(
            scene.s, scene.s.get_one(Person, town.ids["rosa"]), town.now, by=accounts.THE_SYSTEM
        )
        secret = intake.token_for(SECRET, "a" * 32)
        letters = [f"/s/{secret}", f"/news/{wish.id}/{code}", f"/login/link/{link}"]
    log_in("administrator")
    before = rows(town)
    for path in letters:
        assert client.get(path, buffered=True).status_code in (200, 303), path
    for endpoint, method, path in doors(app):
        if method == "GET" and endpoint != "shell.readyz":
            client.get(path, buffered=True)
            client.head(path, buffered=True)
    assert rows(town) == before


def rows(town: Town) -> dict[str, list[str]]:
    """Everything that the database holds."""
    with town.looking() as scene:
        return {
            name: sorted(str(tuple(row)) for row in scene.s.execute(select(table)))
            for name, table in Base.metadata.tables.items()
        }


def test_logging_out_makes_a_copied_cookie_worthless(
    app: Flask, log_in: Callable[..., FlaskClient], client: FlaskClient
) -> None:
    cookie = log_in("dispatcher").get_cookie("cl_session")
    assert cookie
    thief = app.test_client()
    thief.set_cookie("cl_session", cookie.value)
    assert thief.get("/dispatch").status_code == 200
    client.post("/logout", data={"csrf_token": token(client)})
    assert thief.get("/dispatch").status_code == 302
    assert client.get("/dispatch").status_code == 302


@pytest.mark.parametrize("how", ["disabled", "logged out", "without the role"])
def test_whoever_may_no_more_when_their_turn_comes_changes_nothing(
    town: Town,
    client: FlaskClient,
    log_in: Callable[..., FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    with town.at_work() as scene:
        number = scene.report().case.number
    log_in("dispatcher")
    form = {"csrf_token": token(client), "note": "Ladder"}
    begin = db.transaction

    @contextmanager
    def later(engine: Engine) -> Iterator[Session]:
        monkeypatch.undo()
        with begin(engine) as s:
            person = s.get_one(Person, town.ids["dispatcher"])
            if how == "disabled":
                person.disabled_at = town.now
            elif how == "logged out":
                sessions.end_all(s, person)
            else:
                person.roles = [role for role in person.roles if role.role == MANAGER]
        with begin(engine) as s:
            yield s

    monkeypatch.setattr(access.db, "transaction", later)
    answer = client.post(f"/dispatch/cases/{number}/note", data=form)
    assert answer.status_code == (403 if how == "without the role" else 401)
    with town.looking() as scene:
        lines = scene.s.scalars(select(Event.kind).where(Event.subject == f"case:{scene.case(number).id}"))
        assert "note" not in list(lines)


@pytest.fixture
def seldom(town: Town, settings: Settings, now: datetime) -> Iterator[FlaskClient]:
    """A reader of a city where one network may read each page once a minute."""
    app = create_app(replace(settings, reads_a_minute=1), now=lambda: now)
    app.config.update(TESTING=True)
    yield app.test_client(use_cookies=False)
    app.extensions["cityline"].engine.dispose()


def test_whatever_anybody_may_read_has_a_limit(seldom: FlaskClient) -> None:
    public = [
        rule
        for rule in seldom.application.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and access.roles_for(rule.endpoint) == access.PUBLIC
    ]
    assert len(public) > 50
    for endpoint, path in {rule.endpoint: re.sub(r"<[^>]*>", "1", rule.rule) for rule in public}.items():
        if endpoint in rate_limits.UNCOUNTED or endpoint in rate_limits.LIMITS:
            continue
        codes = []
        for _ in range(11 if endpoint in rate_limits.PIECES else 2):
            with seldom.get(path) as answer:
                codes.append(answer.status_code)
        assert (429 in codes[:-1], codes[-1]) == (False, 429), path


def test_who_reads_too_often_hears_when_to_come_again(seldom: FlaskClient) -> None:
    for _ in range(2):
        page, told = seldom.get("/es/cases"), seldom.get("/open311/v2/requests.json")
        as_xml = seldom.get("/open311/v2/services.xml")
    assert {each.status_code for each in (page, told, as_xml)} == {429}
    assert all(0 < int(each.headers["Retry-After"]) <= 60 for each in (page, told, as_xml))
    assert shared.TOO_MANY_READS.es(number="311") in shown(page)
    assert told.get_json()[0]["description"] == shared.TOO_MANY_READS_TITLE
    assert f"<description>{shared.TOO_MANY_READS_TITLE}</description>" in as_xml.get_data(as_text=True)
    other = {"REMOTE_ADDR": "203.0.113.9"}
    assert seldom.get("/cases", environ_base=other).status_code == 200


@pytest.mark.slow
def test_a_city_hall_behind_one_address_does_not_meet_the_limit(
    client: FlaskClient, seldom: FlaskClient, town: Town
) -> None:
    for path in ("/", "/cases"):
        assert {client.get(path).status_code for _ in range(100)} == {200}, "as many people within a minute"
    staff = seldom.application.test_client()
    with town.at_work() as scene, staff.session_transaction() as session:
        person = scene.s.get_one(Person, town.ids["dispatcher"])
        session["login"] = sessions.begin(scene.s, person, town.now, how="code")
    assert {staff.get("/cases").status_code for _ in range(5)} == {200}, "whoever works here is not counted"


def test_whoever_sends_too_often_is_asked_to_wait(client: FlaskClient) -> None:
    form = {"csrf_token": token(client), "email": "rosa@town.test", "code": "000000"}
    answers = [client.post("/login/code", data=form).status_code for _ in range(20)]
    assert answers == [422] * 20
    late = client.post("/login/code", data=form)
    assert (late.status_code, "Retry-After" in late.headers) == (429, True)
    assert shared.TOO_MANY_TRIES(number="311") in shown(late)
    other = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.post("/login/code", data=form, environ_base=other).status_code == 422


def token(client: FlaskClient) -> str:
    """A token that fits the browser's session as it is now."""
    page = client.get("/login").get_data(as_text=True)
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", "/\\evil.example", "/\t/evil.example", "/\n/x", "https://evil.example",
        "/a\r\nX: y", "\\/x",
    ],
)  # fmt: skip
def test_logging_in_leads_to_no_other_site(client: FlaskClient, town: Town, wanted: str) -> None:
    with town.at_work() as scene:
        link = sessions.make_link(
            scene.s, scene.s.get_one(Person, town.ids["dispatcher"]), town.now, by=accounts.THE_SYSTEM
        )
    form = {"csrf_token": token(client), "next": wanted, "email": "dispatcher@town.test"}
    assert client.post(f"/login/link/{link}", data=form).headers["Location"] == "/dispatch?state=new"


def test_a_code_goes_to_the_address_that_is_kept(town: Town, client: FlaskClient) -> None:
    """The Kelvin sign is a k in small letters: a look-alike of an address is another mailbox."""
    with town.at_work() as scene:
        accounts.add(scene.s, "mark@town.test", "Mark", ["manager"])
    client.post("/login", data={"csrf_token": token(client), "email": "mar\u212a@town.test"})
    client.post("/login", data={"csrf_token": token(client), "email": "Mark@town.test"})
    with town.looking() as scene:
        sent = list(scene.s.scalars(select(AccountLetter.email).order_by(AccountLetter.id)))
    assert sent in (["mark@town.test"], ["mark@town.test"] * 2)


def test_addresses_that_look_like_others_are_counted_apart(app: Flask) -> None:
    browser = app.test_client()
    form = {"csrf_token": token(browser), "email": "rosa@town.test", "code": "000000"}

    def guessed(address: str) -> int:
        where = {"REMOTE_ADDR": address}
        return browser.post("/login/code", data=form, environ_base=where).status_code

    assert {guessed(f"::ffff:203.0.{n}.1") for n in range(23)} == {422}
    assert {guessed("203.0.99.9") for _ in range(20)} == {422}
    assert guessed("::ffff:203.0.99.1") == 429
    assert guessed("203.0.113.9:5555") == 422
    assert guessed("unknown") == 422
