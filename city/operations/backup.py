"""A backup: one folder that holds the city as it was at one moment, made while everybody works on.

    TO/2026-05-12T133000Z/   manifest.json, written last: without it the folder is no backup
                             cityline.db or cityline.dump, photos.txt, secret_key, city.toml, …
    TO/photos/               the bytes that all backups here name, each once
    TO/erasures.jsonl        what must not come back with any of them

The database comes first and says which photos belong to its moment. Photos never change under their name, so
whatever is copied later is still what the database meant. Putting it back is in operations/restore.py.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from city import files
from city.audit import erasure_ledger
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Backup, Base, Case, Event, EventSequence, Photo, Report, SyncOperation
from city.lifecycle import Refused
from city.operations import dumps
from city.photos import photos, storage
from city.photos.storage import FolderStore, Store, StoreDown
from city.settings import Settings

FORMAT = 1
MANIFEST, PHOTOS, POOL = "manifest.json", "photos.txt", "photos"
SECRET, CITY, CITY_ON_DISK = "secret_key", "city.toml", "city-on-disk.toml"
COUNTED: tuple[type[Base], ...] = (Case, Report, Event, SyncOperation, Photo)
HANDS = 8  # photos copied at once: a bucket answers slowly and many at a time
BATCH = 1000
MOST_BYTES = 100_000_000  # of a manifest, which names what is missing; a larger one is none of ours
HIGHEST = 2**63 - 1

log = logging.getLogger(__name__)

Told = Callable[[int, int], object]  # how much is done, and of how much


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `files` are SHA-256 by name, `missing` photos that nobody had."""

    format: int
    made_at: str
    database: str  # sqlite or postgresql
    schema: str  # the last migration
    seq: int  # what the log held
    counts: dict[str, int]
    files: dict[str, str]
    missing: list[str]


def make(
    engine: Engine, settings: Settings, store: Store, to: Path, *, at: datetime, told: Told = lambda *_: None
) -> tuple[Path, Manifest]:
    """Makes a backup below `to` and returns its folder; phones may then forget what it holds.

    Raises Refused `backup_running` or `backup_exists` (one of this second), dumps.DumpFailed,
    stores.StoreDown or OSError; then there is no new backup, and the next one clears away what was begun.
    Older ones that are damaged are logged, and hinder nothing.
    """
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(to):
        for unfinished in _folders(to):
            if not (unfinished / MANIFEST).exists():
                shutil.rmtree(unfinished)
        folder = to / at.strftime("%Y-%m-%dT%H%M%SZ")
        if folder.exists():
            raise Refused("backup_exists", folder=str(folder))
        folder.mkdir(mode=0o700)
        manifest = _fill(engine, settings, store, folder, at, told)
        _seal(folder, manifest)
        with db.transaction(engine) as s:
            s.add(Backup(made_at=at, seq=manifest.seq, folder=str(folder.absolute())))
        _tidy_pool(to)
    return folder, manifest


def complete(to: Path) -> list[Path]:
    """The whole backups in a folder, oldest first."""
    return [folder for folder in _folders(to) if (folder / MANIFEST).exists()]


def forget_all_but(to: Path, count: int) -> int:
    """Removes the oldest backups in a folder, and photos that no other names; returns how many went.

    One that is damaged is none of the `count` that stay, and goes when all of those are newer.
    """
    with _alone(to):
        bad = damaged(to)
        good = [folder for folder in complete(to) if folder not in bad]
        old = [folder for folder in complete(to) if good and folder < good[-count:][0]]
        for folder in old:
            (folder / MANIFEST).unlink()  # first: half of one must not pass for a whole
            shutil.rmtree(folder)
        _tidy_pool(to)
    return len(old)


def damaged(to: Path) -> dict[Path, str]:
    """The backups in a folder that do not even say what they hold, each with its fault; most have none."""
    return {folder: fault for folder in complete(to) if (fault := _fault(folder))}


def find(source: Path) -> Path:
    """The backup that `source` is, or the newest of those it holds. Raises Refused `no_backup`."""
    if (source / MANIFEST).exists():
        return source
    if not (found := complete(source)):
        raise Refused("no_backup", folder=str(source))
    return found[-1]


def read(folder: Path) -> Manifest:
    """What a backup says of itself. Raises Refused `backup_unreadable` or `backup_too_new`, OSError."""
    file = folder / MANIFEST
    try:
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            # A pipe would be waited at for ever.
            raise ValueError(f"{MANIFEST} isn't a file, or is far too large")
        told = json.loads(file.read_text())
        _check_shape(told, {"format": int, "schema": str})
        if told["format"] > FORMAT or not db.knows(told["schema"]):
            raise Refused("backup_too_new", format=told["format"], schema=told["schema"])
        _check(told)
        return Manifest(**told)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise Refused("backup_unreadable", folder=str(folder), fault=str(fault)) from None


def faults(
    folder: Path, manifest: Manifest, *, whole: bool = True, told: Told = lambda *_: None
) -> list[str]:
    """What is missing or changed in a backup, a line each; [] where every byte is as it was made.

    Not `whole`: of photos only those that are missing.
    """
    found = [f"{name}: {wrong}" for name in manifest.files if (wrong := _fault_in(folder, manifest, name))]
    if any(fault.startswith(PHOTOS) for fault in found):
        return found
    pool, names = pool_of(folder), _names(folder, manifest)

    def look(name: str) -> str | None:
        if photos.is_whole(pool, name) if whole else pool.has(name):
            return None
        return f"photo {name}: {'changed' if pool.has(name) else 'missing'}"

    with ThreadPoolExecutor(HANDS) as hands:
        for done, fault in enumerate(hands.map(look, names), 1):
            found += [fault] if fault else []
            told(done, len(names))
    return found


def pool_of(folder: Path) -> FolderStore:
    """Where a backup's photos lie, its neighbours' too."""
    return FolderStore(folder.parent / POOL)


def _fill(
    engine: Engine, settings: Settings, store: Store, folder: Path, at: datetime, told: Told
) -> Manifest:
    with dumps.moment(engine, settings.postgres_bin, folder) as s:
        seq = s.scalar(select(EventSequence.n)) or 0
        schema = MigrationContext.configure(s.connection()).get_current_revision() or ""
        counts = {str(t.__tablename__): s.scalar(select(func.count()).select_from(t)) or 0 for t in COUNTED}
        wanted = _wanted(s)
        applied = config_versions.current(s)
        city = applied.text if applied else city_file.read_with_logo(settings.city)
    lost = _copy(store, settings.var, pool_of(folder), wanted, told)
    files.write(folder / PHOTOS, "".join(f"{name}\n" for name in sorted(set(wanted) - set(lost))).encode())
    files.write(folder / SECRET, settings.secret_key.encode())
    files.write(folder / CITY, city.encode())
    files.write(folder / CITY_ON_DISK, settings.city.read_bytes())
    beside, live = folder.parent / erasure_ledger.NAME, settings.var / erasure_ledger.NAME
    erasure_ledger.write(beside, erasure_ledger.read([beside, live]))
    return Manifest(
        FORMAT, at.isoformat(), engine.dialect.name, schema, seq, counts,
        {file.name: _sha256(file) for file in sorted(folder.iterdir())},
        sorted(_still_named(engine, lost)),
    )  # fmt: skip


def _wanted(s: Session) -> dict[str, tuple[Photo, str]]:
    """Every hash that the database names, with the photo and size that it is of."""
    rows = s.scalars(select(Photo).execution_options(yield_per=BATCH))
    return {name: (photo, size) for photo in rows for size, name in photo.sizes.items()}


def _copy(
    store: Store, var: Path, pool: FolderStore, wanted: Mapping[str, tuple[Photo, str]], told: Told
) -> dict[str, Photo]:
    """Brings into the pool what it lacks; returns what nobody has, by hash."""

    def copy(name: str) -> bool:
        if pool.has(name):
            return True
        photo, size = wanted[name]
        try:
            jpeg = photos.read(store, var, photo, size)
        except KeyError:
            return False
        if hashlib.sha256(jpeg).hexdigest() != name:
            return False
        pool.put(name, jpeg)
        return True

    lost, done, names = {}, 0, iter(wanted)
    with ThreadPoolExecutor(HANDS) as hands:
        while some := list(islice(names, BATCH)):
            for name, here in zip(some, hands.map(copy, some), strict=True):
                done += 1
                told(done, len(wanted))
                if not here:
                    lost[name] = wanted[name][0]
    return lost


def _still_named(engine: Engine, lost: Mapping[str, Photo]) -> Iterator[str]:
    """Those that are really missing: the others were erased, or never attached, while we copied."""
    with db.read_session(engine) as s:
        for name, photo in lost.items():
            if s.scalar(select(Photo.id).where(Photo.id == photo.id)):
                yield name


