"""The nightly files: whole or not at all, made once a day, and without what was erased or hidden since."""

import csv
import gzip
import hashlib
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import Town
from flask import Flask
from sqlalchemy import select, update

from city import files
from city.cases import transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFile
from city.config.retention_schedule import Period, Schedule
from city.db.models import Asset, EventSequence, Report
from city.opendata import editions
from city.opendata import rows as opendata_rows
from city.opendata.editions import Edition
from city.photos import storage
from city.privacy import retention
from city.reports import intake
from city.settings import DEFAULT_CITY
from pwa import worker
from pwa.app import create_app

pytestmark = pytest.mark.both_databases

NIGHT = timedelta(days=1)
MIDNIGHT = datetime(2026, 5, 13, 4, tzinfo=UTC)  # of Larkhaven


@pytest.fixture
def city() -> CityFile:
    return city_file.load(DEFAULT_CITY)


@pytest.fixture
def told(town: Town) -> Town:
    """Cases of two years, and a pole."""
    with town.at_work() as scene:
        scene.report(at=datetime(2026, 1, 1, 3, tzinfo=UTC))  # still the evening of the year before there
        scene.report(place=scene.pole())
        scene.s.add(
            Asset(kind="pole", number="gone", lat=39.6, lon=-71.2, cell="y", address="", retired_at=town.now)
        )
    return town


@pytest.fixture
def make(told: Town, city: CityFile, tmp_path: Path) -> Callable[..., Edition]:
    def made(at: datetime = told.now, city: CityFile = city) -> Edition:
        for _ in editions.make(told.engine, tmp_path / "files", city, at):
            pass
        found = editions.current(tmp_path / "files")
        assert found is not None
        return found

    return made


def read(edition: Edition, name: str) -> str:
    return gzip.decompress(edition.path(name).read_bytes()).decode()


def test_an_edition_has_a_file_for_every_year_kind_and_format(make: Callable[..., Edition]) -> None:
    edition = make()
    assert list(edition.files) == [
        "cases-2026.csv", "cases-2026.geojson", "cases-2025.csv", "cases-2025.geojson",
        "requests-2026.csv", "requests-2025.csv", "contacts.csv", "measures.csv",
        "areas.geojson", "assets.geojson", "streets.geojson",
    ]  # fmt: skip
    assert sorted(path.name for path in edition.folder.iterdir()) == sorted(
        ["manifest.json", *(f"{name}.gz" for name in edition.files)]
    )


def test_the_manifest_is_true(make: Callable[..., Edition], told: Town) -> None:
    edition = make()
    with told.looking() as scene:
        assert edition.seq == scene.s.scalar(select(EventSequence.n))
    assert (edition.made_at, edition.licence) == (told.now, "CC0 1.0")
    for name, file in edition.files.items():
        packed = edition.path(name).read_bytes()
        data = gzip.decompress(packed)
        assert (file.bytes, file.packed_bytes) == (len(data), len(packed))
        assert file.sha256 == hashlib.sha256(data).hexdigest()
        lines = data.decode().splitlines()
        is_csv = name.endswith(".csv")
        assert file.rows == (len(lines) - 1 if is_csv else len(json.loads(data)["features"]))
    assert [json.loads(read(edition, "assets.geojson"))["features"][0]["properties"]["number"]] == ["20-118"]
    assert edition.files["assets.geojson"].rows == 1


def test_the_same_rows_give_the_same_bytes(
    make: Callable[..., Edition], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gzip, "time", SimpleNamespace(time=count(1.0).__next__))

    def packed() -> dict[str, bytes]:
        edition = make(MIDNIGHT)
        return {name: edition.path(name).read_bytes() for name in edition.files}

    assert packed() == packed()


def test_they_are_made_once_a_day_after_the_citys_midnight(
    make: Callable[..., Edition], told: Town, city: CityFile, tmp_path: Path
) -> None:
    def is_due(at: datetime) -> bool:
        with told.looking() as scene:
            return editions.is_due(scene.s, tmp_path / "files", city, at)

    assert is_due(told.now)
    make(told.now)
    before, after = MIDNIGHT - timedelta(minutes=1), MIDNIGHT + timedelta(minutes=1)
    assert [is_due(told.now), is_due(before), is_due(after)] == [False, False, True]
    make(after)
    assert not is_due(after + timedelta(hours=23))


