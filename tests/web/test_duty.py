"""Being on duty: begun and ended by oneself, rung by text and notification for danger that nobody accepts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pushservice
import pytest
import textgateway
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from pushservice import PushService
from sqlalchemy import select
from textgateway import FakeGateway
from wording import city, shown, staff

from city.cases import transitions
from city.db.models import DutyShift, Event, Message, Person, Subscription
from city.notifications import danger_alarm, fan_out, outbox
from city.people import accounts
from city.privacy import data_subjects, erasure, record_export
from city.settings import Settings
from pwa import worker
from pwa.messages import report_messages

pytestmark = pytest.mark.both_databases

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NUMBER, TYPED = "+12025550142", "(202) 555-0142"
SIX = "6 pm"

Go = Callable[..., int]
Send = Callable[..., "object"]


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with textgateway.running() as made:
        yield made


@pytest.fixture
def service() -> Iterator[PushService]:
    with pushservice.running() as made:
        yield made


@pytest.fixture
def settings(settings: Settings, gateway: FakeGateway) -> Settings:
    return replace(settings, sms_url=f"{gateway.url}{textgateway.GAPS}", outward="loopback")


@pytest.fixture
def send(client: FlaskClient, token: Callable[[], str]) -> Callable[..., object]:
    """Sends a form of the own page as a browser does: send("/me/duty", until="18:00")."""

    def post(path: str, **fields: str) -> object:
        return client.post(path, data={"csrf_token": token(), **fields})

    return post


@pytest.fixture
def go(app: Flask, town: Town, settings: Settings) -> Go:
    """What the worker does so long after the town's time, at night; returns how many messages went out."""

    def round_(after: timedelta = timedelta(0)) -> int:
        now = town.now + after
        app.config["NOW"] = now
        worker._ring_for_danger(app, now)
        with town.at_work() as scene:
            fan_out.process_events(scene.s, now)
        senders = outbox.open_senders(settings)
        return outbox.send_due(town.engine, senders, report_messages.render(app), now, quiet=True)

    return round_


def link_in(text: str, path: str) -> str:
    found = re.search(rf"http://[^/]+(\S*{path}\S*)", text)
    assert found, text
    return found[1]


def dangerous(town: Town) -> str:
    with town.at_work() as scene:
        return scene.report(danger=True, words="canary").case.number


def accept(town: Town, number: str) -> None:
    with town.at_work() as scene:
        transitions.accept(scene.s, scene.case(number), by=scene.actor("call-taker"), at=town.now + HOUR)


def test_a_text_and_a_notification_ring_until_somebody_accepts(
    town: Town, app: Flask, log_in: Callable[..., FlaskClient], token: Callable[[], str], send: Send, go: Go,
    gateway: FakeGateway, service: PushService,
) -> None:  # fmt: skip
    client, me = log_in("dispatcher"), town.ids["dispatcher"]
    send("/me/duty", until="18:00")
    assert staff.NO_WAY_TO_ALERT in shown(client.get("/me"))
    send("/me/duty/phone", phone=TYPED)
    assert go() == 1
    ((to, asked),) = gateway.told
    assert (to, asked.startswith(staff.CONFIRM_DUTY_TEXTS)) == (NUMBER, True)
    assert staff.TEXT_SENT_TO_CONFIRM in shown(client.get("/me"))
    app.test_client().post(link_in(asked, "/news/"), data={"do": "confirm"})
    assert staff.TEXTS_WHILE_ON_DUTY in shown(client.get("/me"))
    phone = service.browser("dana")
    told = client.post(f"/es/me/duty/{me}/notifications", json=phone.told, headers={"X-CSRFToken": token()})
    assert told.status_code == 200

    number = dangerous(town)
    assert [go(29 * MINUTE), go(30 * MINUTE), go(59 * MINUTE), go(60 * MINUTE)] == [0, 2, 0, 2]
    _to, text = gateway.told[-1]
    title = staff.DANGER_ALERT(what=city.STREETLIGHT_OUT, number=number)
    assert text.startswith(f"{title}. ")
    since = staff.UNACCEPTED_SINCE(moment="Today at 9:30 am")
    assert since in text.replace("\u00a0", " ").replace("\u202f", " ")
    assert "canary" not in text
    assert client.get(link_in(text, "/dispatch/cases/")).status_code == 200
    assert app.test_client().get(link_in(text, "/dispatch/cases/")).status_code == 302
    path, headers, body = service.taken[-1]
    assert (path, headers["urgency"], headers["ttl"]) == ("/dana", "high", "3600")
    note = phone.opens(body)["notification"]
    assert note["title"] == staff.DANGER_ALERT.es(what=city.STREETLIGHT_OUT_ES, number=number)
    assert note["navigate"].endswith(f"/es/dispatch/cases/{number}")
    with town.looking() as scene:
        where = scene.case(number).address
    assert where in note["body"]
    assert where in text
    assert len({topic for _path, sent, _body in service.taken for topic in [sent["topic"]]}) == 2
    page = shown(client.get(f"/dispatch/cases/{number}"))
    assert staff.ALERTED(1) in page
    accept(town, number)
    assert [go(90 * MINUTE), go(5 * HOUR)] == [0, 0]


