"""Work that a phone could never send, carried to the city as the file that its outbox writes."""

import base64
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from phones import Clock, Phone, case_of, declare, person, picture
from sqlalchemy import Engine, select

from city.audit import events
from city.audit.events import Actor
from city.cases import queries
from city.db.engine import read_session, transaction
from city.db.models import Device, Photo, SyncOperation
from city.lifecycle import DISPATCHER, SUPERVISOR, Refused
from city.photos import storage
from city.settings import Settings
from pwa.cli.main import BECAME, cli
from sync import file_import, protocol, push, review
from sync.protocol import Unreadable

pytestmark = pytest.mark.both_databases

PHOTO = "6f1c7a52-6a0e-4c0b-9b64-0d8b2f6a1c11"
EMPTY = {"cityline": "outbox", "protocol": 1, "device": PHOTO, "person": 1, "ops": [], "photos": []}


def file_of(phone: Phone, ops: list[dict[str, Any]], shots: dict[str, bytes], person: int) -> bytes:
    told = [
        {"id": id_, "sha256": hashlib.sha256(data).hexdigest(), "data": base64.b64encode(data).decode()}
        for id_, data in shots.items()
    ]
    file = {"cityline": "outbox", "protocol": 1, "device": phone.device, "person": person}
    return json.dumps(file | {"ops": ops, "photos": told}).encode()


