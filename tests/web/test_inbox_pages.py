"""The desk's inbox: each message is ended once, with what it became, and nobody's words are lost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from factories import Town, counted
from flask import Flask
from flask.testing import FlaskClient
from pictures import plain
from sqlalchemy import select
from werkzeug.test import TestResponse

from city.channels import EMAIL
from city.db.models import Address, Contact, InboxEntry, Message, Photo, Report, Subscription
from city.inbox import entries
from city.inbox.entries import Arrival
from city.notifications import fan_out
from city.photos import photos, processing
from city.settings import Settings

PLACE = "214 Tansy Street"
ANA = "ana@example.org"
LAMP = {"ends": "case", "service": "light-out", "place": PLACE, "note": "Out for a week", "lang": "en"}
MOST_QUERIES = 14
Take = Callable[..., int]
Send = Callable[..., TestResponse]


@pytest.fixture
def take(town: Town) -> Take:
    """Has something come in: take("key", words=…); its id."""

    def arrive(key: str = "a", *, channel: str = EMAIL, ago: timedelta = timedelta(), **told: Any) -> int:
        told = {"sender": ANA, "name": "Ana", "words": "Out for a week", "subject": "A streetlight", **told}
        with town.at_work() as scene:
            new = Arrival(key * 64, channel, **told)
            return entries.take(scene.s, new, at=town.now - ago).id

    return arrive


@pytest.fixture
def desk(town: Town, log_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """The browser of a call-taker, in a town with one address."""
    with town.at_work() as scene:
        scene.s.add(Address(label=PLACE, lat=39.6, lon=-71.2, cell="x"))
    return log_in("call-taker")


@pytest.fixture
def send(desk: FlaskClient, token: Callable[[], str]) -> Send:
    """Sends the form of an entry: send(id, ends=…)."""

    def post(number: int, *, do: str = "save", **fields: Any) -> TestResponse:
        data = {"csrf_token": token(), "do": do, **fields}
        return desk.post(f"/desk/inbox/{number}", data=data)

    return post


def html_of(response: TestResponse) -> str:
    return response.get_data(as_text=True)


def entry_of(town: Town, number: int) -> InboxEntry:
    with town.looking() as scene:
        return scene.s.get_one(InboxEntry, number)


def with_photo(town: Town, settings: Settings, key: str = "a") -> None:
    with town.at_work() as scene:
        image = processing.process(plain(size=(640, 480)))
        staged_for = f"{photos.INBOX}{key * 64}"
        photos.stage(scene.s, settings.var, image, staged_for=staged_for, at=scene.town.now)


def test_the_oldest_stands_beside_a_form_that_it_fills_in(desk: FlaskClient, take: Take) -> None:
    first = take()
    take("b", sender="bob@example.org", subject="", words="couch on the curb")
    led = desk.get("/desk/inbox")
    assert led.headers["Location"].endswith(f"/desk/inbox/{first}")
    page = html_of(desk.get(f"/desk/inbox/{first}"))
    assert 'value="A streetlight"' in page, "what it is about is looked for by its subject"
    assert ">Out for a week</textarea>" in page
    assert f"Reply goes to {ANA}" in page
    assert "bob@example.org" in page, "and what else waits is beside it"


def test_an_email_becomes_a_case_once(
    desk: FlaskClient, send: Send, take: Take, town: Town, settings: Settings
) -> None:
    number = take()
    with_photo(town, settings)
    for _again in range(2):  # the answer was lost, and the form is sent again
        sent = send(number, **LAMP, reply_by="email", email=ANA)
        assert sent.status_code == 303, html_of(sent)
    with town.looking() as scene:
        report = scene.s.scalars(select(Report)).one()
        contact = scene.s.scalars(select(Contact)).one()
        assert (report.words, report.channel, contact.channel) == ("Out for a week", "email", "email")
        assert [each.case_id for each in scene.s.scalars(select(Photo))] == [report.case_id]
        wish = scene.s.scalars(select(Subscription).where(Subscription.report_id == report.id)).one()
        assert (wish.channel, wish.address) == (EMAIL, ANA)
        assert scene.s.get_one(InboxEntry, number).contact_id == contact.id
        said = report.case.number
    page = html_of(desk.get(sent.headers["Location"], follow_redirects=True))
    assert "No one is waiting" in page
    assert said in page


def test_a_question_goes_back_and_the_entry_waits_for_the_answer(
    desk: FlaskClient, send: Send, take: Take, town: Town
) -> None:
    number = take()
    empty = send(number, do="ask", reply=" ")
    assert (empty.status_code, "Write a question first." in html_of(empty)) == (422, True)
    sent = send(number, do="ask", reply="Which pole is it?")
    assert sent.status_code == 303
    assert entry_of(town, number).asked_at
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    with town.looking() as scene:
        (message,) = scene.s.scalars(select(Message))
        assert message.subscription.address == ANA
    listed = html_of(desk.get(f"/desk/inbox/{number}"))
    assert "Waiting for their answer" in listed
    assert "Which pole is it?" in listed


def test_an_answer_that_is_written_back_ends_it(send: Send, take: Take, town: Town) -> None:
    number = take(words="When is trash day after the holiday?")
    sent = send(number, ends="answered", topic="trash", reply="On Friday.")
    assert sent.status_code == 303, html_of(sent)
    kept = entry_of(town, number)
    assert (kept.replies, kept.settled_at is not None) == (["On Friday."], True)
    with town.looking() as scene:
        assert scene.s.scalars(select(Contact)).one().outcome == "answered"


def test_what_is_wrong_loses_nothing(send: Send, take: Take, town: Town) -> None:
    number = take()
    sent = send(number, ends="case", note="Dark & wet", place="", service="light-out", reply="Thanks")
    assert sent.status_code == 422
    assert "Dark &amp; wet" in html_of(sent)
    assert ">Thanks</textarea>" in html_of(sent)
    assert entry_of(town, number).settled_at is None
    with town.looking() as scene:
        assert scene.s.scalars(select(Message)).all() == []


def test_two_desks_end_it_once(
    send: Send, take: Take, town: Town, log_in: Callable[[str], FlaskClient]
) -> None:
    number = take()
    assert send(number, **LAMP).status_code == 303
    late = send(number, ends="dropped")
    assert late.headers["Location"].endswith("saved=settled")
    with town.looking() as scene:
        assert scene.s.scalars(select(Contact)).one().outcome == "case"


def test_who_comes_later_is_led_to_another_one(
    desk: FlaskClient, take: Take, town: Town, token: Callable[[], str], log_in: Callable[[str], FlaskClient]
) -> None:
    first, second = take(), take("b")
    desk.post(f"/desk/inbox/{first}/hold", data={"csrf_token": token()})
    other = log_in("dispatcher")
    assert other.get("/desk/inbox").headers["Location"].endswith(f"/{second}")
    assert "has this one open" in html_of(other.get(f"/desk/inbox/{first}"))
    with town.at_work() as scene:
        scene.s.get_one(InboxEntry, first).held_at = town.now - entries.HELD - timedelta(minutes=1)
    assert other.get("/desk/inbox").headers["Location"].endswith(f"/{first}")


def test_one_that_waits_too_long_rings(desk: FlaskClient, take: Take, town: Town) -> None:
    take()
    assert "role" not in html_of(desk.get("/desk/inbox/waiting"))
    take("b", ago=entries.OLD + timedelta(minutes=1))
    ringing = html_of(desk.get("/desk/inbox/waiting"))
    assert 'role="alert"' in ringing
    assert "oldest 1 hr" in ringing.replace("\xa0", " ")


def test_a_recording_is_heard_at_the_desk_alone(
    desk: FlaskClient, take: Take, log_in: Callable[[str], FlaskClient], client: FlaskClient
) -> None:
    number = take(
        channel=entries.VOICEMAIL, sender="+18605550110", words="", recording=("audio/wav", b"RIFF1234")
    )
    page = html_of(desk.get(f"/desk/inbox/{number}"))
    assert f'src="/desk/inbox/{number}/recording"' in page
    assert "Call them to answer." in page
    part = desk.get(f"/desk/inbox/{number}/recording", headers={"Range": "bytes=4-"})
    assert (part.status_code, part.data, part.mimetype) == (206, b"1234", "audio/wav")
    assert log_in("manager").get(f"/desk/inbox/{number}/recording").status_code == 403


def test_its_photos_are_seen_at_the_desk_alone(
    desk: FlaskClient,
    take: Take,
    town: Town,
    settings: Settings,
    app: Flask,
    log_in: Callable[[str], FlaskClient],
) -> None:
    take()
    with_photo(town, settings)
    with town.looking() as scene:
        address = f"/photos/{scene.s.scalars(select(Photo.id)).one()}/thumb.jpg"
    assert desk.get(address).status_code == 200
    assert log_in("manager").get(address).status_code == 404
    assert app.test_client().get(address).status_code == 404


def test_hostile_words_are_words(desk: FlaskClient, take: Take) -> None:
    bad = "<script>alert(1)</script>"
    number = take(
        words=bad, subject=bad, name=bad, rest=bad, sender=f"{bad}@example.org", notes=[f"attachment {bad}"]
    )
    page = html_of(desk.get(f"/desk/inbox/{number}"))
    assert bad not in page
    assert "&lt;script&gt;" in page


def test_a_long_list_costs_no_more(desk: FlaskClient, take: Take, app: Flask) -> None:
    number = take()
    desk.get(f"/desk/inbox/{number}")  # the first page of all learns the words
    with counted(app) as few:
        desk.get(f"/desk/inbox/{number}")
    for letter in "bcdefghijk":
        take(letter, sender=f"{letter}@example.org")
    with counted(app) as many:
        desk.get(f"/desk/inbox/{number}")
    assert len(many) == len(few) <= MOST_QUERIES, len(many)
