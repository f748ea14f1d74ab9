"""Notifications: a browser that holds a report's link asks for them, is told, and is forgotten once gone."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pushservice
import pytest
from factories import Town
from filled import Tell
from flask import Flask
from flask.testing import FlaskClient
from pushservice import PushService
from sqlalchemy import select
from wording import city, messages, shared

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Message, Report, Subscription
from city.lifecycle import Refused
from city.notifications import webpush
from city.reports import intake
from city.settings import Settings

WHERE = "/sent/26-000001-A/notifications"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, outward="loopback")


@pytest.fixture
def service() -> Iterator[PushService]:
    with pushservice.running() as service:
        yield service


@pytest.fixture
def ask(browser: FlaskClient, token: Callable[[], str]) -> Callable[..., Any]:
    """Posts JSON as the page's script does."""

    def post(told: object, where: str = WHERE) -> Any:
        return browser.post(where, json=told, headers={"X-CSRFToken": token()})

    return post


def close(town: Town) -> None:
    with town.at_work() as scene:
        case = scene.s.scalars(select(Case)).one()
        by = scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)


def wish(town: Town) -> Subscription:
    with town.looking() as scene:
        return scene.s.scalars(select(Subscription)).one()


def test_a_browser_is_told_of_the_closing_in_its_language(
    town: Town, settings: Settings, tell: Tell, service: PushService, ask: Callable[..., Any]
) -> None:
    phone = service.browser("ana")
    assert ask(phone.told, f"/es{WHERE}").status_code == 200
    close(town)
    assert tell() == 1
    ((_path, headers, body),) = service.taken
    assert int(headers["ttl"]) == webpush.TTL.total_seconds()
    assert len(headers["topic"]) == 32
    assert headers["authorization"].startswith("vapid t=")
    assert webpush.public_key(settings) in headers["authorization"]
    read = phone.opens(body)
    assert read["web_push"] == 8030
    note = read["notification"]
    about = {"what": city.STREETLIGHT_OUT_ES, "outcome": shared.FIXED.es, "number": "26-000001"}
    assert note["title"] == messages.OUTCOME_SUBJECT.es(**about)
    assert note["navigate"] == "http://127.0.0.1:8311/es/case/26-000001"
    assert (note["lang"], note["dir"], note["tag"]) == ("es", "ltr", headers["topic"])
    assert "/s/" not in json.dumps(read), "no secret leaves by somebody else's server"


def test_asking_twice_is_one_wish_with_the_newer_keys(
    town: Town, service: PushService, ask: Callable[..., Any]
) -> None:
    first, second = service.browser("ana"), service.browser("ana")
    ask(first.told)
    ask(second.told)
    assert wish(town).keys == second.told["keys"]
    assert wish(town).confirmed_at == town.now


def test_a_browser_that_stopped_hears_no_more_and_may_begin_again(
    town: Town, tell: Tell, service: PushService, ask: Callable[..., Any]
) -> None:
    phone = service.browser("ana")
    ask(phone.told)
    assert ask({"endpoint": phone.endpoint}, f"{WHERE}/stopped").status_code == 200
    assert wish(town).stopped_at == town.now
    close(town)
    assert tell() == 0
    ask(phone.told)
    assert wish(town).stopped_at is None


@pytest.mark.parametrize("status", [404, 410])
def test_who_is_gone_is_not_asked_again(
    town: Town, tell: Tell, service: PushService, ask: Callable[..., Any], status: int
) -> None:
    service.answer = lambda _path: status
    ask(service.browser("ana").told)
    close(town)
    assert tell() == 0
    assert wish(town).stopped_at is not None
    with town.looking() as scene:
        message = scene.s.scalars(select(Message)).one()
        assert (message.fault, message.sent_at, message.next_try_at) == (None, None, None)


def test_a_push_service_that_is_down_delays_and_loses_nothing(
    town: Town, tell: Tell, service: PushService, ask: Callable[..., Any]
) -> None:
    service.answer = lambda _path: 503
    ask(service.browser("ana").told)
    close(town)
    assert tell() == 0
    with town.looking() as scene:
        message = scene.s.scalars(select(Message)).one()
        assert "503" in (message.fault or "")
        assert message.next_try_at
    assert wish(town).stopped_at is None


KEYS = {"p256dh": "B" * 87, "auth": "A" * 22}


@pytest.mark.parametrize(
    "told",
    [
        None, [], "x", {}, {"endpoint": "https://push.example/x"}, {"endpoint": 7, "keys": KEYS},
        {"endpoint": "https://push.example/x", "keys": KEYS},
        {"endpoint": "https://push.example/x", "keys": {"p256dh": "ñ", "auth": ""}},
    ],
)  # fmt: skip
def test_what_is_no_browser_is_told_so(town: Town, ask: Callable[..., Any], told: object) -> None:
    answer = ask(told)
    assert answer.status_code == 422
    assert answer.json["fault"] == shared.BAD_PUSH


