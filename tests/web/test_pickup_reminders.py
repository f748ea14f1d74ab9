"""Reminders the evening before trash is collected: asked for on the page, sent once, never for the past."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import letterbox
import pytest
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from pushservice import PushService
from sqlalchemy import select, update
from wording import resident, shared

from city.channels import EMAIL, PUSH, SMS
from city.db.models import Address, Area, Message, Subscription
from city.notifications import digests, fan_out, outbox, pickup_reminders
from city.settings import Settings
from pwa import worker
from pwa.messages import report_messages

pytestmark = pytest.mark.both_databases

# Thanksgiving, Thursday the 26th, moves Thursday's trash to Friday, and Friday's yard waste to Saturday.
NOON = datetime(2026, 11, 25, 17, tzinfo=UTC)
SIX = timedelta(hours=6)
A_DAY = timedelta(days=1)
PAGE = "/trash-day?place=12+elm+street"
WEST = "/trash-day/reminders/west"
ANA = "ana@town.test"


@dataclass
class Box:
    """What sends by a channel; `fails` makes it be down."""

    sent: list[Any] = field(default_factory=list)
    fails: bool = False

    def send(self, what: Any) -> None:
        if self.fails:
            raise OSError("nobody there")
        self.sent.append(what)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, sms_url="http://127.0.0.1:9/send", outward="loopback")


@pytest.fixture
def boxes() -> dict[str, Box]:
    return {name: Box() for name in (EMAIL, SMS, PUSH)}


@pytest.fixture
def zone(town: Town, app: Flask) -> None:
    app.config["NOW"] = NOON
    ring = [[-71.25, 39.55], [-71.15, 39.55], [-71.15, 39.65], [-71.25, 39.65], [-71.25, 39.55]]
    with town.at_work() as scene:
        shape = {"type": "Polygon", "coordinates": [ring]}
        scene.s.add(Area(kind="collection", name="West bank", geometry=shape))
        scene.s.add(Address(label="12 Elm Street", lat=39.6, lon=-71.2, cell="x"))


@pytest.fixture
def work(app: Flask, zone: None, boxes: dict[str, Box]) -> Callable[..., int]:
    """What the worker does at an instant; returns how many messages went out."""

    def go(at: datetime, *, quiet: bool = False) -> int:
        app.config["NOW"] = at
        engine = app.extensions["cityline"].engine
        worker._listen(engine, at)
        worker._remind_of_pickups(app, at)
        return outbox.send_due(engine, boxes, report_messages.render(app), at, quiet=quiet)

    return go


@pytest.fixture
def ask(client: FlaskClient, zone: None, token: Callable[[], str]) -> Callable[..., Any]:
    """Sends the form of the page as a browser without script does."""

    def send(lang: str = "", **fields: str) -> Any:
        told = {"csrf_token": token(), "place": "12 elm street", **fields}
        return client.post(f"{lang}{WEST}", data=told)

    return send


@pytest.fixture
def ana(ask: Callable[..., Any], town: Town) -> None:
    """Has asked, and confirmed it."""
    ask(email=ANA)
    confirm(town)


def confirm(town: Town) -> None:
    with town.at_work() as scene:
        scene.s.execute(update(Subscription).values(confirmed_at=NOON))


def link(words: str, path: str) -> str:
    found = re.search(rf"http://[^/]+(\S*{path}\S*)", words)
    assert found, words
    return found[1]


def reminders(town: Town) -> list[str]:
    with town.looking() as scene:
        asked = select(Message.kind).where(Message.kind.startswith(pickup_reminders.KIND))
        return list(scene.s.scalars(asked.order_by(Message.id)))


def test_one_network_asks_for_so_many_strangers_and_no_more(ask: Callable[..., Any]) -> None:
    codes = [ask(email=f"somebody{n}@example.com").status_code for n in range(21)]
    assert (set(codes[:20]), codes[20]) == ({303}, 429)


def test_it_is_asked_for_on_the_page_and_confirmed_by_the_mailbox_itself(
    client: FlaskClient, app: Flask, ask: Callable[..., Any], work: Callable[..., int], boxes: dict[str, Box],
    town: Town,
) -> None:  # fmt: skip
    assert resident.REMIND_ME in client.get(PAGE).text
    answer = ask("/es", email=ANA)
    page = client.get(answer.headers["Location"]).text
    assert shared.CHECK_EMAIL.es in page
    assert "12 Elm Street" in page, "the answer is still there"
    assert work(NOON) == 1
    [receipt] = boxes[EMAIL].sent
    assert resident.AT_SIX_WE_WOULD.es in letterbox.text(receipt)
    assert work(NOON + SIX + A_DAY) == 0, "not confirmed"
    other = app.test_client()
    where = link(letterbox.text(receipt), "/news/")
    assert resident.YES_REMIND_ME.es in other.get(where).text
    other.post(where, data={"do": "confirm"})
    assert ANA in other.get(f"{where}?done=confirm").text
    with town.looking() as scene:
        row = scene.s.scalars(select(Subscription)).one()
    kept = (row.place, row.place_name)
    assert kept == ("pickups:west", "West bank"), "no address of anybody is kept"


def test_a_wrong_address_is_told_and_nothing_is_lost(
    ask: Callable[..., Any], client: FlaskClient, town: Town
) -> None:
    answer = ask("/es", email="ana at town")
    assert answer.status_code == 422
    assert 'value="ana at town"' in answer.text
    assert 'aria-describedby="email-e"' in answer.text
    assert "12 Elm Street" in answer.text
    wrong = ask(phone="12", by="sms")
    assert (wrong.status_code, 'id="phone-e"' in wrong.text) == (422, True)
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).all() == []
    assert client.post("/trash-day/reminders/nowhere", data={}).status_code in (400, 404)


def test_it_comes_once_the_evening_before_each_pickup_as_holidays_move_it(
    ana: None, work: Callable[..., int], boxes: dict[str, Box]
) -> None:
    sent = boxes[EMAIL].sent
    work(NOON)
    sent.clear()
    assert work(NOON + SIX) == 0, "tomorrow is Thanksgiving: nothing is collected"
    assert work(NOON + A_DAY + SIX - timedelta(minutes=1)) == 0, "not before six"
    assert [work(NOON + A_DAY + SIX + timedelta(minutes=n)) for n in range(3)] == [1, 0, 0]
    text = letterbox.text(sent[0])
    assert sent[0]["Subject"] == resident.PUT_OUT(what="trash and recycling")
    assert "Friday, November\u00a027" in text
    assert resident.HOLIDAY_MOVED in text
    assert sent[0]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [work(NOON + n * A_DAY + SIX) for n in range(2, 9)] == [1, 0, 0, 0, 0, 1, 1]
    names = [letter["Message-ID"] for letter in sent]
    assert len(set(names)) == len(names) == 4


def test_past_evenings_are_not_made_up_for(ana: None, work: Callable[..., int], town: Town) -> None:
    work(NOON)
    after_midnight = NOON + A_DAY + timedelta(hours=12, minutes=30)
    assert work(after_midnight) == 0
    assert reminders(town) == []


def test_an_outage_that_ends_the_same_evening_costs_nobody_the_reminder(
    ana: None, work: Callable[..., int]
) -> None:
    work(NOON)
    assert work(NOON + A_DAY + timedelta(hours=11, minutes=30)) == 1, "half past eleven"


def test_what_a_mail_server_did_not_take_by_midnight_goes_no_more(
    ana: None, work: Callable[..., int], boxes: dict[str, Box], town: Town
) -> None:
    work(NOON)
    boxes[EMAIL].sent.clear()
    boxes[EMAIL].fails = True
    assert work(NOON + A_DAY + SIX) == 0
    assert reminders(town) == ["pickup 2026-11-27"]
    boxes[EMAIL].fails = False
    assert work(NOON + A_DAY + timedelta(hours=14)) == 0, "the truck is on its way"
    assert boxes[EMAIL].sent == []


def test_two_workers_at_once_write_each_reminder_once(
    ana: None, app: Flask, work: Callable[..., int], town: Town, ask: Callable[..., Any]
) -> None:
    for n in range(4):
        ask(email=f"b{n}@town.test")
    confirm(town)
    work(NOON)
    at = NOON + A_DAY + SIX
    made: list[int] = []
    gate = threading.Barrier(2)

    def other_worker() -> None:
        gate.wait()
        made.append(worker._remind_of_pickups(app, at))

    workers = [threading.Thread(target=other_worker) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert sum(made) == 5
    assert reminders(town) == ["pickup 2026-11-27"] * 5


def test_killed_in_between_it_goes_on_with_those_who_are_left(
    ana: None, app: Flask, work: Callable[..., int], town: Town, ask: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for n in range(3):
        ask(email=f"b{n}@town.test")
    confirm(town)
    work(NOON)
    monkeypatch.setattr(pickup_reminders, "AT_ONCE", 2)
    whole, at = pickup_reminders._queue, NOON + A_DAY + SIX
    calls: list[int] = []

    def killed(*args: Any) -> int:
        if calls:
            raise SystemExit
        calls.append(whole(*args))
        return calls[0]

    monkeypatch.setattr(pickup_reminders, "_queue", killed)
    with pytest.raises(SystemExit):
        worker._remind_of_pickups(app, at)
    monkeypatch.setattr(pickup_reminders, "_queue", whole)
    assert (len(reminders(town)), worker._remind_of_pickups(app, at)) == (2, 2)
    assert len(reminders(town)) == 4


def test_texts_and_notifications_say_it_and_stop(
    ask: Callable[..., Any], client: FlaskClient, token: Callable[[], str], work: Callable[..., int],
    boxes: dict[str, Box], town: Town, app: Flask,
) -> None:  # fmt: skip
    ask("/es", phone="(617) 555-0134", by="sms")
    told = PushService(port=9001).browser("ana").told
    csrf = {"X-CSRFToken": token()}
    assert client.post(f"{WEST}/notifications", json=told, headers=csrf).status_code == 200
    confirm(town)
    work(NOON)
    for each in boxes.values():
        each.sent.clear()
    assert work(NOON + A_DAY + SIX) == 2
    [text], [note] = boxes[SMS].sent, boxes[PUSH].sent
    assert "mañana" in text.words
    assert "27" in note.body
    assert client.get(note.link).status_code == 200
    where = link(text.words, "/news/")
    app.test_client().post(where, data={"do": "stop"})
    stopped = client.post(f"{WEST}/notifications/stopped", json=told, headers=csrf)
    assert stopped.status_code == 200
    assert work(NOON + 2 * A_DAY + SIX) == 0


def test_it_is_no_digest_and_a_digest_is_no_reminder(
    ana: None, app: Flask, town: Town, work: Callable[..., int]
) -> None:
    with town.at_work() as scene:
        scene.report(at=NOON)
    work(NOON)
    held = app.extensions["cityline"]
    assert digests.queue_due(held.engine, NOON, held.city.time_zone) == 0
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription)).one().told_on is None


def test_what_follows_this_address_says_when_it_is_told(
    ana: None, client: FlaskClient, work: Callable[..., int], boxes: dict[str, Box], town: Town
) -> None:
    work(NOON)
    work(NOON + A_DAY + SIX)
    letter = letterbox.text(boxes[EMAIL].sent[-1])
    page = client.get(link(letter, "/follows/")).text
    assert "West bank" in page
    assert resident.EVENING_BEFORE in page
    with town.looking() as scene:
        message = scene.s.scalars(select(Message).where(Message.kind.startswith("pickup"))).one()
        assert pickup_reminders.day_of(message) == date(2026, 11, 27)
        assert fan_out.is_still_valid(scene.s, message)
