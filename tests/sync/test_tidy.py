"""What is forgotten with time: done jobs, tombstones, and all of an operation but what became of it."""

from datetime import timedelta
from typing import Any

import pytest
from factories import texts
from phones import Clock, Phone, case_of, declare, dispatch, make_lamp, person, picture
from sqlalchemy import Engine, func, select

from city.audit import events
from city.cases import transitions
from city.config.retention_schedule import Period, Schedule
from city.db.engine import read_session, transaction
from city.db.models import ExpectedPhoto, SyncFeedRow, SyncOperation
from city.privacy import retention
from city.settings import Settings
from sync import compaction

pytestmark = pytest.mark.both_databases


def gone(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for news in answer["changes"].values() for row in news["gone"]]


def test_a_job_that_was_closed_leaves_after_a_day(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.exchange(luis.op("close", luis.job(lamp), outcome="not found"))
    with transaction(engine) as s:
        assert compaction.take_done_away(s, clock.tick(hours=23)) == 0
        assert compaction.take_done_away(s, clock.tick(hours=2)) == 1
    assert gone(luis.exchange()) == [{"kind": "job", "ref": lamp, "why": "done"}]
    with transaction(engine) as s:
        assert compaction.take_done_away(s, clock()) == 0


def test_a_phone_that_was_away_for_too_long_begins_anew(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.exchange()
    old = dict(luis.cursors)
    dispatch(engine, lamp, transitions.unassign, clock)
    luis.exchange()
    other = make_lamp(engine, clock)
    with transaction(engine) as s:
        events.seal_day(s, clock().date())
    clock.tick(days=80)
    with transaction(engine) as s:
        assert compaction.drop_tombstones(s, clock.tick(days=5)) == 0
    luis.sign_in(person(engine, "luis@city.test"))
    answer = luis.exchange(cursors=old)
    assert (answer["auth"], answer["reset"]) == ("ok", [])
    with transaction(engine) as s:
        assert compaction.drop_tombstones(s, clock.tick(days=10)) == 1
    with read_session(engine) as s:
        assert list(s.scalars(select(SyncFeedRow.ref))) == [other]
    answer = luis.exchange(cursors=old)
    scope = answer["reset"][0]
    assert [job["ref"] for job in answer["changes"][scope]["set"]] == [other]
    assert luis.exchange()["reset"] == []


def test_a_phone_hears_that_a_cleared_job_is_done_with_and_what_it_sends_late_is_not_kept(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    luis.exchange(luis.op("close", job, outcome="not found", words="Canary"))
    for _ in range(4):  # a phone that is used stays enrolled
        clock.tick(days=10)
        luis.exchange()
    done = retention.carry_out(engine, settings.var, Schedule(words=Period(days=30)), clock())
    assert done.gone["words"] == 1
    luis.sign_in(person(engine, "luis@city.test"))
    assert gone(luis.exchange()) == [{"kind": "job", "ref": lamp, "why": "done"}]
    result = luis.exchange(luis.op("note", job, words="Canary, late"))["results"][0]
    assert (result["result"], result["why"]) == ("recorded", "erased")
    with read_session(engine) as s:
        assert [name for name, value in texts(s) if "anary" in value] == []


def test_an_old_operation_is_still_known_and_changes_nothing(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", words="New lamp.", photos=[declare(picture())])
    luis.exchange(op)
    kept = luis.op("note", luis.job(lamp) | {"ref": "26-999999"}, words="Set aside.")
    luis.exchange(kept)
    for _ in range(8):  # a phone that is used stays enrolled
        clock.tick(days=10)
        luis.exchange()
    with transaction(engine) as s:
        assert compaction.compact(s, clock()) == 0
        assert compaction.compact(s, clock.tick(days=11)) == 1
        assert compaction.compact(s, clock()) == 0
    with read_session(engine) as s:
        row = s.get_one(SyncOperation, op["id"])
        assert (row.result, row.raw, row.case_id, row.case_ref) == (
            {"id": op["id"], "result": "applied"}, None, None, "",
        )  # fmt: skip
        assert s.scalar(select(func.count()).select_from(ExpectedPhoto)) == 0
        assert s.get_one(SyncOperation, kept["id"]).raw
        version = case_of(s, lamp).version
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "applied"}]
    assert luis.exchange(op | {"n": 99})["results"][0]["why"] == "another_body"
    with read_session(engine) as s:
        assert case_of(s, lamp).version == version


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_ten_years_off_moves_no_promise_and_is_kept(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, years: int
) -> None:
    job = luis.job(lamp)
    clock.tick(hours=2)
    wrong = (clock() + timedelta(days=365 * years)).isoformat()
    start = luis.op("start", job) | {"device_time": wrong}
    close = luis.op("close", job, outcome="not found") | {"device_time": wrong}
    assert [r["result"] for r in luis.exchange(start, close)["results"]] == ["applied", "applied"]
    with read_session(engine) as s:
        case = case_of(s, lamp)
        given, closing = case.assignments[-1].given_at, case.closures[-1]
        assert given <= closing.done_at <= closing.closed_at == clock()
        assert given <= case.assignments[-1].started_at <= clock()
        line = events.of(s, events.of_case(case.id))[-1][0]
        assert line.facts["bounded"] is True
        assert line.at_device
        assert line.at_device.isoformat() == wrong