def _seal(folder: Path, manifest: Manifest) -> None:
    """From here on the folder is a backup."""
    part = folder / f"{MANIFEST}.part"
    files.write(part, json.dumps(asdict(manifest), indent=1).encode())
    files.fsync(folder)
    part.rename(folder / MANIFEST)
    files.fsync(folder)
    files.fsync(folder.parent)


def _tidy_pool(to: Path) -> None:
    """Removes photos that no backup here names; none while one of them cannot say which it needs."""
    if bad := damaged(to):
        for folder, fault in bad.items():
            log.warning(
                "%s is damaged: %s. While it's there, no photo will be removed from the folder", folder, fault
            )
        return
    try:
        needed = {name for folder in complete(to) for name in _names(folder, read(folder))}
        pool = FolderStore(to / POOL)
        for name in list(pool.names()):
            if name not in needed:
                pool.delete(name)
    except (Refused, StoreDown, OSError) as fault:  # the backup itself is whole: this can wait for the next
        log.warning("Photos that no backup needs weren't removed: %s", fault)


def _fault(folder: Path) -> str:
    """Why it is not known what a backup holds; "" where it is."""
    try:
        _names(folder, read(folder))
        return ""
    except Refused as refused:
        return str(refused.facts.get("fault", refused.code))
    except OSError as fault:
        return str(fault)


def _fault_in(folder: Path, manifest: Manifest, name: str) -> str:
    if not (folder / name).exists():
        return "missing"
    whole = (folder / name).is_file() and _sha256(folder / name) == manifest.files[name]
    return "" if whole else "changed"


def _names(folder: Path, manifest: Manifest) -> list[str]:
    """The photos that a backup names. Raises Refused `backup_unreadable` where its list is another by now."""
    if fault := _fault_in(folder, manifest, PHOTOS):
        raise Refused("backup_unreadable", folder=str(folder), fault=f"{PHOTOS}: {fault}")
    names = (folder / PHOTOS).read_text(errors="replace").split()
    if wrong := next((name for name in names if not storage.HASH.fullmatch(name)), None):
        raise Refused(
            "backup_unreadable",
            folder=str(folder),
            fault=f"{PHOTOS} lists {wrong[:80]!r}, which isn't a photo",
        )
    return names


def _check(told: dict[str, Any]) -> None:
    """Raises ValueError, TypeError or OverflowError for a manifest that this program did not write."""
    shape = {"made_at": str, "database": str, "seq": int, "counts": dict, "files": dict, "missing": list}
    _check_shape(told, shape)
    _check_shape(told["counts"], dict.fromkeys(told["counts"], int))
    _check_shape(told["files"], dict.fromkeys(told["files"], str))
    if told["format"] < 1 or not 0 <= told["seq"] <= HIGHEST:
        raise ValueError("format or seq is out of range")
    if any(type(name) is not str for name in told["missing"]):
        raise ValueError("missing lists something that isn't a name")
    made_at = datetime.fromisoformat(told["made_at"])
    made_at.astimezone(UTC)
    if made_at.tzinfo is None:
        raise ValueError("made_at has no time zone")
    named = set(told["files"])
    if outside := [name for name in named if name in ("", "..") or name != Path(name).name or "\0" in name]:
        raise ValueError(f"{MANIFEST} lists {outside[0][:80]!r}, which isn't in the folder")
    # A part that the manifest leaves out would be put back unread.
    if not named.intersection(dumps.FILES.values()) or not named >= {PHOTOS, SECRET, CITY}:
        raise ValueError(f"{MANIFEST} lists only {', '.join(sorted(named))[:300]}")


def _check_shape(told: Any, shape: Mapping[str, type]) -> None:
    if type(told) is not dict:
        raise ValueError(f"{MANIFEST} isn't a JSON object")
    for name, kind in shape.items():
        if type(told.get(name)) is not kind:
            raise ValueError(f"{name[:80]} isn't of type {kind.__name__}")


def _folders(to: Path) -> list[Path]:
    return sorted(to.glob("20??-??-??T??????Z"))


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Two at once would take each other's work for unfinished."""
    with ExitStack() as stack:
        try:
            stack.enter_context(files.exclusive(to))
        except BlockingIOError:
            raise Refused("backup_running", folder=str(to)) from None
        yield


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
