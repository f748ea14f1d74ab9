"""A crew's phone and the city: each intention once, by the same verbs, with a result that names it."""

import gzip
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import counted
from flask import Flask
from phones import (
    DANA,
    OURS,
    Clock,
    Phone,
    case_of,
    crew_named,
    declare,
    dispatch,
    make_lamp,
    person,
    picture,
    story,
)
from pictures import encoded, quarters
from sqlalchemy import Engine, func, select

from city.audit import epochs, events
from city.cases import queries, sla, transitions
from city.cases.transitions import Closing
from city.db.engine import read_session, transaction
from city.db.models import Case, Device, Epoch, Person, Photo, Report, Service, SyncOperation
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake
from city.settings import Settings
from sync import devices, merge, operations, push
from sync.protocol import TYPES

pytestmark = pytest.mark.both_databases


def test_a_closing_ends_in_the_verb_with_its_evidence(engine: Engine, luis: Phone, lamp: str) -> None:
    photo = luis.upload(picture())
    answer = luis.exchange(
        luis.op("close", luis.job(lamp), outcome="fixed", words="New driver.", photos=[photo])
    )
    assert [r["result"] for r in answer["results"]] == ["applied"]
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert (case.state, case.outcome) == ("closed", "fixed")
        assert case.closures[-1].words == "New driver."
        proof = s.scalars(select(Photo).where(Photo.id.in_(queries.evidence(s, case, 1)))).one()
        assert proof.stored_at is not None
        assert proof.upload_sha256 == photo["sha256"]
        assert events.verify(s) == []


def test_the_closed_job_comes_back_as_done(luis: Phone, lamp: str) -> None:
    answer = luis.exchange(luis.op("close", luis.job(lamp), outcome="not found"))
    [job] = [job for news in answer["changes"].values() for job in news["set"]]
    assert job["state"] == "closed"
    assert job["done"]["outcome"] == "not found"


def test_the_device_tells_when_the_work_was_done(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not ours")
    done_at = clock()
    clock.tick(hours=5)
    luis.exchange(op)
    with read_session(engine) as s:
        assert case_of(s, lamp).closures[-1].done_at == done_at


def test_a_replay_returns_the_stored_result_and_changes_nothing(
    engine: Engine, luis: Phone, lamp: str
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="dark")
    first = luis.exchange(op)["results"]
    with read_session(engine) as s:
        before = case_of(s, lamp).version, s.scalar(select(func.count()).select_from(SyncOperation))
    assert luis.exchange(op)["results"] == first
    with read_session(engine) as s:
        assert (case_of(s, lamp).version, s.scalar(select(func.count()).select_from(SyncOperation))) == before


def test_another_body_under_the_same_id_is_set_aside(engine: Engine, luis: Phone, lamp: str) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="dark")
    luis.exchange(op)
    forged = op | {"data": {"outcome": "not ours"}}
    for _ in range(2):
        [told] = luis.exchange(forged)["results"]
        assert (told["id"], told["result"], told["why"]) == (op["id"], "quarantined", "another_body")
    with read_session(engine) as s:
        rows = list(s.scalars(select(SyncOperation).order_by(SyncOperation.raw.is_(None).desc())))
        assert [row.raw is None for row in rows] == [True, False]
        assert rows[1].id != op["id"]
        assert case_of(s, lamp).outcome == "fixed"


def test_a_job_given_away_but_not_begun_counts_as_done_by_whoever_did_it(
    engine: Engine, luis: Phone, toni: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="unsafe")
    dispatch(engine, lamp, transitions.assign, clock, crew="Lights 1")
    toni.exchange()
    [told] = luis.exchange(op)["results"]
    assert (told["result"], told["why"]) == ("applied", "reassigned")
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert case.state == "closed"
        assert case.closures[-1].crew_id == crew_named(s, "Lights 2").id
        assert case.assignments[-1].ended_why == "withdrawn"
        assert case.review == "reassigned"
    gone = [row for news in toni.exchange()["changes"].values() for row in news["gone"]]
    assert gone == [{"kind": "job", "ref": lamp, "why": "withdrawn"}]


def test_a_job_given_away_and_begun_stays_with_the_other_crew(
    engine: Engine, luis: Phone, toni: Phone, lamp: str, clock: Clock
) -> None:
    photo = luis.upload(picture())
    op = luis.op("close", luis.job(lamp), outcome="fixed", photos=[photo])
    dispatch(engine, lamp, transitions.assign, clock, crew="Lights 1")
    toni.exchange(toni.op("start", toni.job(lamp)))
    [told] = luis.exchange(op)["results"]
    assert (told["result"], told["why"]) == ("recorded", "reassigned")
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert (case.state, case.review) == ("underway", "reassigned")
        assert s.scalars(select(Photo.case_id)).one() == case.id


