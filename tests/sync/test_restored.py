"""The city's memory goes back while phones work: what they did since the backup comes back, photos too."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from phones import DANA, Clock, Phone, Resident, case_of, declare, make_lamp, picture, report
from sqlalchemy import Engine, func, select

from city.audit import events
from city.db import engine as db
from city.db.models import Device, EnrolmentCode, Photo, Report, SyncOperation
from city.operations import backup, dumps, restore
from city.people import accounts
from city.photos import photos, storage
from city.reports import intake
from city.settings import Settings
from pwa.app import create_app
from sync import devices, enrolment, review

pytestmark = pytest.mark.both_databases

CASES = 20  # of each crew's; five operations a case


class Careful:
    """What a phone does about `safe` and `back`: it keeps what was taken, and sends it again when told."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.sent: list[tuple[dict[str, Any], int, dict[str, bytes]]] = []

    def exchange(self, *ops: dict[str, Any], bytes_of: dict[str, bytes] | None = None) -> dict[str, Any]:
        answer = self.phone.exchange(*ops)
        assert [r["result"] for r in answer["results"]] == ["applied"] * len(ops), answer["results"]
        upto = max(self.phone.cursors.values())
        self.sent += [(op, upto, bytes_of or {}) for op in ops]
        if "back" in answer:
            self._again(answer["back"])
        else:
            self.sent = [entry for entry in self.sent if entry[1] >= answer["safe"]]
        return answer

    def _again(self, back: int) -> None:
        lost = [entry for entry in self.sent if entry[1] >= back]
        self.sent = [entry for entry in self.sent if entry[1] < back]
        for op, _, kept in lost:
            for photo_id, data in kept.items():
                self.phone.upload(data, photo_id)
            self.exchange(op, bytes_of=kept)

    def work(self, number: str, shade: int) -> None:
        """A whole job: begun, a note, a photo, minutes, closed with a photo."""
        job = self.phone.job(number)
        for t, told in (("start", {}), ("note", {"words": f"at {number}"}), ("time", {"minutes": 5})):
            self.exchange(self.phone.op(t, job, **told))
        for n, (t, told) in enumerate((("photo", {}), ("close", {"outcome": "fixed"}))):
            data = picture(shade * 2 + n)
            declared = self.phone.upload(data)
            op = self.phone.op(t, job, photos=[declared], **told)
            self.exchange(op, bytes_of={declared["id"]: data})


@pytest.mark.slow
@pytest.mark.parametrize("way", ["by hand", "restore"])
def test_a_hundred_operations_since_the_backup_come_back(
    app: Flask, engine: Engine, settings: Settings, luis: Phone, clock: Clock, tmp_path: Path, way: str
) -> None:
    numbers = [make_lamp(engine, clock) for _ in range(CASES + 1)]
    crew = Careful(luis)
    crew.work(numbers[0], 0)  # what the backup holds too
    to, store = tmp_path / "backups", storage.open_store(settings)
    backup.make(engine, settings, store, to, at=clock.tick(minutes=1))
    by_hand = tmp_path / "by-hand"
    if way == "by hand":
        keep(engine, settings, by_hand)
    crew.exchange()
    assert crew.sent != []  # not yet: nothing lies beyond the backup
    for shade, number in enumerate(numbers[1:], 1):
        crew.work(number, shade)
    assert len(crew.sent) >= 5 * CASES
    before = told(engine, numbers)

    app.extensions["cityline"].engine.dispose()
    engine.dispose()
    if way == "by hand":
        bring(engine, settings, by_hand)
    else:
        restore.restore(settings, to, store, over=True, at=clock.tick(minutes=1))
    assert told(engine, numbers) != before
    engine.dispose()

    clock.tick(minutes=1)
    again = create_app(settings, now=clock)
    luis.http = moved(luis, again)
    assert crew.exchange()["reset"] != []
    assert crew.exchange()["reset"] == []

    assert told(engine, numbers) == before
    with db.read_session(engine) as s:
        assert events.verify(s) == []
        assert s.scalar(select(func.count()).select_from(SyncOperation)) == 5 * (CASES + 1)
        stored = list(s.scalars(select(Photo)))
        assert len(stored) == 2 * (CASES + 1)
        for photo in stored:
            assert photo.case_id is not None
            for size, name in photo.sizes.items():
                assert hashlib.sha256(photos.read(store, settings.var, photo, size)).hexdigest() == name
    again.extensions["cityline"].engine.dispose()


def test_a_phone_that_was_shut_out_since_the_backup_stays_so(
    app: Flask, engine: Engine, settings: Settings, luis: Phone, clock: Clock, tmp_path: Path
) -> None:
    store = storage.open_store(settings)
    with db.transaction(engine) as s:
        luis_himself = accounts.by_email(s, "luis@city.test")
        assert luis_himself
        enrolment.make_code(s, luis_himself, by=DANA, at=clock())
    backup.make(engine, settings, store, tmp_path / "backups", at=clock.tick(minutes=1))
    with db.transaction(engine) as s:
        devices.revoke(s, settings.var, s.get_one(Device, luis.device), by=DANA, at=clock.tick(minutes=1))
    app.extensions["cityline"].engine.dispose()
    engine.dispose()
    done = restore.restore(settings, tmp_path / "backups", store, over=True, at=clock.tick(minutes=1))
    assert done.shut_out_again == 1
    again = create_app(settings, now=clock)
    luis.http = moved(luis, again)
    assert luis.exchange()["auth"] == "revoked"
    with db.read_session(engine) as s:
        assert events.verify(s) == []
        assert s.scalars(select(EnrolmentCode)).all() == [], "it may have been used since"
    again.extensions["cityline"].engine.dispose()