@pytest.mark.parametrize("host", ["10.0.0.7", "192.168.1.1", "intranet", "[fd00::1]"])
def test_nobody_leads_the_city_into_its_own_network(
    service: PushService, ask: Callable[..., Any], host: str
) -> None:
    told = service.browser("ana").told | {"endpoint": f"https://{host}/x"}
    assert ask(told).status_code == 422


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/x", "https://jmt17.google.com/fcm/send/x",
        "https://updates.push.services.mozilla.com/wpush/v2/x", "https://wns2-by3p.notify.windows.com/w/?token=x",
        "https://web.push.apple.com/x", "https://push.example/x", "https://a.b.more.example/x",
    ],
)  # fmt: skip
def test_push_services_of_browsers_and_those_that_the_city_names_are_taken(
    service: PushService, settings: Settings, endpoint: str
) -> None:
    wider = replace(settings, outward="public", push_services=("push.example", "*.more.example"))
    told = service.browser("ana").told | {"endpoint": endpoint}
    assert webpush.checked(told, wider) == (endpoint, told["keys"])


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://push.example/x", "https://8.8.8.8/x", "https://fcm.googleapis.com.evil.example/x",
        "https://evilnotify.windows.com/x", "https://notify.windows.com.evil.example/x", "https://notify.windows.com/x",
        "https://evil.example/?fcm.googleapis.com/", "https://evil.example#.notify.windows.com/",
        "https://fcm.googleapis.com:81/x", "https://fcm.googleapis.com:443/x", "https://FCM.googleapis.com/x",
        "https://fcm.googleapis.com?x=/", "https://fcm.googleapis.com", "https://more.example/x",
    ],
)  # fmt: skip
def test_no_other_machine_is_taken_for_a_push_service(
    town: Town, service: PushService, ask: Callable[..., Any], settings: Settings, endpoint: str
) -> None:
    told = service.browser("ana").told | {"endpoint": endpoint}
    answer = ask(told)
    assert answer.status_code == 422
    assert answer.json["fault"] == shared.BAD_PUSH
    with pytest.raises(Refused, match="bad_push"):
        webpush.checked(told, replace(settings, push_services=("*.more.example",)))


def test_what_was_asked_for_before_is_given_up_where_the_city_does_not_know_the_service(
    town: Town, settings: Settings, tell: Tell, service: PushService, ask: Callable[..., Any]
) -> None:
    ask(service.browser("ana").told)
    with town.at_work() as scene:
        scene.s.scalars(select(Subscription)).one().address = "https://push.example/ana"
    close(town)
    assert tell() == 0
    with town.looking() as scene:
        message = scene.s.scalars(select(Message)).one()
        assert "no push service" in (message.fault or "")
        assert message.next_try_at is None, "at once: it is never asked"
    assert wish(town).stopped_at is None, "once the city names it, what was given up can be sent again"


def test_three_browsers_are_enough_and_one_that_stopped_makes_room(
    service: PushService, ask: Callable[..., Any]
) -> None:
    phones = [service.browser(f"ana{n}") for n in range(4)]
    assert [ask(phone.told).status_code for phone in phones] == [200, 200, 200, 422]
    ask({"endpoint": phones[0].endpoint}, f"{WHERE}/stopped")
    assert ask(phones[3].told).status_code == 200


def test_only_who_holds_the_link_is_told(app: Flask, service: PushService, town: Town) -> None:
    with town.at_work() as scene:
        scene.report()
    stranger = app.test_client()
    page = stranger.get("/login").get_data(as_text=True)
    csrf = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = stranger.post(WHERE, json=service.browser("x").told, headers={"X-CSRFToken": csrf})
    assert answer.status_code == 404


def test_the_button_stands_on_both_pages_and_asks_nothing_by_itself(browser: FlaskClient) -> None:
    for path in ("/sent/26-000001-A", "/case/26-000001"):
        page = browser.get(path).text
        assert "<notify-me" in page
        assert WHERE in page
    assert "<notify-me" not in browser.application.test_client().get("/case/26-000001").text


def test_the_citys_key_is_a_point_of_the_curve_and_stays_the_same(settings: Settings) -> None:
    key = webpush.public_key(settings)
    assert len(base64.urlsafe_b64decode(key + "=")) == 65
    assert webpush.public_key(replace(settings, base_url="https://other.example")) == key
    given = replace(settings, vapid_key=base64.urlsafe_b64encode(b"\1" * 32).decode().rstrip("="))
    assert webpush.public_key(given) != key


def test_an_erased_report_takes_its_browsers_along(
    town: Town, app: Flask, service: PushService, ask: Callable[..., Any]
) -> None:
    ask(service.browser("ana").told)
    held = app.extensions["cityline"]
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report)).one()
        intake.erase(
            scene.s, report, held.store, held.settings.var, by=scene.actor("administrator"), at=town.now
        )
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []
