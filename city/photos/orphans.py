"""Strays: bytes in the store that no photo names. Only a process that was killed leaves such.

Between new bytes and the row that names them it may end (a redaction), or between the row that goes and the
bytes that should (an erasure while the photo is on its way into the store). sweep() takes them away.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine, select

from city.db.engine import read_session
from city.db.models import Photo
from city.photos import photos
from city.photos.storage import Store

AGE = timedelta(days=1)  # whoever puts bytes has the row that names them within seconds
AT_ONCE = 100_000  # names a day: some seconds of a folder, half a minute of a bucket
# A killed process leaves three. Where many more are strays than that, the database is another one or an
# older one than the store's, and what seems to be left over is what somebody will want back.
FEW = 30  # names, however many there are
# After a restore the database is an older one, and a newer backup may still be put back. So long the
# nightly ones are kept (docs/how-to/operations.md, --keep 30).
HOLD = timedelta(days=31)
PLACE = "swept"  # in the var folder: the last name that was looked at
RESTORED = "restored"  # there too, as old as the last restore

log = logging.getLogger(__name__)


def sweep(engine: Engine, store: Store, var: Path, now: datetime) -> int:
    """Removes strays older than AGE from the store; returns how many. Raises StoreDown.

    It goes on behind where the last one ended. Of more than FEW it removes none, and logs that; while
    HOLD lasts none either.
    """
    if was_restored(var, now, HOLD):
        return 0
    place = var / PLACE
    after = place.read_text() if place.exists() else ""
    looked_at = list(islice(store.names(after, now - AGE), AT_ONCE))
    found = _among(engine, looked_at)
    if len(found) > FEW:
        log.warning("%s None were removed.", summary(len(found), len(looked_at)))
        found = set()
    if found:
        photos.delete_unreferenced(engine, store, found)  # which asks the database once more
    place.write_text(looked_at[-1] if len(looked_at) == AT_ONCE else "")
    return len(found)


def hold(var: Path) -> None:
    """From now on, for as long as HOLD, sweep() removes nothing: a backup was put back."""
    (var / RESTORED).touch()


def was_restored(var: Path, now: datetime, within: timedelta) -> bool:
    """Whether a backup was put back so lately."""
    try:
        return now - datetime.fromtimestamp((var / RESTORED).stat().st_mtime, UTC) < within
    except FileNotFoundError:
        return False


def count(engine: Engine, store: Store, now: datetime) -> tuple[int, int]:
    """How many strays older than AGE the whole store holds, and of how many names. Raises StoreDown."""
    names = list(store.names(before=now - AGE))
    return len(_among(engine, names)), len(names)


def summary(strays: int, names: int) -> str:
    """Words for what count() gives."""
    words = f"Files in photo storage older than a day: {names}. Not needed by any photo: {strays}."
    return f"{words} Does this storage belong to this database?" if strays > FEW else words


def _among(engine: Engine, names: Iterable[str]) -> set[str]:
    """Those of the names that no attached photo needs; it goes through all photos once."""
    left = set(names)
    sizes = select(Photo.sizes).where(Photo.case_id.is_not(None)).execution_options(yield_per=1000)
    with read_session(engine) as s:
        for needed in s.scalars(sizes):
            left.difference_update(needed.values())
    return left
