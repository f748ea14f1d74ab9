"""Owners whose servers know no token, lose answers, say no, lie or break: nothing is ever sent twice."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import foreignowner
import pytest
from factories import LAMP, Town
from foreignowner import Owner
from sqlalchemy import select

from city.cases import sla, transitions
from city.db.models import Case, Closure, Endpoint, PhotoDownload, RemoteRequest, Report
from city.forwarding import client as over_there
from city.forwarding import endpoints, following, forwards, pulling, sending
from city.forwarding.client import Client
from city.lifecycle import ACCEPTED, CLOSED, NEW, UNDERWAY, WAITING, Refused

pytestmark = pytest.mark.both_databases

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HERE = sending.Here("https://a.example", "at_once", lambda photo: f"https://a.example/{photo}")


@pytest.fixture
def owner() -> Iterator[Owner]:
    with foreignowner.running() as running:
        yield running


def add(town: Town, owner: Owner, **more: Any) -> int:
    told: dict[str, Any] = {"name": "LP&L", "services": {"light-out": "SL"}} | more
    with town.at_work() as scene:
        by = scene.actor("administrator")
        row = endpoints.save(scene.s, None, url=owner.url, loopback=True, by=by, at=town.now, **told)
        done = endpoints.try_out(Client(loopback=True, seconds=3), endpoints.address(row))
        assert endpoints.tested(row, done, at=town.now)
        return row.id


def pass_on(town: Town, endpoint: int, says: str = "", **report: Any) -> tuple[str, int]:
    with town.at_work() as scene:
        case = scene.report(**report).case
        row = forwards.forward(
            scene.s, case, scene.s.get_one(Endpoint, endpoint), says, here="https://a.example",
            secret="s" * 32, by=scene.actor("dispatcher"), at=town.now,
        )  # fmt: skip
        return case.number, row.id


def send(town: Town, after: timedelta = timedelta()) -> int:
    return sending.send_due(town.engine, Client(loopback=True, seconds=3), HERE, town.now + after)


def follow(town: Town, after: timedelta) -> int:
    return following.follow_due(town.engine, Client(loopback=True, seconds=3), town.now + after)


def pull(town: Town, after: timedelta = HOUR) -> int:
    return pulling.pull_due(
        town.engine, Client(loopback=True, seconds=3), HERE, town.now + after, secret="s" * 32, lang="en"
    )


def row_of(town: Town, row_id: int) -> RemoteRequest:
    with town.looking() as scene:
        row = scene.s.get_one(RemoteRequest, row_id)
        assert row.endpoint
        scene.s.expunge_all()
        return row


def test_nobody_is_named_to_another_owner(town: Town, owner: Owner) -> None:
    number, _ = pass_on(town, add(town, owner, api_key="k" * 20), "Dark", words="I'm Ana, 555-0100")
    assert send(town) == 1
    (told,) = owner.taken
    assert told["service_code"] == "SL"
    assert told["description"] == f"Dark\n\n{number} · a.example"
    assert set(told) == {
        "service_code", "token", "api_key", "lat", "long", "address_string", "description", "forwarded_from",
    }  # fmt: skip


def test_an_answer_that_was_lost_is_found_by_our_number(town: Town, owner: Owner) -> None:
    owner.lose = 1
    number, row = pass_on(town, add(town, owner))
    assert send(town) == 0
    assert row_of(town, row).state == forwards.SENDING
    with town.looking() as scene:
        assert scene.case(number).state == NEW  # nobody has it for sure, so nothing waits for them
    assert send(town, HOUR) == 1
    assert (row_of(town, row).state, row_of(town, row).their_id) == (forwards.FOLLOWED, "R-1")
    assert len(owner.taken) == 1


def test_where_nobody_can_find_out_a_person_is_asked(town: Town, owner: Owner) -> None:
    owner.lose, owner.hides_words = 1, True
    number, row = pass_on(town, add(town, owner))
    for n in range(12):
        send(town, n * HOUR)
    assert len(owner.taken) == 1
    assert row_of(town, row).state == forwards.UNCLEAR
    with town.at_work() as scene:
        assert scene.case(number).review == forwards.MARK_UNCLEAR
        by = scene.actor("dispatcher")
        with pytest.raises(Refused, match="forward_number"):
            forwards.arrived(scene.s, scene.s.get_one(RemoteRequest, row), "<b>", by=by, at=town.now)
        assert forwards.arrived(scene.s, scene.s.get_one(RemoteRequest, row), "R-1", by=by, at=town.now)
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.review, sla.passed_to(case)) == (WAITING, None, "LP&L")
    assert len(owner.taken) == 1


def test_a_person_who_looked_sends_it_again(town: Town, owner: Owner) -> None:
    owner.lose, owner.hides_words = 1, True
    _, row = pass_on(town, add(town, owner))
    for n in range(6):
        send(town, n * HOUR)
    with town.at_work() as scene:
        by = scene.actor("dispatcher")
        forwards.send_again(scene.s, scene.s.get_one(RemoteRequest, row), by=by, at=town.now + 6 * HOUR)
    assert send(town, 7 * HOUR) == 1
    assert row_of(town, row).their_id == "R-2"


def test_who_is_down_is_sent_it_later_and_once(town: Town, owner: Owner) -> None:
    endpoint = add(town, owner)
    with town.at_work() as scene:
        alive, scene.s.get_one(Endpoint, endpoint).url = owner.url, "http://127.0.0.1:9/v2"
    _, row = pass_on(town, endpoint)
    assert send(town) == 0
    assert row_of(town, row).state == forwards.QUEUED
    with town.at_work() as scene:
        scene.s.get_one(Endpoint, endpoint).url = alive
    assert send(town, HOUR) == 1
    assert len(owner.taken) == 1


def test_a_no_comes_before_staff_in_their_words(town: Town, owner: Owner) -> None:
    owner.refuse = (400, "lat is outside \x00of\u202e our area")
    number, row = pass_on(town, add(town, owner))
    assert send(town) == 1
    assert send(town, HOUR) == 0
    assert row_of(town, row).fault == "400: lat is outside of our area"
    with town.looking() as scene:
        assert scene.case(number).review == forwards.MARK_REFUSED


def test_who_gives_a_token_first_is_asked_for_the_number(town: Town, owner: Owner) -> None:
    owner.gives_token = True
    _, row = pass_on(town, add(town, owner))
    assert send(town) == 0
    assert send(town, HOUR) == 0
    assert row_of(town, row).state == forwards.NUMBERING
    owner.numbered = True
    assert send(town, 2 * HOUR) == 1
    assert (row_of(town, row).their_id, len(owner.taken)) == ("R-1", 1)


def test_their_end_is_ours_in_their_words(town: Town, owner: Owner) -> None:
    number, row = pass_on(town, add(town, owner))
    send(town)
    owner.states["R-1"] = {"status": "open", "status_notes": "Crew on Monday"}
    assert follow(town, HOUR) == 0
    assert row_of(town, row).notes == "Crew on Monday"
    owner.states["R-1"] = {"status": "Closed", "status_notes": "<b>New lamp</b>\x07" + "!" * 5000}
    assert follow(town, 2 * HOUR) == 1
    assert follow(town, 3 * HOUR) == 0
    with town.looking() as scene:
        case = scene.case(number)
        words = scene.s.scalars(select(Closure.words)).one()
        assert (case.state, case.outcome) == (CLOSED, "fixed")
    assert words.startswith("<b>New lamp</b>!!!")
    assert len(words) == over_there.MOST_WORDS
    town.is_right()


@pytest.mark.parametrize(
    "told",
    [
        {"status": "closed", "status_notes": "This is not our pole."},
        {"status": "not_councils_responsibility"},
        {"status": "closed", "extended_attributes": {"outcome": "not ours"}},
    ],
)
def test_what_is_not_theirs_comes_back(town: Town, owner: Owner, told: dict[str, Any]) -> None:
    number, _ = pass_on(town, add(town, owner))
    send(town)
    owner.states["R-1"] = told
    assert follow(town, HOUR) == 1
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.review) == (ACCEPTED, forwards.MARK_BACK)
        assert not sla.clock_stands(case)


def test_a_crew_of_ours_is_not_closed_away(town: Town, owner: Owner) -> None:
    number, _ = pass_on(town, add(town, owner))
    send(town)
    with town.at_work() as scene:
        case, at = scene.case(number), town.now + MINUTE
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=at)
        transitions.start(scene.s, case, by=scene.actor("rosa"), at=at)
    owner.states["R-1"] = {"status": "closed"}
    assert follow(town, HOUR) == 1
    with town.looking() as scene:
        case = scene.case(number)
        assert (case.state, case.review) == (UNDERWAY, forwards.MARK_CLOSED)


def test_danger_waits_for_no_other_owner(town: Town, owner: Owner) -> None:
    number, row = pass_on(town, add(town, owner), danger=True)
    assert send(town) == 1
    assert row_of(town, row).state == forwards.FOLLOWED
    with town.looking() as scene:
        assert scene.case(number).state == NEW


def test_what_they_forgot_comes_back_after_days(town: Town, owner: Owner) -> None:
    number, _ = pass_on(town, add(town, owner))
    send(town)
    owner.taken.clear()
    assert [follow(town, n * DAY) for n in (1, 2, 4)] == [0, 0, 1]
    with town.looking() as scene:
        assert scene.case(number).review == forwards.MARK_BACK


BROKEN = {
    "50 MB": b"[" + b" " * 50_000_000 + b"]",
    "deep": b"[" * 100_000,
    "no list": b'"closed"',
    "nonsense": b"\xff\xfe<html>",
    "rows of nothing": b'[null, 5, {"status": 7}, {"service_request_id": {"a": 1}, "status": "closed"}]',
    "another's": b'[{"service_request_id": "R-99", "status": "closed"}]',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_ends_nothing(town: Town, owner: Owner, body: bytes) -> None:
    number, row = pass_on(town, add(town, owner))
    send(town)
    owner.special = lambda path: (200, body) if path.endswith("/requests.json") else None
    assert follow(town, HOUR) == 0
    assert row_of(town, row).state == forwards.FOLLOWED
    with town.looking() as scene:
        assert scene.case(number).state == WAITING


@pytest.mark.parametrize(
    "date", ["9999-12-31T23:59:59+00:00", "0001-01-01", "2026-02-30", "soon", "1e9", None, 7, "2" * 5000]
)
def test_nonsense_for_a_date_is_none(date: object) -> None:
    assert over_there.moment(date) is None


def test_an_endpoint_within_our_own_network_is_refused(town: Town) -> None:
    for url in ("http://10.0.0.1/v2", "https://127.0.0.1/v2", "https://[::1]/v2", "https://u:p@x.example/v2"):
        with town.at_work() as scene, pytest.raises(Refused, match="not_public"):
            endpoints.save(
                scene.s, None, name="X", url=url, loopback=False, by=scene.actor("administrator"), at=town.now
            )


def told_there(owner: Owner, **more: str) -> None:
    owner.taken.append({"service_code": "SL", "description": "Out", "lat": "39.61", "long": "-71.21"} | more)


def test_what_is_told_there_comes_in_once(town: Town, owner: Owner) -> None:
    add(town, owner, pulls=True)
    told_there(owner)
    told_there(owner, service_code="XX")  # none of ours
    owner.states["R-1"] = {"media_url": "https://x.example/a.jpg"}
    assert pull(town) == 1
    assert pull(town, 2 * HOUR) == 0
    with town.looking() as scene:
        report = scene.s.scalars(select(Report).order_by(Report.id)).first()
        assert (report.words, report.channel, report.case.state) == ("Out", "api", NEW)
        assert scene.s.scalars(select(PhotoDownload.url)).all() == ["https://x.example/a.jpg"]
    owner.states["R-1"] = {"status": "closed", "status_notes": "Done"}
    assert follow(town, 3 * HOUR) == 1
    with town.looking() as scene:
        assert scene.s.get_one(Case, report.case_id).state == CLOSED


def test_ours_does_not_come_back(town: Town, owner: Owner) -> None:
    endpoint = add(town, owner, pulls=True)
    pass_on(town, endpoint)
    owner.lose = 1
    send(town)
    assert pull(town) == 0  # nobody knows yet which one is ours
    send(town, 2 * HOUR)
    told_there(owner, description="Seen at 26-000009 · a.example")  # by whatever way it went round
    owner.states["R-2"] = {"extended_attributes": {"forwarded_from": ["b.example/7"]}}
    told_there(owner)
    owner.states["R-3"] = {"extended_attributes": {"forwarded_from": ["a.example/26-000001"]}}
    assert pull(town, 3 * HOUR) == 0
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Case)).all()) == 1


def test_what_came_from_there_does_not_go_back(town: Town, owner: Owner) -> None:
    endpoint = add(town, owner, pulls=True)
    told_there(owner)
    assert pull(town) == 1
    with town.at_work() as scene, pytest.raises(Refused, match="forward_loop"):
        forwards.forward(
            scene.s, scene.s.scalars(select(Case)).one(), scene.s.get_one(Endpoint, endpoint), "",
            here="https://a.example", secret="s" * 32, by=scene.actor("dispatcher"), at=town.now,
        )  # fmt: skip


def test_one_owner_at_a_time(town: Town, owner: Owner) -> None:
    endpoint = add(town, owner)
    number, row = pass_on(town, endpoint)
    with town.at_work() as scene:
        by, there = scene.actor("dispatcher"), scene.s.get_one(Endpoint, endpoint)
        told: dict[str, Any] = {"here": "https://a.example", "secret": "s" * 32, "by": by, "at": town.now}
        with pytest.raises(Refused, match="forwarded"):
            forwards.forward(scene.s, scene.case(number), there, "", **told)
        assert forwards.take_back(scene.s, scene.s.get_one(RemoteRequest, row), by=by, at=town.now)
        forwards.forward(scene.s, scene.case(number), there, "", **told)
        private = scene.report(service_code="nuisance").case
        with pytest.raises(Refused, match="private_forward"):
            forwards.forward(scene.s, private, there, "", **told)
        limb = scene.report(service_code="limb-down", place=LAMP).case
        with pytest.raises(Refused, match="forward_unknown"):
            forwards.forward(scene.s, limb, there, "", **told)
    assert send(town) == 1