@pytest.fixture
def runner(app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("CITYLINE_VAR", str(settings.var))
    monkeypatch.setenv("CITYLINE_DATABASE_URL", settings.database_url)
    return CliRunner()


def test_a_closing_and_its_photo_arrive_once_however_often_the_file_is_taken(
    engine: Engine, luis: Phone, lamp: str, tmp_path: Path, runner: CliRunner
) -> None:
    data = picture()
    closing = luis.op("close", luis.job(lamp), outcome="fixed", photos=[declare(data, PHOTO)])
    path = tmp_path / "cityline-outbox.json"
    path.write_bytes(file_of(luis, [closing], {PHOTO: data}, person(engine, "luis@city.test")))
    for photos in ("Photos imported", "All of them were already here.\nPhotos that were already here"):
        done = runner.invoke(cli, ["device", "import", str(path)])
        assert (done.exit_code, done.output) == (0, f"Updates: 1 done.\n{photos}: 1.\n")
    with read_session(engine) as s:
        case = case_of(s, lamp)
        assert (case.state, len(case.closures)) == ("closed", 1)
        proof = s.scalars(select(Photo).where(Photo.id.in_(queries.evidence(s, case, 1)))).one()
        assert proof.stored_at is not None
        assert proof.upload_sha256 == hashlib.sha256(data).hexdigest()
    assert luis.exchange(closing)["results"][0]["result"] == "applied"


def test_the_work_of_a_phone_that_was_shut_out_waits_for_a_supervisor(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock
) -> None:
    closing = luis.op("close", luis.job(lamp), outcome="fixed", no_photo="dark")
    with transaction(engine) as s:
        s.get_one(Device, luis.device).revoked_at = clock()
    told = file_of(luis, [closing], {}, person(engine, "luis@city.test"))
    assert file_import.import_file(engine, storage.open_store(settings), settings, told, clock()) == {
        "deposited": 1
    }
    with read_session(engine) as s:
        assert case_of(s, lamp).state == "assigned"


def test_a_photo_whose_bytes_are_others_is_counted_and_spoils_nothing(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock
) -> None:
    data = picture()
    closing = luis.op("close", luis.job(lamp), outcome="fixed", photos=[declare(data, PHOTO)])
    told = json.loads(file_of(luis, [closing], {PHOTO: data}, person(engine, "luis@city.test")))
    told["photos"][0]["sha256"] = "0" * 64
    counted = file_import.import_file(
        engine, storage.open_store(settings), settings, json.dumps(told).encode(), clock()
    )
    assert counted == {"applied": 1, "photos_refused": 1}


def test_a_photo_without_bytes_is_here_only_where_it_had_arrived(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock
) -> None:
    data, store = picture(), storage.open_store(settings)
    closing = luis.op("close", luis.job(lamp), outcome="fixed", photos=[declare(data, PHOTO)])
    whole = file_of(luis, [closing], {PHOTO: data}, person(engine, "luis@city.test"))
    told = json.loads(whole)
    told["photos"][0]["data"] = ""
    empty = json.dumps(told).encode()
    assert file_import.import_file(engine, store, settings, empty, clock()) == {
        "applied": 1,
        "photos_gone": 1,
    }
    for file, photos in ((whole, "photos"), (empty, "photos_known"), (whole, "photos_known")):
        assert file_import.import_file(engine, store, settings, file, clock()) == {
            "applied": 1,
            "known": 1,
            photos: 1,
        }


def test_a_photo_of_strange_letters_is_counted_and_the_next_one_is_taken(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock
) -> None:
    data, other = picture(), str(uuid.uuid4())
    closing = luis.op("close", luis.job(lamp), outcome="fixed", photos=[declare(data, PHOTO)])
    told = json.loads(file_of(luis, [closing], {other: b"", PHOTO: data}, person(engine, "luis@city.test")))
    told["photos"][0]["data"] = "é"
    counted = file_import.import_file(
        engine, storage.open_store(settings), settings, json.dumps(told).encode(), clock()
    )
    assert counted == {"applied": 1, "photos": 1, "photos_refused": 1}


@pytest.mark.parametrize("text", ["", "[]", '{"cityline":"outbox"}', "[" * 100_000])
def test_what_is_no_outbox_is_refused(engine: Engine, settings: Settings, clock: Clock, text: str) -> None:
    with pytest.raises(Unreadable):
        file_import.import_file(engine, storage.open_store(settings), settings, text.encode(), clock())


def test_a_file_of_somebody_elses_phone_is_refused(
    engine: Engine, settings: Settings, luis: Phone, toni: Phone, clock: Clock
) -> None:
    told = file_of(luis, [], {}, person(engine, "toni@city.test"))
    with pytest.raises(Refused):
        file_import.import_file(engine, storage.open_store(settings), settings, told, clock())


def test_a_file_of_a_phone_that_a_restore_has_lost_is_taken_for_whom_the_city_names(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, tmp_path: Path, runner: CliRunner
) -> None:
    data, path = picture(), tmp_path / "outbox.json"
    closing = luis.op("close", luis.job(lamp), outcome="fixed", photos=[declare(data, PHOTO)])
    luis.device = str(uuid.uuid4())
    path.write_bytes(file_of(luis, [closing], {PHOTO: data}, person(engine, "luis@city.test")))

    def taken(*more: str) -> tuple[int, str]:
        done = runner.invoke(cli, ["device", "import", str(path), *more])
        return done.exit_code, done.output

    assert taken()[0] == 1
    assert "add --person with the user's email" in taken()[1]
    assert taken("--person", "nobody@city.test") == (
        1,
        "Error: No one here has the email address nobody@city.test.\n",
    )
    for photos in ("Photos imported", "All of them were already here.\nPhotos that were already here"):
        assert taken("--person", "luis@city.test") == (
            0,
            f"Updates: 1 waiting for a supervisor.\n{photos}: 1.\n"
            'Anything that needs review is under "Field work" on the board.\n',
        )
    assert taken("--person", "toni@city.test")[0] == 1, "it has an owner now"
    with transaction(engine) as s:
        [row] = s.scalars(select(SyncOperation).where(SyncOperation.device_id == luis.device))
        review.release(s, row, by=Actor("person:9", frozenset({SUPERVISOR})), at=clock())
        assert case_of(s, lamp).state == "closed"
    with read_session(engine) as s:
        assert events.verify(s) == []


def test_a_file_of_a_phone_that_was_shut_out_is_taken_whole_however_much_it_holds(
    engine: Engine, settings: Settings, luis: Phone, lamp: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "QUARANTINE_ROWS", 2)
    monkeypatch.setattr(protocol, "MAX_OPERATIONS", 2)
    notes = [luis.op("note", luis.job(lamp), words=f"Note {n}.") for n in range(7)]
    with transaction(engine) as s:
        s.get_one(Device, luis.device).revoked_at = clock()
    told = file_of(luis, notes, {}, person(engine, "luis@city.test"))
    assert file_import.import_file(engine, storage.open_store(settings), settings, told, clock()) == {
        "deposited": 7
    }


def test_what_became_of_a_file_is_told_in_words(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, tmp_path: Path, runner: CliRunner
) -> None:
    path, whose, job = tmp_path / "outbox.json", person(engine, "luis@city.test"), luis.job(lamp)
    note, late = luis.op("note", job, words="Two bolts."), luis.op("note", job) | {"prev": str(uuid.uuid4())}
    odd, data = {"id": "\x00", "t": "close"}, picture()
    declared = declare(data, PHOTO)
    close = luis.op("close", job, outcome="fixed", photos=[declared | {"sha256": "0" * 64}])
    large = luis.op("note", job, words="x" * (protocol.MAX_BODY + 1))
    said = 'Anything that needs review is under "Field work" on the board.\n'

    def taken(*ops: dict[str, Any], shots: dict[str, bytes] | None = None) -> str:
        path.write_bytes(file_of(luis, list(ops), shots or {}, whose))
        done = runner.invoke(cli, ["device", "import", str(path)])
        assert done.exit_code == 0
        return done.output

    assert taken() == "The file is empty.\n"
    assert taken(note) == "Updates: 1 done.\n"
    once = "Updates: 1 done, 1 set aside for review, 1 waiting for an earlier step.\n"
    waits = 'Work waiting for an earlier step moves to "Field work" after three days.\n'
    assert taken(note, late, odd) == f"{once}1 of these was already here.\n{said}{waits}"
    assert taken(note, late, odd) == f"{once}All of them were already here.\n{said}{waits}"
    assert taken(large, close, shots={PHOTO: data}) == (
        "Updates: 1 done, 1 too large.\nUnreadable photos: 1. If the phone still works, they're on it.\n"
    )
    with transaction(engine) as s:
        s.get_one(Device, luis.device).revoked_at = clock()
    assert taken(luis.op("note", job)) == f"Updates: 1 waiting for a supervisor.\n{said}"


def test_what_was_seen_to_already_sends_nobody_to_the_board(
    engine: Engine, luis: Phone, lamp: str, clock: Clock, tmp_path: Path, runner: CliRunner
) -> None:
    late = luis.op("note", luis.job(lamp)) | {"prev": str(uuid.uuid4())}
    path = tmp_path / "outbox.json"
    path.write_bytes(file_of(luis, [late], {}, person(engine, "luis@city.test")))
    runner.invoke(cli, ["device", "import", str(path)])
    with transaction(engine) as s:
        row = s.get_one(SyncOperation, late["id"])
        row.review = "held"
        review.dismiss(s, row, by=Actor("test", frozenset({DISPATCHER})), at=clock())
    done = runner.invoke(cli, ["device", "import", str(path)])
    assert done.output == "Updates: 1 reviewed and dismissed.\nAll of them were already here.\n"


def test_there_are_words_for_all_that_becomes_of_carried_work() -> None:
    assert {*protocol.RESULTS, *file_import.ENDED, "too_large"} - BECAME.keys() == {protocol.RETRY}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a', "it's incomplete"),
        ("{}", "a different kind of file"),
        (json.dumps(EMPTY | {"cityline": "inbox"}), "a different kind of file"),
        (json.dumps(EMPTY | {"device": "\0"}), "a different kind of file"),
        (json.dumps(EMPTY | {"protocol": 7}), "a different Cityline release"),
        (json.dumps(EMPTY), "isn't known here"),
    ],
)
def test_why_a_file_is_not_taken_is_told_in_words(
    tmp_path: Path, runner: CliRunner, engine: Engine, text: str, said: str
) -> None:
    path = tmp_path / "outbox.json"
    path.write_text(text)
    done = runner.invoke(cli, ["device", "import", str(path)])
    assert (done.exit_code, said in done.output) == (1, True)


def test_a_busy_database_is_said_and_the_file_can_be_taken_again(
    engine: Engine, luis: Phone, tmp_path: Path, runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise push.Busy

    monkeypatch.setattr(file_import, "import_file", busy)
    path = tmp_path / "cityline-outbox.json"
    path.write_bytes(file_of(luis, [], {}, person(engine, "luis@city.test")))
    done = runner.invoke(cli, ["device", "import", str(path)])
    assert (done.exit_code, "The database is busy. Import " in done.output and "again" in done.output) == (
        1,
        True,
    )
