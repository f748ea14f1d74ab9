"""Tokens, updates of requests in both directions, keys from the command line."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from factories import Town
from flask.testing import FlaskClient
from sender import HERE
from wording import shared

from city.audit import events
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Report
from city.people import accounts

Send = Callable[..., Any]
UPDATES = "/open311/v2/servicerequestupdates"


@pytest.fixture
def key(town: Town, app: object) -> str:
    """Opens updates only."""
    with town.at_work() as scene:
        return accounts.make_key(
            scene.s, "Works", key="k" * 32, by=accounts.THE_SYSTEM, at=town.now, scopes=["update"]
        )


def test_a_token_names_its_report_and_an_unknown_one_is_404(
    get: Send, xml: Callable[..., Element], send: Send
) -> None:
    token = uuid.uuid4().hex
    number = send(token=token)[0]["service_request_id"]
    assert get(f"/v2/tokens/{token}") == [{"service_request_id": number, "token": token}]
    request = xml(f"/v2/tokens/{token}").find("request")
    assert request is not None
    assert request.findtext("service_request_id") == number
    get("/v2/tokens/nobody-knows-it", expect=404)


def test_a_request_sent_again_under_its_token_is_the_same_even_days_later(
    town: Town, app: Any, send: Send
) -> None:
    token = uuid.uuid4().hex
    first = send(token=token)
    app.config["NOW"] = town.now + timedelta(days=3)
    assert send(token=token) == first


def test_while_it_is_being_taken_the_token_stands_alone(
    get: Send, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, seen = uuid.uuid4().hex, []

    def looked(*_: Any) -> tuple[list[Any], list[Any]]:
        seen.extend(get(f"/v2/tokens/{token}"))
        return [], []

    monkeypatch.setattr("pwa.open311.submit.develop", looked)
    send(token=token)
    assert seen == [{"token": token}]


@pytest.mark.parametrize("token", ["short", "x" * 65, "with blanks and more"])
def test_a_token_that_others_may_choose_is_400(send: Send, token: str) -> None:
    [fault] = send(expect=400, token=token)
    assert "token" in fault["description"]


def test_a_list_never_names_what_has_no_number(get: Send, send: Send) -> None:
    send()
    assert all(each["service_request_id"] for each in get("/v2/requests"))


def test_updates_tell_each_step_with_statuses_in_small_letters(town: Town, get: Send) -> None:
    with town.at_work() as scene:
        by, at = scene.actor("dispatcher"), town.now
        case = scene.report(at=at - timedelta(hours=3)).case
        transitions.accept(scene.s, case, by=by, at=at - timedelta(hours=2))
        transitions.note(scene.s, case, "for us alone", by=by, at=at)
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark", words="canary"), by=by, at=at)
        number = case.number
    told = get("/v2/servicerequestupdates")
    assert [each["status"] for each in told] == ["open", "investigating", "fixed"]
    assert {each["service_request_id"] for each in told} == {number}
    assert len({each["update_id"] for each in told}) == 3
    assert "canary" not in str(told)
    window = {
        "start_date": (at - timedelta(hours=2.5)).isoformat(),
        "end_date": (at - timedelta(hours=1)).isoformat(),
    }
    inside = get("/v2/servicerequestupdates", **window)
    assert [each["status"] for each in inside] == ["investigating"]
    assert datetime.fromisoformat(inside[0]["updated_datetime"]) == at - timedelta(hours=2)


def test_a_closing_that_the_crew_takes_back_is_an_update(town: Town, get: Send) -> None:
    with town.at_work() as scene:
        case, rosa, at = scene.assigned(), scene.actor("rosa"), town.now
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=rosa, at=at)
        transitions.undo_own_completion(scene.s, case, "close", by=rosa, at=at + timedelta(minutes=1))
    told = get("/v2/servicerequestupdates", end_date=(at + timedelta(hours=1)).isoformat())
    assert [each["status"] for each in told][-2:] == ["fixed", "action_scheduled"]
    [request] = get(f"/v2/requests/{told[0]['service_request_id']}")
    assert request["status"] == "open"
    assert datetime.fromisoformat(request["updated_datetime"]) == at + timedelta(minutes=1)


def test_what_puts_a_case_back_says_how_it_stands_then(town: Town, get: Send) -> None:
    with town.at_work() as scene:
        case, rosa, by, at = scene.assigned(), scene.actor("rosa"), scene.actor("dispatcher"), town.now
        transitions.start(scene.s, case, by=rosa, at=at)
        was = transitions.snapshot(case)
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=at)
        transitions.undo_batch(scene.s, case, "close", was, by=by, at=at, batch=1)
        transitions.cancel(scene.s, case, "test", by=by, at=at)
        transitions.restore(scene.s, case, by=by, at=at)
    told = get("/v2/servicerequestupdates")
    assert [each["status"] for each in told][-5:] == [
        "in_progress", "fixed", "in_progress", "closed", "investigating",
    ]  # fmt: skip


def test_a_program_hears_of_its_own_report_under_the_number_it_knows(
    town: Town, get: Send, send: Send
) -> None:
    number = send()[0]["service_request_id"]
    told = get("/v2/servicerequestupdates")
    assert {each["service_request_id"] for each in told} == {number, number.rpartition("-")[0]}


def test_what_was_merged_is_told_as_a_duplicate(town: Town, get: Send) -> None:
    with town.at_work() as scene:
        root, merged = scene.report(), scene.report()
        transitions.merge(scene.s, merged.case, root.case, by=scene.actor("dispatcher"), at=town.now)
        number = merged.case.number
    told = [
        each["status"] for each in get("/v2/servicerequestupdates") if each["service_request_id"] == number
    ]
    assert told == ["open", "duplicate"]


def test_an_update_from_elsewhere_is_kept_once_for_a_person_to_read(
    town: Town, client: FlaskClient, key: str
) -> None:
    with town.at_work() as scene:
        report: Report = scene.report()
        number, case_id, state = report.number, report.case_id, report.case.state
    fields = {
        "api_key": key, "service_request_id": number, "update_id": "77", "status": "FIXED",
        "updated_datetime": "2026-05-12T13:00:00Z", "description": "A new lamp.",
    }  # fmt: skip
    answers = [client.post(f"{UPDATES}.json", data=fields).get_json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0][0]["update_id"].startswith("u-")
    with town.looking() as scene:
        notes = [
            words["note"]
            for event, words in events.of(scene.s, events.of_case(case_id))
            if event.kind == "note"
        ]
        assert notes == [f"{shared.UPDATE_FROM(name='Works', status='FIXED')} A new lamp."]
        assert scene.s.get_one(Report, report.id).case.state == state


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"api_key": "nonsense"}, 403),
        ({"service_request_id": "26-999999"}, 404),
        ({"service_request_id": ""}, 400),
        ({"update_id": ""}, 400),
        ({"status": ""}, 400),
        ({"updated_datetime": "soon"}, 400),
    ],
)
def test_an_update_that_is_none_is_refused(
    town: Town, client: FlaskClient, key: str, changes: dict[str, str], status: int
) -> None:
    with town.at_work() as scene:
        number = scene.report().number
    fields = {"api_key": key, "service_request_id": number, "update_id": "1", "status": "OPEN"} | changes
    response = client.post(f"{UPDATES}.json", data=fields)
    assert (response.status_code, response.get_json()[0]["code"]) == (status, status)


def test_of_what_not_everybody_may_know_a_key_learns_and_notes_nothing(
    town: Town, client: FlaskClient, key: str
) -> None:
    with town.at_work() as scene:
        private = scene.report(service_code="nuisance")
        case_id, numbers = private.case_id, (private.number, private.case.number)
    fields = {"api_key": key, "update_id": "1", "status": "FIXED"}
    said = set()
    for number in (*numbers, "26-999999"):
        response = client.post(f"{UPDATES}.json", data=fields | {"service_request_id": number})
        said.add((response.status_code, response.get_data(as_text=True).replace(number, "N")))
    assert len(said) == 1
    assert said.pop()[0] == 404
    with town.looking() as scene:
        lines = events.of(scene.s, events.of_case(case_id))
        assert "note" not in [event.kind for event, _ in lines]


def test_a_key_for_updates_sends_no_reports(client: FlaskClient, key: str) -> None:
    fields = {"api_key": key, "service_code": "light-out"} | HERE
    assert client.post("/open311/v2/requests.json", data=fields).status_code == 403
