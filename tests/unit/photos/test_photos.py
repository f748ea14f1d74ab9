"""Photos: what is taken and what is refused, what is left of a picture, and that no crash loses one."""

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from pictures import BLUE, GREEN, RED, WHITE, encoded, is_upright, opened, plain, png, quarters
from PIL import Image
from sqlalchemy import Engine, select

from city import files
from city.db import engine as db
from city.db.models import Case, Department, Photo, Report, Service
from city.lifecycle import Refused
from city.photos import photos, processing, storage
from city.photos.processing import BadPhoto
from city.photos.storage import FolderStore, StoreDown

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "var"


class Shelf:
    """A store in memory; `down` names what it refuses, `on_put` sees every put first."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.down: set[str] = set()
        self.on_put: Callable[[str], None] = lambda name: None

    def put(self, name: str, data: bytes) -> None:
        self.on_put(name)
        if name in self.down:
            raise StoreDown("the shelf is down")
        self.kept[name] = data

    def get(self, name: str) -> bytes:
        return self.kept[name]

    def delete(self, name: str) -> None:
        if name in self.down:
            raise StoreDown("the shelf is down")
        self.kept.pop(name, None)

    def check(self) -> None: ...


def a_case(engine: Engine) -> int:
    code = uuid4().hex
    with db.transaction(engine) as s:
        s.add(Department(code=code, names={"en": "Lights"}, time_zone="America/New_York"))
        s.flush()
        s.add(
            Service(
                code=code, group="light", names={}, chips={}, position=1, department_code=code, promise_days=3
            )
        )
        s.flush()
        case = Case(
            number=code[:20], service_code=code, state="new", place_source="pin",
            opened_at=NOW, clock_from=NOW, promise_days=3, due_at=NOW, risk_at=NOW,
        )  # fmt: skip
        s.add(case)
        s.flush()
        return case.id


def a_report(engine: Engine, case_id: int) -> int:
    with db.transaction(engine) as s:
        case = s.get_one(Case, case_id)
        report = Report(
            number=uuid4().hex[:24], case_id=case_id, key=uuid4().hex, service_code=case.service_code,
            channel="web", lang="en", place_source="pin", taken_at=NOW,
        )  # fmt: skip
        s.add(report)
        s.flush()
        return report.id


def staged_photo(
    engine: Engine, var: Path, source: Any = None, form: str = "form:a", at: datetime = NOW
) -> Photo:
    with db.transaction(engine) as s:
        return photos.stage(s, var, source or plain(), staged_for=form, at=at)


def attached_photo(engine: Engine, var: Path, source: Any = None, form: str = "form:a") -> Photo:
    photo = staged_photo(engine, var, source, form)
    case_id = a_case(engine)
    with db.transaction(engine) as s:
        photos.attach(s, s.get_one(Photo, photo.id), case_id=case_id)
    return row(engine, photo)


def row(engine: Engine, photo: Photo) -> Photo:
    with db.read_session(engine) as s:
        return s.get_one(Photo, photo.id)


def rows(engine: Engine) -> list[Photo]:
    with db.read_session(engine) as s:
        return list(s.scalars(select(Photo)))


def folders(var: Path) -> set[str]:
    return {entry.name for entry in (var / "staging").glob("*")}


def test_a_staged_photo_has_three_files_named_by_nothing_but_its_own_id(engine: Engine, var: Path) -> None:
    data = encoded(quarters((3000, 2000)))
    photo = row(engine, staged_photo(engine, var, io.BytesIO(data)))
    assert photo.upload_sha256 == hashlib.sha256(data).hexdigest()
    assert (photo.width, photo.height) == (2048, 1365)
    assert (photo.case_id, photo.report_id, photo.stored_at, photo.added_at) == (None, None, None, NOW)
    assert photo.sha256 == photo.sizes["full"]
    for size, name in photo.sizes.items():
        jpeg = (var / "staging" / photo.id / f"{size}.jpg").read_bytes()
        assert hashlib.sha256(jpeg).hexdigest() == name
    assert photo.bytes == len(photos.read(Shelf(), var, photo, "full"))
    assert os.stat(var / "staging" / photo.id).st_mode & 0o077 == 0


def test_the_same_bytes_twice_are_one_photo_of_a_form(engine: Engine, var: Path) -> None:
    first = staged_photo(engine, var)
    assert staged_photo(engine, var, at=NOW + HOUR).id == first.id
    assert staged_photo(engine, var, form="form:b").id != first.id
    assert len(rows(engine)) == len(folders(var)) == 2


def test_the_same_bytes_after_sending_give_the_photo_that_was_sent(engine: Engine, var: Path) -> None:
    sent = attached_photo(engine, var)
    again = staged_photo(engine, var)
    assert (again.id, again.case_id) == (sent.id, sent.case_id)


def test_the_same_bytes_from_eight_threads_are_one_photo(engine: Engine, var: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = {photo.id for photo in pool.map(lambda _: staged_photo(engine, var), range(8))}
    assert len(ids) == 1
    assert folders(var) == ids


def test_a_twin_that_was_quicker_wins(engine: Engine, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = staged_photo(engine, var)
    known, looks = photos._known, []

    def look_too_early(*args: Any) -> Photo | None:
        looks.append(args)
        return known(*args) if len(looks) > 1 else None

    monkeypatch.setattr(photos, "_known", look_too_early)
    assert staged_photo(engine, var).id == first.id
    assert folders(var) == {first.id}


def test_a_form_takes_five_and_not_six(engine: Engine, var: Path) -> None:
    taken = [staged_photo(engine, var, plain((n, n, n))) for n in range(0, 200, 40)]
    with pytest.raises(BadPhoto, match="too_many"):
        staged_photo(engine, var, plain(WHITE))
    assert len(folders(var)) == 5
    assert staged_photo(engine, var, plain((0, 0, 0))).id == taken[0].id  # a retry is no sixth
    staged_photo(engine, var, plain(WHITE), form="form:b")
    with db.transaction(engine) as s:
        photos.unstage(s, var, s.get_one(Photo, taken[3].id))
    staged_photo(engine, var, plain(WHITE))


def test_a_refused_upload_leaves_nothing(engine: Engine, var: Path) -> None:
    for data in (b"text", plain()[:400], png(60_000, 60_000, 8, 2, b"")):
        with pytest.raises(BadPhoto):
            staged_photo(engine, var, data)
    assert rows(engine) == []
    assert folders(var) == set()


def test_a_full_disk_leaves_nothing(engine: Engine, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.write

    def fill_up(path: Path, data: bytes) -> None:
        if path.name == "thumb.jpg":
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(files, "write", fill_up)
    with pytest.raises(OSError, match="No space"):
        staged_photo(engine, var)
    assert rows(engine) == []
    assert folders(var) == set()


def test_staged_photos_come_in_order_and_attached_ones_not_at_all(engine: Engine, var: Path) -> None:
    sent = attached_photo(engine, var, plain(WHITE))
    second = staged_photo(engine, var, plain(RED), at=NOW + HOUR)
    first = staged_photo(engine, var, plain(BLUE))
    with db.transaction(engine) as s:
        assert [photo.id for photo in photos.staged(s, "form:a")] == [first.id, second.id]
        with pytest.raises(Refused, match="photo_attached"):
            photos.unstage(s, var, s.get_one(Photo, sent.id))
    assert folders(var) == {first.id, second.id, sent.id}


def test_unstaging_removes_row_and_files(engine: Engine, var: Path) -> None:
    photo = staged_photo(engine, var)
    with db.transaction(engine) as s:
        photos.unstage(s, var, s.get_one(Photo, photo.id))
    assert rows(engine) == []
    assert folders(var) == set()


def test_attaching_fills_the_columns_once(engine: Engine, var: Path) -> None:
    photo, case_id, other = staged_photo(engine, var), a_case(engine), a_case(engine)
    report_id = a_report(engine, case_id)
    with db.transaction(engine) as s:
        mine = s.get_one(Photo, photo.id)
        photos.attach(s, mine, case_id=case_id, report_id=report_id, position=2)
        assert s.get_one(Report, report_id).photos == [mine]
        photos.attach(s, mine, case_id=case_id, cycle=9)
        with pytest.raises(Refused, match="photo_attached"):
            photos.attach(s, mine, case_id=other)
    seen = row(engine, photo)
    assert (seen.case_id, seen.report_id, seen.cycle, seen.position) == (case_id, report_id, None, 2)


def test_a_closing_takes_a_photo_with_its_cycle(engine: Engine, var: Path) -> None:
    photo, case_id = staged_photo(engine, var, form="device:7"), a_case(engine)
    with db.transaction(engine) as s:
        photos.attach(s, s.get_one(Photo, photo.id), case_id=case_id, cycle=2)
    assert (row(engine, photo).cycle, row(engine, photo).report_id) == (2, None)


def test_settling_moves_every_size_and_removes_the_folder(engine: Engine, var: Path) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var, encoded(quarters((1500, 1000))))
    before = {size: photos.read(shelf, var, photo, size) for size in processing.SIZES}
    waiting = staged_photo(engine, var, plain())
    assert photos.move_staged_to_storage(engine, shelf, var, NOW + HOUR) == 1
    assert row(engine, photo).stored_at == NOW + HOUR
    assert folders(var) == {waiting.id}
    assert shelf.kept == {photo.sizes[size]: jpeg for size, jpeg in before.items()}
    for seen in (row(engine, photo), photo):  # also for one who read the row before
        assert {size: photos.read(shelf, var, seen, size) for size in processing.SIZES} == before
    assert photos.move_staged_to_storage(engine, shelf, var, NOW + 2 * HOUR) == 0
    assert row(engine, photo).stored_at == NOW + HOUR


def test_settling_only_some(engine: Engine, var: Path) -> None:
    one, two = attached_photo(engine, var), attached_photo(engine, var, plain(BLUE))
    assert photos.move_staged_to_storage(engine, Shelf(), var, NOW, only=[two.id, "unknown"]) == 1
    assert row(engine, one).stored_at is None
    assert folders(var) == {one.id}


def test_a_failing_store_keeps_one_photo_and_holds_up_no_other(
    engine: Engine, var: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf, bad, good = Shelf(), attached_photo(engine, var), attached_photo(engine, var, plain(BLUE))
    shelf.down = {bad.sizes["thumb"]}
    assert photos.move_staged_to_storage(engine, shelf, var, NOW) == 1
    assert bad.id in caplog.text
    assert (row(engine, bad).stored_at, row(engine, good).stored_at) == (None, NOW)
    assert photos.read(shelf, var, row(engine, bad), "page")
    shelf.down = set()
    assert photos.move_staged_to_storage(engine, shelf, var, NOW + HOUR) == 1
    assert folders(var) == set()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_crash_while_putting_loses_nothing(engine: Engine, var: Path, nth: int) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var, encoded(quarters((1500, 1000))))
    puts: list[str] = []

    def crash(name: str) -> None:
        puts.append(name)
        if len(puts) == nth:
            raise KeyboardInterrupt

    shelf.on_put = crash
    with pytest.raises(KeyboardInterrupt):
        photos.move_staged_to_storage(engine, shelf, var, NOW)
    assert photos.read(shelf, var, row(engine, photo), "full")
    assert photos.move_staged_to_storage(engine, shelf, var, NOW) == 1
    assert set(shelf.kept) == set(photo.sizes.values())
    assert folders(var) == set()


def test_a_crash_before_the_folder_is_removed_leaves_it_to_the_sweep(
    engine: Engine, var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var)
    with monkeypatch.context() as patch:
        patch.setattr(photos.shutil, "rmtree", lambda *args, **kwargs: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            photos.move_staged_to_storage(engine, shelf, var, NOW)
    assert row(engine, photo).stored_at == NOW
    assert folders(var) == {photo.id}
    assert photos.sweep(engine, var, datetime.now(UTC) + 2 * HOUR) == 1
    assert folders(var) == set()
    assert photos.read(shelf, var, row(engine, photo), "full")


def test_two_who_settle_the_same_photo_settle_it_once(engine: Engine, var: Path) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var)
    moved: list[int] = []

    def meanwhile(_: str) -> None:
        shelf.on_put = lambda name: None
        moved.append(photos.move_staged_to_storage(engine, shelf, var, NOW))

    shelf.on_put = meanwhile
    assert photos.move_staged_to_storage(engine, shelf, var, NOW + HOUR) == 0
    assert moved == [1]
    assert row(engine, photo).stored_at == NOW
    assert folders(var) == set()


def test_staged_bytes_that_rotted_never_reach_the_store(engine: Engine, var: Path) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var)
    file = var / "staging" / photo.id / "full.jpg"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert photos.move_staged_to_storage(engine, shelf, var, NOW) == 0
    assert photo.sha256 not in shelf.kept
    assert file.exists()


def test_reading_what_is_not_there(engine: Engine, var: Path) -> None:
    photo = attached_photo(engine, var)
    with pytest.raises(KeyError):
        photos.read(Shelf(), var, photo, "huge")
    photo.stored_at = NOW
    with pytest.raises(KeyError):
        photos.read(Shelf(), var, photo, "full")


def test_dropping_removes_row_files_and_bytes(engine: Engine, var: Path) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var, encoded(quarters((1500, 1000))))
    photos.move_staged_to_storage(engine, shelf, var, NOW)
    with db.transaction(engine) as s:
        gone = photos.erase(s, shelf, var, s.get_one(Photo, photo.id))
    assert gone == sorted(photo.sizes.values())
    assert len(gone) == 3
    assert shelf.kept == {}
    assert rows(engine) == []


def test_dropping_what_was_never_stored_removes_its_folder(engine: Engine, var: Path) -> None:
    photo = attached_photo(engine, var)
    with db.transaction(engine) as s:
        photos.erase(s, Shelf(), var, s.get_one(Photo, photo.id))
    assert folders(var) == set()


def test_bytes_that_another_photo_shows_are_kept(engine: Engine, var: Path) -> None:
    shelf = Shelf()
    mine, theirs = attached_photo(engine, var), attached_photo(engine, var, form="form:b")
    photos.move_staged_to_storage(engine, shelf, var, NOW)
    with db.transaction(engine) as s:
        assert photos.erase(s, shelf, var, s.get_one(Photo, mine.id)) == []
    assert photos.read(shelf, var, row(engine, theirs), "full")
    with db.transaction(engine) as s:
        assert photos.erase(s, shelf, var, s.get_one(Photo, theirs.id)) == sorted(set(theirs.sizes.values()))
    assert shelf.kept == {}


def test_a_thumbnail_shared_by_two_different_photos_is_kept(engine: Engine, var: Path) -> None:
    shelf = Shelf()
    # A hand before the lens: two different uploads whose smallest size is the same.
    dark = [encoded(Image.new("RGB", size, "black"), "PNG") for size in ((900, 600), (600, 400))]
    mine, theirs = (attached_photo(engine, var, data) for data in dark)
    assert mine.sha256 != theirs.sha256
    assert mine.sizes["thumb"] == theirs.sizes["thumb"]
    photos.move_staged_to_storage(engine, shelf, var, NOW)
    with db.transaction(engine) as s:
        assert photos.erase(s, shelf, var, s.get_one(Photo, mine.id)) == [mine.sha256]
    assert photos.read(shelf, var, row(engine, theirs), "thumb")


def test_a_photo_only_staged_keeps_no_bytes_in_the_store(engine: Engine, var: Path) -> None:
    shelf, mine = Shelf(), attached_photo(engine, var)
    photos.move_staged_to_storage(engine, shelf, var, NOW)
    theirs = staged_photo(engine, var, form="form:b")
    with db.transaction(engine) as s:
        photos.erase(s, shelf, var, s.get_one(Photo, mine.id))
    assert shelf.kept == {}
    assert photos.read(shelf, var, row(engine, theirs), "full")


def test_an_erasure_that_the_store_refuses_is_not_claimed(engine: Engine, var: Path) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var)
    photos.move_staged_to_storage(engine, shelf, var, NOW)
    shelf.down = {photo.sha256}
    with pytest.raises(StoreDown), db.transaction(engine) as s:
        photos.erase(s, shelf, var, s.get_one(Photo, photo.id))
    assert row(engine, photo).stored_at == NOW
    shelf.down = set()
    with db.transaction(engine) as s:
        photos.erase(s, shelf, var, s.get_one(Photo, photo.id))
    assert shelf.kept == {}


def test_a_photo_erased_while_it_is_settled_leaves_no_bytes(engine: Engine, var: Path) -> None:
    shelf, photo = Shelf(), attached_photo(engine, var, encoded(quarters((1500, 1000))))

    def erase(name: str) -> None:
        if name == photo.sizes["thumb"]:
            with db.transaction(engine) as s:
                photos.erase(s, shelf, var, s.get_one(Photo, photo.id))

    shelf.on_put = erase
    assert photos.move_staged_to_storage(engine, shelf, var, NOW) == 0
    assert shelf.kept == {}
    assert folders(var) == set()


def test_the_sweep_takes_what_nobody_sent_for_a_day(engine: Engine, var: Path) -> None:
    old = staged_photo(engine, var, plain(RED), at=NOW - 25 * HOUR)
    young = staged_photo(engine, var, plain(BLUE), at=NOW - 23 * HOUR)
    sent = attached_photo(engine, var, plain(GREEN))
    assert photos.sweep(engine, var, NOW) == 1
    assert {photo.id for photo in rows(engine)} == {young.id, sent.id} == folders(var)
    assert old.id not in folders(var)
    assert photos.sweep(engine, var, NOW) == 0


def test_the_sweep_takes_folders_of_failed_requests_once_they_are_old(engine: Engine, var: Path) -> None:
    with db.transaction(engine) as s:
        photos.stage(s, var, plain(), staged_for="form:a", at=NOW)
        s.rollback()
    assert rows(engine) == []
    assert len(folders(var)) == 1
    kept = staged_photo(engine, var, plain(BLUE), at=datetime.now(UTC))
    assert photos.sweep(engine, var, datetime.now(UTC)) == 0
    assert len(folders(var)) == 2
    assert photos.sweep(engine, var, datetime.now(UTC) + 2 * HOUR) == 1
    assert folders(var) == {kept.id}


def test_forms_of_strangers_fill_a_bounded_part_of_the_disk(
    engine: Engine, var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = staged_photo(engine, var, form="form:0")
    monkeypatch.setattr(photos, "MOST_UNSENT", int(2.5 * one.bytes))
    for n in (1, 2):
        staged_photo(engine, var, form=f"form:{n}", at=NOW + n * HOUR / 4)
    with pytest.raises(BadPhoto, match="no_room"):
        staged_photo(engine, var, form="form:3")
    staged_photo(engine, var, form="device:7:a")  # a crew's proof is taken all the same
    # The oldest go first, and there is room again long before a day is over.
    assert photos.sweep(engine, var, NOW + HOUR * 0.9) == 0
    assert photos.sweep(engine, var, NOW + HOUR * 1.1) == 1
    staged_photo(engine, var, form="form:3")
    assert {photo.staged_for for photo in rows(engine)} == {"form:1", "form:2", "form:3", "device:7:a"}


def test_sweeping_before_anything_was_staged(engine: Engine, var: Path) -> None:
    assert photos.sweep(engine, var, NOW) == 0


def folder_store(root: Path) -> storage.Store:
    return storage.open_store(cast("Any", SimpleNamespace(photo_store=f"file:{root}")))


def test_a_folder_store_shards_and_never_writes_a_file_twice(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    store, name = folder_store(root), hashlib.sha256(b"one").hexdigest()
    assert isinstance(store, FolderStore)
    store.check()
    store.put(name, b"one")
    path = root / name[:2] / name[2:4] / f"{name}.jpg"
    assert path.read_bytes() == b"one"
    store.put(name, b"two")
    assert store.get(name) == b"one"
    assert [file for file in root.rglob("*") if file.is_file()] == [path]
    store.delete(name)
    store.delete(name)
    with pytest.raises(KeyError):
        store.get(name)


@pytest.mark.parametrize("name", ["", "../../secret_key", "a" * 63, "A" * 64, "a" * 64 + "\n", "/etc/passwd"])
def test_a_folder_store_knows_only_hashes(tmp_path: Path, name: str) -> None:
    store = folder_store(tmp_path)
    for use in (store.get, store.delete, lambda name: store.put(name, b"")):
        with pytest.raises(KeyError):
            use(name)


def test_a_half_written_file_is_neither_read_nor_left_by_an_erasure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, name = folder_store(tmp_path), hashlib.sha256(b"one").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *args: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(StoreDown):
            store.put(name, b"one")
    assert not any(file.is_file() for file in tmp_path.rglob("*"))
    (tmp_path / name[:2] / name[2:4] / f"{name}.123.part").write_bytes(b"on")
    with pytest.raises(KeyError):
        store.get(name)
    store.delete(name)
    assert not any(file.is_file() for file in tmp_path.rglob("*"))


def test_a_folder_that_cannot_be_used_is_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = folder_store(tmp_path / "file")
    with pytest.raises(StoreDown):
        store.check()
    with pytest.raises(StoreDown):
        store.put("a" * 64, b"")


def test_a_photo_settles_into_a_folder(engine: Engine, var: Path, tmp_path: Path) -> None:
    store, photo = folder_store(tmp_path / "photos"), attached_photo(engine, var, encoded(quarters()))
    assert photos.move_staged_to_storage(engine, store, var, NOW) == 1
    assert is_upright(opened(photos.read(store, var, row(engine, photo), "page")))
    with db.transaction(engine) as s:
        photos.erase(s, store, var, s.get_one(Photo, photo.id))
    assert not any(file.is_file() for file in (tmp_path / "photos").rglob("*"))
