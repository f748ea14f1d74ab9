"""Photos: staged, attached, stored, erased. How bytes become one is in photos/processing.py."""

import hashlib
import logging
import shutil
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Engine, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city import files
from city.db.engine import read_session, transaction
from city.db.models import Erasure, ExpectedPhoto, Photo
from city.lifecycle import Refused
from city.photos.processing import SIZES, BadPhoto, ProcessedPhoto, process
from city.photos.storage import Store

MAX_PHOTOS = 5

UNSENT_LIFE = timedelta(hours=24)  # a form left open overnight still finds its photos
# Strangers' forms may fill so much of the disk, and no more than a tenth of it.
MOST_UNSENT = 4_000_000_000  # bytes of full sizes; the others add half as much
CROWDED_LIFE = timedelta(hours=1)  # of what a form left, once half of that is taken
FORM = "form:"  # how `staged_for` begins for a resident's form
INBOX = "inbox:"  # and for an entry of the inbox, with whose key it waits until the desk has settled it
FORGET_AT_ONCE = 300  # names removed from the store in one transaction: seconds of a bucket
# A folder is written before its row is committed: a young one without a row may only be early.
FOLDER_GRACE = timedelta(hours=1)

log = logging.getLogger(__name__)


def stage(
    s: Session, var: Path, source: BinaryIO | bytes | ProcessedPhoto, *, staged_for: str, at: datetime
) -> Photo:
    """The photo, private under `var`/staging until something attaches it. Raises BadPhoto.

    The same bytes sent again for the same `staged_for` give the row that is there already, attached or not.
    When the caller's transaction fails afterwards, the files stay until sweep().
    """
    new = source if isinstance(source, ProcessedPhoto) else process(source)
    if known := _known(s, staged_for, new.upload_sha256):
        return known
    if len(staged(s, staged_for)) >= MAX_PHOTOS:
        raise BadPhoto("too_many")
    if staged_for.startswith((FORM, INBOX)) and _crowd(s, var) > 1:
        raise BadPhoto("no_room")
    names = names_of(new)
    photo = Photo(
        id=str(uuid.uuid4()),
        staged_for=staged_for,
        upload_sha256=new.upload_sha256,
        sha256=names["full"],
        sizes=names,
        width=new.width,
        height=new.height,
        bytes=len(new.jpegs["full"]),
        added_at=at,
    )
    folder = _folder(var, photo.id)
    try:
        _fill(folder, new.jpegs)
        with s.begin_nested():
            s.add(photo)
    except BaseException as fault:
        shutil.rmtree(folder, ignore_errors=True)
        # A twin request may have staged the same bytes between our look and our insert.
        if isinstance(fault, IntegrityError) and (known := _known(s, staged_for, new.upload_sha256)):
            return known
        raise
    return photo


def staged(s: Session, staged_for: str) -> list[Photo]:
    """What waits to be attached, in the order it will be shown."""
    return list(
        s.scalars(
            select(Photo)
            .where(Photo.staged_for == staged_for, Photo.case_id.is_(None))
            .order_by(Photo.position, Photo.added_at, Photo.id)
        )
    )


def unstage(s: Session, var: Path, photo: Photo) -> None:
    """Removes a photo that nothing has attached, with its files. Raises Refused `photo_attached`."""
    if not s.execute(
        delete(Photo).where(Photo.id == photo.id, Photo.case_id.is_(None)).returning(Photo.id)
    ).scalar_one_or_none():
        raise Refused("photo_attached", photo=photo.id)
    shutil.rmtree(_folder(var, photo.id), ignore_errors=True)


def attach(
    s: Session,
    photo: Photo,
    *,
    case_id: int,
    report_id: int | None = None,
    cycle: int | None = None,
    message_id: int | None = None,
    position: int = 0,
) -> None:
    """Gives a staged photo to a case; a repeat for the same case changes nothing.

    Raises Refused `photo_attached` where another case has it. Run settle_all() after the commit.
    """
    # Compare and set: of two requests that take the same photo only one may win.
    s.execute(
        update(Photo)
        .where(Photo.id == photo.id, Photo.case_id.is_(None))
        .values(
            case_id=case_id, report_id=report_id, cycle=cycle, message_id=message_id, position=position
        )
    )  # fmt: skip
    s.refresh(photo)
    if photo.case_id != case_id:
        raise Refused("photo_attached", photo=photo.id)


