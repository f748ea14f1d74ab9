"""A phone becomes a crew's by a code; what it says of itself is written down; a lost one is shut out."""

import uuid
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from phones import DANA, OURS, Clock, Phone, person
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from city.db.engine import read_session, transaction
from city.db.models import Device, EnrolmentCode, Person, RateLimitHit
from city.lifecycle import DISPATCHER, Refused
from city.people import accounts
from sync import enrolment

pytestmark = pytest.mark.both_databases


def code_for(engine: Engine, clock: Clock, email: str = "luis@city.test") -> str:
    with transaction(engine) as s:
        found = s.get_one(Person, person(engine, email))
        return enrolment.make_code(s, found, by=DANA, at=clock())


def typed(browser: FlaskClient, code: object, address: str = "192.0.2.1", **more: object) -> TestResponse:
    return browser.post(
        "/sync/v1/enrol", json={"code": code, **more}, headers=OURS, environ_base={"REMOTE_ADDR": address}
    )


def test_a_code_makes_the_phone_somebodys_and_logs_them_in(
    app: Flask, engine: Engine, clock: Clock, luis: Phone, lamp: str
) -> None:
    browser = app.test_client()
    told = typed(browser, code_for(engine, clock)).json
    assert told
    assert (told["person"], told["name"], told["lang"]) == (person(engine, "luis@city.test"), "Luis", "en")
    assert [crew["name"] for crew in told["crews"]] == ["Lights 2"]
    luis.http, luis.device = browser, told["device"]
    answer = luis.exchange()
    assert answer["auth"] == "ok"
    assert [job["ref"] for job in answer["changes"][f"crew:{told['crews'][0]['id']}"]["set"]] == [lamp]
    with browser.session_transaction() as session:
        assert session["login"]


def test_a_log_in_and_a_code_answer_alike(app: Flask, engine: Engine, clock: Clock, luis: Phone) -> None:
    by_log_in = luis.http.post("/sync/v1/device", headers=OURS).json
    by_code = typed(app.test_client(), code_for(engine, clock)).json
    assert by_log_in
    assert by_code
    assert by_log_in | {"device": ""} == by_code | {"device": ""}
    assert by_log_in["device"] != by_code["device"]


def test_a_code_may_be_typed_as_people_type(app: Flask, engine: Engine, clock: Clock) -> None:
    code = code_for(engine, clock)
    assert set(code) <= set("34679ACDEFGHJKMNPQRTWXY")
    assert typed(app.test_client(), f" {code[:4].lower()}-{code[4:]} ").status_code == 200


@pytest.mark.parametrize("spoil", ["used", "old", "renewed", "disabled"])
def test_a_code_works_once_for_ten_minutes_and_the_newest_only(
    app: Flask, engine: Engine, clock: Clock, spoil: str
) -> None:
    code = code_for(engine, clock)
    if spoil == "used":
        assert typed(app.test_client(), code).status_code == 200
    if spoil == "old":
        clock.tick(minutes=10)
    if spoil == "renewed":
        code_for(engine, clock)
    if spoil == "disabled":
        with transaction(engine) as s:
            s.get_one(Person, person(engine, "luis@city.test")).disabled_at = clock()
    refused = typed(app.test_client(), code)
    assert (refused.status_code, refused.json["error"]) == (422, "wrong_code")
    assert refused.headers.get("Set-Cookie") is None


def token_of(answer: TestResponse) -> str:
    """The phone's token in its cookie, "" where it is given none."""
    return next(
        (told.partition("=")[2].partition(";")[0] for told in answer.headers.getlist("Set-Cookie")
         if told.startswith("cl_device=")), "",
    )  # fmt: skip


def test_a_phone_whose_answer_was_lost_sends_its_code_again_and_gets_the_same_token(
    app: Flask, engine: Engine, clock: Clock, luis: Phone, lamp: str
) -> None:
    code, attempt = code_for(engine, clock), str(uuid.uuid4())
    lost = typed(app.test_client(), code, attempt=attempt)  # neither its words nor its cookies arrive
    clock.tick(minutes=9)
    again = typed(luis.http, code, attempt=attempt)
    assert again.status_code == 200
    assert again.json == lost.json
    assert token_of(again) == token_of(lost) != ""
    luis.device = again.json["device"]
    assert luis.exchange()["auth"] == "ok"
    with read_session(engine) as s:
        assert len(s.scalars(select(Device)).all()) == 2, "that of the fixture, and this one"
    once_more = typed(luis.http, code, attempt=attempt)
    assert once_more.json == lost.json, "its tab asked twice"


@pytest.mark.parametrize("who", ["another phone", "an older app", "too late", "shut out", "disabled"])
def test_nobody_else_becomes_that_phone(app: Flask, engine: Engine, clock: Clock, who: str) -> None:
    code, attempt = code_for(engine, clock), str(uuid.uuid4())
    device = typed(app.test_client(), code, attempt=attempt).json["device"]
    more = {} if who == "an older app" else {"attempt": attempt}
    if who == "another phone":
        more = {"attempt": str(uuid.uuid4())}
    if who == "too late":
        clock.tick(minutes=10)
    with transaction(engine) as s:
        if who == "shut out":
            s.get_one(Device, device).revoked_at = clock()
        if who == "disabled":
            s.get_one(Person, person(engine, "luis@city.test")).disabled_at = clock()
    refused = typed(app.test_client(), code, **more)
    assert (refused.status_code, refused.json["error"]) == (422, "wrong_code")
    assert token_of(refused) == ""


def test_two_phones_of_an_older_app_do_not_share_a_code(app: Flask, engine: Engine, clock: Clock) -> None:
    code = code_for(engine, clock)
    assert typed(app.test_client(), code, attempt="").status_code == 200
    assert typed(app.test_client(), code, attempt="").status_code == 422


def test_a_phone_that_has_its_token_keeps_it_and_may_ask_again_too(
    app: Flask, engine: Engine, clock: Clock, luis: Phone
) -> None:
    code, attempt = code_for(engine, clock), str(uuid.uuid4())
    for _ in range(2):
        answer = typed(luis.http, code, attempt=attempt)
        assert answer.json["device"] == luis.device
        assert token_of(answer) == ""


def test_only_a_hash_of_a_code_is_kept(engine: Engine, clock: Clock, app: Flask) -> None:
    code = code_for(engine, clock)
    with read_session(engine) as s:
        assert code not in s.scalars(select(EnrolmentCode.code_hash)).one()


def test_whoever_guesses_is_made_to_wait_and_locks_out_nobody_else(
    app: Flask, engine: Engine, clock: Clock
) -> None:
    for _ in range(enrolment.GUESSES_AN_HOUR):
        assert typed(app.test_client(), "AAAAAAAA").status_code == 422
    code = code_for(engine, clock)
    late = typed(app.test_client(), code, "192.0.2.200")
    assert (late.status_code, late.headers["Retry-After"]) == (429, "3600")
    assert typed(app.test_client(), code, "198.51.100.1").status_code == 200
    with read_session(engine) as s:
        assert all("192.0.2" not in row.source for row in s.scalars(select(RateLimitHit)))
    clock.at += timedelta(hours=1, seconds=1)
    assert typed(app.test_client(), code_for(engine, clock)).status_code == 200


@pytest.mark.parametrize("code", [None, 5, ["A"], {"a": 1}])
def test_what_is_no_code_is_refused(app: Flask, code: object) -> None:
    assert typed(app.test_client(), code).status_code == 400


@pytest.mark.parametrize("attempt", [None, 5, "x", "ABCD3467" * 10, ["a"]])
def test_what_is_no_name_of_an_attempt_is_refused(app: Flask, attempt: object) -> None:
    assert typed(app.test_client(), "ABCD3467", attempt=attempt).status_code == 400


def test_other_sites_may_not_enrol(app: Flask, engine: Engine, clock: Clock) -> None:
    sent = app.test_client().post(
        "/sync/v1/enrol", json={"code": code_for(engine, clock)},
        headers=OURS | {"Origin": "https://evil.example"},
    )  # fmt: skip
    assert sent.status_code == 403


def test_a_code_is_made_for_crew_only(engine: Engine, clock: Clock, app: Flask) -> None:
    with transaction(engine) as s:
        desk = accounts.add(s, "dana@city.test", "Dana", [DISPATCHER])
        with pytest.raises(Refused, match="not_crew"):
            enrolment.make_code(s, desk, by=DANA, at=clock())


def test_a_phone_says_what_waits_on_it(engine: Engine, luis: Phone, clock: Clock) -> None:
    since = int(clock().timestamp())
    clock.tick(minutes=1)
    pack = {"at": since, "jobs": 3, "photos": 2, "of": 2, "map": 1}
    waiting = {"ops": 2, "photos": 1, "oldest": since, "secret": "x"}
    luis.exchange(release="r42", waiting=waiting, pack=pack | {"more": "x", "of": "many"})
    with read_session(engine) as s:
        row = s.get_one(Device, luis.device)
        assert (row.release, row.seen_at) == ("r42", clock())
        assert row.waiting == {"ops": 2, "photos": 1, "oldest": since}
        assert row.pack == {name: n for name, n in pack.items() if name != "of"}


def test_sending_again_within_minutes_writes_of_the_phone_what_is_new(
    engine: Engine, luis: Phone, clock: Clock, lamp: str
) -> None:
    job = luis.job(lamp)
    luis.exchange(luis.op("note", job, words="Dry."))
    first = clock()
    clock.tick(minutes=1)
    luis.exchange(luis.op("note", job, words="Still dry."))  # the one that waited has arrived
    with read_session(engine) as s:
        row = s.get_one(Device, luis.device)
        assert (row.seen_at, row.waiting) == (first, {})
    luis.exchange(luis.op("note", job, words="Wet."), waiting={"ops": 3})
    with read_session(engine) as s:
        row = s.get_one(Device, luis.device)
        assert (row.seen_at, row.waiting) == (clock(), {"ops": 2})


def test_asking_for_news_costs_no_write(engine: Engine, luis: Phone, clock: Clock) -> None:
    luis.exchange()
    first = clock()
    clock.tick(minutes=1)
    luis.exchange()
    with read_session(engine) as s:
        assert s.get_one(Device, luis.device).seen_at == first
    clock.tick(minutes=5)
    luis.exchange()
    with read_session(engine) as s:
        assert s.get_one(Device, luis.device).seen_at == clock()