def test_a_residents_report_since_the_backup_comes_back(
    app: Flask, engine: Engine, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    nia = Resident(app, clock)
    before = report(nia, words="Before")
    nia.exchange(before)
    keep(engine, settings, tmp_path / "before")
    data = picture()
    shot = declare(data)
    after = report(nia, words="After", photos=[shot])
    answer = nia.exchange(after)
    assert answer["want"] == [shot["id"]]
    nia.upload(data, shot["id"])
    heard = {"epoch": answer["epoch"], "upto": answer["log"]}
    assert "back" not in nia.exchange(heard=heard)

    again = gone_back(app, engine, settings, tmp_path / "before", nia, clock)
    assert "back" in nia.exchange(heard=heard)
    answer = nia.exchange(before, after)
    assert ([r["result"] for r in answer["results"]], answer["want"]) == (["applied"] * 2, [shot["id"]])
    nia.upload(data, shot["id"])
    with db.read_session(engine) as s:
        assert sorted(s.scalars(select(Report.words))) == ["After", "Before"]
        assert s.scalars(select(Photo.upload_sha256)).one() == shot["sha256"]
    again.extensions["cityline"].engine.dispose()


def test_what_was_erased_since_the_backup_does_not_come_back_from_its_phone(
    app: Flask, engine: Engine, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    to, store = tmp_path / "backups", storage.open_store(settings)
    nia, data = Resident(app, clock), picture()
    nia.exchange(report(nia, words="Before"))
    backup.make(engine, settings, store, to, at=clock.tick(minutes=1))
    told_once = report(nia, words="My name is on the gate", photos=[declare(data)])
    nia.exchange(told_once)
    with db.transaction(engine) as s:
        erased = s.scalars(select(Report).where(Report.words != "Before")).one()
        assert intake.erase(s, erased, store, settings.var, by=DANA, at=clock())
    app.extensions["cityline"].engine.dispose()
    engine.dispose()
    for _ in range(2):
        restore.restore(settings, to, store, over=True, at=clock.tick(minutes=1))

    again = create_app(settings, now=clock)
    nia.http = moved(nia, again)
    answer = nia.exchange(told_once)
    told_now = [(r["result"], r["why"]) for r in answer["results"]]
    assert (told_now, answer["want"]) == ([("recorded", "erased")], [])
    with db.read_session(engine) as s:
        assert list(s.scalars(select(Report.words))) == ["Before"]
        assert set(s.scalars(select(SyncOperation.raw))) == {None}
        assert review.count(s) == 1
    assert nia.exchange(told_once)["results"] == answer["results"]
    again.extensions["cityline"].engine.dispose()


def test_a_job_that_was_lost_is_not_taken_for_another_of_the_same_number(
    app: Flask, engine: Engine, settings: Settings, luis: Phone, clock: Clock, tmp_path: Path
) -> None:
    keep(engine, settings, tmp_path / "before")
    clock.tick(minutes=1)
    lost = make_lamp(engine, clock)
    closing = luis.op("close", luis.job(lost), outcome="fixed", no_photo="dark")
    noted = luis.op("note", luis.job(lost), words="A branch hangs over it")

    again = gone_back(app, engine, settings, tmp_path / "before", luis, clock)
    assert make_lamp(engine, clock) == lost  # its number is given once more
    answer = luis.exchange(noted, closing)
    assert {(r["result"], r["why"]) for r in answer["results"]} == {("quarantined", "unknown_assignment")}
    with db.read_session(engine) as s:
        assert case_of(s, lost).state == "assigned"
        assert review.count(s) == 2
    again.extensions["cityline"].engine.dispose()


def told(engine: Engine, numbers: list[str]) -> dict[str, Any]:
    """What the city knows of these cases."""
    found = {}
    with db.read_session(engine) as s:
        for number in numbers:
            case = case_of(s, number)
            shots = s.scalars(select(Photo.upload_sha256).where(Photo.case_id == case.id))
            lines = [(e.kind, e.was, e.now, words) for e, words in events.of(s, f"case:{case.id}")]
            found[number] = (case.state, case.outcome, sorted(shots), lines)
    return found


def keep(engine: Engine, settings: Settings, to: Path) -> None:
    """What an administrator without our command does: cp while everything stands still, or pg_dump."""
    shutil.copytree(settings.var, to / "var")
    if engine.dialect.name == "sqlite":
        engine.dispose()
        with closing(sqlite3.connect(database_file(settings))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(database_file(settings), to / "cityline.db")
    else:
        with dumps.moment(engine, settings.postgres_bin, to):
            pass


def bring(engine: Engine, settings: Settings, kept: Path) -> None:
    """And back: cp, or pg_restore."""
    shutil.rmtree(settings.var)
    shutil.copytree(kept / "var", settings.var)
    if engine.dialect.name == "sqlite":
        path = database_file(settings)
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        shutil.copy(kept / "cityline.db", path)
    else:
        dumps.put_back(
            kept / "cityline.dump", settings.database_owner_url, settings.database_url, settings.postgres_bin
        )
        db.migrate(settings.database_owner_url, settings.database_url)


def gone_back(
    app: Flask, engine: Engine, settings: Settings, kept: Path, phone: Phone, clock: Clock
) -> Flask:
    """The city after its database was put back by hand, with the phone before it."""
    app.extensions["cityline"].engine.dispose()
    engine.dispose()
    bring(engine, settings, kept)
    clock.tick(minutes=1)
    again = create_app(settings, now=clock)
    phone.http = moved(phone, again)
    return again


def database_file(settings: Settings) -> Path:
    return Path(settings.database_url.removeprefix("sqlite:///"))


def moved(phone: Phone, app: Flask) -> Any:
    """The same browser, with its cookies, before the server that was started anew."""
    client = app.test_client()
    client._cookies = phone.http._cookies
    return client