def move_staged_to_storage(
    engine: Engine, store: Store, var: Path, now: datetime, only: Sequence[str] = ()
) -> int:
    """Moves attached photos from staging into the store; `only` names photo ids, none means all.

    Returns how many were moved. One that fails stays staged, is logged, and holds up no other. The order
    loses nothing at a crash: bytes in the store, then `stored_at` committed, then the folder removed; what
    is left in between is put again by the next call or removed by sweep().
    """
    waiting = select(Photo).where(Photo.case_id.is_not(None), Photo.stored_at.is_(None))
    if only:
        waiting = waiting.where(Photo.id.in_(only))
    with read_session(engine) as s:
        photos = list(s.scalars(waiting.order_by(Photo.added_at, Photo.id)))
    moved = 0
    for photo in photos:
        try:
            _put(store, var, photo)
            moved += _mark_stored(engine, store, photo, now)
        except Exception:  # whatever it is, the next photo deserves its turn
            log.exception("Photo %s couldn't be stored yet", photo.id)
            continue
        shutil.rmtree(_folder(var, photo.id), ignore_errors=True)
    return moved


def read(store: Store, var: Path, photo: Photo, size: str) -> bytes:
    """The JPEG of that size, wherever it lies now. Raises KeyError where absent, StoreDown."""
    name = photo.sizes[size]
    if photo.stored_at is None:
        try:
            return (_folder(var, photo.id) / f"{size}.jpg").read_bytes()
        except FileNotFoundError:
            pass  # settled since the row was read
    return store.get(name)


def restore_blob(store: Store, name: str, pool: Store) -> None:
    """Brings bytes out of a backup's `pool` into the store, also where wrong ones are there.

    One name at a time: the store has no lock. Raises KeyError where the pool has none and the store no good
    ones, StoreDown.
    """
    if is_whole(store, name):
        return
    jpeg = pool.get(name)
    store.delete(name)
    store.put(name, jpeg)


def stage_again(photo: Photo, pool: Store, var: Path) -> None:
    """Brings all sizes of a photo that waited when the backup was made back to where it waits; KeyError."""
    jpegs = {size: pool.get(name) for size, name in photo.sizes.items()}
    shutil.rmtree(_folder(var, photo.id), ignore_errors=True)
    _fill(_folder(var, photo.id), jpegs)


def is_whole(store: Store, name: str) -> bool:
    """Whether the bytes are there and hash to their name. Raises StoreDown."""
    try:
        return hashlib.sha256(store.get(name)).hexdigest() == name
    except KeyError:
        return False


def erase(s: Session, store: Store, var: Path, photo: Photo) -> list[str]:
    """Erases a photo: its row, its files, and of its bytes in the store those that no other photo needs.

    Returns the hashes removed. The bytes go before the caller's commit: an erasure that fails half-way
    leaves a row without bytes, to be dropped again, and never bytes without a row. Raises StoreDown.
    """
    unneeded = _unneeded(s, photo.sizes.values(), but=photo.id)
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.photo_id == photo.id))
    s.delete(photo)
    s.flush()
    for name in unneeded:
        store.delete(name)
    shutil.rmtree(_folder(var, photo.id), ignore_errors=True)
    return unneeded


def detach(s: Session, gone: Sequence[Photo]) -> list[str]:
    """Takes the rows of photos away; returns the hashes of their bytes, for an Erasure that forget() settles.

    What waits in staging goes with sweep(), as no row names it.
    """
    ids = [photo.id for photo in gone]
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.photo_id.in_(ids)))
    s.execute(delete(Photo).where(Photo.id.in_(ids)))
    return sorted({name for photo in gone for name in photo.sizes.values()})


