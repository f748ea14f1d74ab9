"""Photos on their way from a phone: resumable, checked against what was declared, then staged privately."""

import fcntl
import hashlib
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city import photos
from city.db import transaction
from city.schema import Photo
from sync.protocol import Declared

MAX_UNFINISHED = 100_000_000  # bytes of unfinished photos a device
UNFINISHED_LIFE = timedelta(days=7)


class WrongOffset(Exception):
    """The bytes do not continue what is here; `offset` is where they should."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class WrongBytes(Exception):
    """What arrived is not what was declared. It was thrown away; the phone begins again."""


class TooMuch(Exception):
    """One photo, or all unfinished ones of this phone, are too large."""


def offset(s: Session, var: Path, device_id: str, photo_id: str) -> tuple[int, bool]:
    """How many bytes of a photo are here, and whether it is complete."""
    if _row(s, device_id, photo_id):
        return 0, True
    part = _part(var, device_id, photo_id)
    return (part.stat().st_size if part.exists() else 0), False


def append(var: Path, device_id: str, photo_id: str, at_byte: int, data: bytes, length: int) -> int:
    """Adds a piece and returns how many bytes are here. Raises WrongOffset or TooMuch.

    Pieces of one photo come in one at a time; a piece that another has overtaken is told the new offset.
    """
    part = _part(var, device_id, photo_id)
    if length > photos.MAX_UPLOAD or at_byte + len(data) > length:
        raise TooMuch
    part.parent.mkdir(parents=True, exist_ok=True)
    if _unfinished(part.parent) + len(data) > MAX_UNFINISHED:
        raise TooMuch
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        here = file.seek(0, os.SEEK_END)
        if here != at_byte:
            raise WrongOffset(here)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return here + len(data)


def finish(engine: Engine, var: Path, device_id: str, photo_id: str, sha256: str, at: datetime) -> None:
    """Checks the whole against its hash and stages it. Raises WrongBytes, or photos.BadPhoto."""
    part = _part(var, device_id, photo_id)
    try:
        data = part.read_bytes()
    except FileNotFoundError:  # a twin request finished it
        return
    if hashlib.sha256(data).hexdigest() != sha256:
        part.unlink(missing_ok=True)
        raise WrongBytes
    try:
        new = photos.develop(data)
    except photos.BadPhoto:
        part.unlink(missing_ok=True)
        raise
    with transaction(engine) as s:
        photos.stage(s, var, new, staged_for=_owner(device_id, photo_id), at=at)
    part.unlink(missing_ok=True)


def staged(s: Session, device_id: str, declared: Declared) -> Photo | None:
    """The photo that this device sent under that name, if its bytes are the declared ones."""
    found = _row(s, device_id, declared.id)
    return found if found and found.upload_sha256 == declared.sha256 else None


def sweep(var: Path, now: datetime) -> int:
    """Removes pieces that nobody continued for a week. Returns how many."""
    old = now.timestamp() - UNFINISHED_LIFE.total_seconds()
    parts = [part for part in (var / "incoming").glob("*/*.part") if part.stat().st_mtime < old]
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


def forget(var: Path, device_id: str) -> None:
    """Removes all pieces of a device that may not come back."""
    shutil.rmtree(var / "incoming" / device_id, ignore_errors=True)


def _row(s: Session, device_id: str, photo_id: str) -> Photo | None:
    return s.scalars(select(Photo).where(Photo.staged_for == _owner(device_id, photo_id))).first()


def _owner(device_id: str, photo_id: str) -> str:
    """A photo is known by its phone and the name that gave: no other is ever told "have it"."""
    return f"device:{device_id}:{photo_id}"


def _part(var: Path, device_id: str, photo_id: str) -> Path:
    return var / "incoming" / device_id / f"{photo_id}.part"


def _unfinished(folder: Path) -> int:
    return sum(part.stat().st_size for part in folder.glob("*.part"))
