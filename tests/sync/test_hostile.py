"""What a phone that means harm, or a copied token, can send: it spoils nothing for anybody else."""

import json
import threading
import uuid
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from phones import (
    DANA,
    OURS,
    Clock,
    Desk,
    Phone,
    Resident,
    actor,
    case_of,
    declare,
    person,
    picture,
    report,
    story,
)
from sqlalchemy import Engine, func, select

from city.cases import transitions
from city.db.engine import read_session, transaction
from city.db.models import Device, ExpectedPhoto, Person, Service, SyncOperation
from city.lifecycle import ADMINISTRATOR, CREW, DISPATCHER, SUPERVISOR, Refused
from city.people import accounts
from city.places.lookup import Place
from sync import enrolment, protocol, push, review

pytestmark = pytest.mark.both_databases


@pytest.fixture
def nia(app: Flask, clock: Clock) -> Resident:
    return Resident(app, clock)


def results(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(told["result"], told.get("why")) for told in answer["results"]]


def notes(engine: Engine, number: str) -> int:
    with read_session(engine) as s:
        return [event.kind for event, _ in story(s, number)].count("note")


@pytest.mark.parametrize("data", [{"outcome": ["x"]}, {"reason": {"a": 1}}, {"words": ["x"]}])
def test_no_operation_hides_the_list_of_what_to_look_at(
    engine: Engine, app: Flask, clock: Clock, nia: Resident, lamp: str, data: dict[str, Any]
) -> None:
    with transaction(engine) as s:
        sara = accounts.add(s, "sara@city.test", "Sara", [SUPERVISOR])
        sara_id = sara.id
    desk = Desk(app, clock, sara_id)
    op = nia.op("close", {"ref": lamp, "cycle": 1, "version": 1}, **data)
    assert results(nia.exchange(op)) == [("quarantined", "not_allowed")]
    page = desk.http.get("/dispatch/field-work")
    assert (page.status_code, lamp in page.text) == (200, True)


def test_another_body_under_a_known_id_counts_as_a_report(engine: Engine, nia: Resident) -> None:
    op = report(nia)
    nia.exchange(op)
    codes = [nia.post(nia.body(op | {"data": {"words": str(n)}})).status_code for n in range(12)]
    assert codes == [200] * 9 + [429] * 3
    assert nia.exchange(op)["results"][0]["result"] == "applied"
    with read_session(engine) as s:
        assert review.count(s) == 9


