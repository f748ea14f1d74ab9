"""What is wrong with a city is said in words, and only what is wrong."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Town
from sqlalchemy import select, text

from city.audit import epochs
from city.config import city_file
from city.db import engine as db
from city.db.models import Backup, Device, Message, Person, Subscription, Webhook
from city.notifications import fan_out
from city.opendata import editions
from city.operations import backup, doctor, dumps
from city.photos import photos, storage
from city.reports import intake
from city.settings import DEFAULT_CITY, Settings
from pwa.cli.main import cli

pytestmark = pytest.mark.both_databases


@pytest.fixture
def found(town: Town, tmp_path: Path) -> Callable[..., dict[str, doctor.Finding]]:
    """A well city that was backed up and whose worker ran just now; called, what the doctor finds by name."""
    with town.at_work() as scene:
        scene.report(taken=[scene.photo()])
    store = storage.open_store(town.settings)
    photos.move_staged_to_storage(town.engine, store, town.settings.var, town.now)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    backup.make(town.engine, town.settings, store, tmp_path / "backups", at=town.now)

    def look(whole: bool = False, **later: float) -> dict[str, doctor.Finding]:
        at = town.now + timedelta(**later)
        findings = doctor.examine(town.engine, town.settings, store, at, whole=whole)
        return {finding.what: finding for finding in findings}

    return look


def marks(findings: dict[str, doctor.Finding]) -> dict[str, str]:
    """All that is not well, but for this machine's own disk."""
    return {w: f.mark for w, f in findings.items() if f.mark != doctor.OK and w != "disk"}


def test_a_well_city_is_well(found: Callable[..., dict[str, doctor.Finding]]) -> None:
    assert marks(found()) == marks(found(whole=True)) == {}


