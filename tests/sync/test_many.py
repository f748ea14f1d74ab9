"""Many at once, and what nobody should send: each intention once, a named result or a clear refusal."""

import gzip
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from phones import OURS, Clock, Phone, actor, case_of, declare, make_lamp, person, picture, story
from sqlalchemy import Engine, func, select

from city.audit import events
from city.db.engine import read_session
from city.db.models import Event, ExpectedPhoto, Photo, SyncOperation
from city.settings import Settings
from sync import expected_photos, protocol, push, uploads

pytestmark = pytest.mark.both_databases

THREADS, WORK, BATCH = 16, 500, 50


@pytest.mark.slow
def test_many_threads_that_replay_the_same_work_leave_each_effect_once(
    engine: Engine, luis: Phone, clock: Clock
) -> None:
    jobs = [luis.job(make_lamp(engine, clock)) for _ in range(10)]
    told = [luis.op("note", jobs[n % 10], words=f"note {n}") for n in range(WORK - 10)]
    told += [luis.op("close", job, outcome="not found") for job in jobs]
    ops = [protocol.reread(json.dumps(op)) for op in told]
    sender = push.Sender(luis.device, actor(engine, "luis@city.test"))
    batches = [ops[at : at + BATCH] for at in range(0, WORK, BATCH)]

    def replay(thread: int) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for batch in batches:
            while True:
                try:
                    work = partial(push.process, sender=sender, ops=batch, at=clock())
                    results += push.in_transaction(engine, work).results
                    break
                except push.Busy:  # as the phone does: it comes back
                    continue
        return results

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(replay, range(THREADS)))
    assert all(answer == answers[0] for answer in answers)
    assert {told["result"] for told in answers[0]} == {"applied"}
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == WORK
        kinds = dict(s.execute(select(Event.kind, func.count()).group_by(Event.kind)).all())
        assert (kinds["note"], kinds["close"]) == (WORK - 10, 10)
        assert events.verify(s) == []
        case = case_of(s, jobs[0]["ref"])
        notes = [words["note"] for event, words in story(s, case.number) if event.kind == "note"]
        assert notes == [f"note {n}" for n in range(0, WORK - 10, 10)]


def test_one_body_that_is_set_aside_many_times_at_once_lies_there_once(engine: Engine, luis: Phone) -> None:
    """A resident's phone has no row whose lock would let its requests go one by one."""
    told = luis.op("report", {"ref": "", "cycle": None, "version": None}, lat=10, lon=10)
    op = protocol.reread(json.dumps(told))
    sender = push.Sender(luis.device, actor(engine, "luis@city.test"))

    def send(_n: int) -> list[dict[str, Any]]:
        return push.push(engine, sender, [op], datetime.now(UTC)).results

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert all(answer == answers[0] for answer in answers), answers
    assert answers[0][0]["result"] == "quarantined"
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 1


