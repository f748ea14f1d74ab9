"""A backup holds the whole city at one moment; put back, nothing is missing and nothing erased returns."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import factories
import psycopg
import pytest
from click.testing import CliRunner
from factories import SECRET, Town
from sqlalchemy import Engine, func, inspect, make_url, select, text

from city.audit import erasure_ledger, events
from city.cases import numbers as case_numbers
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Backup, Case, Epoch, EventDetail, EventSequence, Person, Photo, Report
from city.lifecycle import Refused
from city.notifications import fan_out
from city.operations import backup, doctor, dumps, restore
from city.photos import orphans, photos, processing, storage
from city.photos.storage import FolderStore
from city.places.lookup import Place
from city.reports import intake
from city.settings import Settings
from pwa.app import create_app
from pwa.cli.main import cli, main
from sync import server_epoch

pytestmark = pytest.mark.both_databases

WORDS = "the canary sings at the corner"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def lived_in(town: Town) -> None:
    """Three reports; one photo in the store, one on its way there, one in a form not sent off yet."""
    for n, colour in enumerate(("navy", "teal")):
        with town.at_work() as scene:
            photo = scene.photo(colour, f"form:{n}")
            scene.report(words=f"{WORDS} {n}", taken=[photo])
        if n == 0:
            photos.move_staged_to_storage(town.engine, store_of(town.settings), town.settings.var, town.now)
    with town.at_work() as scene:
        scene.photo("plum", "form:open")
        scene.report(words="no photo")


def store_of(settings: Settings) -> storage.Store:
    return storage.open_store(settings)


def make(town: Town, to: Path, **later: float) -> tuple[Path, backup.Manifest]:
    at = town.now + timedelta(**later)
    return backup.make(town.engine, town.settings, store_of(town.settings), to, at=at)


def put_back(settings: Settings, source: Path, town: Town, **told: Any) -> restore.Restored:
    told = {"over": False, "at": town.now + timedelta(days=1)} | told
    return restore.restore(settings, source, store_of(settings), **told)


def assert_whole(settings: Settings) -> None:
    """The log verifies, and every photo that a row names is where the row says."""
    engine = db.connect(settings.database_url)
    with db.read_session(engine) as s:
        assert events.verify(s) == []
        for photo in s.scalars(select(Photo)):
            for size, name in photo.sizes.items():
                jpeg = photos.read(store_of(settings), settings.var, photo, size)
                assert hashlib.sha256(jpeg).hexdigest() == name
    engine.dispose()


def everything(engine: Engine, *but: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with engine.connect() as c:
        return {
            name: sorted(map(tuple, c.execute(text(f'SELECT * FROM "{name}"'))), key=repr)
            for name in db_tables(engine)
            if name not in but
        }


def db_tables(engine: Engine) -> list[str]:
    return sorted(inspect(engine).get_table_names())


def test_all_of_it_comes_back_on_a_new_machine(town: Town, to: Path, elsewhere: Settings) -> None:
    lived_in(town)
    with town.at_work() as scene:
        text_of_city = town.settings.city.read_text()
        config_versions.publish(
            scene.s, text_of_city, "city.toml", by=scene.actor("administrator"), at=town.now
        )
    folder, manifest = make(town, to)
    before = everything(town.engine, "backups", "epochs", "counters")

    done = put_back(elsewhere, to, town)

    assert (done.folder, done.lost, done.erased_again) == (folder, [], 0)
    assert (done.own_secret, done.other_city) == (False, False)
    restored = db.connect(elsewhere.database_url)
    assert everything(restored, "backups", "epochs", "counters") == before
    if restored.dialect.name == "postgresql":  # it plans for what came back
        with db.read_session(restored) as s:
            assert s.scalar(text("SELECT count(*) FROM pg_stats WHERE tablename = 'reports'"))
    restored.dispose()
    assert_whole(elsewhere)
    assert (elsewhere.var / "secret_key").read_text() == town.settings.secret_key
    assert (folder / "city.toml").read_text() == text_of_city
    assert manifest.counts["photos"] == 3
    assert not (elsewhere.var / restore.MARK).exists()


@pytest.mark.parametrize("days", [1, 400])
def test_no_number_that_was_given_since_the_backup_is_given_again(town: Town, to: Path, days: int) -> None:
    with town.at_work() as scene:
        for n in range(3):
            scene.report(words=f"here {n}")
    make(town, to)
    later = town.now + timedelta(days=days)
    with town.at_work() as scene:
        for at in (town.now, later):
            given = case_numbers.reserve(scene.s, at.year, 400)
    town.engine.dispose()
    put_back(town.settings, to, town, over=True, at=later)
    with town.at_work() as scene:
        number = scene.report(words="new", at=later).case.number
        assert int(number[3:]) > given[-1]
        assert number == case_numbers.named(later.year, 1001), "a round number, that anybody can tell apart"
        assert scene.report(words="next", at=later).case.number == case_numbers.named(later.year, 1002)


@pytest.mark.parametrize(("cases", "first"), [(987, 1001), (988, 2001)])
def test_as_many_numbers_are_left_out_as_a_city_of_its_size_may_have_given(
    town: Town, cases: int, first: int
) -> None:
    with town.at_work() as scene:
        at = town.now
        for n in range(4):
            scene.report(words=f"here {n}", at=at - timedelta(days=n))
        s = scene.s
        case_numbers.reserve(s, at.year, cases)
        case_numbers.skip_after_restore(s, at - timedelta(hours=1), at)
        assert case_numbers.reserve(s, at.year)[0] == first


def test_photos_younger_than_the_backup_that_is_put_back_stay_in_the_store(town: Town, to: Path) -> None:
    lived_in(town)
    make(town, to)
    store, name = store_of(town.settings), hashlib.sha256(b"a lamp").hexdigest()
    store.put(name, b"a lamp")
    town.engine.dispose()
    put_back(town.settings, to, town, over=True)
    later = datetime.now(UTC) + 2 * orphans.AGE
    assert orphans.count(town.engine, store, later)[0] == 1
    assert orphans.sweep(town.engine, store, town.settings.var, later) == 0
    assert store.has(name)


def test_the_folder_of_a_backup_is_for_its_owner_only(town: Town, to: Path) -> None:
    folder, _ = make(town, to)
    assert to.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_phones_may_forget_what_a_backup_holds_and_no_more(town: Town, to: Path) -> None:
    lived_in(town)
    with town.looking() as scene:
        assert server_epoch.read(scene.s, town.now).safe == 0
        clock = scene.s.scalar(select(EventSequence.n))
    _, manifest = make(town, to)
    with town.at_work() as scene:
        scene.report(words="later")
    with town.looking() as scene:
        assert manifest.seq == clock == server_epoch.read(scene.s, town.now).safe
        assert scene.s.scalar(select(EventSequence.n)) > clock


def test_a_second_backup_copies_only_what_is_new(
    town: Town, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(town)
    make(town, to)
    with town.at_work() as scene:
        scene.report(taken=[scene.photo("gold", "form:new")])
    put: list[str] = []
    really = FolderStore.put
    monkeypatch.setattr(
        FolderStore, "put", lambda self, name, data: (put.append(name), really(self, name, data))
    )
    make(town, to, days=1)
    assert len(put) == 2  # the sizes of one small photo, of which two are the same
    assert len(backup.complete(to)) == 2


@pytest.mark.slow
def test_old_backups_go_with_the_photos_that_only_they_name(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    lived_in(town)
    first, _ = make(town, to)
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report).where(Report.words == f"{WORDS} 0")).one()
        [photo] = report.photos
        names = list(photo.sizes.values())
        store = store_of(town.settings)
        intake.erase(scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    second, _ = make(town, to, days=1)
    pool = FolderStore(to / "photos")
    assert all(pool.has(name) for name in names)
    assert backup.forget_all_but(to, 1) == 1
    assert backup.complete(to) == [second]
    assert not first.exists()
    assert not any(pool.has(name) for name in names)
    put_back(elsewhere, to, town)
    assert_whole(elsewhere)


def test_what_was_erased_is_in_no_free_page_of_a_backup(town: Town, to: Path) -> None:
    lived_in(town)
    with town.at_work() as scene:
        for report in scene.s.scalars(select(Report)).all():
            intake.erase(
                scene.s, report, store_of(town.settings), town.settings.var,
                by=scene.actor("dispatcher"), at=town.now,
            )  # fmt: skip
    folder, _ = make(town, to)
    assert WORDS.encode() not in (folder / dumps.FILES[town.engine.dialect.name]).read_bytes()


@pytest.mark.parametrize("source", ["beside the backups", "in the var folder", "named"])
@pytest.mark.slow
def test_what_was_erased_since_is_erased_again(
    town: Town, to: Path, elsewhere: Settings, source: str, tmp_path: Path
) -> None:
    lived_in(town)
    first, _ = make(town, to)
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report).where(Report.words == f"{WORDS} 0")).one()
        number, [photo] = report.number, report.photos
        names = list(photo.sizes.values())
        store = store_of(town.settings)
        intake.erase(scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    kept = town.settings.var / erasure_ledger.NAME
    lists: list[Path] = []
    if source == "beside the backups":
        make(town, to, days=1)
    elif source == "in the var folder":
        (elsewhere.var / erasure_ledger.NAME).write_bytes(kept.read_bytes())
    else:
        lists = [kept.rename(tmp_path / "kept.jsonl")]

    done = put_back(elsewhere, first, town, lists=lists)

    assert done.erased_again == 1
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        report = s.scalars(select(Report).where(Report.number == number)).one()
        assert (report.words, report.photos, report.erased_at is not None) == ("", [], True)
        assert s.scalar(select(func.count()).where(Report.words == f"{WORDS} 1")) == 1
        assert not [d for d in s.scalars(select(EventDetail)) if f"{WORDS} 0" in d.text]
    engine.dispose()
    assert not any(store_of(elsewhere).has(name) for name in names)
    assert_whole(elsewhere)


def test_a_number_that_was_given_again_is_not_erased(town: Town, to: Path, elsewhere: Settings) -> None:
    lived_in(town)
    with town.looking() as scene:
        number = scene.s.scalars(select(Report.number)).first()
    lines = [erasure_ledger.Erased(number, hashlib.sha256(b"another life").hexdigest(), town.now.isoformat())]
    make(town, to)
    erasure_ledger.write(elsewhere.var / erasure_ledger.NAME, lines)
    assert put_back(elsewhere, to, town).erased_again == 0


def test_half_a_line_of_the_list_spoils_no_other(town: Town) -> None:
    lived_in(town)
    with town.looking() as scene:
        one, two, *_ = scene.s.scalars(select(Report)).all()
    erasure_ledger.append_report(town.settings.var, one, town.now)
    kept = town.settings.var / erasure_ledger.NAME
    kept.write_bytes(kept.read_bytes() + b'{"report": "26-0')
    erasure_ledger.append_report(town.settings.var, two, town.now + timedelta(seconds=1))
    assert [erased.report for erased in erasure_ledger.read([kept, kept])] == [one.number, two.number]


BAD_LINES = {
    "no moment": '{"report": "26-000001-A", "key": "KEY64", "at": "yesterday"}',
    "no zone": '{"report": "26-000001-A", "key": "KEY64", "at": "2026-05-12T02:30:00"}',
    "before all time": '{"report": "26-000001-A", "key": "KEY64", "at": "0001-01-01T00:00:00+09:00"}',
    "a number for a moment": '{"contact": "KEY64", "at": 7}',
    "no moment at all": '{"contact": "KEY64"}',
    "a word for whether it is held": '{"hold": "26-000001", "key": "KEY64", "placed": "false", "at": "AT"}',
    "an endless id": '{"person": 1e400, "salt": "SALT", "key": "KEY128", "at": "AT"}',
    "an id that no database has": f'{{"person": {2**70}, "salt": "SALT", "key": "KEY128", "at": "AT"}}',
    "an id that is none": '{"person": true, "salt": "SALT", "key": "KEY128", "at": "AT"}',
    "a salt that is none": '{"wishes": [1], "salt": "pepper", "key": "KEY128", "at": "AT"}',
    "a word for many ids": '{"wishes": "12", "salt": "SALT", "key": "KEY128", "at": "AT"}',
    "a long hash": '{"report": "26-000001-A", "key": "KEY128", "at": "AT"}',
    "a NUL": '{"photo": "\\u0000", "became": "a", "boxes": [], "at": "AT"}',
    "a box without edges": '{"photo": "a", "became": "b", "boxes": [[NaN, 1, 2, 3]], "at": "AT"}',
    "a number for a name": '{"case": 7, "key": "KEY64", "places": "exact", "at": "AT"}',
    "a list": "[]",
    "a number": "7",
    "depths": "[" * 100_000 + "]" * 100_000,
}


def test_lines_that_say_nothing_we_know_are_named_and_stop_no_restore(
    town: Town, to: Path, elsewhere: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    lived_in(town)
    make(town, to)
    with town.looking() as scene:
        report = scene.s.scalars(select(Report)).first()
    bad, at = "\n".join([*BAD_LINES.values(), ""]), town.now.isoformat()
    for name, told in (("KEY64", "a" * 64), ("KEY128", "a" * 128), ("SALT", "a" * 32), ("AT", at)):
        bad = bad.replace(f'"{name}"', f'"{told}"')
    kept = elsewhere.var / erasure_ledger.NAME
    kept.write_text(bad)
    erasure_ledger.append_report(elsewhere.var, report, town.now)
    assert put_back(elsewhere, to, town).erased_again == 1
    for nth, which in enumerate(BAD_LINES, 1):
        assert f"{kept}: line {nth} can't be read and was skipped" in caplog.text, which
    assert kept.read_text().startswith(bad)  # for whoever looks into it


def test_lines_come_in_the_order_of_their_moments_whatever_their_zone(tmp_path: Path) -> None:
    first, second = (f'{{"contact": "{digit * 64}", "at": "2026-05-12TAT"}}\n' for digit in "ab")
    kept = tmp_path / erasure_ledger.NAME
    kept.write_text(second.replace("AT", "02:30:00Z") + first.replace("AT", "03:30:00+02:00"))
    assert [line.at for line in erasure_ledger.read([kept])] == [
        "2026-05-12T01:30:00+00:00", "2026-05-12T02:30:00+00:00",
    ]  # fmt: skip


def test_a_damaged_backup_is_refused_by_name_and_changes_nothing(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    lived_in(town)
    folder, _ = make(town, to)
    first, second, *_ = sorted((to / "photos").glob("*/*/*.jpg"))
    first.write_bytes(b"not a photo any more")
    second.unlink()
    (folder / "secret_key").unlink()
    file = dumps.FILES[town.engine.dialect.name]
    with (folder / file).open("r+b") as opened:
        opened.seek(1000)
        opened.write(b"rot")
    fresh = db.connect(elsewhere.database_url)
    before = everything(fresh)
    with pytest.raises(restore.Damaged) as refused:
        put_back(elsewhere, to, town)
    assert sorted(refused.value.faults) == sorted(
        [f"{file}: changed", "secret_key: missing", f"photo {first.stem}: changed",
         f"photo {second.stem}: missing"]
    )  # fmt: skip
    assert everything(fresh) == before
    fresh.dispose()
    assert sorted(p.name for p in elsewhere.var.iterdir()) == ["secret_key"]


def test_a_manifest_that_leaves_the_database_out_is_refused(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    """It would be put back without a look."""
    folder, _ = make(town, to)
    told = json.loads((folder / backup.MANIFEST).read_text())
    del told["files"][dumps.FILES[town.engine.dialect.name]]
    (folder / backup.MANIFEST).write_text(json.dumps(told))
    with pytest.raises(Refused, match="backup_unreadable"):
        put_back(elsewhere, to, town)


def spoilt(folder: Path, how: str) -> None:
    """An older backup as a failing disk or a careless hand leaves it."""
    manifest, names = folder / backup.MANIFEST, folder / backup.PHOTOS
    if how == "cut":
        names.write_text(names.read_text()[:70])
    elif how == "a photo named less":
        names.write_text("".join(names.read_text().splitlines(keepends=True)[1:]))
    elif how == "binary":
        names.write_bytes(b"\xff\xfe\x00")
    elif how == "no list":
        names.unlink()
    elif how == "a folder":
        names.unlink()
        names.mkdir()
    elif how == "a pipe":
        names.unlink()
        os.mkfifo(names)
    elif how == "no manifest to read":
        manifest.write_text("{")


@pytest.mark.parametrize(
    "how",
    ["cut", "a photo named less", "binary", "no list", "a folder", "a pipe", "no manifest to read"],
)
@pytest.mark.slow
def test_a_damaged_older_backup_is_named_and_hinders_no_later_one(
    town: Town, to: Path, elsewhere: Settings, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    lived_in(town)
    first, _ = make(town, to)
    kept = set(FolderStore(to / backup.POOL).names())
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report).where(Report.words == f"{WORDS} 0")).one()
        store = store_of(town.settings)
        intake.erase(scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    spoilt(first, how)

    second, _ = make(town, to, days=1)

    with town.looking() as scene:
        rows = scene.s.scalars(select(Backup).order_by(Backup.id)).all()
        assert [row.folder for row in rows] == [str(first), str(second)]
    assert f"{first} is damaged" in caplog.text
    assert kept <= set(FolderStore(to / backup.POOL).names())
    assert put_back(elsewhere, to, town).folder == second
    # Once it has gone there is order again.
    for n in (2, 3):
        make(town, to, days=n)
    assert backup.forget_all_but(to, 3) == 1
    assert not first.exists()
    assert not kept <= set(FolderStore(to / backup.POOL).names())


@pytest.mark.slow
def test_a_damaged_backup_pushes_no_good_one_out(town: Town, to: Path) -> None:
    lived_in(town)
    first, second, third = (make(town, to, days=n)[0] for n in range(3))
    spoilt(third, "no list")
    assert backup.forget_all_but(to, 1) == 1
    assert [first.exists(), second.exists(), third.exists()] == [False, True, True]


def test_photos_that_cannot_be_cleared_away_spoil_no_backup(
    town: Town, to: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lived_in(town)
    make(town, to)
    (to / "photos" / "ab" / "cd").mkdir(parents=True)
    (to / "photos" / "ab" / "cd" / "holiday.jpg").write_bytes(b"of somebody else")
    stray = "abcd" + "0" * 60
    (to / "photos" / "ab" / "cd" / f"{stray}.jpg").write_bytes(b"no backup names it")

    def full(self: FolderStore, name: str) -> None:
        raise storage.StoreDown("Read-only file system")

    monkeypatch.setattr(FolderStore, "delete", full)
    make(town, to, days=1)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Backup)) == 2
    assert "Read-only file system" in caplog.text


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"format": "1"}, "format isn't of type int"),
        ({"format": True}, "format isn't of type int"),
        ({"format": 0}, "out of range"),
        ({"schema": ["0001"]}, "schema isn't of type str"),
        ({"seq": 1.5}, "seq isn't of type int"),
        ({"seq": -1}, "out of range"),
        ({"seq": 10**30}, "out of range"),
        ({"made_at": "yesterday"}, "isoformat"),
        ({"made_at": 20260512}, "made_at isn't of type str"),
        ({"made_at": "2026-05-12T13:30:00"}, "no time zone"),
        ({"made_at": "0001-01-01T00:00:00+14:00"}, ""),
        ({"counts": []}, "counts isn't of type dict"),
        ({"counts": {"cases": "many"}}, "cases isn't of type int"),
        ({"files": ["photos.txt"]}, "files isn't of type dict"),
        ({"missing": "none"}, "missing isn't of type list"),
        ({"missing": [7]}, "missing"),
        ({"more": 1}, "more"),
    ],
)
def test_a_manifest_of_another_shape_is_refused_in_words(
    town: Town, to: Path, elsewhere: Settings, changes: dict[str, Any], word: str
) -> None:
    folder, _ = make(town, to)
    told = json.loads((folder / backup.MANIFEST).read_text())
    (folder / backup.MANIFEST).write_text(json.dumps(told | changes))
    with pytest.raises(Refused, match="backup_unreadable") as refused:
        put_back(elsewhere, to, town)
    assert word in refused.value.facts["fault"]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "a/b", "", "nul\0"])
def test_a_manifest_names_only_what_lies_in_its_folder(
    town: Town, to: Path, elsewhere: Settings, name: str
) -> None:
    folder, _ = make(town, to)
    told = json.loads((folder / backup.MANIFEST).read_text())
    told["files"][name] = "0" * 64
    (folder / backup.MANIFEST).write_text(json.dumps(told))
    with pytest.raises(Refused, match="backup_unreadable"):
        put_back(elsewhere, to, town)


@pytest.mark.parametrize("text", ["[]", "null", "7", "[" * 100_000, '{"format": 1e400}', '"\\ud800"'])
def test_a_manifest_that_is_no_manifest_is_refused_in_words(
    town: Town, to: Path, elsewhere: Settings, text: str
) -> None:
    folder, _ = make(town, to)
    (folder / backup.MANIFEST).write_text(text)
    with pytest.raises(Refused, match="backup_unreadable"):
        put_back(elsewhere, to, town)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("part", ["manifest.json", "secret_key", "photos.txt", "a photo", "erasures.jsonl"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_at(
    town: Town, to: Path, elsewhere: Settings, part: str
) -> None:
    lived_in(town)
    folder, _ = make(town, to)
    file = {
        "a photo": next((to / "photos").glob("*/*/*.jpg")),
        "erasures.jsonl": to / "erasures.jsonl",
    }.get(part, folder / part)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises((Refused, restore.Damaged, OSError)):
        put_back(elsewhere, to, town)
    assert sorted(p.name for p in elsewhere.var.iterdir()) == ["secret_key"]


def test_a_pipe_among_the_pooled_photos_is_replaced_by_the_next_backup(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    lived_in(town)
    make(town, to)
    photo = next((to / "photos").glob("*/*/*.jpg"))
    photo.unlink()
    os.mkfifo(photo)
    make(town, to, days=1)
    put_back(elsewhere, to, town)
    assert_whole(elsewhere)


def test_a_database_that_the_manifest_does_not_vouch_for_is_not_put_back(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    folder, manifest = make(town, to)
    ours = dumps.FILES[manifest.database]
    other = next(name for name in dumps.FILES.values() if name != ours)
    files = {other if name == ours else name: sha for name, sha in manifest.files.items()}
    (folder / ours).rename(folder / other)
    (folder / ours).write_bytes(b"anything")
    (folder / backup.MANIFEST).write_text(json.dumps(asdict(replace(manifest, files=files))))
    with pytest.raises(Refused, match="backup_unreadable"):
        put_back(elsewhere, to, town)


def test_the_command_says_what_is_wrong_with_a_backup(
    town: Town, to: Path, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = make(town, to)
    (folder / backup.MANIFEST).write_text('{"format": 1, "schema": 7}')
    monkeypatch.setattr(sys, "argv", ["cityline", "restore", str(to)])
    for name in ("var", "database_url", "database_owner_url", "postgres_bin"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(elsewhere, name)))
    said = CliRunner().invoke(click.Command("cityline", callback=main), [])
    assert said.exit_code == 1
    assert f"Can't read the backup {folder} (schema isn't of type str)" in said.output


def test_a_link_in_the_place_of_the_list_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    (tmp_path / "erasures.jsonl").symlink_to(victim)
    erasure_ledger.write(tmp_path / "erasures.jsonl", [])
    assert victim.read_text() == "of somebody else"
    assert not (tmp_path / "erasures.jsonl").is_symlink()


def test_a_database_with_people_in_it_is_replaced_only_when_told(town: Town, to: Path) -> None:
    lived_in(town)
    make(town, to)
    with town.at_work() as scene:
        scene.report(words="after the backup")
    town.engine.dispose()
    looked: list[object] = []
    with pytest.raises(Refused, match="database_not_empty"):
        put_back(town.settings, to, town, told=lambda *each: looked.append(each))
    assert not looked  # said at once, not after an hour of photos
    put_back(town.settings, to, town, over=True)
    with town.looking() as scene:
        assert scene.s.scalar(select(func.count()).select_from(Report)) == 3
        assert scene.s.scalar(select(func.count()).where(Report.words == "after the backup")) == 0
    assert_whole(town.settings)


def test_nothing_is_put_under_a_server_that_still_runs(
    town: Town, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dumps, "LOOKS", 3)
    lived_in(town)
    make(town, to)
    with town.looking() as scene:
        assert scene.s.scalar(select(Person.id).limit(1))
        with pytest.raises(Refused, match="database_in_use"):
            put_back(town.settings, to, town, over=True)
    assert not (town.settings.var / restore.MARK).exists()


@pytest.mark.postgresql
@pytest.mark.parametrize("role", ["database_url", "owner_url"])
@pytest.mark.parametrize("asked", ["DISCARD ALL", "SELECT 1", ""])
def test_what_a_pooler_keeps_open_for_whoever_comes_next_is_no_use(
    town: Town, to: Path, monkeypatch: pytest.MonkeyPatch, role: str, asked: str
) -> None:
    monkeypatch.setattr(dumps, "LOOKS", 3)
    lived_in(town)
    make(town, to)
    town.engine.dispose()
    address = make_url(getattr(town.settings, role)).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as kept:
        if asked:
            kept.execute(asked.encode())
        with pytest.raises(Refused, match="database_in_use") if asked == "SELECT 1" else nullcontext():
            put_back(town.settings, to, town, over=True)


def test_a_broken_database_is_no_reason_to_refuse(town: Town, to: Path) -> None:
    lived_in(town)
    make(town, to)
    town.engine.dispose()
    if town.engine.dialect.name == "sqlite":
        path = Path(town.settings.database_url.removeprefix("sqlite:///"))
        path.write_bytes(b"SQLite format 3\0" + b"\xff" * 50_000)
        path.with_name(f"{path.name}-wal").write_bytes(b"what a killed server left")
    else:
        owner = db.connect(town.settings.database_owner_url)
        with owner.begin() as c:
            c.execute(text("DROP TABLE cases CASCADE"))
        owner.dispose()
    put_back(town.settings, to, town, over=True)
    assert_whole(town.settings)


def test_a_file_of_another_kind_of_database_is_refused(town: Town, to: Path, elsewhere: Settings) -> None:
    folder, manifest = make(town, to)
    other = "sqlite" if manifest.database == "postgresql" else "postgresql"
    (folder / backup.MANIFEST).write_text(json.dumps(asdict(replace(manifest, database=other))))
    with pytest.raises(Refused, match="other_database"):
        put_back(elsewhere, to, town)
    (folder / backup.MANIFEST).write_text(json.dumps(asdict(replace(manifest, schema="9999"))))
    with pytest.raises(Refused, match="backup_too_new"):
        put_back(elsewhere, to, town)
    (folder / backup.MANIFEST).write_text("{")
    with pytest.raises(Refused, match="backup_unreadable"):
        put_back(elsewhere, to, town)


def test_a_restore_is_a_start_before_anything_is_written(town: Town, to: Path, elsewhere: Settings) -> None:
    lived_in(town)
    folder, manifest = make(town, to)
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report).where(Report.words == f"{WORDS} 0")).one()
        store = store_of(town.settings)
        intake.erase(scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    put_back(elsewhere, folder, town, lists=[town.settings.var / erasure_ledger.NAME])
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        assert s.scalars(select(Epoch).order_by(Epoch.at.desc())).first().first_seq == manifest.seq + 1
        assert s.scalar(select(EventSequence.n)) > manifest.seq  # the erasure, written after it
        assert server_epoch.read(s, town.now).safe == manifest.seq
    engine.dispose()


def test_a_worker_that_the_backup_saw_is_not_there_after_a_restore(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    folder, _manifest = make(town, to)
    put_back(elsewhere, folder, town)
    engine = db.connect(elsewhere.database_url)
    faults = doctor.unready(engine, store_of(elsewhere), town.now)
    engine.dispose()
    assert faults == {"worker": "It hasn't run since the restore. Start it: cityline work."}


def test_a_bad_photo_in_the_store_is_healed(town: Town, to: Path) -> None:
    lived_in(town)
    make(town, to)
    town.engine.dispose()
    store = Path(town.settings.photo_store.removeprefix("file:"))
    rotten, gone, *_ = store.glob("*/*/*.jpg")
    rotten.write_bytes(b"rot")
    gone.unlink()
    put_back(town.settings, to, town, over=True)
    assert_whole(town.settings)


@pytest.mark.slow
def test_a_picture_that_many_sent_comes_back_once(town: Town, to: Path, elsewhere: Settings) -> None:
    for n in range(20):
        with town.at_work() as scene:
            scene.report(taken=[scene.photo("navy", f"form:{n}")])
    photos.move_staged_to_storage(town.engine, store_of(town.settings), town.settings.var, town.now)
    make(town, to)
    assert put_back(elsewhere, to, town).lost == []
    assert_whole(elsewhere)


def test_a_photo_that_nobody_has_any_more_is_named_and_hinders_nothing(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    lived_in(town)
    store = Path(town.settings.photo_store.removeprefix("file:"))
    for file in store.glob("*/*/*.jpg"):
        file.unlink()
    _, manifest = make(town, to)
    assert len(manifest.missing) == 2
    assert len(put_back(elsewhere, to, town).lost) == 1


def await_a_line_after(town: Town, seq: int) -> None:
    until = time.monotonic() + 60
    while True:
        with town.looking() as scene:
            if (scene.s.scalar(select(EventSequence.n)) or 0) > seq:
                return
        assert time.monotonic() < until, "nobody wrote meanwhile"
        time.sleep(0.05)


@pytest.mark.slow
def test_four_write_while_a_backup_is_made(town: Town, to: Path, elsewhere: Settings) -> None:
    lived_in(town)
    over, faults = threading.Event(), list[BaseException]()
    store, var = store_of(town.settings), town.settings.var

    def write(who: int) -> None:
        n = 0
        try:
            while not over.is_set():
                n += 1
                key = uuid.uuid5(uuid.NAMESPACE_OID, f"{who}/{n}").hex
                new = processing.process(factories.jpeg(f"#{who}{n % 10}8{n // 10 % 10}5a"))
                place = Place(39.6 + who / 5000, -71.2 + n / 5000, "pin", f"{who} Tansy Street")
                telling = intake.NewReport(key, "light-out", "web", place=place, words=f"{who}/{n}")
                with db.transaction(town.engine) as s:
                    photo = photos.stage(s, var, new, staged_for=f"form:{key}", at=town.now)
                    token = intake.token_for(SECRET, key)
                    intake.submit(s, telling, at=town.now, token=token, taken=[photo])
                photos.move_staged_to_storage(town.engine, store, var, town.now, only=[photo.id])
        except BaseException as fault:
            faults.append(fault)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(1, 5)]
    for writer in writers:
        writer.start()
    try:
        made = []
        for n in range(2):
            made.append(make(town, to, minutes=n)[1])
            await_a_line_after(town, made[-1].seq)
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert faults == []
    with town.looking() as scene:
        assert made[0].seq < made[1].seq < scene.s.scalar(select(EventSequence.n)), "nobody wrote meanwhile"
    assert made[1].missing == []
    assert put_back(elsewhere, to, town).lost == []
    assert_whole(elsewhere)
    engine = db.connect(elsewhere.database_url)
    with db.read_session(engine) as s:
        assert s.scalar(select(func.count()).select_from(Case)) == made[1].counts["cases"]
    engine.dispose()


DIES = """
import os, pickle, signal, sys
from city.db import engine as db
from city.operations import backup, dumps, restore
from city.photos import photos, storage
from city.reports import intake