def test_a_reassigned_job_leaves_the_phone(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    luis.exchange()
    dispatch(engine, lamp, transitions.assign, clock, crew="Lights 1")
    [news] = [news for news in luis.exchange()["changes"].values() if news["gone"]]
    assert news == {
        "set": [],
        "gone": [{"kind": "job", "ref": lamp, "why": "reassigned"}],
        "to": news["to"],
        "more": False,
    }


def test_an_operation_without_a_job_of_the_crew_is_only_recorded(
    engine: Engine, luis: Phone, lamp: str
) -> None:
    told = luis.op("close", luis.job(lamp) | {"assignment": None}, outcome="fixed", no_photo="dark")
    [answer] = luis.exchange(told)["results"]
    assert (answer["result"], answer["why"]) == ("recorded", "not_your_job")
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"


def test_work_on_another_crews_job_waits_for_a_supervisor(
    engine: Engine, luis: Phone, toni: Phone, lamp: str
) -> None:
    first = toni.op("start", luis.job(lamp))
    second = toni.op("close", luis.job(lamp), outcome="not ours", prev=first["id"])
    results = toni.exchange(first, second)["results"]
    assert [(r["result"], r["why"]) for r in results] == [("deposited", "author")] * 2
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"
        assert {row.review for row in s.scalars(select(SyncOperation))} == {"author"}


def test_work_on_an_erased_case_leaves_a_line_and_a_mark(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op(
        "close", luis.job(lamp), outcome="fixed", words="Mrs Doe's gate.", photos=[declare(picture())]
    )
    with transaction(engine) as s:
        case = case_of(s, lamp)
        case.reports.append(
            Report(
                number=f"{lamp}-A", key="k", service_code="light-out", channel="web", lang="en", words="",
                answers={}, place_source="unknown", taken_at=clock(), erased_at=clock(),
            )
        )  # fmt: skip
    dispatch(engine, lamp, transitions.cancel, clock, reason="withdrawn")
    op["data"]["no_photo"] = "Mrs Doe said no"  # not even the quarantine may hold on to it
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "recorded", "why": "erased"}]
    with read_session(engine) as s:
        assert (case_of(s, lamp).review, s.get_one(SyncOperation, op["id"]).raw) == ("erased", None)
        event, words = story(s, lamp)[-1]
        assert (event.kind, event.facts["what"], event.photos, words) == ("recorded", "close", [], {})


def test_a_closing_after_the_job_was_taken_back_says_so(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="unsafe")
    dispatch(engine, lamp, transitions.unassign, clock)
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "applied", "why": "unassigned"}]
    with read_session(engine) as s:
        assert (case_of(s, lamp).state, case_of(s, lamp).review) == ("closed", "unassigned")


def test_what_was_done_already_adds_its_words_and_photos(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    dispatch(engine, lamp, transitions.wait, clock, reason="utility")
    bare = luis.op("wait", job, reason="utility")
    op = luis.op("wait", job, reason="utility", words="Cable is live.", photos=[luis.upload(picture())])
    assert luis.exchange(bare, op)["results"] == [
        {"id": bare["id"], "result": "applied"},
        {"id": op["id"], "result": "merged", "why": "done"},
    ]
    with read_session(engine) as s:
        event, words = story(s, lamp)[-1]
        assert (event.kind, event.facts["reason"]) == ("recorded", "utility")
        assert words == {"words": "Cable is live."}
        assert s.scalars(select(Photo.case_id)).one() == case_of(s, lamp).id


def test_a_wait_for_something_else_is_recorded(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    job = luis.job(lamp)
    dispatch(engine, lamp, transitions.wait, clock, reason="utility")
    op = luis.op("wait", job, reason="weather")
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "recorded", "why": "step_back"}]
    with read_session(engine) as s:
        assert case_of(s, lamp).review == "step_back"
        assert story(s, lamp)[-1][0].facts["reason"] == "weather"


@pytest.mark.parametrize("t", ["wait", "needs_parts"])
def test_a_crew_that_cannot_go_on_at_a_danger_is_heard_and_keeps_the_job(
    engine: Engine, luis: Phone, lamp: str, t: str
) -> None:
    with transaction(engine) as s:
        sla.escalate_urgent(case_of(s, lamp), case_of(s, lamp).opened_at)
    more = {"reason": "utility"} if t == "wait" else {}
    op = luis.op(t, luis.job(lamp), words="Cable is live.", photos=[luis.upload(picture())], **more)
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "recorded", "why": "danger"}]
    assert luis.job(lamp)["state"] == "assigned"
    with read_session(engine) as s:
        case = case_of(s, lamp)
        event, words = story(s, lamp)[-1]
        assert (case.state, case.review) == ("assigned", "danger")
        assert (event.kind, event.facts["what"], event.facts.get("reason")) == (
            "recorded",
            t,
            more.get("reason"),
        )
        assert words == {"words": "Cable is live."}
        assert s.scalars(select(Photo.case_id)).one() == case.id


