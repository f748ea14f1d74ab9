"""Redaction: what was painted over is nowhere any more, also where a crash or a restore came between."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from factories import Town
from pictures import BLUE, GREEN, RED, about, assert_clean, encoded, opened, quarters
from PIL import Image
from sqlalchemy import select

from city.audit import erasure_ledger, events
from city.cases import transitions
from city.db import engine as db
from city.db.models import Case, Erasure, Event, Photo, Report
from city.lifecycle import Refused
from city.operations import backup, restore
from city.photos import photos, processing, storage
from city.photos.processing import Box
from city.privacy import redaction
from city.reports import intake

PAINT = (0x20, 0x24, 0x2B)
LOWER_LEFT = (Box(0, 50, 50, 50),)  # the blue quarter
UPPER_LEFT = (Box(0, 0, 50, 50),)  # the red one


@pytest.fixture
def store(town: Town) -> storage.Store:
    return storage.open_store(town.settings)


def sent(town: Town, *, form: str = "form:a", data: bytes | None = None, settled: bool = True) -> Photo:
    """A report with a photo of four quarters."""
    new = processing.process(data or encoded(quarters(), quality=95))
    with town.at_work() as scene:
        photo = photos.stage(scene.s, town.settings.var, new, staged_for=form, at=town.now)
        scene.report(taken=[photo])
    if settled:
        photos.move_staged_to_storage(
            town.engine, storage.open_store(town.settings), town.settings.var, town.now
        )
    with town.looking() as scene:
        return scene.s.get_one(Photo, photo.id)


def redact(town: Town, photo: Photo, boxes: Sequence[Box] = LOWER_LEFT, *, by: str = "dispatcher") -> Photo:
    store, var = storage.open_store(town.settings), town.settings.var
    covered = redaction.redact_copy(photo, boxes, store, var)
    with town.looking() as scene:
        actor = scene.actor(by)
    became = redaction.redact(town.engine, store, var, covered, by=actor, at=town.now)
    with town.looking() as scene:
        return scene.s.get_one(Photo, became[photo.id])


def colours(jpeg: bytes) -> list[tuple[int, ...]]:
    """The middles of the four quarters, row by row."""
    picture = opened(jpeg)
    w, h = picture.size
    spots = ((w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4))
    return [picture.getpixel(spot) for spot in spots]  # type: ignore[misc]


def everywhere(town: Town) -> set[bytes]:
    """All bytes of pictures that lie anywhere in the var folder."""
    return {path.read_bytes() for path in town.settings.var.rglob("*.jpg")}


@pytest.mark.parametrize("settled", [True, False])
def test_every_size_is_made_anew_and_the_old_ones_are_nowhere(
    town: Town, store: storage.Store, settled: bool
) -> None:
    photo = sent(town, settled=settled)
    old = {size: photos.read(store, town.settings.var, photo, size) for size in processing.SIZES}
    new = redact(town, photo)
    assert new.id != photo.id
    assert new.stored_at is not None
    for size, was in old.items():
        jpeg = photos.read(store, town.settings.var, new, size)
        assert_clean(jpeg)
        red, green, blue, _white = colours(jpeg)
        assert about(red, RED, 12)
        assert about(green, GREEN, 12)
        assert about(blue, PAINT, 4)
        assert was not in everywhere(town)
        assert not store.has(photo.sizes[size])
    assert not list((town.settings.var / "staging").iterdir())
    with town.looking() as scene:
        assert scene.s.get(Photo, photo.id) is None
        assert (new.report_id, new.case_id, new.position) == (photo.report_id, photo.case_id, photo.position)


def test_not_a_line_of_what_was_covered_is_left_at_the_edges(town: Town, store: storage.Store) -> None:
    picture = Image.new("RGB", (601, 403), "white")
    picture.paste(BLUE, (100, 100, 201, 151))  # a plate, to the pixel
    photo = sent(town, data=encoded(picture, "PNG"))
    box = Box(100 / 6.01, 100 / 4.03, 101 / 6.01, 51 / 4.03)
    new = redact(town, photo, [box])
    seen = opened(photos.read(store, town.settings.var, new, "full"))
    assert not [c for _n, c in seen.getcolors(1 << 20) or [] if c[2] - c[0] > 60]  # type: ignore[index, operator]


def test_the_log_says_who_and_where_and_still_verifies(town: Town) -> None:
    photo = sent(town)
    new = redact(town, photo)
    with town.looking() as scene:
        case = scene.s.get_one(Case, photo.case_id)
        line = scene.s.scalars(select(Event).where(Event.kind == "redact")).one()
        assert line.subject == transitions.subject(case)
        assert line.actor == f"person:{town.ids['dispatcher']}"
        assert line.photos == [new.sha256]
        assert line.facts == {"was": photo.sha256, "boxes": [[0, 50, 50, 50]]}
        assert events.verify(scene.s) == []


def test_the_same_picture_sent_twice_is_covered_in_both_cases(town: Town, store: storage.Store) -> None:
    first, second = sent(town), sent(town, form="form:b")
    with town.at_work() as scene:
        data = encoded(quarters(), quality=95)
        waiting = photos.stage(scene.s, town.settings.var, data, staged_for="form:c", at=town.now)
    other = sent(town, form="form:d", data=encoded(Image.new("RGB", (60, 40), GREEN)))
    with town.looking() as scene:
        assert redaction.photos_sharing_bytes(scene.s, first) == 2
    redact(town, first)
    with town.looking() as scene:
        rows = {photo.staged_for: photo for photo in scene.s.scalars(select(Photo))}
        kinds = scene.s.scalars(select(Event.kind).where(Event.kind == "redact")).all()
    assert len(kinds) == 2  # one in each case; the form that is not sent has none
    assert rows["form:d"].id == other.id
    for form in ("form:a", "form:b", "form:c"):
        assert rows[form].id not in (first.id, second.id, waiting.id)
        assert about(colours(photos.read(store, town.settings.var, rows[form], "full"))[2], PAINT, 4)
    assert not store.has(first.sha256)


def test_who_sends_it_again_gets_the_covered_one(town: Town) -> None:
    photo = sent(town)
    new = redact(town, photo)
    with town.at_work() as scene:
        data = encoded(quarters(), quality=95)
        again = photos.stage(scene.s, town.settings.var, data, staged_for="form:a", at=town.now)
        assert again.id == new.id


def test_it_can_be_done_twice_with_other_parts(town: Town, store: storage.Store) -> None:
    photo = sent(town)
    new = redact(town, redact(town, photo), UPPER_LEFT)
    red, green, blue, _white = colours(photos.read(store, town.settings.var, new, "full"))
    assert about(red, PAINT, 4)
    assert about(green, GREEN, 12)
    assert about(blue, PAINT, 4)


def test_a_photo_that_somebody_covered_meanwhile_is_gone(town: Town, store: storage.Store) -> None:
    photo = sent(town)
    late = redaction.redact_copy(photo, UPPER_LEFT, store, town.settings.var)
    redact(town, photo)
    before = everywhere(town)
    with town.looking() as scene:
        by = scene.actor("dispatcher")
    with pytest.raises(Refused, match="photo_gone"):
        redaction.redact(town.engine, store, town.settings.var, late, by=by, at=town.now)
    assert everywhere(town) == before


@pytest.mark.parametrize("name", ["call-taker", "manager", "rosa"])
def test_others_may_not(town: Town, name: str) -> None:
    photo = sent(town)
    with pytest.raises(Refused, match="not_allowed"):
        redact(town, photo, by=name)


@pytest.mark.parametrize(
    ("boxes", "code"),
    [
        ([], "no_boxes"),
        ([Box(60, 0, 41, 10)], "bad_box"),
        ([Box(0, 0, 10, 10), Box(-1, 0, 10, 10)], "bad_box"),
        ([Box(0, 0, 0, 10)], "bad_box"),
        ([Box(0, 0, float("nan"), 10)], "bad_box"),
        ([Box(0, 0, 1, 1)] * 21, "too_many_boxes"),
    ],
)
def test_parts_that_are_none_are_refused(boxes: list[Box], code: str) -> None:
    with pytest.raises(Refused) as caught:
        redaction.validate(boxes)
    assert caught.value.code == code
    assert code != "bad_box" or caught.value.facts["nth"] == len(boxes)


def test_what_failed_before_the_commit_changed_nothing(
    town: Town, store: storage.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = sent(town)
    before = everywhere(town)
    with monkeypatch.context() as patch:
        patch.setattr(redaction.transitions, "bump_version", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            redact(town, photo)
    with town.looking() as scene:
        assert scene.s.scalars(select(Photo)).one().id == photo.id
    assert everywhere(town) == before
    assert about(colours(photos.read(store, town.settings.var, photo, "full"))[2], BLUE, 12)


@pytest.mark.parametrize("settled", [True, False])
def test_what_ended_after_the_commit_the_worker_finishes(
    town: Town, store: storage.Store, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    photo = sent(town, settled=settled)
    with monkeypatch.context() as patch:
        patch.setattr(photos, "leave_staging" if settled else "purge_owed", killed)
        with pytest.raises(SystemExit):
            redact(town, photo)
    with town.looking() as scene:
        new = scene.s.scalars(select(Photo)).one()
    assert about(colours(photos.read(store, town.settings.var, new, "full"))[2], PAINT, 4)
    photos.move_staged_to_storage(town.engine, store, town.settings.var, town.now)
    assert photos.purge_owed(town.engine, store, town.now) == 1
    assert not any(store.has(name) for name in photo.sizes.values())
    assert store.has(new.sha256)
    assert photos.purge_owed(town.engine, store, town.now) == 0
    with town.looking() as scene:
        assert scene.s.scalars(select(Erasure.gone_at)).one() == town.now


def test_the_bytes_stay_owed_while_the_store_is_down(
    town: Town, store: storage.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_store: object, name: str) -> None:
        raise storage.StoreDown(name)

    photo = sent(town)
    with monkeypatch.context() as patch:
        patch.setattr(storage.FolderStore, "delete", down)
        with pytest.raises(storage.StoreDown):
            redact(town, photo)
    with town.looking() as scene:
        assert scene.s.get(Photo, photo.id) is None  # nobody sees it any more
    assert photos.purge_owed(town.engine, store, town.now) == 1
    assert not store.has(photo.sha256)


def test_the_crew_that_holds_the_job_hears_of_the_new_photo(town: Town) -> None:
    photo = sent(town)
    with town.at_work() as scene:
        case = scene.s.get_one(Case, photo.case_id)
        transitions.assign(scene.s, case, scene.crew("lights"), by=scene.actor("dispatcher"), at=town.now)
        version = case.version
    redact(town, photo)
    with town.looking() as scene:
        assert scene.s.get_one(Case, photo.case_id).version > version


def test_a_restored_backup_is_covered_again_under_the_same_addresses(
    town: Town, tmp_path: Path, store: storage.Store
) -> None:
    photo, twin = sent(town), sent(town, form="form:b")
    folder, _manifest = backup.make(town.engine, town.settings, store, tmp_path / "to", at=town.now)
    once = redact(town, photo)
    twice = redact(town, once, UPPER_LEFT)
    lines = erasure_ledger.read([town.settings.var / erasure_ledger.NAME])
    assert len(lines) == 4  # two photos, twice

    with db.read_session(town.engine) as s:
        now_there = {p.id for p in s.scalars(select(Photo))}
    town.engine.dispose()
    done = restore.restore(town.settings, folder, store, over=True, at=town.now + timedelta(hours=1))

    assert done.erased_again == 4
    with town.looking() as scene:
        rows = scene.s.scalars(select(Photo)).all()
        assert {p.id for p in rows} == now_there
        assert twice.id in now_there
        assert twin.id not in now_there
        assert events.verify(scene.s) == []
        for row in rows:
            red, green, blue, _white = colours(photos.read(store, town.settings.var, row, "full"))
            assert about(red, PAINT, 4)
            assert about(green, GREEN, 12)
            assert about(blue, PAINT, 4)
    assert not any(store.has(name) for name in photo.sizes.values())


def test_a_backup_hands_the_list_on(town: Town, tmp_path: Path, store: storage.Store) -> None:
    photo = sent(town)
    new = redact(town, photo)
    backup.make(town.engine, town.settings, store, tmp_path / "to", at=town.now)
    [line] = erasure_ledger.read([tmp_path / "to" / erasure_ledger.NAME])
    assert isinstance(line, erasure_ledger.Redacted)
    assert (line.photo, line.became, line.boxes) == (photo.id, new.id, ((0, 50, 50, 50),))


def test_an_erased_report_stays_erased_and_its_covered_photo_too(town: Town, store: storage.Store) -> None:
    new = redact(town, sent(town))
    with town.at_work() as scene:
        report = scene.s.get_one(Report, new.report_id)
        intake.erase(scene.s, report, store, town.settings.var, by=scene.actor("dispatcher"), at=town.now)
    assert not any(store.has(name) for name in new.sizes.values())
    assert everywhere(town) == set()