def replace(s: Session, var: Path, photo: Photo, new: ProcessedPhoto, *, photo_id: str) -> Photo:
    """Puts other bytes, under another id, in the place of a photo; in the store they must be (keep()).

    Of the old one only the row goes: its bytes follow after the commit, by leave_staging() and forget(), so
    that a failure leaves either the old photo or the new one. Only what waits waits again.
    """
    on_its_way = select(ExpectedPhoto).where(ExpectedPhoto.photo_id == photo.id)
    declared = s.scalars(on_its_way.with_for_update()).all()
    for row in declared:
        row.photo_id = None
    names = names_of(new)
    put = Photo(
        id=photo_id, staged_for=photo.staged_for, upload_sha256=photo.upload_sha256, sha256=names["full"],
        sizes=names, width=new.width, height=new.height, bytes=len(new.jpegs["full"]),
        added_at=photo.added_at, stored_at=photo.stored_at, report_id=photo.report_id,
        case_id=photo.case_id, cycle=photo.cycle, closure_id=photo.closure_id, message_id=photo.message_id,
        position=photo.position,
    )  # fmt: skip
    if photo.stored_at is None:
        leave_staging(var, [photo_id])  # what a try left that was ended
        _fill(_folder(var, photo_id), new.jpegs)
    s.delete(photo)
    s.flush()  # what came over the wire names both of them
    s.add(put)
    s.flush()
    for row in declared:
        row.photo_id = photo_id
    return put


def names_of(new: ProcessedPhoto) -> dict[str, str]:
    """The hashes of all sizes: what they are called in a store."""
    return {size: hashlib.sha256(jpeg).hexdigest() for size, jpeg in new.jpegs.items()}


def store_sizes(store: Store, new: ProcessedPhoto) -> list[str]:
    """Brings all sizes into the store, before a row names them; returns their hashes. Raises StoreDown."""
    names = names_of(new)
    for size, name in names.items():
        store.put(name, new.jpegs[size])
    return list(names.values())


def delete_unreferenced(engine: Engine, store: Store, names: Iterable[str]) -> None:
    """Removes bytes from the store that no attached photo names. Raises StoreDown.

    Nobody has to wait meanwhile: a photo that comes to need them in this very moment, and found them there
    when it was to put its own, gets them back.
    """
    with _waiting(engine) as s:
        unneeded = _unneeded(s, names)
    removed: dict[str, bytes] = {}
    try:
        for name in unneeded:
            with suppress(KeyError):  # half written: nobody found these
                removed[name] = store.get(name)
            store.delete(name)
    finally:
        with _waiting(engine) as s:
            needed = removed.keys() - _unneeded(s, removed)
        for name in needed:
            store.put(name, removed[name])


def leave_staging(var: Path, photo_ids: Iterable[str]) -> None:
    """Removes what waits in staging under these ids."""
    for photo_id in photo_ids:
        shutil.rmtree(_folder(var, photo_id), ignore_errors=True)


def _waiting(engine: Engine) -> AbstractContextManager[Session]:
    """A session that can wait for whoever is about to attach a photo. On SQLite nobody holds a row, and who
    writes would hold up everybody."""
    return transaction(engine) if engine.dialect.name == "postgresql" else read_session(engine)


def purge_owed(engine: Engine, store: Store, now: datetime) -> int:
    """Removes from the store the bytes that are owed to redactions and to the records schedule.

    Returns how many of these are settled. Raises StoreDown. The worker calls this too: whatever ended the
    first try, the bytes go. Some at a time: whether another photo needs them is asked of all photos at once,
    and nobody waits long behind it.
    """
    with read_session(engine) as s:
        asked = select(Erasure.id, Erasure.photos).where(Erasure.gone_at.is_(None)).order_by(Erasure.id)
        owed = s.execute(asked).all()
    part, names, done = list[int](), 0, 0
    for n, (id_, hashes) in enumerate(owed, 1):
        part, names = [*part, id_], names + len(hashes)
        if names >= FORGET_AT_ONCE or n == len(owed):
            done += _forget(engine, store, part, now)
            part, names = [], 0
    return done


def sweep(engine: Engine, var: Path, now: datetime) -> int:
    """Removes photos that nothing attached for a day, and staging folders that no unsettled row names.

    What an operation declared waits with it, and what lies in the inbox, however long that takes. While the
    forms of strangers take much of the disk, theirs wait an hour only.

    Returns how many rows and stray folders were removed.
    """
    with transaction(engine) as s:
        forgotten = Photo.added_at < now - UNSENT_LIFE
        if _crowd(s, var) > 0.5:
            in_forms = Photo.staged_for.startswith(FORM)
            forgotten = or_(forgotten, and_(in_forms, Photo.added_at < now - CROWDED_LIFE))
        unsent = set(
            s.scalars(
                delete(Photo)
                .where(Photo.case_id.is_(None), forgotten, ~Photo.staged_for.startswith(INBOX))
                .where(
                    Photo.id.not_in(select(ExpectedPhoto.photo_id).where(ExpectedPhoto.photo_id.is_not(None)))
                )
                .returning(Photo.id)
            )
        )
    for photo_id in unsent:
        shutil.rmtree(_folder(var, photo_id), ignore_errors=True)
    # Folders are listed before the rows are read: a folder made in between must not look like a stray.
    old = [folder for folder in _folders(var) if _changed(folder) < now - FOLDER_GRACE]
    with read_session(engine) as s:
        needed = set(s.scalars(select(Photo.id).where(Photo.stored_at.is_(None))))
    strays = [folder for folder in old if folder.name not in needed]
    for folder in strays:
        shutil.rmtree(folder, ignore_errors=True)
    return len(unsent) + len(strays)


