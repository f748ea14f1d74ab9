"""Requests that other programs send: with which key, in which spellings, and what becomes of them."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import LAMP, Town, jpeg
from flask import Flask
from flask.testing import FlaskClient
from sender import HERE, KEY
from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict
from wording import shared

from city.audit import events
from city.db.models import ApiKey, Case, PhotoDownload, Report, Service, Subscription
from city.geo import Point
from city.people import accounts
from city.questions import Choice, Question
from city.settings import Settings

Send = Callable[..., Any]
POLE = {"service_code": "pole-damaged"}


@pytest.fixture
def asks(town: Town, app: Flask) -> None:
    """The damaged pole's question must be answered, and two more may be."""
    questions = (
        Question("blocked", "singlevaluelist", {"en": "Blocked?"}, True, choices("yes", "no")),
        Question("WHERE-1", "multivaluelist", {"en": "Where?"}, choices=choices("road", "path")),
        Question("many", "number", {"en": "How many?"}),
        Question("when", "datetime", {"en": "When?"}),
    )
    with town.at_work() as scene:
        scene.s.get_one(Service, "pole-damaged").questions = questions
    held = app.extensions["cityline"]
    held.city = replace(
        held.city,
        services=[
            replace(s, questions=questions) if s.code == "pole-damaged" else s for s in held.city.services
        ],
    )


def choices(*codes: str) -> tuple[Choice, ...]:
    return tuple(Choice(code, {"en": code}) for code in codes)


def report_of(town: Town, answer: list[dict[str, Any]]) -> Report:
    with town.looking() as scene:
        found = scene.s.scalars(select(Report).where(Report.number == answer[0]["service_request_id"])).one()
        assert found.case
        assert list(found.photos) is not None
        return found


def test_the_answer_is_a_list_of_one_with_the_reports_number_and_no_token(
    town: Town, send: Send, client: FlaskClient
) -> None:
    answer = send(description="It is dark.")
    assert [set(each) for each in answer] == [{"service_request_id", "service_notice", "account_id"}]
    report = report_of(town, answer)
    assert (report.channel, report.words, report.place_source) == ("api", "It is dark.", "pin")
    assert report.number == f"{report.case.number}-A"
    response = client.post(
        "/open311/v2/requests.xml", data={"api_key": KEY, "service_code": "limb-down"} | HERE
    )
    assert "<service_requests><request><service_request_id>" in response.get_data(as_text=True)
    assert client.get(f"/open311/v2/requests/{report.number}.json").get_json()[0]["status"] == "open"


@pytest.mark.parametrize("key", [None, "", "nonsense"])
def test_without_a_good_key_it_is_403(send: Send, key: str | None) -> None:
    [fault] = send(expect=403, api_key=key)
    assert "api_key" in fault["description"]


def test_a_key_in_the_address_opens_nothing(client: FlaskClient, send: Send) -> None:
    """Addresses stand in the logs of every machine on the way."""
    fields = {"service_code": "light-out"} | HERE
    for also in ({}, {"api_key": KEY}):
        answer = client.post(f"/open311/v2/requests.json?api_key={KEY}", data=fields | also)
        assert answer.status_code == 403
        assert shared.KEY_IN_ADDRESS in answer.get_json()[0]["description"]
    assert send()


def test_a_revoked_key_and_one_for_other_things_open_nothing(town: Town, send: Send) -> None:
    with town.at_work() as scene:
        other = accounts.make_key(
            scene.s, "Works", key="another", by=accounts.THE_SYSTEM, at=town.now, scopes=["update"]
        )
        mine = accounts.by_key(scene.s, KEY)
        assert mine is not None
        accounts.revoke_key(scene.s, mine, by=accounts.THE_SYSTEM, at=town.now)
    send(expect=403)
    send(expect=403, api_key=other)


def test_a_key_writes_so_often_an_hour(town: Town, app: Flask, client: FlaskClient, send: Send) -> None:
    with town.at_work() as scene:
        scene.s.scalars(select(ApiKey)).one().hourly = 2
    for n in range(2):
        send(description=f"number {n}")
    fields = {"api_key": KEY, "service_code": "light-out"} | HERE
    response = client.post("/open311/v2/requests.json", data=fields)
    assert (response.status_code, response.get_json()[0]["code"]) == (429, 429)
    assert int(response.headers["Retry-After"]) > 3000
    app.config["NOW"] = town.now + timedelta(minutes=61)
    send(description="later")


def test_service_code_missing_is_400_and_unknown_404(send: Send) -> None:
    [fault] = send(expect=400, service_code=None)
    assert "service_code" in fault["description"]
    send(expect=400, service_code="")
    [fault] = send(expect=404, service_code="nothing")
    assert "nothing" in fault["description"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"lat": None, "long": None}, "lat"),
        ({"long": None}, "long"),
        ({"lat": "91"}, "lat"),
        ({"lat": "NaN"}, "lat"),
        ({"lat": "north"}, "lat"),
        ({"description": "x" * 4001}, "description"),
        ({"email": "nobody"}, "email"),
        ({"media_url": "ftp://example.com/a.jpg"}, "media_url"),
        ({"lat": "10", "long": "10"}, "outside"),
        ({"lat": None, "long": None, "address_id": "no such pole"}, "address_id"),
    ],
)
def test_what_is_malformed_is_400_and_named(send: Send, fields: dict[str, Any], named: str) -> None:
    [fault] = send(expect=400, **fields)
    assert fault["code"] == 400
    assert named in fault["description"]