def test_an_acceptance_before_it_goes_out_cancels_it(
    town: Town, log_in: Callable[..., FlaskClient], send: Send, go: Go, gateway: FakeGateway, app: Flask
) -> None:
    log_in("dispatcher")
    send("/me/duty", until="18:00")
    send("/me/duty/phone", phone=TYPED)
    go()
    app.test_client().post(link_in(gateway.told[0][1], "/news/"), data={"do": "confirm"})
    number = dangerous(town)
    gateway.status = 503
    assert go(30 * MINUTE) == 0
    accept(town, number)
    gateway.status = 200
    assert go(40 * MINUTE) == 0
    assert len(gateway.told) == 1
    dangerous(town)
    gateway.status = 503
    go(31 * MINUTE)
    send("/me/duty/end")
    gateway.status = 200
    assert go(42 * MINUTE) == 0, "off duty meanwhile"


def test_a_number_stops_by_the_link_in_each_text_and_by_hand(
    town: Town, log_in: Callable[..., FlaskClient], send: Send, go: Go, gateway: FakeGateway, app: Flask
) -> None:
    client = log_in("supervisor")
    send("/me/duty", until="18:00")
    send("/me/duty/phone", phone=TYPED)
    go()
    app.test_client().post(link_in(gateway.told[0][1], "/news/"), data={"do": "confirm"})
    dangerous(town)
    assert go(30 * MINUTE) == 1
    app.test_client().post(link_in(gateway.told[-1][1], "/news/"), data={"do": "stop"})
    assert go(60 * MINUTE) == 0
    assert staff.TEXT_ALERTS_BUTTON in shown(client.get("/me"))
    send("/me/duty/phone", phone="(202) 555-0143")
    with town.looking() as scene:
        assert [row.address for row in scene.s.scalars(select(Subscription))] == ["+12025550143"]
    send("/me/duty/phone/removed")
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []


def test_one_tap_on_the_board_begins_and_ends_it(
    town: Town, log_in: Callable[..., FlaskClient], send: Send
) -> None:
    client = log_in("call-taker")
    page = shown(client.get("/dispatch?state=new"))
    assert staff.GO_ON_DUTY_UNTIL(time=SIX) in page.replace("\u00a0", " ")
    answer = send("/me/duty?from=board&state=new")
    assert answer.headers["Location"] == "/dispatch?state=new"
    page = shown(client.get("/dispatch?state=new")).replace("\u00a0", " ")
    assert staff.ON_DUTY_UNTIL(time=SIX) in page
    assert staff.ON_DUTY_UNTIL.es(time="6") in shown(client.get("/es/dispatch")).replace("\u00a0", " ")
    assert send("/me/duty/end?from=board").headers["Location"] == "/dispatch"
    assert staff.GO_ON_DUTY_UNTIL(time=SIX) in shown(client.get("/dispatch")).replace("\u00a0", " ")
    with town.looking() as scene:
        lines = select(Event.kind).where(Event.subject == f"person:{town.ids['call-taker']}")
        assert list(scene.s.scalars(lines))[-2:] == ["begin duty", "end duty"]


@pytest.mark.parametrize("until", ["", "soon", "25:00", "18:00:00+02:00", "９９"])
def test_a_wrong_time_is_said_and_nothing_is_lost(
    town: Town, log_in: Callable[..., FlaskClient], send: Send, until: str
) -> None:
    log_in("dispatcher")
    for prefix, words in (("", staff.BAD_DUTY_TIME), ("/es", staff.BAD_DUTY_TIME.es)):
        answer = send(f"{prefix}/me/duty", until=until)
        page = shown(answer)
        assert answer.status_code == 422
        assert words in page
        assert 'href="#until"' in page
        assert 'aria-describedby="until-e"' in page
        assert f'value="{until}"' in page
    with town.looking() as scene:
        assert scene.s.scalars(select(DutyShift)).all() == []


@pytest.mark.parametrize("phone", ["", "12", "nobody", "555" * 9])
def test_a_wrong_number_is_said_and_nothing_is_lost(
    log_in: Callable[..., FlaskClient], send: Send, phone: str
) -> None:
    log_in("dispatcher")
    answer = send("/me/duty/phone", phone=phone)
    assert (answer.status_code, 'href="#phone"' in answer.text) == (422, True)
    assert f'value="{phone}"' in answer.text


def test_a_city_without_a_gateway_takes_no_number(
    app: Flask, log_in: Callable[..., FlaskClient], send: Send
) -> None:
    held = app.extensions["cityline"]
    held.settings = replace(held.settings, sms_url="")
    client = log_in("dispatcher")
    assert staff.TEXT_ALERTS_BUTTON not in shown(client.get("/me"))
    assert send("/me/duty/phone", phone=TYPED).status_code == 422


