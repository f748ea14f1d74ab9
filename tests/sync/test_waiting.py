"""What cannot be done at once is stored: photos on their way, held and deposited work, a token renewed."""

import json
import threading
import uuid
from hashlib import sha256
from typing import Any

import pytest
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
from sqlalchemy import Engine, select

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, queries, transitions
from city.db.engine import read_session, transaction
from city.db.models import Device, ExpectedPhoto, Person, Photo, Session, SyncOperation
from city.lifecycle import SUPERVISOR, widened
from city.people import accounts, sessions
from city.photos import photos, processing
from city.settings import Settings
from sync import devices, expected_photos, operations, protocol, push, review

pytestmark = pytest.mark.both_databases

SARA = Actor("person:98", widened({SUPERVISOR}), 98)


def results(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(told["result"], told.get("why")) for told in answer["results"]]


def changed(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Results that changed after they were answered, as the feed tells them."""
    rows = [row for news in answer["changes"].values() for row in news["set"] if row["kind"] == "result"]
    return [(row["ref"], row["result"]) for row in rows]


def leave_crews(engine: Engine, email: str = "luis@city.test") -> None:
    with transaction(engine) as s:
        s.get_one(Person, person(engine, email)).crews = []


def test_a_closing_does_not_wait_for_its_photo(engine: Engine, luis: Phone, lamp: str) -> None:
    photo = declare(picture())
    op = luis.op("close", luis.job(lamp), outcome="fixed", photos=[photo])
    answer = luis.exchange(op)
    assert (results(answer), answer["want"]) == ([("applied", None)], [photo["id"]])
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "closed"
        assert queries.evidence(s, case_of(s, lamp), 1) == []
    assert luis.exchange()["want"] == [photo["id"]]
    luis.upload(picture(), photo["id"])
    assert luis.exchange()["want"] == []
    with read_session(engine) as s:
        proof = s.scalars(select(Photo).where(Photo.id.in_(queries.evidence(s, case_of(s, lamp), 1)))).one()
        assert proof.upload_sha256 == photo["sha256"]
        assert story(s, lamp)[-1][0].photos == [proof.sha256]
        assert events.verify(s) == []


def test_a_photo_finds_its_closing_after_somebody_else_used_the_phone(
    engine: Engine, luis: Phone, lamp: str
) -> None:
    """The phone has another name then, and what it declared under the old one is still on it."""
    photo = declare(picture())
    luis.exchange(luis.op("close", luis.job(lamp), outcome="fixed", photos=[photo]))
    was = luis.device
    for email in ("toni@city.test", "luis@city.test"):
        luis.sign_in(person(engine, email))
        luis.device = luis.http.post("/sync/v1/device", headers=OURS).json["device"]
    assert luis.device != was
    assert luis.exchange()["want"] == [photo["id"]]
    luis.upload(picture(), photo["id"])
    with read_session(engine) as s:
        assert len(queries.evidence(s, case_of(s, lamp), 1)) == 1
        assert expected_photos.wanted(s, was) == []


def test_each_phone_hears_what_it_and_its_persons_others_still_have_to_send(
    app: Flask, engine: Engine, luis: Phone, toni: Phone, clock: Clock
) -> None:
    """Its own first, the oldest first; then what its person's other phones declared."""
    other = Phone(app, clock, person(engine, "luis@city.test"))
    sent: dict[str, list[str]] = {}
    for phone, crew in ((other, "Lights 2"), (luis, "Lights 2"), (toni, "Lights 1"), (luis, "Lights 2")):
        clock.tick(minutes=1)
        told = [declare(picture(n)) for n in (40, 80)]
        phone.exchange(phone.op("photo", phone.job(make_lamp(engine, clock, crew)), photos=told))
        sent.setdefault(phone.device, []).extend(photo["id"] for photo in told)
    mine, others, his = (sent[phone.device] for phone in (luis, other, toni))
    asked = [luis.device, toni.device, other.device]
    with read_session(engine) as s:
        found = {device: expected_photos.wanted(s, device) for device in asked}
    assert found == {luis.device: mine + others, toni.device: his, other.device: others + mine}
    assert luis.exchange()["want"] == mine + others


def test_no_phone_is_asked_for_more_photos_than_fit_into_an_answer(
    engine: Engine, luis: Phone, toni: Phone, clock: Clock
) -> None:
    """The others are asked for once those are here; and nobody else is asked for fewer."""
    photos = {}
    for phone, crew in ((luis, "Lights 2"), (toni, "Lights 1")):
        told = declare(picture())
        phone.exchange(phone.op("photo", phone.job(make_lamp(engine, clock, crew)), photos=[told]))
        photos[phone.device] = told["id"]
    most = expected_photos.MOST_WANTED
    with transaction(engine) as s:
        row = s.scalars(select(ExpectedPhoto).where(ExpectedPhoto.device_id == luis.device)).one()
        s.add_all(
            ExpectedPhoto(
                operation_id=row.operation_id, id=f"photo {n:04}", device_id=luis.device, sha256="0" * 64,
                bytes=1, position=n, declared_at=row.declared_at,
            )
            for n in range(1, most + 1)
        )  # fmt: skip
    with read_session(engine) as s:
        found = {phone.device: expected_photos.wanted(s, phone.device) for phone in (luis, toni)}
    first = [photos[luis.device], *(f"photo {n:04}" for n in range(1, most))]
    assert found == {luis.device: first, toni.device: [photos[toni.device]]}


def test_a_photo_under_somebody_elses_name_proves_nothing(
    engine: Engine, luis: Phone, toni: Phone, lamp: str
) -> None:
    photo = declare(picture())
    luis.exchange(luis.op("close", luis.job(lamp), outcome="fixed", photos=[photo]))
    toni.upload(picture(), photo["id"])
    with read_session(engine) as s:
        assert queries.evidence(s, case_of(s, lamp), 1) == []
        assert expected_photos.wanted(s, luis.device) == [photo["id"]]
        assert expected_photos.wanted(s, toni.device) == []


@pytest.mark.parametrize("meanwhile", ["reopened", "merged", "cancelled after reopening"])
def test_a_photo_finds_its_closing_whatever_became_of_the_case(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, meanwhile: str
) -> None:
    root = make_lamp(engine, clock)
    photo = declare(picture())
    luis.exchange(luis.op("close", luis.job(lamp), outcome="fixed", photos=[photo]))
    if meanwhile == "merged":
        dispatch(engine, lamp, transitions.merge, clock, into=root)
    else:
        dispatch(engine, lamp, transitions.reopen, clock)
    if meanwhile.startswith("cancelled"):
        dispatch(engine, lamp, transitions.cancel, clock, reason="test")
    luis.upload(picture(), photo["id"])
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert len(queries.evidence(s, case, 1)) == 1
        assert s.scalars(select(Photo.case_id)).one() == case.id


def test_a_photo_that_never_comes_counts_as_none_and_stays_wanted(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    other = make_lamp(engine, clock)
    closing, shot = declare(picture(50)), declare(picture(200))
    luis.exchange(
        luis.op("close", luis.job(lamp), outcome="fixed", photos=[closing]),
        luis.op("photo", luis.job(other), photos=[shot]),
    )
    later = clock.tick(hours=73)
    with transaction(engine) as s:
        assert transitions.flag_missing_evidence(s, at=later, by=accounts.THE_SYSTEM) == 1
        assert expected_photos.flag_missing(s, later) == 2
    with transaction(engine) as s:
        assert (
            transitions.flag_missing_evidence(s, at=later, by=accounts.THE_SYSTEM),
            expected_photos.flag_missing(s, later),
        ) == (0, 0)
        assert (case_of(s, lamp).review, case_of(s, other).review) == ("no evidence", "photo")
        assert case_of(s, lamp).closures[-1].unproven_at == later
    assert set(luis.exchange()["want"]) == {closing["id"], shot["id"]}
    luis.upload(picture(200), shot["id"])
    assert luis.exchange()["want"] == [closing["id"]]


def test_a_photo_that_comes_while_others_are_doubted_is_not_called_late(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL it comes in the middle, on SQLite afterwards."""
    other = make_lamp(engine, clock)
    missing, late = declare(picture(50)), declare(picture(200))
    luis.exchange(
        luis.op("photo", luis.job(lamp), photos=[missing]), luis.op("photo", luis.job(other), photos=[late])
    )
    coming = threading.Thread(target=luis.upload, args=(picture(200), late["id"]))
    fail = transitions.photo_failed

    def failed(*given: Any, **told: Any) -> None:
        if not coming.ident:
            coming.start()
            coming.join(1 if engine.dialect.name == "sqlite" else 60)
        fail(*given, **told)

    monkeypatch.setattr(transitions, "photo_failed", failed)
    with transaction(engine) as s:
        marked = expected_photos.flag_missing(s, clock.tick(hours=73))
    coming.join()
    assert marked == (1 if engine.dialect.name == "postgresql" else 2)
    with read_session(engine) as s:
        rows = {row.id: row for row in s.scalars(select(ExpectedPhoto))}
        assert (rows[late["id"]].fault, rows[missing["id"]].fault) == (None, "late")
        assert rows[late["id"]].photo_id
        if marked == 1:
            assert case_of(s, other).review is None


def test_work_that_was_taken_back_before_it_was_done_asks_for_no_photos(
    engine: Engine, luis: Phone, lamp: str
) -> None:
    job = luis.job(lamp)
    closing = luis.op("close", job, outcome="fixed", photos=[declare(picture())], prev=str(uuid.uuid4()))
    answer = luis.exchange(closing)
    assert (results(answer), len(answer["want"])) == ([("held", "prev")], 1)
    answer = luis.exchange(luis.op("withdraw", job, op=closing["id"]))
    assert (results(answer), answer["want"]) == ([("applied", None)], [])
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"


def test_a_phone_hears_that_what_it_deposited_was_taken_back(engine: Engine, luis: Phone, lamp: str) -> None:
    """Otherwise it shows the closing as on its way for ever."""
    job = luis.job(lamp)
    leave_crews(engine)
    closing = luis.op("close", job, outcome="not found")
    assert results(luis.exchange(closing)) == [("deposited", "author")]
    answer = luis.exchange(luis.op("withdraw", job, op=closing["id"]))
    assert (results(answer), changed(answer)) == ([("applied", None)], [(closing["id"], "recorded")])


def test_what_was_held_for_work_that_was_taken_back_is_done(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    leave_crews(engine)
    closing = luis.op("close", job, outcome="not found")
    note = luis.op("note", job | {"assignment": None}, words="Ladder.", prev=closing["id"])
    assert results(luis.exchange(closing, note)) == [("deposited", "author"), ("held", "prev")]
    answer = luis.exchange(luis.op("withdraw", job, op=closing["id"]))
    assert (note["id"], "recorded") in changed(answer)  # its crew has nothing to do with the case


def test_a_taking_back_that_comes_again_leaves_what_waits_as_it_is(engine: Engine, luis: Phone) -> None:
    job = {"ref": str(uuid.uuid4()), "cycle": None, "version": None}  # a report that is not here yet
    start = luis.op("start", job)
    note = luis.op("note", job, words="Ladder.", prev=start["id"])
    back = luis.op("withdraw", job, op=start["id"], prev=note["id"])
    assert results(luis.exchange(start, note, back)) == [
        ("recorded", "withdrawn"), ("held", "case"), ("applied", None),
    ]  # fmt: skip
    with transaction(engine) as s:
        s.get_one(Person, person(engine, "luis@city.test")).disabled_at = luis.clock()
    assert results(luis.exchange(note, back)) == [("held", "case"), ("applied", None)]


def test_what_followed_on_work_taken_back_still_waits_for_what_that_followed_on(
    luis: Phone, lamp: str
) -> None:
    job = luis.job(lamp)
    start = luis.op("start", job)
    pause = luis.op("pause", job, prev=start["id"])
    closing = luis.op("close", job, outcome="not found", prev=pause["id"])
    assert results(luis.exchange(pause, closing)) == [("held", "prev")] * 2
    back = luis.op("withdraw", job, op=pause["id"], prev=pause["id"])
    answer = luis.exchange(back)
    assert (results(answer), luis.job(lamp)["state"]) == ([("applied", None)], "assigned")
    note = luis.op("note", job, words="Ladder.", prev=back["id"])
    assert results(luis.exchange(closing, note)) == [("held", "prev")] * 2
    answer = luis.exchange(start)
    assert {(closing["id"], "applied"), (note["id"], "applied")} <= set(changed(answer))


@pytest.mark.parametrize("nonsense", [{"t": "dance"}, {"device_time": "yesterday"}])
def test_what_followed_on_nonsense_waits_for_what_that_followed_on(
    luis: Phone, lamp: str, nonsense: dict[str, Any]
) -> None:
    job = luis.job(lamp)
    start = luis.op("start", job)
    pause = luis.op("pause", job, prev=start["id"])
    odd = luis.op("close", job, prev=pause["id"]) | nonsense
    closing = luis.op("close", job, outcome="not found", prev=odd["id"])
    assert [result for result, _ in results(luis.exchange(pause, odd))] == ["held", "quarantined"]
    assert results(luis.exchange(closing)) == [("held", "prev")]
    told = changed(luis.exchange(start))
    assert {(pause["id"], "applied"), (closing["id"], "applied")} <= set(told)


def test_what_waits_for_nonsense_that_came_too_early_is_done_with_what_that_followed_on(
    luis: Phone, lamp: str
) -> None:
    """Nobody can read the number of the nonsense, so it has its turn before what it followed on."""
    job = luis.job(lamp)
    start = luis.op("start", job)
    odd = luis.op("note", job, prev=start["id"]) | {"n": "two"}
    closing = luis.op("close", job, outcome="not found", prev=odd["id"])
    assert results(luis.exchange(closing)) == [("held", "prev")]
    answer = luis.exchange(start, odd)
    assert {told for told, _ in results(answer)} == {"applied", "quarantined"}
    assert (closing["id"], "applied") in changed(answer)


def test_what_followed_on_work_that_was_put_away_waits_for_what_that_followed_on(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    with read_session(engine) as s:
        crews = [crew.name for crew in s.get_one(Person, person(engine, "luis@city.test")).crews]
    leave_crews(engine)
    pause = luis.op("pause", job, reason="parts")
    away = luis.op("start", job, prev=pause["id"])
    assert results(luis.exchange(pause, away)) == [("deposited", "author")] * 2
    with transaction(engine) as s:
        luis_ = s.get_one(Person, person(engine, "luis@city.test"))
        luis_.crews = [crew_named(s, name) for name in crews]
    before = luis.op("note", job, words="Ladder.", prev=away["id"])
    assert results(luis.exchange(before)) == [("held", "prev")]
    with transaction(engine) as s:
        assert review.dismiss(s, s.get_one(SyncOperation, away["id"]), by=SARA, at=clock())
    after = luis.op("close", job, outcome="not found", prev=away["id"])
    answer = luis.exchange(after)
    assert results(answer) == [("held", "prev")]
    assert (before["id"], "held") in changed(answer)
    with transaction(engine) as s:
        review.release(s, s.get_one(SyncOperation, pause["id"]), by=SARA, at=clock())
    assert {(before["id"], "applied"), (after["id"], "applied")} <= set(changed(luis.exchange()))
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "closed"


def test_what_was_held_for_work_that_is_put_away_goes_on(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    leave_crews(engine)
    closing = luis.op("close", job, outcome="not found", photos=[declare(picture())])
    note = luis.op("note", job | {"assignment": None}, words="Ladder.", prev=closing["id"])
    answer = luis.exchange(closing, note)
    assert (results(answer), len(answer["want"])) == ([("deposited", "author"), ("held", "prev")], 1)
    with transaction(engine) as s:
        assert review.dismiss(s, s.get_one(SyncOperation, closing["id"]), by=SARA, at=clock())
    answer = luis.exchange()
    told = [(closing["id"], "recorded"), (note["id"], "recorded")]
    assert (sorted(changed(answer)), answer["want"]) == (sorted(told), [])
    with read_session(engine) as s:
        raws = s.scalars(select(SyncOperation.raw).order_by(SyncOperation.n)).all()
    assert [raw is None for raw in raws] == [True, False]  # the note is yet to be looked at


def test_nothing_waits_for_work_that_is_put_away_at_that_moment(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    """Else the phone finds it waiting, and whoever puts it away does not find what the phone sends."""
    job = luis.job(lamp)
    leave_crews(engine)
    closing = luis.op("close", job, outcome="not found")
    luis.exchange(closing)
    note = luis.op("note", job | {"assignment": None}, words="Ladder.", prev=closing["id"])
    answers: list[dict[str, Any]] = []
    phone = threading.Thread(target=lambda: answers.append(luis.exchange(note)))
    with transaction(engine) as s:
        row = s.get_one(SyncOperation, closing["id"], with_for_update=True)
        assert review.dismiss(s, row, by=SARA, at=clock())
        s.flush()
        phone.start()
        phone.join(1)  # it waits for us, and goes as far as it may meanwhile
    phone.join()
    assert results(answers[0]) == [("recorded", "not_your_job")]


def test_what_is_done_at_that_moment_is_not_given_up(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    start = luis.op("start", job)
    closing = luis.op("close", job, outcome="not found", prev=start["id"])
    assert results(luis.exchange(closing)) == [("held", "prev")]
    at, brought = clock.tick(hours=73), list[int]()

    def worker() -> None:
        with transaction(engine) as other:
            brought.append(review.overdue(other, at))

    looks = threading.Thread(target=worker)
    with transaction(engine) as s:
        sender = push.Sender(luis.device, accounts.actor(s.get_one(Person, person(engine, "luis@city.test"))))
        push.process(s, sender, [protocol.reread(json.dumps(start))], at)
        s.flush()
        looks.start()
        looks.join(1)
    looks.join()
    assert brought == [0]
    with read_session(engine) as s:
        row = s.get_one(SyncOperation, closing["id"])
        assert (row.code, row.review, case_of(s, lamp).state) == ("applied", None, "closed")


def test_what_is_done_at_that_moment_is_taken_back_as_work_that_was_done(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    """Else the case stays closed under a closing of which its phone hears that it never was."""
    job, other = luis.job(lamp), luis.job(make_lamp(engine, clock))
    start = luis.op("start", job)
    closing = luis.op("close", job, outcome="not found", prev=start["id"])
    assert results(luis.exchange(closing)) == [("held", "prev")]
    takes_back = luis.op("withdraw", other, op=closing["id"])  # so the case is not what it waits for
    answers: list[dict[str, Any]] = []
    phone = threading.Thread(target=lambda: answers.append(luis.exchange(takes_back)))
    with transaction(engine) as s:
        sender = push.Sender(luis.device, accounts.actor(s.get_one(Person, person(engine, "luis@city.test"))))
        push.process(s, sender, [protocol.reread(json.dumps(start))], clock())
        s.flush()
        phone.start()
        phone.join(1)
    phone.join()
    assert results(answers[0]) == [("applied", None)]
    with read_session(engine) as s:
        assert (s.get_one(SyncOperation, closing["id"]).code, case_of(s, lamp).state) == (
            "applied",
            "underway",
        )


def test_who_sees_to_work_waits_for_its_case_first_as_phones_do(
    engine: Engine, luis: Phone, lamp: str
) -> None:
    """Each with what the other waits for, PostgreSQL would end one of them."""
    closing = luis.op("close", luis.job(lamp), outcome="not found", prev=str(uuid.uuid4()))
    assert results(luis.exchange(closing)) == [("held", "prev")]
    found: list[str] = []

    def supervisor() -> None:
        with transaction(engine) as other:
            row = operations.locked(other, closing["id"])
            found.append(row.code if row else "none")

    presses = threading.Thread(target=supervisor)
    with transaction(engine) as s:
        locks.lock(s, case_of(s, lamp))
        presses.start()
        presses.join(1)
        assert operations.locked(s, closing["id"])
    presses.join()
    assert found == ["held"]


def test_what_follows_on_work_that_was_given_up_goes_on(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    start = luis.op("start", job, prev=str(uuid.uuid4()))
    luis.exchange(start)
    clock.tick(hours=70)
    note = luis.op("note", job, words="Ladder.", prev=start["id"])
    assert results(luis.exchange(note)) == [("held", "prev")]
    with transaction(engine) as s:
        assert review.overdue(s, clock.tick(hours=3)) == 1
    assert set(changed(luis.exchange())) == {(start["id"], "recorded"), (note["id"], "applied")}


def test_photos_of_what_was_set_aside_are_not_waited_for_once_a_person_has_seen_it(
    engine: Engine, luis: Phone, clock: Clock
) -> None:
    job = {"ref": str(uuid.uuid4()), "cycle": 1, "version": None}  # a report that never comes
    answer = luis.exchange(luis.op("note", job, words="Ladder.", photos=[declare(picture())]))
    assert (results(answer), len(answer["want"])) == ([("held", "case")], 1)
    with transaction(engine) as s:
        assert review.overdue(s, clock.tick(hours=73)) == 1
        assert review.dismiss(s, review.to_look_at(s, 1)[0].row, by=SARA, at=clock())
    assert luis.exchange()["want"] == []


def test_photos_of_what_was_set_aside_are_kept_until_a_person_has_seen_it(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock
) -> None:
    """A restore loses jobs, and what was done under one of these is set aside."""
    job, shot = luis.job(lamp), declare(picture())
    closing = luis.op("close", job | {"assignment": job["assignment"] + 5}, outcome="fixed", photos=[shot])
    answer = luis.exchange(closing)
    assert (results(answer), answer["want"]) == ([("quarantined", "unknown_assignment")], [shot["id"]])
    luis.upload(picture(), shot["id"])
    photos.sweep(engine, settings.var, clock.tick(hours=25))
    with transaction(engine) as s:
        [sent] = review.to_look_at(s, 9)
        assert (len(sent.photos), sent.missing) == (1, 0)
        assert review.dismiss(s, sent.row, by=SARA, at=clock())
    assert luis.exchange()["want"] == []
    photos.sweep(engine, settings.var, clock())
    with read_session(engine) as s:
        assert s.scalars(select(Photo)).all() == []


def test_nonsense_that_follows_on_itself_holds_up_nothing(luis: Phone, lamp: str, soon: None) -> None:
    job = luis.job(lamp)
    one, other = (luis.op("dance", job) for _ in range(2))
    one["prev"], other["prev"] = other["id"], one["id"]
    note = luis.op("note", job, words="Ladder.", prev=other["id"])
    assert [result for result, _ in results(luis.exchange(one, other, note))] == [
        "quarantined", "quarantined", "applied",
    ]  # fmt: skip


def test_what_was_taken_back_in_time_is_not_done_for_having_waited(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    """Closing and taking back came a minute apart, while nobody was signed in on the phone."""
    job = luis.job(lamp)
    clock.tick(days=40)
    closing = luis.op("close", job, outcome="not found")
    assert results(luis.exchange(closing)) == [("deposited", "login")]
    clock.tick(minutes=1)
    assert results(luis.exchange(luis.op("withdraw", job, op=closing["id"]))) == [("deposited", "login")]
    clock.tick(hours=2)
    luis.sign_in(person(engine, "luis@city.test"))
    luis.exchange()
    assert luis.job(lamp)["state"] == "assigned"


def test_a_photo_that_is_none_goes_to_review(engine: Engine, luis: Phone, lamp: str) -> None:
    data = b"GIF89a, they said"
    photo = declare(data)
    luis.exchange(luis.op("photo", luis.job(lamp), photos=[photo]))
    assert luis.piece(photo, 0, data).status_code == 422
    with read_session(engine) as s:
        assert s.scalars(select(ExpectedPhoto.fault)).one() == "not_a_photo"
        assert case_of(s, lamp).review == "photo"
    assert luis.exchange()["want"] == []


def test_where_too_many_photos_arrive_one_comes_again(
    luis: Phone, lamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = declare(picture())
    luis.exchange(luis.op("photo", luis.job(lamp), photos=[shot]))
    monkeypatch.setattr(processing, "_room", threading.BoundedSemaphore(1))
    with processing._room:
        answer = luis.piece(shot, 0, picture())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    again = luis.piece(shot, len(picture()), b"")
    assert (again.status_code, again.headers["Upload-Complete"]) == (200, "?1")


def test_other_bytes_than_declared_are_refused_and_stay_wanted(luis: Phone, lamp: str) -> None:
    photo = declare(picture(50))
    luis.exchange(luis.op("photo", luis.job(lamp), photos=[photo]))
    refused = luis.piece(declare(picture(200), photo["id"]), 0, picture(200))
    assert (refused.status_code, refused.json) == (422, {"error": "digest"})
    assert luis.exchange()["want"] == [photo["id"]]


def test_a_declared_photo_is_kept_however_long_its_operation_waits(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, settings: Settings
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="fixed", photos=[declare(picture())])
    leave_crews(engine)
    luis.exchange(op)
    luis.upload(picture(), op["photos"][0]["id"])
    photos.sweep(engine, settings.var, clock.tick(hours=30))
    with transaction(engine) as s:
        review.release(s, s.get_one(SyncOperation, op["id"]), by=SARA, at=clock())
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "closed"
        assert s.scalars(select(Photo.closure_id)).one() == case_of(s, lamp).closures[-1].id


def test_held_work_is_done_when_what_it_follows_on_comes(engine: Engine, luis: Phone, lamp: str) -> None:
    job = luis.job(lamp)
    first = luis.op("start", job)
    second = luis.op("pause", job, prev=first["id"])
    third = luis.op("close", job, outcome="not found", prev=second["id"])
    assert results(luis.exchange(third, second)) == [("held", "prev")] * 2
    answer = luis.exchange(first)
    assert results(answer) == [("applied", None)]
    assert sorted(changed(answer)) == sorted([(second["id"], "applied"), (third["id"], "applied")])
    with read_session(engine) as s:
        kinds = [event.kind for event, _ in story(s, lamp)]
        assert kinds[-3:] == ["start", "pause", "close"]
    assert results(luis.exchange(second, third)) == [("applied", None)] * 2


def test_held_work_goes_to_review_after_three_days(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op(
        "close",
        luis.job(lamp),
        outcome="not found",
        words="Gone.",
        prev=luis.op("start", luis.job(lamp))["id"],
    )
    luis.exchange(op)
    with transaction(engine) as s:
        assert review.overdue(s, clock.tick(hours=71)) == 0
        assert review.overdue(s, clock.tick(hours=2)) == 1
        assert review.overdue(s, clock()) == 0
    with read_session(engine) as s:
        assert (case_of(s, lamp).state, case_of(s, lamp).review) == ("assigned", "held")
        assert story(s, lamp)[-1][1] == {"words": "Gone."}
    answer = luis.exchange(op)
    assert results(answer) == [("recorded", "held")]
    assert changed(answer) == [(op["id"], "recorded")]


def test_held_work_waits_on_while_what_it_follows_on_waits_for_a_supervisor(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    leave_crews(engine)
    start = luis.op("start", job)
    note = luis.op("note", job | {"assignment": None}, words="Ladder.", prev=start["id"])
    assert results(luis.exchange(start, note)) == [("deposited", "author"), ("held", "prev")]
    with transaction(engine) as s:
        assert review.overdue(s, clock.tick(hours=73)) == 0
        review.release(s, s.get_one(SyncOperation, start["id"]), by=SARA, at=clock())
    assert sorted(changed(luis.exchange())) == sorted([(start["id"], "applied"), (note["id"], "applied")])


def test_work_of_a_phone_that_is_signed_out_is_done_when_its_user_signs_in(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    job = luis.job(lamp)
    clock.tick(days=40)
    closing = luis.op("close", job, outcome="fixed", photos=[declare(picture())])
    start = luis.op("start", job)
    closing["n"], start["n"] = start["n"], closing["n"]
    answer = luis.exchange(closing, start)
    assert (answer["auth"], answer["changes"]) == ("login", {})
    assert results(answer) == [("deposited", "login")] * 2
    assert answer["want"] == [closing["photos"][0]["id"]]
    luis.upload(picture(), closing["photos"][0]["id"])
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"
    luis.sign_in(person(engine, "luis@city.test"))
    answer = luis.exchange()
    assert answer["auth"] == "ok"
    assert sorted(changed(answer)) == sorted([(closing["id"], "applied"), (start["id"], "applied")])
    with read_session(engine) as s:
        assert [event.kind for event, _ in story(s, lamp)][-2:] == ["start", "close"]
        assert len(queries.evidence(s, case_of(s, lamp), 1)) == 1


def test_what_a_phone_and_its_copy_count_alike_is_done_in_one_order_on_every_database(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    """That of their ids, whichever came first: the closing, and so not the start."""
    job = luis.job(lamp)
    clock.tick(days=40)
    start, closing = luis.op("start", job), luis.op("close", job, outcome="not found")
    start["n"] = closing["n"]
    closing["id"], start["id"] = sorted((closing["id"], start["id"]))
    for op in (start, closing):
        assert results(luis.exchange(op)) == [("deposited", "login")]
    luis.sign_in(person(engine, "luis@city.test"))
    luis.exchange()
    with read_session(engine) as s:
        assert [s.get_one(SyncOperation, op["id"]).code for op in (closing, start)] == ["applied", "recorded"]


def test_somebody_elses_sign_in_does_nobodys_deposits(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found")
    clock.tick(days=40)
    luis.exchange(op)
    luis.sign_in(person(engine, "toni@city.test"))
    assert luis.exchange()["auth"] == "login"
    luis.http.post("/sync/v1/device", headers=OURS)
    luis.exchange()
    with read_session(engine) as s:
        assert s.get_one(SyncOperation, op["id"]).code == "deposited"
        assert case_of(s, lamp).state == "assigned"


def test_deposited_work_goes_to_review_after_three_days_and_can_still_be_released_or_dismissed(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    one, other = luis.op("start", luis.job(lamp)), luis.op("close", luis.job(lamp), outcome="not found")
    clock.tick(days=40)
    luis.exchange(one, other)
    with transaction(engine) as s:
        assert review.overdue(s, clock.tick(hours=73)) == 2
        first, second = (sent.row for sent in review.to_look_at(s, 10))
        assert (first.id, first.review) == (one["id"], "deposited")
        review.release(s, first, by=SARA, at=clock())
        assert review.dismiss(s, second, by=SARA, at=clock())
        assert not review.dismiss(s, second, by=SARA, at=clock())
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "underway"
        assert review.to_look_at(s, 10) == []
    luis.sign_in(person(engine, "luis@city.test"))
    assert sorted(result for _, result in changed(luis.exchange())) == ["applied", "recorded"]


def test_only_a_supervisor_releases_and_the_table_still_decides(
    engine: Engine, luis: Phone, lamp: str, clock: Clock
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found")
    leave_crews(engine)
    luis.exchange(op)
    dispatch(engine, lamp, transitions.cancel, clock, reason="test")
    with transaction(engine) as s:
        row = s.get_one(SyncOperation, op["id"])
        with pytest.raises(Exception, match="not_allowed"):
            review.release(s, row, by=DANA, at=clock())
        review.release(s, row, by=SARA, at=clock())
        assert (row.code, row.review) == ("recorded", "cancelled")
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "cancelled"


def test_what_nobody_signed_in_for_has_an_end(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "MOST_DEPOSITED", 2)
    job = luis.job(lamp)
    clock.tick(days=40)
    notes = [luis.op("note", job, words=f"{n}") for n in range(3)]
    assert results(luis.exchange(*notes[:2])) == [("deposited", "login")] * 2
    refused = luis.post(luis.body(notes[2]))
    assert (refused.status_code, int(refused.headers["Retry-After"])) == (429, 3600)
    luis.sign_in(person(engine, "luis@city.test"))
    assert results(luis.exchange(notes[2])) == [("applied", None)]


def test_a_revoked_phone_hears_nothing_and_its_work_is_marked(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, settings: Settings
) -> None:
    op = luis.op("close", luis.job(lamp), outcome="not found", photos=[declare(picture())])
    with transaction(engine) as s:
        devices.revoke(s, settings.var, s.get_one(Device, luis.device), by=DANA, at=clock())
    answer = luis.exchange(op)
    assert (answer["auth"], answer["changes"], answer["scopes"]) == ("revoked", {}, [])
    assert results(answer) == [("deposited", "revoked")]
    luis.upload(picture(), op["photos"][0]["id"])
    assert luis.piece(declare(picture(9)), 0, picture(9)).status_code == 401
    with read_session(engine) as s:
        assert s.get_one(SyncOperation, op["id"]).review == "revoked"
        assert case_of(s, lamp).state == "assigned"


def test_the_token_renews_its_users_session_for_thirty_days(
    luis: Phone, clock: Clock, engine: Engine
) -> None:
    luis.exchange()
    for _ in range(5):
        with transaction(engine) as s:
            s.query(Session).delete()
        clock.tick(days=5)
        assert luis.exchange()["auth"] == "ok"
    with luis.http.session_transaction() as session, read_session(engine) as s:
        renewed = sessions.person_of(s, session["login"], clock())
        assert renewed
        assert renewed.name == "Luis"
    clock.tick(days=6)
    assert luis.exchange()["auth"] == "login"
    luis.sign_in(person(engine, "luis@city.test"))
    assert luis.exchange()["auth"] == "ok"


def test_signing_out_ends_what_the_phone_may_do_by_itself(luis: Phone, clock: Clock, engine: Engine) -> None:
    luis.exchange()
    with luis.http.session_transaction() as session, transaction(engine) as s:
        sessions.end(s, session.pop("login"))
    assert luis.exchange()["auth"] == "login"


def test_the_token_turns_and_the_old_one_works_until_the_new_one_is_used(luis: Phone, clock: Clock) -> None:
    luis.exchange()
    cookie = luis.http.get_cookie("cl_device", path="/sync")
    assert cookie
    old = cookie.value
    clock.tick(days=8)
    luis.exchange()
    new = token(luis)
    assert new != old
    luis.http.set_cookie("cl_device", old, path="/sync")  # the answer was lost, and another tab asks too
    assert luis.exchange()["auth"] == "ok"
    assert token(luis) == new
    assert luis.exchange()["auth"] == "ok"
    luis.http.set_cookie("cl_device", old, path="/sync")
    assert luis.exchange()["auth"] == "login"


def test_a_token_made_before_tokens_were_signed_counts_until_it_turns(
    luis: Phone, clock: Clock, engine: Engine, lamp: str
) -> None:
    """Or while the city's secret was another."""
    luis.exchange()
    with transaction(engine) as s:
        device = s.get_one(Device, luis.device)
        device.token_hash, device.next_hash = (sha256(made).hexdigest() for made in (b"old", b"after it"))
    luis.http.set_cookie("cl_device", "old", path="/sync")
    for t in ("start", "pause"):
        assert results(luis.exchange(luis.op(t, luis.job(lamp)))) == [("applied", None)]
    clock.tick(days=8)
    luis.exchange()
    assert token(luis) != "old"
    assert results(luis.exchange(luis.op("start", luis.job(lamp)))) == [("applied", None)]


def test_a_token_that_nobody_used_for_ninety_days_is_over(luis: Phone, clock: Clock, lamp: str) -> None:
    op = luis.op("start", luis.job(lamp))
    clock.tick(days=91)
    answer = luis.exchange(op)
    assert (answer["auth"], results(answer)) == ("login", [("retry", "login")])


def token(phone: Phone) -> str:
    cookie = phone.http.get_cookie("cl_device", path="/sync")
    assert cookie
    return cookie.value


def waits(engine: Engine, phone: Phone) -> dict[str, int]:
    with read_session(engine) as s:
        return s.get_one(Device, phone.device).waiting


def test_what_came_waits_on_the_phone_no_more(engine: Engine, luis: Phone, clock: Clock) -> None:
    """A phone may be put away after its last closing: nobody must look for work on it."""
    jobs = [luis.job(make_lamp(engine, clock)) for _ in range(2)]
    photo = declare(picture())
    close = luis.op("close", jobs[0], outcome="fixed", photos=[photo])
    start = luis.op("start", jobs[1])
    held = luis.op("pause", jobs[1], prev=start["id"])
    waiting = {"ops": 3, "photos": 1, "oldest": int(clock().timestamp())}
    assert results(luis.exchange(close, held, waiting=waiting)) == [("applied", None), ("held", "prev")]
    assert waits(engine, luis) == waiting | {"ops": 2}
    luis.upload(picture(), photo["id"])
    assert waits(engine, luis) == waiting | {"ops": 2, "photos": 0}
    answer = luis.exchange(start, held, waiting=waiting | {"ops": 2, "photos": 0})
    assert results(answer) == [("applied", None)] * 2
    assert waits(engine, luis) == {}


def test_work_that_the_phone_must_keep_waits_on_it_still(engine: Engine, luis: Phone, lamp: str) -> None:
    luis.exchange(luis.op("start", luis.job(lamp)) | {"prev": str(uuid.uuid4())})
    assert waits(engine, luis)["ops"] == 1