def test_a_backup_is_wrong_after_a_day_and_where_it_is_gone(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    assert "backup" not in marks(found(hours=23))
    assert marks(found(hours=25))["backup"] == doctor.WRONG
    with town.looking() as scene:
        [row] = scene.s.scalars(select(Backup))
    (Path(row.folder) / backup.MANIFEST).unlink()
    assert marks(found()) == {"backup": doctor.WRONG}
    with town.at_work() as scene:
        scene.s.delete(scene.s.get_one(Backup, row.id))
    assert found()["backup"].words == "There's no backup. Make one: cityline backup TO."


def newest(town: Town) -> Path:
    with town.looking() as scene:
        return Path(scene.s.scalars(select(Backup.folder).order_by(Backup.id.desc())).first() or "")


@pytest.mark.parametrize("part", ["the database", "secret_key", "photos.txt", "a photo"])
def test_a_backup_that_rotted_is_wrong(
    town: Town, found: Callable[..., dict[str, doctor.Finding]], part: str
) -> None:
    folder = newest(town)
    pool = (folder.parent / backup.POOL).glob("*/*/*.jpg")
    named = {"the database": folder / dumps.FILES[town.engine.dialect.name], "a photo": next(pool)}
    file = named.get(part, folder / part)
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    is_photo = part == "a photo"  # a quick look sees only whether they are there
    assert marks(found()) == ({} if is_photo else {"backup": doctor.WRONG})
    told = found(whole=True)["backup"]
    assert (told.mark, "damaged: " in told.words, "changed." in told.words) == (doctor.WRONG, True, True)
    file.unlink()
    assert "missing." in found()["backup"].words


def test_a_backup_that_is_what_it_was_and_cannot_be_put_back_is_wrong(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    folder = newest(town)
    file = folder / dumps.FILES[town.engine.dialect.name]
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2 :] = b"\xff" * (len(whole) - len(whole) // 2)
    file.write_bytes(whole)
    told = json.loads((folder / backup.MANIFEST).read_text())
    told["files"][file.name] = hashlib.sha256(whole).hexdigest()
    (folder / backup.MANIFEST).write_text(json.dumps(told))
    assert marks(found()) == {"backup": doctor.WRONG}
    assert "damaged: " in found()["backup"].words


def test_a_folder_of_backups_that_is_gone_or_empty_is_wrong(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    to = newest(town).parent
    to.rename(to.with_name("elsewhere"))
    told = found()["backup"]
    assert (told.mark, "But that folder isn't here." in told.words) == (doctor.WRONG, True)
    to.mkdir()
    told = found()["backup"]
    assert (told.mark, "But it's no longer there." in told.words) == (doctor.WRONG, True)


@pytest.mark.sqlite
def test_a_database_that_finds_damage_in_itself_is_wrong(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.engine.connect() as c:
        index = (
            "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND sql LIKE '%ON reports (case_id)%'"
        )
        page = c.scalar(text(index))
        size = c.exec_driver_sql("PRAGMA page_size").scalar_one()
    town.engine.dispose()  # so all of it lies in the file
    with Path(town.settings.database_url.removeprefix("sqlite:///")).open("r+b") as file:
        file.seek((page - 1) * size + 3)
        file.write(b"\0\0")  # the index says that it holds nothing
    told = found()["database"]
    assert (told.mark, "The database is damaged: " in told.words) == (doctor.WRONG, True)


@pytest.mark.sqlite
def test_a_database_that_is_gone_is_named(
    town: Town, tmp_path: Path, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    file = Path(town.settings.database_url.removeprefix("sqlite:///"))
    file.rename(tmp_path / "gone.db")
    told = found()["database"]
    assert (told.mark, told.words) == (doctor.WRONG, f"The database isn't answering: {file} isn't there.")


def test_files_of_open_data_that_are_not_made_any_more_are_told(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    assert found()["open data"].mark == doctor.OK
    root, city = editions.place(town.settings), city_file.load(DEFAULT_CITY)
    for _ in editions.make(town.engine, root, city, town.now):
        pass
    assert [found(days=days)["open data"].mark for days in (2, 3)] == [doctor.OK, doctor.LOOK]


def test_a_backup_that_cannot_be_read_is_wrong_and_an_older_one_is_looked_at(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.looking() as scene:
        [row] = scene.s.scalars(select(Backup))
    older = Path(row.folder)
    store = storage.open_store(town.settings)
    newer, _ = backup.make(town.engine, town.settings, store, older.parent, at=town.now + timedelta(hours=1))
    (older / backup.PHOTOS).unlink()
    told = found(hours=2)["backup"]
    assert (
        told.mark,
        f"Others damaged in that folder: 1. First: {older}, photos.txt: missing." in told.words,
    ) == (doctor.LOOK, True)
    (newer / backup.MANIFEST).write_text("{}")
    told = found(hours=2)["backup"]
    assert (told.mark, "damaged: format isn't of type int." in told.words) == (doctor.WRONG, True)


def test_a_worker_that_is_not_there_is_wrong(found: Callable[..., dict[str, doctor.Finding]]) -> None:
    assert marks(found(minutes=1)) == {}
    late = found(minutes=3)["worker"]
    assert (late.mark, "3 minutes" in late.words) == (doctor.WRONG, True)


def test_a_worker_that_was_seen_before_the_last_start_is_not_there(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    epochs.start_epoch(town.engine, town.now + timedelta(seconds=1))
    assert marks(found(seconds=20)) == {}  # it may be about to start as well
    assert found(seconds=40)["worker"].mark == doctor.WRONG
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now + timedelta(seconds=30))
    assert marks(found(seconds=40)) == {}


def test_after_a_restore_the_worker_is_not_there_until_it_runs(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.at_work() as scene:
        fan_out.forget_seen(scene.s)
    assert found()["worker"].words.startswith("It hasn't run since the restore. Start it: cityline work.")
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    assert marks(found()) == {}


def test_work_that_lies_on_a_phone_is_looked_at(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    since = town.now - timedelta(days=3)
    with town.at_work() as scene:
        rosa = scene.s.get_one(Person, town.ids["rosa"])
        phone = Device(
            id="a-phone", person_id=rosa.id, token_hash="x", enrolled_at=since, seen_at=town.now,
            waiting={"ops": 4, "photos": 1, "oldest": since.timestamp()},
        )  # fmt: skip
        scene.s.add(phone)
    phones = found()["phones"]
    assert phones.mark == doctor.LOOK
    assert "Oldest unsent work: Rosa's, 4 updates for 3 days." in phones.words
    with town.at_work() as scene:
        scene.s.get_one(Device, "a-phone").waiting = {"ops": 1, "oldest": since.timestamp()}
    assert "Rosa's, 1 update for 3 days." in found()["phones"].words
    with town.at_work() as scene:
        scene.s.get_one(Device, "a-phone").waiting = {"ops": 0, "photos": 0, "oldest": None}
    assert marks(found()) == {}
    assert marks(found(days=8))["phones"] == doctor.LOOK
    with town.at_work() as scene:
        scene.s.get_one(Device, "a-phone").revoked_at = town.now
    assert found(days=8)["phones"].mark == doctor.OK


def test_a_photo_that_the_store_lost_or_spoilt_is_wrong(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    file = next(Path(town.settings.photo_store.removeprefix("file:")).glob("*/*/*.jpg"))
    file.write_bytes(b"rot")
    assert marks(found()) == {}  # a quick look does not read them
    assert marks(found(whole=True)) == {"photos": doctor.WRONG}
    file.unlink()
    assert marks(found()) == {"photos": doctor.WRONG}


def test_a_log_that_somebody_changed_is_wrong(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.at_work() as scene:
        scene.s.execute(text("UPDATE chain_tips SET n = n + 1"))
    assert marks(found()) == {"log": doctor.WRONG}
    assert marks(found(whole=True)) == {"log": doctor.WRONG}


def test_letters_that_were_given_up_are_looked_at(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.at_work() as scene:
        wish = intake.subscribe(scene.s, scene.report(), "ann@home.test", lang="en", at=town.now)
        scene.s.flush()
        scene.s.add(Message(event_seq=1, subscription_id=wish.id, kind="closed", tries=18, fault="no"))
    assert marks(found()) == {"mail": doctor.LOOK}


def test_what_nobody_sends_and_what_is_tried_in_vain_is_looked_at(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.at_work() as scene:
        wish = intake.subscribe(scene.s, scene.report(), "ann@home.test", lang="en", at=town.now)
        due = {"subscription_id": wish.id, "kind": "closed", "next_try_at": town.now + timedelta(hours=5)}
        scene.s.add(Message(event_seq=1, tries=12, fault="no", **due))
        scene.s.add(Message(event_seq=2, **due))
    assert "Tried 10 or more times: 1." in found()["mail"].words
    assert "half an hour late" not in found(hours=5.4)["mail"].words
    assert "more than half an hour late: 2." in found(hours=6)["mail"].words


def test_notifications_and_systems_that_nobody_takes_any_more_are_looked_at(
    town: Town, found: Callable[..., dict[str, doctor.Finding]]
) -> None:
    with town.at_work() as scene:
        wish = Subscription(
            report_id=scene.report().id, channel="push", address="https://push.example/x", lang="en",
            asked_at=town.now,
        )  # fmt: skip
        scene.s.add(wish)
        scene.s.flush()
        scene.s.add(Message(event_seq=1, subscription_id=wish.id, kind="closed", tries=18, fault="413"))
        for n, dead in ((1, town.now), (2, None)):
            scene.s.add(
                Webhook(
                    url=f"https://x.example/{n}", secret="s", made_at=town.now, seq=0, next_try_at=town.now,
                    failing_since=town.now, fault="it answered 500", dead_at=dead,
                )
            )  # fmt: skip
    assert marks(found()) == {"push": doctor.LOOK, "webhooks": doctor.LOOK}
    assert "x.example/2" not in found()["webhooks"].words
    later = found(hours=25)["webhooks"].words
    assert "Stopped: https://x.example/1. No answer for a day: https://x.example/2." in later


def test_a_database_of_a_newer_release_is_called_that(
    town: Town, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = db.connect(settings.owner_url)
    with owner.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    owner.dispose()
    for name in ("var", "database_url", "database_owner_url"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(settings, name)))
    assert "The schema is from a newer release." in CliRunner().invoke(cli, ["doctor"]).output
    told = CliRunner().invoke(cli, ["migrate"])
    assert told.exit_code == 1
    assert "was updated by a newer release" in told.output


def test_the_command_ends_with_one_where_something_is_wrong(
    town: Town, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("var", "database_url", "database_owner_url", "postgres_bin"):
        monkeypatch.setenv(f"CITYLINE_{name.upper()}", str(getattr(settings, name)))
    told = CliRunner().invoke(cli, ["doctor"])
    assert told.exit_code == 1
    assert "wrong  backup      There's no backup. Make one: cityline backup TO." in told.output
    assert "ok     migrations" in told.output
    assert "\x1b" not in told.output
