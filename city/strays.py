"""Strays: bytes in the store that no photo names. Only a process that was killed leaves such.

Between new bytes and the row that names them it may end (a redaction), or between the row that goes and the
bytes that should (an erasure while the photo is on its way into the store). sweep() takes them away.
"""

import logging
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine, or_, select

from city import photos
from city.db import reading
from city.developing import SIZES
from city.schema import Photo
from city.stores import Store

AGE = timedelta(days=1)  # whoever puts bytes has the row that names them within seconds
AT_ONCE = 100_000  # names a day: some seconds of a folder, half a minute of a bucket
BATCH = 100  # nobody can write while these go
# A killed process leaves three. Where many more are strays than that, the database is another one or an
# older one than the store's, and what seems to be left over is what somebody will want back.
FEW, MOST = 30, 0.1  # names; of those that were looked at
MARK = "swept"  # in the var folder: the last name that was looked at

log = logging.getLogger(__name__)


def sweep(engine: Engine, store: Store, var: Path, now: datetime) -> int:
    """Removes strays older than AGE from the store; returns how many. Raises StoreDown.

    It goes on behind where the last one ended. Of more than a few it removes none, and logs that.
    """
    mark = var / MARK
    looked_at, found = _among(engine, store, now, mark.read_text() if mark.exists() else "")
    if _too_many(len(found), len(looked_at)):
        log.warning("%s; none was removed", told(len(found), len(looked_at)))
        found = []
    for begin in range(0, len(found), BATCH):
        photos.discard(engine, store, found[begin : begin + BATCH])  # which asks the database once more
    mark.write_text(looked_at[-1] if len(looked_at) == AT_ONCE else "")
    return len(found)


def count(engine: Engine, store: Store, now: datetime) -> tuple[int, int]:
    """How many strays older than AGE the whole store holds, and of how many names. Raises StoreDown."""
    strays = names = 0
    after: str | None = ""
    while after is not None:
        looked_at, found = _among(engine, store, now, after)
        strays, names = strays + len(found), names + len(looked_at)
        after = looked_at[-1] if len(looked_at) == AT_ONCE else None
    return strays, names


def told(strays: int, names: int) -> str:
    """Words for what count() gives."""
    if _too_many(strays, names):
        return f"No photo needs {strays} of {names} names in the store: is this the store's own database?"
    return f"No photo needs {strays} of {names} names in the store"


def _too_many(strays: int, names: int) -> bool:
    return strays > FEW and strays > names * MOST


def _among(engine: Engine, store: Store, now: datetime, after: str) -> tuple[list[str], list[str]]:
    """The next names behind `after` that are old enough, and those of them that no attached photo needs."""
    looked_at = list(islice(store.names(after, now - AGE), AT_ONCE))
    if not looked_at:
        return [], []
    of_photos = [Photo.sizes[size].as_string() for size in SIZES]
    between = or_(*(name.between(looked_at[0], looked_at[-1]) for name in of_photos))
    with reading(engine) as s:
        rows = s.execute(select(*of_photos).where(Photo.case_id.is_not(None), between))
        needed = {name for row in rows.yield_per(1000) for name in row}
    return looked_at, [name for name in looked_at if name not in needed]