def _forget(engine: Engine, store: Store, erasure_ids: Sequence[int], now: datetime) -> int:
    with transaction(engine) as s:
        asked = select(Erasure).where(Erasure.id.in_(erasure_ids), Erasure.gone_at.is_(None))
        owed = s.scalars(asked.order_by(Erasure.id).with_for_update()).all()
        for name in _unneeded(s, {name for erasure in owed for name in erasure.photos}):
            store.delete(name)
        for erasure in owed:
            erasure.gone_at = now
    return len(owed)


def _known(s: Session, staged_for: str, upload_sha256: str) -> Photo | None:
    return s.scalar(select(Photo).where(Photo.staged_for == staged_for, Photo.upload_sha256 == upload_sha256))


def _crowd(s: Session, var: Path) -> float:
    """How full what strangers have begun or sent to the inbox makes its part of the disk; 1 is full."""
    waiting = (
        Photo.case_id.is_(None),
        or_(Photo.staged_for.startswith(FORM), Photo.staged_for.startswith(INBOX)),
    )
    unsent = s.scalar(select(func.sum(Photo.bytes)).where(*waiting))
    return float(unsent) / min(MOST_UNSENT, shutil.disk_usage(var).total // 10) if unsent else 0.0


def _folder(var: Path, photo_id: str) -> Path:
    return var / "staging" / photo_id


def _folders(var: Path) -> list[Path]:
    staging = var / "staging"
    return [entry for entry in staging.iterdir() if entry.is_dir()] if staging.is_dir() else []


def _changed(folder: Path) -> datetime:
    try:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    except FileNotFoundError:  # settled while we were looking
        return datetime.max.replace(tzinfo=UTC)


def _fill(folder: Path, jpegs: dict[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for size, jpeg in jpegs.items():
        files.write(folder / f"{size}.jpg", jpeg)
    files.fsync(folder)
    files.fsync(folder.parent)


def _put(store: Store, var: Path, photo: Photo) -> None:
    for size, name in photo.sizes.items():
        jpeg = read(store, var, photo, size)
        if hashlib.sha256(jpeg).hexdigest() != name:
            raise ValueError(f"photo {photo.id}: the {size} size doesn't match its name")
        store.put(name, jpeg)


def _mark_stored(engine: Engine, store: Store, photo: Photo, now: datetime) -> bool:
    """Whether this call set `stored_at`; not when another did, nor when the photo was dropped meanwhile."""
    with transaction(engine) as s:
        marked = s.execute(
            update(Photo)
            .where(Photo.id == photo.id, Photo.stored_at.is_(None))
            .values(stored_at=now)
            .returning(Photo.id)
        ).scalar_one_or_none()
        if not marked and s.get(Photo, photo.id) is None:
            # Erased while we were putting: what we put must not outlive it.
            for name in _unneeded(s, photo.sizes.values()):
                store.delete(name)
    return bool(marked)


def _unneeded(s: Session, names: Iterable[str], but: str = "") -> list[str]:
    """Those of the hashes that no attached photo names, except the one called `but`.

    One that is only staged has its bytes in its own folder, and sweep() would later not know of the store's.
    """
    names = set(names)
    sharing = (
        select(Photo)
        .where(Photo.id != but)
        .where(or_(*(Photo.sizes[size].as_string().in_(names) for size in SIZES)))
        .with_for_update()  # whoever is about to attach or settle one of them comes first, or waits for us
    )
    needed = {name for other in s.scalars(sharing) if other.case_id for name in other.sizes.values()}
    return sorted(names - needed)
