"""Phones that come at the same moment: each hears what it would alone, and nothing is done twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from phones import OURS, Clock, Phone, case_of, dispatch, make_lamp, person, story
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import board_index, transitions
from city.db.engine import read_session, transaction
from city.db.models import Case, SyncFeedRow, SyncOperation
from sync import devices, operations, pull, routes

pytestmark = pytest.mark.both_databases


def feed(s: Session, rows: int, scopes: int) -> list[SyncFeedRow]:
    """Rows of `crew:0` and on by turns, every third of a scope for what is there no more."""
    made = [
        SyncFeedRow(
            scope=f"crew:{n % scopes}", kind="job", ref=f"X-{n}", seq=n + 1, present=n // scopes % 3 != 0
        )
        for n in range(rows)
    ]
    s.add_all(made)
    s.flush()
    return made


def test_the_feed_is_read_by_its_index_however_long_it_is(engine: Engine) -> None:
    with transaction(engine) as s:
        feed(s, 3000, 30)
        asked = {"asked": '[{"n": 0, "scope": "crew:1", "cursor": 2900}]', "most": 251, "now": 3000}
        explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        plan = str(s.execute(text(explain + str(pull._NEWS[engine.dialect.name])), asked).all())
    assert "ix_sync_feed_scope_seq" in plan
    assert "Seq Scan" not in plan
    assert "SCAN feed" not in plan
    assert "SCAN news" not in plan


def test_a_job_that_came_back_to_its_crew_bears_the_newest_assignment(
    engine: Engine, luis: Phone, clock: Clock
) -> None:
    number = make_lamp(engine, clock, "Lights 2")
    for crew in ("Lights 1", "Lights 2"):
        dispatch(engine, number, transitions.assign, clock, crew=crew)
    with read_session(engine) as s:
        *_, last = sorted(job.id for job in case_of(s, number).assignments)
    assert luis.job(number)["assignment"] == last


def test_who_signs_in_keeps_the_session_though_the_telling_fails(
    engine: Engine, luis: Phone, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work is done by then: the next try must not begin another session."""
    job = luis.job(make_lamp(engine, clock))
    with luis.http.session_transaction() as session:
        session.pop("login")
    with monkeypatch.context() as patched:
        patched.setattr(routes, "_told", lambda *_given: 1 / 0)
        luis.http.application.config["PROPAGATE_EXCEPTIONS"] = False
        assert luis.post(luis.body(luis.op("start", job))).status_code == 500
    with luis.http.session_transaction() as session:
        login = session["login"]
    assert luis.exchange()["auth"] == "ok"
    with luis.http.session_transaction() as session:
        assert session["login"] == login


def test_two_tabs_that_bring_the_same_work_at_once(
    app: Flask, engine: Engine, luis: Phone, clock: Clock
) -> None:
    """Also where one of them shows the phone's next token, and the other the one before."""
    op = luis.op("close", luis.job(make_lamp(engine, clock)), outcome="not found")
    clock.tick(days=devices.ROTATE_AFTER_DAYS + 1)
    tabs = [app.test_client(), luis.http]
    tabs[0].set_cookie("cl_device", luis.http.get_cookie("cl_device", path="/sync").value, path="/sync")
    luis.exchange()
    assert (
        luis.http.get_cookie("cl_device", path="/sync").value
        != tabs[0].get_cookie("cl_device", path="/sync").value
    )
    with ThreadPoolExecutor(2) as pool:
        given = [pool.submit(tab.post, "/sync/v1/exchange", json=luis.body(op), headers=OURS) for tab in tabs]
    answers = [each.result(60).json for each in given]
    assert [answer["results"] for answer in answers] == [[{"id": op["id"], "result": "applied"}]] * 2
    with transaction(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 1
        assert [event.kind for event, _ in story(s, op["case"])].count("close") == 1
    assert luis.exchange()["auth"] == "ok"


@pytest.mark.parametrize("closing_first", [True, False])
def test_two_phones_of_one_person_follow_on_each_other(
    app: Flask, engine: Engine, luis: Phone, clock: Clock, closing_first: bool
) -> None:
    number, other = make_lamp(engine, clock), Phone(app, clock, person(engine, "luis@city.test"))
    start = luis.op("start", luis.job(number))
    close = other.op("close", other.job(number), outcome="not found", prev=start["id"])
    both = [(luis, start), (other, close)]
    results = [
        phone.exchange(op)["results"][0]["result"]
        for phone, op in (reversed(both) if closing_first else both)
    ]
    assert results == (["held", "applied"] if closing_first else ["applied", "applied"])
    with read_session(engine) as s:
        assert [event.kind for event, _ in story(s, number)][-2:] == ["start", "close"]
        assert (events.verify(s), board_index.differences(s)) == ([], [])


def test_a_bug_spoils_one_operation_of_all(
    app: Flask, engine: Engine, luis: Phone, toni: Phone, clock: Clock,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    numbers = [make_lamp(engine, clock, crew) for crew in ("Lights 2", "Lights 1")]
    closings = [
        phone.op("close", phone.job(number), outcome="not found")
        for phone, number in zip((luis, toni), numbers, strict=True)
    ]
    worse = make_lamp(engine, clock)
    bad = luis.op("start", luis.job(worse))

    def broken(s: Session, case: Case, **told: Any) -> bool:
        transitions.note(s, case, "half done", by=told["by"], at=told["at"])
        raise ZeroDivisionError

    monkeypatch.setattr(operations.transitions, "start", broken)
    with ThreadPoolExecutor(2) as pool:
        of_luis = pool.submit(luis.exchange, bad, closings[0])
        of_toni = pool.submit(toni.exchange, closings[1])
    told = [(each["result"], each.get("why")) for each in of_luis.result(60)["results"]]
    assert told == [("applied", None), ("quarantined", "fault")]
    assert of_toni.result(60)["results"][0]["result"] == "applied"
    assert [record.levelname for record in caplog.records if record.name == "sync.push"] == ["ERROR"]
    with read_session(engine) as s:
        assert s.get_one(SyncOperation, bad["id"]).raw
        assert [event.kind for event, _ in story(s, worse)].count("note") == 0
        assert (events.verify(s), board_index.differences(s)) == ([], [])


def test_two_people_under_one_id_at_once(
    app: Flask, engine: Engine, luis: Phone, toni: Phone, clock: Clock
) -> None:
    """As when a phone was copied and given to somebody else."""
    numbers = [make_lamp(engine, clock, crew) for crew in ("Lights 2", "Lights 1")]
    mine = luis.op("close", luis.job(numbers[0]), outcome="not found")
    his = toni.op("close", toni.job(numbers[1]), outcome="not found") | {"id": mine["id"]}
    with ThreadPoolExecutor(2) as pool:
        given = [pool.submit(luis.exchange, mine), pool.submit(toni.exchange, his)]
    told = {
        (each.result(60)["results"][0]["result"], each.result(60)["results"][0].get("why")) for each in given
    }
    assert told == {("applied", None), ("quarantined", "another_body")}
    with read_session(engine) as s:
        assert sorted(case_of(s, number).state for number in numbers) == ["assigned", "closed"]
        assert (events.verify(s), board_index.differences(s)) == ([], [])