def test_a_browser_is_set_up_by_its_own_person_only(
    town: Town, log_in: Callable[..., FlaskClient], token: Callable[[], str], service: PushService
) -> None:
    client, csrf = log_in("dispatcher"), {"X-CSRFToken": token()}
    told = service.browser("x").told
    other = f"/me/duty/{town.ids['supervisor']}/notifications"
    assert client.post(other, json=told, headers=csrf).status_code == 404
    own = f"/me/duty/{town.ids['dispatcher']}/notifications"
    for wrong in ({}, [], {"endpoint": "http://10.0.0.1/x", "keys": {}}, {"endpoint": 7}):
        assert client.post(own, json=wrong, headers=csrf).status_code == 422
    assert client.post(own, json=told, headers=csrf).status_code == 200
    assert client.post(f"{own}/stopped", json={"endpoint": 9}, headers=csrf).status_code == 200
    with town.looking() as scene:
        assert len(danger_alarm.ways_of(scene.s, town.ids["dispatcher"])) == 1
    assert client.post(f"{own}/stopped", json=told, headers=csrf).status_code == 200
    with town.looking() as scene:
        assert danger_alarm.ways_of(scene.s, town.ids["dispatcher"]) == []


def test_the_board_says_that_nobody_is_on_duty_to_those_who_send_crews(
    town: Town, app: Flask, log_in: Callable[..., FlaskClient], send: Send, go: Go
) -> None:
    dangerous(town)
    number = dangerous(town)
    said = staff.NOBODY_ON_DUTY(2)
    client = log_in("dispatcher")
    assert said not in shown(client.get("/dispatch")), "it has not rung yet"
    go(30 * MINUTE)
    page = shown(client.get("/dispatch"))
    assert said in page
    assert f'href="/dispatch/cases/{number}"' in page
    assert staff.NOBODY_ON_DUTY.es(2) in shown(client.get("/es/dispatch"))
    assert said in shown(client.get("/dispatch/views")), "so a board that stands open hears of it"
    assert said not in shown(log_in("call-taker").get("/dispatch"))
    assert said not in shown(log_in("manager").get("/dispatch"))
    log_in("supervisor")
    send("/me/duty", until="18:00")
    assert staff.NOBODY_REACHED(2) in shown(client.get("/dispatch"))
    held = app.extensions["cityline"]
    held.city = replace(held.city, ring_after=timedelta(0))
    assert staff.NOBODY_REACHED(2) not in shown(client.get("/dispatch"))


def test_supervisors_see_who_is_on_duty(town: Town, log_in: Callable[..., FlaskClient], send: Send) -> None:
    client = log_in("dispatcher")
    with town.looking() as scene:
        name = scene.s.get_one(Person, town.ids["dispatcher"]).name
    send("/me/duty", until="18:00")
    page = shown(log_in("supervisor").get("/dispatch/crews"))
    assert f"<b>{name}</b> <small>Until 6" in page
    assert client.get("/dispatch/crews").status_code == 200


def test_ending_an_account_ends_its_duty_and_forgets_its_numbers(
    town: Town, log_in: Callable[..., FlaskClient], send: Send
) -> None:
    log_in("dispatcher")
    send("/me/duty", until="18:00")
    send("/me/duty/phone", phone=TYPED)
    log_in("administrator")
    send(f"/admin/people/{town.ids['dispatcher']}/disabled", disabled="yes")
    with town.looking() as scene:
        for table in (DutyShift, Subscription, Message):
            assert scene.s.scalars(select(table)).all() == []


def test_an_export_holds_it_and_an_erased_account_leaves_none_of_it(
    town: Town, app: Flask, log_in: Callable[..., FlaskClient], send: Send, settings: Settings
) -> None:
    log_in("dispatcher")
    send("/me/duty", until="18:00")
    send("/me/duty/phone", phone=TYPED)
    held, name = app.extensions["cityline"], f"person:{town.ids['dispatcher']}"
    with town.at_work() as scene:
        by = scene.actor("administrator")
        subject = data_subjects.find(scene.s, name, held.city)
        told = record_export.of_person(scene.s, subject, by=by, at=town.now).sections
        assert [wish["address"] for wish in told["addresses"]] == [NUMBER]
        assert len(told["duty"]) == 1
        accounts.disable(scene.s, subject.staff, by=by, at=town.now)
        scene.s.flush()
        erasure.erase(scene.s, subject, held.store, settings.var, by=by, at=town.now)
    with town.looking() as scene:
        for table in (DutyShift, Subscription):
            assert scene.s.scalars(select(table)).all() == []


def test_danger_is_first_among_the_chosen_cases_on_paper(
    town: Town, log_in: Callable[..., FlaskClient], send: Send
) -> None:
    with town.at_work() as scene:
        numbers = [scene.report(danger=n == 2).case.number for n in range(4)]
    log_in("dispatcher")
    page = shown(send("/dispatch/print", cases=" ".join(numbers)))
    found = re.findall(r'<small><span class="num">(26-\d+)</span>', page)
    assert found == [numbers[2], numbers[0], numbers[1], numbers[3]]
