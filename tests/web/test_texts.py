"""News by text: through a gateway on loopback, on a number that was confirmed, in the reader's language."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import textgateway
from factories import Town
from filled import Tell
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from textgateway import FakeGateway
from wording import city, messages, resident, shared

from city import settings as city_settings
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Message, Subscription
from city.notifications.sms import SmsGateway, SmsMessage
from city.settings import Settings, WrongSetting

WHERE = "/sent/26-000001-A/news"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with textgateway.running() as made:
        yield made


@pytest.fixture
def settings(settings: Settings, gateway: FakeGateway) -> Settings:
    return replace(settings, sms_url=f"{gateway.url}?to={{to}}&text={{text}}&name={{id}}")


def link_in(text: str, path: str) -> str:
    found = re.search(rf"http://[^/]+(\S*{path}\S*)", text)
    assert found, text
    return found[1]


def test_a_number_is_confirmed_before_a_second_text(
    town: Town,
    app: Flask,
    tell: Tell,
    gateway: FakeGateway,
    browser: FlaskClient,
    token: Callable[[], str],
) -> None:
    asked = browser.post(f"/es{WHERE}", data={"csrf_token": token(), "phone": "(202) 555-0142"})
    assert shared.CHECK_TEXTS.es in browser.get(asked.headers["Location"]).text
    assert tell() == 1
    ((to, text),) = gateway.told
    assert to == "+12025550142"
    assert "26-000001" in text
    assert "/s/" not in text, "a mistyped number gives no stranger the report"

    def close() -> None:
        with town.at_work() as scene:
            case, by = scene.s.scalars(select(Case)).one(), scene.actor("dispatcher")
            transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)

    close()
    assert tell() == 0, "not confirmed: nothing more"
    app.test_client().post(link_in(text, "/es/news/"), data={"do": "confirm"})
    with town.at_work() as scene:
        case, by = scene.s.scalars(select(Case)).one(), scene.actor("dispatcher")
        transitions.reopen(scene.s, case, by=by, at=town.now)
    close()
    assert tell() == 1
    _to, done = gateway.told[-1]
    assert city.STREETLIGHT_OUT_ES in done
    assert app.test_client().get(link_in(done, "/s/")).status_code == 303
    stop = link_in(done, "stop=1")
    assert resident.STOP_TEXTS_BUTTON.es in app.test_client().get(stop).text


def test_a_case_is_followed_by_text_too(
    town: Town, app: Flask, tell: Tell, gateway: FakeGateway, client: FlaskClient, token: Callable[[], str]
) -> None:
    with town.at_work() as scene:
        number = scene.report(words="canary").case.number
    where = f"/es/follow/case/{number}"
    assert resident.CELL_PHONE.es in client.get(where).text
    wrong = client.post(where, data={"csrf_token": token(), "phone": "12", "by": "sms"})
    assert wrong.status_code == 422
    assert 'href="#phone"' in wrong.text
    # Enter in the field of the number presses the first button, that of the e-mail.
    client.post(where, data={"csrf_token": token(), "email": "", "phone": "202 555 0142", "by": "email"})
    assert tell() == 1
    ((to, text),) = gateway.told
    assert to == "+12025550142"
    client.post(link_in(text, "/es/news/"), data={"do": "confirm"})
    with town.at_work() as scene:
        case, by = scene.s.scalars(select(Case)).one(), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)
    assert tell() == 1
    _to, done = gateway.told[-1]
    about = {"what": city.STREETLIGHT_OUT_ES, "outcome": shared.FIXED.es, "number": number}
    assert done.startswith(f"{messages.OUTCOME_SUBJECT.es(**about)}.")
    assert client.get(link_in(done, f"/es/case/{number}")).status_code == 200
    assert "canary" not in done


def test_a_gateway_that_is_down_delays_and_loses_nothing(
    town: Town,
    app: Flask,
    tell: Tell,
    gateway: FakeGateway,
    browser: FlaskClient,
    token: Callable[[], str],
) -> None:
    gateway.status = 503
    browser.post(WHERE, data={"csrf_token": token(), "phone": "202 555 0142"})
    assert tell() == 0
    with town.looking() as scene:
        message = scene.s.scalars(select(Message)).one()
        assert "503" in (message.fault or "")
        assert message.next_try_at


@pytest.mark.parametrize("phone", ["", "none", "12", "555" * 9])
def test_a_number_that_is_none_is_told(
    browser: FlaskClient, token: Callable[[], str], town: Town, phone: str
) -> None:
    answer = browser.post(WHERE, data={"csrf_token": token(), "phone": phone})
    assert answer.status_code == 422
    assert 'href="#phone"' in answer.text
    assert f'value="{phone}"' in answer.text, "nothing typed is lost"
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []


def test_a_city_without_a_gateway_offers_no_texts(
    app: Flask, browser: FlaskClient, token: Callable[[], str]
) -> None:
    assert resident.TEXT_ME_BUTTON in browser.get("/sent/26-000001-A").text
    held = app.extensions["cityline"]
    held.settings = replace(held.settings, sms_url="")
    assert resident.TEXT_ME_BUTTON not in browser.get("/sent/26-000001-A").text
    assert browser.post(WHERE, data={"csrf_token": token(), "phone": "202 555 0142"}).status_code == 422


TEXT = SmsMessage("+12025550142", 'A "lamp" & {to}\nñ', "m1")


def test_each_gap_is_written_as_its_surroundings_want_it(gateway: FakeGateway) -> None:
    SmsGateway(gateway.url, '{"to": "{to}", "body": "{text}", "ref": "{id}"}').send(TEXT)
    SmsGateway(gateway.url, "to={to}&body={text}").send(TEXT)
    SmsGateway(f"{gateway.url}?to={{to}}&body={{text}}", "").send(TEXT)
    (_, json_kind, as_json), (_, form_kind, as_form), (path, _, _) = gateway.taken
    assert json_kind == "application/json"
    assert json.loads(as_json) == {"to": TEXT.to, "body": TEXT.words, "ref": "m1"}
    assert form_kind == "application/x-www-form-urlencoded"
    assert parse_qs(as_form) == {"to": [TEXT.to], "body": [TEXT.words]}
    assert parse_qs(urlsplit(path).query) == {"to": [TEXT.to], "body": [TEXT.words]}


def test_what_is_noted_of_a_fault_holds_neither_the_text_nor_the_key() -> None:
    with pytest.raises(OSError, match="isn't answering") as fault:
        SmsGateway("http://127.0.0.1:9/?key=canary&to={to}&text={text}", "").send(TEXT)
    assert "canary" not in str(fault.value)
    assert "555" not in str(fault.value)


@pytest.mark.parametrize("url", ["gateway.example", "https://gateway.example/?to={to}", "ftp://x/{to}{text}"])
def test_a_gateway_that_cannot_be_asked_stops_the_start(tmp_path: Any, url: str) -> None:
    with pytest.raises(WrongSetting, match="SMS_URL"):
        city_settings.read({"CITYLINE_VAR": str(tmp_path), "CITYLINE_SMS_URL": url})