def test_every_field_has_a_fault_of_its_own_and_missing_answers_come_first(asks: None, send: Send) -> None:
    faults = send(expect=400, email="nobody", description="x" * 4001, **POLE)
    assert len(faults) == 3
    assert "blocked" in faults[0]["description"]
    assert "required" in faults[0]["description"]


def test_letters_are_counted_after_line_ends_are_one(town: Town, send: Send) -> None:
    words = "a\r\n" * 2000
    assert report_of(town, send(description=words.strip() + "b")).words == "a\n" * 1999 + "ab"


@pytest.mark.parametrize(
    "given",
    [
        [("attribute[WHERE-1]", "road"), ("attribute[WHERE-1]", "path")],
        [("attribute[WHERE-1][]", "road"), ("attribute[WHERE-1][]", "path")],
        [("attribute[WHERE-1]", "road,path")],
        [("attribute[WHERE-1][]", "road, path")],
    ],
)
def test_several_choices_in_every_spelling(
    town: Town, asks: None, client: FlaskClient, given: list[tuple[str, str]]
) -> None:
    fields = [("api_key", KEY), ("service_code", "pole-damaged"), ("attribute[blocked]", "no"), *HERE.items()]
    response = client.post("/open311/v2/requests.json", data=MultiDict([*fields, *given]))
    assert response.status_code == 200, response.get_data(as_text=True)
    assert report_of(town, response.get_json()).answers == {"blocked": "no", "WHERE-1": "road,path"}


@pytest.mark.parametrize(
    "given",
    [
        {"attribute[blocked]": "perhaps"},
        {"attribute[blocked]": "yes", "attribute[many]": "several"},
        {"attribute[blocked]": "yes", "attribute[when]": "soon"},
        {"attribute[blocked]": "yes", "attribute[WHERE-1]": "road,moon"},
    ],
)
def test_answers_that_are_none_are_400(asks: None, send: Send, given: dict[str, str]) -> None:
    [fault] = send(expect=400, **POLE, **given)
    assert "attribute[" in fault["description"]


def test_answers_that_nobody_asked_for_are_passed_over(town: Town, send: Send) -> None:
    assert report_of(town, send(**{"attribute[COLOUR]": "red"})).answers == {}


@pytest.mark.parametrize("name", ["media", "photo1", "file_0", "media[]"])
def test_every_file_is_a_photo_whatever_its_name(town: Town, send: Send, name: str) -> None:
    report = report_of(town, send(**{name: (io.BytesIO(jpeg()), "a.jpg")}))
    assert len(report.photos) == 1


@pytest.mark.parametrize(
    ("data", "why", "fault"),
    [
        (b"nothing", "not_a_photo", shared.FILE_IS_NO_PHOTO), (jpeg()[:300], "broken", shared.FILE_IS_DAMAGED)
    ],
)  # fmt: skip
def test_a_bad_photo_holds_up_neither_the_report_nor_a_good_one(
    town: Town, send: Send, data: bytes, why: str, fault: str
) -> None:
    answer = send(bad=(io.BytesIO(data), "lamp.jpg"), good=(io.BytesIO(jpeg()), "pole.jpg"))
    assert answer[0]["service_notice"] == shared.TAKEN_WITHOUT(name="lamp.jpg", fault=fault)
    report = report_of(town, answer)
    assert len(report.photos) == 1
    with town.looking() as scene:
        story = events.of(scene.s, events.of_case(report.case_id))
        [(line, words)] = [(line, words) for line, words in story if line.kind == "photo failed"]
    assert (line.facts["why"], line.facts["report"]) == (why, report.number)
    assert words == {"note": "lamp.jpg"}, "which one, where staff read it and strangers don't"


def test_a_report_whose_only_photo_is_bad_is_taken(town: Town, send: Send) -> None:
    assert report_of(town, send(media=(io.BytesIO(b"nothing"), "a.txt"))).photos == []


def test_what_nobody_pinpointed_is_taken_without_a_place(town: Town, send: Send) -> None:
    nowhere = {"lat": None, "long": None, "address_id": "#NOTPINPOINTED#"}
    report = report_of(town, send(description="By the school.", **nowhere))
    assert (report.words, report.case.lat, report.case.address) == ("By the school.", None, "")
    with_a_pin = report_of(town, send(address_id="#NOTPINPOINTED#"))
    assert with_a_pin.place_source == "pin"


def test_too_many_photos_are_400(town: Town, send: Send) -> None:
    many = {f"p{n}": (io.BytesIO(jpeg()), "a.jpg") for n in range(6)}
    send(expect=400, **many)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Report)) == 0


