"""Phones whose work was taken are told at one moment what changed: each its own, and nobody another's."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from factories import statements
from flask import Flask
from phones import DANA, OURS, Clock, Phone, case_of, dispatch, make_lamp, person, story
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import board_index, transitions
from city.db.engine import read_session, transaction
from city.db.models import Case, Device, SyncFeedRow, SyncOperation
from city.db.models import EventSequence as ClockRow
from city.settings import Settings
from sync import devices, expected_photos, group_commit, operations, pull, push, routes

pytestmark = pytest.mark.both_databases


@contextmanager
def waiting(
    engine: Engine, shared: group_commit.Shared[Any, Any, Any], count: int
) -> Iterator[tuple[ThreadPoolExecutor, group_commit._Queue]]:
    """While this is open whoever comes waits; at its end, once so many do, they share.

    Gives a pool to come from, and the queue. Nobody waits for the pool: one who is never served fails a test.
    """
    queue = group_commit._queue(engine, shared)
    assert not queue._is_led
    queue._is_led = True
    pool = ThreadPoolExecutor(count)
    try:
        yield pool, queue
        until_so_many_wait(queue, count)
    finally:
        queue._pass_on_lead()
        pool.shutdown(wait=False)


def do(engine: Engine, shared: group_commit.Shared[Any, Any, Any], asked: Any) -> tuple[Any, Any]:
    """What was done and what is told of one who names no case."""
    done, told = group_commit.run_grouped(engine, shared, asked, ())
    return done, told()


def until_so_many_wait(queue: group_commit._Queue, count: int) -> None:
    end = time.monotonic() + 60
    while len(queue._waiting) < count and time.monotonic() < end:
        time.sleep(0.001)
    assert len(queue._waiting) == count


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many phones were told at each moment."""
    counts, told = [], routes._answers

    def counting(s: Session, visits: Sequence[routes.Visit], *given: Any) -> list[dict[str, Any]]:
        counts.append(len(visits))
        return told(s, visits, *given)

    monkeypatch.setattr(routes, "_answers", counting)
    return counts


def refs(answer: dict[str, Any]) -> dict[str, set[str]]:
    return {scope: {job["ref"] for job in news["set"]} for scope, news in answer["changes"].items()}


def test_each_hears_of_its_own(
    app: Flask, engine: Engine, luis: Phone, toni: Phone, clock: Clock, asked: list[int]
) -> None:
    other = Phone(app, clock, person(engine, "luis@city.test"))
    mine, his, moved = (make_lamp(engine, clock, crew) for crew in ("Lights 2", "Lights 1", "Lights 1"))
    closings = {
        phone: phone.op("close", phone.job(number), outcome="not found")
        for phone, number in ((luis, mine), (toni, his))
    }
    for phone in (luis, toni, other):
        phone.exchange()
    dispatch(engine, moved, transitions.assign, clock, crew="Lights 2")
    note = other.op("note", other.job(mine), words="Behind the tree.")
    here = app.extensions["cityline"].engine
    del asked[:]
    with waiting(here, routes.TAKE_AND_TELL, 3) as (pool, _):
        given = [pool.submit(phone.exchange, op) for phone, op in closings.items()]
        given.append(pool.submit(other.exchange, note))
    of_luis, of_toni, of_other = (each.result(60) for each in given)
    assert asked == [3]
    assert refs(of_luis) == {"crew:1": {mine, moved}, f"user:{person(engine, 'luis@city.test')}": set()}
    assert refs(of_toni) == {"crew:2": {his}, f"user:{person(engine, 'toni@city.test')}": set()}
    assert refs(of_other)["crew:1"] == {mine}  # it has heard of the other one already
    assert [gone["ref"] for gone in of_toni["changes"]["crew:2"]["gone"]] == [moved]
    again = luis.exchange(cursors={})["changes"]["crew:1"]["set"]
    told = {job["ref"]: job for job in of_luis["changes"]["crew:1"]["set"]}
    assert told == {job["ref"]: job for job in again}  # as one who asks alone is told


