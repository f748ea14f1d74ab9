"""Photos on their way from a phone: resumable, checked against what was declared, then staged privately."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from city.audit.events import Actor
from city.db.engine import transaction
from city.photos import photos, processing
from city.photos.processing import BadPhoto
from sync import expected_photos

MAX_UNFINISHED = 100_000_000  # bytes of unfinished photos a crew's phone
MAX_UNFINISHED_RESIDENT = 25_000_000  # and a resident's
UNFINISHED_LIFE = timedelta(days=7)


class WrongOffset(Exception):
    """The bytes do not continue what is here; `offset` is where they should."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class WrongBytes(Exception):
    """What arrived is not what was declared. It was thrown away; the phone begins again."""


class TooMuch(Exception):
    """A photo is too large."""


class Crowded(Exception):
    """All unfinished photos of this phone are too large together; it may send this one later."""


def offset(s: Session, var: Path, device_id: str, photo_id: str) -> tuple[int, bool]:
    """How many bytes of a photo are here, and whether it is complete."""
    if expected_photos.sent(s, device_id, photo_id):
        return 0, True
    return _size(_part(var, device_id, photo_id)), False


def append(
    var: Path,
    device_id: str,
    photo_id: str,
    at_byte: int,
    data: bytes,
    length: int,
    *,
    most: int = MAX_UNFINISHED,
) -> int:
    """Adds a piece and returns how many bytes are here. Raises WrongOffset, TooMuch or Crowded.

    `most` bounds all unfinished photos of the device together.

    Pieces of one photo come in one at a time; a piece that another has overtaken is told the new offset.
    """
    part = _part(var, device_id, photo_id)
    if length > processing.MAX_UPLOAD or at_byte + len(data) > length:
        raise TooMuch
    if (here := _size(part)) != at_byte:
        raise WrongOffset(here)
    if length and not data:  # a question; it leaves no file
        return here
    part.parent.mkdir(parents=True, exist_ok=True)
    if _unfinished(part.parent) + len(data) > most:
        raise Crowded
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        here = file.seek(0, os.SEEK_END)
        if here != at_byte:
            raise WrongOffset(here)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return here + len(data)


def finish(
    engine: Engine,
    var: Path,
    device_id: str,
    photo_id: str,
    sha256: str,
    *,
    by: Actor,
    at: datetime,
    first: Callable[[Session], object] | None = None,
) -> str | None:
    """Checks the whole against its hash, stages it and gives it to the operation that declared it.

    `first` is asked in the transaction that gives it, and may raise: a phone is shut out at any moment.
    Returns the photo's id, None where a twin request did it all. Raises WrongBytes, or BadPhoto, of which a
    person hears where the photo was declared. The pieces go last: until the commit they are all there is.
    """
    part = _part(var, device_id, photo_id)
    try:
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                part.unlink(missing_ok=True)
                raise WrongBytes
            file.seek(0)
            new = processing.process(file)
    except FileNotFoundError:
        return None
    except BadPhoto as bad:
        with transaction(engine) as s:
            for row in expected_photos.expected(s, device_id, photo_id):
                expected_photos.failed(s, row, bad.code, by=by, at=at)
        part.unlink(missing_ok=True)
        raise
    with transaction(engine) as s:
        if first:
            first(s)
        photo = photos.stage(s, var, new, staged_for=expected_photos.owner(device_id, photo_id), at=at)
        expected_photos.photo_arrived(s, device_id, photo_id, photo, by=by, at=at)
    part.unlink(missing_ok=True)
    return photo.id


def sweep(var: Path, now: datetime) -> int:
    """Removes pieces that nobody continued for a week. Returns how many."""
    old, swept = now.timestamp() - UNFINISHED_LIFE.total_seconds(), 0
    for part in (var / "incoming").glob("*/*.part"):
        with suppress(FileNotFoundError):  # it has just become whole
            if part.stat().st_mtime < old:
                part.unlink()
                swept += 1
    return swept


def forget(var: Path, device_id: str) -> None:
    """Removes all pieces of a device that may not come back."""
    shutil.rmtree(var / "incoming" / device_id, ignore_errors=True)


def _part(var: Path, device_id: str, photo_id: str) -> Path:
    return var / "incoming" / device_id / f"{photo_id}.part"


def _unfinished(folder: Path) -> int:
    return sum(map(_size, folder.glob("*.part")))


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:  # nothing came yet, or it has just become whole
        return 0