def test_addresses_of_pictures_are_noted_for_the_worker(town: Town, client: FlaskClient) -> None:
    urls = ["https://pictures.example/1.jpg", "https://pictures.example/2.jpg?a=1,2"]
    fields = MultiDict([("api_key", KEY), ("service_code", "light-out"), *HERE.items()])
    fields.setlist("media_url", urls)
    assert client.post("/open311/v2/requests.json", data=fields).status_code == 200
    with town.looking() as scene:
        assert list(scene.s.scalars(select(PhotoDownload.url).order_by(PhotoDownload.id))) == urls


def test_an_address_is_found_on_the_citys_own_map(
    town: Town, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("city.places.lookup.find", lambda *_, **__: [LAMP])
    report = report_of(town, send(lat=None, long=None, address_string="214 Tansy St"))
    assert (report.lat, report.lon, report.address) == (LAMP.lat, LAMP.lon, LAMP.label)
    report = report_of(town, send(lat=None, long=None, address_id="20-118"))
    assert report.address == LAMP.label


def test_an_address_that_nobody_knows_is_kept_for_a_person_to_read(town: Town, send: Send) -> None:
    report = report_of(
        town, send(lat=None, long=None, address_string="behind the old mill", description="Dark.")
    )
    assert (report.lat, report.case.address) == (None, "")
    assert report.words == "Dark.\nbehind the old mill"


def test_what_a_sender_calls_a_point_is_shown_to_nobody(town: Town, send: Send) -> None:
    report = report_of(town, send(address_string="at Jane Doe's, 555-0100"))
    assert "Jane" not in report.case.address
    assert "Jane Doe" in report.words


def test_personal_fields_are_never_echoed(town: Town, client: FlaskClient, send: Send) -> None:
    personal = {
        "first_name": "Canaria", "last_name": "Birdlike", "phone": "555-0199", "email": "canaria@town.test",
        "device_id": "device-canary", "account_id": "account-canary", "description": "words-canary",
    }  # fmt: skip
    answer = send(**personal)
    number = answer[0]["service_request_id"]
    told = str(answer)
    for path in (f"requests/{number}", "requests", "servicerequestupdates"):
        for form in ("json", "xml"):
            told += client.get(f"/open311/v2/{path}.{form}?extensions=true").get_data(as_text=True)
    assert number in told
    assert not [value for value in personal.values() if value in told]
    with town.looking() as scene:
        assert scene.s.scalars(select(Subscription.address)).all() == ["canaria@town.test"]


def test_sent_again_within_minutes_it_is_the_same_report(town: Town, app: Flask, send: Send) -> None:
    first = send(description="once", media=(io.BytesIO(jpeg()), "a.jpg"))
    app.config["NOW"] = town.now + timedelta(minutes=9)
    assert send(description="once", media=(io.BytesIO(jpeg()), "a.jpg")) == first
    assert send(description="twice") != first
    app.config["NOW"] = town.now + timedelta(minutes=25)
    assert send(description="once", media=(io.BytesIO(jpeg()), "a.jpg")) != first


def test_a_near_duplicate_joins_its_case_and_the_notice_says_so(town: Town, send: Send) -> None:
    with town.at_work() as scene:
        first = scene.report(at=town.now - timedelta(hours=1)).case
        number = first.number
    answer = send()
    assert number in answer[0]["service_notice"]
    assert report_of(town, answer).case.number == number
    for other in ({"lat": "39.6005"}, {"service_code": "limb-down"}):
        alone = send(**other)
        assert alone[0]["service_notice"] is None, "another spot, or another kind of problem"
        assert report_of(town, alone).case.number != number


def test_where_it_is_dangerous_the_notice_says_whom_to_call(town: Town, send: Send) -> None:
    with town.at_work() as scene:
        scene.s.get_one(Service, "limb-down").urgent = True
    assert "911" in send(service_code="limb-down")[0]["service_notice"]


def test_a_private_kind_is_taken_and_never_told(
    town: Town, client: FlaskClient, send: Send, app: Flask
) -> None:
    code = next(s.code for s in app.extensions["cityline"].city.services if s.private)
    number = send(service_code=code)[0]["service_request_id"]
    assert client.get(f"/open311/v2/requests/{number}.json").status_code == 404


def test_a_nul_or_a_control_character_does_no_harm(town: Town, send: Send) -> None:
    send(expect=400, description="a\0b")
    assert report_of(town, send(description="a\x1bb")).words == "ab"


def test_a_point_is_described_by_the_citys_own_words(town: Town, send: Send) -> None:
    with town.at_work() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Case)) == 0
    report = report_of(town, send())
    assert Point(report.lat or 0, report.lon or 0) == Point(39.6, -71.2)


def test_what_has_been_here_goes_round_no_more(send: Send, get: Send, settings: Settings) -> None:
    own = settings.base_url.partition("//")[2]
    (fault,) = send(400, forwarded_from=f"b.example/7,{own}/26-000001")
    assert fault["description"] == "This request came from here."
    (taken,) = send(forwarded_from="b.example/7,<script>,c.example/8")
    (told,) = get(f"/v2/requests/{taken['service_request_id']}", extensions="true")
    assert told["extended_attributes"]["forwarded_from"] == ["b.example/7", "c.example/8"]