def test_what_was_erased_or_is_decided_anew_does_not_wait_for_the_night(
    make: Callable[..., Edition], told: Town, city: CityFile, tmp_path: Path
) -> None:
    def is_due(after: timedelta = editions.BETWEEN) -> bool:
        with told.looking() as scene:
            return editions.is_due(scene.s, tmp_path / "files", city, told.now + after)

    make()
    with told.at_work() as scene:
        report = scene.s.query(Report).first()
        store = storage.open_store(told.settings)
        intake.erase(
            scene.s, report, store, told.settings.var, by=scene.actor("dispatcher"), at=told.now
        )  # fmt: skip
    assert not is_due(editions.BETWEEN - timedelta(seconds=1))
    assert is_due()
    make()
    assert not is_due()
    with told.at_work() as scene:
        text = city_file.read_with_logo(DEFAULT_CITY)
        config_versions.publish(scene.s, text, "city.toml", by=scene.actor("administrator"), at=told.now)
    assert is_due()


def test_what_the_records_schedule_clears_waits_for_the_night_and_what_somebody_asks_for_does_not(
    make: Callable[..., Edition], told: Town, city: CityFile, tmp_path: Path
) -> None:
    with told.at_work() as scene:
        by = scene.actor("dispatcher")
        asked = scene.report(words="Another's").key
        for _ in range(3):
            over = scene.report().case
            transitions.close(scene.s, over, Closing("not found"), by=by, at=told.now)
    at = told.now + timedelta(days=60)
    schedule = Schedule(words=Period(days=30), places="street")

    def clear() -> int:
        return retention.carry_out(told.engine, told.settings.var, schedule, at, most=1).left

    def is_due() -> bool:
        with told.looking() as scene:
            return editions.is_due(scene.s, tmp_path / "files", city, at + editions.BETWEEN)

    def houses(edition: Edition) -> int:
        return read(edition, "cases-2026.csv").count("214 Tansy")

    assert houses(make(at)) == 5
    assert [(clear(), is_due()), (clear(), is_due())] == [(2, False), (1, False)]
    with told.at_work() as scene:
        report = scene.s.query(Report).filter_by(key=asked).one()
        store = storage.open_store(told.settings)
        intake.erase(scene.s, report, store, told.settings.var, by=scene.actor("dispatcher"), at=at)
    assert is_due()
    make(at)
    assert [(clear(), is_due())] == [(0, False)]
    assert houses(make(at + NIGHT)) == 2


def test_what_a_restored_database_does_not_know_is_not_left_in_the_files(
    make: Callable[..., Edition], told: Town, city: CityFile, tmp_path: Path
) -> None:
    make()
    with told.engine.begin() as connection:
        connection.execute(update(EventSequence).values(n=1))
    with told.looking() as scene:
        assert editions.is_due(scene.s, tmp_path / "files", city, told.now + editions.BETWEEN)


@pytest.mark.parametrize(
    ("ours", "theirs"), [('"rows"', '"lines"'), ('"made_at"', '"at"'), ("{", ""), ('"seq"', '"line"')]
)
def test_a_manifest_of_another_release_is_none_and_a_new_one_is_made(
    make: Callable[..., Edition], told: Town, city: CityFile, tmp_path: Path, ours: str, theirs: str
) -> None:
    manifest = make().folder / editions.MANIFEST
    manifest.write_text(manifest.read_text("utf-8").replace(ours, theirs), "utf-8")
    assert editions.current(tmp_path / "files") is None
    with told.looking() as scene:
        assert editions.is_due(scene.s, tmp_path / "files", city, told.now)
    assert make().files


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_whoever_is_stopped_half_way_leaves_the_old_files_whole(
    make: Callable[..., Edition], told: Town, city: CityFile, tmp_path: Path, steps: int
) -> None:
    old = make()
    going = editions.make(told.engine, tmp_path / "files", city, MIDNIGHT)
    for _ in range(steps):
        next(going)
    going.close()
    assert editions.current(tmp_path / "files") == old
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == sorted(
        ["current", "lock", old.folder.name]
    )


