"""Bytes in the store that no photo names: a real kill leaves them, the sweep takes them, and nothing else."""

import hashlib
import pickle
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import Town
from pictures import encoded, quarters

from city.db.models import Photo
from city.operations import doctor
from city.photos import orphans, photos, storage
from city.photos.processing import Box, process
from city.photos.storage import Store
from city.privacy import redaction

pytestmark = pytest.mark.both_databases

LATER = datetime.now(UTC) + orphans.AGE + timedelta(days=1)  # a whole run takes its time
BOX = Box(0, 50, 50, 50)


@pytest.fixture
def store(town: Town) -> Store:
    return storage.open_store(town.settings)


def sent(town: Town, data: bytes | None = None) -> Photo:
    """A report's photo, in the store."""
    with town.at_work() as scene:
        photo = photos.stage(
            scene.s, town.settings.var, data or encoded(quarters()), staged_for="form:a", at=town.now
        )
        scene.report(taken=[photo])
    photos.move_staged_to_storage(town.engine, storage.open_store(town.settings), town.settings.var, town.now)
    with town.looking() as scene:
        return scene.s.get_one(Photo, photo.id)


def stray(store: Store, *said: str) -> set[str]:
    names = {hashlib.sha256(words.encode()).hexdigest(): words.encode() for words in said}
    for name, data in names.items():
        store.put(name, data)
    return set(names)


def swept(town: Town, store: Store, now: datetime = LATER) -> int:
    return orphans.sweep(town.engine, store, town.settings.var, now)


DIES = """
import os, pickle, signal, sys
from city.db import engine as db
from city.db.models import Photo
from city.photos import photos, storage
from city.privacy import redaction

what, settings, photo_id, by, box, at = pickle.loads(bytes.fromhex(sys.argv[1]))
engine, store = db.connect(settings.database_url), storage.open_store(settings)
with db.read_session(engine) as s:
    photo = s.get_one(Photo, photo_id)

def die(*told):
    os.kill(os.getpid(), signal.SIGKILL)

if what == "redaction":  # the new bytes are there, and no row names them
    redaction.transaction = die
    covered = redaction.redact_copy(photo, [box], store, settings.var)
    redaction.redact(engine, store, settings.var, covered, by=by, at=at)
else:  # erased while it was on its way into the store
    photos._mark_stored = die
    put = photos._put
    def erased_meanwhile(store, var, photo):
        put(store, var, photo)
        with db.transaction(engine) as s:
            s.delete(s.get_one(Photo, photo.id))
    photos._put = erased_meanwhile
    photos.move_staged_to_storage(engine, store, settings.var, at)
"""