def test_what_waited_is_done_once_however_many_requests_come_together(
    engine: Engine, app: Flask, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    by = actor(engine, "luis@city.test")
    signed_out = push.Sender(luis.device, by, "login")
    own = app.extensions["cityline"].engine
    body = luis.body(*(luis.op("note", job, words=str(n)) for n in range(5)))
    ops = [protocol.reread(json.dumps(op)) for op in body["ops"]]
    push.push(own, signed_out, ops, clock())
    start = threading.Barrier(4)

    def come() -> None:
        start.wait()
        push.push(own, push.Sender(luis.device, by), [], clock())

    phones = [threading.Thread(target=come) for _ in range(4)]
    for each in phones:
        each.start()
    for each in phones:
        each.join()
    assert notes(engine, lamp) == 5


@pytest.mark.slow
def test_a_chain_as_long_as_a_phone_likes_is_done(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    chain = [luis.op("note", job, words=str(n)) for n in range(301)]
    for before, after in pairwise(chain):
        after["prev"] = before["id"]
    for n in range(1, 301, 50):
        assert results(luis.exchange(*chain[n : n + 50])) == [("held", "prev")] * 50
    assert results(luis.exchange(chain[0])) == [("applied", None)]
    assert notes(engine, lamp) == 301


def test_a_note_on_somebody_elses_case_makes_it_nobodys_job(
    engine: Engine, luis: Phone, clock: Clock
) -> None:
    with transaction(engine) as s:
        place = Place(39.6, -71.2, "address", "214 Tansy Street")
        number = transitions.open_case(s, s.get_one(Service, "light-out"), place, by=DANA, at=clock()).number
    note = luis.op("note", {"ref": number, "cycle": 1, "version": 1}, words="Passed by.")
    closing = luis.op("close", {"ref": note["id"], "cycle": 1, "version": 1}, outcome="not found")
    time = luis.op("time", {"ref": number, "cycle": 1, "version": 1}, minutes=40)
    assert results(luis.exchange(note, closing, time)) == [
        ("recorded", "not_your_job"), ("quarantined", "unknown_case"), ("recorded", "not_your_job"),
    ]  # fmt: skip
    with read_session(engine) as s:
        case = case_of(s, number)
        assert (case.state, case.review) == ("new", "not_your_job")
        assert [(event.kind, event.facts.get("why")) for event, _ in story(s, number)][-2:] == [
            ("recorded", "not_your_job")
        ] * 2


@pytest.mark.parametrize("minutes", [2**70, -5])
def test_a_number_that_no_column_keeps_spoils_one_operation(luis: Phone, lamp: str, minutes: int) -> None:
    job = luis.job(lamp)
    answer = luis.exchange(
        luis.op("time", job, minutes=minutes), luis.op("note", job, words="Dry."), waiting={"ops": 2**70}
    )
    assert results(answer) == [("quarantined", "malformed"), ("applied", None)]


def test_a_disabled_persons_phone_does_not_fill_the_list(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    with transaction(engine) as s:
        s.get_one(Person, person(engine, "luis@city.test")).disabled_at = luis.clock()
    full = [
        luis.post(luis.body(*(luis.op("note", job, words="x") for _ in range(50)))).status_code
        for _ in range(5)
    ]
    assert full == [200] * 4 + [429]


def test_a_photo_that_an_operation_names_twice_spoils_it_alone(luis: Phone, lamp: str) -> None:
    job, shot = luis.job(lamp), declare(picture())
    twice = luis.op("photo", job, photos=[shot, shot])
    told = results(luis.exchange(twice, luis.op("note", job, words="Dry.")))
    assert told == [("quarantined", "malformed"), ("applied", None)]


def test_an_operation_has_twenty_photos_at_most(engine: Engine, luis: Phone, lamp: str) -> None:
    shot = declare(picture())
    many = [shot | {"id": str(uuid.uuid4())} for _ in range(21)]
    op = luis.op("photo", luis.job(lamp), photos=many)
    assert results(luis.exchange(op)) == [("quarantined", "malformed")]
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(ExpectedPhoto)) == 0


@pytest.mark.parametrize("named", [None, True, 311, ["26-000001"]])
def test_what_is_no_number_of_a_case_is_kept_as_none(
    engine: Engine, luis: Phone, lamp: str, named: object
) -> None:
    op = luis.op("note", luis.job(lamp), words="Dry.") | {"case": named}
    assert results(luis.exchange(op)) == [("quarantined", "malformed")]
    with read_session(engine) as s:
        assert s.scalars(select(SyncOperation.case_ref)).one() == ""


def test_nobody_makes_a_code_for_somebody_who_may_more(engine: Engine, app: Flask, clock: Clock) -> None:
    with transaction(engine) as s:
        boss = accounts.add(s, "boss@city.test", "Boss", [CREW, ADMINISTRATOR])
        peer = accounts.add(s, "peer@city.test", "Peer", [CREW, DISPATCHER])
        with pytest.raises(Refused, match="not_crew"):
            enrolment.make_code(s, boss, by=DANA, at=clock())
        assert enrolment.make_code(s, peer, by=DANA, at=clock())
        assert enrolment.make_code(s, boss, by=accounts.actor(boss), at=clock())


def test_a_closing_that_was_looked_at_closes_nothing_later(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    with transaction(engine) as s:
        sara = accounts.actor(accounts.add(s, "sara@city.test", "Sara", [SUPERVISOR, DISPATCHER]))
        transitions.cancel(s, case_of(s, lamp), "test", by=DANA, at=clock.tick(minutes=1))
    op = luis.op("close", job, outcome="not found")
    assert results(luis.exchange(op)) == [("recorded", "cancelled")]
    with transaction(engine) as s:
        review.count_as_done(s, s.get_one(SyncOperation, op["id"]), by=sara, at=clock.tick(minutes=1))
        transitions.reopen(s, case_of(s, lamp), by=DANA, at=clock.tick(minutes=1))
    told = [each for news in luis.exchange()["changes"].values() for each in news["set"]]
    assert {"kind": "result", "ref": op["id"], "id": op["id"], "result": "applied", "why": "counted"} in told
    with transaction(engine) as s, pytest.raises(Refused, match="nothing_to_count"):
        review.count_as_done(s, s.get_one(SyncOperation, op["id"]), by=sara, at=clock.tick(minutes=1))
    with read_session(engine) as s:
        assert case_of(s, lamp).state != "closed"


def test_a_residents_phone_cannot_be_used_as_a_crews(app: Flask, engine: Engine, nia: Resident) -> None:
    """Its cookie under the crew's name opens nothing."""
    token = nia.http.get_cookie("cl_resident", path="/sync")
    assert token
    forged = app.test_client()
    forged.set_cookie("cl_device", token.value, path="/sync")
    body = nia.body()
    answer = forged.post("/sync/v1/exchange", json=body, headers=OURS).json
    assert (answer["auth"], answer["scopes"], answer["changes"]) == ("login", [], {})
    shot = declare(picture())
    assert forged.head(f"/sync/v1/photos/{shot['id']}").status_code in (401, 404)
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(Device).where(Device.person_id.is_not(None))) == 0