def test_what_is_read_stays_where_the_disk_fails_last_of_all(
    make: Callable[..., Edition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, sync = make().folder.parent, files.fsync

    def fails(path: Path) -> None:
        if path == root:
            raise OSError("EIO")
        sync(path)

    monkeypatch.setattr(files, "fsync", fails)
    with pytest.raises(OSError, match="EIO"):
        make()
    edition = editions.current(root)
    assert edition
    assert all(edition.path(name).exists() for name in edition.files)


def test_what_a_killed_one_left_is_cleared_away_with_the_edition_before(
    make: Callable[..., Edition], tmp_path: Path
) -> None:
    make()
    root = tmp_path / "files"
    (root / "2026-05-12T040000Z-dead").mkdir()
    (root / "2026-05-12T040000Z-dead" / "cases-2026.csv.gz").write_bytes(b"half")
    (root / "current.dead").write_bytes(b"{")
    new = make(MIDNIGHT)
    assert sorted(path.name for path in root.iterdir()) == sorted(["current", "lock", new.folder.name])


def test_a_fault_leaves_the_old_files_and_is_tried_again_an_hour_later(
    told: Town, make: Callable[..., Edition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make()
    app: Flask = create_app(told.settings)
    clock = [0.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: clock[0])
    files = worker.Files(app, tmp_path / "files")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(editions, "_put", full)
        with pytest.raises(OSError, match="No space"):
            files(MIDNIGHT)
        clock[0] += 120
        files(MIDNIGHT)  # nothing: it waits
        assert editions.current(tmp_path / "files") == old
    clock[0] += 3600
    files(MIDNIGHT)
    found = editions.current(tmp_path / "files")
    assert found is not None
    assert found.made_at == MIDNIGHT
    app.extensions["cityline"].engine.dispose()


def test_the_worker_makes_them_a_little_at_a_time(
    told: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told.at_work() as scene:
        for _ in range(8):
            scene.report()
    monkeypatch.setattr(opendata_rows, "PAGE", 2)
    monkeypatch.setattr(worker, "AT_A_TIME", 0.0)
    app = create_app(told.settings)
    files, root = worker.Files(app, tmp_path / "files"), tmp_path / "files"
    turns = 0
    while editions.current(root) is None and turns < 100:
        files(MIDNIGHT)
        turns += 1
    assert 5 <= turns < 100
    files(MIDNIGHT)
    assert len(list(root.iterdir())) == 3  # with the lock
    app.extensions["cityline"].engine.dispose()


def test_a_city_that_says_no_licence_publishes_without_one(
    make: Callable[..., Edition], city: CityFile
) -> None:
    assert make(city=replace(city, licence="", licence_url="")).licence == ""


@pytest.mark.parametrize("address", ["somewhere", "ftp://x.test/", "https://", "https://x y"])
def test_a_licence_whose_address_is_none_is_refused(tmp_path: Path, address: str) -> None:
    text = DEFAULT_CITY.read_text("utf-8").replace(
        "https://creativecommons.org/publicdomain/zero/1.0/", address
    )
    with pytest.raises(city_file.CityFileError, match=r"open_data\.licence_url"):
        city_file.parse(text, "city.toml")


def test_the_figures_of_a_month_that_ended_tonight_are_in_them(told: Town, tmp_path: Path) -> None:
    app = create_app(told.settings)
    worker.Files(app, tmp_path / "files")(datetime(2026, 6, 1, 4, 1, tzinfo=UTC))
    edition = editions.current(tmp_path / "files")
    assert edition is not None
    months = {row["month"] for row in csv.DictReader(io.StringIO(read(edition, "measures.csv")))}
    assert months == {"2026-05"}
    app.extensions["cityline"].engine.dispose()


@pytest.mark.slow
@pytest.mark.one_database
@pytest.mark.full
def test_a_killed_process_never_leaves_half_an_edition(told: Town, tmp_path: Path) -> None:
    root, chance = tmp_path / "files", random.Random(311)
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", MAKES_FOR_EVER, told.settings.database_url, str(root)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()  # it has made one
        time.sleep(chance.uniform(0, 0.2))
        child.kill()
        child.wait()
        child.stdout.close()
        edition = editions.current(root)
        assert edition is not None
        for name, file in edition.files.items():
            data = gzip.decompress(edition.path(name).read_bytes())
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)


MAKES_FOR_EVER = """
import pathlib, sys
from datetime import UTC, datetime
from city.config import city_file
from city.db import engine as db
from city.opendata import editions
from city.settings import DEFAULT_CITY
engine, city = db.connect(sys.argv[1]), city_file.load(DEFAULT_CITY)
while True:
    for _ in editions.make(engine, pathlib.Path(sys.argv[2]), city, datetime.now(UTC)):
        pass
    print("made", flush=True)
"""