def killed(what: str, town: Town, photo: Photo) -> None:
    """Does it in a process of its own, which ends itself half-way."""
    with town.looking() as scene:
        by = scene.actor("dispatcher")
    told = pickle.dumps((what, town.settings, photo.id, by, BOX, town.now)).hex()
    done = subprocess.run([sys.executable, "-c", DIES, told], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
def test_what_a_killed_redaction_put_there_is_swept_and_the_photo_stays(town: Town, store: Store) -> None:
    photo = sent(town)
    killed("redaction", town, photo)
    names = set(photo.sizes.values())
    left = set(store.names()) - names
    assert left

    assert swept(town, store, datetime.now(UTC)) == 0  # it might still be under way
    assert swept(town, store) == len(left)
    assert set(store.names()) == names
    assert all(photos.is_whole(store, name) for name in photo.sizes.values())
    assert swept(town, store) == 0


@pytest.mark.slow
def test_what_was_erased_on_its_way_into_the_store_is_swept(town: Town, store: Store) -> None:
    with town.at_work() as scene:
        photo = scene.photo()
        scene.report(taken=[photo])
    killed("settling", town, photo)
    names = set(photo.sizes.values())
    assert set(store.names()) == names

    assert swept(town, store) == len(names)
    assert list(store.names()) == []


def test_what_was_half_written_goes_too(town: Town, store: Store) -> None:
    [name] = stray(store, "a lamp")
    [file] = Path(town.settings.photo_store.removeprefix("file:")).glob("*/*/*.jpg")
    file.rename(file.with_suffix(".123.part"))
    assert swept(town, store) == 1
    assert list(store.names()) == []
    assert not store.has(name)


def test_the_photos_of_reports_on_their_way_are_no_strays(town: Town, store: Store) -> None:
    with town.at_work() as scene:
        photo = scene.photo()
        scene.report(taken=[photo])
    for size, name in photo.sizes.items():  # all but the mark in its row
        store.put(name, photos.read(store, town.settings.var, photo, size))
    assert swept(town, store) == 0
    assert photos.move_staged_to_storage(town.engine, store, town.settings.var, town.now) == 1


def test_a_photo_that_two_cases_show_stays_while_one_does(town: Town, store: Store) -> None:
    first = sent(town)
    with town.at_work() as scene:
        photo = photos.stage(
            scene.s, town.settings.var, encoded(quarters()), staged_for="form:b", at=town.now
        )
        scene.report(taken=[photo])
    photos.move_staged_to_storage(town.engine, store, town.settings.var, town.now)
    with town.at_work() as scene:
        scene.s.delete(scene.s.get_one(Photo, first.id))
    assert swept(town, store) == 0
    assert set(store.names()) == set(first.sizes.values())


def test_a_store_is_gone_through_a_part_a_day(
    town: Town, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = sent(town)
    left = stray(store, *(f"lamp {n}" for n in range(5)))
    monkeypatch.setattr(orphans, "AT_ONCE", 3)
    in_order = sorted(left | set(photo.sizes.values()))
    for day in range(3):
        expected = left & set(in_order[3 * day : 3 * day + 3])
        assert swept(town, store) == len(expected)
        left -= expected
        assert set(store.names()) == left | set(photo.sizes.values())
    assert left == set()
    new = stray(store, "one more lamp")
    assert sum(swept(town, store) for _ in range(2)) == 1  # it begins anew
    assert not new & set(store.names())


def test_where_much_seems_left_over_the_database_may_be_the_wrong_one(
    town: Town, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    left = stray(store, *(f"lamp {n}" for n in range(orphans.FEW + 1)))
    assert swept(town, store) == 0
    assert "Does this storage belong to this database?" in caplog.text
    assert set(store.names()) == left


def test_of_more_than_a_few_none_goes_however_large_the_store(
    town: Town, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(12):
        sent(town, encoded(quarters((600 + n, 400))))
    left = stray(store, "a lamp", "another lamp")
    assert len(list(store.names())) > 10 * len(left)
    monkeypatch.setattr(orphans, "FEW", 1)
    assert swept(town, store) == 0
    assert left <= set(store.names())


def test_for_a_month_after_a_restore_nothing_goes(town: Town, store: Store) -> None:
    left = stray(store, "a lamp")
    orphans.hold(town.settings.var)
    assert swept(town, store) == 0
    assert swept(town, store, datetime.now(UTC) + timedelta(days=30)) == 0
    assert set(store.names()) == left
    assert swept(town, store, datetime.now(UTC) + timedelta(days=32)) == 1


def test_an_upload_of_the_same_bytes_in_that_moment_keeps_them(
    town: Town, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.store_sizes(store, process(encoded(quarters())))  # a day ago, and its process was killed
    left = set(store.names())
    uploaded: list[Photo] = []

    class Slow(storage.FolderStore):
        def delete(self, name: str) -> None:
            if not uploaded:
                uploaded.append(sent(town))  # which finds them there, and puts none
            super().delete(name)

    swept(town, Slow(Path(town.settings.photo_store.removeprefix("file:"))))
    assert set(uploaded[0].sizes.values()) == left
    assert all(photos.is_whole(store, name) for name in left)


def test_the_doctor_counts_them(town: Town, store: Store) -> None:
    names = set(sent(town).sizes.values())
    stray(store, "a lamp")

    def found(now: datetime, *, whole: bool) -> list[doctor.Finding]:
        findings = doctor.examine(town.engine, town.settings, store, now, whole=whole)
        return [finding for finding in findings if finding.what == "strays"]

    assert found(LATER, whole=False) == []
    [young] = found(datetime.now(UTC), whole=True)
    assert young.mark == doctor.OK
    [old] = found(LATER, whole=True)
    assert (old.mark, old.words) == (
        doctor.LOOK,
        f"Files in photo storage older than a day: {len(names) + 1}. Not needed by any photo: 1.",
    )


def test_bytes_found_from_a_killed_try_are_there_after_the_next_one(
    town: Town, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = sent(town)
    covered = redaction.redact_copy(photo, [BOX], store, town.settings.var)
    photos.store_sizes(store, covered.new)  # a day ago, and its process was killed
    keep, gone = photos.store_sizes, []

    def kept(*told: Any) -> list[str]:
        names = keep(*told)
        if not gone:
            gone.append(swept(town, store))
        return names

    with town.looking() as scene:
        by = scene.actor("dispatcher")
    monkeypatch.setattr(photos, "store_sizes", kept)
    redaction.redact(town.engine, store, town.settings.var, covered, by=by, at=town.now)
    assert gone == [len(set(photos.names_of(covered.new).values()))]
    assert set(store.names()) == set(photos.names_of(covered.new).values())