def test_a_phone_hears_that_a_job_was_late_when_it_was_put_to_wait(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.job(lamp)
    with transaction(engine) as s:
        case = case_of(s, lamp)
        transitions.wait(s, case, "utility", by=DANA, at=case.due_at + timedelta(hours=1))
    assert luis.job(lamp)["late"] is True


@pytest.mark.parametrize("t", ["start", "pause", "resume", "wait", "note", "photo"])
def test_every_operation_keeps_its_words_and_photos(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, t: str
) -> None:
    before = {"pause": transitions.start, "resume": transitions.wait}.get(t)
    if before:
        with transaction(engine) as s:
            by = accounts.actor(s.get_one(Person, person(engine, "luis@city.test")))
            before(s, case_of(s, lamp), *(["parts"] if t == "resume" else []), by=by, at=clock())
    more = {"reason": "parts"} if t == "wait" else {}
    op = luis.op(t, luis.job(lamp), words="Mind the dog.", photos=[luis.upload(picture())], **more)
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "applied"}]
    with read_session(engine) as s:
        assert "Mind the dog." in [text for _, words in story(s, lamp) for text in words.values()]
        assert s.scalars(select(Photo.case_id)).one() == case_of(s, lamp).id


@pytest.mark.parametrize("t", ["close", "start", "note"])
def test_words_are_never_cut(engine: Engine, luis: Phone, lamp: str, t: str) -> None:
    job = luis.job(lamp)
    whole = "a" * 3_999 + "b"
    long = luis.op(t, job, words=whole + "!", **({"outcome": "not found"} if t == "close" else {}))
    fits = luis.op("note", job, words=whole)
    answer = luis.exchange(long, fits)
    assert [(r["result"], r.get("why")) for r in answer["results"]] == [
        ("quarantined", "words_too_long"),
        ("applied", None),
    ]
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"
        assert whole + "!" in (s.get_one(SyncOperation, long["id"]).raw or "")
        assert story(s, lamp)[-1][1] == {"note": whole}


@pytest.mark.parametrize(
    ("t", "data", "why"),
    [
        ("note", {"words": 311}, "malformed"),
        ("time", {"minutes": "an hour"}, "malformed"),
        ("time", {}, "malformed"),
        ("photo", {"outcome": "Mrs Doe was rude"}, "unknown_value"),
    ],
)
def test_what_cannot_be_kept_as_it_was_meant_is_set_aside(
    engine: Engine, luis: Phone, lamp: str, t: str, data: dict[str, Any], why: str
) -> None:
    op = luis.op(t, luis.job(lamp), **data)
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "quarantined", "why": why}]
    with read_session(engine) as s:
        assert s.get_one(SyncOperation, op["id"]).raw
        assert story(s, lamp)[-1][0].kind == "assign"


def test_minutes_are_added(engine: Engine, luis: Phone, lamp: str) -> None:
    op = luis.op("time", luis.job(lamp), minutes=40)
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "applied"}]
    with read_session(engine) as s:
        assert story(s, lamp)[-1][0].facts["minutes"] == 40


def test_work_on_a_cancelled_case_is_kept(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="dark")
    dispatch(engine, lamp, transitions.cancel, clock, reason="test")
    [told] = luis.exchange(op)["results"]
    assert (told["result"], told["why"]) == ("recorded", "cancelled")
    with read_session(engine) as s:
        assert (case_of(s, lamp).state, case_of(s, lamp).review) == ("cancelled", "cancelled")