settings, folder, at, module, name, after = pickle.loads(bytes.fromhex(sys.argv[1]))
owner = eval(module)
really, calls = getattr(owner, name), 0

def dies(*told, **named):
    global calls
    calls += 1
    if calls > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(*told, **named)

setattr(owner, name, dies)
store = storage.open_store(settings)
if sys.argv[2] == "backup":
    backup.make(db.connect(settings.database_url), settings, store, folder, at=at)
else:
    restore.restore(settings, folder, store, over=False, at=at)
"""


def killed(command: str, *told: Any) -> None:
    """Runs the command in a process of its own, which ends itself at the point that is told."""
    done = subprocess.run(
        [sys.executable, "-c", DIES, pickle.dumps(told).hex(), command], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        ("dumps.files", "fsync", 0),
        ("storage.FolderStore", "put", 4),
        ("backup", "_seal", 0),
        ("backup.json", "dumps", 0),
    ],
)
@pytest.mark.full
def test_a_backup_that_was_killed_is_none(
    town: Town, to: Path, elsewhere: Settings, module: str, name: str, after: int
) -> None:
    lived_in(town)
    killed("backup", town.settings, to, town.now, module, name, after)
    assert backup.complete(to) == []
    with pytest.raises(Refused, match="no_backup"):
        put_back(elsewhere, to, town)
    with town.looking() as scene:
        assert scene.s.scalar(select(Backup.id)) is None
    folder, _ = make(town, to, minutes=1)
    assert [entry.name for entry in to.glob("20*")] == [folder.name]
    put_back(elsewhere, to, town)
    assert_whole(elsewhere)


@pytest.mark.slow
@pytest.mark.full
def test_a_backup_killed_after_its_manifest_is_one_that_phones_have_not_heard_of(
    town: Town, to: Path, elsewhere: Settings
) -> None:
    lived_in(town)
    killed("backup", town.settings, to, town.now, "backup.db", "transaction", 0)
    with town.looking() as scene:
        assert server_epoch.read(scene.s, town.now).safe == 0
    put_back(elsewhere, to, town)
    assert_whole(elsewhere)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        ("dumps", "put_back", 0),
        ("db", "migrate", 0),
        ("photos", "restore_blob", 1),
        ("intake", "erase_again", 0),
    ],
)
@pytest.mark.full
def test_a_restore_that_was_killed_lets_nobody_in_until_it_is_run_again(
    town: Town, to: Path, elsewhere: Settings, module: str, name: str, after: int
) -> None:
    lived_in(town)
    make(town, to)
    with town.at_work() as scene:
        report = scene.s.scalars(select(Report).where(Report.words == f"{WORDS} 0")).one()
        store = store_of(town.settings)
        intake.erase(scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    (elsewhere.var / erasure_ledger.NAME).write_bytes((town.settings.var / erasure_ledger.NAME).read_bytes())
    killed("restore", elsewhere, to, town.now, module, name, after)
    with pytest.raises(Refused, match="restore_unfinished"):
        create_app(elsewhere)
    assert put_back(elsewhere, to, town).erased_again == 1
    assert_whole(elsewhere)
    create_app(elsewhere).extensions["cityline"].engine.dispose()


@pytest.fixture
def shell(town: Town, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell with this city's settings."""
    named = ("var", "database_url", "database_owner_url", "postgres_bin")
    for name in named:
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(town.settings, name)))
    return CliRunner()


def test_the_commands_say_what_they_did(town: Town, to: Path, shell: CliRunner) -> None:
    lived_in(town)
    done = shell.invoke(cli, ["backup", str(to), "--keep", "3"])
    assert (done.exit_code, "3 reports" in done.output) == (0, True), done.output
    town.engine.dispose()
    refused = shell.invoke(cli, ["restore", str(to)])
    assert refused.exception.code == "database_not_empty"
    done = shell.invoke(cli, ["restore", str(to), "--over"])
    assert done.exit_code == 0, done.output
    assert "Restored " in done.output
    (town.settings.var / restore.MARK).write_text("x")
    for command in (["migrate"], ["work"], ["backup", str(to)], ["user", "add", "a@b.test"]):
        assert shell.invoke(cli, command).exception.code == "restore_unfinished"