def test_many_are_told_what_each_alone_would_hear(engine: Engine, luis: Phone, clock: Clock) -> None:
    """Readers who have read different parts of the same scopes, with different limits; some begin anew."""
    numbers = {crew: [make_lamp(engine, clock, crew) for _ in range(4)] for crew in ("Lights 1", "Lights 2")}
    dispatch(
        engine, numbers["Lights 2"][0], transitions.assign, clock, crew="Lights 1"
    )  # gone from the other
    with read_session(engine) as s:
        seqs = list(
            s.scalars(select(SyncFeedRow.seq).where(SyncFeedRow.scope == "crew:1").order_by(SyncFeedRow.seq))
        )
        now = s.scalar(select(ClockRow.n)) or 0
        readers = [
            pull.Reader(
                [*scopes, f"user:{person(engine, 'luis@city.test')}"],
                {scope: cursor for scope in scopes if cursor},
                limit,
            )
            for scopes in (["crew:1"], ["crew:2"], ["crew:1", "crew:2"], ["crew:2", "crew:9"])
            for cursor, limit in ((0, 2), (0, 250), (seqs[0], 2), (seqs[1], 250), (now, 250))
        ]
        with statements(engine) as sent:
            told = pull.changes(s, readers, now=now, at=clock())
        assert sum("feed" in each for each in sent) == 1
        assert told == [pull.changes(s, [reader], now=now, at=clock())[0] for reader in readers]
    heard = [news for of_one in told for news in of_one.values()]
    assert {len(news["set"]) for news in heard} >= {0, 2, 5}
    assert any(news["more"] for news in heard)
    assert any(news["gone"] for news in heard)


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


@pytest.mark.parametrize("limits", [(1, 1), (1, 2), (3, 2), (4, 40)])
def test_of_each_scope_the_first_rows_are_read(engine: Engine, limits: tuple[int, int]) -> None:
    with transaction(engine) as s:
        rows = feed(s, 40, 4)
        readers = [
            pull.Reader(["crew:0", "crew:3"], {"crew:0": 9}, limits[0]),
            pull.Reader(["crew:1", "crew:3", "crew:9"], {"crew:1": 38, "crew:3": 12, "crew:9": 1}, limits[1]),
        ]
        found = pull._rows(s, readers, 36)
    for reader, of_one in zip(readers, found, strict=True):
        assert list(of_one) == list(reader.scopes)
        for scope, told in of_one.items():
            cursor = reader.cursors.get(scope, 0)
            wanted = [
                (row.seq, row.kind, row.ref, row.present, row.why)
                for row in rows
                if row.scope == scope and cursor < row.seq <= 36 and (row.present or cursor)
            ]
            assert [(row.seq, row.kind, row.ref, bool(row.present), row.why) for row in told] == wanted[
                : max(limits) + 1
            ]


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


def test_where_nobody_listens_nothing_is_read(engine: Engine, clock: Clock) -> None:
    with read_session(engine) as s, statements(engine) as sent:
        assert pull.changes(s, [], now=0, at=clock()) == []
        assert expected_photos.wanted(s, []) == {}
    assert not [each for each in sent if "feed" in each or "declared" in each]