def test_a_closing_after_the_dispatcher_s_is_looked_at(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", photos=[luis.upload(picture())])
    dispatch(
        engine,
        lamp,
        transitions.close,
        clock,
        closing=Closing("no action", words="Double entry, closed at the desk."),
    )
    [told] = luis.exchange(op)["results"]
    assert (told["result"], told["why"]) == ("recorded", "closed")
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert (case.state, case.outcome, case.review) == ("closed", "no action", "closed")
        assert s.get_one(SyncOperation, op["id"]).review == "closed"


def test_work_on_a_merged_case_goes_to_its_root(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    root = make_lamp(engine, clock)
    op = luis.op("close", luis.job(lamp), outcome="fixed", photos=[luis.upload(picture())])
    dispatch(engine, lamp, transitions.merge, clock, into=root)
    [told] = luis.exchange(op)["results"]
    assert (told["result"], told["why"], told["to"]) == ("recorded", "merged", root)
    with read_session(engine) as s:
        assert s.scalars(select(Photo.case_id)).one() == case_of(s, root).id
        assert case_of(s, root).state == "assigned"


def test_a_closing_of_an_earlier_cycle_closes_nothing(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    dispatch(engine, lamp, transitions.close, clock, closing=Closing("no action"))
    dispatch(engine, lamp, transitions.reopen, clock)
    dispatch(engine, lamp, transitions.assign, clock, crew="Lights 2")
    [told] = luis.exchange(luis.op("close", job, outcome="fixed", no_photo="dark"))["results"]
    assert (told["result"], told["why"]) == ("recorded", "reopened")
    with read_session(engine) as s:
        assert (case_of(s, lamp).state, case_of(s, lamp).cycle) == ("assigned", 2)


def test_the_crews_other_phone_adds_its_facts(
    app: Flask, engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    other = Phone(app, clock, person(engine, "luis@city.test"))
    job = luis.job(lamp)
    luis.exchange(luis.op("close", job, outcome="fixed", no_photo="dark"))
    [told] = other.exchange(other.op("close", job, outcome="fixed", photos=[other.upload(picture())]))[
        "results"
    ]
    assert told["result"] == "merged"
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert len(case.closures) == 1
        assert len(queries.evidence(s, case, 1)) == 1
        assert case.review is None


def test_start_pause_note_and_parts(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    start = luis.op("start", job)
    ops = [
        start,
        luis.op("note", job, words="Ladder needed.", prev=start["id"]),
        luis.op("pause", job),
        luis.op("start", job),
        luis.op("needs_parts", job, words="Driver 40 W."),
    ]
    answer = luis.exchange(*reversed(ops))
    assert {r["result"] for r in answer["results"]} == {"applied"}
    with read_session(engine) as s:
        story = [(event.kind, event.now) for event, _ in events.of(s, f"case:{case_of(s, lamp).id}")]
        assert story[-5:] == [
            ("start", "underway"),
            ("note", None),
            ("pause", "assigned"),
            ("start", "underway"),
            ("needs parts", "waiting"),
        ]


def test_a_step_backwards_is_only_recorded(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    dispatch(engine, lamp, transitions.wait, clock, reason="utility")
    [told] = luis.exchange(luis.op("start", luis.job(lamp)))["results"]
    assert (told["result"], told["why"]) == ("recorded", "step_back")
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "waiting"


def test_an_operation_whose_predecessor_is_missing_is_held(luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    first = luis.op("start", job)
    second = luis.op("close", job, outcome="not found", prev=first["id"])
    assert luis.exchange(second)["results"] == [{"id": second["id"], "result": "held", "why": "prev"}]
    assert [r["result"] for r in luis.exchange(first, second)["results"]] == ["applied", "applied"]


def test_a_photo_comes_in_pieces_and_is_checked(luis: Phone, engine: Engine) -> None:
    data = picture()
    declared = declare(data)
    url = f"/sync/v1/photos/{declared['id']}"
    assert luis.piece(declared, 0, data[:200]).headers["Upload-Complete"] == "?0"
    assert luis.http.head(url).headers["Upload-Offset"] == "200"
    wrong = luis.piece(declared, 100, data[100:])
    assert (wrong.status_code, wrong.headers["Upload-Offset"]) == (409, "200")
    done = luis.piece(declared, 200, data[200:])
    assert (done.status_code, done.headers["Upload-Complete"]) == (200, "?1")
    assert luis.http.head(url).headers["Upload-Complete"] == "?1"
    assert luis.piece(declared, 0, data[:10]).headers["Upload-Complete"] == "?1"
    with read_session(engine) as s:
        assert s.scalars(select(Photo.upload_sha256)).one() == declared["sha256"]


def test_bytes_that_hash_to_something_else_begin_again(luis: Phone) -> None:
    data = picture()
    declared = declare(data)
    wrong = luis.piece(declared, 0, data, sha="0" * 64)
    assert (wrong.status_code, wrong.json) == (422, {"error": "digest"})
    assert luis.http.head(f"/sync/v1/photos/{declared['id']}").headers["Upload-Offset"] == "0"


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_photo_that_the_phone_could_not_open_proves_a_closing_all_the_same(
    luis: Phone, engine: Engine, lamp: str, kind: str
) -> None:
    photo = luis.upload(encoded(quarters(), kind))
    luis.exchange(luis.op("close", luis.job(lamp), outcome="fixed", photos=[photo]))
    with read_session(engine) as s:
        proof = s.scalars(select(Photo)).one()
        assert proof.upload_sha256 == photo["sha256"]
        assert proof.closure_id is not None
        assert (proof.width, proof.height) == (600, 400)


def test_what_is_no_photo_is_refused(luis: Phone) -> None:
    data = b"GIF89a, they said"
    refused = luis.piece(declare(data), 0, data)
    assert (refused.status_code, refused.json) == (422, {"error": "not_a_photo"})


def test_a_photo_of_another_phone_is_nobodys(luis: Phone, toni: Phone) -> None:
    declared = luis.upload(picture())
    assert toni.http.head(f"/sync/v1/photos/{declared['id']}").headers["Upload-Offset"] == "0"


def test_a_bug_spoils_one_operation_only(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_lamp(engine, clock)
    bad, good = (
        luis.op("start", luis.job(lamp)),
        luis.op("close", luis.job(other), outcome="not found"),
    )

    def broken(s: Any, case: Case, **told: Any) -> bool:
        transitions.note(s, case, "half done", by=told["by"], at=told["at"])
        raise ZeroDivisionError

    monkeypatch.setattr(operations.transitions, "start", broken)
    answer = luis.exchange(bad, good)
    assert [(r["result"], r.get("why")) for r in answer["results"]] == [
        ("quarantined", "fault"),
        ("applied", None),
    ]
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"
        assert "note" not in [event.kind for event, _ in events.of(s, f"case:{case_of(s, lamp).id}")]
        assert s.get_one(SyncOperation, bad["id"]).raw
        assert events.verify(s) == []


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"t": "explode"}, "unknown_type"),
        ({"v": 0}, "too_old"),
        ({"device_time": "yesterday"}, "malformed"),
        ({"data": {"words": "x" * 40_000}}, "too_large"),
        ({"case": "26-999999"}, "unknown_case"),
        ({"data": {"outcome": "exploded"}}, "unknown_value"),
        ({"data": {"outcome": "fixed"}}, "evidence_missing"),
    ],
)
def test_an_operation_that_cannot_be_read_is_kept_as_it_came(
    engine: Engine, luis: Phone, lamp: str, spoil: dict[str, Any], why: str
) -> None:
    job = luis.job(lamp)
    bad, good = luis.op("close", job, outcome="not ours") | spoil, luis.op("note", job, words="Dark.")
    answer = luis.exchange(bad, good)
    assert [(r["id"], r["result"], r.get("why")) for r in answer["results"]] == [
        (bad["id"], "quarantined", why),
        (good["id"], "applied", None),
    ]
    with read_session(engine) as s:
        assert s.get_one(SyncOperation, bad["id"]).raw


def test_quarantine_has_an_end(luis: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "QUARANTINE_ROWS", 2)
    luis.exchange({"id": str(uuid.uuid4())}, {"id": str(uuid.uuid4())})
    full = luis.post(luis.body({"id": str(uuid.uuid4())}))
    assert (full.status_code, full.headers["Retry-After"]) == (429, "3600")
    assert luis.post(luis.body()).status_code == 200


def test_twins_leave_one_row_and_one_effect(app: Flask, engine: Engine, luis: Phone, lamp: str) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="dark")
    body = luis.body(op)
    cookie = luis.http.get_cookie("cl_device", path="/sync")
    session = luis.http.get_cookie("cl_session")
    assert cookie
    assert session

    def send(_n: int) -> Any:
        twin = app.test_client()
        twin.set_cookie("cl_device", cookie.value, path="/sync")
        twin.set_cookie("cl_session", session.value)
        return twin.post("/sync/v1/exchange", json=body, headers=OURS).json["results"]

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(send, range(8)))
    assert results == [[{"id": op["id"], "result": "applied"}]] * 8
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 1
        kinds = [event.kind for event, _ in events.of(s, f"case:{case_of(s, lamp).id}")]
        assert kinds.count("close") == 1


def test_without_a_session_nothing_is_told_and_nothing_lost(luis: Phone, lamp: str, clock: Clock) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found")
    clock.tick(days=40)
    answer = luis.exchange(op)
    assert (answer["auth"], answer["scopes"], answer["changes"]) == ("login", [], {})
    assert answer["results"] == [{"id": op["id"], "result": "deposited", "why": "login"}]


def test_nothing_is_sent_under_another_user(engine: Engine, luis: Phone, lamp: str) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found")
    luis.sign_in(person(engine, "toni@city.test"))
    assert luis.exchange(op)["auth"] == "login"
    luis.http.post("/sync/v1/device", headers=OURS)
    assert luis.exchange(op)["auth"] == "login"
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 0


def test_the_work_of_a_person_who_was_disabled_waits_for_a_supervisor(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found")
    with transaction(engine) as s:
        found = accounts.by_email(s, "luis@city.test")
        assert found
        found.disabled_at = clock()
    answer = luis.exchange(op)
    assert (answer["auth"], answer["changes"]) == ("disabled", {})
    assert answer["results"] == [{"id": op["id"], "result": "deposited", "why": "author"}]


def test_a_revoked_phone_hears_nothing_until_somebody_logs_in_on_it(
    engine: Engine, luis: Phone, clock: Clock, settings: Settings
) -> None:
    with transaction(engine) as s:
        assert devices.revoke(s, settings.var, s.get_one(Device, luis.device), by=DANA, at=clock())
    assert luis.exchange()["auth"] == "revoked"
    assert luis.http.post("/sync/v1/device", headers=OURS).status_code == 401
    luis.sign_in(person(engine, "luis@city.test"))
    assert luis.http.post("/sync/v1/device", headers=OURS).json["device"] != luis.device


def test_the_feed_tells_only_what_is_new(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    first = luis.exchange()
    scope = first["scopes"][0]
    assert [job["ref"] for job in first["changes"][scope]["set"]] == [lamp]
    assert luis.exchange()["changes"] == {}
    other = make_lamp(engine, clock)
    assert [job["ref"] for job in luis.exchange()["changes"][scope]["set"]] == [other]


def test_the_feed_comes_in_parts(engine: Engine, luis: Phone, clock: Clock) -> None:
    numbers = [make_lamp(engine, clock) for _ in range(5)]
    got, more = [], True
    while more:
        [news] = [n for scope, n in luis.exchange(limit=2)["changes"].items() if scope.startswith("crew")]
        got += [job["ref"] for job in news["set"]]
        more = news["more"]
    assert got == numbers


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_whoever_is_told_of_no_more_has_heard_of_all_crews(
    engine: Engine, luis: Phone, clock: Clock, limit: int
) -> None:
    with transaction(engine) as s:
        both = s.get_one(Person, person(engine, "luis@city.test"))
        both.crews.append(crew_named(s, "Lights 1"))
    numbers = {make_lamp(engine, clock, crew) for crew in ("Lights 1", "Lights 2") for _ in range(3)}
    heard, more = set[str](), True
    while more:
        news = luis.exchange(limit=limit)["changes"].values()
        told = [job["ref"] for each in news for job in each["set"]]
        assert len(told) <= limit
        heard |= set(told)
        more = any(each["more"] for each in news)
    assert heard == numbers


def test_a_job_says_what_the_crew_needs_and_nobodys_name(luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    assert {
        "kind", "ref", "title", "group", "address", "lat", "lon", "state", "assignment", "cycle", "version",
        "opened", "due", "risk",
    } == set(job)  # fmt: skip
    assert len(json.dumps(job)) <= 900


def test_a_job_on_the_meridian_keeps_its_place(engine: Engine, luis: Phone, lamp: str) -> None:
    with transaction(engine) as s:
        case_of(s, lamp).lon = 0.0
    assert luis.job(lamp)["lon"] == 0.0


def test_a_job_tells_what_people_said_in_the_citys_own_words(
    engine: Engine, luis: Phone, clock: Clock
) -> None:
    with transaction(engine) as s:
        service = s.get_one(Service, "pole-damaged")
        case = transitions.open_case(s, service, None, by=DANA, at=clock())
        case.reports.append(
            Report(
                number=f"{case.number}-A", key="k", service_code=service.code, channel="web", lang="es",
                words="Se cae.", answers={"blocked": "partly"}, place_source="unknown", taken_at=clock(),
            )
        )  # fmt: skip
        transitions.assign(s, case, crew_named(s, "Lights 2"), by=DANA, at=clock())
        number = case.number
    [telling] = luis.job(number)["told"]
    assert (telling["words"], telling["lang"]) == ("Se cae.", "es")
    assert [answer["en"] for answer in telling["answers"][0]] == ["Is the sidewalk blocked?", "Partly"]


def test_a_database_that_went_back_resets_the_phone(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.exchange()
    assert luis.exchange()["reset"] == []
    luis.cursors = dict.fromkeys(luis.cursors, 10_000)
    epochs.start_epoch(engine, clock.tick(minutes=1))
    answer = luis.exchange()
    assert answer["reset"] == answer["scopes"]
    luis.epoch = "never-heard-of"
    assert luis.exchange()["reset"] == answer["scopes"]


@pytest.mark.parametrize("how", ["bad", "held", "disabled", "revoked"])
def test_a_phone_can_tell_that_a_restore_lost_what_was_only_put_by(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, tmp_path: Path, how: str
) -> None:
    job = luis.job(lamp)
    kept = luis.exchange()["log"]  # the backup is made now
    told = {"prev": str(uuid.uuid4())} if how == "held" else {}
    op = luis.op("note", job, words="x", **told)
    with transaction(engine) as s:
        device = s.get_one(Device, luis.device)
        if how == "disabled":
            accounts.disable(s, s.get_one(Person, device.person_id), by=DANA, at=clock())
        if how == "revoked":
            devices.revoke(s, tmp_path, device, by=DANA, at=clock())
    answer = luis.exchange(op | ({"t": "dance"} if how == "bad" else {}))
    assert answer["results"][0]["result"] == {"bad": "quarantined", "held": "held"}.get(how, "deposited")
    assert answer["log"] > kept
    heard = {"epoch": answer["epoch"], "upto": answer["log"]}
    assert "back" not in luis.exchange(heard=heard)
    with transaction(engine) as s:  # and put back, which the server's start shows
        s.add(Epoch(id="again", first_seq=kept + 1, at=clock.tick(minutes=1)))
    answer = luis.exchange(heard=heard)
    assert answer["back"] == kept + 1
    heard = {"epoch": answer["epoch"], "upto": answer["log"]}
    assert "back" not in luis.exchange(heard=heard)


def test_new_work_waits_until_what_a_restore_lost_was_sent_again(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    answer = luis.exchange()
    with transaction(engine) as s:
        s.add(Epoch(id="again", first_seq=answer["log"], at=clock.tick(minutes=1)))
    op = luis.op("start", luis.job(lamp))
    heard = {"epoch": answer["epoch"], "upto": answer["log"]}
    assert luis.exchange(op, heard=heard)["results"] == [{"id": op["id"], "result": "retry", "why": "back"}]
    with read_session(engine) as s:
        assert s.get(SyncOperation, op["id"]) is None
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "applied"}]


def test_what_nobody_can_read_is_kept_once_although_the_phone_got_another_name(
    engine: Engine, luis: Phone, lamp: str
) -> None:
    op = luis.op("dance", luis.job(lamp))
    luis.exchange(op)
    luis.http.delete_cookie("cl_device", path="/sync")
    luis.device = luis.http.post("/sync/v1/device", headers=OURS).json["device"]
    assert luis.exchange(op)["results"] == [{"id": op["id"], "result": "quarantined", "why": "unknown_type"}]
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 1


def test_whom_the_city_does_not_know_it_does_not_tell_how_far_its_log_goes(luis: Phone) -> None:
    answer = luis.exchange(device=str(uuid.uuid4()))
    assert answer["auth"] == "login"
    assert "log" not in answer
    assert "back" not in answer


def test_an_ordinary_restart_resets_nothing(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    luis.exchange()
    epochs.start_epoch(engine, clock.tick(minutes=1))
    make_lamp(engine, clock)
    assert luis.exchange()["reset"] == []


def test_what_is_too_large_is_refused(luis: Phone) -> None:
    body = luis.body(release="x" * 300_000)
    assert luis.post(body).status_code == 413
    packed = gzip.compress(json.dumps(body).encode())
    headers = OURS | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert luis.http.post("/sync/v1/exchange", data=packed, headers=headers).status_code == 413
    assert luis.post(luis.body(*[{}] * 51)).status_code == 413


def test_a_packed_request_is_read(luis: Phone) -> None:
    body = luis.body()
    headers = OURS | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    packed = gzip.compress(json.dumps(body).encode())
    answer = luis.http.post("/sync/v1/exchange", data=packed, headers=headers)
    assert answer.json["nonce"] == body["nonce"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"X-Cityline": "1"},
        {"X-Cityline": "1", "Origin": "https://evil.example"},
        {"X-Cityline": "1", "Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_sites_may_not_write(luis: Phone, headers: dict[str, str]) -> None:
    assert luis.http.post("/sync/v1/exchange", json=luis.body(), headers=headers).status_code == 403
    assert luis.http.post("/sync/v1/device", headers=headers).status_code == 403


def test_only_json_is_an_exchange(luis: Phone) -> None:
    sent = luis.http.post("/sync/v1/exchange", data="{}", headers=OURS, content_type="text/plain")
    assert sent.status_code == 415
    for body in (b"[]", b"not json", b'{"protocol":2}', b'{"protocol":1}'):
        sent = luis.http.post("/sync/v1/exchange", data=body, headers=OURS, content_type="application/json")
        assert sent.status_code == 400


def test_the_token_is_kept_as_a_hash_and_out_of_reach(engine: Engine, luis: Phone) -> None:
    cookie = luis.http.get_cookie("cl_device", path="/sync")
    assert cookie
    assert (cookie.http_only, cookie.same_site, cookie.path) == (True, "Strict", "/sync")
    with read_session(engine) as s:
        assert cookie.value not in s.get_one(Device, luis.device).token_hash
    assert luis.http.post("/sync/v1/device", headers=OURS).json["device"] == luis.device


def test_one_closing_is_small(luis: Phone, lamp: str) -> None:
    luis.exchange()
    photo = luis.upload(picture())
    closing = luis.body(
        luis.op("close", luis.job(lamp), outcome="fixed", words="New driver.", photos=[photo])
    )
    assert sum(_on_the_wire(luis, closing)) <= 1_200
    luis.exchange()
    luis.exchange()
    assert sum(_on_the_wire(luis, luis.body())) <= 600


def _on_the_wire(phone: Phone, body: dict[str, Any]) -> tuple[int, int]:
    """Bytes up and down, both bodies compressed."""
    up = len(gzip.compress(json.dumps(body, separators=(",", ":")).encode()))
    return up, len(phone.post(body, **{"Accept-Encoding": "gzip"}).data)


def test_a_job_waits_until_the_crew_goes_on(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    dispatch(engine, lamp, transitions.wait, clock, reason="parts")
    job = luis.job(lamp)
    assert (job["state"], job["wait"]) == ("waiting", "parts")
    assert luis.exchange(luis.op("resume", job))["results"][0]["result"] == "applied"


def test_every_kind_of_work_has_a_row_in_the_table() -> None:
    assert set(merge.ASKS) | set(merge.FACTS) | {merge.PROPOSES, "report", "withdraw"} == set(TYPES)


def test_a_closed_job_stays_a_day(engine: Engine, luis: Phone, lamp: str, clock: Clock) -> None:
    luis.exchange(luis.op("close", luis.job(lamp), outcome="not found"))
    assert luis.job(lamp)["state"] == "closed"
    clock.at += timedelta(hours=25)
    answer = luis.exchange(cursors={})
    assert [job for news in answer["changes"].values() for job in news["set"]] == []


@pytest.mark.parametrize(
    "spoilt",
    [
        {"device_time": 5},
        {"device_time": None},
        {"device_time": "0001-01-01T00:00:00+14:00"},
        {"device_time": "9999-12-31T23:59:59-14:00"},
        {"accuracy": 10**400},
        {"data": {"outcome": "fixed", "no_photo": "dark", "words": "a\0b"}},
    ],
)
def test_nonsense_in_one_operation_holds_up_no_other(luis: Phone, lamp: str, spoilt: dict[str, Any]) -> None:
    job = luis.job(lamp)
    bad = luis.op("close", job, outcome="fixed", no_photo="dark") | spoilt
    answer = luis.exchange(bad, luis.op("note", job, words="Still here."))
    assert [r["result"] for r in answer["results"]] == ["quarantined", "applied"]


@pytest.mark.parametrize(
    "body", ["[" * 120_000, '{"a":' * 20_000, '{"protocol":1,"nonce":"' + "n" * 16 + '","ops":[' + "[" * 900]
)
def test_brackets_without_end_are_no_json(luis: Phone, body: str) -> None:
    answer = luis.http.post("/sync/v1/exchange", data=body, headers=OURS, content_type="application/json")
    assert answer.status_code == 400
    assert answer.is_json


def test_half_a_character_as_epoch_is_no_epoch(luis: Phone) -> None:
    body = json.dumps(luis.body() | {"epoch": "\ud800"})
    answer = luis.http.post("/sync/v1/exchange", data=body, headers=OURS, content_type="application/json")
    assert answer.status_code == 200


def test_what_becomes_of_a_closed_job_is_heard_by_the_crew_that_closed_it(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    luis.exchange(luis.op("close", luis.job(lamp), outcome="not found"))
    dispatch(engine, lamp, transitions.note, clock, words="Looked at it again.")
    [closed] = luis.exchange()["changes"]["crew:1"]["set"]
    assert closed["version"] == luis.job(lamp)["version"]
    other = make_lamp(engine, clock, "Lights 1")
    dispatch(engine, lamp, transitions.merge, clock, into=other)
    assert luis.exchange()["changes"]["crew:1"]["gone"] == [{"kind": "job", "ref": lamp, "why": "merged"}]


def test_what_was_erased_leaves_the_phones_of_the_crew(
    app: Flask, engine: Engine, settings: Settings, luis: Phone, clock: Clock
) -> None:
    with transaction(engine) as s:
        told = intake.NewReport(
            key="k" * 32, service_code="light-out", channel="web", words="By the house of Ana.",
            place=Place(39.6, -71.2, "address", "214 Tansy Street"),
        )  # fmt: skip
        report = intake.submit(s, told, at=clock(), token="t" * 32)
        transitions.assign(s, report.case, crew_named(s, "Lights 2"), by=DANA, at=clock.tick(minutes=1))
        number = report.case.number
    assert luis.job(number)["told"][0]["words"] == "By the house of Ana."
    luis.exchange()
    store = app.extensions["cityline"].store
    with transaction(engine) as s:
        for report in case_of(s, number).reports:
            intake.erase(s, report, store, settings.var, by=DANA, at=clock.tick(minutes=1))
    [job] = luis.exchange()["changes"]["crew:1"]["set"]
    assert "told" not in job


def test_an_exchange_asks_nothing_twice(app: Flask, engine: Engine, luis: Phone, clock: Clock) -> None:
    """Nor does a further closing, which writes its rows within a savepoint of its own."""
    jobs = [luis.job(make_lamp(engine, clock)) for _ in range(6)]
    closings = [luis.op("close", job, outcome="not found", words="Gone.") for job in jobs]
    luis.exchange()
    with counted(app) as idle:
        luis.exchange()
    with counted(app) as one:
        luis.exchange(closings[0])
    with counted(app) as five:
        luis.exchange(*closings[1:])
    asks = re.compile(r"SELECT (?!set_config\()")  # that one only says how PostgreSQL should go on
    asked = [[each for each in sent if asks.match(each)] for sent in (idle, one, five)]
    # Whatever closes asks once in which time zone its month is, and whether its crew is a partner. Whoever
    # brings work is found out under its lock, and once more before it is told. Five of them read the jobs,
    # however many those are.
    assert (len(asked[0]), len(asked[1]), len(asked[2])) == (6, 20, 20)
    assert len(set(asked[0])) == 6
    for of_one in asked[1:]:  # a phone is read again in the transaction that writes it, and after that
        again = {each for each in of_one if of_one.count(each) > 1}
        assert all("FROM devices" in each or "JOIN sessions" in each for each in again)
    wrote = [[each for each in sent if not each.startswith(("SELECT", "BEGIN"))] for sent in (one, five)]
    assert len(wrote[1]) - len(wrote[0]) == 4 * 7


def test_what_follows_on_itself_or_takes_itself_back_is_set_aside(luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    ops = [luis.op("note", job, words="x"), luis.op("note", job, words="x"), luis.op("withdraw", job)]
    ops[0]["prev"], ops[1]["case"], ops[2]["data"] = ops[0]["id"], ops[1]["id"], {"op": ops[2]["id"]}
    assert {(told["result"], told["why"]) for told in luis.exchange(*ops)["results"]} == {
        ("quarantined", "malformed")
    }
