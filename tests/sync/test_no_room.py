"""A disk that takes nothing more: a phone hears "later", keeps its photo, and sends the rest of it then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from phones import Phone, declare, picture, report
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from city.db.engine import read_session
from city.db.models import Photo
from city.settings import Settings

pytestmark = pytest.mark.both_databases

Fill = Callable[[Path], Callable[[], None]]


def told_later(answer: TestResponse) -> bool:
    """Whether a phone hears that it may come again, and when."""
    return (answer.status_code, answer.get_json()["error"], int(answer.headers["Retry-After"])) == (
        503, "later", 60,
    )  # fmt: skip


def declared_by(phone: Phone, data: bytes) -> dict[str, object]:
    """A photo that a report of the phone has declared, and the city has not seen yet."""
    photo = declare(data)
    phone.exchange(report(phone, photos=[photo]))
    return photo


def test_a_piece_that_finds_no_room_comes_later(settings: Settings, luis: Phone) -> None:
    data = picture()
    photo = declared_by(luis, data)
    folder = settings.var / "incoming" / luis.device
    folder.mkdir(parents=True)
    part = folder / f"{photo['id']}.part"
    part.symlink_to("/dev/full")
    assert told_later(luis.piece(photo, 0, data))
    part.unlink()
    assert luis.piece(photo, 0, data).status_code == 200


def test_what_came_before_the_disk_was_full_need_not_come_again(
    engine: Engine, settings: Settings, luis: Phone, fill_up: Fill
) -> None:
    data = os.urandom(8_192)
    photo = declared_by(luis, data)
    make_room = fill_up(settings.var / "incoming")
    assert told_later(luis.piece(photo, 0, data))
    make_room()
    path = f"/sync/v1/photos/{photo['id']}"
    here = int(luis.http.head(path).headers["Upload-Offset"])
    assert luis.piece(photo, here, data[here:]).status_code == 422  # whole now: it is no photo


def test_a_whole_photo_that_finds_no_room_waits_in_its_pieces(
    engine: Engine, settings: Settings, luis: Phone, fill_up: Fill
) -> None:
    data = picture()
    photo = declared_by(luis, data)
    make_room = fill_up(settings.var / "staging")
    assert told_later(luis.piece(photo, 0, data))
    assert told_later(luis.piece(photo, len(data), b""))
    make_room()
    assert luis.piece(photo, len(data), b"").status_code == 200
    with read_session(engine) as s:
        assert s.scalars(select(Photo.upload_sha256)).all() == [photo["sha256"]]
    assert not list((settings.var / "staging").iterdir())