def test_who_is_shut_out_meanwhile_hears_no_more_and_the_others_do(
    app: Flask, engine: Engine, settings: Settings, luis: Phone, toni: Phone, clock: Clock,
    asked: list[int], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    numbers = [make_lamp(engine, clock, crew) for crew in ("Lights 2", "Lights 1")]
    ops = [phone.op("start", phone.job(n)) for phone, n in zip((luis, toni), numbers, strict=True)]
    here = app.extensions["cityline"].engine

    def tell(s: Session, visits: Sequence[routes.Visit]) -> list[dict[str, Any]]:
        with transaction(engine) as other:  # `s` has read nothing yet: its moment comes after this
            devices.revoke(other, settings.var, other.get_one(Device, luis.device), by=DANA, at=clock())
        return routes._told_anew(s, visits)

    shared = group_commit.Shared(routes._taking, tell)
    monkeypatch.setattr(routes, "TAKE_AND_TELL", shared)
    del asked[:]
    with waiting(here, shared, 2) as (pool, _):
        given = [pool.submit(luis.exchange, ops[0]), pool.submit(toni.exchange, ops[1])]
    of_luis, of_toni = (each.result(60) for each in given)
    assert asked == [2]
    assert (of_luis["auth"], of_luis["changes"]) == ("revoked", {})
    assert [of_luis["results"][0]["result"], of_toni["results"][0]["result"]] == ["applied", "applied"]
    assert refs(of_toni)["crew:2"] == {numbers[1]}
    with transaction(engine) as s:
        assert case_of(s, numbers[0]).state == "underway"


def giving_back(_s: Session, asked: Sequence[Any]) -> list[Callable[[], Any]]:
    """The work of each is to give back what it asked."""
    return [partial(str, each) for each in asked]


def test_a_telling_that_fails_spoils_nobody_elses_and_no_work_is_done_again(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def begin(_s: Session, asked: Sequence[str]) -> list[Callable[[], None]]:
        return [partial(done.append, word) for word in asked]

    def tell(_s: Session, asked: Sequence[str]) -> list[str]:
        if "bad" in asked:
            raise ValueError(asked)
        return [word.upper() for word in asked]

    shared = group_commit.Shared(begin, tell)
    with waiting(engine, shared, 3) as (pool, _):
        given = [pool.submit(do, engine, shared, word) for word in ("a", "bad", "b")]
    assert [given[0].result(60), given[2].result(60)] == [(None, "A"), (None, "B")]
    with pytest.raises(ValueError, match="bad"):
        given[1].result(60)
    assert sorted(done) == ["a", "b", "bad"]
    assert [record.getMessage() for record in caplog.records] == [
        "3 requests answered one by one: ValueError"
    ]


def test_where_an_answer_is_missing_nobody_is_given_anothers(engine: Engine) -> None:
    def tell(_s: Session, asked: Sequence[str]) -> Sequence[str]:
        return asked[1:] if len(asked) > 1 else asked

    shared = group_commit.Shared(giving_back, tell)
    with waiting(engine, shared, 3) as (pool, _):
        given = [pool.submit(do, engine, shared, word) for word in "abc"]
    assert [each.result(60) for each in given] == [(word, word) for word in "abc"]


def test_whoever_comes_is_told_what_was_written_before(engine: Engine) -> None:
    """Also where others were being told when they came."""
    tells, may_end = threading.Event(), threading.Event()

    def tell(s: Session, asked: Sequence[str]) -> list[int]:
        n = s.scalar(select(ClockRow.n)) or 0
        if "slow" in asked:
            tells.set()
            assert may_end.wait(60)
        return [n] * len(asked)

    shared = group_commit.Shared(giving_back, tell)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(do, engine, shared, "slow")
        assert tells.wait(60)
        with transaction(engine) as s:
            clock = s.get_one(ClockRow, 1, with_for_update=True)
            clock.n = written = clock.n + 7
        late = pool.submit(do, engine, shared, "late")
        until_so_many_wait(group_commit._queue(engine, shared), 1)
        may_end.set()
        assert slow.result(60) == ("slow", written - 7)
        assert late.result(60) == ("late", written)


def test_no_more_share_than_one_phone_may_bring(engine: Engine) -> None:
    seen: list[int] = []

    def tell(_s: Session, asked: Sequence[int]) -> Sequence[int]:
        seen.append(len(asked))
        return asked

    shared, many = group_commit.Shared(giving_back, tell), range(group_commit.MOST + 2)
    with waiting(engine, shared, len(many)) as (pool, _):
        given = [pool.submit(do, engine, shared, n) for n in many]
    assert [each.result(60) for each in given] == [(str(n), n) for n in many]
    assert seen == [group_commit.MOST, 2]


class Stop(BaseException):
    """What is no Exception passes through everywhere."""


@pytest.mark.parametrize("where", ["before any is taken", "while they begin", "while they are told"])
def test_nobody_waits_for_ever_for_a_leader_who_ended_badly(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Those who shared with it and those who came after it are served."""
    leads, may_end, transact = threading.Event(), threading.Event(), group_commit.transaction

    def stop(here: str) -> None:
        if where == here and not leads.is_set():
            leads.set()
            assert may_end.wait(60)
            raise Stop

    def transacting(engine: Engine) -> Any:
        stop("before any is taken")
        return transact(engine)

    def begin(s: Session, asked: Sequence[int]) -> list[Callable[[], Any]]:
        stop("while they begin")
        return giving_back(s, asked)

    def tell(_s: Session, asked: Sequence[int]) -> Sequence[int]:
        stop("while they are told")
        return asked

    monkeypatch.setattr(group_commit, "transaction", transacting)
    shared = group_commit.Shared(begin, tell)
    with waiting(engine, shared, 2) as (pool, queue):
        first = pool.submit(do, engine, shared, 0)
        until_so_many_wait(queue, 1)
        second = pool.submit(do, engine, shared, 1)
    assert leads.wait(60)
    later = ThreadPoolExecutor(1).submit(do, engine, shared, 2)
    until_so_many_wait(queue, 3 if where == "before any is taken" else 1)
    may_end.set()
    with pytest.raises(Stop):
        first.result(60)
    assert [second.result(60), later.result(60)] == [("1", 1), ("2", 2)]
    assert ThreadPoolExecutor(1).submit(do, engine, shared, 3).result(60) == ("3", 3)


def test_who_signs_in_keeps_the_session_though_the_telling_fails(
    engine: Engine, luis: Phone, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its work is done by then: the next try must not begin another session."""
    job = luis.job(make_lamp(engine, clock))
    with luis.http.session_transaction() as session:
        session.pop("login")
    with monkeypatch.context() as patched:
        patched.setattr(routes, "_answers", lambda *_given: 1 / 0)
        luis.http.application.config["PROPAGATE_EXCEPTIONS"] = False
        assert luis.post(luis.body(luis.op("start", job))).status_code == 500
    with luis.http.session_transaction() as session:
        login = session["login"]
    assert luis.exchange()["auth"] == "ok"
    with luis.http.session_transaction() as session:
        assert session["login"] == login


def test_two_tabs_that_bring_the_same_work_in_one_transaction(
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
    here = app.extensions["cityline"].engine
    with waiting(here, routes.TAKE_AND_TELL, 2) as (pool, _):
        given = [pool.submit(tab.post, "/sync/v1/exchange", json=luis.body(op), headers=OURS) for tab in tabs]
    answers = [each.result(60).json for each in given]
    assert [answer["results"] for answer in answers] == [[{"id": op["id"], "result": "applied"}]] * 2
    with transaction(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 1
        assert [event.kind for event, _ in story(s, op["case"])].count("close") == 1
    assert luis.exchange()["auth"] == "ok"


def test_a_phone_that_is_refused_spoils_nothing_for_those_who_share_its_transaction(
    app: Flask, engine: Engine, luis: Phone, toni: Phone, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [make_lamp(engine, clock, crew) for crew in ("Lights 2", "Lights 1")]
    ops = [
        phone.op("close", phone.job(number), outcome="not found")
        for phone, number in zip((luis, toni), numbers, strict=True)
    ]
    bad = luis.op("close", {"ref": "no number", "cycle": 1, "version": 1}, outcome="not found")
    monkeypatch.setattr(push, "QUARANTINE_ROWS", 0)
    other = Phone(app, clock, person(engine, "luis@city.test"))
    here = app.extensions["cityline"].engine
    with waiting(here, routes.TAKE_AND_TELL, 3) as (pool, _):
        refused = pool.submit(other.post, other.body(ops[0] | {"id": bad["id"]}, bad | {"n": 9}))
        taken = [pool.submit(luis.exchange, ops[0]), pool.submit(toni.exchange, ops[1])]
    assert refused.result(60).status_code == 429
    results = [each.result(60)["results"][0]["result"] for each in taken]
    assert results == ["applied", "applied"]


@pytest.mark.parametrize("closing_first", [True, False])
def test_two_phones_of_one_person_follow_on_each_other_in_one_transaction(
    app: Flask, engine: Engine, luis: Phone, clock: Clock, closing_first: bool
) -> None:
    number, other = make_lamp(engine, clock), Phone(app, clock, person(engine, "luis@city.test"))
    start = luis.op("start", luis.job(number))
    close = other.op("close", other.job(number), outcome="not found", prev=start["id"])
    both = [(luis, start), (other, close)]
    here = app.extensions["cityline"].engine
    with waiting(here, routes.TAKE_AND_TELL, 2) as (pool, queue):
        given = []
        for count, (phone, op) in enumerate(reversed(both) if closing_first else both, 1):
            given.append(pool.submit(phone.exchange, op))
            until_so_many_wait(queue, count)
    results = [each.result(60)["results"][0]["result"] for each in given]
    assert results == (["held", "applied"] if closing_first else ["applied", "applied"])
    with read_session(engine) as s:
        assert [event.kind for event, _ in story(s, number)][-2:] == ["start", "close"]
        assert (events.verify(s), board_index.differences(s)) == ([], [])


def test_a_bug_spoils_one_operation_of_all_that_share(
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
    here = app.extensions["cityline"].engine
    with waiting(here, routes.TAKE_AND_TELL, 2) as (pool, _):
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


def test_two_people_under_one_id_in_one_transaction(
    app: Flask, engine: Engine, luis: Phone, toni: Phone, clock: Clock
) -> None:
    """As when a phone was copied and given to somebody else."""
    numbers = [make_lamp(engine, clock, crew) for crew in ("Lights 2", "Lights 1")]
    mine = luis.op("close", luis.job(numbers[0]), outcome="not found")
    his = toni.op("close", toni.job(numbers[1]), outcome="not found") | {"id": mine["id"]}
    here = app.extensions["cityline"].engine
    with waiting(here, routes.TAKE_AND_TELL, 2) as (pool, _):
        given = [pool.submit(luis.exchange, mine), pool.submit(toni.exchange, his)]
    told = {
        (each.result(60)["results"][0]["result"], each.result(60)["results"][0].get("why")) for each in given
    }
    assert told == {("applied", None), ("quarantined", "another_body")}
    with read_session(engine) as s:
        assert sorted(case_of(s, number).state for number in numbers) == ["assigned", "closed"]
        assert (events.verify(s), board_index.differences(s)) == ([], [])