def test_ten_thousand_operations_at_once_are_refused_whole(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    many = [luis.op("note", job, words=str(n)) for n in range(10_000)]
    refused = luis.post(luis.body(*many))
    assert (refused.status_code, refused.is_json) == (413, True)
    packed = gzip.compress(json.dumps(luis.body(*many)).encode())
    headers = OURS | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert luis.http.post("/sync/v1/exchange", data=packed, headers=headers).status_code == 413
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 0
    assert luis.exchange(*many[:50])["results"][0]["result"] == "applied"


@pytest.mark.parametrize("path", ["exchange", "enrol", "photos/00000000-0000-4000-8000-000000000311"])
def test_what_is_too_large_is_refused_before_it_is_read(luis: Phone, path: str) -> None:
    body = io.BytesIO(b"0" * 3_000_000)
    photo = {"Upload-Offset": "0", "Upload-Length": "3000000", "Repr-Digest": f"sha-256=:{'A' * 43}=:"}
    refused = luis.http.open(
        f"/sync/v1/{path}", method="PATCH" if "photos" in path else "POST", input_stream=body,
        headers=OURS | {"Content-Length": "3000000", "Content-Type": "application/json"} | photo,
    )  # fmt: skip
    assert refused.status_code == 413
    assert body.tell() == 0


def test_a_photo_that_becomes_whole_just_now_is_in_nobodys_way(luis: Phone, settings: Settings) -> None:
    whole = settings.var / "incoming" / luis.device / "whole.part"
    luis.piece(declare(picture()), 0, picture()[:9])
    whole.symlink_to("nowhere")  # it was listed, and cannot be looked at
    assert luis.upload(picture())
    assert uploads.sweep(settings.var, datetime.now(UTC) + timedelta(days=8)) == 1


def test_a_question_leaves_no_file(luis: Phone, settings: Settings) -> None:
    assert luis.piece(declare(picture()), 0, b"").status_code == 200
    assert luis.piece(declare(picture()), 9, picture()[9:]).status_code == 409
    assert list(settings.var.glob("incoming/*/*")) == []


def test_a_bomb_is_refused_before_it_is_unpacked(luis: Phone) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < protocol.MAX_BODY
    headers = OURS | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    refused = luis.http.post("/sync/v1/exchange", data=bomb, headers=headers)
    assert (refused.status_code, refused.json["error"]) == (413, "too_large")


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_cut_in_half_is_refused_and_nothing_of_it_is_done(
    engine: Engine, luis: Phone, lamp: str, packed: bool
) -> None:
    body = json.dumps(luis.body(luis.op("close", luis.job(lamp), outcome="not found"))).encode()
    headers = OURS | {"Content-Type": "application/json"}
    if packed:
        body, headers = gzip.compress(body), headers | {"Content-Encoding": "gzip"}
    refused = luis.http.post("/sync/v1/exchange", data=body[: len(body) // 2], headers=headers)
    assert (refused.status_code, refused.json["error"]) == (400, "encoding" if packed else "not_json")
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"


@pytest.mark.parametrize("forge", ["cookie", "signature", "body", "both"])
def test_a_forged_device_hears_nothing_and_does_nothing(
    app: Flask,
    engine: Engine,
    luis: Phone,
    toni: Phone,
    lamp: str,
    forge: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    op = toni.op("close", luis.job(lamp), outcome="not found")
    # It takes no lock by naming a case.
    monkeypatch.setattr(push, "in_transaction", lambda *_: pytest.fail("it began to write"))
    if forge != "body":
        made_up = "x" * 43 + ("." + "0" * 64 if forge == "signature" else "")
        toni.http.set_cookie("cl_device", made_up, path="/sync")
    if forge in ("body", "both"):
        toni.device = luis.device
    answer = toni.exchange(op)
    assert (answer["auth"], answer["scopes"], answer["changes"], answer["want"]) == ("login", [], {}, [])
    assert answer["results"] == [{"id": op["id"], "result": "retry", "why": "login"}]
    with read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 0


def test_a_crew_hears_nothing_of_another_crews_case(
    engine: Engine, luis: Phone, toni: Phone, lamp: str
) -> None:
    """Whatever it sends about it, and whatever cursors and scopes it names."""
    job = luis.job(lamp)
    scope = luis.exchange(cursors={})["scopes"][0]
    ops = [toni.op(t, job, outcome="not found", words="x") for t in ("start", "close", "note")]
    answer = toni.exchange(*ops, cursors={scope: 0, "user:1": 0})
    assert {told["result"] for told in answer["results"]} == {"deposited"}
    assert scope not in answer["scopes"]
    told = json.dumps(answer["changes"]) + json.dumps(answer["want"])
    assert lamp not in told
    assert "Tansy" not in told


def test_a_wrong_hash_begins_again_and_the_right_bytes_are_taken(luis: Phone, lamp: str) -> None:
    op = luis.op("photo", luis.job(lamp), photos=[declare(picture())])
    luis.exchange(op)
    wrong = picture(250).ljust(op["photos"][0]["bytes"], b"\0")[: op["photos"][0]["bytes"]]
    assert luis.piece(op["photos"][0], 0, wrong).json == {"error": "digest"}
    assert luis.exchange()["want"] == [op["photos"][0]["id"]]
    luis.upload(picture(), op["photos"][0]["id"])
    assert luis.exchange()["want"] == []


def test_an_id_of_somebody_elses_operation_tells_nothing(luis: Phone, toni: Phone, lamp: str) -> None:
    photo = luis.upload(picture())
    op = luis.op("close", luis.job(lamp), outcome="not found", words="Gone.", photos=[photo])
    luis.exchange(op)
    other = toni.op("note", luis.job(lamp), words="Mine.") | {"id": op["id"]}
    [told] = toni.exchange(other)["results"]
    assert told == {"id": op["id"], "result": "quarantined", "why": "another_body"}
    assert toni.http.get(f"/sync/v1/receipts/{op['id']}").status_code == 404
    assert toni.http.head(f"/sync/v1/photos/{photo['id']}").headers["Upload-Offset"] == "0"


@pytest.mark.parametrize("phones", ["one", "two"])
def test_a_photo_that_is_finished_twice_at_once_is_one_photo_of_its_case(
    app: Flask, engine: Engine, luis: Phone, lamp: str, phones: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two tabs of its phone, or under both names that the phone had."""
    data = picture()
    op = luis.op("note", luis.job(lamp), words="Rusty.", photos=[declare(data)])
    assert luis.exchange(op)["want"] == [op["photos"][0]["id"]]
    other = Phone(app, luis.clock, person(engine, "luis@city.test")) if phones == "two" else luis
    photo, own, var = (
        op["photos"][0],
        app.extensions["cityline"].engine,
        app.extensions["cityline"].settings.var,
    )
    for device in {luis.device, other.device}:
        uploads.append(var, device, photo["id"], 0, data, len(data))
    both, expected = threading.Barrier(2), expected_photos.expected

    def looked(*given: Any) -> Any:
        found = expected(*given)
        with suppress(threading.BrokenBarrierError):  # on SQLite the other waits for the whole of us
            both.wait(0.5)
        return found

    monkeypatch.setattr(expected_photos, "expected", looked)
    by = actor(engine, "luis@city.test")

    def finish(device: str) -> None:
        uploads.finish(own, var, device, photo["id"], photo["sha256"], by=by, at=luis.clock())

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(finish, [luis.device, other.device]))
    with read_session(engine) as s:
        assert s.scalar(select(func.count(Photo.id)).where(Photo.case_id.is_not(None))) == 1
        assert [event.kind for event, _ in story(s, lamp)].count("photo came") == 1
        assert s.scalars(select(ExpectedPhoto)).one().photo_id


def test_a_photo_that_comes_while_its_work_is_carried_out_reaches_the_case(
    app: Flask, engine: Engine, luis: Phone, lamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, job = picture(), luis.job(lamp)
    first = luis.op("note", job, words="First.")
    op = luis.op("note", job, words="Rusty.", photos=[declare(data)], prev=first["id"])
    assert [told["result"] for told in luis.exchange(op)["results"]] == ["held"]
    photo, own, var = (
        op["photos"][0],
        app.extensions["cityline"].engine,
        app.extensions["cityline"].settings.var,
    )
    uploads.append(var, luis.device, photo["id"], 0, data, len(data))
    by, belong = actor(engine, "luis@city.test"), expected_photos.attach_to
    coming = threading.Thread(
        target=lambda: uploads.finish(
            own, var, luis.device, photo["id"], photo["sha256"], by=by, at=luis.clock()
        )
    )

    def belonged(*given: Any, **told: Any) -> None:
        belong(*given, **told)
        if given[0]:
            coming.start()
            coming.join(0.5)

    monkeypatch.setattr(expected_photos, "attach_to", belonged)
    luis.exchange(first)
    coming.join()
    with read_session(engine) as s:
        assert s.scalars(select(Photo)).one().case_id == case_of(s, lamp).id
